"""The extremes of many things: least and greatest value of each, and what goes beyond them. Whole frames, any number of things.

Each row is compared with all rows before it, those of earlier steps included, so that the outcome does not depend on where
records are cut.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import polars as pl

from detection.anomaly import keyed
from detection.anomaly.rounding import divided

if TYPE_CHECKING:
    from numpy.typing import NDArray

WINDOW_NS: Final = 60_000_000_000
"""A minute: models that count do so in windows of this length, and history is scored in blocks of it."""

THINGS: Final = 250_000
"""Things of one model (points, operations, conversations) that are held; what comes beyond that is not learned, and counted."""

SCHEMA: Final = pl.Schema(
    {"key": pl.UInt64(), "low": pl.Float64(), "high": pl.Float64(), "n": pl.Int64(), "first": pl.Int64(), "last": pl.Int64()}
)
"""Columns of extremes. key: of the thing, for this process only; n: rows seen; first, last: event time of the first and of the
latest row, nanoseconds since 1970."""


@dataclass(frozen=True, slots=True)
class Scale:
    """In what unit a model measures how far something is outside.

    Attributes:
        sides: both: the unit is the width between least and greatest value; upper: only greater values count, in units of the
            greatest.
        least: the least unit, in the value's own.
        share: the least unit as a share of the greatest absolute value.
        mature: values that a thing must have had before anything is said of it.
        most: nothing is said of a thing whose greatest value is above this.
    """

    sides: Literal["both", "upper"]
    least: float = 0.0
    share: float = 0.0
    mature: int = 20
    most: float = math.inf


def beyond(
    known: pl.DataFrame, rows: pl.DataFrame, scale: Scale, *, learns: bool, scores: bool = True
) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    """Rows outside of all before them, with how far; the extremes afterwards; and how many things had no room.

    Args:
        known: extremes before, with the columns of SCHEMA, in order of the key.
        rows: `key`, `value` and `event`, in order; more columns are carried along. With a column `judged` it is that which is
            compared with earlier values; a row without a value is judged only. With a column `earlier`, the same of the row
            before in one stretch, its score is given as `score before`.
        scale: the unit of scores.
        learns: whether things that are not known are taken in; otherwise they are passed over.
        scores: whether rows outside are asked for; otherwise none are given.

    The rows outside, if there are any, have `low`, `high` and `last` of the thing before them, and `score`: how far outside, in
    units of the scale, but no more than the thing has had rows, nor than it has been known for windows: what was seen ten times
    can be one in eleven.
    """
    if "judged" not in rows.columns:
        rows = rows.hstack([rows.get_column("value").alias("judged")])
    # A look at a frame costs more than the few things of a small step: these are arrays until something is strange. What is null
    # is NaN here, and passed over.
    groups = keyed.groups(rows)
    first = groups.first
    value, judged, event = (groups.rows.get_column(name).to_numpy() for name in ("value", "judged", "event"))
    keys = groups.rows.get_column(keyed.KEY).gather(first)
    at, there = keyed.places(known, keys)
    low, high = _held(known, "low", at, there), _held(known, "high", at, there)
    begun = _held(known, "first", at, there)
    total = np.add.reduceat(~np.isnan(value), first, dtype=np.int64) + _held(known, "n", at, there)
    told = np.ones(len(first), np.bool_) if learns else there
    outside = _NOTHING_OUTSIDE
    if scores:
        goes_beyond = np.isnan(high) | (np.fmax.reduceat(judged, first) > high) | (np.fmin.reduceat(judged, first) < low)
        strange = told & goes_beyond & (total >= scale.mature)
        if strange.any():
            before = {
                "low": low,
                "high": high,
                "n": _held(known, "n", at, there),
                "first": begun,
                "last": _held(known, "last", at, there),
            }
            outside = _outside(groups, strange, _frame(before, there), scale)
    merged = {
        "key": keys.to_numpy(),
        "low": np.fmin(np.fmin.reduceat(value, first), low),
        "high": np.fmax(np.fmax.reduceat(value, first), high),
        "n": total,
        "first": np.where(there, begun, np.minimum.reduceat(event, first)),
        "last": np.maximum.reduceat(event, first),
    }
    fresh = pl.DataFrame({name: values[told] for name, values in merged.items()}, nan_to_null=True)
    grown, over = keyed.renewed(known, fresh, ["first", "key"], THINGS)
    return outside, grown, over


_NOTHING_OUTSIDE: Final = pl.DataFrame()


def _held(known: pl.DataFrame, name: str, at: NDArray[np.int64], there: NDArray[np.bool_]) -> NDArray[Any]:
    """A column of what is known at these places; NaN, or 0 of whole numbers, for what is not there."""
    column = known.get_column(name).to_numpy()
    found = np.full(len(at), np.nan) if column.dtype == np.float64 else np.zeros(len(at), np.int64)
    found[there] = column[at[there]]
    return found


def _frame(before: dict[str, NDArray[Any]], there: NDArray[np.bool_]) -> pl.DataFrame:
    """What was known of things before; null, but for `n`, of those of which nothing was."""
    frame = pl.DataFrame(before, nan_to_null=True)
    return frame.with_columns(pl.when(pl.lit(pl.Series(there))).then(pl.col("first", "last")))


def _outside(groups: keyed.Groups, strange: NDArray[np.bool_], before: pl.DataFrame, scale: Scale) -> pl.DataFrame:
    """The rows of strange things which went beyond their extremes.

    Args:
        groups: all rows.
        strange: which things are.
        before: for each thing what was known of it before.
        scale: the unit of scores.
    """
    of = np.repeat(np.arange(before.height), groups.sizes)
    chosen = np.flatnonzero(strange[of])
    of, first = of[chosen], groups.first[of[chosen]]
    rows, event = groups.rows[chosen], groups.rows.get_column("event").to_numpy()
    there = groups.rows.get_column("value").is_not_null().to_numpy().astype(np.int64)
    sooner = there.cumsum() - there
    known = before[of]
    value = pl.col("value")
    running = (
        rows.hstack(known)
        .with_columns(
            n=pl.col("n") + pl.Series(sooner[chosen] - sooner[first]),
            first=pl.coalesce("first", pl.Series(event[first])),
            last=pl.coalesce(pl.Series(event[chosen - 1]).set(pl.Series(chosen == first), None), "last"),
        )
        # The others change no extremes.
        .filter(
            pl.col("high").is_null()
            | (pl.max_horizontal("judged", "value") > pl.col("high"))
            | (pl.min_horizontal("judged", "value") < pl.col("low"))
        )
        .with_columns(
            low=pl.min_horizontal("low", value.cum_min().forward_fill().shift().over("key")),
            high=pl.max_horizontal("high", value.cum_max().forward_fill().shift().over("key")),
        )
        .filter((pl.col("n") >= scale.mature) & (pl.col("high") <= scale.most))
    )
    width = pl.col("high") if scale.sides == "upper" else pl.col("high") - pl.col("low")
    unit = pl.max_horizontal(
        width, pl.lit(scale.least), scale.share * pl.max_horizontal(pl.col("low").abs(), pl.col("high").abs())
    )
    unit = pl.when(unit > 0).then(unit).otherwise(1.0)
    most = pl.min_horizontal(pl.col("n").cast(pl.Float64), divided(pl.col("event") - pl.col("first"), WINDOW_NS))

    def excess(judged: str) -> pl.Expr:
        over, under = pl.col(judged) - pl.col("high"), pl.col("low") - pl.col(judged)
        return over if scale.sides == "upper" else pl.max_horizontal(over, under)

    scored = {"score": pl.min_horizontal(excess("judged") / unit, most)}
    if "earlier" in rows.columns:
        scored["score before"] = pl.min_horizontal(excess("earlier").fill_null(-math.inf) / unit, most)
    return groups.in_order(running.filter(excess("judged") > 0).with_columns(**scored))
