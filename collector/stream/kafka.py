"""`KafkaStream`: a stream that is a topic.

A batch is a message (`sensor.kafka_message`); its partition follows from its site, so that a sensor's batches keep their order.
What was published within a transaction is seen once that has been committed, and never if it was aborted.

Where a consumer stands is kept with Kafka's own offsets of its group: for each partition the offset, and beside it, in the
offset's metadata, the highest sequence of each run that was met there, as far as that fits. A consumer reads all partitions; or,
as a member of its group, those that the group gives it, and then others read the rest.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
import zlib
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self, cast

from kafka import errors
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.structs import OffsetAndMetadata, TopicPartition

from collector.stream import NOWHERE, Consumer, DamagedBatch, Delivery, Gap, NewerBatch, Outgoing, Position, StreamError
from collector.stream.standing import Standing
from sensor import kafka_reading
from sensor.configuration import ConfigurationError
from sensor.kafka_client import KafkaUnusable, probe
from sensor.kafka_message import MessageError, NewerMessage, decode, encode
from sensor.kafka_producer import MessageTooLarge, OrderedProducer
from sensor.kafka_reading import BrokenLog

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

    from sensor.kafka_settings import KafkaSettings
    from sensor.spool_format import BatchHeader, Run

IN_FLIGHT_BYTES: Final = 32 * 1024 * 1024
"""Most bytes of batches that are published and not acknowledged."""

POLL_RECORDS: Final = 256
"""Messages that are taken from the library before they are asked for."""

LOOK_RECORDS: Final = 16
"""Most of them that come at once: so many may be beyond the bytes that may wait."""

FETCH_BYTES: Final = 50 * 1024**2
"""Most bytes that are fetched of a broker at once, where no fewer may wait."""

BROKEN_SECONDS: Final = 10.0
"""After so long what a broker could not give undamaged is asked for again."""

SILENCE_SECONDS: Final = 60.0
"""How often is looked whether partitions are read of which there is more. One that has not moved between two is read anew."""

METADATA_BYTES: Final = 4_000
"""Most bytes of an offset's metadata: brokers take 4,096 (offset.metadata.max.bytes)."""

PACKED_RUNS: Final = 1_024
"""Most runs of which that tells: more than have room there, few enough to be packed again and again until they have."""

