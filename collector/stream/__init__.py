"""The port `Stream`: numbered record batches from those who make them to those who use them.

A stream carries the batches of any number of runs. A run is (sensor, epoch); its batches are numbered by `sequence` from 0
without gaps. The sensor's records are one stream; alerts (table `alert`, from detection) and people's decisions (table
`control`) are two more, made of the same batches. `collector.stream.local` reads a spool in place; a stream over Kafka fits the
same port: a partition is one of `Position.offsets`, a consumer's group is Kafka's.

Delivery is at least once in the order of each run. A consumer drops what its position says it has had, and reports what is
missing, so that whoever stores the position together with the outcome of the work has each batch exactly once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, Self, cast, runtime_checkable

from sensor.spool_format import BatchHeader, Run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

__all__ = [
    "NOWHERE", "BatchHeader", "Consumer", "DamagedBatch", "Delivery", "Gap", "Outgoing", "Position", "Run", "Stream",
    "StreamError",
]  # fmt: skip


NOWHERE: Final = ""
"""What `Position.homes` has for a run whose partition is not known."""


class StreamError(Exception):
    """A stream cannot be used. The text is one line that says what happened, to what, and what to do next."""


class NewerBatch(StreamError):  # noqa: N818 - named for what it reports
    """What is asked for was written by a newer version. It stays where it is, for a program that can read it."""


class DamagedBatch(StreamError):  # noqa: N818 - named for what it reports
    """The next batch of a stream is not what was published. The consumer stands behind it already: the next `poll` goes on.

    Attributes:
        header: header of the batch where that is known.
        data: the damaged bytes.
        position: where the consumer stands behind it.
    """

    def __init__(self, text: str, *, header: BatchHeader | None, data: bytes, position: Position) -> None:
        super().__init__(text)
        self.header = header
        self.data = data
        self.position = position


@dataclass(frozen=True, slots=True)
class Position:
    """Where a consumer stands: all before it has been delivered. A value; store it together with what was made of the batches.

    Attributes:
        offsets: next offset by partition. A local stream has the one partition "0"; no entry means the beginning.
        seen: highest sequence delivered by run.
        homes: partition by run, as far as the consumer has met them or was told, for who keeps partitions apart; `NOWHERE` of
            other runs. It says nothing of where the consumer stands: positions are equal without it, and it is not written.
    """

    offsets: Mapping[str, int] = field(default_factory=dict[str, int])
    seen: Mapping[Run, int] = field(default_factory=dict[Run, int])
    homes: Mapping[Run, str] = field(default_factory=dict[Run, str], compare=False, repr=False)

    def to_json(self) -> str:
        """The position as text; equal positions give equal text."""
        seen = sorted([*run, sequence] for run, sequence in self.seen.items())
        return json.dumps({"offsets": dict(sorted(self.offsets.items())), "seen": seen}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Position:
        """The position that `to_json` wrote. Raises ValueError for any other text."""
        try:
            content = cast("dict[str, object]", json.loads(text))
            offsets = {str(partition): int(offset) for partition, offset in cast("dict[str, int]", content["offsets"]).items()}
            rows = cast("list[tuple[str, str, int]]", content["seen"])
            return cls(offsets, {(sensor, epoch): int(sequence) for sensor, epoch, sequence in rows})
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a stream position: {text[:80]!r}") from error


@dataclass(frozen=True, slots=True)
class Gap:
    """Batches of a run that will not come: `expected` up to, not including, `found`."""

    run: Run
    expected: int
    found: int


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A batch to publish: its header and its bytes (one Arrow IPC stream)."""

    header: BatchHeader
    data: bytes | memoryview


@dataclass(frozen=True, slots=True)
class Delivery:
    """A batch as a consumer gets it.

    Attributes:
        header: what is known of it without reading it.
        data: its bytes (one Arrow IPC stream).
        offset: its place in the stream, (partition, offset); offsets rise within a partition.
        position: where the consumer stands once this batch is done.
        gap: batches of its run that are missing just before it.
    """

    header: BatchHeader
    data: bytes
    offset: tuple[str, int]
    position: Position
    gap: Gap | None = None


@runtime_checkable
class Consumer(Protocol):
    """One reader of a stream. Used by one thread at a time."""

    @property
    def position(self) -> Position:
        """Where it stands: behind the last batch that `poll` returned."""
        ...

    @property
    def ends(self) -> Mapping[str, int]:
        """Offset behind the last batch of each partition that it reads, as far as it knows without asking anybody."""
        ...

    @property
    def halted(self) -> Mapping[str, str]:
        """Why nothing more of a partition is read, in one line, by partition; the others go on.

        What comes next there was written by a newer version, for a program that can read it; or what a broker has of it is
        damaged, and is tried again from time to time. The position stays before it. Whoever reads tells of it, once.
        """
        ...

    def poll(self, timeout_seconds: float, max_batches: int = 256, max_bytes: int = 64 * 1024 * 1024) -> Sequence[Delivery]:
        """The next batches, in order; waits up to `timeout_seconds` for the first and returns none when there is none by then.

        Stops at `max_batches`, and when `max_bytes` have been reached. A batch that `position.seen` has had is left out, as far
        as the consumer knows; who may have none twice asks its own data.

        Raises:
            DamagedBatch: the next batch is damaged; what came before it was returned by the call before. Polling again goes on
                behind it.
            StreamError: the stream cannot be read.
        """
        ...

    def commit(self, position: Position) -> None:
        """Keep `position` with the stream under the consumer's name, for `subscribe` without a start; durable on return.

        What lies before it for all committed consumers may be removed. A consumer that keeps its position with its own data
        commits too, afterwards.
        """
        ...

    def close(self) -> None:
        """Let go of the stream. Nothing is committed."""
        ...

    def __enter__(self) -> Self:
        """The consumer itself."""
        ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close it."""
        ...


@runtime_checkable
class Stream(Protocol):
    """Batches in order, published by one and consumed by many."""

    def publish(self, batches: Iterable[Outgoing]) -> int:
        """Add batches, in order of each run's sequence; all are durable on return. Returns how many were new.

        A batch that the run has had already is dropped, so that a publisher that does not know how far it got starts over.

        Raises:
            StreamError: a sequence does not follow the one before it, there is no room, or the stream takes no batches from
                here. Batches before the refused one may have been added.
        """
        ...

    def highest(self, sensor: str, epoch: str) -> int | None:
        """The highest sequence published of a run; None where the stream has none of it."""
        ...

    def subscribe(self, consumer: str, start: Position | None = None) -> Consumer:
        """A consumer that starts at `start`, or where it last committed, or at the beginning.

        Raises:
            StreamError: the position is not one of this stream, or the consumer's name is not made of letters, digits, "-" and
                "_".
        """
        ...

    def end(self) -> Position:
        """Behind the last batch there is now: start there to get only what comes later."""
        ...
