"""A gateway that is left alone: its disk fills, fails and comes back, its clock is set, and people ask it for packets."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from collector.records import decode
from sensor.control import CONTROL, OUTBOX
from sensor.packets import PACKETS, PINNED
from sensor.recorder import RETRY_SECONDS
from sensor.spool import SpoolReader
from tests.sensor.faults import Faults, parts_of
from tests.sensor.network import ROOT
from tests.sensor.recording import recording
from tests.sensor.test_live import comparable, modbus_of
from tests.sensor.test_packets import content

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tests.sensor.network import Network
    from tests.sensor.recording import Recording

DAY_NS = 86_400 * 10**9
MOST_SECONDS = 120.0
WRITE = pl.col("modbus.access").cast(pl.String) == "write"


def faulty(folder: Path, disk: Path, monkeypatch: pytest.MonkeyPatch) -> Faults:
    """Programs that are started from here on run with these."""
    faults = Faults(folder, disk)
    for name, value in faults.environment.items():
        monkeypatch.setenv(name, value)
    return faults


def until(true: Callable[[], bool], seconds: float = MOST_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def drops_of(sensor: Recording) -> dict[str, int]:
    """What table `sensor` says last."""
    return {entry["name"]: entry["count"] for entry in sensor.rows("sensor")["sensor.drops"].to_list()[-1]}


def writes_in(data: Path) -> int:
    """How many writes of Modbus a spool holds, batches counted that have lost rows."""
    with SpoolReader(data / "spool") as spool:
        batches = [decode(each.header, each.data) for each in spool.read(0) if each.header.table == "modbus"]
    return sum(each.rows.filter(WRITE).height for each in batches)


def headers_of(data: Path) -> list[tuple[int, int, int]]:
    """Sequence, rows and dropped rows of all batches in a spool."""
    with SpoolReader(data / "spool") as spool:
        return [(each.header.sequence, each.header.rows, each.header.dropped) for each in spool.read(0)]


def test_a_disk_that_takes_nothing_for_a_while_costs_nothing_that_the_rings_can_hold(
    network: Network, plant: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    faults = faulty(tmp_path, data / "spool", monkeypatch)
    with recording(network, data, "--packets-quota", "0", "--sync", "0") as sensor:
        before, during, still = parts_of(plant, 3)
        network.transmit(before, "--pause", "0.002")
        sensor.await_rows("modbus")
        faults.set(read_only=True)
        network.transmit(during, "--pause", "0.002")
        assert sensor.process.stderr is not None
        refused = sensor.process.stderr.readline()
        # It tries again, more than once.
        time.sleep(3 * RETRY_SECONDS)
        assert sensor.process.poll() is None
        network.transmit(still, "--pause", "0.002")
        faults.set(read_only=False)
        packets, lost, err = sensor.stop()
        assert drops_of(sensor)["spool_waits"] == 1
        assert comparable(sensor.rows("modbus")) == comparable(modbus_of(plant))
    assert lost == 0
    assert packets > 0
    assert "Read-only file system" in refused
    (again,) = err.splitlines()
    assert "recording again" in again
    sequences = [sequence for sequence, _, _ in headers_of(data)]
    assert sequences == list(range(len(sequences)))


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four hours of the plant under attack: well more than a MiB of records, however few batches they come in."""
    capture = tmp_path_factory.mktemp("day") / "day.pcap"
    made = [sys.executable, "-m", "tests.plant", "day", "--out", str(capture), "--hours", "4"]
    subprocess.run(made, cwd=ROOT, check=True, capture_output=True)
    return capture


