"""The capture that speed is measured on is real traffic: tshark decodes all of it, and a seed names its bytes."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.benchmarks.generate import CONNECTIONS, write

if TYPE_CHECKING:
    from pathlib import Path

PACKETS = 20_000


def frames(capture: Path, condition: str) -> list[str]:
    command = [
        "tshark",
        "-r",
        str(capture),
        "-o",
        "ip.check_checksum:TRUE",
        "-o",
        "tcp.check_checksum:TRUE",
        "-Y",
        condition,
        "-T",
        "fields",
        "-e",
        "modbus.func_code",
    ]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        write(tmp_path / name, PACKETS, seed)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "again").read_bytes()
    assert (tmp_path / "first").read_bytes() != (tmp_path / "other").read_bytes()


def test_tshark_decodes_every_message_and_doubts_none(tmp_path: Path) -> None:
    capture = tmp_path / "capture.pcap"
    write(capture, PACKETS, 1)
    assert len(frames(capture, "frame")) == PACKETS
    assert len(frames(capture, "tcp.flags.syn == 1")) == 2 * CONNECTIONS
    functions = frames(capture, "modbus")
    assert len(functions) == len(frames(capture, "tcp.len > 0")) > PACKETS * 0.6
    assert 0.79 < sum(each == "3" for each in functions) / len(functions) < 0.85  # 80 % reads, 2 % of them refused
    assert frames(capture, "_ws.malformed || tcp.analysis.flags || ip.checksum.status == 0 || tcp.checksum.status == 0") == []
