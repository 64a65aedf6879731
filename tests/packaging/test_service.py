"""The service unit of a sensor: systemd understands all of it, and says how little it leaves open."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "icsight-sensor.service"

EXPOSURE = 1.2
"""Highest exposure level, of 10, that `systemd-analyze security` may say; deploy/docs/sensor.md tells what it is made of."""


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with a program that is there."""
    if shutil.which("systemd-analyze") is None:
        reason = "systemd-analyze is not installed: deploy/peers.sh installs it"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    icsight = Path(sys.executable).with_name("icsight")
    path = tmp_path / UNIT.name
    path.write_text(UNIT.read_text().replace("/opt/icsight/bin/icsight", str(icsight)))
    return path


def analyze(*words: str) -> tuple[int, str]:
    done = subprocess.run(["systemd-analyze", "--no-pager", *words], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_systemd_understands_the_unit(unit: Path) -> None:
    assert analyze("verify", str(unit)) == (0, "")
    unit.write_text(unit.read_text().replace("ProtectClock=", "ProtectClocks="))
    assert "ProtectClocks" in analyze("verify", str(unit))[1]


def test_the_service_leaves_little_open(unit: Path) -> None:
    _, told = analyze("security", "--offline=true", str(unit))
    found = re.search(r"exposure level for \S+: ([\d.]+)", told)
    assert found is not None, told
    assert float(found[1]) <= EXPOSURE, told


def test_the_service_keeps_the_right_to_capture_only() -> None:
    settings = dict(line.split("=", 1) for line in UNIT.read_text().splitlines() if "=" in line and not line.startswith("#"))
    assert settings["AmbientCapabilities"] == settings["CapabilityBoundingSet"] == "CAP_NET_RAW"
    assert settings["RestrictAddressFamilies"] == "AF_PACKET"
    assert settings["ProtectSystem"] == "strict"
    assert settings["ReadWritePaths"] == "/var/lib/icsight"
