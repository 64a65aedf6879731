"""A recorder listens nowhere: it writes how it is beside its spool, and the uplink of the folder tells it."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client.openmetrics.parser import text_string_to_metric_families  # pyright: ignore[reportUnknownVariableType]  untyped

from sensor import recorder_metrics
from sensor._core import Reader
from sensor.edge import spool_settings
from sensor.metrics import Readings
from sensor.recorder_state import FILE, STALE_SECONDS, RecorderState
from sensor.remote_settings import Version, applied, keep
from sensor.spool import BatchHeader, Spool, SpoolReader

if TYPE_CHECKING:
    from collections.abc import Callable

ICSIGHT = Path(sys.executable).with_name("icsight")
CAPTURE = Path(__file__).parents[2] / "rules" / "modbus" / "restart_communications.fires.pcap"


def told(data: Path) -> dict[str, float]:
    """The samples by name, as a reader of OpenMetrics takes them."""
    readings = Readings()
    readings.add(lambda: recorder_metrics.readings(data))
    told = readings.exposition().decode()
    return {sample.name: sample.value for family in text_string_to_metric_families(told) for sample in family.samples}


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_recorder_that_starts_keeps_what_a_quota_from_afar_has_room_for(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool", sensor="north", settings=spool_settings(512, None, 60)) as spool:
        data = random.Random(1).randbytes(7 * 1024**2)
        for sequence in range(12):
            spool.append(BatchHeader("north", spool.identity.epoch, sequence, "modbus", 10, ""), data)
    keep(tmp_path, Version(1, {"spool_quota_mib": 512}))
    command = [ICSIGHT, "sensor", "run", "--data", tmp_path, "--capture", CAPTURE, "--spool-quota", "64", "--name", "north"]
    subprocess.run(command, capture_output=True, text=True, check=True)
    held = [each.header.sequence for each in SpoolReader(tmp_path / "spool").read(0) if each.header.epoch == spool.identity.epoch]
    assert held == list(range(12))
    assert applied(tmp_path, "recorder") == (1, "")
    shutil.rmtree(tmp_path / "spool")


def test_a_recorder_that_ended_tells_what_it_did(tmp_path: Path) -> None:
    command = [ICSIGHT, "sensor", "run", "--data", tmp_path, "--capture", CAPTURE, "--log-format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    batches = [batch.rows for batch in Reader(str(CAPTURE))]
    state = RecorderState.read(tmp_path)
    assert state is not None
    assert (state.batches, state.records, state.ended, state.trouble) == (len(batches), sum(batches), True, None)
    found = told(tmp_path)
    assert found["icsight_sensor_packets_total"] == state.packets > 0
    assert found["icsight_sensor_records_total"] == sum(batches)
    assert found["icsight_sensor_up"] == 0


def test_a_recorder_that_was_killed_is_told_as_dead(tmp_path: Path) -> None:
    command = [ICSIGHT, "sensor", "run", "--data", tmp_path, "--capture", "-"]
    running = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert running.stdin is not None
    running.stdin.write(CAPTURE.read_bytes())
    running.stdin.flush()
    until((tmp_path / FILE).exists)
    until(lambda: told(tmp_path)["icsight_sensor_packets_total"] > 0)
    assert told(tmp_path)["icsight_sensor_up"] == 1
    assert recorder_metrics.failures(tmp_path) == {}
    running.send_signal(signal.SIGKILL)
    running.wait()
    running.stdin.close()
    state = RecorderState.read(tmp_path)
    assert state is not None
    replace(state, at=state.at - STALE_SECONDS - 1).keep(tmp_path)
    assert told(tmp_path)["icsight_sensor_up"] == 0
    assert "look at `icsight sensor run`" in recorder_metrics.failures(tmp_path)["sensor"]


def test_where_no_recorder_ever_was_nothing_is_told_and_nothing_fails(tmp_path: Path) -> None:
    assert told(tmp_path) == {}
    (tmp_path / FILE).write_text("{")
    assert recorder_metrics.failures(tmp_path) == {}
