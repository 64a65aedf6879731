"""A poll that fell silent: told as soon as the sensor has heard others for long enough without it, and not when it comes again.

A request of each kind is due some time after the latest: after the longest pause so far, and as much more as makes it rare enough
to be told. Who shows that the time is over is the first request of anybody that comes then: as long as nothing is heard, nobody
is missed.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from detection.anomaly import keyed
from detection.anomaly.conversations import LATEST, SCALES
from detection.anomaly.extremes import WINDOW_NS
from detection.anomaly.rounding import divided

MODEL: Final = "interval"

_SCALE: Final = SCALES[MODEL]


def _due(since: pl.Expr, ts: pl.Expr, least: float) -> pl.Expr:
    """When a kind is due, in time heard; null where it is no poll, or too little is known. Of high, n and first of extremes."""
    unit = pl.max_horizontal("high", pl.lit(_SCALE.least))
    known = pl.min_horizontal(pl.col("n").cast(pl.Float64), divided(ts - pl.col("first"), WINDOW_NS))
    due = since + ((pl.col("high") + least * unit) * 1e9).ceil().cast(pl.Int64)
    return pl.when((pl.col("n") >= _SCALE.mature) & (pl.col("high") <= _SCALE.most) & (known >= least)).then(due)


def with_due(latest: pl.DataFrame, known: pl.DataFrame, least: float) -> pl.DataFrame:
    """Latest requests of distinct kinds with the time heard at which the next of each is due.

    Args:
        latest: with the columns of `conversations.LATEST`.
        known: extremes of intervals, in order of the key.
        least: score from which on a pause is told.
    """
    told = keyed.beside(latest, known.select("key", "high", "n", "first"), " known")
    told = told.rename({f"{name} known": name for name in ("high", "n", "first")})
    due = _due(pl.col("ts") - pl.col("deaf"), pl.col("ts"), least).fill_null(_NEVER)
    return told.with_columns(due=due).select(list(LATEST))


_NEVER: Final = 2**62


def told(  # noqa: PLR0913, PLR0917 - each is another part of what was heard
    paused: pl.DataFrame | None, latest: pl.DataFrame, known: pl.DataFrame, heard: pl.DataFrame, spoken: int, least: float
) -> pl.DataFrame:
    """The pauses that are long enough, each with the request that showed it first, as rows outside.

    Args:
        paused: pauses that are over and were longer than any before, as `extremes.beyond` gave them; None: none.
        latest: the latest requests of each kind afterwards, with `due`.
        known: extremes of intervals.
        heard: all requests of this step, in order.
        spoken: the latest time heard before this step: what was due until then has been told.
        least: score from which on a pause is told.
    """
    if heard.is_empty():
        return pl.DataFrame()
    now = int(heard.select((pl.col("event") - pl.col("deaf")).last()).item())
    columns = ["key", "client", "server", "unit", "function", "address", "since", "low", "high", "n", "first", "last", "due"]
    parts: list[pl.DataFrame] = []
    if paused is not None and paused.height:
        over = paused.with_columns(due=_due(pl.col("since"), pl.col("begun"), least))
        parts.append(over.filter(pl.col("due") <= pl.col("ts") - pl.col("deaf")).select(columns))
    open_ = latest.filter((pl.col("due") <= now) & (pl.col("due") > spoken))
    if open_.height:
        still = open_.with_columns(since=pl.col("ts") - pl.col("deaf")).join(known, on="key", maintain_order="left")
        parts.append(still.select(columns))
    if not parts:
        return pl.DataFrame()
    both = pl.concat(parts).filter(pl.col("due") > spoken)
    if both.is_empty():
        return pl.DataFrame()
    clock = heard.select(pl.col("event") - pl.col("deaf")).to_series().to_numpy()
    place = pl.Series(clock.searchsorted(both.get_column("due").to_numpy(), side="left")).clip(0, len(clock) - 1)
    witness = heard.select("event", "sequence", "row", "ts", moment=pl.Series(clock))[place]
    return (
        pl.concat([both, witness], how="horizontal")
        .with_columns(value=divided(pl.col("moment") - pl.col("since"), 1e9))
        .with_columns(
            judged="value",
            score=(pl.col("value") - pl.col("high")) / pl.max_horizontal("high", pl.lit(_SCALE.least)),
        )
        .drop("moment", "since", "due")
    )
