"""Documents of an append: whatever its batches unfold to, a bounded part of it is in memory at once."""

# pyarrow ships no type information.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Final

import polars as pl
import pyarrow as pa
import pytest

from collector.records import decode, identified
from collector.store.elastic_documents import documents
from collector.store.elastic_lines import LINE_BYTES, chunks_by_index
from sensor.spool_format import BatchHeader
from sensor.tables import BATCH_ROWS, TABLES
from tests.batches import EPOCH, encode, sample
from tests.collector.test_records import made

if TYPE_CHECKING:
    from pathlib import Path

MOST_MIB: Final = 150
"""Most that the documents of one batch may take beside the program: compose gives a collector 1 GiB."""

WRITING: Final = """
import resource, sys
from pathlib import Path
from collector.records import decode
from collector.store.elastic_lines import chunks_by_index
from sensor.spool_format import BatchHeader

batch = decode(BatchHeader("north", sys.argv[2], 0, "device", int(sys.argv[3]), "plant"), Path(sys.argv[1]).read_bytes())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
size = sum(int(chunk.rows["line"].str.len_bytes().sum()) for chunk in chunks_by_index([batch], "icsight", 4 * 1024**2))
print(size // 1024**2, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize(("length", "sharing"), [(3_900, BATCH_ROWS), (64_000, 4_000)])
def test_a_small_batch_that_is_half_a_gigabyte_of_documents_is_written_in_little_memory(
    tmp_path: Path, length: int, sharing: int
) -> None:
    header = BatchHeader("north", EPOCH, 0, "device", BATCH_ROWS, "plant")
    keys = pa.array([0] * sharing + [None] * (BATCH_ROWS - sharing), pa.int32())
    long = pa.DictionaryArray.from_arrays(keys, pa.array(['"' * length]))
    data = made(header, {"client.ip": long}, values={"ts": [0] * BATCH_ROWS})
    (tmp_path / "batch").write_bytes(data)
    command = [sys.executable, "-c", WRITING, str(tmp_path / "batch"), EPOCH, str(BATCH_ROWS)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    written, taken = map(int, told.stdout.split())
    assert len(data) < 1024**2
    assert written > 450
    assert taken < MOST_MIB


@pytest.mark.parametrize("table", TABLES)
def test_documents_are_the_same_however_many_are_made_at_once(table: str) -> None:
    headers = [BatchHeader("north", EPOCH, number, table, rows, "plant") for number, rows in enumerate((30_000, 5, 20_000))]
    batches = [decode(header, encode(header, sample(table, header.rows))) for header in headers]
    found = list(chunks_by_index(batches, "icsight", LINE_BYTES))
    rows = identified(batches)
    whole = documents(rows, pl.Series([f"north/{EPOCH}"]).new_from_index(0, rows.height))
    assert {chunk.index for chunk in found} == {f"icsight-{table}-2025.11.24"}
    assert pl.concat([chunk.rows["line"] for chunk in found]).equals(whole.rename("line"))
    assert pl.concat([chunk.rows["batch"] for chunk in found]).rle().to_list() == [
        {"len": header.rows, "value": header.sequence} for header in headers
    ]
