"""Tokens and certificates as the centre keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from api.audit.service import Actor
from api.enrolment.models import IssuedToken
from api.enrolment.rights import RightsError
from api.enrolment.service import Intended, new_token, revoke
from sensor.enrolment_token import EnrolmentToken

if TYPE_CHECKING:
    from api.database import Database

ACTOR = Actor("test")


class Brokers:
    """The rights of one sensor, of which somebody revokes it while they are given."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.given = 0

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
