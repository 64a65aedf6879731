"""What workers on Kafka remember, read by others from the topic that it goes to.

Of each site the places of its chunks in the topic are known, and no more; what is asked for is read from there.
"""

# kafka-python ships no types for its consumer.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from kafka import errors
from kafka.structs import TopicPartition

from detection.changelog import CHUNK_BYTES, SITE, ChangelogCheckpoints, changelog_of, shares_changelog_of
from detection.checkpoint import CheckpointError
from detection.parcels import SHARE
from sensor import kafka_reading
from sensor.configuration import ConfigurationError
from sensor.kafka_client import KafkaUnusable, meaning, probe

if TYPE_CHECKING:
    from collections.abc import Callable

    from detection.remembered import Learned
    from sensor.kafka_settings import KafkaSettings

READ_SECONDS: Final = 30.0
"""How long the topic may bring nothing until it is given up."""

TURN_SECONDS: Final = 2.0
"""How long one who asks waits for another who reads."""

RETRY_SECONDS: Final = 5.0
"""How long after a failure nobody tries again."""

Place = tuple[TopicPartition, int]
"""Partition and offset."""

Part = tuple[str, TopicPartition]
"""A site, or a share of it: its name, and the partition of a topic that holds all that is remembered of it."""


class ChangelogTopic:
    """What is remembered of sites. Safe from any thread: one reads at a time.

    Args:
        settings: how Kafka is reached.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings: Final = settings
        self._topic: Final = changelog_of(settings.prefix)
        self._of_shares: Final = shares_changelog_of(settings.prefix)
        self._turn: Final = threading.Lock()
        self._ended: Final = threading.Event()
        self._client: Any = None
        self._next: dict[TopicPartition, int] = {}
        self._places: dict[Part, dict[str, Place]] = {}
        self._learned: dict[Part, tuple[Place, list[Learned]]] = {}
        self._failure = ""
        self._failed_until = 0.0

    def learned(self) -> dict[str, list[Learned]]:
        """What was learned at each site. Raises CheckpointError where it cannot be read."""
        # Who asks holds a thread: while one reads for long, or could not a moment ago, the others are told so at once.
        if not self._turn.acquire(timeout=TURN_SECONDS):
            raise CheckpointError(f"topic {self._topic}: is being read: ask again")
        try:
            self._check_ended()
            if time.monotonic() < self._failed_until:
                raise CheckpointError(self._failure)
            if self._client is None:
                self._open()
            self._follow()
            return self._of_sites()
        except (KafkaUnusable, ConfigurationError) as error:
            raise self._failed(str(error)) from error
        except errors.KafkaError as error:
            raise self._failed(str(meaning(self._settings, [error]))) from error
        finally:
            self._turn.release()

    def _failed(self, reason: str) -> CheckpointError:
        """Let go of Kafka, and do not try again at once."""
        self._let_go()
        self._failure, self._failed_until = reason, time.monotonic() + RETRY_SECONDS
        return CheckpointError(reason)

    def close(self) -> None:
        """Let go of Kafka; whoever reads is told that it has ended."""
        self._ended.set()
        with self._turn:
            self._let_go()

    def _open(self) -> None:
        """Raises KafkaUnusable: the first worker makes the topic."""
        probe(self._settings, [self._topic])
        self._client = kafka_reading.consumer(
            self._settings, group_id=None, isolation_level="read_committed", max_partition_fetch_bytes=2 * CHUNK_BYTES
        )
        partitions = self._client.partitions_for_topic(self._topic)
        if not partitions:
            raise KafkaUnusable(f"topic {self._topic}: its partitions are not known: is Kafka well?", is_lasting=False)
        self._next = {TopicPartition(self._topic, partition): 0 for partition in sorted(partitions)}

    def _follow(self) -> None:
        """Take in where everything is, up to the topics' ends. Raises KafkaError, CheckpointError."""
        # The first worker that knows of shares makes the topic of what is remembered of them.
        for partition in sorted(self._client.partitions_for_topic(self._of_shares) or ()):
            self._next.setdefault(TopicPartition(self._of_shares, partition), 0)
        places = list(self._next)
        self._client.assign(places)
        ends = self._client.end_offsets(places)
        for place, begin in self._client.beginning_offsets(places).items():
            self._client.seek(place, max(begin, self._next[place]))
        until = time.monotonic() + READ_SECONDS
        while any(self._client.position(place) < ends[place] for place in places):
            self._check_ended()
            found = self._client.poll(timeout_ms=200)
            if found:
                until = time.monotonic() + READ_SECONDS
            elif time.monotonic() > until:
                raise CheckpointError(f"topic {self._topic}: cannot be read to its end: is Kafka well?")
            for records in found.values():
                for record in records:
                    self._take(record)
        self._next = {place: int(self._client.position(place)) for place in places}

    def _check_ended(self) -> None:
        """Raises CheckpointError where it was closed: its end must not wait for a topic that brings nothing."""
        if self._ended.is_set():
            raise CheckpointError(f"topic {self._topic}: is read no more: the server ends")

    def _take(self, record: Any) -> None:
        named, _, key = (record.key or b"").rpartition(b"|")
        prefix = SITE if record.topic == self._topic else SHARE
        if not named.startswith(prefix):
            return
        place = TopicPartition(record.topic, record.partition)
        chunks = self._places.setdefault((named.removeprefix(prefix).decode(errors="replace"), place), {})
        if record.value is None:
            chunks.pop(json.loads(key), None)
        else:
            chunks[json.loads(key)] = place, record.offset

    def _of_sites(self) -> dict[str, list[Learned]]:
        """What was learned at each site, whole or in its shares."""
        found: dict[str, list[Learned]] = {}
        for part in sorted(self._places):
            found.setdefault(part[0], []).extend(self._of(part))
        return found

    def _of(self, part: Part) -> list[Learned]:
        """What was learned at a site or in a share; what was read before where nothing has changed since."""
        index = self._places[part].get("index")
        if index is None:
            return []
        known = self._learned.get(part)
        if known is None or known[0] != index:
            name, place = part
            chunks = _Chunks(self._client, self._places[part], self._check_ended)
            known = index, ChangelogCheckpoints(chunks, f"{place.topic}, site {name!r}").learned()
            self._learned[part] = known
        return known[1]

    def _let_go(self) -> None:
        if self._client is not None:
            self._client.close(autocommit=False)
            self._client = None
        self._next, self._places, self._learned = {}, {}, {}


