"""What the sensor's tests share."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.sensor.network import ROOT, Network

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@pytest.fixture
def network(request: pytest.FixtureRequest) -> Generator[Network]:
    """A name space with a mirror port."""
    try:
        network = Network(f"icsight-{os.getpid()}")
    except (OSError, subprocess.CalledProcessError) as error:
        reason = f"network name spaces are not permitted here: {error}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    try:
        network.connect()
        yield network
    finally:
        network.close()


@pytest.fixture(scope="session")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five quiet minutes of the plant."""
    capture = tmp_path_factory.mktemp("plant") / "plant.pcap"
    command = [sys.executable, "-m", "tests.plant", "day", "--out", str(capture), "--hours", "0.08", "--scenario", "none"]
    subprocess.run([*command, "--attacks", "none"], cwd=ROOT, check=True, capture_output=True)
    return capture
