"""How far a partition of records is taken in time, so that whether a sensor is silent follows from the topic alone. Pure.

Messages have the time at which they came to the topic, by the brokers' clock (LogAppendTime), and lie in that order. So all that
came before the last message that was taken is taken too. Where no message comes time goes on by the worker's own clock, but only
while nothing lies in the partition that is not taken: whoever looks at the same topic later, or has a backlog, decides the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MARGIN_MS: Final = 1_000
"""How much longer than is asked nothing must have come where the worker's clock says so, milliseconds: so far a broker's clock
may be behind that of the broker which led the partition before it, or be set back."""


@dataclass(slots=True)
class PartitionClock:
    """How far a partition is taken in time.

    Attributes:
        next: place behind the last message that was taken.
        came_ms: when that message came to the topic, or an earlier one, milliseconds since 1970.
        seconds: when it was taken, by the worker's clock, which only goes forward.
    """

    next: int
    came_ms: int
    seconds: float

    def take(self, offset: int, came_ms: int, seconds: float) -> None:
        """A message is taken: its place, when it came to the topic, and now by the worker's clock."""
        self.next = offset + 1
        self.came_ms = max(self.came_ms, came_ms)
        self.seconds = seconds

    def is_past(self, moment_ms: float, seconds: float, end: Callable[[], int | None]) -> bool:
        """Whether all that came to the topic until a moment is taken, as far as is known.

        Args:
            moment_ms: the moment, milliseconds since 1970.
            seconds: now by the worker's clock, read before `end` is asked.
            end: asks for the place behind the last message of the partition; None where it cannot be told now.
        """
        if self.came_ms > moment_ms:
            return True
        if self.came_ms + (seconds - self.seconds) * 1_000 - MARGIN_MS <= moment_ms:
            return False
        place = end()
        return place is not None and place <= self.next
