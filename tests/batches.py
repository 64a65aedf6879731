"""Record batches made by hand: the bytes that the packet core would hand over, with any rows a test wants."""

# pyarrow ships no type information.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from sensor.tables import SCHEMA_VERSION, STRUCTURES, TABLES, Column, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sensor.spool_format import BatchHeader

EPOCH: Final = "0123456789abcdef0123456789abcdef"
START: Final = 1_764_000_000_000_000_000
"""First packet time of `sample`: 2025-11-24T16:00:00Z."""

_SCALARS: Final[Mapping[str, pa.DataType]] = {
    "timestamp": pa.timestamp("ns", "UTC"),
    "duration": pa.duration("ns"),
    "choice": pa.dictionary(pa.uint8(), pa.utf8()),
    "name": pa.dictionary(pa.int32(), pa.utf8()),
    "text": pa.utf8(),
    "bool": pa.bool_(),
    "u8": pa.uint8(),
    "u16": pa.uint16(),
    "u32": pa.uint32(),
    "u64": pa.uint64(),
    "f64": pa.float64(),
    "binary": pa.binary(),
    "list<u16>": pa.list_(pa.uint16()),
    "list<text>": pa.list_(pa.utf8()),
}


def arrow_type(kind: Kind) -> pa.DataType:
    """The Arrow type of a kind, as `sensor.tables` says."""
    if kind in _SCALARS:
        return _SCALARS[kind]
    return pa.list_(pa.struct([(name, arrow_type(field)) for name, field in STRUCTURES[kind[5:-1]].items()]))


def arrow_schema(table: str) -> pa.Schema:
    """The Arrow schema of a table, without metadata."""
    return pa.schema([pa.field(column.name, arrow_type(column.kind), column.nullable) for column in TABLES[table].columns])


def encode(header: BatchHeader, columns: Mapping[str, Sequence[Any]]) -> bytes:
    """The batch as one Arrow IPC stream, lz4. Missing columns are null, or hold a blank where they must not be null."""
    schema = arrow_schema(header.table)
    arrays = [_array(column, columns.get(column.name), header.rows) for column in TABLES[header.table].columns]
    metadata = {
        "icsight.table": header.table,
        "icsight.schema": str(SCHEMA_VERSION),
        "icsight.site": header.site,
        "icsight.sensor": header.sensor,
        "icsight.epoch": header.epoch,
        "icsight.sequence": str(header.sequence),
        "icsight.cut": str(header.cut),
        "icsight.cut_start": str(header.cut_start),
        "icsight.cut_end": str(header.cut_end),
        "icsight.cut_last": str(int(header.cut_last)),
    }
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema.with_metadata(metadata), options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_batch(pa.record_batch(arrays, schema=schema))
    return sink.getvalue().to_pybytes()


def sample(table: str, rows: int, *, seed: int = 0, start: int = START, step: int = 1_000_000) -> dict[str, Sequence[Any]]:
    """Columns of plausible random rows, `step` nanoseconds apart from `start`, between a handful of addresses."""
    source = random.Random(seed)
    columns: dict[str, Sequence[Any]] = {"ts": range(start, start + rows * step, step)}
    addresses = [f"10.0.0.{host}" for host in range(1, 20)]
    columns["client.ip"] = source.choices(addresses, k=rows)
    columns["server.ip"] = source.choices(addresses, k=rows)
    columns["client.port"] = source.choices(range(49_152, 65_536), k=rows)
    columns["server.port"] = [502] * rows
    if table == "modbus":
        columns["modbus.unit_id"] = source.choices(range(1, 8), k=rows)
        columns["modbus.transaction_id"] = [row % 65_536 for row in range(rows)]
        columns["modbus.function_code"] = source.choices([3, 4, 6, 16], k=rows)
        columns["modbus.address"] = source.choices(range(200), k=rows)
        columns["modbus.quantity"] = [4] * rows
        columns["modbus.values"] = [[row % 65_536, 2, 3, 4] for row in range(rows)]
        columns["modbus.response_time"] = source.choices(range(1_000_000, 9_000_000), k=rows)
        columns["modbus.bytes"] = [29] * rows
    if table == "point":
        columns["point.id"] = source.choices([f"holding:{address}@1" for address in range(50)], k=rows)
        columns["point.number"] = [source.random() for _ in range(rows)]
    return columns


def _array(column: Column, values: Sequence[Any] | None, rows: int) -> pa.Array:
    if values is None:
        values = [None if column.nullable else _blank(column)] * rows
    kind = arrow_type(column.kind)
    if column.kind == "choice":
        keys = [None if value is None else column.values.index(value) for value in values]
        return pa.DictionaryArray.from_arrays(pa.array(keys, pa.uint8()), pa.array(column.values, pa.utf8()))
    if column.kind == "name":
        return pa.array(values, pa.utf8()).dictionary_encode()
    return pa.array(values, kind)


def _blank(column: Column) -> object:
    """A value for a column that must not be null."""
    choice = column.values[0] if column.values else ""
    blanks: dict[str, object] = {"choice": choice, "name": "-", "text": "", "bool": False, "binary": b""}
    return blanks.get(column.kind, [] if column.kind.startswith("list") else 0)
