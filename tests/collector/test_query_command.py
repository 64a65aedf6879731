"""`icsight query`, as a person and a program meet it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from collector.records import decode
from collector.store.local import LocalRecordStore
from sensor.spool_format import BatchHeader
from tests.batches import EPOCH, encode, sample

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    store = LocalRecordStore(folder / "records", writer=True)
    header = BatchHeader("north", EPOCH, 0, "modbus", 2000, "plant")
    columns = sample("modbus", 2000)
    columns["modbus.data"] = [b"\x01\xff"] * 2000
    columns["modbus.file_records"] = [[{"file": 1, "record": 2, "length": 1, "data": b"\x00\xfe"}]] * 2000
    store.append([decode(header, encode(header, columns))])
    store.close()
    return folder


def icsight(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    program = "from api.cli import main; main()"
    return subprocess.run([sys.executable, "-c", program, *map(str, arguments)], cwd=ROOT, capture_output=True, check=False)


def test_json_is_one_flat_object_a_line_with_dotted_keys(data: Path) -> None:
    done = icsight("query", "SELECT * FROM modbus ORDER BY ts LIMIT 2", "--data", data, "--output", "json")
    assert (done.returncode, done.stderr) == (0, b"")
    first, second = map(json.loads, done.stdout.splitlines())
    assert first["ts"] == "2025-11-24T16:00:00.000000000Z"
    assert first["client.ip"].startswith("10.0.0.")
    assert first["modbus.values"] == [0, 2, 3, 4]
    assert first["modbus.data"] == "01ff"
    assert first["modbus.file_records"] == [{"file": 1, "record": 2, "length": 1, "data": "00fe"}]
    assert isinstance(first["modbus.response_time"], int)
    assert (second["sensor"], second["epoch"], second["sequence"], second["row"]) == ("north", EPOCH, 0, 1)


def test_a_table_for_people_is_the_default(data: Path) -> None:
    done = icsight("query", "SELECT client.ip, count(*) AS n FROM modbus GROUP BY client.ip ORDER BY n DESC", "--data", data)
    assert done.returncode == 0
    assert b"client.ip" in done.stdout
    assert b"10.0.0." in done.stdout


@pytest.mark.parametrize(("output", "load"), [("arrow", pl.read_ipc_stream), ("parquet", pl.read_parquet)])
def test_arrow_and_parquet_hold_the_same_rows(data: Path, output: str, load: Callable[[io.BytesIO], pl.DataFrame]) -> None:
    done = icsight("query", "SELECT row, ts FROM modbus ORDER BY row", "--data", data, "--output", output)
    assert done.returncode == 0
    assert load(io.BytesIO(done.stdout))["row"].to_list() == list(range(2000))


def test_a_limit_cuts_the_answer(data: Path) -> None:
    done = icsight("query", "SELECT row FROM modbus", "--data", data, "--output", "json", "--limit", "3")
    assert len(done.stdout.splitlines()) == 3


@pytest.mark.parametrize("output", ["table", "json"])
def test_who_gets_fewer_rows_than_there_are_is_told_so_on_standard_error(data: Path, output: str) -> None:
    asked = ("query", "SELECT row FROM modbus", "--data", data, "--output", output)
    cut = icsight(*asked, "--limit", "3")
    assert cut.returncode == 0
    assert cut.stderr.decode().splitlines() == [
        "warning: there are more rows than the 3 that --limit allows: raise it to see them"
    ]
    assert icsight(*asked, "--limit", "2000").stderr == b""


def test_a_table_that_stops_early_says_so_on_standard_error(data: Path) -> None:
    done = icsight("query", "SELECT row FROM modbus", "--data", data)
    assert done.stderr.decode() == "warning: 50 of 2,000 rows are shown: --limit 2000 shows all\n"
    assert len(done.stdout.splitlines()) == 51


def test_a_limit_is_enough_for_an_answer_of_any_length(data: Path) -> None:
    done = icsight("query", "SELECT * FROM range(100000000)", "--data", data, "--output", "json", "--limit", "2")
    assert (done.returncode, done.stdout.splitlines()) == (0, [b'{"range":0}', b'{"range":1}'])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["SELECT nothing FROM modbus"], b"nothing"),
        (["DROP TABLE modbus"], b"only one SELECT"),
        (["SELECT * FROM '/etc/passwd'"], b"there is no table"),
    ],
)
def test_what_cannot_be_answered_is_one_clear_line_and_exit_2(data: Path, arguments: list[str], says: bytes) -> None:
    done = icsight("query", *arguments, "--data", data)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.startswith(b"error: ")
    assert done.stderr.count(b"\n") == 1
    assert done.stdout == b""


def test_a_folder_without_records_says_how_to_get_some_and_stays_as_it_was(tmp_path: Path) -> None:
    done = icsight("query", "SELECT 1", "--data", tmp_path / "nothing")
    assert done.returncode == 2
    assert b"icsight run --capture" in done.stderr
    assert not (tmp_path / "nothing").exists()


def test_a_reader_that_leaves_early_is_no_error(data: Path) -> None:
    program = "from api.cli import main; main()"
    command = [sys.executable, "-c", program, "query", "SELECT * FROM modbus", "--data", str(data), "--output", "json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
