"""A database of another version: an older one is brought to this one, a newer one refused and left as it is."""

from __future__ import annotations

import multiprocessing
import threading
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from api.database import MIGRATIONS, Database, UnusableDatabaseError, migration
from api.settings import Settings
from tests.api.conftest import POSTGRESQL_ONLY, SQLITE_ONLY

if TYPE_CHECKING:
    from pathlib import Path

    from api.settings import DatabaseSettings


def written_by_newer(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))


@SQLITE_ONLY
def test_a_file_of_a_newer_version_is_refused_and_left_to_the_byte(database: Database, tmp_path: Path) -> None:
    written_by_newer(database)
    database.close()
    path = tmp_path / "data" / "icsight.db"
    before = path.read_bytes()
    opened = Database.of(Settings(data=tmp_path / "data"))
    with pytest.raises(UnusableDatabaseError, match=r"written by a newer version .*9999.*nothing was changed"):
        opened.migrate()
    opened.close()
    assert path.read_bytes() == before


@POSTGRESQL_ONLY
def test_a_server_s_database_of_a_newer_version_is_refused_and_nothing_is_written(database: Database) -> None:
    written_by_newer(database)
    written: list[str] = []

    def note(*given: Any) -> None:
        written.append(given[2])

    event.listen(database.engine, "before_cursor_execute", note)
    with pytest.raises(UnusableDatabaseError, match=r"written by a newer version .*9999.*nothing was changed"):
        database.migrate()
    assert written
    assert all(statement.lstrip().startswith("SELECT") for statement in written), written


def _migrate(settings: Settings) -> None:
    database = Database.of(settings)
    database.migrate()
    database.close()


def test_processes_that_start_at_once_migrate_one_after_the_other(tmp_path: Path, database_settings: DatabaseSettings) -> None:
    settings = Settings(data=tmp_path / "data", database=database_settings)
    spawned = multiprocessing.get_context("spawn")
    processes = [spawned.Process(target=_migrate, args=(settings,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    opened = Database.of(settings)
    with opened.engine.connect() as connection:
        assert migration.revision_of(connection) == migration.revisions()[-1]
    opened.close()


@POSTGRESQL_ONLY
def test_a_migration_waits_for_another_s_lock(tmp_path: Path, database: Database) -> None:
    done = threading.Event()

    def migrate() -> None:
        database.migrate()
        done.set()

    thread = threading.Thread(target=migrate)
    with database.engine.begin() as connection:
        database.back_end.lock(connection, MIGRATIONS)
        thread.start()
        assert not done.wait(1)
    thread.join(30)
    assert done.is_set()
