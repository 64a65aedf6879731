"""The room that a spool's segments take: what goes, and in which order, when a limit is reached.

1. Segments that all consumers have released, oldest first.
2. With the policy "least_valuable": the rows of one class of value (`sensor.value`) after the other, in each class from the
   oldest segment on; the segment is written anew without them (`sensor.spool_thinning`).
3. Then the oldest segment, whatever is in it.

Work begins before the quota is reached, and is done in pieces along with the appends: each of them pays a few times its own size.
Only where that was not enough an append waits for a whole segment. A segment that is thinned needs its room twice for a moment:
`reserve` holds it, so that there is a way out also when the disk is full of something else.

Ages are told by the spool's own clock, which counts the time that the spool was open. It is in every frame, goes on where it was,
and knows nothing of the system's date, so that a date set wrong removes nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from sensor.spool_files import FULL, replace_file, sync_folder
from sensor.spool_format import segment_path, segments
from sensor.spool_reader import read_head
from sensor.spool_thinning import Thinning, frames, holds
from sensor.value import ORDER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sensor.spool_format import SegmentHead

PACE: Final = 8
"""Bytes of old segments that are worked through for each byte appended while room is short."""

PACE_BYTES: Final = 64 * 1024
"""And at least so many with each append."""

AGE_PARTS: Final = 16
"""With a bound of age a segment spans at most one part in so many of it, as whole segments go."""


@dataclass(slots=True)
class RoomCounters:
    """What made room since the spool was opened.

    Attributes:
        values: rows of bulk values that were dropped.
        reads: rows of reads that were dropped.
        records: rows of all kinds that went with the oldest segment for want of room, unreleased.
        expired: rows that went because of their age, unreleased.
        written: bytes written to thin segments and to keep account.
    """

    values: int = 0
    reads: int = 0
    records: int = 0
    expired: int = 0
    written: int = 0


class SpoolClock:
    """Milliseconds that the spool has been open, from `start` on.

    Args:
        start: what it showed when the spool was last closed.
        seconds: a clock that nobody sets.
    """

    def __init__(self, start: int, seconds: Callable[[], float]) -> None:
        self._start = start
        self._seconds: Final = seconds
        self._opened = seconds()

    def now(self) -> int:
        """What it shows now."""
        return self._start + max(0, int((self._seconds() - self._opened) * 1000))


def boottime() -> float:
    """Seconds since the machine was started, times of sleep counted."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Room:
    """The segments of one spool. Used by its writer only, under its lock.

    Args:
        folder: folder of the spool.
        least_valuable: whether rows and segments that no consumer has released may go.
        reserve_bytes: size of a segment.
    """

    def __init__(self, folder: Path, *, least_valuable: bool, reserve_bytes: int) -> None:
        self.folder: Final = folder
        self.counters: Final = RoomCounters()
        self.released = 0
        self._least_valuable: Final = least_valuable
        self._reserve_bytes: Final = reserve_bytes if least_valuable else 0
        self._thinning: Thinning | None = None
        self._cursors = [0] * len(ORDER)
        self._heads: dict[int, SegmentHead] = {}
        self._below, self.removed_rows = self._read_account()
        self.firsts = segments(folder)
        self._finish_removal()
        self.bytes = sum(segment_path(folder, first).stat().st_size for first in self.firsts)
        self._hold_reserve()

    @property
    def used(self) -> int:
        """Bytes of all segments, with the reserve."""
        return self.bytes + self._reserve_bytes

    def begun(self, first: int, size: int, replaced: int) -> None:
        """A segment has been begun, in the place of one without a batch where that had `replaced` bytes."""
        if first not in self.firsts[-1:]:
            self.firsts.append(first)
        self._heads.pop(first, None)
        self.bytes += size - replaced

    def expire(self, before: int) -> None:
        """Remove the oldest segment if its last batch is older than `before` on the spool's clock. Raises OSError, SpoolError.

        One at a time: where the age has been made less, many are older at once.
        """
        if len(self.firsts) > 1 and self._head(self.firsts[1]).clock <= before:
            self._remove_oldest("expired")

    def work(self, size: int) -> bool:
        """Do a piece of the work that makes room; `size` bytes are being appended. False where there is no such work.

        Raises OSError, SpoolError.
        """
        if not self._least_valuable:
            return False
        budget = max(PACE_BYTES, PACE * size)
        has_worked = False
        while budget > 0 and (self._thinning is not None or self._begin()):
            budget -= self._step(budget)
            has_worked = True
        return has_worked

    def give_way(self) -> bool:
        """Make some room at once; False where nothing may go. Raises OSError, SpoolError."""
        if self.remove_released():
            return True
        if not self._least_valuable:
            return False
        if self._thinning is not None or self._begin():
            while self._thinning is not None:
                self._step(self._reserve_bytes)
            return True
        return self._remove_oldest("records")

    def remove_released(self) -> bool:
        """Remove the oldest segment if all its batches have been released. Raises OSError."""
        return len(self.firsts) > 1 and self.firsts[1] <= self.released and self._remove_oldest("records")

    def close(self) -> None:
        """Leave a segment that is being thinned as it was."""
        if self._thinning is not None:
            self._thinning.abandon()
            self._thinning = None

    # Thinning

    def _begin(self) -> bool:
        """Begin with the next segment to be thinned; False where there is none."""
        for level, value in enumerate(ORDER):
            for first in self.firsts[:-1]:
                if first < self._cursors[level]:
                    continue
                if self._head(first).thinned <= level and holds(self.folder, first, value):
                    return self._begin_with(first, level)
                self._cursors[level] = first + 1
        return False

    def _begin_with(self, first: int, level: int) -> bool:
        self._release_reserve()
        try:
            self._thinning = Thinning(self.folder, first, level)
        except OSError as error:
            self._end()
            if error.errno not in FULL:
                raise
        return self._thinning is not None

    def _step(self, budget: int) -> int:
        """Thin on for at most so many bytes of the segment, and a batch; returns how many they were."""
        thinning = self._thinning
        if thinning is None:
            return budget
        try:
            worked = thinning.step(budget)
            if not thinning.done:
                return worked
            self.bytes += thinning.finish()
        except OSError as error:
            thinning.abandon()
            self._end()
            if error.errno in FULL and self._remove_oldest("records"):
                return budget
            raise
        name = ORDER[thinning.level].name
        setattr(self.counters, name, getattr(self.counters, name) + thinning.dropped)
        self.counters.written += thinning.written
        self._heads.pop(thinning.first, None)
        self._cursors[thinning.level] = thinning.first + 1
        self._end()
        return worked

    def _end(self) -> None:
        self._thinning = None
        self._hold_reserve()

    def _hold_reserve(self) -> None:
        """Keep the room of one segment. Where the disk has none, there is no reserve until later."""
        if not self._reserve_bytes:
            return
        with contextlib.suppress(OSError):
            file = os.open(self.folder / "reserve", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                if os.fstat(file).st_size < self._reserve_bytes:
                    os.posix_fallocate(file, 0, self._reserve_bytes)
            finally:
                os.close(file)

    def _release_reserve(self) -> None:
        with contextlib.suppress(OSError):
            # Not truncate(2), which a recording sensor may not call.
            os.close(os.open(self.folder / "reserve", os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC))

    # Removing

    def _remove_oldest(self, cause: str) -> bool:
        """Remove the oldest segment; what was not released of it is counted. False where it is the only one."""
        if len(self.firsts) < 2:
            return False
        first, below = self.firsts[:2]
        if self._thinning is not None and self._thinning.first == first:
            self.close()
        # The account needs room, too.
        self._release_reserve()
        rows = dropped = 0
        if below > self.released:
            for frame in frames(self.folder, first):
                if frame.number >= self.released:
                    rows += frame.header.rows
                    dropped += frame.header.dropped
        if rows or dropped:
            # The account first: a kill in between leaves a segment that is removed at the next opening.
            content = json.dumps({"below": below, "rows": self.removed_rows + rows + dropped}).encode()
            replace_file(self.folder / "removed.json", content)
            self.counters.written += len(content)
            self.removed_rows += rows + dropped
            setattr(self.counters, cause, getattr(self.counters, cause) + rows)
        path = segment_path(self.folder, first)
        size = path.stat().st_size
        path.unlink()
        sync_folder(self.folder)
        del self.firsts[0]
        self._heads.pop(first, None)
        self.bytes -= size
        if self._thinning is None:
            self._hold_reserve()
        return True

    def _read_account(self) -> tuple[int, int]:
        try:
            content = cast("dict[str, int]", json.loads((self.folder / "removed.json").read_bytes()))
            return int(content["below"]), int(content["rows"])
        except FileNotFoundError:
            return 0, 0
        except (ValueError, KeyError, TypeError):
            # It is only an account: without it, records are still told from gaps.
            return 0, 0

    def _finish_removal(self) -> None:
        while len(self.firsts) > 1 and self.firsts[0] < self._below:
            segment_path(self.folder, self.firsts.pop(0)).unlink()

    def _head(self, first: int) -> SegmentHead:
        if first not in self._heads:
            path = segment_path(self.folder, first)
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                self._heads[first], _ = read_head(file, path)
            finally:
                os.close(file)
        return self._heads[first]
