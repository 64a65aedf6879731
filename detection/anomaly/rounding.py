"""Quotients that do not depend on how many rows are worked on at once."""

from __future__ import annotations

import polars as pl


def divided(numerator: pl.Expr, by: float) -> pl.Expr:
    """Whole numbers divided by a constant, each rounded once.

    Polars multiplies by the constant's reciprocal, which rounds twice, but for a column of one row.
    """
    return pl.map_batches(
        [numerator],
        lambda columns: pl.Series(columns[0].cast(pl.Float64).to_numpy() / by, nan_to_null=True),
        return_dtype=pl.Float64,
    )
