"""Consumers of kafka-python that no message stops.

The library reads a group of messages, as a producer sent them, in one go, and raises where it cannot: at a header whose name is
no UTF-8, for one, which brokers take from anybody. It would meet the same message for ever. Here such a message is handed on as
one that says that it cannot be read (`kafka_message.UNREADABLE`), with the bytes that there are of it.

A group whose checksum is wrong is another matter: no sender can make one, for brokers check it. Its messages may be well on the
next try, or on another broker. Nothing of it is handed on; `BrokenLog` says where it is, and reading again tries it again.
"""

# kafka-python leaves its results untyped, and what is read of a group here has no public name.
# pyright: reportPrivateUsage=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# ruff: noqa: SLF001 - the same

from __future__ import annotations

import gzip
import io
from typing import TYPE_CHECKING, Any, Final

from kafka import KafkaConsumer, errors
from kafka.consumer.fetcher import Fetcher
from kafka.record.default_records import DefaultRecord, DefaultRecordBatch
from kafka.record.util import decode_varint

from sensor.kafka_client import arguments
from sensor.kafka_message import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kafka.structs import TopicPartition

    from sensor.kafka_settings import KafkaSettings

UNPACKED_BYTES: Final = 128 * 1024**2
"""Most bytes of a group of messages once it is unpacked: twice the largest message that may be set. A few megabytes of zeros
could be gigabytes."""

REASON_CHARACTERS: Final = 200
"""Most of the library's own words that is told."""


class BrokenLog(errors.CorruptRecordError):
    """What a broker has of a partition is damaged, or was on its way. Other partitions can be read on.

    Attributes:
        place: the partition.
        offset: place of the first message of the damaged group.
    """

    def __init__(self, place: TopicPartition, offset: int, fault: str) -> None:
        super().__init__(f"{place.topic}/{place.partition}/{offset}: {fault}")
        self.place = place
        self.offset = offset

    def __str__(self) -> str:
        return str(self.args[0])


def consumer(settings: KafkaSettings, **options: Any) -> Any:
    """A consumer of the library that commits nothing by itself.

    Args:
        settings: how Kafka is reached.
        options: further arguments of `kafka.KafkaConsumer`.

    Raises:
        KafkaUnusable: a file that the settings name cannot be used.
        KafkaError: Kafka cannot be reached.
    """
    client: Any = KafkaConsumer(**arguments(settings), enable_auto_commit=False, metrics_enabled=False, **options)
    # Of this client alone; the library has no setting for it.
    client._fetcher.PartitionRecords = _Fetched
    _see_joins_through(client._coordinator)
    return client


def _see_joins_through(coordinator: Any) -> None:
    """Let a consumer that began to join its group anew go on until it has.

    Where it leads the group and the topic's partitions became known since it joined last, the library takes its own answer to the
    brokers for the end of it: a poll that had no time to wait began it, and no later one looks what came of it. Nothing would be
    read, and no heartbeat sent, for ever.
    """
    is_needed = coordinator.need_rejoin
    coordinator.need_rejoin = lambda: coordinator.rejoining or is_needed()


class _Fetched(Fetcher.PartitionRecords):
    """What was fetched of a partition."""

    def _unpack_records(self, tp: TopicPartition, records: Any, *deserializers: Any) -> Iterator[Any]:
        unpack: Any = super()._unpack_records  # pyright: ignore[reportAttributeAccessIssue] - it has no types
        return unpack(tp, _Groups(tp, records), *deserializers)

    def take(self, n: int | None = None) -> list[Any]:
        try:
            return super().take(n)
        except Exception:
            # The library would ask what has failed for more, which never comes; let go, it is fetched again.
            self.drain()
            raise


class _Groups:
    """The groups of messages in what was fetched."""

    def __init__(self, place: TopicPartition, records: Any) -> None:
        self._place = place
        self._records = records

    def next_batch(self) -> Any:
        """The next; None behind the last."""
        try:
            batch = self._records.next_batch()
        except errors.CorruptRecordError as error:
            raise BrokenLog(self._place, -1, str(error)) from error
        return _Group(self._place, batch) if isinstance(batch, DefaultRecordBatch) else batch


