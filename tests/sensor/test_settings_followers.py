"""Settings from afar, where what is kept of them cannot be read: what was in force stays, and it is said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sensor.kafka_settings import KafkaSettings
from sensor.packets import MIB
from sensor.remote_settings import FILE, SettingsUnreadable, Version, applied, forget, keep, newest
from sensor.settings_followers import RecorderFollower, UplinkFollower
from sensor.spool import Spool, SpoolSettings
from sensor.uplink import Uplink
from tests.sensor.test_uplink import FAST

if TYPE_CHECKING:
    from pathlib import Path

RAISED = Version(4, {"spool_quota_mib": 2048, "retry_seconds": 7})

DAMAGE = [b"", b"{", b'{"version": 4, "values": {"spool_quota_mib": 2048, "of_a_newer_version": 1}}']


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", sensor="north", settings=SpoolSettings(quota_bytes=1024 * MIB))


def uplink(data: Path) -> Uplink:
    return Uplink(data / "spool", KafkaSettings(bootstrap="127.0.0.1:1", security="plaintext"), FAST)


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_raised_quota_stays_while_the_settings_cannot_be_read_and_after_a_restart(
    tmp_path: Path, spool: Spool, damage: bytes
) -> None:
    said: list[str] = []
    keep(tmp_path, RAISED)
    follower = RecorderFollower(tmp_path, spool, said.append)
    follower.look()
    (tmp_path / FILE).write_bytes(damage)
    with pytest.raises(SettingsUnreadable):
        newest(tmp_path)
    follower.look()
    follower.look()
    assert spool.settings.quota_bytes == 2048 * MIB
    spool.close()
    assert said[0] == "settings of version 4 are in force"
    (line,) = said[1:]
    assert line.startswith(f"{tmp_path / FILE}: ")
    assert line.endswith(": settings of version 4 stay in force; set them again at the centre (icsight sensor set)")
    with Spool(tmp_path / "spool", settings=SpoolSettings(quota_bytes=1024 * MIB)) as again:
        follower = RecorderFollower(tmp_path, again, said.append)
        follower.look()
        assert (again.settings.quota_bytes, again.settings.retention_bytes) == (2048 * MIB, 2048 * MIB)
        assert said[2:] == [line]
        number, refused = applied(tmp_path, "recorder")
        assert (number, refused) == (4, line.split(": settings of")[0]), "the centre is told"
        assert keep(tmp_path, Version(5, {"spool_quota_mib": 4096}))
        follower.look()
        assert again.settings.quota_bytes == 4096 * MIB
        assert applied(tmp_path, "recorder") == (5, "")


def test_the_same_version_that_comes_again_mends_the_file_and_an_older_one_does_not(tmp_path: Path, spool: Spool) -> None:
    said: list[str] = []
    before = uplink(tmp_path)
    UplinkFollower(tmp_path, before).take(RAISED.to_json())
    (tmp_path / FILE).write_bytes(b"{")
    sender = uplink(tmp_path)
    follower = UplinkFollower(tmp_path, sender, said.append)
    assert sender.settings.retry_seconds == 7, "not as it was started"
    assert said == [
        f"{tmp_path / FILE}: not a version of settings: settings of version 4 stay in force; set them again at the centre "
        "(icsight sensor set)"
    ]
    assert applied(tmp_path, "uplink") == (4, f"{tmp_path / FILE}: not a version of settings")
    follower.take(json.dumps({"version": 3, "values": {"retry_seconds": 99}}))
    assert (sender.settings.retry_seconds, said[1]) == (
        7, "settings of version 3 are refused: version 3 came, which is not newer than 4",
    )  # fmt: skip
    follower.take(RAISED.to_json())
    assert newest(tmp_path) == RAISED
    assert applied(tmp_path, "uplink") == (4, "")
    spool.close()


def test_without_any_that_were_in_force_it_is_said_that_none_are(tmp_path: Path, spool: Spool) -> None:
    said: list[str] = []
    (tmp_path / FILE).write_bytes(b"{")
    follower = RecorderFollower(tmp_path, spool, said.append)
    follower.look()
    assert spool.settings.quota_bytes == 1024 * MIB
    assert ": no settings from afar are in force; " in said[0]
    forget(tmp_path)
    follower.look()
    spool.close()
