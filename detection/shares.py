"""Shares and tellers of sites that are split, on the workers of detection: topic `shares`, which they read and write.

Each partition is one share of every site that is split, and the partition of some of their tellers. What a message led to is sent
in the transaction that says that it was read, as with records (`scaleout`).
"""

# Quix Streams' own annotations are partial.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

import logging
import time
import zlib
from typing import TYPE_CHECKING, Any, Final, cast
from zipfile import BadZipFile

from confluent_kafka import KafkaException, TopicPartition

from collector.records import Undecodable
from detection.assigned import Assigned
from detection.changelog import ChangelogCheckpoints, shares_changelog_of
from detection.checkpoint import CheckpointError
from detection.loop import GATHERED_BYTES
from detection.metrics import UNTOLD_CUTS, UNTOLD_SECONDS
from detection.parcels import SHARE, TELLER, LostError, Parcel
from detection.pipeline import STEP_ROWS
from detection.share_loop import ShareLoop
from detection.sigma.rule import RuleError
from detection.teller_loop import TellerLoop
from sensor import kafka_message
from sensor.metrics import Reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sensor.topics import Topics

_log: Final = logging.getLogger(__name__)

CONSUMER: Final = "shares"
"""Name in metrics of who reads shares."""

AHEAD: Final = 50_000
"""Messages of shares that wait in the topic; while there are more, no records of sites that are split are taken."""

STILL_SECONDS: Final = 60.0
"""A partition of shares of which nothing was worked off for so long, twice what a commit may take, keeps no records waiting:
it may be halted, or what waits be what transactions left that came to nothing, which nobody gets past until a message comes.
What waits in it then is bounded where it is told (`teller_loop.CUTS`)."""

ASKED_SECONDS: Final = 5.0
"""How often brokers are asked how many wait."""

ANSWER_SECONDS: Final = 1.0
"""How long they may take for each answer."""


_UNREAD: Final = (Undecodable, RuleError, LookupError, ValueError, TypeError, BadZipFile, zlib.error)
"""What comes of messages that no worker of this version sends."""


