"""What a batch may be that somebody else made: what cannot be is refused by name, and nothing that a sensor makes is."""

# pyarrow ships no type information.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false

from __future__ import annotations

import json
import random
import resource
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pyarrow as pa
import pytest

from collector.records import MOST_ROWS, UNFOLDED_BYTES, Undecodable, decode, identified
from collector.store.elastic_documents import documents
from collector.unfolding import unfolded
from sensor.spool_format import ROW, BatchHeader
from sensor.tables import BATCH_ROWS, TABLES
from tests.batches import EPOCH, encode, sample

if TYPE_CHECKING:
    from collections.abc import Mapping

HEADER: Final = BatchHeader("north", EPOCH, 0, "modbus", 5, "plant")

INJECTION: Final = 'x"]}\n{"index":{"_index":"icsight.ledger","_id":"consumer/store"}}\n{"a":["b'
"""Name of a column that ends the document which it is named in, and begins another."""


def made(
    header: BatchHeader,
    columns: Mapping[str, pa.Array] | None = None,
    compression: str | None = "lz4",
    values: Mapping[str, Any] | None = None,
) -> bytes:
    """A batch with these columns in place of its own or besides them."""
    whole = encode(header, {**sample(header.table, header.rows), **(values or {})})
    with pa.ipc.open_stream(whole) as stream:
        table = stream.read_all()
    for name, column in (columns or {}).items():
        at = table.schema.get_field_index(name)
        table = table.append_column(name, column) if at < 0 else table.set_column(at, name, column)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    "column", [pa.array([[1], None, [2], [3], [4]]), pa.array([float("nan")] * 5), pa.array([b"a"] * 5), pa.nulls(5)]
)
@pytest.mark.parametrize("name", [INJECTION, "sequence", "modbus.of_a_newer_sensor"])
def test_columns_that_the_table_does_not_know_are_left_out(name: str, column: pa.Array) -> None:
    batch = decode(HEADER, made(HEADER, {name: column}))
    assert batch.rows.columns == [column.name for column in TABLES["modbus"].columns]
    assert batch.rows.equals(decode(HEADER, made(HEADER)).rows)


@pytest.mark.parametrize("values", [[float("nan")] * 5, [[1]] * 5, [b"a"] * 5, ["b"] * 5])
def test_no_name_of_a_column_gives_elasticsearch_an_action_of_its_own(values: list[object]) -> None:
    rows = identified([decode(HEADER, made(HEADER))]).with_columns(pl.Series(INJECTION, values))
    lines = documents(rows, pl.Series(["north/0"] * 5)).str.join("").item().splitlines()
    assert len(lines) == 10
    assert [list(json.loads(line)) for line in lines[::2]] == [["create"]] * 5
    assert INJECTION in json.dumps(json.loads(lines[1]), ensure_ascii=False).encode().decode("unicode_escape")


def test_what_a_field_says_besides_its_type_makes_no_other_column_of_it() -> None:
    whole = made(HEADER)
    assert decode(HEADER, whole).rows.schema["client.ip"] == pl.Categorical()
    with pa.ipc.open_stream(whole) as stream:
        table = stream.read_all()
    at = table.schema.get_field_index("client.ip")
    hostile = table.schema.field(at).with_metadata({"_PL_ENUM_VALUES2": "1;x"})
    schema = table.schema.set(at, hostile)
    sink = pa.BufferOutputStream()
    nulls = pa.DictionaryArray.from_arrays(pa.nulls(5, pa.int32()), pa.array(["x"]))
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_table(table.set_column(at, hostile, nulls).cast(schema))
    with pytest.raises(Undecodable, match=r"column client\.ip is Enum"):
        decode(HEADER, sink.getvalue().to_pybytes())
    assert decode(HEADER, whole).rows.height == 5


def test_what_would_unfold_to_too_much_is_refused_before_it_does() -> None:
    zeros = pa.array([bytes(UNFOLDED_BYTES)] + [b""] * 4, pa.large_binary())
    data = made(HEADER, {"modbus.data": zeros}, "zstd")
    assert len(data) < 32_768
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(Undecodable, match=r"it unfolds to 67,.* bytes; a batch has at most 67,108,864"):
        decode(HEADER, data)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used < 16_384


