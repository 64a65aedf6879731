"""A stream of few batches that are kept in memory, for whoever keeps them with what else is remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from collector.stream import Delivery, Outgoing, Position, StreamError
from sensor import kafka_message

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

    from collector.stream import BatchHeader, Consumer, Run

PARTITION: Final = "0"
"""The one partition."""


class KeptStream:
    """Batches in memory as a `collector.stream.Stream`.

    Args:
        batches: what it begins with.
    """

    def __init__(self, batches: Iterable[Outgoing] = ()) -> None:
        self.batches: list[Outgoing] = []
        self._highest: dict[Run, int] = {}
        self.publish(batches)

    def publish(self, batches: Iterable[Outgoing]) -> int:
        """As `Stream.publish`."""
        new = 0
        for batch in batches:
            header = batch.header
            expected = self._highest.get(header.run, -1) + 1
            if header.sequence > expected:
                raise StreamError(f"sequence {header.sequence} of {header.sensor} does not follow {expected - 1}")
            if header.sequence == expected:
                self._highest[header.run] = expected
                self.batches.append(batch)
                new += 1
        return new

    def highest(self, sensor: str, epoch: str) -> int | None:
        """As `Stream.highest`."""
        return self._highest.get((sensor, epoch))

    def subscribe(self, consumer: str, start: Position | None = None) -> Consumer:
        """As `Stream.subscribe`; positions are not kept, so that without a start a consumer is at the beginning."""
        del consumer
        return KeptConsumer(self, start or Position())

    def end(self) -> Position:
        """As `Stream.end`."""
        return Position({PARTITION: len(self.batches)}, dict(self._highest))


class KeptConsumer:
    """One reader of a `KeptStream`."""

    def __init__(self, stream: KeptStream, position: Position) -> None:
        self._stream = stream
        self._number = position.offsets.get(PARTITION, 0)
        self._seen = dict(position.seen)

    @property
    def position(self) -> Position:
        """As `Consumer.position`."""
        return Position({PARTITION: self._number}, dict(self._seen))

    @property
    def ends(self) -> Mapping[str, int]:
        """As `Consumer.ends`."""
        return {PARTITION: len(self._stream.batches)}

    @property
    def halted(self) -> Mapping[str, str]:
        """As `Consumer.halted`: nothing is."""
        return {}

    def poll(self, timeout_seconds: float, max_batches: int = 256, max_bytes: int = 64 * 1024 * 1024) -> Sequence[Delivery]:
        """As `Consumer.poll`; it does not wait."""
        del timeout_seconds
        deliveries: list[Delivery] = []
        size = 0
        for batch in self._stream.batches[self._number : self._number + max_batches]:
            header: BatchHeader = batch.header
            self._seen[header.run] = header.sequence
            place = PARTITION, self._number
            self._number += 1
            deliveries.append(Delivery(header, bytes(batch.data), place, self.position))
            size += len(batch.data)
            if size >= max_bytes:
                break
        return deliveries

    def commit(self, position: Position) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass


def pack(batch: Outgoing) -> bytes:
    """A batch and its header as bytes."""
    message = kafka_message.encode(batch.header, batch.data)
    return message.headers[0][1] + b"\n" + bytes(batch.data)


def unpack(content: bytes) -> Outgoing:
    """What `pack` made. Raises MessageError for anything else."""
    told, _, data = content.partition(b"\n")
    return Outgoing(kafka_message.decode([(kafka_message.HEADER, told)]), data)
