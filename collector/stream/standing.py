"""Where a consumer stands while it goes on: the position behind each batch, without a copy for each.

A position is a value: what was taken behind one batch must not change with the next. A copy for each takes a millisecond with
fifty thousand runs, more than all else that a live batch needs. So the position of a delivery holds what was written down whole
some steps ago, and how many steps lie between; few are ever looked into.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, TypeVar

from collector.stream import NOWHERE, Position

if TYPE_CHECKING:
    from sensor.spool_format import Run

STEPS: Final = 4_096
"""After so many steps all is written down anew, or after as many as there are runs, if these are more."""

K = TypeVar("K")
V = TypeVar("V")


RUNS_PER_PARTITION: Final = 8_192
"""Runs of a partition that are kept in mind, those that were met last: a sensor may call each of its messages another run. Of one
that is forgotten no gap is told, and what has been stored of it is passed over by the store. Runs whose partition is not known,
as those of a position that was written down, are as many as those of one partition more."""

RUNS_BEFORE_FORGETTING: Final = RUNS_PER_PARTITION * 5 // 4
"""Only when there are more are some forgotten, many at once: that looks at all of them."""


class Standing:
    """Where one consumer stands. Used by one thread; the positions that it gives may be read by any.

    Args:
        position: where it begins.
    """

    def __init__(self, position: Position) -> None:
        self.offsets: Final = dict(position.offsets)
        """Next offset by partition."""
        self.seen: Final = dict(position.seen)
        """Highest sequence by run."""
        self.homes: Final = {run: NOWHERE for run in position.seen if run not in position.homes} | dict(position.homes)
        """Partition by run, the run that was met last behind the others; `NOWHERE` of those that nobody has told it of."""
        self._counts = Counter(self.homes.values())
        self._write_down()

    def move(self, partition: str, offset: int) -> None:
        """All before `offset` of a partition is done."""
        self.offsets[partition] = offset
        self._moved.append((partition, offset))

    def see(self, run: Run, sequence: int) -> None:
        """Batch `sequence` of a run is done."""
        if run not in self.homes:
            self.meet(run, NOWHERE)
        self.seen[run] = sequence
        self._met.append((run, sequence))

    def meet(self, run: Run, partition: str) -> None:
        """A batch of a run lies in this partition."""
        before = self.homes.pop(run, None)
        self.homes[run] = partition
        if before != partition:
            self._counts[partition] += 1
            if before is not None:
                self._counts[before] -= 1

    def forget(self) -> dict[Run, str]:
        """Let go of runs of partitions that have too many, those met before the others; returns them with their partition."""
        over = {home: count - RUNS_PER_PARTITION for home, count in self._counts.items() if count > RUNS_BEFORE_FORGETTING}
        if not over:
            return {}
        gone: dict[Run, str] = {}
        for run, home in self.homes.items():
            if over.get(home, 0) > 0:
                over[home] -= 1
                gone[run] = home
        for run in gone:
            del self.homes[run]
            self.seen.pop(run, None)
        self._counts = Counter(self.homes.values())
        self._write_down()
        return gone

    def leave(self, partition: str) -> None:
        """The partition is another's now."""
        self.offsets.pop(partition, None)
        self._write_down()

    @property
    def position(self) -> Position:
        """Where the consumer stands now, whole."""
        return Position(dict(self.offsets), dict(self.seen), dict(self.homes))

    @property
    def moment(self) -> Position:
        """The same at the cost of a note; it does not tell in which partition a run is."""
        if len(self._moved) + len(self._met) > max(STEPS, len(self.seen)):
            self._write_down()
        return Position(_Then(*self._base[0], len(self._moved)), _Then(*self._base[1], len(self._met)))

    def _write_down(self) -> None:
        self._moved: list[tuple[str, int]] = []
        self._met: list[tuple[Run, int]] = []
        self._base = (dict(self.offsets), self._moved), (dict(self.seen), self._met)


class _Then(Mapping[K, V]):
    """What was written down, and the first `count` steps behind it."""

    __slots__ = ("_base", "_count", "_steps", "_whole")

    def __init__(self, base: dict[K, V], steps: list[tuple[K, V]], count: int) -> None:
        self._base = base
        self._steps = steps
        self._count = count
        self._whole: dict[K, V] | None = None

    def __getitem__(self, key: K) -> V:
        return self._all()[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __repr__(self) -> str:
        return repr(self._all())

    def _all(self) -> dict[K, V]:
        if self._whole is None:
            # Steps that came later are not its own.
            self._whole = {**self._base, **dict(self._steps[: self._count])}
        return self._whole
