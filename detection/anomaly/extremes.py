"""The extremes of many things: least and greatest value of each, and what goes beyond them. Whole frames, any number of things.

Each row is compared with all rows before it, those of earlier steps included, so that the outcome does not depend on where
records are cut.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import polars as pl

from detection.anomaly import keyed
from detection.anomaly.rounding import divided

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

    The rows outside have `low`, `high` and `last` of the thing before them, and `score`: how far outside, in units of the scale,
    but no more than the thing has had rows, nor than it has been known for windows: what was seen ten times can be one in eleven.
    """
    rows = rows.with_columns(judged=pl.col("judged" if "judged" in rows.columns else "value"))
    groups = keyed.groups(rows)
    rows = groups.rows
    both = keyed.beside(_extremes(groups), known, " known")
    total = pl.col("n") + pl.col("n known").fill_null(0)
    strange = (total >= scale.mature) & _GOES_BEYOND if scores else pl.lit(value=False)
    told = pl.lit(value=True) if learns else pl.col("n known").is_not_null()
    outside = _outside(groups, both.select(strange=strange & told, **_BEFORE), scale)
    merged = both.filter(told).select(
        "key",
        pl.min_horizontal("low", "low known").alias("low"),
        pl.max_horizontal("high", "high known").alias("high"),
        total.alias("n"),
        pl.coalesce("first known", "first").alias("first"),
        "last",
    )
    grown, over = keyed.renewed(known, merged, ["first", "key"], THINGS)
    return outside, grown, over


_BEFORE: Final = {
    "low": "low known",
    "high": "high known",
    "n": pl.col("n known").fill_null(0),
    "first": "first known",
    "last": "last known",
}
"""What is known of things before the rows that are looked at."""


def _extremes(groups: keyed.Groups) -> pl.DataFrame:
    """Of each thing the extremes of its rows, of what is judged too, in order of the key."""
    rows, first = groups.rows, groups.first
    value, judged, event = (rows.get_column(name).to_numpy() for name in ("value", "judged", "event"))
    return pl.DataFrame(
        {
            "key": rows.get_column(keyed.KEY).to_numpy()[first],
            # What is null is NaN here, and passed over.
            "low": np.fmin.reduceat(value, first),
            "high": np.fmax.reduceat(value, first),
            "least": np.fmin.reduceat(judged, first),
            "most": np.fmax.reduceat(judged, first),
            "n": np.add.reduceat(~np.isnan(value), first, dtype=np.int64),
            "first": np.minimum.reduceat(event, first),
            "last": np.maximum.reduceat(event, first),
        },
        nan_to_null=True,
    )


_GOES_BEYOND: Final = (
    pl.col("high known").is_null() | (pl.col("most") > pl.col("high known")) | (pl.col("least") < pl.col("low known"))
)
"""Whether a thing went beyond its extremes, or had none."""


_NOTHING_OUTSIDE: Final = [
    pl.lit(None, kind).alias(name)
    for kind, names in ((pl.Float64, ("low", "high", "score")), (pl.Int64, ("n", "first", "last")))
    for name in names
]


def _outside(groups: keyed.Groups, before: pl.DataFrame, scale: Scale) -> pl.DataFrame:
    """The rows of strange things which went beyond their extremes.

    Args:
        groups: all rows.
        before: for each thing whether it is `strange`, and what was known of it before.
        scale: the unit of scores.
    """
    if not before.get_column("strange").any():
        return groups.in_order(groups.rows.clear()).with_columns(_NOTHING_OUTSIDE)
    of = np.repeat(np.arange(before.height), groups.sizes)
    chosen = np.flatnonzero(before.get_column("strange").to_numpy()[of])
    of, first = of[chosen], groups.first[of[chosen]]
    rows, event = groups.rows[chosen], groups.rows.get_column("event").to_numpy()
    there = groups.rows.get_column("value").is_not_null().to_numpy().astype(np.int64)
    sooner = there.cumsum() - there
    known = before.drop("strange")[of]
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
