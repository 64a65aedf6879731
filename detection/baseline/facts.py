"""Facts: what has been seen before, each with since when, last when, how often, and whether it is normal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from detection.baseline.acts import ADDRESSES, FIRST, HOUR_NS, HOURS_A_DAY
from detection.baseline.kinds import ANSWERS, HOUR, KINDS
from detection.gathering import ENGINE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from detection.baseline.kinds import Kind

FACTS: Final = 500_000
"""Facts of one run that are held; beyond that what is new is not taken in, and counted."""

SHARE: Final = 0.5
"""Most of these that are of one kind: who makes one kind of new things leaves room for the others."""

NOT_NORMAL: Final = 100_000
"""Facts of one run that are held of what is not normal; beyond that those seen longest ago are forgotten, and counted."""

PARTS: Final = ("client", "server", "protocol", "unit", "operation", "point")

IDENTITY: Final = ("kind", *PARTS)
"""What makes two facts the same."""

SCHEMA: Final = pl.Schema(
    {
        "key": pl.UInt64(),
        "kind": pl.String(),
        **dict.fromkeys((*PARTS, "access"), pl.String()),
        "learned": pl.Boolean(),
        "apart": pl.Boolean(),
        "day": pl.Int64(),
        **dict.fromkeys(FIRST, pl.Int64()),
        "last": pl.Int64(),
        "count": pl.Int64(),
        "hours": pl.Int64(),
        "seen": pl.Int64(),
    }
)
"""Columns of facts.

key: hash of IDENTITY, for this process only. Columns of an act that a kind does not tell apart are null, but for access, which is
the first act's. learned: whether it was seen while normality was learned; apart: whether it was so rare then that only a person
makes it normal. day: the latest day on which it was told, days since 1970. FIRST: the record that showed it first.
last, count, hours: event time of the latest record, number of records, and number of hours of the clock that had some; for what
was learned those of learning. seen: event time of the latest record of all.

What a deviation says of normality rests on learning alone, so that it does not depend on what is worked on in the same step."""

NORMAL: Final = pl.col("learned") & ~pl.col("apart")
"""Whether a fact is normal."""


def facts_of(acts: pl.DataFrame, *, learned: bool) -> pl.DataFrame:
    """The facts in acts, once for each hour, with the addresses of the record that showed each first.

    Acts are in order of their first records.
    """
    topics = set(acts.get_column("topic").unique())
    parts = [_OF_KIND[kind.name](acts.lazy()) for kind in KINDS.values() if kind.topic in topics]
    told = (
        pl.concat(parts).collect(engine=ENGINE)
        if parts
        else pl.DataFrame(schema={name: SCHEMA.get(name, pl.String()) for name in _TOLD})
    )
    return told.with_columns(learned=pl.lit(learned), apart=pl.lit(value=False)).pipe(keyed, (*ADDRESSES,))


_TOLD: Final = (*(name for name in SCHEMA if name not in {"key", "learned", "apart"}), *ADDRESSES)
"""Columns of facts that acts tell of."""


def _of_kind(kind: Kind) -> Callable[[pl.LazyFrame], pl.LazyFrame]:
    """How facts of a kind are read from acts."""
    holds = (pl.col("topic") == kind.topic) & kind.applies
    # Monday's first hour is 0; 1970 began on a Thursday.
    week = (pl.col("hour") + 3 * HOURS_A_DAY) % (7 * HOURS_A_DAY)
    named = {HOUR.name: week.cast(pl.String).alias("point"), ANSWERS.name: pl.col("server").alias("client")}.get(kind.name)
    first = [pl.col("access", *FIRST, *ADDRESSES).first(), pl.col("last").max(), pl.col("count").sum()]
    told = {
        "kind": pl.lit(kind.name),
        "seen": pl.col("last"),
        "day": pl.col("hour") // HOURS_A_DAY,
        "hours": pl.lit(1, pl.Int64),
        **{name: pl.lit(None, pl.String) for name in PARTS if name not in kind.key},
    }
    columns = [told[name].alias(name) if name in told else pl.col(name) for name in _TOLD]

    def read(acts: pl.LazyFrame) -> pl.LazyFrame:
        there = acts.filter(holds) if named is None else acts.filter(holds).with_columns(named)
        return there.group_by([*kind.key, "hour"], maintain_order=True).agg(first).select(columns)

    return read


_OF_KIND: Final = {kind.name: _of_kind(kind) for kind in KINDS.values()}


def keyed(facts: pl.DataFrame, more: Sequence[str] = ()) -> pl.DataFrame:
    """Facts with their keys, which hold in this process only."""
    return facts.with_columns(key=pl.struct(IDENTITY).hash()).select([*SCHEMA, *more])


def held(fresh: pl.DataFrame, facts: pl.DataFrame) -> pl.DataFrame:
    """Of facts, those that are among the fresh: a few of many."""
    return facts.filter(pl.col("key").is_in(fresh.get_column("key").unique().implode()))


def unknown(fresh: pl.DataFrame, known: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The fresh facts that are not normal and were not told on their day or later, each once a day, in their order."""
    before = (
        pl.concat(held(fresh, part).select("key", "day", normal=NORMAL) for part in known)
        .group_by("key")
        .agg(pl.col("normal").any(), told=pl.col("day").max())
    )
    return (
        fresh.sort(FIRST, maintain_order=True)
        .unique(["key", "day"], keep="first", maintain_order=True)
        .join(before, on="key", how="left", maintain_order="left")
        .filter(~(pl.col("normal").fill_null(value=False) | (pl.col("told").fill_null(-1) >= pl.col("day"))))
        .drop("normal", "told")
    )


