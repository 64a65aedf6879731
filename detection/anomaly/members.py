"""Which values a point takes, where it takes few, and how many decimals they have: what is none of them.

A point that toggles between two values and shows a third is told, whatever lies between them; so is one that always moved in tens
and moves in ones, as where something is hidden in its last digit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from detection.anomaly import keyed
from detection.anomaly.extremes import THINGS, WINDOW_NS
from detection.anomaly.rounding import divided
from detection.gathering import ENGINE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

MOST: Final = 16
"""Members of a point's set at most; one that takes more has no set."""

MATURE: Final = 20
"""Changes of a point before anything is said of what it is not."""

MODELS: Final = ("members", "decimals")

RISING: Final = frozenset({"decimals"})
"""Models of which only a member above all before is strange: a number with fewer decimals than usual is a round one by chance."""

SCHEMA: Final = pl.Schema({"key": pl.UInt64(), "member": pl.Float64(), "n": pl.Int64(), "first": pl.Int64(), "last": pl.Int64()})
"""Columns of members. key: of the point, for this process only; member: value, or number of decimals, less than none where it is
a multiple of ten; n, first, last: as of extremes. A point that takes too many has one row, whose member is null."""

NOTHING: Final = pl.DataFrame(schema=SCHEMA)


def features(known: pl.DataFrame) -> Mapping[str, pl.DataFrame]:
    """Changes of points with the member that each model looks at."""
    named = ["key", "event", "sequence", "row", "ts", "client", "server", "point"]
    changed = known.filter((pl.col("step") > 0) | pl.col("step").is_null()).select(*named, member="number")
    decimals = pl.Series(_decimals(changed.get_column("member").to_numpy()), nan_to_null=True)
    return {"members": changed, "decimals": changed.with_columns(member=decimals)}


