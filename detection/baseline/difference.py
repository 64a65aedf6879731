"""What two baselines have that the other has not, in few lines: a fact that follows from a weightier one is not told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from detection.baseline.facts import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detection.baseline.normality import Normality

LINES: Final = 10
"""Most lines in each direction; the rest is one line with their number."""

_TALK: Final = ("client", "server", "protocol")


def difference(old: Normality, new: Normality) -> tuple[list[str], list[str]]:
    """What is new and what is gone, in lines for a person."""
    return _lines(_only(new.facts, old.facts)), _lines(_only(old.facts, new.facts))


def _only(facts: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    """Facts that the others do not have, without those that follow from a conversation that they do not have either."""
    left = facts.join(others.select("key"), on="key", how="anti").filter(pl.col("kind") != "party")
    talks = left.filter(pl.col("kind") == "conversation").select(_TALK)
    follows = pl.col("kind").is_in(["operation", "block", "written_point"])
    return pl.concat([left.filter(~follows), left.filter(follows).join(talks, on=list(_TALK), how="anti")])


def _lines(facts: pl.DataFrame) -> list[str]:
    """A line for each client, protocol and kind, weightiest kind first, then the most facts."""
    order = pl.col("kind").replace_strict({name: place for place, name in enumerate(KINDS)}, return_dtype=pl.Int8)
    summed = (
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
    )
    lines = [_line(row) for row in summed.head(LINES).iter_rows(named=True)]
    rest = summed.height - LINES
    return [*lines, f"and {rest} more of lesser weight"] if rest > 0 else lines


def _line(row: Mapping[str, Any]) -> str:
    where = row["first"] if row["servers"] == 1 else f"{row['servers']} servers ({row['first']}, …)"
    what = "" if row["thing"] is None else f": {row['thing']}"
    more = f" and {row['things'] - 1} more" if row["things"] > 1 else ""
    return f"{row['kind']:<14}{row['client']} {row['protocol']} {where}{what}{more}"
