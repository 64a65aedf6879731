"""A database of another version: an older one is brought to this one, a newer one refused and left as it is."""

from __future__ import annotations

import pickle
import sqlite3
import subprocess
import sys
import threading
from contextlib import ExitStack, closing
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, OperationalError

from api.alerts import upserts
from api.database import MIGRATIONS, Database, UnusableDatabaseError, migration
from api.database.migrations import one_way
from api.settings import Settings
from collector.stream import Position
from tests.api.alerts import upsert
from tests.api.conftest import POSTGRESQL_ONLY, SQLITE_ONLY, running

if TYPE_CHECKING:
    from api.settings import DatabaseSettings

ROOT = Path(__file__).parents[2]
WRITTEN_BY_0003 = Path(__file__).parent / "written_by_0003.sql"
TABLES_0003 = (
    "alert", "alert_event", "alert_technique", "audit_entry", "counter", "decision", "setup_link", "site_exception",
    "site_version", "stream_position", "user_account", "user_session",
)  # fmt: skip
JSON_0003 = {"alert": ["body"], "audit_entry": ["detail"], "site_exception": ["content"], "site_version": ["content"]}
NUMBERED_0003 = ("alert_event", "site_version", "user_account")


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


def test_no_revision_can_be_taken_back(database: Database) -> None:
    configuration = Config()
    configuration.set_main_option("script_location", str(files("api.database") / "migrations"))
    ways = {script.revision: script.module.downgrade for script in ScriptDirectory.from_config(configuration).walk_revisions()}
    assert sorted(ways) == sorted(migration.revisions())
    assert set(ways.values()) == {one_way}
    with database.back_end.migrating() as connection:
        configuration.attributes.update(connection=connection)
        with pytest.raises(
            UnusableDatabaseError, match="cannot be taken back behind this: restore a backup of the version before"
        ):
            command.downgrade(configuration, migration.revisions()[-2])
    with database.engine.connect() as connection:
        assert migration.revision_of(connection) == migration.revisions()[-1]
        assert "enrolment_token" in sa.inspect(connection).get_table_names()


MIGRATE = """
import pickle, sys
from api.database import Database
settings = pickle.loads(bytes.fromhex(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
database = Database.of(settings)
database.migrate()
database.close()
"""
"""Brings a database to this version when it is told to."""


def test_processes_that_start_at_once_migrate_one_after_the_other(tmp_path: Path, empty_database: DatabaseSettings) -> None:
    settings = Settings(data=tmp_path / "data", database=empty_database)
    command = [sys.executable, "-c", MIGRATE, pickle.dumps(settings).hex()]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT))
            for _ in range(3)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
        assert [process.wait(120) for process in processes] == [0, 0, 0]
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


def write_as_0003(settings: Settings) -> None:
    """The database that a system wrote whose schema was 0003: its file as it was, or its rows on a server."""
    script = WRITTEN_BY_0003.read_text()
    if not settings.database.url:
        settings.data.mkdir(mode=0o700)
        with sqlite3.connect(settings.database_path) as connection:
            connection.executescript(script)
        return
    opened = Database.of(settings)
    with closing(sqlite3.connect(":memory:")) as written, opened.back_end.migrating() as connection:
        written.executescript(script)
        migration.upgrade(connection, "0003", organisation="", partitioned=False)
        connection.execute(sa.text("DELETE FROM counter"))
        for table in TABLES_0003:
            rows = written.execute(f"SELECT * FROM {table}")
            names = [column[0] for column in rows.description]
            into = sa.table(table, *map(sa.column, names))
            for row in rows:
                values = dict(zip(names, row, strict=True))
                if table == "site_exception":
                    values["withdrawn"] = bool(values["withdrawn"])
                for name in JSON_0003.get(table, ()):
                    values[name] = sa.text(f"CAST(:{name} AS json)").bindparams(**{name: values[name]})
                connection.execute(into.insert().values(values))
            if table in NUMBERED_0003:
                connection.execute(sa.text(f"SELECT setval('{table}_id_seq', (SELECT max(id) FROM {table}))"))
    opened.close()


def test_a_database_of_the_version_before_is_read_and_gone_on_with(tmp_path: Path, empty_database: DatabaseSettings) -> None:
    settings = Settings(data=tmp_path / "data", database=empty_database)
    write_as_0003(settings)
    with running(settings.data, database=empty_database) as served:
        client = served.sign_in("lin")
        shown = {alert["id"]: alert["triage"]["state"] for alert in client.get("/api/alerts").json()["items"]}
        assert shown == {f"{1:032x}": "triaging", f"{2:032x}": "triaging", f"{3:032x}": "new"}
        kinds = [entry["kind"] for entry in client.get(f"/api/alerts/{2:032x}/history").json()]
        assert kinds == ["raised", "acknowledged", "closed", "recurred"]
        assert [each["name"] for each in client.get("/api/exceptions").json()] == ["lab-writes"]
        before = client.get("/api/audit/verification").json()
        assert before["intact"]
        assert before["entries"] >= 10
        with served.services.database.read() as session:
            assert upserts.position(session) == Position({"0": 3})
        served.alerts(upsert(2, 9), upsert(7))
        headers = {"If-Match": "*"}
        assert client.post(f"/api/alerts/{7:032x}/acknowledge", json={"note": "x"}, headers=headers).status_code == 200
        after = client.get("/api/audit/verification").json()
        assert (after["intact"], after["entries"]) == (True, before["entries"] + 2)  # the verification itself is on record
        with pytest.raises(DBAPIError, match="cannot be changed"), served.services.database.engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM audit_entry")
        with served.services.database.engine.connect() as connection:
            organisations = connection.exec_driver_sql("SELECT DISTINCT organisation FROM alert").scalars().all()
        assert organisations == ["default"]


def test_a_migration_that_fails_leaves_the_database_as_it_was(
    tmp_path: Path, empty_database: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data=tmp_path / "data", database=empty_database)
    write_as_0003(settings)
    opened = Database.of(settings)

    def fail(*_given: object) -> None:
        raise OperationalError(None, None, OSError("disk full"))

    # The last thing that the last migration but one does.
    monkeypatch.setattr("alembic.op.create_index", fail)
    with pytest.raises(UnusableDatabaseError, match="disk full"):
        opened.migrate()
    with opened.engine.connect() as connection:
        assert migration.revision_of(connection) == "0003"
        columns = {column["name"] for column in sa.inspect(connection).get_columns("alert")}
        assert "organisation" not in columns
        assert connection.exec_driver_sql("SELECT count(*) FROM audit_entry").scalar()
    opened.close()