def _decimals(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Decimals of numbers, -3 to 4: 1 for 2.5, 0 for 25, -1 for 20; more than 3 are 4. Of 0 there are none: NaN."""
    whole = _has(numbers, 0)
    found = np.where(whole, 0.0, 4.0)
    rest = np.flatnonzero(whole & (numbers != 0))
    for places in (-1, -2, -3):
        rest = rest[_has(numbers[rest], places)]
        found[rest] = places
    rest = np.flatnonzero(~whole)
    for places in (1, 2, 3):
        has = _has(numbers[rest], places)
        found[rest[has]] = places
        rest = rest[~has]
    return np.where(numbers == 0, np.nan, found)


def _has(numbers: NDArray[np.float64], places: int) -> NDArray[np.bool_]:
    """Whether numbers have no more decimals than so many; sixteen digits are all that a number has."""
    shifted = np.abs(numbers * 10.0**places)
    return np.abs(shifted - np.rint(shifted)) <= 1e-9 * np.maximum(shifted, 1e-3)


def strange(
    known: pl.DataFrame, rows: pl.DataFrame, *, learns: bool, scores: bool = True, rising: bool = False
) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    """Members that a point never showed before, with `score`, if there are any; what is known afterwards; and what had no room.

    The score is how often the point changed before, but no more than the minutes that it has been known.

    Args:
        known: members before, with the columns of SCHEMA.
        rows: `key`, `member` and `event`, in order within each point; more columns are carried along.
        learns: whether points that are not known are taken in.
        scores: whether strange members are asked for; otherwise none are given.
        rising: whether only members above all before are strange.
    """
    groups = keyed.groups(rows.drop_nulls("member") if rows.get_column("member").null_count() else rows)
    keys = groups.rows.get_column("key").to_numpy()[groups.first]
    wanted = ~np.isin(keys, known.filter(pl.col("member").is_null()).get_column("key").to_numpy())
    if not learns:
        wanted &= np.isin(keys, known.get_column("key").to_numpy())
    groups = groups.only(wanted)
    if groups.rows.is_empty():
        return _NOTHING_STRANGE, known, 0
    fresh = (
        groups.rows.lazy()
        .with_row_index("at")
        .with_columns(pair=pl.col("key") ^ pl.col("member").hash(11))
        .group_by("pair", maintain_order=True)
        .agg(
            pl.col("key", "member", "at").first(),
            n=pl.len().cast(pl.Int64),
            first=pl.col("event").min(),
            last=pl.col("event").max(),
        )
        .collect(engine=ENGINE)
    )
    present = known.get_column("key").is_in(fresh.get_column("key").unique().implode())
    there = known.filter(present)
    new = fresh.join(there.select("key", "member"), on=["key", "member"], how="anti", maintain_order="left")
    found = _scored(there, groups, new.get_column("at"), rising=rising) if scores and new.height else _NOTHING_STRANGE
    grown = (
        pl.concat([there.lazy(), fresh.lazy().select(list(SCHEMA))])
        .group_by("key", "member", maintain_order=True)
        .agg(pl.col("n").sum(), pl.col("first").min(), pl.col("last").max())
    )
    whole = pl.concat([known.filter(~present), bounded(grown.collect(engine=ENGINE))])
    return found, whole.head(THINGS), max(0, whole.height - THINGS)


_NOTHING_STRANGE: Final = pl.DataFrame()


def bounded(members: pl.DataFrame) -> pl.DataFrame:
    """Members, but one row without a member for each point that has too many, or had."""
    full = (pl.len().over("key") > MOST) | pl.col("member").is_null().any().over("key")
    marked = members.with_columns(full=full)
    if not marked.get_column("full").any():
        return members
    closed = (
        marked.filter("full")
        .group_by("key", maintain_order=True)
        .agg(member=pl.lit(None, pl.Float64).first(), n=pl.col("n").sum(), first=pl.col("first").min(), last=pl.col("last").max())
    )
    return pl.concat([marked.filter(~pl.col("full")).drop("full"), closed.select(list(SCHEMA))])


def _scored(there: pl.DataFrame, groups: keyed.Groups, new: pl.Series, *, rising: bool) -> pl.DataFrame:
    """The first rows of new members, by their places in the groups, of points that changed often enough before."""
    at = new.to_numpy().astype(np.int64)
    begin = groups.first[groups.first.searchsorted(at, side="right") - 1]
    event = groups.rows.get_column("event").to_numpy()
    counted = groups.rows[at].with_columns(
        earlier=pl.Series(at - begin),
        begins=pl.Series(event[begin]),
        before=pl.Series(event[at - 1]).set(pl.Series(at == begin), None),
    )
    total = (
        there.filter(pl.col("key").is_in(counted.get_column("key").unique().implode()))
        .group_by("key")
        .agg(
            times=pl.col("n").sum(),
            began=pl.col("first").min(),
            later=pl.col("last").max(),
            size=pl.len().cast(pl.Int64),
            top=pl.col("member").max(),
        )
    )
    minutes = divided(pl.col("event") - pl.coalesce("began", "begins"), WINDOW_NS)
    top = pl.max_horizontal("top", pl.col("member").cum_max().shift().over("key"))
    above = (pl.col("member") > top).fill_null(value=True) if rising else pl.lit(value=True)
    return (
        counted.join(total, on="key", how="left", maintain_order="left")
        # Beyond as many members as a set may have nothing is said of the point any more.
        .filter((pl.col("size").fill_null(0) + pl.int_range(pl.len()).over("key") <= MOST) & above)
        .with_columns(
            times=pl.col("times").fill_null(0) + pl.col("earlier"),
            last=pl.coalesce("before", "later"),
        )
        .with_columns(score=pl.min_horizontal(pl.col("times").cast(pl.Float64), minutes))
        .filter(pl.col("times") >= MATURE)
        .drop("earlier", "begins", "before", "began", "later", "size", "times", "top")
    )


def usual(learned: pl.DataFrame, keys: pl.Series) -> pl.DataFrame:
    """What a point's set was while learning: `key` and `usual`, as text, the most frequent first."""
    return (
        learned.filter(pl.col("key").is_in(keys.implode()))
        .sort("n", "member", descending=[True, False])
        .group_by("key", maintain_order=True)
        .agg(usual=pl.col("member").head(8))
    )