SESSION_SECONDS: Final = 45.0
"""After so long without a sign of life a member's partitions go to others; one that comes back before keeps them."""

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class KafkaStream:
    """The batches of one topic as a `collector.stream.Stream`.

    Args:
        settings: how Kafka is reached.
        topic: name of the topic. It must be there: `icsight kafka apply` makes it.
        member: name of this process among the members of its consumers' groups, for ever the same; its partitions wait for it
            while it is started anew. None: a consumer reads all partitions.
    """

    def __init__(self, settings: KafkaSettings, topic: str, *, member: str | None = None) -> None:
        self.settings: Final = settings
        self.topic: Final = topic
        self.member: Final = member
        self._turn = threading.Lock()
        self._producer: OrderedProducer | None = None
        self._scanned: dict[int, int] = {}
        self._highest: dict[Run, int] = {}

    def publish(self, batches: Iterable[Outgoing]) -> int:
        """As `Stream.publish`. One process publishes the batches of a run."""
        with self._turn:
            self._scan()
            try:
                return self._publish(batches)
            except (KafkaUnusable, MessageTooLarge, MessageError) as error:
                # Nobody knows what of it arrived: the topic is asked anew.
                self._let_go()
                raise StreamError(f"{self.topic}: {error}") from error

    def highest(self, sensor: str, epoch: str) -> int | None:
        """As `Stream.highest`. Reads what has come into the topic since it was last asked."""
        with self._turn:
            self._scan()
            return self._highest.get((sensor, epoch))

    def subscribe(self, consumer: str, start: Position | None = None) -> Consumer:
        """As `Stream.subscribe`. A member of a group goes on where the group stands; `start` tells it what it has had."""
        if not _NAME.fullmatch(consumer):
            raise StreamError(f"{consumer!r} is no name for a consumer: use 1 to 64 letters, digits, '-' and '_'")
        return StreamConsumer(self, consumer, start)

    def end(self) -> Position:
        """As `Stream.end`; it tells of the runs as far as this object has read the topic or published to it."""
        client = self.client()
        try:
            ends = self.ends(client)
        finally:
            client.close(autocommit=False)
        return Position({str(partition): offset for partition, offset in ends.items()}, dict(self._highest))

    def close(self) -> None:
        """Let go of Kafka."""
        with self._turn:
            self._let_go()

    def client(self, **options: Any) -> Any:
        """A consumer of the library, which sees what is committed. Raises StreamError where Kafka or the topic cannot be used."""
        try:
            probe(self.settings, [self.topic])
            return kafka_reading.consumer(
                self.settings,
                auto_offset_reset="earliest",
                isolation_level="read_committed",
                fetch_max_bytes=min(FETCH_BYTES, self.settings.waiting_bytes),
                max_partition_fetch_bytes=self.settings.largest_message_bytes,
                allow_auto_create_topics=False,
                **options,
            )
        except (KafkaUnusable, ConfigurationError) as error:
            raise StreamError(str(error)) from error
        except errors.KafkaError as error:
            raise StreamError(f"{self.topic}: {error}") from error

    def partitions(self, client: Any) -> list[TopicPartition]:
        """The topic's partitions in order. Raises StreamError."""
        found = cast("set[int] | None", client.partitions_for_topic(self.topic))
        if not found:
            raise StreamError(f"topic {self.topic}: its partitions are not known: is Kafka well?")
        return [TopicPartition(self.topic, partition) for partition in sorted(found)]

    def ends(self, client: Any, seconds: float | None = None) -> dict[int, int]:
        """Offset behind the last committed message by partition, asked for no longer than that. Raises StreamError."""
        try:
            ends = client.end_offsets(self.partitions(client), timeout_ms=None if seconds is None else int(seconds * 1000))
        except errors.KafkaError as error:
            raise StreamError(f"topic {self.topic}: {error}") from error
        return {place.partition: int(offset) for place, offset in ends.items()}

    def _publish(self, batches: Iterable[Outgoing]) -> int:
        new = 0
        seconds = self.settings.delivery_timeout_seconds
        for batch in batches:
            run, sequence = batch.header.run, batch.header.sequence
            expected = self._highest.get(run, -1) + 1
            if sequence < expected:
                continue
            if sequence > expected:
                raise StreamError(f"{self.topic}: batch {sequence} of {'/'.join(run)} does not follow {expected - 1}")
            if self._producer is None:
                self._producer = OrderedProducer(self.settings, "icsight", IN_FLIGHT_BYTES)
            if not self._producer.send(self.topic, encode(batch.header, batch.data), seconds):
                raise KafkaUnusable(f"takes nothing for {seconds:.0f} s", is_lasting=False)
            self._highest[run] = sequence
            new += 1
        if self._producer is not None and not self._producer.wait(seconds):
            raise KafkaUnusable(f"acknowledges nothing for {seconds:.0f} s", is_lasting=False)
        return new

    def _scan(self) -> None:
        """Take in the runs of what has come since the last look. Raises StreamError."""
        if self._producer is not None:
            return
        client = self.client()
        try:
            ends = self.ends(client)
            places = self.partitions(client)
            client.assign(places)
            for place in places:
                client.seek(place, self._scanned.get(place.partition, 0))
            until = time.monotonic() + self.settings.delivery_timeout_seconds
            left = {place for place in places if client.position(place) < ends[place.partition]}
            while left:
                if time.monotonic() > until:
                    raise StreamError(f"topic {self.topic}: cannot be read to its end: is Kafka well?")
                for records in client.poll(timeout_ms=200).values():
                    until = time.monotonic() + self.settings.delivery_timeout_seconds
                    for record in records:
                        try:
                            header = decode(record.headers)
                        except NewerMessage as error:
                            # What a run ends with cannot be known: going on could give a number twice.
                            raise NewerBatch(f"{record.topic}/{record.partition}/{record.offset}: {error}") from error
                        except MessageError:
                            continue
                        self._highest[header.run] = max(header.sequence, self._highest.get(header.run, -1))
                left = {place for place in left if client.position(place) < ends[place.partition]}
            self._scanned = {place.partition: int(client.position(place)) for place in places}
        except errors.KafkaError as error:
            raise StreamError(f"topic {self.topic}: {error}") from error
        finally:
            client.close(autocommit=False)

    def _let_go(self) -> None:
        if self._producer is not None:
            self._producer.close()
            self._producer = None
        self._scanned, self._highest = {}, {}


