"""Which values a point takes, where it takes few, and how many decimals they have: what is none of them.

A point that toggles between two values and shows a third is told, whatever lies between them; so is one that always moved in tens
and moves in ones, as where something is hidden in its last digit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from detection.anomaly.extremes import THINGS, WINDOW_NS
from detection.anomaly.rounding import divided

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST: Final = 16
"""Members of a point's set at most; one that takes more has no set."""

MATURE: Final = 20
"""Changes of a point before anything is said of what it is not."""

MODELS: Final = ("members", "decimals")

SCHEMA: Final = pl.Schema({"key": pl.UInt64(), "member": pl.Float64(), "n": pl.Int64(), "first": pl.Int64(), "last": pl.Int64()})
"""Columns of members. key: of the point, for this process only; member: value, or number of decimals, less than none where it is
a multiple of ten; n, first, last: as of extremes. A point that takes too many has one row, whose member is null."""

NOTHING: Final = pl.DataFrame(schema=SCHEMA)


def features(known: pl.DataFrame) -> Mapping[str, pl.DataFrame]:
    """Changes of points with the member that each model looks at."""
    named = ["key", "event", "sequence", "row", "ts", "client", "server", "point"]
    changed = known.filter((pl.col("step") > 0) | pl.col("step").is_null())
    return {
        "members": changed.select(*named, member="number"),
        "decimals": changed.select(*named, member=_decimals(pl.col("number"))),
    }


def _decimals(number: pl.Expr) -> pl.Expr:
    """Decimals of a number, -3 to 4: 1 for 2.5, 0 for 25, -1 for 20; more than 3 are 4."""
    found = pl.lit(4.0)
    for places in range(3, -4, -1):
        shifted = number * 10.0**places
        # Sixteen digits are all that a number has.
        found = (
            pl.when((shifted - shifted.round(0)).abs() <= 1e-9 * shifted.abs().clip(1e-3)).then(float(places)).otherwise(found)
        )
    return pl.when(number == 0).then(None).otherwise(found)


def strange(
    known: pl.DataFrame, rows: pl.DataFrame, *, learns: bool, scores: bool = True
) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    """Members that a point never showed before, with `score`; what is known afterwards; and what had no room.

    The score is how often the point changed before, but no more than the minutes that it has been known.

    Args:
        known: members before, with the columns of SCHEMA.
        rows: `key`, `member` and `event`, in order within each point; more columns are carried along.
        learns: whether points that are not known are taken in.
        scores: whether strange members are asked for; otherwise none are given.
    """
    rows = rows.filter(pl.col("member").is_not_null())
    full = known.filter(pl.col("member").is_null()).get_column("key")
    rows = rows.filter(~pl.col("key").is_in(full.implode()))
    if not learns:
        rows = rows.filter(pl.col("key").is_in(known.get_column("key").unique().implode()))
    if rows.is_empty():
        return rows.with_columns(score=pl.lit(None, pl.Float64), last=pl.lit(None, pl.Int64)), known, 0
    fresh = rows.group_by("key", "member", maintain_order=True).agg(
        n=pl.len().cast(pl.Int64), first=pl.col("event").min(), last=pl.col("event").max()
    )
    present = known.get_column("key").is_in(fresh.get_column("key").unique().implode())
    there = known.filter(present)
    new = fresh.join(there.select("key", "member"), on=["key", "member"], how="anti", maintain_order="left")
    found = _scored(there, rows, new if scores else new.clear())
    grown = (
        pl.concat([there, fresh.select(list(SCHEMA))])
        .group_by("key", "member", maintain_order=True)
        .agg(pl.col("n").sum(), pl.col("first").min(), pl.col("last").max())
    )
    whole = pl.concat([known.filter(~present), bounded(grown)])
    return found, whole.head(THINGS), max(0, whole.height - THINGS)


def bounded(members: pl.DataFrame) -> pl.DataFrame:
    """Members, but one row without a member for each point that has too many, or had."""
    full = (pl.len().over("key") > MOST) | pl.col("member").is_null().any().over("key")
    marked = members.with_columns(full=full)
    closed = (
        marked.filter("full")
        .group_by("key", maintain_order=True)
        .agg(member=pl.lit(None, pl.Float64).first(), n=pl.col("n").sum(), first=pl.col("first").min(), last=pl.col("last").max())
    )
    return pl.concat([marked.filter(~pl.col("full")).drop("full"), closed.select(list(SCHEMA))])


def _scored(there: pl.DataFrame, rows: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """The first row of each new member of a point that changed often enough before."""
    concerned = new.get_column("key").unique().implode()
    total = (
        there.filter(pl.col("key").is_in(concerned))
        .group_by("key")
        .agg(times=pl.col("n").sum(), began=pl.col("first").min(), later=pl.col("last").max())
    )
    counted = rows.filter(pl.col("key").is_in(concerned)).with_columns(
        nth=pl.int_range(pl.len()).over("key", "member"),
        earlier=pl.int_range(pl.len()).over("key"),
        begins=pl.col("event").first().over("key"),
        before=pl.col("event").shift().over("key"),
    )
    minutes = divided(pl.col("event") - pl.coalesce("began", "begins"), WINDOW_NS)
    sizes = there.group_by("key").agg(size=pl.len().cast(pl.Int64))
    return (
        counted.filter(pl.col("nth") == 0)
        .join(new.select("key", "member"), on=["key", "member"], how="semi", maintain_order="left")
        .join(sizes, on="key", how="left", maintain_order="left")
        # Beyond as many members as a set may have nothing is said of the point any more.
        .filter(pl.col("size").fill_null(0) + pl.int_range(pl.len()).over("key") <= MOST)
        .join(total, on="key", how="left", maintain_order="left")
        .with_columns(
            times=pl.col("times").fill_null(0) + pl.col("earlier"),
            last=pl.coalesce("before", "later"),
        )
        .with_columns(score=pl.min_horizontal(pl.col("times").cast(pl.Float64), minutes))
        .filter(pl.col("times") >= MATURE)
        .drop("nth", "earlier", "begins", "before", "began", "later", "size", "times")
    )


def usual(learned: pl.DataFrame, keys: pl.Series) -> pl.DataFrame:
    """What a point's set was while learning: `key` and `usual`, as text, the most frequent first."""
    return (
        learned.filter(pl.col("key").is_in(keys.implode()))
        .sort("n", "member", descending=[True, False])
        .group_by("key", maintain_order=True)
        .agg(usual=pl.col("member").head(8))
    )
