"""What two baselines have that the other has not, in few lines: a fact that follows from a weightier one is not told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from detection.baseline.facts import IDENTITY, NORMAL
from detection.baseline.kinds import HOUR, KINDS, WEIGHT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detection.baseline.normality import Normality

LINES: Final = 10
"""Most lines in each direction; the rest is one line with their number."""

REGULAR_HOURS: Final = 8
"""What was seen in so many hours of the clock comes regularly."""

DAY_NS: Final = 86_400_000_000_000

_TALK: Final = ("client", "server", "protocol")


def difference(old: Normality, new: Normality) -> tuple[list[str], list[str]]:
    """What is new and what is gone, in lines for a person."""
    return lines(_only(new.normal, old.normal)), lines(_only(old.normal, new.normal))


def drifted(normal: Normality, days: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What is normal and was not seen for so many days before the latest record, and what is not normal and is regular."""
    if normal.facts.is_empty():
        return normal.facts, normal.facts
    seen = pl.col("seen").max() - pl.col("seen") > days * DAY_NS
    gone = normal.facts.with_columns(gone=seen).filter(NORMAL, "gone").drop("gone")
    come = normal.facts.filter(~NORMAL, pl.col("hours") >= REGULAR_HOURS)
    return shown(gone), shown(come)


def told_facts(normal: Normality) -> pl.DataFrame:
    """All facts for a person or a program: since, last seen, count, hours of the clock, and confidence that it is regular.

    Confidence is h / (h + 1) for a fact seen in h hours: the rule of succession without a guess beforehand.
    """
    times = {name: pl.from_epoch(column, "ns").dt.to_string("iso:strict") for name, column in _TIMES.items()}
    standing = pl.when(NORMAL).then(pl.lit("normal")).when("apart").then(pl.lit("rare")).otherwise(pl.lit("new"))
    confidence = (pl.col("hours") / (pl.col("hours") + 1)).round(3)
    return normal.facts.sort(*IDENTITY).select(
        *IDENTITY, "access", standing.alias("standing"), **times, count="count", hours="hours", confidence=confidence
    )


_TIMES: Final = {"since": "event", "last": "seen"}


def shown(facts: pl.DataFrame) -> pl.DataFrame:
    """Facts without those that follow from others among them."""
    return _only(facts, facts.clear())


def _only(facts: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    """Facts that the others do not have, without those that follow from a conversation that they do not have either."""
    left = facts.join(others.select("key"), on="key", how="anti").filter(
        pl.col("kind").is_in([kind.name for kind in KINDS.values() if kind.told and kind is not HOUR])
    )
    talks = left.filter(pl.col("kind") == "conversation").select(_TALK)
    follows = pl.col("kind").is_in(["operation", "block", "written_point", "security", "user"])
    return pl.concat([left.filter(~follows), left.filter(follows).join(talks, on=list(_TALK), how="anti")])


def lines(facts: pl.DataFrame) -> list[str]:
    """A line for each client, protocol and kind, weightiest kind first, then the most facts."""
    rows, rest = summed(facts)
    made = [_line(row) for row in rows]
    return [*made, f"and {rest} more of lesser weight"] if rest > 0 else made


def summed(facts: pl.DataFrame) -> tuple[list[dict[str, Any]], int]:
    """Facts by client, protocol and kind, as many as a person reads, and how many more there are.

    Of each: how many servers and the first of them, how many things (points, operations, units) and the first of them.
    """
    order = pl.col("kind").replace_strict(WEIGHT, return_dtype=pl.Int8)
    summary = (
        facts.group_by("kind", "client", "protocol")
        .agg(
            servers=pl.col("server").n_unique(),
            first=pl.col("server").sort().first(),
            things=pl.coalesce("point", "operation", "unit").drop_nulls().n_unique(),
            thing=pl.coalesce("point", "operation", "unit").drop_nulls().sort().first(),
            count=pl.len(),
        )
        .with_columns(order=order)
        .sort("order", "count", "client", "protocol", descending=[False, True, False, False])
        .drop("order")
    )
    return summary.head(LINES).to_dicts(), max(0, summary.height - LINES)


def _line(row: Mapping[str, Any]) -> str:
    where = row["first"] if row["servers"] == 1 else f"{row['servers']} servers ({row['first']}, …)"
    what = "" if row["thing"] is None else f": {row['thing']}"
    more = f" and {row['things'] - 1} more" if row["things"] > 1 else ""
    return f"{row['kind']:<14}{row['client']} {row['protocol']} {where}{what}{more}"