@dataclass(slots=True)
class _Halt:
    """A partition of which nothing more is read for now."""

    reason: str
    until: float | None
    """When it is tried again; None: never, by this program."""
    paused: bool = True
    """Whether it is not being tried just now."""


class StreamConsumer:
    """One reader of a `KafkaStream`: of all its partitions, or of those that its group gives it.

    Raises StreamError where Kafka, the topic or the start cannot be used.
    """

    def __init__(self, stream: KafkaStream, name: str, start: Position | None) -> None:
        self._stream = stream
        self._standing = Standing(Position() if start is None else Position({}, start.seen, start.homes))
        self._waiting: deque[Any] = deque()
        self._halts: dict[int, _Halt] = {}
        self._given: list[TopicPartition] = []
        self._had: dict[int, dict[Run, int]] = {}
        """Highest sequence of each run by partition. A run whose site changed its partition, when these became more, lies in two:
        what waits in the one is not had because what comes later was read in the other."""
        self._look_at = time.monotonic() + SILENCE_SECONDS
        self._unread: dict[int, int] = {}
        """Partitions of which there was more at the last look, each with its next offset then."""
        self._start: Final = start or Position()
        self._whole: set[int] = set()
        """Partitions that are read from their beginning: what is missing there before the first batch of a run is a gap."""
        self._known: set[Run] = set() if stream.member is not None else set(self._standing.seen)
        """Runs of which is known what came before; of a member, what is kept with the offsets of the partitions that it is given:
        what it was told at its start is old by then, of runs that others have read since."""
        group = f"{stream.topic}-{name}"
        if stream.member is None:
            self._client = stream.client(group_id=group)
            self._take_all(start)
        else:
            self._client = stream.client(
                group_id=group, group_instance_id=stream.member, client_id=stream.member,
                session_timeout_ms=int(SESSION_SECONDS * 1000), max_poll_interval_ms=600_000, max_poll_records=POLL_RECORDS,
            )  # fmt: skip
            self._client.subscribe([stream.topic], listener=_Assigned(self))

    @property
    def position(self) -> Position:
        """As `Consumer.position`; of a member of a group, of the partitions that it has."""
        return self._standing.position

    @property
    def ends(self) -> Mapping[str, int]:
        """As `Consumer.ends`: as the broker said with the messages that it sent last."""
        known = {place.partition: self._client.highwater(place) for place in self._client.assignment()}
        return {str(partition): max(end or 0, self._offset(partition)) for partition, end in known.items()}

    @property
    def halted(self) -> Mapping[str, str]:
        """As `Consumer.halted`."""
        return {str(partition): halt.reason for partition, halt in self._halts.items()}

    def poll(self, timeout_seconds: float, max_batches: int = 256, max_bytes: int = 64 * 1024 * 1024) -> Sequence[Delivery]:
        """As `Consumer.poll`. With no time to wait it returns nothing only where all that is there now has been read."""
        until = time.monotonic() + timeout_seconds
        while True:
            if self._given or not self._waiting:
                self._fetch(max(0.0, until - time.monotonic()) if timeout_seconds else 0)
            if not self._waiting:
                return []
            deliveries = self._next(max_batches, max_bytes)
            # All of it may have been had before, or be for a newer program.
            if deliveries or (timeout_seconds and time.monotonic() >= until):
                return deliveries

    def _next(self, max_batches: int, max_bytes: int) -> Sequence[Delivery]:
        """The next batches of what waits. Raises DamagedBatch."""
        deliveries: list[Delivery] = []
        size = 0
        while self._waiting and len(deliveries) < max_batches and size < max_bytes:
            record = self._waiting[0]
            place = f"{record.topic}/{record.partition}/{record.offset}"
            try:
                header = _header(record)
            except NewerMessage as error:
                self._leave_for_newer(record, f"{place}: {error}")
                continue
            except MessageError as error:
                if deliveries:
                    break
                self._waiting.popleft()
                self._standing.move(str(record.partition), record.offset + 1)
                raise DamagedBatch(f"{place}: {error}", header=None, data=record.value or b"", position=self.position) from error
            self._waiting.popleft()
            self._standing.move(str(record.partition), record.offset + 1)
            delivery = self._deliver(record, header)
            if delivery is not None:
                deliveries.append(delivery)
                size += len(delivery.data)
        return deliveries

    def commit(self, position: Position) -> None:
        """As `Consumer.commit`."""
        here: dict[str, dict[Run, int]] = {}
        for run, home in self._standing.homes.items():
            if home == NOWHERE:
                continue
            # Of a run that lies in several, what is kept must be true of this partition.
            is_highest = self._had.get(int(home), {}).get(run, -1) == self._standing.seen.get(run, -1)
            if is_highest and (sequence := position.seen.get(run)) is not None:
                here.setdefault(home, {})[run] = sequence
        offsets = {
            TopicPartition(self._stream.topic, int(partition)): OffsetAndMetadata(offset, _packed(here.get(partition, {})), -1)
            for partition, offset in position.offsets.items()
        }
        if not offsets:
            return
        try:
            self._client.commit(offsets, timeout_ms=int(self._stream.settings.connect_seconds * 1000))
        except errors.KafkaError as error:
            raise StreamError(
                f"topic {self._stream.topic}: the position is not kept ({type(error).__name__}: {error})"
            ) from error

    def close(self) -> None:
        """As `Consumer.close`. A member that is started anew before its session ends finds its partitions again."""
        self._client.close(autocommit=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # Taking in

    def _fetch(self, timeout_seconds: float) -> None:
        """Wait for messages. Raises StreamError."""
        until = time.monotonic() + timeout_seconds
        patience = time.monotonic() + self._stream.settings.connect_seconds
        try:
            self._look_for_partitions()
            self._look_for_silence()
            self._forget()
            self._settle()
            while not self._waiting:
                self._try_again()
                left = max(0.0, until - time.monotonic())
                self._take_in(max(left, 0.02))
                self._settle()
                if self._waiting:
                    return
                self._pass_markers()
                if time.monotonic() < until:
                    continue
                if timeout_seconds or time.monotonic() > patience or self._is_at_end():
                    return
        except errors.KafkaError as error:
            raise StreamError(f"topic {self._stream.topic}: {type(error).__name__}: {error}") from error

    def _take_in(self, wait_seconds: float) -> None:
        """Take what is there from the library, no more than may wait. Raises KafkaError."""
        size, room = 0, self._stream.settings.waiting_bytes
        while len(self._waiting) < POLL_RECORDS and size < room:
            try:
                found = self._client.poll(timeout_ms=int(wait_seconds * 1000), max_records=LOOK_RECORDS)
            except BrokenLog as error:
                self._wait_for_broker(error)
                continue
            if not found:
                return
            # Before anything is asked: that may fail, and the library does not give it again.
            for place, records in sorted(found.items(), key=lambda item: item[0].partition):
                self._halts.pop(place.partition, None)
                self._waiting.extend(records)
                size += sum(len(record.value or b"") for record in records)
            wait_seconds = 0.0

    def _leave_for_newer(self, record: Any, reason: str) -> None:
        """Read nothing more of a partition from this message on: it is for a program that can read it."""
        place = TopicPartition(record.topic, record.partition)
        self._waiting = deque(other for other in self._waiting if other.partition != record.partition)
        self._halt(place, _Halt(reason, None))
        # What the library gave was not taken.
        self._client.seek(place, record.offset)

    def _wait_for_broker(self, error: BrokenLog) -> None:
        """Read nothing more of a partition for a while; what came before the damage is kept."""
        self._halt(error.place, _Halt(str(error), time.monotonic() + BROKEN_SECONDS))

    def _halt(self, place: TopicPartition, halt: _Halt) -> None:
        self._halts[place.partition] = halt
        self._client.pause(place)

    def _try_again(self) -> None:
        """Read partitions again that were damaged when they were read last."""
        for partition, halt in self._halts.items():
            if halt.paused and halt.until is not None and time.monotonic() >= halt.until:
                halt.paused = False
                self._client.resume(TopicPartition(self._stream.topic, partition))

    def _look_for_partitions(self) -> None:
        """Raise StreamError where the topic has got partitions that a reader of all does not read: who subscribes anew does.

        The library asks the brokers for them by itself from time to time. The group tells its members.
        """
        if self._stream.member is not None:
            return
        known = cast("set[int] | None", self._client.partitions_for_topic(self._stream.topic)) or set()
        more = known - {place.partition for place in self._client.assignment()}
        if more:
            raise StreamError(f"topic {self._stream.topic}: has {len(more)} partitions more than before: reading all anew")

    def _look_for_silence(self) -> None:
        """Raise StreamError where nothing comes any more of what is there: who subscribes anew has another client.

        A client of the library that has lost its way says nothing of it, and nobody would hear of the records that wait.
        """
        if time.monotonic() < self._look_at:
            return
        try:
            ends = self._stream.ends(self._client, self._stream.settings.connect_seconds)
        except StreamError:
            # Brokers that are away are no fault of the client's.
            ends = {}
        read = {place.partition for place in self._client.assignment()} - self._halts.keys()
        stood = {int(partition): offset for partition, offset in self._standing.offsets.items()}
        unread = {each: stood[each] for each in read & stood.keys() if ends.get(each, 0) > stood[each]}
        silent = sorted(each for each, offset in unread.items() if self._unread.get(each) == offset)
        self._unread, self._look_at = unread, time.monotonic() + SILENCE_SECONDS
        if silent:
            raise StreamError(
                f"topic {self._stream.topic}: nothing came of partitions {', '.join(map(str, silent))} for "
                f"{SILENCE_SECONDS:.0f} s, and there is more: reading anew"
            )

    def _forget(self) -> None:
        """Keep in mind no more runs than may be, whatever sensors call theirs."""
        for run, home in self._standing.forget().items():
            self._known.discard(run)
            for had in self._had.values():
                had.pop(run, None)
            # What came before the first batch of a run is known no longer.
            self._whole -= self._whole if home == NOWHERE else {int(home)}

    def _pass_markers(self) -> None:
        """Stand behind what is no message: the marks of transactions."""
        for place in self._client.assignment():
            stood = self._standing.offsets.get(str(place.partition))
            if stood is None:
                # Taken away by the group, or given and not settled: the library names it all the same.
                continue
            offset = self._client.position(place, timeout_ms=1000)
            if offset is not None and offset > stood:
                self._standing.move(str(place.partition), int(offset))
                halt = self._halts.get(place.partition)
                if halt is not None and not halt.paused:
                    # It was read again, and what was damaged is behind it.
                    del self._halts[place.partition]

    def _is_at_end(self) -> bool:
        """Whether all that is there now has been read, by a reader of all partitions."""
        ends = self._stream.ends(self._client)
        read = {place.partition for place in self._client.assignment()}
        read -= self._halts.keys()
        return all(self._offset(partition) >= offset for partition, offset in ends.items() if partition in read)

    def _offset(self, partition: int) -> int:
        """The next offset of a partition."""
        return self._standing.offsets.get(str(partition), 0)

    def _deliver(self, record: Any, header: BatchHeader) -> Delivery | None:
        """The delivery of a message; None for a batch that was had before."""
        run, sequence = header.run, header.sequence
        # Those met latest come last: they are the ones to be kept with the offsets.
        self._standing.meet(run, str(record.partition))
        had = self._had.setdefault(record.partition, {})
        if sequence <= had.get(run, self._told(record.partition, run)):
            return None
        had[run] = sequence
        seen = self._standing.seen.get(run, -1)
        certain = run in self._known or record.partition in self._whole
        gap = Gap(run, seen + 1, sequence) if certain and sequence > seen + 1 else None
        if sequence > seen:
            self._standing.see(run, sequence)
        self._known.add(run)
        return Delivery(header, record.value, (str(record.partition), record.offset), self._standing.moment, gap)

    def _told(self, partition: int, run: Run) -> int:
        """The highest sequence of a run that it was told to have had, in a partition of which it was told no more than that."""
        return -1 if str(partition) in self._start.offsets else self._start.seen.get(run, -1)

    # Where it begins

    def _take_all(self, start: Position | None) -> None:
        """Read all partitions from where is said, or where the group stands, or the beginning. Raises StreamError."""
        stream, client = self._stream, self._client
        try:
            places = stream.partitions(client)
            ends = stream.ends(client)
            begins = client.beginning_offsets(places)
            client.assign(places)
            committed = {} if start is not None else self._committed(places)
            for place in places:
                partition = str(place.partition)
                offset = committed.get(place.partition, 0) if start is None else start.offsets.get(partition, 0)
                _check_place(stream.topic, place.partition, offset, ends[place.partition])
                if not offset and not begins[place]:
                    self._whole.add(place.partition)
                self._standing.move(partition, offset)
                client.seek(place, offset)
        except errors.KafkaError as error:
            client.close(autocommit=False)
            raise StreamError(f"topic {stream.topic}: {error}") from error
        except StreamError:
            client.close(autocommit=False)
            raise

    def _committed(self, places: Iterable[TopicPartition]) -> dict[int, int]:
        """Offsets of the group; what their metadata tell of runs is taken over."""
        found: dict[int, int] = {}
        # Else the library asks for as long as the coordinator is away, and nobody who wants to stop is heard.
        wait = int(self._stream.settings.connect_seconds * 1000)
        for place in places:
            kept = self._client.committed(place, metadata=True, timeout_ms=wait)
            if kept is not None and kept.offset >= 0:
                found[place.partition] = int(kept.offset)
                for run, sequence in _unpacked(kept.metadata).items():
                    self._standing.meet(run, str(place.partition))
                    self._standing.see(run, max(sequence, self._standing.seen.get(run, -1)))
                    self._had.setdefault(place.partition, {})[run] = sequence
                    self._known.add(run)
        return found

    def given(self, places: Iterable[TopicPartition]) -> None:
        """The group has given these partitions; Kafka cannot be asked about them from here."""
        self._given += places

    def _settle(self) -> None:
        """Begin with the partitions that the group has given: what is known of their runs is what was kept with the offsets.

        Where that cannot be asked they stay among those to begin with. Raises KafkaError.
        """
        places = self._given
        if not places:
            return
        taken = {str(place.partition) for place in places}
        self._known -= {run for run, home in self._standing.homes.items() if home in taken}
        committed = self._committed(places)
        # One that it had before may still be halted, in the library alone.
        self._client.resume(*places)
        begins: dict[TopicPartition, int] = self._client.beginning_offsets(places)
        # One that it had before and was given again goes on in the library behind what was taken away with it.
        self._waiting = deque(record for record in self._waiting if str(record.partition) not in taken)
        for place in places:
            offset = committed.get(place.partition)
            if offset is None and not begins[place]:
                self._whole.add(place.partition)
            begin = max(offset or 0, begins[place])
            self._client.seek(place, begin)
            self._standing.move(str(place.partition), begin)
        self._given = []

    def taken(self, places: Iterable[TopicPartition]) -> None:
        """The group has taken these partitions away: what waits of them is somebody else's."""
        gone = {place.partition for place in places}
        self._given = [place for place in self._given if place.partition not in gone]
        self._waiting = deque(record for record in self._waiting if record.partition not in gone)
        self._whole -= gone
        self._had = {partition: had for partition, had in self._had.items() if partition not in gone}
        self._halts = {partition: halt for partition, halt in self._halts.items() if partition not in gone}
        for partition in gone:
            self._standing.leave(str(partition))


class _Assigned(ConsumerRebalanceListener):
    """Tells a consumer which partitions its group gives it and takes away."""

    def __init__(self, consumer: StreamConsumer) -> None:
        self._consumer = consumer

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._consumer.given(assigned)

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._consumer.taken(revoked)


def _header(record: Any) -> BatchHeader:
    """What a message says of the batch that it holds. Raises MessageError."""
    if record.value is None:
        raise MessageError("the message holds nothing")
    return decode(record.headers)


def _check_place(topic: str, partition: int, offset: int, end: int) -> None:
    """Raises StreamError where a position stands behind the end of its partition."""
    if offset > end:
        raise StreamError(
            f"topic {topic}: the position stands at {offset} of partition {partition}, which ends at {end}: it is not the one "
            "that the position belongs to; restore that one, or start with a new data folder"
        )


def _packed(seen: Mapping[Run, int]) -> str:
    """Highest sequences of runs as text: of the last ones, as many as have room; of others no gap is told."""
    rows = [[*run, sequence] for run, sequence in seen.items()][-PACKED_RUNS:]
    while True:
        told = json.dumps(rows, separators=(",", ":")).encode()
        text = base64.b85encode(zlib.compress(told)).decode()
        if len(text) <= METADATA_BYTES:
            return text
        rows = rows[len(rows) // 8 + 1 :]


def _unpacked(text: str | None) -> dict[Run, int]:
    """What `_packed` wrote; nothing for any other text."""
    try:
        decoder = zlib.decompressobj()
        rows = json.loads(decoder.decompress(base64.b85decode(text or ""), 1024 * 1024))
        return {(str(sensor), str(epoch)): int(sequence) for sensor, epoch, sequence in rows}
    except (ValueError, TypeError, zlib.error):
        return {}
