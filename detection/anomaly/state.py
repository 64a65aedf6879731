"""What the models know, and where they are in a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

import polars as pl

from detection.anomaly import conversations, order, points
from detection.anomaly.extremes import SCHEMA, WINDOW_NS, Scale
from detection.anomaly.history import History

if TYPE_CHECKING:
    from collections.abc import Mapping

SCALES: Final[Mapping[str, Scale]] = {**points.SCALES, **conversations.SCALES}
"""Models that have extremes, each with its scale."""

DAY_NS: Final = 86_400_000_000_000

_NONE: Final = pl.DataFrame(schema=SCHEMA)


def _nothing() -> dict[str, pl.DataFrame]:
    return {**dict.fromkeys(SCALES, _NONE), "order": pl.DataFrame(schema=order.SCHEMA)}


@dataclass(frozen=True, slots=True)
class AnomalyState:
    """What the models know, and where they are.

    Attributes:
        start: when learning began, nanoseconds since 1970.
        until: when it ends or ended; at a whole minute.
        phase: how sure normality is, as in column anomaly.phase.
        learned: what each model learned.
        seen: the same with what was seen since the day began; while learning it is not used.
        day: the day of `seen`, days since 1970.
        names: for points, operations and conversations what their keys stand for.
        latest_points: latest row of each point.
        latest_requests: latest request of each kind.
        latest_operations: latest request of each conversation.
        minutes: minutes of conversations that are not over.
        heard: event time of the last request, and the column `deaf` of it.
        history: minutes that were scored while learning.
        since: minutes that were scored since.
        told: minutes since then in which a model told something.
        forgotten: things that had no room.
    """

    start: int
    until: int
    phase: str = "provisional"
    learned: Mapping[str, pl.DataFrame] = field(default_factory=_nothing)
    seen: Mapping[str, pl.DataFrame] = field(default_factory=dict[str, pl.DataFrame])
    day: int = -1
    names: Mapping[str, pl.DataFrame] = field(default_factory=dict[str, pl.DataFrame])
    latest_points: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=points.LATEST))
    latest_requests: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=conversations.LATEST))
    latest_operations: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=order.LATEST))
    minutes: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=conversations.COUNTED))
    heard: tuple[int, int] = (0, 0)
    history: History = field(default_factory=History)
    since: History = field(default_factory=History)
    told: History = field(default_factory=History)
    forgotten: int = 0

    @classmethod
    def learning(cls, start: int, until: int) -> Self:
        """A state that learns between two times, nanoseconds since 1970."""
        return cls(start, until // WINDOW_NS * WINDOW_NS)

    @property
    def scored_from(self) -> int:
        """When learning is half over: from then on minutes are scored before they are learned from."""
        return (self.start + (self.until - self.start) // 2) // WINDOW_NS * WINDOW_NS

    def part_of(self, event: pl.Expr) -> pl.Expr:
        """In which part of the run an event lies: -2 and -1 the halves of learning, then days since 1970."""
        return pl.when(event < self.scored_from).then(-2).when(event < self.until).then(-1).otherwise(event // DAY_NS)
