"""Which operation follows which in a conversation: a Markov chain of first order."""

from __future__ import annotations

from typing import Final

import polars as pl

from detection.anomaly.conversations import OPERATION, REQUEST, operation_key
from detection.anomaly.extremes import THINGS, WINDOW_NS

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

LATEST: Final = pl.Schema({name: REQUEST[name] for name in OPERATION})
"""Columns of the latest request of each conversation."""


def keyed(transitions: pl.DataFrame) -> pl.DataFrame:
    """Transitions with their keys, which hold in this process only."""
    before = transitions.select("client", "server", *(pl.col(f"{name} before").alias(name) for name in _PLACE))
    left = before.select(key=operation_key()).to_series()
    entered = transitions.select(key=operation_key()).to_series()
    return transitions.with_columns(left=left, key=left.hash(7) ^ entered)


def transitions(carried: pl.DataFrame, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Each request with the operation before it in its conversation, and the latest of each conversation afterwards."""
    before = carried.join(rows.select("client", "server").unique(), on=["client", "server"], how="semi")
    previous = [pl.col(name).shift().over("client", "server").alias(f"{name} before") for name in ("key", *_PLACE)]
    told = pl.concat(
        [
            before.with_columns(key=operation_key(), fresh=pl.lit(value=False)),
            rows.with_columns(fresh=pl.lit(value=True)),
        ],
        how="diagonal",
    ).with_columns(previous)
    latest = told.group_by("client", "server", maintain_order=True).last().select(list(LATEST))
    rest = carried.join(latest, on=["client", "server"], how="anti")
    found = told.filter(pl.col("fresh") & pl.col("key before").is_not_null()).with_columns(
        left="key before", key=pl.col("key before").hash(7) ^ pl.col("key")
    )
    return found, pl.concat([rest, latest])


def unusual(known: pl.DataFrame, found: pl.DataFrame, *, learns: bool) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    """Transitions that were never seen before, from operations that were; what is known afterwards; and what had no room.

    The score is how often the operation before was left in another way, but no more than the minutes that it has been known.
    """
    fresh = found.group_by("key", maintain_order=True).agg(
        pl.col("client", "server", *_FROM, *_PLACE, "left").first(),
        n=pl.len().cast(pl.Int64),
        first=pl.col("event").min(),
        last=pl.col("event").max(),
    )
    new = fresh.join(known.select("key"), on="key", how="anti")
    unusual_ = _scored(known, found, new)
    grown = known.update(
        fresh.select("key", more=pl.col("n"), later=pl.col("last"))
        .join(known.select("key", "n"), on="key", how="inner")
        .select("key", n=pl.col("n") + pl.col("more"), last=pl.col("later")),
        on="key",
    )
    if not learns:
        # Of what is new that only is kept which leaves a known operation: the rest is no conversation that was learned.
        new = new.filter(pl.col("left").is_in(known.get_column("left").unique().implode()))
    room = max(0, THINGS - known.height)
    more = new.sort("first", "key").select(list(SCHEMA))
    return unusual_, pl.concat([grown, more.head(room)]), max(0, more.height - room)


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
    minutes = (pl.col("event") - pl.coalesce("began", "begins")) / WINDOW_NS
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
