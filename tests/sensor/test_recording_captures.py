"""`icsight sensor run --capture`: a capture into a gateway's spool, with the identities that reading it anywhere gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from collector.records import decode
from sensor._core import Reader
from sensor.spool import SpoolReader
from tests.plant.day import day

if TYPE_CHECKING:
    import polars as pl

ICSIGHT = Path(sys.executable).with_name("icsight")


def record(capture: str, data: Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [ICSIGHT, "sensor", "run", "--data", data, "--name", "north", "--site", "plant", "--capture", capture]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=120, check=False)


def spooled(data: Path) -> list[tuple[str, str, int, pl.DataFrame]]:
    """Sensor, epoch, sequence and rows of each batch."""
    with SpoolReader(data / "spool") as reader:
        found = [(batch.header, batch.data) for batch in reader.read(0)]
    return [(header.sensor, header.epoch, header.sequence, decode(header, data).rows) for header, data in found]


def test_a_capture_file_is_recorded_once_as_reading_it_says(tmp_path: Path) -> None:
    path = tmp_path / "day.pcap"
    with path.open("wb") as out:
        day(out, seed=5, hours=0.02, scenario_names=[], attack_names=[])
    reader = Reader(str(path), sensor="north", site="plant")
    expected = [(batch.sequence, batch.table, batch.rows) for batch in reader]
    assert len(expected) > 3
    for _ in range(2):
        assert record(str(path), tmp_path / "data").returncode == 0
        found = spooled(tmp_path / "data")
        assert [(sequence, rows.height) for _, _, sequence, rows in found] == [(number, rows) for number, _, rows in expected]
        assert {(sensor, epoch) for sensor, epoch, _, _ in found} == {("north", reader.epoch)}


def test_captures_on_standard_input_go_on_with_the_spools_epoch(tmp_path: Path) -> None:
    path = tmp_path / "day.pcap"
    with path.open("wb") as out:
        day(out, seed=5, hours=0.01, scenario_names=[], attack_names=[])
    for _ in range(2):
        done = record("-", tmp_path / "data", path.read_bytes())
        assert done.returncode == 0, done.stderr
    found = spooled(tmp_path / "data")
    assert len({epoch for _, epoch, _, _ in found}) == 1
    assert [sequence for _, _, sequence, _ in found] == list(range(len(found)))


def test_what_cannot_be_recorded_is_told_in_one_line(tmp_path: Path) -> None:
    for capture in (tmp_path / "none.pcap", Path(__file__)):
        done = record(str(capture), tmp_path / "data")
        assert done.returncode == 2
        assert len(done.stderr.decode().strip().splitlines()) == 1
    command = [ICSIGHT, "sensor", "run", "--data", tmp_path / "data", "--capture", "-", "--interface", "lo"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == 2
    assert b"both given" in done.stderr
