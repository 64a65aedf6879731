"""Which operation follows which in a conversation: a Markov chain of first order."""

from __future__ import annotations

from typing import Final

import polars as pl

from detection.anomaly import keyed
from detection.anomaly.conversations import OPERATION, REQUEST, operation_key
from detection.anomaly.extremes import THINGS, WINDOW_NS
from detection.anomaly.rounding import divided
from detection.gathering import ENGINE

MATURE: Final = 20
"""Times that an operation must have been left before anything is said of what follows it."""

_PLACE: Final = ("unit", "function", "address")
_FROM: Final = tuple(f"{name} before" for name in _PLACE)

KEY: Final = ("client", "server", *_FROM, *_PLACE)
"""What makes two transitions the same: conversation, operation before and operation after."""

SCHEMA: Final = pl.Schema(
    {
        "client": REQUEST["client"],
        "server": REQUEST["server"],
        **{f"{name} before": REQUEST[name] for name in _PLACE},
        **{name: REQUEST[name] for name in _PLACE},
        "n": pl.Int64(),
        "first": pl.Int64(),
        "last": pl.Int64(),
        "left": pl.UInt64(),
        "key": pl.UInt64(),
    }
)
"""Columns of transitions: n, first and last as of extremes; left: key of the operation before."""

LATEST: Final = pl.Schema({"key": pl.UInt64(), "operation": pl.UInt64(), **{name: REQUEST[name] for name in (*OPERATION, "ts")}})
"""Columns of the latest request of each conversation. key: of the conversation; operation: of the kind of request."""


def with_keys(transitions: pl.DataFrame) -> pl.DataFrame:
    """Transitions with their keys, which hold in this process only."""
    before = transitions.select("client", "server", *(pl.col(f"{name} before").alias(name) for name in _PLACE))
    left = before.select(key=operation_key()).to_series()
    entered = transitions.select(key=operation_key()).to_series()
    return transitions.with_columns(left=left, key=left.hash(7) ^ entered)


def transitions(carried: pl.DataFrame, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Each request with the operation before it in its conversation, and the latest of each of these conversations afterwards.

    `carried` are the latest of all conversations, with the columns of LATEST, in order of the key, which is the conversation's.
    """
    before = keyed.rows_of(carried, rows.get_column("talk").unique()).lazy().rename({"key": "talk", "operation": "key"})
    told = pl.concat(
        [before.with_columns(fresh=pl.lit(value=False)), rows.lazy().with_columns(fresh=pl.lit(value=True))], how="diagonal"
    ).sort("talk", maintain_order=True)
    same = pl.col("talk") == pl.col("talk").shift()
    latest = told.filter(pl.col("talk").ne_missing(pl.col("talk").shift(-1))).select(
        pl.col("talk").alias("key"), pl.col("key").alias("operation"), *list(LATEST)[2:]
    )
    found = (
        told.with_columns(pl.when(same).then(pl.col(name).shift()).alias(f"{name} before") for name in ("key", *_PLACE))
        .filter(pl.col("fresh") & pl.col("key before").is_not_null())
        .with_columns(left="key before", key=pl.col("key before").hash(7) ^ pl.col("key"))
    )
    found, latest = pl.collect_all([found, latest], engine=ENGINE)
    return found, latest


def unusual(
    known: pl.DataFrame, found: pl.DataFrame, *, learns: bool, scores: bool = True
) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    """Transitions that were never seen before, from operations that were; what is known afterwards; and what had no room.

    The score is how often the operation before was left in another way, but no more than the minutes that it has been known.

    Args:
        known: transitions before, with the columns of SCHEMA, in order of the key.
        found: what `transitions` gave.
        learns: whether all transitions are taken in; otherwise only those from an operation that is known.
        scores: whether unusual ones are asked for; otherwise none are given.
    """
    if found.is_empty():
        return _NOTHING_UNUSUAL, known, 0
    fresh = found.group_by("key").agg(
        pl.col("client", "server", *_FROM, *_PLACE, "left").first(),
        n=pl.len().cast(pl.Int64),
        first=pl.col("event").min(),
        last=pl.col("event").max(),
    )
    both = keyed.beside(fresh, known.select("key", "n", "first"), " known")
    new = both.filter(pl.col("n known").is_null())
    unusual_ = _scored(known, found, new) if scores and new.height else _NOTHING_UNUSUAL
    merged = both.with_columns(n=pl.col("n") + pl.col("n known").fill_null(0), first=pl.coalesce("first known", "first"))
    if not learns and new.height:
        # Of what is new that only is kept which leaves a known operation: the rest is no conversation that was learned.
        kept = pl.col("left").is_in(known.get_column("left").unique().implode())
        merged = merged.filter(pl.col("n known").is_not_null() | kept)
    grown, over = keyed.renewed(known, merged, ["first", "key"], THINGS)
    return unusual_, grown, over


_NOTHING_UNUSUAL: Final = pl.DataFrame()


def _scored(known: pl.DataFrame, found: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """The first row of each new transition from an operation that was left in other ways often enough."""
    lefts = new.get_column("left").unique().implode()
    total = (
        known.filter(pl.col("left").is_in(lefts))
        .group_by("left")
        .agg(times=pl.col("n").sum(), began=pl.col("first").min(), later=pl.col("last").max())
    )
    rows = found.filter(pl.col("left").is_in(lefts)).with_columns(
        nth=pl.int_range(pl.len()).over("key"),
        earlier=pl.int_range(pl.len()).over("left"),
        begins=pl.col("event").first().over("left"),
        before=pl.col("event").shift().over("left"),
    )
    times = pl.col("times").fill_null(0) + pl.col("earlier")
    minutes = divided(pl.col("event") - pl.coalesce("began", "begins"), WINDOW_NS)
    return (
        rows.filter((pl.col("nth") == 0) & pl.col("key").is_in(new.get_column("key").implode()))
        .join(total, on="left", how="left", maintain_order="left")
        .with_columns(times=times, last=pl.coalesce("before", "later"))
        .with_columns(score=pl.min_horizontal(pl.col("times").cast(pl.Float64), minutes))
        .filter(pl.col("times") >= MATURE)
    )


def usual(learned: pl.DataFrame, lefts: pl.Series) -> pl.DataFrame:
    """What most often followed these operations while learning: `left`, place of the operation, and its share."""
    return (
        learned.filter(pl.col("left").is_in(lefts.implode()))
        .sort("n", "first", "key", descending=[True, False, False])
        .group_by("left", maintain_order=True)
        .agg(
            *(pl.col(name).first().alias(f"{name} usual") for name in _PLACE),
            share=pl.col("n").first() / pl.col("n").sum(),
        )
    )
