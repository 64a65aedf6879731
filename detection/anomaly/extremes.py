"""The extremes of many things: least and greatest value of each, and what goes beyond them. Whole frames, any number of things.

Each row is compared with all rows before it, those of earlier steps included, so that the outcome does not depend on where
records are cut.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

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
    judged = pl.col("judged" if "judged" in rows.columns else "value")
    fresh = rows.group_by("key").agg(
        pl.col("value").min().alias("low"),
        pl.col("value").max().alias("high"),
        judged.min().alias("least"),
        judged.max().alias("most"),
        pl.col("value").count().cast(pl.Int64).alias("n"),
        pl.col("event").min().alias("first"),
        pl.col("event").max().alias("last"),
    )
    both = keyed.beside(fresh, known, " known")
    if not learns:
        both = both.filter(pl.col("n known").is_not_null())
    total = pl.col("n") + pl.col("n known").fill_null(0)
    strange = _strange(both.filter(total >= scale.mature)) if scores else both.clear()
    outside = _outside(rows.with_columns(judged=judged), strange, scale)
    merged = both.select(
        "key",
        pl.min_horizontal("low", "low known").alias("low"),
        pl.max_horizontal("high", "high known").alias("high"),
        total.alias("n"),
        pl.coalesce("first known", "first").alias("first"),
        "last",
    )
    grown, over = keyed.renewed(known, merged, ["first", "key"], THINGS)
    return outside, grown, over


def _strange(both: pl.DataFrame) -> pl.DataFrame:
    """The things that went beyond their extremes, or had none."""
    return both.filter(
        pl.col("high known").is_null() | (pl.col("most") > pl.col("high known")) | (pl.col("least") < pl.col("low known"))
    )


def _outside(rows: pl.DataFrame, strange: pl.DataFrame, scale: Scale) -> pl.DataFrame:
    """The rows of things that went beyond their extremes which did so."""
    before = strange.select(
        "key", low="low known", high="high known", n=pl.col("n known").fill_null(0), first="first known", last="last known"
    )
    value = pl.col("value")
    running = (
        rows.filter(pl.col("key").is_in(before.get_column("key").implode()))
        .join(before, on="key", how="inner", maintain_order="left")
        .with_columns(
            low=pl.min_horizontal("low", value.cum_min().forward_fill().shift().over("key")),
            high=pl.max_horizontal("high", value.cum_max().forward_fill().shift().over("key")),
            n=pl.col("n") + value.is_not_null().cum_sum().over("key") - value.is_not_null(),
            first=pl.coalesce("first", pl.col("event").first().over("key")),
            last=pl.coalesce(pl.col("event").shift().over("key"), "last"),
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
    return running.filter(excess("judged") > 0).with_columns(**scored)
