"""What all tests share."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

pytest_plugins = ["tests.services.plugin"]


def pytest_collection_finish() -> None:
    """What thousands of collected tests hold stays to the end: the collector need not go through it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def captures() -> Path:
    """The folder of real captures, named by ICSIGHT_CAPTURES. They are not in the repository: several have no licence."""
    named = os.environ.get("ICSIGHT_CAPTURES")
    if not named or not Path(named).is_dir():
        reason = "ICSIGHT_CAPTURES is not set to a folder of captures: tests against real traffic do not run"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return Path(named)
