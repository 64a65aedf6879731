"""Whether the promise still holds: no more hours with an alarm than the rate of false alarms allows.

Each hour in which records were heard is a block. A gambler bets against the promise at each hour's odds (an e-process): as long
as the promise holds, whatever came before, his fortune grows by no more than what he brings along, one an hour, so that it
reaches a year's hours no sooner than in a year of such hours, in the mean (Shiryaev and Roberts; Shin, Ramdas and Rinaldo:
e-detectors). Where alarms come more often it grows fast: the plant is no longer as it was learned, or much happens in it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import polars as pl

from detection.anomaly.extremes import WINDOW_NS

if TYPE_CHECKING:
    from collections.abc import Sequence

MODEL: Final = "drift"

HOURS_A_DAY: Final = 24

LIMIT: Final = 8_760.0
"""Fortune at which it is told: hours of a year."""

TIMES: Final = (2.0, 4.0, 8.0)
"""How many times as many hours with an alarm the gambler bets on, with a third of the fortune each."""

CERTAIN: Final = 0.5
"""No bet is on more than this share of hours, and none at all where the promise allows as much."""

HOUR_NS: Final = 3_600_000_000_000

_HOUR: Final = HOUR_NS // WINDOW_NS


@dataclass(frozen=True, slots=True)
class Drift:
    """How the bet stands.

    Attributes:
        fortune: of each of TIMES.
        hour: latest hour with records, hours since 1970; -1: none yet.
        alarmed: whether it had an alarm.
        hours: hours with records.
        alarms: hours with an alarm.
        broken: hour in which it was told that the promise does not hold, if it still does not; -1: it holds.
    """

    fortune: tuple[float, ...] = (0.0,) * len(TIMES)
    hour: int = -1
    alarmed: bool = False
    hours: int = 0
    alarms: int = 0
    broken: int = -1

    @property
    def evidence(self) -> float:
        """The mean fortune."""
        return sum(self.fortune) / len(self.fortune)

    def after(self, hour: int) -> Drift:
        """At the begin of an hour in which something was heard: the one before is over."""
        return replace(self, hour=hour, alarmed=False, hours=self.hours + 1)

    def bet(self, promised: float, *, alarm: bool) -> Drift:
        """After an hour with an alarm, or without one."""
        odds = min(promised, CERTAIN)
        grown = [
            min((held + 1) * _factor(min(times * odds, (1 + odds) / 2), odds, alarm=alarm), LIMIT * 100)
            for held, times in zip(self.fortune, TIMES, strict=True)
        ]
        return replace(self, fortune=tuple(grown), alarms=self.alarms + alarm)


def _factor(share: float, odds: float, *, alarm: bool) -> float:
    return share / odds if alarm else (1 - share) / (1 - odds)


def step(
    state: Drift, heard: pl.Series, alarms: Sequence[pl.DataFrame], false_alarms_a_day: float
) -> tuple[Drift, pl.DataFrame | None]:
    """The bet after more minutes, and the row of the alarm with which it became certain that the promise does not hold.

    Args:
        state: the bet before.
        heard: minutes since 1970 in which records were heard.
        alarms: what was told, with `block` (minutes since 1970), `event`, `sequence`, `row`, `ts`, `client` and `server`.
        false_alarms_a_day: the promise, for minutes.
    """
    promised = false_alarms_a_day / HOURS_A_DAY
    if promised >= CERTAIN:
        return state, None
    named = ["block", "event", "sequence", "row", "ts", "client", "server"]
    rows = pl.concat([each.select(named) for each in alarms]).sort("event", "sequence", "row") if alarms else None
    firsts = (
        {}
        if rows is None
        else {int(hour): number for number, hour in reversed(list(enumerate(rows.get_column("block") // _HOUR)))}
    )
    told: pl.DataFrame | None = None
    for hour in sorted({*(heard // _HOUR).unique().to_list(), *firsts}):
        if hour > state.hour:
            if state.hour >= 0 and not state.alarmed:
                state = state.bet(promised, alarm=False)
            state = replace(state.after(hour), broken=state.broken if state.evidence > LIMIT / 10 else -1)
        if rows is not None and hour in firsts and hour == state.hour and not state.alarmed:
            state = replace(state.bet(promised, alarm=True), alarmed=True)
            if state.evidence >= LIMIT and state.broken < 0:
                state = replace(state, broken=hour)
                told = rows[firsts[hour]].with_columns(
                    score=pl.lit(state.evidence), p_value=pl.lit(1 / state.evidence), hours=pl.lit(state.hours),
                    alarms=pl.lit(state.alarms), promised=pl.lit(false_alarms_a_day),
                )  # fmt: skip
    return state, told
