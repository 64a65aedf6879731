"""The capture that speed is measured on is real traffic: tshark decodes all of it, and a seed names its bytes."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import polars as pl

from sensor._core import Reader
from tests.benchmarks.generate import CONNECTIONS, Plant, write
from tests.benchmarks.generate_opcua import Sessions

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
        write(tmp_path / name, PACKETS, Plant(seed))
    assert (tmp_path / "first").read_bytes() == (tmp_path / "again").read_bytes()
    assert (tmp_path / "first").read_bytes() != (tmp_path / "other").read_bytes()


def test_tshark_decodes_every_message_and_doubts_none(tmp_path: Path) -> None:
    capture = tmp_path / "capture.pcap"
    write(capture, PACKETS, Plant(1))
    assert len(frames(capture, "frame")) == PACKETS
    assert len(frames(capture, "tcp.flags.syn == 1")) == 2 * CONNECTIONS
    functions = frames(capture, "modbus")
    assert len(functions) == len(frames(capture, "tcp.len > 0")) > PACKETS * 0.6
    assert 0.79 < sum(each == "3" for each in functions) / len(functions) < 0.85  # 80 % reads, 2 % of them refused
    assert frames(capture, "_ws.malformed || tcp.analysis.flags || ip.checksum.status == 0 || tcp.checksum.status == 0") == []


def test_asyncua_and_numpy_together_make_opcua_that_tshark_and_the_core_read_whole(tmp_path: Path) -> None:
    capture = tmp_path / "opcua.pcap"
    write(capture, PACKETS, Sessions(1))
    assert len(frames(capture, "frame")) == PACKETS
    assert frames(capture, "_ws.malformed || tcp.analysis.flags || ip.checksum.status == 0 || tcp.checksum.status == 0") == []
    assert len(frames(capture, "opcua")) == len(frames(capture, "tcp.len > 0")) > PACKETS * 0.6
    tables: dict[str, list[pl.DataFrame]] = {}
    for batch in Reader(str(capture)):
        tables.setdefault(batch.table, []).append(pl.DataFrame(batch))
    assert "violation" not in tables
    calls = pl.concat(tables["opcua"]).filter(pl.col("opcua.message_type") == "message")
    shares = dict(calls["opcua.service"].cast(pl.String).value_counts(normalize=True).iter_rows())
    assert 0.65 < shares["Read"] < 0.72
    assert 0.21 < shares["Publish"] < 0.27
    assert calls.filter(pl.col("opcua.pairing") != "both").height <= CONNECTIONS, "where the capture is cut"
    items = pl.concat(tables["opcua_item"])
    told = items.filter(pl.col("opcua.kind") == "notify")
    assert not told["opcua.inferred"].any()
    assert cast("timedelta", (told["opcua.source_time"] - told["ts"]).abs().max()) < timedelta(seconds=60)
    assert items["opcua.number"].is_between(0, 100).all()


def test_the_same_seed_gives_the_same_opcua_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        write(tmp_path / name, PACKETS, Sessions(seed))
    assert (tmp_path / "first").read_bytes() == (tmp_path / "again").read_bytes()
    assert (tmp_path / "first").read_bytes() != (tmp_path / "other").read_bytes()
