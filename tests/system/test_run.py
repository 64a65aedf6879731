"""`icsight run` and `icsight serve` as a process: what comes out, how it ends, and that no end loses or doubles anything."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from collector.store import Query
from collector.store.local import LocalRecordStore
from tests.plant.attacks import ATTACKS
from tests.plant.day import day
from tests.plant.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

ICSIGHT = Path(sys.executable).with_name("icsight")
CAPTURES = Path(__file__).parents[2] / "rules" / "modbus"
CAPTURE = CAPTURES / "write_by_unauthorised_client.fires.pcap"
BIG = CAPTURES / "brute_force_write.fires.pcap.gz"

KILLED_RUNS = (0, 1, *(pytest.param(seed, marks=pytest.mark.full) for seed in (2, 3, 4)))
"""Seeds of the data folders in which a run is killed; each ends with a run to the end, which must find all."""

KILLS_OF_A_RUN = 10
"""Kills of the run on one folder: fifty moments in a full run, from the start of the process to the end of its work."""

STOP_SECONDS = 60.0
"""After this the process does not stop at all; it takes a second, more where other work takes the processor."""


def run(data: Path, *options: str, capture: str | Path = BIG, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    command = [str(ICSIGHT), "run", "--capture", str(capture), "--data", str(data), "--port", "0", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=stdin, text=True)


def finished(process: subprocess.Popen[str], timeout_seconds: float = 600) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=timeout_seconds)
    return process.returncode, out, err


@contextlib.contextmanager
def serving(process: subprocess.Popen[str]) -> Generator[str]:
    """The address at which a process answers."""
    assert process.stdout is not None
    line = process.stdout.readline()
    match = re.search(r"https?://\S+", line)
    assert match is not None, (line, process.stderr and process.stderr.read())
    try:
        yield match[0]
    finally:
        process.kill()
        process.wait()


def alerts(data: Path) -> list[tuple[Any, ...]]:
    with sqlite3.connect(data / "icsight.db") as connection:
        return connection.execute(
            "SELECT id, revision, rule, severity, count, first_seen, last_seen, body FROM alert ORDER BY id"
        ).fetchall()


def records(data: Path) -> dict[str, list[dict[str, Any]]]:
    store = LocalRecordStore(data / "records")
    found = {table.table: every_row(store, table.table) for table in store.tables()}
    store.close()
    return found


def every_row(store: LocalRecordStore, table: str) -> list[dict[str, Any]]:
    """All rows of a table, in the order of their identities."""
    rows: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = store.query(Query(table, limit=10_000, cursor=cursor))
        rows += page.rows.to_dicts()
        cursor = page.cursor
        if cursor is None:
            return sorted(rows, key=lambda row: (row["sensor"], row["epoch"], row["sequence"], row["row"]))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a run that nothing disturbed."""
    data = tmp_path_factory.mktemp("whole") / "data"
    code, _, err = finished(run(data, "--exit-when-done"))
    assert code == 0, err
    return data


def test_the_system_finds_what_detect_finds(whole: Path) -> None:
    answer = subprocess.run(
        [ICSIGHT, "detect", BIG, "--output", "json"], capture_output=True, text=True, check=False, timeout=120
    )
    found = {alert["id"]: alert["count"] for alert in map(json.loads, answer.stdout.splitlines())}
    assert found
    assert {row[0]: row[4] for row in alerts(whole)} == found