class _Group:
    """A group of messages as the library has it, but that reading it does not fail."""

    def __init__(self, place: TopicPartition, batch: Any) -> None:
        self._place = place
        self._batch = batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        """The mark of a transaction."""
        return next(self._batch)

    def validate_crc(self) -> bool:
        """Raises BrokenLog where the checksum is wrong."""
        if not self._batch.validate_crc():
            raise BrokenLog(self._place, self._batch.base_offset, "its checksum is wrong: look at the brokers' disks and network")
        return True

    def __iter__(self) -> Iterator[Any]:
        batch = self._batch
        first = batch.base_offset
        try:
            _unpack(batch)
        except Exception as error:  # noqa: BLE001 - each codec fails in its own way
            packed = bytes(batch._buffer)
            yield _unreadable(batch, batch.last_offset, f"{_whole(batch, first)} cannot be unpacked: {_told(error)}", packed)
            return
        while True:
            begin = batch._pos
            try:
                record = next(batch)
            except StopIteration:
                return
            except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the next is to be read
                record = _passed(batch, begin, error)
                if record is None:
                    rest = bytes(batch._buffer[begin:])
                    yield _unreadable(batch, batch.last_offset, f"{_whole(batch, first)} cannot be read: {_told(error)}", rest)
                    return
            if not first <= record.offset <= batch.last_offset:
                # Its place is as its sender says, which brokers do not look at in a group that is not packed.
                reason = f"the message says that it is number {record.offset:,}, which it cannot be"
                record = _unreadable(batch, min(first, batch.last_offset), reason, record.value or b"")
            first = record.offset + 1
            yield record


def _unpack(batch: Any) -> None:
    """Unpack a group, as far as it may. Raises whatever its codec does, and ValueError where it is too large."""
    if batch.compression_type == batch.CODEC_GZIP:
        with gzip.GzipFile(fileobj=io.BytesIO(batch._buffer[batch._pos :])) as content:
            unpacked = content.read(UNPACKED_BYTES + 1)
        if len(unpacked) > UNPACKED_BYTES:
            raise ValueError(f"it is more than {UNPACKED_BYTES:,} bytes")
        batch._buffer, batch._pos, batch._decompressed = bytearray(unpacked), 0, True
    elif batch.compression_type == batch.CODEC_NONE:
        iter(batch)
    else:
        raise ValueError("it is packed otherwise than by gzip")


def _passed(batch: Any, begin: int, error: Exception) -> Any:
    """The message at this place of a group as one that cannot be read, and the group behind it; None where it has no end."""
    buffer = batch._buffer
    try:
        length, body = decode_varint(buffer, begin)
        end = body + length
        at = body
        # Attributes, time, place in the group.
        _, at = decode_varint(buffer, at)
        _, at = decode_varint(buffer, at)
        delta, at = decode_varint(buffer, at)
        if length < 0 or end > len(buffer):
            return None
        _, value = _field(buffer, at, end)
        data, _ = _field(buffer, value, end)
    except (ValueError, IndexError):
        return None
    batch._pos = end
    batch._next_record_index += 1
    return _unreadable(batch, batch.base_offset + delta, f"the message cannot be read: {_told(error)}", data)


def _field(buffer: bytearray, at: int, end: int) -> tuple[bytes, int]:
    """Key or value of a message, and where that ends. Raises ValueError where it ends behind the message."""
    length, begin = decode_varint(buffer, at)
    behind = begin + max(0, length)
    if behind > end:
        raise ValueError(length)
    return bytes(buffer[begin:behind]), behind


def _whole(batch: Any, first: int) -> str:
    return f"what was sent together as messages {first:,} to {batch.last_offset:,}"


def _told(error: Exception) -> str:
    """What is wrong, in one line."""
    if isinstance(error.__context__, UnicodeDecodeError):
        # In the library's words the whole name would stand.
        return "the name of a header is no UTF-8"
    text = " ".join(str(error)[:REASON_CHARACTERS].split())
    return text if isinstance(error, ValueError | errors.KafkaError) else f"{type(error).__name__}: {text}"


def _unreadable(batch: Any, offset: int, reason: str, data: bytes) -> Any:
    """A message that says that it cannot be read."""
    headers = [(UNREADABLE, reason.encode(errors="replace"))]
    return DefaultRecord(len(data), offset, batch.max_timestamp, batch.timestamp_type, None, data, headers)
