"""The database: migrations make the tables that the code declares, upserts and positions are one, writes wait for each other."""

from __future__ import annotations

import re
import stat
import threading
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from api.alerts import upserts
from api.alerts.models import Alert
from api.database import Counter, Database, advance, row_of
from api.database.schema import METADATA
from api.settings import Settings
from collector.stream import Position
from tests.api.alerts import upsert
from tests.api.conftest import migrate

if TYPE_CHECKING:
    from pathlib import Path


def test_migrations_make_the_declared_tables(database: Database) -> None:
    def declared(name: str | None, kind: str, _parents: object) -> bool:
        # A foreign key to a partitioned table has one to each partition, which are not written anywhere.
        return (
            re.search(r"_p\d\d$", name or "") is None if kind == "table" else not re.search(r"_fkey\d*$|_alert\d+$", name or "")
        )

    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": declared})
        assert compare_metadata(context, METADATA) == []


def test_migrating_again_changes_nothing(database: Database) -> None:
    with database.write() as session:
        upserts.apply(session, [upsert(1)])
    database.migrate()
    with database.read() as session:
        assert row_of(session, Alert, f"{1:032x}") is not None


def test_the_database_is_its_owners_alone(tmp_path: Path) -> None:
    migrate(Settings(data=tmp_path / "data"))
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "data" / "icsight.db").stat().st_mode) == 0o600


def test_alerts_and_the_position_are_stored_together_or_not_at_all(database: Database) -> None:
    def store_and_crash() -> None:
        with database.write() as session:
            upserts.apply(session, [upsert(1)])
            upserts.stand(session, Position({"0": 1}))
            raise RuntimeError("power")

    with pytest.raises(RuntimeError, match="power"):
        store_and_crash()
    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Alert)) == 0
        assert upserts.position(session) == Position()


def test_applying_a_stream_twice_is_applying_it_once(database: Database) -> None:
    stream = [upsert(number, revision) for revision in (1, 2, 3) for number in range(20)]
    for batch in (stream[:30], stream, stream[25:]):
        with database.write() as session:
            upserts.apply(session, batch)
    with database.read() as session:
        found = session.scalars(sa.select(Alert).order_by(Alert.id)).all()
        assert [(alert.revision, alert.count) for alert in found] == [(3, 3)] * 20
        changes = [alert.change for alert in found]
    assert len(set(changes)) == 20


def test_concurrent_writers_wait_for_each_other(database: Database) -> None:
    def count() -> None:
        for _ in range(20):
            with database.write() as session:
                advance(session, "change")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as session:
        assert session.scalar(sa.select(Counter.value).where(Counter.name == "change")) == 80
