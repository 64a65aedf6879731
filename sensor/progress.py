"""How far a consumer is in a stream: what waits, for how long, and how old what it has done is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from sensor.metrics import BATCH_AGE, LAG_BATCHES, LAG_SECONDS, Reading
from sensor.uplink_pace import Arrivals

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

STUCK_SECONDS: Final = 120.0
"""Who does nothing for so long while batches wait does not work: no step takes as long."""


class Progress:
    """Where a consumer stands. Told by its thread, read by any.

    Args:
        consumer: its name in metrics.
    """

    def __init__(self, consumer: str) -> None:
        self._consumer: Final = consumer
        self._arrivals: dict[str, Arrivals] = {}
        self._left: dict[str, tuple[int, int]] = {}
        self._moved = time.monotonic()
        self._age: float | None = None

    def stand(self, ends: Mapping[str, int], offsets: Mapping[str, int]) -> None:
        """Tell where it stands in each partition that it reads, and where these end; others are forgotten."""
        now = time.monotonic()
        left = {name: (offsets.get(name, 0), max(end, offsets.get(name, 0))) for name, end in ends.items()}
        if any(offset != self._left.get(name, (offset, 0))[0] for name, (offset, _) in left.items()) or not self._waiting(left):
            self._moved = now
        arrivals = {name: self._arrivals.get(name) or Arrivals() for name in left}
        for name, (_, end) in left.items():
            arrivals[name].see(end, now)
        self._arrivals, self._left = arrivals, left

    def did(self, cut_end: int) -> None:
        """Tell that a batch is done whose cut ended at this time, nanoseconds since 1970."""
        self._age = time.time() - cut_end / 1e9

    @property
    def lag_batches(self) -> int:
        """Places in the stream between where it stands and its end: one for each batch."""
        return self._waiting(self._left)

    @property
    def lag_seconds(self) -> float:
        """How long the oldest batch that waits has been seen to wait."""
        now, arrivals = time.monotonic(), self._arrivals
        waiting = [(name, offset) for name, (offset, end) in self._left.items() if end > offset]
        return max((arrivals[name].age(offset, now) for name, offset in waiting if name in arrivals), default=0.0)

    @property
    def stuck(self) -> str | None:
        """Why it does not work, in one line; None where it does."""
        idle = time.monotonic() - self._moved
        if idle <= STUCK_SECONDS or not self.lag_batches:
            return None
        return f"has done nothing for {idle:.0f} s while {self.lag_batches:,} batches wait"

    def readings(self) -> Iterator[Reading]:
        """Lag and age."""
        yield Reading(LAG_BATCHES, self.lag_batches, (self._consumer,))
        yield Reading(LAG_SECONDS, self.lag_seconds, (self._consumer,))
        if self._age is not None:
            yield Reading(BATCH_AGE, self._age, (self._consumer,))

    @staticmethod
    def _waiting(left: Mapping[str, tuple[int, int]]) -> int:
        return sum(end - offset for offset, end in left.values())
