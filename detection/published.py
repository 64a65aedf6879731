"""What workers on Kafka are told: versions of rules and of sites' facts (topic `versions`), what people decide (`decisions`).

Every worker reads both topics whole, from the beginning, in a thread of its own, so that each knows at any moment the newest
version of each site, and all decisions. What of it holds from which place on is each site's own matter (`in_force`), and is kept
with what is remembered of the site: what was taken up within a transaction that came to nothing never took effect.
"""

# kafka-python ships no types for its consumer.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kafka.errors import KafkaError
from kafka.structs import TopicPartition

from detection.control import EXCEPTION, NORMAL, RULES, SITE
from detection.exceptions import Change
from detection.inbox import WAITING, parse
from detection.ruleset import VERSION_BYTES, RuleFiles, Ruleset
from detection.sigma.rule import RuleError
from detection.site import Site, SiteError
from sensor import kafka_reading
from sensor.control_records import encode, rows_of
from sensor.kafka_client import KafkaUnusable, meaning
from sensor.kafka_message import UNREADABLE, Message
from sensor.kafka_producer import MessageTooLarge, OrderedProducer
from sensor.names import fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detection.inbox import Entry
    from sensor.kafka_settings import KafkaSettings
    from sensor.topics import Topics

ALL_SITES: Final = ""
"""In the place of a site's name: rules of all sites that have none of their own."""

POLL_MILLISECONDS: Final = 200

READ_SECONDS: Final = 60.0
"""How long nothing may come of what there is when a worker starts."""


class Published:
    """The newest versions, and all decisions.

    Args:
        settings: how Kafka is reached.
        topics: names of the topics.

    Raises:
        KafkaUnusable: a topic is not there, or cannot be read.
    """

    def __init__(self, settings: KafkaSettings, topics: Topics) -> None:
        self.number = 0
        """How many versions have been read: it grows when there is a new one."""
        self.refused = 0
        """Messages that are neither a version nor a decision."""
        self._versions: dict[tuple[str, str], tuple[int, str]] = {}
        self._decisions: dict[str, list[Entry]] = {}
        self._settings = settings
        self._failure: Exception | None = None
        self._stop = threading.Event()
        self._consumer: Any = None
        try:
            self._consumer = kafka_reading.consumer(
                settings, group_id=None, isolation_level="read_committed",
                max_partition_fetch_bytes=settings.largest_message_bytes,
            )  # fmt: skip
            self._read(topics)
        except BaseException as error:
            if self._consumer is not None:
                self._consumer.close()
            if isinstance(error, KafkaError):
                raise meaning(settings, [error]) from error
            raise
        self._thread = threading.Thread(target=self._follow, name="published", daemon=True)
        self._thread.start()

    def _read(self, topics: Topics) -> None:
        """Read what there is. Raises KafkaError; KafkaUnusable where nothing comes of it any more."""
        places: list[TopicPartition] = []
        for topic in (topics.versions, topics.decisions):
            partitions = self._consumer.partitions_for_topic(topic)
            if not partitions:
                raise KafkaUnusable(f"topic {topic}: there is none on {self._settings.bootstrap}: `icsight kafka apply` makes it")
            places += [TopicPartition(topic, partition) for partition in sorted(partitions)]
        self._consumer.assign(places)
        self._consumer.seek_to_beginning(*places)
        end = self._consumer.end_offsets(places)
        until = time.monotonic() + READ_SECONDS
        while any(self._consumer.position(place) < end[place] for place in places):
            if self._poll():
                until = time.monotonic() + READ_SECONDS
            elif time.monotonic() > until:
                names = f"{topics.versions}, {topics.decisions}"
                raise KafkaUnusable(f"topics {names}: cannot be read to their ends: is Kafka well?", is_lasting=False)

    def close(self) -> None:
        """Read no more."""
        self._stop.set()
        self._thread.join()
        self._consumer.close()

    def check(self) -> None:
        """Raise what ended the reading, if something did."""
        if self._failure is not None:
            raise self._failure

    def newest(self, site: str, kind: str) -> tuple[int, str] | None:
        """Number and content of the newest version of a kind for a site; None where there is none."""
        return self._versions.get((site, kind))

    def decisions(self, site: str) -> list[Entry]:
        """What people decided at a site, in order."""
        return self._decisions.get(site, [])

    def _follow(self) -> None:
        try:
            while not self._stop.is_set():
                self._poll()
        except KafkaError as error:
            self._failure = meaning(self._settings, [error])
        except Exception as error:  # noqa: BLE001  it is raised where the worker looks
            self._failure = error

    def _poll(self) -> bool:
        """Take in what comes; whether something came."""
        found = self._consumer.poll(timeout_ms=POLL_MILLISECONDS)
        for messages in found.values():
            for message in messages:
                self._take(message.key, message.value, message.headers)
        return bool(found)

    def _take(self, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]] = ()) -> None:
        if any(name == UNREADABLE for name, _ in headers):
            # What there is of it has no key, and would be of all sites.
            self.refused += 1
            return
        if value is None:
            site, _, kind = (key or b"").decode(errors="replace").rpartition("/")
            self._versions.pop((site, kind), None)
            return
        try:
            rows = rows_of(value)
        except ValueError:
            self.refused += 1
            return
        named = (key or b"").decode(errors="replace")
        for row in rows:
            kind, content = row["kind"], row["content"]
            if content is None:
                self.refused += 1
            elif kind in {SITE, RULES}:
                self.number += 1
                self._versions[named.removesuffix(f"/{kind}"), kind] = self.number, content
            elif kind in {NORMAL, EXCEPTION} and (decision := parse(content)) is not None:
                self._decisions.setdefault(named, []).append(decision)
            else:
                self.refused += 1


