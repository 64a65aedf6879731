"""Facts: what has been seen before, each with since when, last when, and how often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from detection.baseline.acts import FIRST, KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

FACTS: Final = 500_000
"""Facts of one run that are held; beyond that what is new is not taken in, and counted."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fact: which acts it is about and by what they are told apart."""

    name: str
    key: tuple[str, ...]
    """Columns of an act that make a fact."""
    peers: tuple[str, ...]
    """Columns that what is normal in a fact's place shares with it."""
    shown: str
    """Column that is told of what is normal."""
    applies: pl.Expr
    """Which acts it is about."""


_WRITES: Final = pl.col("access") == "write"

KINDS: Final[Mapping[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind(
            "program",
            ("client", "server", "protocol", "unit", "operation"),
            ("server", "protocol"),
            "client",
            pl.col("access") == "program",
        ),
        Kind("writer", ("client", "server", "protocol", "unit"), ("server", "protocol", "unit"), "client", _WRITES),
        Kind(
            "written_point",
            ("client", "server", "protocol", "unit", "point"),
            ("client", "server", "protocol", "unit"),
            "point",
            _WRITES & pl.col("point").is_not_null(),
        ),
        Kind("conversation", ("client", "server", "protocol"), ("server", "protocol"), "client", pl.lit(value=True)),
        Kind(
            "operation",
            ("client", "server", "protocol", "unit", "operation"),
            ("client", "server", "protocol", "unit"),
            "operation",
            pl.col("operation").is_not_null(),
        ),
        Kind(
            "block",
            ("client", "server", "protocol", "unit", "operation", "point"),
            ("client", "server", "protocol", "unit", "operation"),
            "point",
            pl.col("point").is_not_null() & (pl.col("access") == "read"),
        ),
        Kind("party", ("client",), (), "client", pl.lit(value=True)),
    )
}
"""The kinds of facts, those that weigh more first; `party` is who was seen at all, and is told with the others only."""

IDENTITY: Final = ("kind", "client", "server", "protocol", "unit", "operation", "point")
"""What makes two facts the same."""

SCHEMA: Final = pl.Schema(
    {
        "key": pl.UInt64(),
        "kind": pl.String(),
        **dict.fromkeys(KEY, pl.String()),
        "learning": pl.Boolean(),
        "day": pl.Int64(),
        **dict.fromkeys(FIRST, pl.Int64()),
        "last": pl.Int64(),
        "count": pl.Int64(),
        "seen": pl.Int64(),
    }
)
"""Columns of facts. key: hash of IDENTITY, for this process only; columns of an act that a kind does not tell apart are null, but
for access, which is the first act's; learning: whether it was learned as normal; day: the latest day on which it was told;
last, count: event time of the latest record and number of records, for what is normal those of learning; seen: the latest of all.

What a deviation says of normality rests on learning alone, so that it does not depend on what is worked on in the same step."""


def facts_of(acts: pl.DataFrame) -> pl.DataFrame:
    """The facts in acts, once for each day. A server is a party as well as a client."""
    servers = acts.with_columns(client="server")
    return pl.concat(_of_kind(kind, acts if kind.name != "party" else pl.concat([acts, servers])) for kind in KINDS.values())


def _of_kind(kind: Kind, acts: pl.DataFrame) -> pl.DataFrame:
    others = [pl.lit(None, pl.String).alias(name) for name in KEY if name not in kind.key and name != "access"]
    return (
        acts.filter(kind.applies)
        .sort(FIRST)
        .group_by([*kind.key, "learning", "day"], maintain_order=True)
        .agg(pl.col("access", *FIRST).first(), pl.col("last").max(), pl.col("count").sum())
        .with_columns(pl.lit(kind.name).alias("kind"), pl.col("last").alias("seen"), *others)
        .pipe(keyed)
    )


def keyed(facts: pl.DataFrame) -> pl.DataFrame:
    """Facts with their keys, which hold in this process only."""
    return facts.with_columns(key=pl.struct(IDENTITY).hash()).select(list(SCHEMA))


def unknown(fresh: pl.DataFrame, facts: pl.DataFrame) -> pl.DataFrame:
    """The fresh facts from after learning that were neither learned nor told on their day or later, in their order."""
    learned_now = fresh.filter("learning").get_column("key")
    held = facts.select("key", held=pl.lit(value=True), normal="learning", told="day")
    known = pl.col("held").is_not_null() & (pl.col("normal") | (pl.col("told") >= pl.col("day")))
    return (
        fresh.filter(~pl.col("learning") & ~pl.col("key").is_in(learned_now.implode()))
        .join(held, on="key", how="left", maintain_order="left")
        .filter(~known)
        .select(list(SCHEMA))
    )


def added(facts: pl.DataFrame, fresh: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Facts with fresh ones taken in, and how many were left out because of `FACTS`."""
    same = [name for name in SCHEMA if name not in {"key", "learning", "day", "last", "count", "seen"}]
    normal = pl.col("learning").any()
    counts = pl.col("learning") | ~normal
    once = (
        fresh.sort(FIRST)
        .group_by("key", maintain_order=True)
        .agg(
            pl.col(same).first(),
            pl.col("day", "seen").max(),
            learning=normal,
            last=pl.col("last").filter(counts).max(),
            count=pl.col("count").filter(counts).sum(),
        )
        .select(list(SCHEMA))
    )
    again = once.select("key", "learning", "day", "last", "count", "seen")
    joined = facts.join(again, on="key", how="left", maintain_order="left", suffix=" again")
    counts = pl.col("learning again") | ~pl.col("learning")
    grown = joined.select(
        *("key", *same),
        pl.col("learning") | pl.col("learning again").fill_null(value=False),
        *(pl.max_horizontal(name, f"{name} again").alias(name) for name in ("day", "seen")),
        pl.when(counts).then(pl.max_horizontal("last", "last again")).otherwise("last").alias("last"),
        pl.when(counts).then(pl.col("count") + pl.col("count again").fill_null(0)).otherwise("count").alias("count"),
    )
    more = once.join(facts.select("key"), on="key", how="anti", maintain_order="left")
    room = max(0, FACTS - facts.height)
    return pl.concat([grown.select(list(SCHEMA)), more.head(room)]), max(0, more.height - room)
