"""What the models know, and where they are in a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

import numpy as np
import polars as pl

from detection.anomaly import conversations, hours, members, order, points, repeats, together, windows
from detection.anomaly.drift import Drift
from detection.anomaly.extremes import SCHEMA, WINDOW_NS, Scale
from detection.anomaly.history import FALSE_ALARMS_A_DAY, History

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from detection.baseline.decisions import Scope

SCALES: Final[Mapping[str, Scale]] = {
    **points.SCALES, **conversations.SCALES, **hours.SCALES, **windows.SCALES, **repeats.SCALES,
}  # fmt: skip
"""Models that have extremes, each with its scale."""

AT_END: Final = frozenset({"volume", "response", *hours.SCALES, *windows.SCALES})
"""Models of minutes, windows and hours: what they find is known at the end, which is the next one's begin."""

ALWAYS: Final = 2**63 - 1
"""A time after all."""

LEARNED_BEFORE: Final = -(2**63)
"""The end of learning where a run begins with what was learned before: nothing of it is learned."""

DAY_NS: Final = 86_400_000_000_000

_NONE: Final = pl.DataFrame(schema=SCHEMA)


def _nothing() -> dict[str, pl.DataFrame]:
    return {
        **dict.fromkeys(SCALES, _NONE),
        **dict.fromkeys(members.MODELS, members.NOTHING),
        "order": pl.DataFrame(schema=order.SCHEMA),
    }


@dataclass(frozen=True, slots=True)
class AnomalyState:
    """What the models know, and where they are.

    Attributes:
        start: when learning began, nanoseconds since 1970.
        until: when it ends or ended; at a whole minute.
        phase: how sure normality is, as in column anomaly.phase.
        assets: servers of which another phase holds.
        live: whether it is learned live: then nobody knows yet when learning ends.
        known_until: event time up to which it is known that it goes on.
        learned: what each model learned.
        seen: the same with what was seen since the day began; while learning it is not used.
        day: the day of `seen`, days since 1970.
        names: for points, operations and conversations what their keys stand for.
        latest_points: latest row of each point.
        latest_requests: latest request of each kind.
        latest_operations: latest request of each conversation.
        minutes: minutes of conversations that are not over.
        open_hours: hours of conversations that are not over.
        open_windows: windows of points that are not over.
        unusual: what models said of servers in minutes that are not over.
        stretches: latest stretch of each point.
        memory: stretches that came before.
        waiting: rows of points for which it is not known yet whether they are learned from.
        heard: event time of the last request, and the column `deaf` of it.
        spoken: time heard up to which missing polls have been told.
        history: minutes that were scored while learning.
        since: minutes that were scored since.
        told: minutes since then in which a model told something.
        promised: minutes with a false alarm a day that the site allows, as it was last said.
        drift: whether the promised rate of false alarms holds.
        forgotten: things that had no room.
        decided: decisions of people that were taken in.
        scopes: what is learned anew after planned changes.
        again: what was learned of that so far; None where there is no such thing.
    """

    start: int
    until: int
    phase: str = "provisional"
    assets: Mapping[str, str] = field(default_factory=dict[str, str])
    live: bool = False
    known_until: int = 0
    learned: Mapping[str, pl.DataFrame] = field(default_factory=_nothing)
    seen: Mapping[str, pl.DataFrame] = field(default_factory=dict[str, pl.DataFrame])
    day: int = -1
    names: Mapping[str, pl.DataFrame] = field(default_factory=dict[str, pl.DataFrame])
    latest_points: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=points.LATEST))
    latest_requests: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=conversations.LATEST))
    latest_operations: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=order.LATEST))
    minutes: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=conversations.COUNTED))
    open_hours: pl.DataFrame = field(default_factory=lambda: hours.NOTHING)
    open_windows: pl.DataFrame = field(default_factory=lambda: windows.NOTHING)
    unusual: pl.DataFrame = field(default_factory=lambda: together.NOTHING)
    stretches: pl.DataFrame = field(default_factory=lambda: repeats.NOTHING)
    memory: NDArray[np.uint32] = field(default_factory=repeats.no_stretches)
    waiting: pl.DataFrame = field(default_factory=lambda: points.ROWS)
    heard: tuple[int, int] = (0, 0)
    spoken: int = -1
    history: History = field(default_factory=History)
    since: History = field(default_factory=History)
    told: History = field(default_factory=History)
    promised: float = FALSE_ALARMS_A_DAY
    drift: Drift = field(default_factory=Drift)
    forgotten: int = 0
    decided: int = 0
    scopes: tuple[Scope, ...] = ()
    again: AnomalyState | None = None

    @classmethod
    def learning(cls, start: int, until: int) -> Self:
        """A state that learns between two times, nanoseconds since 1970."""
        return cls(start, until // WINDOW_NS * WINDOW_NS)

    @classmethod
    def learning_live(cls) -> Self:
        """A state that learns from the first record on, until it is told the end."""
        return cls(0, ALWAYS, live=True)

    @property
    def learns(self) -> bool:
        """Whether it still learns, which it does until something of the time after the end is known."""
        return self.live or (self.day < 0 and self.until != LEARNED_BEFORE)

    @property
    def scored_from(self) -> int:
        """When learning is half over: from then on minutes are scored before they are learned from; all where no end is known."""
        if self.live:
            return -(2**63)
        return (self.start + (self.until - self.start) // 2) // WINDOW_NS * WINDOW_NS

    def part_of(self, events: NDArray[np.int64]) -> NDArray[np.int64]:
        """In which part of the run events lie: -2 and -1 the halves of learning, then days since 1970."""
        return np.where(events < self.scored_from, -2, np.where(events < self.until, -1, events // DAY_NS))
