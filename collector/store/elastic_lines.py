"""The rows of an append as documents by index, made while the cluster takes those before them.

What a batch is on the way and what it is as documents are far apart: its rows share texts, and each document has its own. So
documents are made of so many rows at a time as are worth a request or two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from collector.records import identified, numbered
from collector.store.elastic_bulk import chunks
from collector.store.elastic_documents import days, documents, run_identifier

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from polars._typing import PolarsDataType

    from collector.store import RecordBatch
    from collector.store.elastic_bulk import Chunk

LINE_BYTES: Final = 8 * 1024**2
"""Rows of so many bytes are written to documents at once, besides the first of them. Their text is twice that where each
character is written as two, and there are several copies of it while it is put together."""

ROW_BYTES: Final = 512
"""What a document takes besides its texts: the names of its fields, numbers and times."""

ELEMENT_BYTES: Final = 6
"""What a number takes by itself: a list may have many."""


def chunks_by_index(batches: Sequence[RecordBatch], prefix: str, size_bytes: int) -> Iterator[Chunk]:
    """The rows of batches as chunks of documents, of all runs together, since each sends a few rows at a time.

    Args:
        batches: what is stored; `Chunk.rows` has their places in it.
        prefix: what the names of indices begin with.
        size_bytes: most bytes of a chunk.

    Raises:
        PolarsError: rows cannot be written as documents.
    """
    of_table: dict[str, list[int]] = {}
    for number, batch in enumerate(batches):
        if batch.rows.height:
            of_table.setdefault(batch.header.table, []).append(number)
    for table, numbers in of_table.items():
        for part in _gathered(numbers, batches):
            yield from _of_part(f"{prefix}-{table}", part, [batches[number] for number in part], size_bytes)


def _gathered(numbers: Sequence[int], batches: Sequence[RecordBatch]) -> Iterator[list[int]]:
    """Batches whose rows are put together: of `LINE_BYTES`, but one batch at least."""
    part: list[int] = []
    size = 0
    for number in numbers:
        part.append(number)
        size += batches[number].written + ROW_BYTES * batches[number].rows.height
        if size >= LINE_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


def _of_part(name: str, numbers: Sequence[int], batches: Sequence[RecordBatch], size_bytes: int) -> Iterator[Chunk]:
    """The rows of batches of one table, which have these numbers, as documents by index."""
    of = numbered(batches)
    rows = identified(batches)
    about = pl.DataFrame(
        {
            "day": days(rows, of),
            "batch": pl.Series(numbers, dtype=pl.Int64())[of],
            "run": pl.Series([run_identifier(*batch.header.run) for batch in batches])[of],
        }
    )
    for start, height in _slices(rows):
        lines = documents(rows.slice(start, height), about["run"].slice(start, height)).rename("line")
        whole = about.slice(start, height).select("day", "batch").with_columns(lines)
        for (day,), part in whole.partition_by("day", as_dict=True, include_key=False, maintain_order=True).items():
            yield from chunks(f"{name}-{day:%Y.%m.%d}", part, size_bytes)


def _slices(rows: pl.DataFrame) -> list[tuple[int, int]]:
    """First row and number of rows of each part: what follows its first row has `LINE_BYTES` at most."""
    lengths = rows.select(pl.sum_horizontal([_length(pl.col(name), kind) for name, kind in rows.schema.items()]) + ROW_BYTES)
    part = (lengths.to_series().cum_sum() - 1) // LINE_BYTES
    counts = part.rle().struct.field("len")
    return list(zip((counts.cum_sum() - counts).to_list(), counts.to_list(), strict=True))


def _length(value: pl.Expr, kind: PolarsDataType) -> pl.Expr:
    """Bytes of a value as text, as far as `ROW_BYTES` does not have it."""
    if isinstance(kind, pl.Categorical):
        return value.cat.len_bytes().cast(pl.Int64())
    if isinstance(kind, pl.String):
        return value.str.len_bytes().cast(pl.Int64())
    if isinstance(kind, pl.Binary):
        return 2 * value.bin.size().cast(pl.Int64())
    if isinstance(kind, pl.List):
        return value.list.eval(_length(pl.element(), kind.inner)).list.sum()
    if isinstance(kind, pl.Struct):
        return pl.sum_horizontal(_length(value.struct.field(name), inner) for name, inner in kind.to_schema().items())
    return ELEMENT_BYTES * value.is_not_null().cast(pl.Int64())
