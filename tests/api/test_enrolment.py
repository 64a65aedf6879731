"""Tokens and certificates as the centre keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from api.audit.service import Actor
from api.cli import icsight
from api.enrolment.models import IssuedToken
from api.enrolment.rights import RightsError
from api.enrolment.service import Intended, new_token, revoke
from api.sensors.reports import Heard, Reports
from sensor.enrolment_token import EnrolmentToken
from sensor.self_report import SelfReport
from sensor.terminal import CommandError

if TYPE_CHECKING:
    from pathlib import Path

    from api.database import Database

ACTOR = Actor("test")


class Brokers:
    """The rights of one sensor, of which somebody revokes it while they are given."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.given = 0

    def check(self, sensor: str) -> None:
        raise AssertionError(sensor)

    def give(self, sensor: str, generation: int) -> None:
        assert (sensor, generation) == ("north", 1)
        revoke(self.database, self, ACTOR, sensor)
        self.given = 8

    def take(self, sensor: str) -> int:
        assert sensor == "north"
        given, self.given = self.given, 0
        return given


def test_a_sensor_that_is_revoked_while_a_token_is_made_for_it_is_left_without_rights(database: Database) -> None:
    brokers = Brokers(database)
    with pytest.raises(RightsError, match="revoked meanwhile"):
        new_token(database, brokers, ACTOR, EnrolmentToken.new(), Intended("north", "", 1))
    assert brokers.given == 0
    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(IssuedToken)) == 0


@pytest.mark.parametrize("name", ["icsight-serve", "icsight-detect", "kafka", "icsight-admin"])
def test_no_sensor_takes_the_name_of_a_service_nor_its_rights(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICSIGHT_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setenv("ICSIGHT_KAFKA_SECURITY", "plaintext")
    for command in (
        ["enrolment", "token", name, "--data", str(tmp_path)],
        ["sensor", "revoke", name, "--data", str(tmp_path)],
        ["kafka", "sensor", "add", name, "--yes"],
    ):
        done = CliRunner().invoke(icsight, command, standalone_mode=False)
        assert isinstance(done.exception, CommandError), command
        assert "a service or an administrator of the brokers has this name" in str(done.exception)


def test_of_too_many_sensors_that_which_was_quiet_longest_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.sensors.reports.SENSORS_MOST", 2)
    reports = Reports()
    for at, sensor in ((5, "old"), (9, "north"), (10, "old"), (11, "new")):
        reports.hear(Heard(report(sensor), at))
    assert [each.report.sensor for each in reports.all()] == ["new", "old"]


def report(sensor: str) -> SelfReport:
    return SelfReport(
        sensor=sensor, site="", version="1", at=1, epoch="", lag_batches=0, lag_seconds=0, missing=0, damaged=0, refused=0,
        certificate_serial="", certificate_expires=0, renewal_trouble="", settings_uplink=0, settings_recorder=0,
        settings_refused="", control_offset=0, control_waiting=0, answers_waiting=0,
    )  # fmt: skip