class Shares(Assigned[ShareLoop | TellerLoop]):
    """The shares and tellers that this worker has.

    Args:
        topics: names of the topics.
        number: how many shares a site has that is split from now on: the topic's partitions.
    """

    def __init__(self, topics: Topics, number: int) -> None:
        super().__init__(topics.shares, CONSUMER, marks=1)
        self.seconds = 0.0
        """Time that it took to make what was committed last."""
        self.number: Final = number
        """How many shares a site has that is split from now on."""
        self._topics: Final = topics
        self._gathered = 0
        self._asked = 0.0
        self._is_behind = False
        self._waiting_before = 0
        """Messages that waited when brokers said so last."""
        self._places: dict[int, tuple[int, float]] = {}
        """Of each partition how far it is worked off, and when that moved last."""

    def add(  # noqa: PLR0913, PLR0917 - Quix' own
        self, value: Any, key: Any, timestamp: int, headers: Any, topic: str, partition: int, offset: int,
    ) -> None:  # fmt: skip
        """Take a message in."""
        del timestamp, topic
        self._taken.hold(partition)
        if self._taken.is_halted(partition):
            return
        try:
            parcel = Parcel.of(partition, cast("bytes", key or b""), cast("bytes", value or b""), headers or ())
        except kafka_message.NewerMessage as error:
            self._taken.halt(partition, offset, str(error))
            return
        except kafka_message.MessageError:
            self.counters.damaged += 1
            return
        try:
            loop, unpacked = self._take(parcel)
        except CheckpointError as error:
            self._taken.halt(partition, offset, str(error))
            return
        except _UNREAD as error:
            # Without it what comes of the site would not be that of one worker: whoever can read it must look at it.
            self._taken.halt(partition, offset, f"no message that this program reads: {error!r}")
            return
        if parcel.kind == "batch":
            self.progress.did(parcel.header.cut_end)
        self._gathered += max(len(parcel.value), unpacked)
        if loop.gathered >= STEP_ROWS or self._gathered >= GATHERED_BYTES:
            self._detect()

    def _take(self, parcel: Parcel) -> tuple[ShareLoop | TellerLoop, int]:
        """Hand a message to its loop, which ends where what came before it is gone: no other site is to wait for it.

        Returns:
            The loop, and bytes of records, unpacked, that are whole with the message.

        Raises as `ShareLoop.take` and `TellerLoop.take`.
        """
        loop, unpacked = self._loop(parcel.partition, parcel.key), 0
        try:
            unpacked = loop.take(parcel)
        except LostError as error:
            reason = f"{self._topics.shares}/{parcel.partition}, {parcel.key.decode(errors='replace')}: {error}"
            _log.error("%s; nothing more is told of this site", reason)
            loop.end(reason)
        return loop, unpacked

    @property
    def lost(self) -> Sequence[str]:
        """Why sites are told of no more. Safe from any thread."""
        return [loop.lost for _, loop in self._mine() if loop.lost]

    @property
    def stuck(self) -> Sequence[str]:
        """Which shares and tellers stand still, and why. Safe from any thread."""
        return [
            f"{self._topics.shares}/{partition}, {name}: {loop.stuck}" for (partition, name), loop in self._mine() if loop.stuck
        ]

    @property
    def untold(self) -> dict[tuple[int, str], int]:
        """Cuts that wait at each teller, by its partition and key. Safe from any thread."""
        return {place: loop.untold for place, loop in self._mine() if isinstance(loop, TellerLoop)}

    def readings(self) -> Iterator[Reading]:
        """What waits to be told. Safe from any thread."""
        tellers = [loop for _, loop in self._mine() if isinstance(loop, TellerLoop)]
        yield Reading(UNTOLD_CUTS, sum(each.untold for each in tellers))
        yield Reading(UNTOLD_SECONDS, max((each.untold_seconds for each in tellers), default=0.0))

    def _mine(self) -> list[tuple[tuple[int, str], ShareLoop | TellerLoop]]:
        """The loops of the partitions that this worker has; nothing is forgotten. Safe from any thread."""
        owners = self._owners()
        return [(place, loop) for place, (owner, loop) in list(self._loops.items()) if owner is owners.get(place[0])]

    def flush(self) -> None:
        """Look at what has gathered, and put what comes of it into the transaction that is about to be committed.

        Raises:
            KafkaUnusable: what is to be committed was taken from partitions that others have by now, or it took too long.
        """
        within = self._committing()
        self._detect()
        began = time.monotonic()
        for (partition, name), loop in self._live():
            if loop.changed:
                within()
                self._taken.hold(partition)
                if isinstance(loop, TellerLoop):
                    self.publish(loop.take_told())
                self.send(loop.take_sent())
                loop.write(self._checkpoints(partition, name))
        self.seconds = time.monotonic() - began

    def publish(self, batches: Iterable[Any]) -> None:
        """Put batches of alerts into the transaction that goes on."""
        producer = self._frame.processing_context.producer
        for batch in batches:
            message = kafka_message.encode(batch.header, batch.data)
            producer.produce(topic=self._topics.alerts, key=message.key, value=message.value, headers=message.headers)

    def send(self, parcels: Iterable[Parcel]) -> None:
        """Put messages to shares and tellers into the transaction that goes on."""
        producer = self._frame.processing_context.producer
        for each in parcels:
            producer.produce(
                topic=self._topics.shares, partition=each.partition, key=each.key, value=each.value, headers=each.headers
            )

    @property
    def is_behind(self) -> bool:
        """Whether more waits than may, as of at most `ASKED_SECONDS` ago."""
        if time.monotonic() - self._asked >= ASKED_SECONDS:
            self._is_behind = self._waiting() > AHEAD
            self._asked = time.monotonic()
        return self._is_behind

    def _waiting(self) -> int:
        """Messages of the topic that are not worked off, in partitions that move; as many as before where brokers do not say."""
        consumer = self._frame.processing_context.consumer
        waiting, now = 0, time.monotonic()
        try:
            places = [TopicPartition(self._topics.shares, partition) for partition in range(self.number)]
            for place in consumer.committed(places, timeout=ANSWER_SECONDS):
                ends = consumer.get_watermark_offsets(place, timeout=ANSWER_SECONDS)
                if place.error is not None or ends is None:
                    # Brokers do not say of this one.
                    return self._waiting_before
                first, end = ends
                at = max(first, place.offset)
                before, moved = self._places.get(place.partition, (at, now))
                left = max(0, end - at - self._marks)
                if at != before or not left:
                    moved = now
                self._places[place.partition] = at, moved
                waiting += left if now - moved <= STILL_SECONDS else 0
        except KafkaException:
            return self._waiting_before
        self._waiting_before = waiting
        return waiting

    def _detect(self) -> None:
        self._gathered = 0
        for _, loop in self._live():
            if loop.changed:
                loop.detect()

    def _loop(self, partition: int, key: bytes) -> ShareLoop | TellerLoop:
        """A share or a teller as it was when the last transaction was committed, and what came since."""
        name = key.decode(errors="replace")
        held = self._held(partition, name)
        if held is not None:
            return held
        checkpoints = self._checkpoints(partition, name)
        if key.startswith(SHARE):
            return self._hold(partition, name, ShareLoop(partition, checkpoints))
        return self._hold(partition, name, TellerLoop(name.removeprefix(TELLER.decode()), checkpoints))

    def _checkpoints(self, partition: int, name: str) -> ChangelogCheckpoints:
        """What is remembered of a share or a teller, within the transaction that goes on."""
        state = self._state(partition, name.encode())
        return ChangelogCheckpoints(state, f"{shares_changelog_of(self._topics.prefix)}, {name!r}")
