"""Several models about one server in one minute: each unusual by itself, none rare enough, and together rare.

What they say is summed as Fisher does, -log p over models. His table of what such a sum is worth asks for independence, which
models of the same traffic have not; so the sum is compared with the sums of the site's own history instead, each of all that the
models said of the whole site in one minute: no server alone can have had more.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from detection.anomaly.extremes import WINDOW_NS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detection.anomaly.history import History

MODEL: Final = "together"

LEAST_MODELS: Final = 2
"""Models that must say something: one alone is told by itself, or not at all."""

OPEN: Final = pl.Schema(
    {
        "server": pl.Categorical(), "window": pl.Int64(), "model": pl.String(), "surprise": pl.Float64(), "told": pl.Boolean(),
        "client": pl.Categorical(), "event": pl.Int64(), "sequence": pl.Int64(), "row": pl.Int64(), "ts": pl.Int64(),
    }
)  # fmt: skip
"""Columns of what models said of a server in a minute that is not over. surprise: -log p; told: whether it was told."""

NOTHING: Final = pl.DataFrame(schema=OPEN)


def said(outside: Mapping[str, pl.DataFrame], history: History, at_end: frozenset[str], most: float) -> pl.DataFrame:
    """What models found outside, with the columns of OPEN."""
    parts: list[pl.DataFrame] = []
    for model, rows in outside.items():
        if rows.is_empty():
            continue
        p, _ = history.p_values(model, rows.get_column("score"))
        parts.append(
            rows.select(
                "server", pl.col("event").sub(model in at_end).floordiv(WINDOW_NS).alias("window"), pl.lit(model).alias("model"),
                (-p.log()).alias("surprise"), (p <= most).alias("told"), "client", "event", "sequence", "row", "ts",
            )
        )  # fmt: skip
    return pl.concat(parts) if parts else NOTHING


def judged(
    open_: pl.DataFrame, more: pl.DataFrame, history: History, until: int, most: float
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The minutes of servers that are rare enough together, once they are over, and what is said of those that are not over."""
    held = pl.concat([open_, more])
    over = (pl.col("window") + 1) * WINDOW_NS <= until
    ended = held.filter(over)
    kept = _highest(held.filter(~over))
    if ended.is_empty():
        return ended, kept
    sums = (
        _highest(ended)
        .group_by("server", "window", maintain_order=True)
        .agg(
            pl.col("client", "event", "sequence", "row", "ts").sort_by("event", "ts", "sequence", "row").last(),
            score=pl.col("surprise").sum(),
            models=pl.col("model").sort(),
            told=pl.col("told").any(),
        )
        .filter(pl.col("models").list.len() >= LEAST_MODELS, ~pl.col("told"))
    )
    if sums.is_empty():
        return sums, kept
    p, beyond = p_values(history, sums.get_column("score"))
    return sums.with_columns(
        p, beyond, model=pl.lit(MODEL), block="window", judged="score", high=pl.lit(farthest(history))
    ).filter(pl.col("p_value") <= most), kept


def _highest(rows: pl.DataFrame) -> pl.DataFrame:
    """Of each model the most surprising that it said of a server in a minute."""
    return (
        rows.sort("surprise", "event", "ts", "sequence", "row", descending=[True, False, False, False, False])
        .unique(["server", "window", "model"], keep="first", maintain_order=True)
        .with_columns(told=pl.col("told"))
    )


def p_values(history: History, sums: pl.Series) -> tuple[pl.Series, pl.Series]:
    """For each sum the p-value of a minute that had it, and whether it lies beyond all history."""
    whole = history.blocks + 1
    past = _sums(history).to_numpy()
    asked = sums.to_numpy()
    p = (1 + len(past) - past.searchsorted(asked, side="left")) / whole
    most = float(past[-1]) if len(past) else math.log(whole)
    beyond = asked > most
    # A sum of such terms falls off by e with each unit; by half as much here, for it is an estimate from few.
    tail = np.exp(-0.5 * np.maximum(asked - most, 0.0)) / whole
    return pl.Series("p_value", np.where(beyond, tail, p)), pl.Series("extrapolated", beyond)


def farthest(history: History) -> float:
    """The greatest sum of history."""
    sums = _sums(history)
    return float(sums[-1]) if len(sums) else 0.0


def _sums(history: History) -> pl.Series:
    """The sums of the minutes of history, rising."""
    rank = pl.col("score").rank("max", descending=True).over("model")
    surprising = history.highest.with_columns(surprise=-(rank / (history.blocks + 1)).log())
    return surprising.group_by("window").agg(pl.col("surprise").sum()).get_column("surprise").sort()
