"""How fast backlog is shipped, and what is backlog."""

from __future__ import annotations

import math
import time
from bisect import bisect_right
from collections import deque
from typing import Final

LIVE_SECONDS: Final = 15.0
"""A batch that has waited longer is backlog. Several times as long as a gateway takes to put batches on the disk."""

STEP_SECONDS: Final = 1.0
"""Least time between two notes of how far a spool has come."""

STEPS: Final = 3600
"""Most of these notes: what has waited for longer than they reach back has waited at least for so long."""


class Arrivals:
    """When the batches of a spool were first seen, to a second."""

    def __init__(self) -> None:
        self._notes: Final[deque[tuple[int, float]]] = deque(maxlen=STEPS)  # (end, when the spool first ended there)
        self._start = 0

    def see(self, end: int, now: float) -> None:
        """Note that the spool ends at number `end`."""
        if not self._notes:
            self._start = end
            self._notes.append((end, now))
            return
        last, when = self._notes[-1]
        if end > last and now - when >= STEP_SECONDS:
            self._notes.append((end, now))

    def age(self, number: int, now: float) -> float:
        """How long ago batch `number` was first seen; at least so long where it was there from the beginning."""
        if not self._notes:
            return 0.0
        at = min(bisect_right(self._notes, (number, math.inf)), len(self._notes) - 1)
        return max(0.0, now - self._notes[at][1])

    def is_backlog(self, number: int, now: float) -> bool:
        """Whether a batch has waited for long: it was there from the beginning, or has been seen to wait."""
        if not self._notes or number < self._start:
            return True
        return number < self._notes[-1][0] and self.age(number, now) > LIVE_SECONDS

    @property
    def batches_per_second(self) -> float:
        """How fast batches come, over the notes there are."""
        if len(self._notes) < 2:
            return 0.0
        (first, start), (last, end) = self._notes[0], self._notes[-1]
        return (last - first) / max(end - start, STEP_SECONDS)


class Pace:
    """Lets bytes pass at a rate (a token bucket one second deep).

    Args:
        rate: bytes a second.
    """

    def __init__(self, rate: float) -> None:
        self._rate: Final = rate
        self._credit = rate
        self._at = -math.inf

    def delay(self, size: int, least_rate: float = 0.0, now: float | None = None) -> float:
        """Seconds to wait before `size` more bytes may pass; they count as passed.

        Args:
            size: bytes.
            least_rate: the rate is never lower than this, bytes a second.
            now: the time, of a clock that nobody sets.
        """
        moment = time.monotonic() if now is None else now
        rate = max(self._rate, least_rate)
        self._credit = min(rate, self._credit + (moment - self._at) * rate) if self._at > -math.inf else rate
        self._at = moment
        self._credit -= size
        return max(0.0, -self._credit / rate)
