"""Fingerprints of TCP stacks in public captures are those that p0f writes of the same packets."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

import polars as pl
import pytest

from sensor._core import Reader
from tests.differential.recognition import manifest

if TYPE_CHECKING:
    from pathlib import Path

P0F: Final = shutil.which("p0f") or shutil.which("p0f", path="/usr/sbin")

FOLDERS: Final = ("modbus", "opcua", "other-ot", "background-it")


def told_by_p0f(capture: Path, log: Path) -> dict[tuple[str, str], set[str]]:
    """Address of a sender and the other's → signatures of its openings. The time to live is told as what it was at first."""
    log.unlink(missing_ok=True)
    subprocess.run([str(P0F), "-r", str(capture), "-o", str(log)], check=True, capture_output=True)
    told: dict[tuple[str, str], set[str]] = {}
    for line in log.read_text(encoding="utf-8").splitlines() if log.exists() else ():
        fields = dict(part.split("=", 1) for part in line.split("] ", 1)[1].split("|") if "=" in part)
        if not fields["mod"].startswith("syn"):
            continue
        client, server = (fields[side].split("/")[0] for side in ("cli", "srv"))
        pair = (client, server) if fields["subj"] == "cli" else (server, client)
        version, hops, rest = fields["raw_sig"].split(":", 2)
        seen, distance = re.fullmatch(r"(\d+)\+(\d+|\?)", hops).groups()  # pyright: ignore[reportOptionalMemberAccess]  p0f's form
        first = next(limit for limit in (32, 64, 128, 255) if int(seen) <= limit)
        assert distance in {"?", str(first - int(seen))}
        told.setdefault(pair, set()).add(f"{version}:{first}:{rest}")
    return told


def told_here(capture: Path) -> dict[str, set[str]]:
    """Address → fingerprints of its openings."""
    told: dict[str, set[str]] = {}
    for batch in Reader(str(capture)):
        if batch.table == "device":
            rows = pl.DataFrame(batch).select(
                pl.col("device.ip", "device.attribute", "device.value", "device.source").cast(pl.String)
            )
            for ip, attribute, value, source in rows.iter_rows():
                if (attribute, source) == ("fingerprint", "tcp stack"):
                    told.setdefault(ip, set()).add(value)
    return told


def test_fingerprints_are_those_of_p0f(captures: Path, tmp_path: Path) -> None:
    if P0F is None:
        message = "p0f is not installed; `make peers` installs it"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    compared, wrong = 0, list[str]()
    for path, _ in manifest(captures, *FOLDERS):
        if not path.endswith(".pcap"):
            continue  # p0f reads no pcapng
        here = told_here(captures / path)
        there: dict[str, set[str]] = {}
        for (sender, _), signatures in (told_by_p0f(captures / path, tmp_path / "p0f.log") if here else {}).items():
            there.setdefault(sender, set()).update(signatures)
        for ip, fingerprints in here.items():
            compared += len(fingerprints)
            # p0f tells of each opening, here only those of connections that came about are told.
            if ip in there and not fingerprints <= there[ip]:
                wrong.append(f"{path}: {ip}: {sorted(fingerprints - there[ip])} not in {sorted(there[ip])}")
    print(f"{compared} fingerprints compared")
    assert compared > 0
    assert not wrong, "\n".join(wrong)
