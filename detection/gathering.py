"""The batches of a step by table: the records of each as one frame, with the columns that put all records of a run in order.

A live batch has a handful of rows, and whoever looks at a frame pays for the look and not for the rows. So detectors look once at
each table, however many cuts are taken in together.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from collector.store import RecordBatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ORDER: Final = ("event", "sequence", "row")
"""Columns that put the rows of a run in order, and say which record a row is. event: when it could be known, nanoseconds since
1970: at the end of what it tells, and not before its cut began."""


ENGINE: Final = "in-memory"
"""Polars' engine for plans over the records of a step. The one that it takes by itself starts tasks on threads for each plan:
over a live batch that costs four times as much."""


def gathered(batches: Sequence[RecordBatch]) -> list[RecordBatch]:
    """Batches of one run, in order, as one batch for each table, whose rows have ORDER too; a gathered one stays as it is."""
    tables: dict[str, list[RecordBatch]] = {}
    for batch in batches:
        tables.setdefault(batch.header.table, []).append(batch)
    return [parts[0] if len(parts) == 1 and ORDER[0] in parts[0].rows.columns else _joined(parts) for parts in tables.values()]


def _joined(parts: Sequence[RecordBatch]) -> RecordBatch:
    heights = [part.rows.height for part in parts]
    rows = pl.concat([part.rows for part in parts], rechunk=True) if len(parts) > 1 else parts[0].rows
    starts, sequences = (
        np.repeat(np.array(values, np.int64), heights)
        for values in ([part.header.cut_start for part in parts], [part.header.sequence for part in parts])
    )
    event = np.maximum(_ends(rows), starts)
    row = pl.concat([part.row.cast(pl.Int64) for part in parts])
    columns = zip(ORDER, (pl.Series(event), pl.Series(sequences), row), strict=True)
    until = max(part.header.cut_end for part in parts)
    header = replace(parts[-1].header, rows=rows.height, cut_end=until)
    return RecordBatch(header, rows.hstack([values.rename(name) for name, values in columns]))


def _ends(rows: pl.DataFrame) -> NDArray[np.int64]:
    """When each record was over: a conversation so far at its last packet, and not at its first."""
    ends = rows.get_column("ts").to_numpy()
    if "flow.duration" in rows.columns:
        ends = ends + rows.get_column("flow.duration").to_numpy()
    # What is not known is before all times.
    return ends.view(np.int64)
