"""The rate of false alarms that models promise beside the rate of alarms that is measured since they learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from detection.anomaly.drift import HOUR_NS
from detection.anomaly.extremes import WINDOW_NS
from detection.anomaly.history import BLOCKS_A_DAY

if TYPE_CHECKING:
    from detection.anomaly.state import AnomalyState

MINUTES_AN_HOUR: Final = HOUR_NS // WINDOW_NS


@dataclass(frozen=True, slots=True)
class Promise:
    """What is promised, and what is measured.

    Attributes:
        promised: minutes with a false alarm a day, at most, by the site's `false_alarms_a_day`.
        history_hours: hours of the site's history that the promise rests on.
        heard_hours: hours heard since then.
        minutes: minutes of these in which a model told something, whether it was right or not.
        hours: hours on the clock in which something was heard since then.
        alarmed: hours of these in which a model told something.
        broken: when it was told that the promise does not hold, if it still does not, nanoseconds since 1970; None: it holds.
    """

    promised: float
    history_hours: float
    heard_hours: float
    minutes: int
    hours: int
    alarmed: int
    broken: int | None

    @property
    def measured(self) -> float | None:
        """Minutes a day in which a model told something; None where nothing was heard."""
        return self.minutes * BLOCKS_A_DAY / (self.heard_hours * MINUTES_AN_HOUR) if self.heard_hours else None


def promise_of(state: AnomalyState | None) -> Promise | None:
    """What models promise that have learned; None while they learn, and where there are none."""
    if state is None or state.learns or not state.history.blocks:
        return None
    return Promise(
        promised=state.promised,
        history_hours=state.history.blocks / MINUTES_AN_HOUR,
        heard_hours=state.since.blocks / MINUTES_AN_HOUR,
        minutes=len(told_minutes(state)),
        hours=state.drift.hours,
        alarmed=state.drift.alarms,
        broken=None if state.drift.broken < 0 else state.drift.broken * HOUR_NS,
    )


def told_minutes(state: AnomalyState) -> list[int]:
    """Minutes since 1970 in which a model told something, rising."""
    return state.told.highest.get_column("window").unique().sort().to_list()