def test_a_gateway_at_its_quota_goes_on_and_table_sensor_says_what_went(network: Network, day: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with recording(network, data, "--packets-quota", "0", "--spool-quota", "1") as sensor:
        sent = network.transmit(day, "--pause", "0.02")
        until(lambda: "spool_values" in drops_of(sensor))
        packets, lost, _ = sensor.stop()
        drops = drops_of(sensor)
        told = sensor.rows("sensor").sort("sensor.packets").row(-1, named=True)
    assert (packets, lost) == (sent, 0)
    assert sum(path.stat().st_size for path in (data / "spool").iterdir()) <= 1024 * 1024 + 64 * 1024
    found = headers_of(data)
    assert [sequence for sequence, _, _ in found] == list(range(found[0][0], found[-1][0] + 1))
    # The last row of `sensor` was written before the last batches.
    assert 0 < drops["spool_values"] <= sum(dropped for _, _, dropped in found)
    assert "spool_records" not in drops
    assert writes_in(data) == modbus_of(day).filter(WRITE).height
    # Each record that is held was written, and some that are not.
    assert told["sensor.bytes_written"] > sum(path.stat().st_size for path in (data / "spool").glob("*.segment"))
    assert told["sensor.spool_depth"] > 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path]:
    """A file system of 768 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=768k", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_gateway_whose_disk_is_full_goes_on_within_what_it_may_call(network: Network, day: Path, small_disk: Path) -> None:
    with recording(network, small_disk / "data", "--packets-quota", "0", "--spool-quota", "4") as sensor:
        sent = network.transmit(day, "--pause", "0.02")
        until(lambda: "spool_values" in drops_of(sensor))
        packets, lost, err = sensor.stop()
        drops = drops_of(sensor)
    assert (packets, lost) == (sent, 0)
    # Records go before what is told of the recorder, which may find no room.
    assert [line for line in err.splitlines() if "cannot be told (No space left on device)" not in line] == []
    assert "spool_records" not in drops
    assert writes_in(small_disk / "data") == modbus_of(day).filter(WRITE).height


def test_a_clock_that_is_set_changes_no_order_and_is_told(
    network: Network, plant: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    faults = faulty(tmp_path, tmp_path / "none", monkeypatch)
    with recording(network, data, "--packets-quota", "0", "--spool-age", "1", "--sync", "0") as sensor:
        # A leap second, a day back, a year ahead, and right again.
        for part, wrong_ns in zip(parts_of(plant, 5), (0, -(10**9), -DAY_NS, 366 * DAY_NS, 0), strict=True):
            faults.set(clock_ns=wrong_ns)
            network.transmit(part, "--pause", "0.002")
            before = sensor.rows("sensor").height
            until(lambda before=before: sensor.rows("sensor").height > before)
        _, lost, _ = sensor.stop()
        offsets = sensor.rows("sensor")["sensor.clock_offset"].cast(pl.Int64)
        assert "spool_expired" not in drops_of(sensor)
        assert sensor.rows("modbus").height > 0.9 * modbus_of(plant).height
    assert lost == 0
    assert offsets.min() < -0.9 * DAY_NS  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue, reportOptionalOperand] - rows are there
    sequences = [sequence for sequence, _, _ in headers_of(data)]
    assert sequences == list(range(len(sequences)))


ASK = """
import sys
from pathlib import Path
from collector.stream import Outgoing
from collector.stream.local import LocalStream
from detection.control import Control
from sensor.control_records import EvidenceRequest
from sensor.packets import ALWAYS, Statement
from sensor.spool import BatchHeader, Spool
folder = Path(sys.argv[1])
start, end = int(sys.argv[2]), int(sys.argv[3])
with Spool(folder, sensor="control", site="") as spool:
    stream = LocalStream(folder, spool)
    control = Control(stream)
    pairs = ((sys.argv[4], sys.argv[5]),)
    control.pin(Statement(start, end, pairs=pairs, alert="alert-1"))
    control.ask(EvidenceRequest("request-1", Statement(start, end, pairs=pairs), "li", "local"))
    control.ask(EvidenceRequest("request-2", Statement(start, end, pairs=(("192.0.2.1", None),)), "li", "local"))
    control.ask(EvidenceRequest("request-3", Statement(start, end), "li", "another"))
    stream.publish([Outgoing(BatchHeader("x", "e", 0, "control", 1), b"no records")])
"""


def test_a_sensor_that_runs_alone_pins_and_answers_what_the_control_stream_asks(
    network: Network, plant: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    with recording(network, data, "--packets-quota", "16") as sensor:
        start = time.time_ns()
        network.transmit(plant, "--pause", "0.002")
        end = time.time_ns()
        modbus = sensor.await_rows("modbus")
        client, server = (str(modbus[name][0]) for name in ("client.ip", "server.ip"))
        # What is younger than this may still be on its way to the disk, and would be waited for.
        time.sleep(13)
        subprocess.run(
            [sys.executable, "-c", ASK, str(data / CONTROL), str(start), str(end), client, server], cwd=ROOT, check=True
        )
        outbox = data / OUTBOX
        until(lambda: (outbox / "request-2.answer").exists() and (outbox / "position.json").exists())
        answer = json.loads((outbox / "request-1.answer").read_bytes())
        packets = (outbox / "request-1.pcapng").read_bytes()
        assert (answer["status"], answer["by"], answer["sensor"]) == ("answered", "li", "local")
        assert answer["sha256"] == hashlib.sha256(packets).hexdigest()
        assert len(content(packets)) == answer["packets"] > 10
        assert json.loads((outbox / "request-1.json").read_bytes())["sha256"] == answer["sha256"]
        assert json.loads((outbox / "request-2.answer").read_bytes())["status"] == "no_packets"
        assert not (outbox / "request-3.answer").exists()
        # The ring goes on, and over what was pinned.
        segments = set((data / PACKETS).glob("0*.pcapng"))
        until(lambda: network.transmit(plant, "--times", "40") > 0 and not segments & set((data / PACKETS).glob("0*.pcapng")))
        pinned = b"".join(path.read_bytes() for path in sorted((data / PACKETS / PINNED / "alert-1").glob("*.pcapng")))
        assert len(content(pinned)) == answer["packets"]
        _, _, err = sensor.stop()
        assert drops_of(sensor)["control_refused"] == 1
    assert [line for line in err.splitlines() if "not a batch of control records" in line]
    stamp = (outbox / "request-1.answer").stat().st_mtime_ns
    # Started again, it does not answer again.
    with recording(network, data, "--packets-quota", "16") as sensor:
        time.sleep(2)
        _, _, err = sensor.stop()
    assert err == ""
    assert (outbox / "request-1.answer").stat().st_mtime_ns == stamp


def test_the_last_line_says_what_went_to_the_disk(network: Network, plant: Path, tmp_path: Path) -> None:
    with recording(network, tmp_path / "data") as sensor:
        network.transmit(plant, "--pause", "0.002")
        sensor.await_rows("modbus")
        sensor.process.terminate()
        out, _ = sensor.process.communicate(timeout=MOST_SECONDS)
    line = out.splitlines()[-1]
    assert "bytes written to the spool" in line
    assert "a record" in line
    assert "to the ring" in line
    if Path(f"/proc/{os.getpid()}/io").exists():
        assert "as the system counts them" in line