_SAME: Final = ("kind", *PARTS, "access", *FIRST)


def added(facts: pl.DataFrame, fresh: pl.DataFrame) -> pl.DataFrame:
    """Facts with fresh ones taken in, in whatever number; those that were there first come first."""
    fresh = _once(fresh)
    if facts.is_empty():
        return fresh
    again = held(facts, fresh)
    both = facts.filter(pl.col("key").is_in(again.get_column("key").implode()))
    if both.is_empty():
        return pl.concat([facts, fresh])
    grown = _joined(both.join(again.select("key", *_GROWING), on="key", how="left", maintain_order="left", suffix=" again"))
    known = both.get_column("key").implode()
    return pl.concat([facts.filter(~pl.col("key").is_in(known)), grown, fresh.filter(~pl.col("key").is_in(known))])


_GROWING: Final = ("learned", "apart", "day", *FIRST, "last", "count", "hours", "seen")


def _joined(pairs: pl.DataFrame) -> pl.DataFrame:
    """Facts with what was seen of them again."""
    # What is normal keeps what learning said of it; what becomes learned forgets what was seen before.
    becomes = ~pl.col("learned") & pl.col("learned again")
    counts = pl.col("learned again") | ~pl.col("learned")
    same_hour = (pl.col("last") // HOUR_NS) == (pl.col("event again") // HOUR_NS)
    grown = {
        "hours": pl.col("hours") + pl.col("hours again") - same_hour.cast(pl.Int64),
        "count": pl.col("count") + pl.col("count again"),
        "last": pl.max_horizontal("last", "last again"),
    }
    again = {name: pl.when(becomes).then(f"{name} again") for name in (*FIRST, *grown)}
    return pairs.with_columns(
        **{name: again[name].otherwise(name) for name in FIRST},
        **{name: again[name].when(counts).then(more).otherwise(name) for name, more in grown.items()},
        day=pl.max_horizontal("day", "day again"),
        seen=pl.max_horizontal("seen", "seen again"),
        learned=pl.col("learned") | pl.col("learned again"),
        # What was rare stays so when it comes again; only what is learned anew is judged anew.
        apart=pl.col("apart") & (pl.col("apart again") | ~pl.col("learned again")),
    ).select(list(SCHEMA))


def _once(fresh: pl.DataFrame) -> pl.DataFrame:
    """Facts of several hours or sources, each once."""
    learned = pl.col("learned").any()
    counts = pl.col("learned") | ~learned
    return (
        fresh.sort(FIRST, maintain_order=True)
        .group_by("key", maintain_order=True)
        .agg(
            pl.col(*_SAME).first(),
            pl.col("day", "seen").max(),
            learned=learned,
            apart=pl.col("apart").filter(counts).all(),
            last=pl.col("last").filter(counts).max(),
            count=pl.col("count").filter(counts).sum(),
            hours=pl.col("hours").filter(counts).sum(),
        )
        .select(list(SCHEMA))
    )