def test_running_again_adds_nothing(whole: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for _ in range(2):
        code, _, err = finished(run(data, "--exit-when-done"))
        assert code == 0, err
    assert alerts(data) == alerts(whole)
    assert records(data) == records(whole)


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture that takes a while to read: some hours of the virtual plant under every attack."""
    path = tmp_path_factory.mktemp("plant") / "plant.pcap"
    with path.open("wb") as out:
        day(out, seed=11, hours=4, scenario_names=list(SCENARIOS), attack_names=list(ATTACKS))
    return path


@pytest.fixture(scope="module")
def undisturbed(plant: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a run over the plant that nothing disturbed."""
    data = tmp_path_factory.mktemp("undisturbed") / "data"
    code, _, err = finished(run(data, "--exit-when-done", capture=plant))
    assert code == 0, err
    assert alerts(data)
    return data


def size_bytes(data: Path) -> int:
    """Bytes in the files of a folder that somebody may be writing to."""
    found = 0
    for path in data.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            found += path.stat().st_size
    return found


def kill_when(process: subprocess.Popen[str], data: Path, written_bytes: float, patience_seconds: float) -> bool:
    """Kill a run once it has written so much, or a while after it began; whether it was killed before its end."""
    deadline = time.monotonic() + patience_seconds
    while process.poll() is None and (size_bytes(data) < written_bytes or time.monotonic() < deadline):
        time.sleep(0.05)
    process.kill()
    process.communicate()
    return process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("seed", KILLED_RUNS)
def test_killed_at_any_moment_and_run_again_is_as_if_nothing_had_been(
    plant: Path, undisturbed: Path, tmp_path: Path, seed: int
) -> None:
    data = tmp_path / "data"
    moments = random.Random(seed)
    killed = 0
    # How far it has come tells the moment, not a clock: a machine may be busy. A later kill comes anywhere in what is left.
    for share in sorted(moments.random() for _ in range(KILLS_OF_A_RUN)):
        process = run(data, "--exit-when-done", capture=plant)
        killed += kill_when(process, data, share * size_bytes(undisturbed), moments.uniform(0.0, 0.5))
    code, _, err = finished(run(data, "--exit-when-done", capture=plant))
    assert code == 0, err
    assert killed
    assert alerts(data) == alerts(undisturbed)
    assert records(data) == records(undisturbed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    process = run(tmp_path / "data")
    with serving(process) as url:
        with httpx.stream("GET", f"{url}/healthz") as answer:
            assert answer.status_code == 200
        process.send_signal(number)
        assert process.wait(STOP_SECONDS) == 0


def test_a_live_source_that_waits_for_packets_stops_too(tmp_path: Path) -> None:
    packets, source = os.pipe()
    process = run(tmp_path / "data", capture="-", stdin=packets)
    os.write(source, CAPTURE.read_bytes())
    with serving(process):
        process.send_signal(signal.SIGINT)
        assert process.wait(STOP_SECONDS * 2) == 0
    os.close(source)
    os.close(packets)


def test_it_keeps_serving_when_the_capture_has_ended(tmp_path: Path) -> None:
    process = run(tmp_path / "data", capture=CAPTURE)
    with serving(process) as url:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("The capture has ended"):
                break
        assert httpx.get(f"{url}/readyz").json()["status"] == "ready"
        assert process.poll() is None


def test_a_changed_site_file_and_an_exception_of_a_person_are_taken_over_while_it_runs(tmp_path: Path) -> None:
    site = tmp_path / "site.yml"
    site.write_text("site: works\n")
    process = run(tmp_path / "data", "--site", str(site), capture=CAPTURE)
    with serving(process) as url:
        assert process.stdout is not None
        link = next(line.strip() for line in process.stdout if "/setup#token=" in line)
        client = httpx.Client(base_url=url, timeout=60)
        account = {"token": link.partition("token=")[2], "name": "lin", "password": "seven pumps, two tanks"}
        client.headers["X-CSRF-Token"] = client.post("/api/setup", json=account).json()["csrf_token"]
        scope = {"rules": ["write_by_unauthorised_client"], "end": "2100-01-01T00:00:00Z", "reason": "known"}
        answer = client.post("/api/exceptions", json={**scope, "name": "mine", "seen": 1_000})
        assert answer.status_code == 201, answer.text
        until(lambda: [each["state"] for each in client.get("/api/exceptions").json()] == ["in_force"])
        until(lambda: len(client.get("/api/baseline").json()) == 1)
        merge = ["baseline", "merge", str(tmp_path / "data"), "10.0.0.1", "10.0.0.2", "--by", "Li Na", "--reason", "a pair"]
        subprocess.run([ICSIGHT, *merge], check=True, timeout=120, capture_output=True)
        until(
            lambda: [(each["by"], each["waiting"]) for each in client.get("/api/baseline/decisions").json()] == [("Li Na", False)]
        )

        site.write_text("site: works\nexceptions:\n  - {name: files, by: li.na, " + json.dumps(scope)[1:] + "\n")
        assert next(line for line in process.stdout if "is in force" in line).startswith("The site's file has changed")
        assert [each["name"] for each in client.get("/api/exceptions").json()] == ["files", "mine"]
        site.write_text("site: [")
        until(lambda: "site_not_reloaded" in {each["rule"] for each in client.get("/api/alerts").json()["items"]})
        actions = [(entry["action"], entry["actor"]) for entry in client.get("/api/audit").json()["items"]]
        assert [actions.count(each) for each in (("site.take_over", "system"), ("exception.make", "lin"))] == [2, 1]
        assert actions.count(("baseline.merge", "Li Na")) == 1


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)


def test_serve_answers_over_what_a_run_left(whole: Path) -> None:
    process = subprocess.Popen([ICSIGHT, "serve", "--data", whole, "--port", "0"], stdout=subprocess.PIPE, text=True)
    with serving(process) as url:
        families = httpx.get(f"{url}/metrics").text
        told = sum(float(line.split()[-1]) for line in families.splitlines() if line.startswith("icsight_alerts{"))
        assert told == len(alerts(whole))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("run", "--capture", "missing.pcap", "--data", "DATA", "--port", "0"), "missing.pcap"),
        (("run", "--capture", str(CAPTURE), "--data", "DATA", "--port", "0", "--site", "missing.yml"), "missing.yml"),
        (("run", "--capture", str(CAPTURE), "--data", "DATA", "--port", "0", "--rules", "missing"), "missing"),
        (("run", "--capture", str(CAPTURE), "--data", "DATA", "--host", "0.0.0.0"), "--tls-certificate"),
        (("serve", "--data", "DATA"), "icsight run"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    given = [str(tmp_path / "data") if option == "DATA" else option for option in options]
    answer = subprocess.run([ICSIGHT, *given], capture_output=True, text=True, check=False, timeout=60)
    assert answer.returncode == 2
    (line,) = answer.stderr.splitlines()
    assert line.startswith("error: ")
    assert said in line


def test_a_port_that_is_taken_is_said_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, err = finished(run(tmp_path / "data", "--port", str(taken.getsockname()[1])))
    assert code == 2
    assert "--port" in err
    assert len(err.splitlines()) == 1


def test_a_second_process_on_the_folder_is_refused(tmp_path: Path) -> None:
    process = run(tmp_path / "data", capture=CAPTURE)
    with serving(process):
        code, _, err = finished(run(tmp_path / "data", capture=CAPTURE))
        assert code == 2
        assert str(process.pid) in err


def test_a_part_that_fails_ends_the_process_with_the_reason(whole: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    code, _, err = finished(run(data, "--exit-when-done"))
    assert code == 0, err
    with sqlite3.connect(data / "icsight.db") as connection:
        connection.execute("DROP TABLE alert_event")
        connection.execute("DELETE FROM stream_position")
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("DELETE FROM alert_technique")
        connection.execute("DELETE FROM alert")
    code, _, err = finished(run(data, "--exit-when-done"))
    assert code == 2
    assert "alerts has failed" in err
