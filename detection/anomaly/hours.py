"""Volume by hour: requests of a conversation in each hour of the week, and in each hour of the day.

A night's copy is usual at its hour and at no other. What an hour of the week has is known after weeks, of an hour of the day
after days: as with all models, a score is no higher than the number of times that the hour was seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from detection.anomaly.extremes import WINDOW_NS, Scale

if TYPE_CHECKING:
    from collections.abc import Mapping

HOUR_NS: Final = 3_600_000_000_000

SCALES: Final[Mapping[str, Scale]] = {"hours": Scale("both", least=20.0, share=0.2, mature=2)}
"""The model of this module."""

WEEK: Final = 168
"""Hours of a week; numbers of `slot` from there on are hours of the day."""

OPEN: Final = pl.Schema(
    {
        "talk": pl.UInt64(), "hour": pl.Int64(), "client": pl.Categorical(), "server": pl.Categorical(),
        "requests": pl.Int64(), "sequence": pl.Int64(), "row": pl.Int64(), "ts": pl.Int64(),
    }
)  # fmt: skip
"""Columns of a conversation's hour: hours since 1970; sequence, row, ts: of its last request."""

NOTHING: Final = pl.DataFrame(schema=OPEN)


def counted(open_: pl.DataFrame, minutes: pl.DataFrame, until: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The hours of conversations that are over, in order, and those that are not.

    Args:
        open_: hours that were not over before, with the columns of OPEN.
        minutes: minutes of conversations that are over, with the columns of `conversations.COUNTED`.
        until: event time up to which all requests are known.
    """
    if minutes.is_empty() and not ((open_.get_column("hour") + 1) * HOUR_NS <= until).any():
        return open_.clear(), open_
    fresh = minutes.select(
        "talk",
        pl.col("window").floordiv(HOUR_NS // WINDOW_NS).alias("hour"),
        "client",
        "server",
        "requests",
        "sequence",
        "row",
        "ts",
    )
    both = (
        pl.concat([open_, fresh])
        .group_by("talk", "hour", maintain_order=True)
        .agg(pl.col("client", "server").first(), pl.col("requests").sum(), pl.col("sequence", "row", "ts").last())
        .select(list(OPEN))
    )
    over = (pl.col("hour") + 1) * HOUR_NS <= until
    return both.filter(over).sort("hour", "talk"), both.filter(~over)


def features(over: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """What the model is to look at: each hour as one of the week and as one of the day."""
    if over.is_empty():
        return {}
    # 1970 began on a Thursday; weeks of ISO 8601 begin on Monday.
    week, day = (pl.col("hour") + 72) % WEEK, WEEK + pl.col("hour") % 24
    rows = pl.concat([over.with_columns(slot=slot.cast(pl.Int16)) for slot in (week, day)]).sort("hour", "talk", "slot")
    named = ["event", "sequence", "row", "ts", "client", "server", "slot"]
    known = rows.with_columns(event=(pl.col("hour") + 1) * HOUR_NS, key=keyed())
    return {"hours": known.select("key", *named, value=pl.col("requests").cast(pl.Float64))}


def keyed() -> pl.Expr:
    """The key of a conversation's hour, for this process only."""
    return pl.col("client").hash(8) ^ pl.col("server").hash(9) ^ pl.col("slot").cast(pl.Int64).hash(10)
