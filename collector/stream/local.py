"""`LocalStream`: a stream that is a spool, read in place.

Nothing is copied: publishing appends to the spool, a consumer reads its segments. Offsets are the spool's batch numbers. Where
consumers stand is kept in the spool's folder `positions/`, a file each; the spool keeps what a committed consumer has not passed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Self

from collector.stream import Consumer, DamagedBatch, Delivery, Gap, Outgoing, Position, StreamError
from collector.stream.standing import Standing
from sensor.spool import DamagedFrame, Spool, SpoolError, SpoolReader
from sensor.spool_files import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

PARTITION: Final = "0"
"""The one partition of a local stream."""

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class LocalStream:
    """The batches of one spool as a `collector.stream.Stream`.

    Args:
        folder: folder of the spool. It may still be missing for a stream that only reads.
        spool: the spool's writer, where this process has it: needed to publish, and to remove what all consumers have passed.
    """

    def __init__(self, folder: Path, spool: Spool | None = None) -> None:
        self.folder: Final = folder
        self._spool: Final = spool

    def publish(self, batches: Iterable[Outgoing]) -> int:
        """As `Stream.publish`."""
        spool = self._spool
        if spool is None:
            raise StreamError(f"{self.folder}: opened for reading only: publish where its writer runs")
        new = 0
        try:
            for batch in batches:
                new += spool.append(batch.header, batch.data) is not None
            spool.sync()
        except SpoolError as error:
            raise StreamError(str(error)) from error
        return new

    def highest(self, sensor: str, epoch: str) -> int | None:
        """As `Stream.highest`."""
        if self._spool is not None:
            return self._spool.highest(sensor, epoch)
        return SpoolReader(self.folder).standing()[1].get((sensor, epoch))

    def subscribe(self, consumer: str, start: Position | None = None) -> Consumer:
        """As `Stream.subscribe`."""
        if not _NAME.fullmatch(consumer):
            raise StreamError(f"{consumer!r} is no name for a consumer: use 1 to 64 letters, digits, '-' and '_'")
        position = start or self._committed(consumer) or Position()
        end = SpoolReader(self.folder).end
        if position.offsets.get(PARTITION, 0) > end:
            raise StreamError(
                f"{self.folder}: {consumer} stands at batch {position.offsets[PARTITION]}, but the spool ends at {end}: "
                "it is not the one that the position belongs to; restore that one, or start with a new data folder"
            )
        return LocalConsumer(self, consumer, position)

    def end(self) -> Position:
        """As `Stream.end`."""
        number, runs = SpoolReader(self.folder).standing()
        return Position({PARTITION: number}, runs)

    def commit(self, consumer: str, position: Position) -> None:
        """Keep where a consumer stands, and let the spool remove what all have passed."""
        folder = self.folder / "positions"
        path = folder / f"{consumer}.json"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(path, position.to_json().encode())
        except OSError as error:
            raise StreamError(f"{path}: cannot be written ({error.strerror}): the position of {consumer} is not kept") from error
        if self._spool is not None:
            names = [file.stem for file in folder.glob("*.json")]
            committed = [stand for stand in map(self._committed, names) if stand is not None]
            self._spool.release(min(stand.offsets.get(PARTITION, 0) for stand in committed))

    def _committed(self, consumer: str) -> Position | None:
        path = self.folder / "positions" / f"{consumer}.json"
        try:
            return Position.from_json(path.read_text())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise StreamError(f"{path}: {error}: remove the file to start over; nothing is stored twice") from error


class LocalConsumer:
    """One reader of a `LocalStream`."""

    def __init__(self, stream: LocalStream, name: str, position: Position) -> None:
        self._stream = stream
        self._name = name
        self._reader = SpoolReader(stream.folder)
        self._number = position.offsets.get(PARTITION, 0)
        self._standing = Standing(Position({PARTITION: self._number}, position.seen, position.homes))

    @property
    def position(self) -> Position:
        """As `Consumer.position`."""
        return self._standing.position

    @property
    def ends(self) -> Mapping[str, int]:
        """As `Consumer.ends`."""
        return {PARTITION: self._reader.end}

    @property
    def halted(self) -> Mapping[str, str]:
        """As `Consumer.halted`: there is one partition alone, and what keeps it from being read is raised."""
        return {}

    def poll(self, timeout_seconds: float, max_batches: int = 256, max_bytes: int = 64 * 1024 * 1024) -> Sequence[Delivery]:
        """As `Consumer.poll`."""
        deliveries: list[Delivery] = []
        size = 0
        self._reader.wait(self._number, timeout_seconds)
        try:
            for batch in self._reader.read(self._number):
                self._stand(batch.number + 1)
                run, sequence = batch.header.run, batch.header.sequence
                expected = self._standing.seen.get(run, -1) + 1
                if sequence < expected:
                    continue
                self._standing.meet(run, PARTITION)
                self._standing.see(run, sequence)
                gap = Gap(run, expected, sequence) if sequence > expected else None
                place = PARTITION, batch.number
                deliveries.append(Delivery(batch.header, batch.data, place, self._standing.moment, gap))
                size += len(batch.data)
                if len(deliveries) >= max_batches or size >= max_bytes:
                    break
        except DamagedFrame as damage:
            if not deliveries:
                self._stand(damage.resume)
                if (header := damage.header) is not None:
                    self._standing.see(header.run, max(header.sequence, self._standing.seen.get(header.run, -1)))
                raise DamagedBatch(str(damage), header=damage.header, data=damage.data, position=self.position) from damage
        except SpoolError as error:
            if not deliveries:
                raise StreamError(str(error)) from error
        return deliveries

    def _stand(self, number: int) -> None:
        self._number = number
        self._standing.move(PARTITION, number)

    def commit(self, position: Position) -> None:
        """As `Consumer.commit`."""
        self._stream.commit(self._name, position)

    def close(self) -> None:
        """As `Consumer.close`."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
