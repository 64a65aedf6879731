"""What an enrolment leaves in a data folder, though others write there or it was enrolled before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from sensor.credentials import drop_keys, enrolment_key, next_key
from sensor.enrolled import FOLDER, Enrolled, EnrolmentError, keep, keep_enrolled, read_enrolled
from sensor.enrolment_token import EnrolmentToken
from sensor.kafka_settings import KafkaSettings
from sensor.remote_settings import applied, forget, newest
from sensor.settings_followers import UplinkFollower
from sensor.spool import Spool
from sensor.uplink import Uplink
from tests.sensor.test_uplink import FAST

NOBODY: Final = 65_534
"""The number of a user and of a group that own nothing else."""


def test_a_key_that_lies_there_is_certified_for_the_token_it_was_made_for_and_for_no_other(tmp_path: Path) -> None:
    left = next_key(tmp_path, ec.generate_private_key(ec.SECP256R1()))
    first, second = EnrolmentToken.new(), EnrolmentToken.new()
    key = enrolment_key(tmp_path, first)
    assert key.public_key() == enrolment_key(tmp_path, first).public_key()
    assert key.public_key() != left.public_key()
    assert key.public_key() != enrolment_key(tmp_path, second).public_key()
    drop_keys(tmp_path)
    assert list((tmp_path / FOLDER).iterdir()) == []
    assert enrolment_key(tmp_path, first).public_key() != key.public_key()


def test_an_enrolment_of_a_newer_version_is_refused_in_one_line_and_not_touched(tmp_path: Path) -> None:
    enrolled = Enrolled("north", "plant", "https://centre.example:8420", "north")
    keep_enrolled(tmp_path, enrolled)
    assert read_enrolled(tmp_path) == enrolled
    path = tmp_path / FOLDER / "enrolment.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in told.items() if name != "version"}))
    assert read_enrolled(tmp_path) == enrolled, "the version before told none"
    path.write_text(newer := json.dumps({"version": 2, "who": "north"}))
    line = r"^\S+enrolment\.json: written by a newer version \(enrolment 2, this one reads 1\): update icsight$"
    with pytest.raises(EnrolmentError, match=line):
        read_enrolled(tmp_path)
    assert path.read_text() == newer


def test_no_link_leads_a_write_out_of_the_data_folder(tmp_path: Path) -> None:
    data, victim, elsewhere = tmp_path / "data", tmp_path / "victim", tmp_path / "elsewhere"
    victim.write_text("kept")
    elsewhere.mkdir()
    (data / FOLDER).mkdir(parents=True)
    (data / FOLDER / "sensor.draft").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        keep(data, "sensor.pem", b"key")
    assert victim.read_text() == "kept"
    (data / FOLDER / "sensor.draft").unlink()
    (data / FOLDER).rmdir()
    (data / FOLDER).symlink_to(elsewhere)
    with pytest.raises(OSError, match="a link"):
        keep(data, "sensor.pem", b"key")
    assert list(elsewhere.iterdir()) == []


def test_a_version_that_is_not_newer_is_told_as_refused_and_followed_after_the_enrolment_at_another_centre(
    tmp_path: Path,
) -> None:
    with Spool(tmp_path / "spool", sensor="north"):
        pass
    uplink = Uplink(tmp_path / "spool", KafkaSettings(bootstrap="127.0.0.1:1", security="plaintext"), FAST)
    follower = UplinkFollower(tmp_path, uplink)
    low, high = (json.dumps({"version": number, "values": {"retry_seconds": number}}) for number in (3, 7))
    follower.take(high)
    follower.take(high)
    assert applied(tmp_path, "uplink") == (7, "")
    follower.take(low)
    assert applied(tmp_path, "uplink") == (7, "version 3 came, which is not newer than 7")
    assert uplink.settings.retry_seconds == 7
    forget(tmp_path)
    follower.take(low)
    assert applied(tmp_path, "uplink") == (3, "")
    assert newest(tmp_path).number == 3
    assert uplink.settings.retry_seconds == 3


AS_OWNER = """
import os, sys
from pathlib import Path
from sensor.enrolled import as_owner
data = Path(sys.argv[1])
os.setgroups([0, 4])
with as_owner(data):
    (data / "made").touch(0o600)
    for name in ("of-root", "of-a-group"):
        try:
            (data / name).read_text()
        except PermissionError:
            print(name)
print(os.geteuid(), os.getegid(), os.getgroups())
"""
"""Root, with groups, works in a data folder as its owner; prints what could not be read, and who it is afterwards."""


def test_root_works_in_a_data_folder_as_its_owner_and_reads_nothing_by_its_own_groups(open_folder: Path) -> None:
    data = open_folder / "data"
    data.mkdir(mode=0o700)
    for name, group in (("of-root", 0), ("of-a-group", 4)):
        victim = open_folder / name
        victim.write_text("secret")
        victim.chmod(0o640)
        os.chown(victim, 0, group)
        (data / name).symlink_to(victim)
    os.chown(data, NOBODY, NOBODY)
    command = [sys.executable, "-c", AS_OWNER, str(data)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert done.stdout.splitlines() == ["of-root", "of-a-group", "0 0 [0, 4]"]
    made = (data / "made").stat()
    assert (made.st_uid, made.st_gid) == (NOBODY, NOBODY)