class _Chunks:
    """The chunks of one site as `detection.changelog.Store`, to be read only."""

    def __init__(self, client: Any, places: dict[str, Place], check_ended: Callable[[], None]) -> None:
        self._check_ended = check_ended
        self._client = client
        self._places = places
        self._read: dict[Place, bytes] = {}

    def get_bytes(self, key: str) -> bytes | None:
        """The value; None where there is none, or no more: it was replaced while it was read."""
        place = self._places.get(key)
        if place is None:
            return None
        if place not in self._read:
            self._fetch(*place)
        return self._read.get(place)

    def _fetch(self, there: TopicPartition, offset: int) -> None:
        """Read what is at this place, and what comes with it of the same site. Raises KafkaError."""
        self._client.assign([there])
        self._client.seek(there, offset)
        wanted = set(self._places.values())
        until = time.monotonic() + READ_SECONDS
        while time.monotonic() < until:
            self._check_ended()
            for record in self._client.poll(timeout_ms=200).get(there, ()):
                if (there, record.offset) in wanted:
                    self._read[there, record.offset] = record.value
            if self._client.position(there) > offset:
                return

    def set_bytes(self, key: str, value: bytes) -> None:
        """Nothing is written from here."""
        raise TypeError(key, len(value))

    def delete(self, key: str) -> None:
        """Nothing is removed from here."""
        raise TypeError(key)