def test_rows_that_share_a_long_text_are_refused_where_each_would_be_written_by_itself() -> None:
    header = replace(HEADER, rows=10_000)
    long = pa.DictionaryArray.from_arrays(pa.array([0] * header.rows, pa.int32()), pa.array(["a" * 1_000_000]))
    data = made(header, {"network.community_id": long})
    assert len(data) < 1_000_000
    with pytest.raises(Undecodable, match=r"its texts are 10,\d\d\d,\d\d\d,\d\d\d bytes once each row has its own"):
        decode(header, data)


def test_columns_of_views_of_which_rows_can_share_a_text_are_refused() -> None:
    data = made(HEADER, {"modbus.data": pa.array([b"longer than a view has room for"] * 5, pa.binary_view())})
    with pytest.raises(Undecodable, match="not an Arrow stream: columns of views"):
        decode(HEADER, data)


@pytest.mark.parametrize("table", TABLES)
def test_the_largest_batches_of_a_sensor_are_taken(table: str) -> None:
    header = replace(HEADER, table=table, rows=BATCH_ROWS)
    assert decode(header, encode(header, sample(table, header.rows))).rows.height == BATCH_ROWS


def test_long_texts_of_a_sensor_are_taken() -> None:
    # The packet core cuts names and values at 1,024 bytes.
    header = replace(HEADER, table="opcua_item", rows=60_000)
    names = {name: [f"{number % 50:04d}" * 256 for number in range(header.rows)] for name in ("opcua.node_id", "opcua.name")}
    batch = decode(header, encode(header, {**sample("opcua_item", header.rows), **names}))
    assert batch.rows["opcua.node_id"].cat.len_bytes().min() == 1_024


def test_a_single_huge_row_of_a_sensor_is_taken() -> None:
    header = replace(HEADER, rows=1)
    data = random.Random(0).randbytes(20_000_000)
    assert decode(header, made(header, values={"modbus.data": [data]})).rows["modbus.data"].item() == data


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ([0, 1, 2, 3, 2**31], "numbers that none of its 9 rows can have had"),
        ([0, 1, 2, 3, 9], "numbers that none of its 9 rows can have had"),
        ([0, None, 2, 3, 4], "numbers that none of its 9 rows can have had"),
        ([0, 1, 1, 2, 3], "do not rise"),
        ([4, 3, 2, 1, 0], "do not rise"),
    ],
)
def test_numbers_of_rows_that_cannot_be_are_refused(numbers: list[int | None], told: str) -> None:
    header = replace(HEADER, dropped=4)
    assert decode(header, made(header, {ROW: pa.array([0, 1, 2, 3, 8], pa.uint32())})).row.to_list() == [0, 1, 2, 3, 8]
    with pytest.raises(Undecodable, match=told):
        decode(header, made(header, {ROW: pa.array(numbers, pa.uint32())}))


@pytest.mark.parametrize("header", [replace(HEADER, rows=2**40), replace(HEADER, rows=0, dropped=MOST_ROWS + 1)])
def test_more_rows_than_a_batch_has_are_refused_by_its_header_alone(header: BatchHeader) -> None:
    with pytest.raises(Undecodable, match=r"it is said to have had [\d,]+ rows; a batch has at most 131,072"):
        decode(header, b"")


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
@pytest.mark.parametrize("table", TABLES)
def test_what_a_batch_unfolds_to_is_what_it_has_without_compression(table: str, compression: str) -> None:
    header = replace(HEADER, table=table, rows=300)
    plain = unfolded(made(header, compression=None))
    assert unfolded(made(header, compression=compression)) == plain
    assert plain.rows == 300
    assert plain.bytes > plain.shared > 0


def test_whatever_bytes_come_they_are_rows_or_refused() -> None:
    source = random.Random(7)
    header = replace(HEADER, rows=40)
    good = made(header)
    reasons: list[str] = []
    for _ in range(400):
        data = bytearray(good)
        for _ in range(source.randrange(1, 4)):
            data[source.randrange(len(data))] = source.randrange(256)
        del data[source.choice([len(data), source.randrange(len(data))]) :]
        try:
            assert decode(header, bytes(data)).rows.height == 40
        except Undecodable as error:
            reasons.append(str(error))
    assert len(reasons) > 100
    assert all("\n" not in reason for reason in reasons)
