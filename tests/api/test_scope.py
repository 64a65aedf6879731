"""Organisations that share a database see and write nothing of each other; a session of some sites nothing of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
import sqlalchemy as sa

from api.alerts import service as alerts
from api.alerts import upserts
from api.alerts.models import Alert, AlertEvent, AlertTechnique
from api.alerts.schemas import AlertQuery, CloseInput
from api.audit import service as audit
from api.audit.verification import Verdict, verify
from api.database import Database
from api.database.schema import METADATA
from api.database.scope import OfOrganisation, Scope, ScopeError
from api.problems import Problem
from api.settings import Settings
from api.users import service as users
from collector.stream import Position
from tests.api.alerts import upsert
from tests.api.conftest import POSTGRESQL_ONLY, on_server, running

if TYPE_CHECKING:
    from pathlib import Path

    from tests.services.postgres import Postgres

NORTH, SOUTH = Scope("north"), Scope("south")


def test_every_table_belongs_to_organisations() -> None:
    mapped = {cast("sa.Table", mapper.local_table).name: mapper.class_ for mapper in Alert.registry.mappers}
    assert set(mapped) == set(METADATA.tables)
    assert [name for name, table in mapped.items() if not issubclass(table, OfOrganisation)] == []


def test_two_organisations_keep_the_same_alert_each_for_itself(database: Database) -> None:
    for scope in (NORTH, SOUTH):
        with database.write(scope=scope) as session:
            assert upserts.apply(session, [upsert(1), upsert(2)]) == 2
            upserts.stand(session, Position({"0": 2}))
    lin = audit.Actor("lin")
    with database.write(scope=NORTH) as session:
        found = alerts.get(session, f"{1:032x}")
        alerts.close(session, found, lin, CloseInput(disposition="duplicate", note="x"))
        upserts.stand(session, Position({"0": 9}))
    with database.read(scope=SOUTH) as session:
        assert alerts.get(session, f"{1:032x}").triage_state == "new"
        assert alerts.counts(session)["high", "new"] == 2
        assert [event.kind for event in alerts.history(session, f"{1:032x}", None, 100)[0]] == ["raised"]
        assert upserts.position(session) == Position({"0": 2})
        assert alerts.newest_change(session) == 2
        assert verify(session) == Verdict(0, 0, 0, None)
    with database.read(scope=NORTH) as session:
        assert verify(session) == Verdict(2, 0, 0, None)


@pytest.mark.parametrize("question", ["column", "count", "maximum", "subquery", "exists", "key"])
def test_no_question_sees_another_organisation(database: Database, question: str) -> None:
    with database.write(scope=NORTH) as session:
        upserts.apply(session, [upsert(1)])
    by_technique = sa.select(AlertTechnique.alert_id).where(AlertTechnique.technique == "T0836")
    asked = {
        "column": sa.select(Alert.id),
        "count": sa.select(sa.func.nullif(sa.func.count(), 0)).select_from(Alert),
        "maximum": sa.select(sa.func.max(Alert.first_seen)),
        "subquery": sa.select(AlertEvent.id).where(AlertEvent.alert_id.in_(by_technique)),
        "exists": sa.select(sa.func.nullif(sa.case((sa.exists(sa.select(Alert.id)), 1), else_=0), 0)),
        "key": sa.select(Alert).where(Alert.id == f"{1:032x}"),
    }[question]
    with database.read(scope=NORTH) as session:
        assert session.scalar(asked) is not None
    with database.read(scope=SOUTH) as session:
        assert session.scalar(asked) is None


def test_pages_of_an_address_are_filled_with_what_the_session_sees(database: Database) -> None:
    # What others have ranks higher: a page that was cut before they are left out would have no room for one's own.
    for scope, site, first in ((NORTH, "a", 0), (NORTH, "b", 10), (SOUTH, "a", 20)):
        with database.write(scope=scope) as session:
            ends = ("10.0.0.1", "10.0.0.2"), ("10.0.0.2", "10.0.0.1")
            made = [
                upsert(first + turn, rank=float(first + turn), client_ip=ends[turn % 2][0], server_ip=ends[turn % 2][1])
                for turn in range(4)
            ]
            upserts.apply(session, made, site)
    asked = AlertQuery.model_validate({"ip": "10.0.0.1", "limit": 3})
    for scope, found in ((Scope("north", frozenset({"a"})), [3, 2, 1]), (NORTH, [13, 12, 11]), (SOUTH, [23, 22, 21])):
        with database.read(scope=scope) as session:
            assert [int(alert.id, 16) for alert in alerts.find(session, asked)[0]] == found


def test_changes_and_removals_reach_one_organisation_only(database: Database) -> None:
    for scope in (NORTH, SOUTH):
        with database.write(scope=scope) as session:
            upserts.apply(session, [upsert(1)])
    with database.write(scope=SOUTH) as session:
        session.execute(sa.update(Alert).values(count=99))
        session.execute(sa.delete(AlertTechnique))
    with database.read(scope=NORTH) as session:
        assert session.scalars(sa.select(Alert.count)).all() == [1]
        assert len(session.scalars(sa.select(AlertTechnique.technique)).all()) == 1


def test_a_question_that_cannot_be_limited_is_refused(database: Database) -> None:
    table = METADATA.tables["alert"]
    for asked in (
        sa.text("SELECT * FROM alert"),
        sa.select(table.c.id),
        sa.select(AlertEvent.id).where(AlertEvent.alert_id.in_(sa.select(table.c.id))),
        sa.insert(Alert).values(organisation="north"),
    ):
        with database.write(scope=SOUTH) as session, pytest.raises(ScopeError, match="cannot be limited"):
            session.execute(asked)


def test_a_row_of_another_organisation_cannot_be_written(database: Database) -> None:
    def write() -> None:
        with database.write(scope=SOUTH) as session:
            session.add(AlertTechnique(organisation="north", technique="T1", alert_id="x"))

    with pytest.raises(ScopeError, match="a row of north"):
        write()


def test_a_session_of_some_sites_sees_their_alerts_only(database: Database) -> None:
    with database.write() as session:
        upserts.apply(session, [upsert(1)], "pumps")
        upserts.apply(session, [upsert(2)], "tanks")
    pumps = Scope(database.scope.organisation, frozenset({"pumps"}))
    with database.read(scope=pumps) as session:
        assert session.scalars(sa.select(Alert.id)).all() == [f"{1:032x}"]
        with pytest.raises(Problem):
            alerts.get(session, f"{2:032x}")
    with pytest.raises(ScopeError, match="a row of site tanks"), database.write(scope=pumps) as session:
        upserts.apply(session, [upsert(3)], "tanks")
    with database.read(scope=Scope(database.scope.organisation)) as session:
        assert len(session.scalars(sa.select(Alert.id)).all()) == 2


def test_systems_of_two_organisations_work_over_one_server(tmp_path: Path, postgres_server: Postgres) -> None:
    place = on_server(postgres_server)
    settings = [place.model_copy(update={"organisation": name}) for name in ("north", "south")]
    with running(tmp_path / "n", database=settings[0]) as north, running(tmp_path / "s", database=settings[1]) as south:
        north.alerts(upsert(1))
        south.alerts(upsert(1), upsert(2))
        for served, held in ((north, 1), (south, 2)):
            client = served.signed_in(name="lin")
            assert len(client.get("/api/alerts").json()["items"]) == held
            assert served.names() == ["lin"]
        with south.services.database.read() as session:
            other = users.account(session, "lin")
        with north.services.database.read() as session:
            mine = users.account(session, "lin")
        assert mine is not None
        assert other is not None
        assert mine.id != other.id


@POSTGRESQL_ONLY
def test_alerts_and_audit_entries_are_in_the_partition_of_their_organisation(database: Database) -> None:
    for scope in (NORTH, SOUTH):
        with database.write(scope=scope) as session:
            upserts.apply(session, [upsert(1)])
            audit.record(session, audit.Actor("lin"), "test", "x")
    with database.engine.connect() as connection:
        for table in ("alert", "audit_entry"):
            kind = connection.exec_driver_sql(f"SELECT relkind FROM pg_class WHERE relname = '{table}'").scalar()
            assert kind == "p"
            rows = connection.exec_driver_sql(f"SELECT organisation, tableoid::regclass::text FROM {table}").all()
            assert {organisation for organisation, _ in rows} == {"north", "south"}
            assert all(place.startswith(f"{table}_p") for _, place in rows)
        plan = connection.exec_driver_sql("EXPLAIN SELECT * FROM alert WHERE organisation = 'north' ORDER BY rank DESC LIMIT 5")
        scanned = [line for (line,) in plan if "Scan" in line]
    assert len(scanned) == 1


def test_without_partitions_the_tables_are_whole(tmp_path: Path, postgres_server: Postgres) -> None:
    place = on_server(postgres_server).model_copy(update={"partitioned": False})
    opened = Database.of(Settings(data=tmp_path, database=place))
    opened.migrate()
    with opened.write() as session:
        upserts.apply(session, [upsert(1)])
    with opened.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM pg_class WHERE relkind = 'p'").scalar() == 0
    opened.close()
