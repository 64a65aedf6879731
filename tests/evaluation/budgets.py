"""How many events are found at so many false alarms a day, whoever tells them.

An alarm is what is told of a server without a pause of half an hour. It is true if it begins while an event lasts of which one of
its hosts is a part, or in the minute after; the event is found then. Else it is false, though it may go on into an event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from detection.anomaly.extremes import WINDOW_NS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BUDGETS: Final = (1.0, 2.0, 5.0, 10.0)
"""False alarms a day at which all are compared."""

APART: Final = 30
"""Minutes of a pause that ends an alarm."""

Event = tuple[int, str]
"""Number of the day, and name."""

TOLD: Final = pl.Schema(
    {"day": pl.Int64(), "server": pl.String(), "window": pl.Int64(), "score": pl.Float64(), "event": pl.String()}
)
"""Columns of minutes of which something was told. event: that it lies in; null: none. In two events it is there twice."""


def told_of(day: int, told: pl.DataFrame, events: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """What was told of a day beside its events, with the columns of TOLD.

    Args:
        day: number of the day.
        told: `window` (minutes since 1970), `hosts` (the server last) and `score`.
        events: each with `name`, `start`, `end` (nanoseconds since 1970) and `hosts`.

    Scores are rounded to hundredths, so that there are few hundred levels of them.
    """
    begin = pl.col("window") * WINDOW_NS
    about = {
        str(each["name"]): (begin < each["end"] + WINDOW_NS)
        & (begin + WINDOW_NS > each["start"])
        & (pl.col("hosts").list.set_intersection(pl.lit(each["hosts"], pl.List(pl.String))).list.len() > 0)
        for each in events
    }
    outside = told.filter(~pl.any_horizontal(pl.lit(value=False), *about.values())).with_columns(event=pl.lit(None, pl.String))
    parts = [outside, *(told.filter(of).with_columns(event=pl.lit(name)) for name, of in about.items())]
    return pl.concat(parts).select(
        day=pl.lit(day, pl.Int64),
        server=pl.col("hosts").list.last(),
        window="window",
        score=pl.col("score").round(2),
        event="event",
    )


def at_budgets(told: pl.DataFrame, length: float, budgets: Sequence[float] = BUDGETS) -> Mapping[float, set[Event]]:
    """The events that are found where so much is told, from the highest score down, as a budget of false alarms allows.

    Args:
        told: of all days, with the columns of TOLD.
        length: how many days these are.
        budgets: false alarms a day. What scores alike is told together.
    """
    allowed = {budget: int(budget * length + 1e-9) for budget in budgets}
    found: dict[float, set[Event]] = {budget: set() for budget in budgets}
    for level in told.get_column("score").unique().sort(descending=True):
        events, false = alarms(told.filter(pl.col("score") >= level))
        for budget in [each for each, most in allowed.items() if false > most]:
            del allowed[budget]
        if not allowed:
            break
        found |= dict.fromkeys(allowed, events)
    return found


def alarms(told: pl.DataFrame) -> tuple[set[Event], int]:
    """The events that alarms find, and how many alarms are false; with the columns of TOLD."""
    rows = told.sort("day", "server", "window")
    apart = (
        (pl.col("day") != pl.col("day").shift())
        | (pl.col("server") != pl.col("server").shift())
        | (pl.col("window").diff() >= APART)
    )
    begins = rows.with_columns(alarm=apart.fill_null(value=True).cum_sum()).filter(
        pl.col("window") == pl.col("window").first().over("alarm")
    )
    true = begins.drop_nulls("event")
    false = begins.get_column("alarm").n_unique() - true.get_column("alarm").n_unique()
    return set(true.select("day", "event").iter_rows()), false
