"""Record batches as rows: bytes to a checked data frame, and rows as plain values."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

import polars as pl
from polars.exceptions import PanicException, PolarsError

from collector.store import RecordBatch
from collector.unfolding import Unfolded, unfolded
from sensor.output import printable
from sensor.spool_format import PAYLOAD_BYTES, ROW
from sensor.tables import BATCH_ROWS, SCHEMA_VERSION, TABLES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sensor.spool_format import BatchHeader

IDENTITY_TYPES: Final[Mapping[str, pl.DataType]] = {
    "sensor": pl.String(),
    "epoch": pl.String(),
    "sequence": pl.Int64(),
    "row": pl.Int32(),
}
"""The columns that a stored record has besides its table's."""

MOST_ROWS: Final = 2 * BATCH_ROWS
"""Most rows that a batch may have had: the packet core keeps to half of it, and what it makes is never refused for a few more."""

UNFOLDED_BYTES: Final = PAYLOAD_BYTES
"""Most bytes of a batch once it is unpacked. The packet core cuts at 8 MiB; a single huge row may pass that."""

WRITTEN_BYTES: Final = 4 * PAYLOAD_BYTES
"""Most bytes of a batch where each row has its texts by itself: 4 KiB a row in the largest batch that the packet core makes."""

ROUGHLY_BYTES: Final = 256 * 1024
"""As far as this goes the product of rows and shared texts will do for what is written: asking Polars takes as long as decoding a
live batch."""


class Undecodable(ValueError):  # noqa: N818 - named for what the batch is
    """A batch does not hold what its header and `sensor.tables` say. The text is the reason, in one line."""


def decode(header: BatchHeader, data: bytes) -> RecordBatch:
    """The rows of a batch in the columns of its table, in the table's order.

    Columns that the table does not know are left out, and named: a newer sensor may send them, and whoever updates this program
    first loses none. A batch that has lost all its rows for want of room gives none.

    Raises:
        Undecodable: unknown table, newer schema, damaged bytes, a column of another type, not as many rows as announced, numbers
            of rows that cannot be, or more rows or bytes than a sensor makes.
    """
    if header.table not in TABLES:
        raise Undecodable(f"table {header.table!r} is not known")
    expected = _expected(header.table)
    if header.rows + header.dropped > MOST_ROWS:
        raise Undecodable(f"it is said to have had {header.rows + header.dropped:,} rows; a batch has at most {MOST_ROWS:,}")
    if header.dropped and not header.rows:
        return RecordBatch(header, pl.DataFrame(schema=expected.schema), data=data)
    told = _unfolding(header, data)
    try:
        schema = stream_schema(data)
        _check_metadata(header, schema)
        frame = pl.read_ipc_stream(io.BytesIO(data))
    except (PolarsError, PanicException, OSError) as error:
        raise Undecodable(f"not an Arrow stream: {reason_of(error)}") from error
    if frame.height != header.rows:
        raise Undecodable(f"{frame.height} rows where the header says {header.rows}")
    numbers = _numbers(header, frame)
    found = frame.columns
    frame = _declared(header.table, schema, frame, expected)
    left_out = [] if found == expected.names else [name for name in found if name not in expected.schema and name != ROW]
    for name in expected.required:
        if frame.get_column(name).null_count():
            raise Undecodable(f"column {name} has nulls")
    return RecordBatch(header, frame, numbers, data, _written(frame, told), told.bytes, left_out)


def reason_of(error: BaseException) -> str:
    """What a library says of its failure, in one line."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


@dataclass(frozen=True, slots=True)
class _Expected:
    """What a table's batches look like: its columns in order, their types, and those that have no nulls."""

    schema: Mapping[str, pl.DataType]
    names: list[str]
    types: list[pl.DataType]
    required: list[str]


@cache
def _expected(table: str) -> _Expected:
    schema = TABLES[table].schema
    required = [column.name for column in TABLES[table].columns if not column.nullable]
    return _Expected(schema, list(schema), list(schema.values()), required)


_proven: Final[dict[str, Any]] = {}
"""By table the Arrow schema of a batch that had the table's columns and types, in its order."""


def _declared(table: str, schema: Any, frame: pl.DataFrame, expected: _Expected) -> pl.DataFrame:
    """The frame in the columns of its table. Raises Undecodable.

    Live batches have a handful of rows: whatever Polars is asked counts more than they do. So it is asked for types only where
    the stream does not say the same as one whose types were right, and runs no expression where nothing is to be changed.
    """
    # That of the batch goes; what fields have of it can make another type of the same column.
    bare = schema.remove_metadata()
    proven = _proven.get(table)
    if proven is not None and bare.equals(proven, check_metadata=True):
        return frame
    names, types = frame.columns, frame.dtypes
    if names == expected.names and types == expected.types:
        _proven[table] = bare
        return frame
    found = dict(zip(names, types, strict=True))
    missing: list[pl.Expr] = []
    for name, wanted in expected.schema.items():
        if name not in found and name not in expected.required:
            missing.append(pl.lit(None, dtype=wanted).alias(name))
        elif found.get(name) != wanted:
            raise Undecodable(f"column {name} is {found.get(name) or 'missing'}, not {wanted}")
    return frame.with_columns(missing).select(expected.names)


