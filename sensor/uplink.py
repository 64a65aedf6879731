"""The uplink: ships a sensor's spool to Kafka, batch by batch, in order, and remembers what the brokers have.

The spool is the buffer: what cannot be shipped waits there, up to its quota. The position kept beside it moves only behind
batches that the brokers have acknowledged together with all before them; after a crash or a failed producer shipping goes on from
there, and consumers drop what they get twice.

A sensor's batches keep their order, since consumers tell a repeat by its sequence. So after an outage a sensor's own backlog goes
before its live batches, but at a pace, which leaves the brokers and the link to the live batches of other sensors.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from sensor import tracing
from sensor.kafka_client import KafkaUnusable, probe, shown
from sensor.kafka_message import MessageError, check_names, encode
from sensor.kafka_producer import MessageTooLarge, OrderedProducer
from sensor.logs import identity
from sensor.spool_files import IDENTITY, Identity, read_identity
from sensor.spool_format import DamagedFrame, SpooledBatch, SpoolError
from sensor.spool_positions import keep_position, read_position
from sensor.spool_reader import SpoolReader
from sensor.topics import Topics, plain
from sensor.uplink_pace import Arrivals, Pace

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sensor.kafka_settings import KafkaSettings
    from sensor.spool_format import BatchHeader
    from sensor.uplink_settings import UplinkSettings

_log: Final = logging.getLogger(__name__)

NAME: Final = "uplink"
"""Name of the uplink among the consumers of the spool."""

MIB: Final = 1024 * 1024

POLL_SECONDS: Final = 0.25
"""How long anything is waited for before looking whether to stop, and whether the producer has failed."""

TELL_SECONDS: Final = 0.2
"""How often the counters are brought up to date."""

FIRST_RETRY_SECONDS: Final = 0.5
"""Longest wait before the first new try; it doubles with each."""

READ_BATCHES: Final = 256
"""Batches that are read in one go, between two looks at what has arrived."""


@dataclass(slots=True)
class UplinkCounters:
    """What the uplink has done since it started, and how it is.

    Attributes:
        batches: batches that the brokers have acknowledged.
        bytes: their bytes, as messages.
        repeats: batches that were sent again after a producer had failed.
        retries: times that a producer failed or could not be had.
        paced_seconds: time that backlog was held back for the pace.
        missing: batches that the spool had removed before they could be shipped.
        damaged: places in the spool that could not be read.
        refused: batches that are larger than a message may be.
        in_flight_bytes: bytes sent and not acknowledged.
        lag_batches: batches in the spool that are not acknowledged.
        lag_seconds: how long the oldest of them has been seen to wait.
        connected: whether there is a producer that has not failed.
        trouble: why there is none, in one line.
    """

    batches: int = 0
    bytes: int = 0
    repeats: int = 0
    retries: int = 0
    paced_seconds: float = 0.0
    missing: int = 0
    damaged: int = 0
    refused: int = 0
    in_flight_bytes: int = 0
    lag_batches: int = 0
    lag_seconds: float = 0.0
    connected: bool = False
    trouble: str = ""


class Uplink:
    """Ships one spool. `run` is called by one thread; `counters` may be read by any.

    Args:
        folder: folder of the spool; its writer may run or not.
        kafka: how Kafka is reached.
        settings: bounds.
        say: is called with one line when shipping stops and when it goes on, and for what could not be shipped.

    Raises:
        SpoolError: there is no spool.
    """

    def __init__(
        self, folder: Path, kafka: KafkaSettings, settings: UplinkSettings, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self.counters: Final = UplinkCounters()
        self.folder: Final = folder
        self._kafka: Final = kafka
        self.settings = settings
        self._say: Final = say
        self._topic: Final = Topics(kafka.prefix).records
        self._identity = self._read_identity()
        self._reader: Final = SpoolReader(folder)
        self._arrivals = Arrivals()
        self._pace = Pace(settings.catch_up_mib_per_second * MIB)
        self._position = self._kept = self._read_position()
        self._kept_at = time.monotonic()
        self._is_unkept = False
        """Whether the position could not be kept when that was tried last."""
        self._told_at = -TELL_SECONDS
        self._sent_to = self._position
        self._pending: Final[deque[tuple[int, int, BatchHeader, int]]] = deque()  # number, bytes, header, when it was sent
        self._taken = 0
        self._skip_to = 0
        self._next_try = FIRST_RETRY_SECONDS

    @property
    def sensor(self) -> str:
        """Name of the sensor whose spool it is."""
        return self._identity.sensor

    @property
    def site(self) -> str:
        """Name of its site; empty where it has none."""
        return self._identity.site

    @property
    def epoch(self) -> str:
        """Epoch of the spool."""
        return self._identity.epoch

    @property
    def position(self) -> int:
        """Number before which all that the spool holds has been acknowledged."""
        return self._position

    def adjust(self, settings: UplinkSettings) -> None:
        """Go on with other bounds; that of what is under way holds from the next producer on. Called by any thread."""
        self.settings = settings
        self._pace = Pace(settings.catch_up_mib_per_second * MIB)

    def run(self, stop: threading.Event) -> None:
        """Ship until `stop` is set, whatever happens to brokers. Raises SpoolError where the spool cannot be read, OSError."""
        try:
            while not stop.is_set():
                try:
                    self._ship(stop)
                except KafkaUnusable as error:
                    self._wait_for_brokers(error, stop)
        finally:
            self._reader.close()
            self._keep()
            self._tell()

    # Shipping

    def _ship(self, stop: threading.Event) -> None:
        """Ship with one producer, until it fails, its certificate or the spool is replaced, or `stop` is set.

        Raises KafkaUnusable, SpoolError, OSError.
        """
        self._follow_identity()
        certificate = shown(self._kafka)
        # What is wrong is told by this, in one line: a producer only runs out of time.
        probe(self._kafka, [self._topic])
        producer = OrderedProducer(
            self._kafka, f"icsight-uplink-{plain(self._identity.sensor)}", self.settings.in_flight_mib * MIB
        )
        try:
            self._pending.clear()
            self._taken = 0
            number = self._position
            self._tell(producer)
            while not stop.is_set() and not self._is_replaced() and shown(self._kafka) == certificate:
                for batch in self._read(number):
                    # Looked at behind each read: a batch of another numbering must not go before those that are before it.
                    if self._is_replaced() or not self._send(producer, batch, number, stop):
                        break
                    number = batch.number + 1
                number = max(number, self._skip_to)
                self._take_in(producer)
                producer.check()
                self._reader.wait(number, POLL_SECONDS)
            producer.wait(self.settings.stop_seconds)
        finally:
            # Also what arrived before a failure has arrived.
            self._take_in(producer)
            producer.close()
            self.counters.connected = False

    def _read(self, number: int) -> Iterator[SpooledBatch]:
        """The next batches. What is damaged is passed over, and told: consumers see that it is missing."""
        self._skip_to = 0
        try:
            yield from self._reader.read(number, READ_BATCHES)
        except DamagedFrame as damage:
            self.counters.damaged += 1
            self._say(str(damage))
            self._skip_to = damage.resume

    def _send(self, producer: OrderedProducer, batch: SpooledBatch, expected: int, stop: threading.Event) -> bool:
        """Send a batch as soon as there is room and it is its turn; False where `stop` came before."""
        if batch.number > expected >= self._sent_to:
            self.counters.missing += batch.number - expected
        try:
            check_names(batch.header)
            message = encode(batch.header, batch.data)
            size = message.size
            if self._arrivals.is_backlog(batch.number, time.monotonic()):
                self._hold_back(producer, size, stop)
            while not producer.send(self._topic, message, POLL_SECONDS):
                self._take_in(producer)
                if stop.is_set():
                    return False
        except (MessageTooLarge, MessageError) as error:
            header = batch.header
            self.counters.refused += 1
            self._say(f"batch {header.sensor}/{header.epoch}/{header.sequence} cannot be shipped: {error}")
            return True
        self._pending.append((batch.number, size, batch.header, time.time_ns()))
        if batch.number < self._sent_to:
            self.counters.repeats += 1
        self._sent_to = max(self._sent_to, batch.number + 1)
        self._take_in(producer)
        return True

    def _hold_back(self, producer: OrderedProducer, size: int, stop: threading.Event) -> None:
        """Wait until the pace lets so many bytes of backlog pass."""
        batches, sent = max(1, self.counters.batches), self.counters.bytes
        delay = self._pace.delay(size, 2 * self._arrivals.batches_per_second * sent / batches)
        self.counters.paced_seconds += delay
        until = time.monotonic() + delay
        while (left := until - time.monotonic()) > 0 and not stop.wait(min(left, POLL_SECONDS)):
            self._take_in(producer)
            producer.check()

    # What has arrived

    def _take_in(self, producer: OrderedProducer) -> None:
        """Move the position behind what has been acknowledged, and keep it from time to time."""
        acknowledged = producer.acknowledged
        while self._taken < acknowledged:
            number, size, header, sent_ns = self._pending.popleft()
            tracing.record("ship", [header], sent_ns)
            if _log.isEnabledFor(logging.DEBUG):
                _log.debug("shipped", extra={"batch": identity(header)})
            self._taken += 1
            self._position = number + 1
            self.counters.batches += 1
            self.counters.bytes += size
            self._next_try = FIRST_RETRY_SECONDS
        now = time.monotonic()
        if now - self._told_at >= TELL_SECONDS:
            self._told_at = now
            self._tell(producer)
        if now - self._kept_at >= self.settings.position_seconds:
            self._keep()

    def _tell(self, producer: OrderedProducer | None = None) -> None:
        """Bring the counters up to date."""
        end = self._reader.end
        now = time.monotonic()
        self._arrivals.see(end, now)
        counters = self.counters
        counters.lag_batches = max(0, end - self._position)
        counters.lag_seconds = self._arrivals.age(self._position, now) if counters.lag_batches else 0.0
        counters.in_flight_bytes = producer.in_flight_bytes if producer else 0
        if producer and not counters.connected:
            if counters.trouble:
                self._say(f"shipping to {self._kafka.bootstrap} again, {counters.lag_batches:,} batches behind")
            counters.connected, counters.trouble = True, ""

    def _keep(self) -> None:
        """Put the position on the disk, and how the uplink is beside it; where that takes nothing, say so and go on.

        To ship is what makes room there again; a position that is older than it could be costs repeats after a crash, no more.
        """
        self._kept_at = time.monotonic()
        try:
            if self._position != self._kept:
                keep_position(self.folder, NAME, self._position, self._identity.epoch)
                self._kept = self._position
            # For people and collectors of metrics: not flushed, it is out of date after a crash anyway.
            state = self.folder.parent / f"{NAME}.json"
            draft = state.with_suffix(".draft")
            draft.write_text(json.dumps({**asdict(self.counters), "position": self._position, "at": time.time()}, indent=1))
            draft.replace(state)
        except OSError as error:
            if not self._is_unkept:
                self._say(f"{self.folder}: the position cannot be kept ({error.strerror or error}); shipping goes on")
            self._is_unkept = True
        else:
            self._is_unkept = False

    def _wait_for_brokers(self, error: KafkaUnusable, stop: threading.Event) -> None:
        """Wait before the next try: longer each time, and never all sensors at once."""
        counters = self.counters
        counters.retries += 1
        self._tell()
        if str(error) != counters.trouble:
            counters.trouble = str(error)
            self._say(f"{error}; {counters.lag_batches:,} batches wait in the spool")
        self._keep()
        # Up to the bound at random: what failed at the same moment must not come back at the same moment.
        stop.wait(random.uniform(0, self._next_try))  # noqa: S311 - no secret
        self._next_try = min(self.settings.retry_seconds, 2 * self._next_try)

    # The spool

    def _read_identity(self) -> Identity:
        """Who writes the spool. Which file says so is remembered before it is read: one that comes meanwhile is then seen."""
        self._identity_file = self._look_for_identity()
        return read_identity(self.folder, "", "")

    def _look_for_identity(self) -> tuple[int, int]:
        """Which file says who writes the spool. Raises SpoolError, OSError."""
        try:
            found = (self.folder / IDENTITY).stat()
        except FileNotFoundError:
            raise SpoolError(
                f"{self.folder}: there is no spool: start `icsight sensor run` with this data folder first"
            ) from None
        return found.st_ino, found.st_mtime_ns

    def _is_replaced(self) -> bool:
        """Whether the spool may have been numbered anew. Its writer says so before it writes the first batch."""
        return self._look_for_identity() != self._identity_file

    def _follow_identity(self) -> None:
        """Where the spool goes on under another epoch, begin anew with all that it holds.

        It has lost batches that were shipped, or is another: its numbers say nothing of where shipping was, even where they are
        higher. Nothing is under way here that could still move the position.
        """
        if not self._is_replaced():
            return
        epoch = self.epoch
        self._identity = self._read_identity()
        if self.epoch == epoch:
            return
        self._say(f"{self.folder}: the spool goes on as another (epoch {self.epoch}): all that it holds is shipped")
        self._reader.close()
        self._arrivals = Arrivals()
        self._position = self._sent_to = 0
        # Also the same number is to be kept again: under the name of this epoch.
        self._kept = -1

    def _read_position(self) -> int:
        try:
            number = read_position(self.folder, NAME, self._identity.epoch)
        except ValueError as error:
            raise SpoolError(f"{self.folder}: {error}: remove positions/{NAME}.json to ship all again") from error
        if number > self._reader.end:
            # After a power cut the spool may show less than it holds until its writer opens it.
            self._say(f"{self.folder}: the spool ends before what was shipped: waiting for its writer")
        return number
