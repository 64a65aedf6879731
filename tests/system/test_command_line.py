"""The `icsight` command as a person and a script meet it."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw
from scapy.utils import wrpcap

if TYPE_CHECKING:
    from collections.abc import Iterator

ICSIGHT = Path(sys.executable).with_name("icsight")


def icsight(*arguments: str | Path, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    command = [str(part) for part in (ICSIGHT, *arguments)]
    return subprocess.run(command, capture_output=True, check=False, input=stdin, timeout=120)


def modbus(transaction: int, unit: int, pdu: bytes) -> bytes:
    return transaction.to_bytes(2) + b"\0\0" + (len(pdu) + 1).to_bytes(2) + bytes([unit]) + pdu


def packets(polls: int = 20) -> Iterator[Packet]:
    """A client that polls two registers, and one write."""
    out = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(src="10.0.0.1", dst="10.0.0.2")
    back = Ether(src="02:00:00:00:00:02", dst="02:00:00:00:00:01") / IP(src="10.0.0.2", dst="10.0.0.1")
    seq, ack, at = 1000, 5000, 1_700_000_000.0
    for number in range(polls):
        question = modbus(number, 1, b"\x06\x00\x07\x00\x2a" if number == 5 else b"\x03\x00\x10\x00\x02")
        answer = modbus(number, 1, b"\x06\x00\x07\x00\x2a" if number == 5 else b"\x03\x04\x00\x01\x00\x02")
        for frame, payload, time_s in ((out, question, at), (back, answer, at + 0.01)):
            forth = frame is out
            segment = (
                TCP(sport=50_000, dport=502, seq=seq, ack=ack, flags="PA")
                if forth
                else TCP(sport=502, dport=50_000, seq=ack, ack=seq, flags="PA")
            )
            packet = frame / segment / payload
            packet.time = time_s
            yield packet
            seq, ack = (seq + len(payload), ack) if forth else (seq, ack + len(payload))
        at += 1


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("capture") / "plant.pcap"
    wrpcap(str(path), list(packets()))
    return path


def only_line(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize(
    "command",
    [
        ("read", b"\xff\xfe.pcap"),
        ("detect", b"\xff\xfe.pcap"),
        ("devices", b"\xff\xfe.pcap"),
        ("sensor", "run", "--data", "data", "--interface", b"\xff"),
    ],
)
def test_a_name_that_is_no_text_is_refused_in_one_line(tmp_path: Path, command: tuple[str | bytes, ...]) -> None:
    done = subprocess.run([str(ICSIGHT), *command], capture_output=True, check=False, timeout=120, cwd=tmp_path)
    assert done.returncode == 2
    assert "\\xff" in only_line(done)
    assert "not UTF-8" in only_line(done)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--interface", "lo", "--interface", "lo"), "interface lo is named twice"),
        (("--interface", "lo", "--name", ""), "is empty"),
        (("--interface", "lo", "--name", "a\nb"), "has control characters"),
        (("--interface", "lo", "--name", "a\u200bb"), "cannot be read by people"),
        (("--interface", "lo", "--site", "a\nb"), "has control characters"),
        (("--interface", "lo", "--site", "n" * 256), "has 256 bytes, more than 255"),
    ],
)
def test_a_sensor_is_told_what_it_cannot_be_asked_for(tmp_path: Path, options: tuple[str, ...], told: str) -> None:
    done = icsight("sensor", "run", "--data", tmp_path, *options)
    assert done.returncode == 2
    assert told in done.stderr.decode().splitlines()[-1]


def test_a_dotted_name_that_is_not_there_is_told_whole(capture: Path) -> None:
    done = icsight("read", capture, "--table", "modbus", "--where", "modbus.nope = 1 AND client.ip = 'a.b'")
    assert done.returncode == 2
    assert "names modbus.nope, which" in only_line(done)


def test_a_fault_of_its_own_is_one_line_and_not_a_finding(tmp_path: Path) -> None:
    code = "import api.cli; api.cli.import_module = lambda name: 1 / 0; api.cli.main()"
    command = [sys.executable, "-c", code, "detect", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=120)
    assert done.returncode == 2
    assert "ZeroDivisionError" in only_line(done)
    traced = subprocess.run(command, capture_output=True, check=False, timeout=120, env={**os.environ, "ICSIGHT_TRACE": "1"})
    assert b"Traceback" in traced.stderr


def test_read_prints_one_json_object_a_row_with_the_tables_names(capture: Path) -> None:
    done = icsight("read", capture, "--output", "json")
    assert (done.returncode, done.stderr) == (0, b"")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 20
    assert rows[0]["client.ip"] == "10.0.0.1"
    assert rows[0]["modbus.values"] == [1, 2]
    assert rows[0]["ts"] == "2023-11-14T22:13:20.000000000Z"
    assert rows[5]["modbus.access"] == "write"


def test_read_filters_limits_and_names_any_table(capture: Path) -> None:
    where = "modbus.function_code = 6 AND client.ip = '10.0.0.1'"
    assert len(icsight("read", capture, "--where", where, "--output", "json").stdout.splitlines()) == 1
    assert len(icsight("read", capture, "--limit", "3", "--output", "json").stdout.splitlines()) == 3
    flows = icsight("read", capture, "--table", "flow", "--output", "json").stdout.splitlines()
    assert json.loads(flows[-1])["network.application"] == "modbus"


def test_read_writes_arrow_and_parquet_that_others_read(capture: Path) -> None:
    arrow = pl.read_ipc_stream(io.BytesIO(icsight("read", capture, "--output", "arrow").stdout))
    parquet = pl.read_parquet(io.BytesIO(icsight("read", capture, "--output", "parquet").stdout))
    assert arrow.height == parquet.height == 20


def test_read_takes_standard_input(capture: Path) -> None:
    done = icsight("read", "-", "--output", "json", stdin=capture.read_bytes())
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 20


@pytest.mark.parametrize("command", ["read", "detect"])
def test_what_is_no_capture_is_one_line_and_status_2(command: str, tmp_path: Path) -> None:
    cases = {
        "archive.zip": b"PK\x03\x04 and so on, a zip archive",
        "empty.pcap": b"",
        "words.txt": b"this is not a capture at all, only words",
    }
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        done = icsight(command, tmp_path / name)
        assert done.returncode == 2, name
        assert only_line(done).startswith("error: "), name
        assert name in only_line(done)
    for path in (tmp_path / "missing.pcap", tmp_path):
        done = icsight(command, path)
        assert done.returncode == 2
        assert only_line(done).startswith("error: ")


def test_an_unknown_link_type_is_named(tmp_path: Path) -> None:
    path = tmp_path / "odd.pcap"
    wrpcap(str(path), [Raw(b"\x01\x02\x03\x04")], linktype=147)
    done = icsight("read", path)
    assert b"147" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_what_a_truncated_capture_holds_is_kept_and_said(capture: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.pcap"
    path.write_bytes(capture.read_bytes()[:-7])
    done = icsight("read", path, "--output", "json")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 20
    assert only_line(done).startswith("warning: ")
    assert icsight("detect", path).returncode in {0, 1}


def test_one_bad_capture_does_not_keep_the_others_from_being_read(capture: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.pcap"
    bad.write_bytes(b"no capture")
    done = icsight("read", bad, capture, "--output", "json")
    assert done.returncode == 2
    assert len(done.stdout.splitlines()) == 20


def test_a_condition_that_names_no_column_is_one_line(capture: Path) -> None:
    for condition in ("modbus.colour = 3", "modbus.function_code ="):
        done = icsight("read", capture, "--where", condition)
        assert done.returncode == 2
        assert only_line(done).startswith("error: ")


def test_a_reader_that_goes_away_is_no_error(capture: Path) -> None:
    command = f"'{ICSIGHT}' read {' '.join([str(capture)] * 200)} --output json | head -n 1 >/dev/null"
    done = subprocess.run(["bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}"], capture_output=True, check=False, timeout=120)
    assert done.stderr == b""
    assert done.returncode == 0


def test_ctrl_c_ends_quietly_with_status_130() -> None:
    reader, writer = os.pipe()
    with subprocess.Popen([ICSIGHT, "read", "-"], stdin=reader, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        os.close(reader)
        header = bytes.fromhex("d4c3b2a1 0200 0400 00000000 00000000 00000400 01000000")
        os.write(writer, header)
        wait_until_it_reads(process.pid)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        os.close(writer)
    assert process.returncode == 130
    assert b"Traceback" not in errors


def wait_until_it_reads(pid: int) -> None:
    """Until the process has loaded the packet core: from then on it waits for packets."""
    until = time.monotonic() + 30
    while "_core" not in Path(f"/proc/{pid}/maps").read_text():
        assert time.monotonic() < until
        time.sleep(0.01)
    time.sleep(0.5)


def test_fields_tells_type_values_and_meaning_of_each_column() -> None:
    tables = icsight("fields").stdout.decode()
    assert all(name in tables for name in ("flow", "modbus", "point", "device", "violation", "sensor"))
    columns = icsight("fields", "modbus").stdout.decode()
    assert "modbus.exception_code" in columns
    assert "one of: read, write, read_write, diagnostic, other" in columns


def test_detect_says_by_its_status_whether_there_were_alerts(capture: Path, tmp_path: Path) -> None:
    assert icsight("detect", capture).returncode in {0, 1}
    attack = Path(__file__).resolve().parents[2] / "rules" / "modbus" / "restart_communications.fires.pcap"
    done = icsight("detect", attack, "--output", "json")
    assert done.returncode == 1
    alert = json.loads(done.stdout.splitlines()[0])
    wanted = {
        "id", "rule", "title", "summary", "severity", "confidence", "first_seen", "last_seen", "count", "client.ip", "server.ip",
        "techniques", "expected", "observed", "next_steps", "records",
    }  # fmt: skip
    assert wanted <= alert.keys()


def test_an_unknown_command_is_one_line() -> None:
    done = icsight("reed")
    assert done.returncode == 2
    assert b"reed" in done.stderr
