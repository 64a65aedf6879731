"""Records of a capture, as tests look at them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from sensor import _core
from sensor.tables import TABLES

if TYPE_CHECKING:
    from pathlib import Path


def rows(path: Path, table: str) -> pl.DataFrame:
    """All rows of a table, in order; names and choices as text."""
    batches = [pl.DataFrame(batch) for batch in _core.Reader(str(path)) if batch.table == table]
    names = pl.col(pl.Categorical, pl.Enum)
    if not batches:
        return pl.DataFrame({column.name: [] for column in TABLES[table].columns})
    return pl.concat([batch.with_columns(names.cast(pl.String)) for batch in batches])