class RuleVersions:
    """The rules of one site, as `RuleFiles` has those of files."""

    def __init__(self, published: Published, site: str) -> None:
        self._published = published
        self._site = site
        self._read = 0

    def newest(self) -> tuple[int, str] | None:
        """Number and content of the version that holds for the site: its own, or that of all sites."""
        return self._published.newest(self._site, RULES) or self._published.newest(ALL_SITES, RULES)

    def settled(self) -> bool:
        """Whether there is another than was read."""
        newest = self.newest()
        return (0 if newest is None else newest[0]) != self._read

    def read(self) -> Ruleset:
        """The version that holds for the site: the product's own where none is published. Raises RuleError where it is none."""
        newest = self.newest()
        if newest is None:
            self._read = 0
            return RuleFiles().read()
        self._read = newest[0]
        try:
            return Ruleset.from_text(newest[1])
        except ValueError as error:
            raise RuleError(f"version {_version(newest[1])}: not rules") from error


class SiteVersions:
    """The facts of one site, as `SiteFile` has those of a file."""

    def __init__(self, published: Published, site: str) -> None:
        self.path: Final = Path(site or "site")
        """What stands for a file in alerts about it."""
        self.changed = 0
        self._published = published
        self._site = site
        self._read = 0

    def settled(self) -> bool:
        """Whether there are others than were read."""
        newest = self._published.newest(self._site, SITE)
        return newest is not None and newest[0] != self._read

    def read(self) -> Site:
        """The newest facts. Raises SiteError where they are none; LookupError where there are none."""
        newest = self._published.newest(self._site, SITE)
        if newest is None:
            raise LookupError(self._site)
        self._read = newest[0]
        try:
            return Site.model_validate_json(newest[1])
        except ValueError as error:
            raise SiteError(f"version {_version(newest[1])}: {' '.join(str(error).split())}") from error


class DecisionsOf:
    """The decisions of one site that wait, as `Inbox` has those of a folder."""

    def __init__(self, published: Published, site: str) -> None:
        self._published = published
        self._site = site
        self._taken = 0

    def waiting(self) -> list[tuple[Path, Entry | None]]:
        """Decisions that were not taken up, oldest first; after a restart all: those that were are known by their ids."""
        waiting = self._published.decisions(self._site)[self._taken : self._taken + WAITING]
        return [(Path(decision.id), decision) for decision in waiting]

    def refuse(self, path: Path) -> None:
        """Nothing that waits is no decision."""
        del path

    def done(self, path: Path) -> None:
        """The first that waits is taken up."""
        del path
        self._taken += 1


def _version(content: str) -> str:
    """What a version that cannot be read is called: alike on all workers, for it is in alerts and part of what they are."""
    return hashlib.blake2b(content.encode(), digest_size=VERSION_BYTES).hexdigest()


def publish_site(settings: KafkaSettings, topics: Topics, site: Site) -> None:
    """Publish the facts of a site; durable on return. Raises SiteError where they name none that there can be, KafkaUnusable."""
    if told := fault(site.site):
        raise SiteError(f"site: the name {told}: facts are published for the site that they name")
    content = encode(time.time_ns(), SITE, site.to_text(), version=site.version)
    _send(settings, topics.versions, f"{site.site}/{SITE}", content)


def publish_rules(settings: KafkaSettings, topics: Topics, ruleset: Ruleset, site: str = ALL_SITES) -> None:
    """Publish the rules of a site, or of all that have none of their own; durable on return."""
    value = encode(time.time_ns(), RULES, ruleset.to_text(), version=ruleset.version)
    _send(settings, topics.versions, f"{site}/{RULES}", value)


def withdraw_rules(settings: KafkaSettings, topics: Topics, site: str = ALL_SITES) -> None:
    """Publish that a site, or all that have none of their own, have no published rules any more; durable on return."""
    _send(settings, topics.versions, f"{site}/{RULES}", None)


def publish_decision(settings: KafkaSettings, topics: Topics, site: str, decision: Entry) -> None:
    """Publish what a person decided at a site; durable on return."""
    kind = EXCEPTION if isinstance(decision, Change) else NORMAL
    _send(settings, topics.decisions, site, encode(time.time_ns(), kind, decision.to_json(), version=decision.id))


def _send(settings: KafkaSettings, topic: str, key: str, value: bytes | None) -> None:
    """Put a message into a topic; durable on return. Raises KafkaUnusable."""
    producer = OrderedProducer(settings, "icsight-publish", settings.largest_message_bytes)
    try:
        seconds = settings.delivery_timeout_seconds
        if not (producer.send(topic, Message(key.encode(), value, []), seconds) and producer.wait(seconds)):
            raise KafkaUnusable(f"{settings.bootstrap}: the brokers did not take it: try again", is_lasting=False)
    except MessageTooLarge as error:
        raise KafkaUnusable(f"topic {topic}: {error}") from error
    finally:
        producer.close()