def _unfolding(header: BatchHeader, data: bytes) -> Unfolded:
    """What a batch has once it is unpacked, told before any of it is. Raises Undecodable."""
    try:
        told = unfolded(data)
    except ValueError as error:
        raise Undecodable(f"not an Arrow stream: {error}") from error
    if told.rows != header.rows:
        raise Undecodable(f"{told.rows} rows where the header says {header.rows}")
    if told.bytes > UNFOLDED_BYTES:
        raise Undecodable(f"it unfolds to {told.bytes:,} bytes; a batch has at most {UNFOLDED_BYTES:,}")
    return told


def _written(frame: pl.DataFrame, told: Unfolded) -> int:
    """Bytes of a batch, at most, once each row has its texts by itself. Raises Undecodable where they are too many."""
    most = told.bytes + frame.height * told.shared
    if most <= ROUGHLY_BYTES:
        return most
    shared = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Categorical)]
    texts = [pl.col(name).cat.len_bytes().cast(pl.Int64()).sum() for name in shared]
    written = told.bytes + int(frame.select(pl.sum_horizontal(texts)).item())
    if written > WRITTEN_BYTES:
        raise Undecodable(f"its texts are {written:,} bytes once each row has its own; a batch has at most {WRITTEN_BYTES:,}")
    return written


def _numbers(header: BatchHeader, frame: pl.DataFrame) -> pl.Series | None:
    """The numbers of the rows that are left of a batch; None where it is whole. Raises Undecodable."""
    if not header.dropped:
        return None
    if ROW not in frame.columns or frame.get_column(ROW).dtype != pl.UInt32():
        raise Undecodable(f"{header.dropped} rows were dropped from it, and the numbers of the others are not in column {ROW}")
    numbers = frame.get_column(ROW)
    if numbers.null_count() or int(cast("int", numbers.max())) >= header.rows + header.dropped:
        raise Undecodable(f"column {ROW} has numbers that none of its {header.rows + header.dropped:,} rows can have had")
    if not numbers.is_sorted() or numbers.n_unique() < numbers.len():
        raise Undecodable(f"the numbers of its rows in column {ROW} do not rise")
    return numbers


def identified(batches: Sequence[RecordBatch]) -> pl.DataFrame:
    """The rows of batches of one table, one behind the other, with the identity of each. At least one batch."""
    headers = [batch.header for batch in batches]
    whose = pl.DataFrame(
        {
            "sensor": [header.sensor for header in headers],
            "epoch": [header.epoch for header in headers],
            "sequence": [header.sequence for header in headers],
        },
        schema={name: IDENTITY_TYPES[name] for name in ("sensor", "epoch", "sequence")},
    )
    return pl.concat([batch.rows for batch in batches], how="diagonal").hstack(
        [*whose[numbered(batches)].get_columns(), pl.concat([batch.row for batch in batches]).cast(pl.Int32).alias("row")]
    )


def numbered(batches: Sequence[RecordBatch]) -> pl.Series:
    """For each row of batches, one behind the other, the number of the batch that it is of."""
    lengths = pl.Series([batch.rows.height for batch in batches], dtype=pl.Int64())
    return pl.Series(range(len(batches)), dtype=pl.Int64()).repeat_by(lengths).explode(empty_as_null=False)


def plain(rows: pl.DataFrame) -> list[dict[str, object]]:
    """Each row as values that JSON can hold.

    Times are RFC 3339 text with nanoseconds, durations nanoseconds, bytes hexadecimal.
    """
    return printable(rows).to_dicts()


def _check_metadata(header: BatchHeader, schema: Any) -> None:
    """Compare the stream's own metadata with the header it came with. Raises Undecodable."""
    metadata: dict[bytes, bytes] = schema.metadata or {}
    found = {key.decode(errors="replace"): value.decode(errors="replace") for key, value in metadata.items()}
    expected = {
        "icsight.table": header.table,
        "icsight.sensor": header.sensor,
        "icsight.epoch": header.epoch,
        "icsight.sequence": str(header.sequence),
    }
    for key, value in expected.items():
        if found.get(key) != value:
            raise Undecodable(f"its metadata says {key} {found.get(key)!r}, its header {value!r}")
    version = found.get("icsight.schema", "")
    if not version.isdecimal() or int(version) > SCHEMA_VERSION:
        raise Undecodable(f"schema version {version!r}, this collector reads up to {SCHEMA_VERSION}: update icsight")


def stream_schema(data: bytes) -> Any:
    """What an Arrow stream begins with: its schema with the metadata. Raises OSError where it is none."""
    # pyarrow carries no type information and is slow to load; this is the only place that asks it anything.
    arrow = cast("Any", import_module("pyarrow"))
    try:
        return arrow.ipc.read_schema(arrow.ipc.read_message(data))
    except (arrow.ArrowException, EOFError) as error:
        raise OSError(str(error)) from error
