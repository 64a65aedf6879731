"""Settings from afar are followed on a full disk too, keep nothing from its work, and cannot be hidden by what is none."""

from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from sensor.edge import release
from sensor.remote_settings import Version, applied, keep
from sensor.settings_followers import RecorderFollower, UplinkFollower
from sensor.spool import BatchHeader, Spool, SpoolSettings
from sensor.spool_positions import keep_position
from sensor.uplink import Uplink
from tests.sensor.test_beside import KAFKA, PATIENCE_SECONDS, until
from tests.sensor.test_uplink import FAST

if TYPE_CHECKING:
    from pathlib import Path


def full(*_: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_that_takes_no_settings_keeps_no_recorder_from_letting_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensor.edge.RELEASE_SECONDS", 0.05)
    monkeypatch.setattr("sensor.settings_followers.tell_applied", full)
    keep(tmp_path, Version(1, {"sync_seconds": 1}))
    settings = SpoolSettings(segment_bytes=64 * 1024, quota_bytes=1024**2, retention_bytes=0, overflow="least_valuable")
    said: list[str] = []
    with Spool(tmp_path / "spool", sensor="north", settings=settings) as spool:
        for sequence in range(100):
            spool.append(BatchHeader("north", spool.identity.epoch, sequence, "modbus", 10), os.urandom(4_000))
        spool.sync()
        before = spool.size_bytes
        keep_position(spool.folder, "uplink", 100, spool.identity.epoch)
        follower = RecorderFollower(tmp_path, spool)
        ended = threading.Event()
        thread = threading.Thread(target=release, args=(spool, ended, said.append, follower.look))
        thread.start()
        try:
            until(lambda: spool.size_bytes < before / 2)
            until(lambda: said)
            assert spool.settings.sync_seconds == 1
        finally:
            ended.set()
            thread.join(PATIENCE_SECONDS)
    assert len(said) == 1
    assert "No space left" in said[0]


def test_a_full_disk_that_takes_no_settings_keeps_no_uplink_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Spool(tmp_path / "spool", sensor="north"):
        uplink = Uplink(tmp_path / "spool", KAFKA, FAST)
    keep(tmp_path, Version(1, {"catch_up_mib_per_second": 7}))
    monkeypatch.setattr("sensor.settings_followers.tell_applied", full)
    said: list[str] = []
    UplinkFollower(tmp_path, uplink, said.append)
    assert uplink.settings.catch_up_mib_per_second == 7
    assert len(said) == 1


@pytest.mark.parametrize("number", ["1e300", "1e16", "true", "-3", "9007199254740992", '"7"', "Infinity"])
def test_a_number_that_no_version_can_have_hides_none_that_comes_later(number: str, tmp_path: Path) -> None:
    with Spool(tmp_path / "spool", sensor="north"):
        uplink = Uplink(tmp_path / "spool", KAFKA, FAST)
    follower = UplinkFollower(tmp_path, uplink)
    follower.take(f'{{"version": {number}, "values": {{"retry_seconds": 5}}}}')
    assert applied(tmp_path, "uplink") == (0, "")
    follower.take(Version(1, {"retry_seconds": 5}).to_json())
    assert applied(tmp_path, "uplink") == (1, "")
