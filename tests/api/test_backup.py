"""Backups: every row comes back, in either back end; what is damaged or newer is refused before anything is written."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import stat
import threading
import zipfile
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from sqlalchemy.exc import SQLAlchemyError

from api.alerts import service as alerts
from api.alerts import upserts
from api.alerts.models import Alert
from api.alerts.schemas import CloseInput
from api.audit import service as audit
from api.audit.schemas import AuditQuery
from api.audit.verification import Verdict, verify
from api.database import Database
from api.database.backup import BackupError, back_up, restore
from api.database.commands import backup as backup_command
from api.database.commands import restore as restore_command
from api.database.schema import METADATA
from api.database.scope import Scope
from api.settings import DatabaseSettings, Settings
from api.users import service as users
from collector.stream import Position
from tests.api.alerts import upsert
from tests.api.conftest import PASSWORD, running
from tests.api.test_upgrade import JSON_0003, NUMBERED_0003, TABLES_0003, WRITTEN_BY_0003

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


LIN = audit.Actor("lin", "192.0.2.7")


@pytest.fixture
def other(empty_database: DatabaseSettings, tmp_path: Path) -> Settings:
    """Where a backup is restored to: an empty database of each kind, whichever it was taken from."""
    return Settings(data=tmp_path / "other", database=empty_database)


def fill(database: Database, settings: Settings) -> None:
    for scope in (database.scope, Scope("south")):
        with database.write(scope=scope) as session:
            upserts.apply(session, [upsert(number) for number in range(30)], "pumps")
            upserts.stand(session, Position({"0": 30}))
            users.create(session, LIN, "lin", users.hash_checked(settings, "lin", PASSWORD), users.Rights("administrator"))
            found = alerts.get(session, f"{1:032x}")
            alerts.close(session, found, LIN, CloseInput(disposition="authorised_work", note="许可 42 ü \u2028", permit="42"))


def rows(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    with database.engine.connect() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key.columns))]
            for table in METADATA.sorted_tables
        }


def test_every_row_comes_back_and_the_system_goes_on(
    database: Database, database_settings: DatabaseSettings, other: Settings, tmp_path: Path
) -> None:
    fill(database, other)
    file = tmp_path / "icsight.backup"
    told = back_up(database, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    target = Database.of(other)
    assert restore(target, file) == told
    found = rows(target)
    assert found == rows(database)
    assert sum(map(len, found.values())) == sum(table.rows for table in told.tables) > 100
    target.close()
    with running(other.data, database=other.database) as served:
        client = served.sign_in("lin")
        served.alerts(upsert(1, 9), upsert(99))
        answer = client.post(f"/api/alerts/{99:032x}/acknowledge", json={"note": "x"}, headers={"If-Match": "*"})
        assert answer.status_code == 200
        assert client.get("/api/audit/verification").json()["intact"]


def test_a_backup_taken_while_others_write_holds_one_state(database: Database, other: Settings, tmp_path: Path) -> None:
    stop, written = threading.Event(), list[int]()

    def write() -> None:
        while not stop.is_set():
            with database.write() as session:
                upserts.apply(session, [upsert(10 * len(written) + number) for number in range(10)])
                upserts.stand(session, Position({"0": len(written) + 1}))
                audit.record(session, LIN, "test", "batch")
            written.append(1)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        while len(written) < 3:
            stop.wait(0.01)
        before = len(written)
        back_up(database, tmp_path / "backup")
        after = len(written)
    finally:
        stop.set()
        thread.join(30)
    target = Database.of(other)
    restore(target, tmp_path / "backup")
    with target.read() as session:
        batches = upserts.position(session).offsets["0"]
        assert before <= batches <= after + 1
        assert session.scalar(sa.select(sa.func.count(Alert.id))) == 10 * batches
        assert alerts.newest_change(session) == 10 * batches
        assert verify(session) == Verdict(batches, 0, 0, None)
    target.close()


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-200])


def overwrite(file: Path) -> None:
    file.write_bytes(b"no archive")


def remove(file: Path) -> None:
    file.unlink()


def flip(file: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        place = archive.getinfo("alert.jsonl").header_offset + 200
    content = bytearray(file.read_bytes())
    content[place] ^= 0x10
    file.write_bytes(bytes(content))


def rewritten(change: Callable[[dict[str, bytes]], None]) -> Callable[[Path], None]:
    def rewrite(file: Path) -> None:
        with zipfile.ZipFile(file) as archive:
            content = {name: archive.read(name) for name in archive.namelist()}
        change(content)
        with zipfile.ZipFile(file, "w") as archive:
            for name, data in content.items():
                archive.writestr(name, data)

    return rewrite


def lose_a_row(content: dict[str, bytes]) -> None:
    content["alert.jsonl"] = content["alert.jsonl"].split(b"\n", 1)[1]


def alter_a_row(content: dict[str, bytes]) -> None:
    content["audit_entry.jsonl"] = content["audit_entry.jsonl"].replace(b'"lin"', b'"eve"', 1)


def lose_a_table(content: dict[str, bytes]) -> None:
    del content["alert_event.jsonl"]


def newer_schema(content: dict[str, bytes]) -> None:
    content["manifest.json"] = json.dumps({**json.loads(content["manifest.json"]), "schema": "9999"}).encode()


def newer_format(content: dict[str, bytes]) -> None:
    content["manifest.json"] = json.dumps({**json.loads(content["manifest.json"]), "format": 2}).encode()


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (cut, "damaged"),
        (flip, "damaged"),
        (rewritten(lose_a_row), "damaged: table alert is not as it was written"),
        (rewritten(alter_a_row), "damaged: table audit_entry is not as it was written"),
        (rewritten(lose_a_table), "damaged"),
        (rewritten(newer_schema), "which is newer .*nothing was changed"),
        (rewritten(newer_format), "which is newer .*nothing was changed"),
        (overwrite, "damaged, or no backup"),
        (remove, "cannot be read"),
    ],
)
def test_what_is_damaged_or_newer_is_refused_before_anything_is_written(
    database: Database, tmp_path: Path, harm: Callable[[Path], None], told: str
) -> None:
    fill(database, Settings(data=tmp_path))
    file = tmp_path / "backup"
    back_up(database, file)
    harm(file)
    before = rows(database)
    with pytest.raises(BackupError, match=told) as refusal:
        restore(database, file)
    assert "\n" not in str(refusal.value)
    assert rows(database) == before


def test_a_database_that_holds_tables_is_left_as_it_is(database: Database, tmp_path: Path) -> None:
    fill(database, Settings(data=tmp_path))
    back_up(database, tmp_path / "backup")
    before = rows(database)
    with pytest.raises(BackupError, match="holds tables already"):
        restore(database, tmp_path / "backup")
    assert rows(database) == before


def test_a_file_that_is_there_is_not_written_over(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    file.write_text("mine")
    with pytest.raises(BackupError, match="there is such a file already"):
        back_up(database, file)
    assert file.read_text() == "mine"


def test_a_backup_of_the_version_before_is_brought_to_this_one(other: Settings, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    with closing(sqlite3.connect(":memory:")) as written, zipfile.ZipFile(file, "w") as archive:
        written.executescript(WRITTEN_BY_0003.read_text())
        tables: list[dict[str, Any]] = []
        for name in TABLES_0003:
            asked = written.execute(f"SELECT * FROM {name}")
            kinds = {column[1]: KINDS[column[2].split("(")[0]] for column in written.execute(f"PRAGMA table_info({name})")}
            lines = b""
            for row in asked:
                values: dict[str, Any] = dict(zip([column[0] for column in asked.description], row, strict=True))
                for column in JSON_0003.get(name, ()):
                    values[column] = json.loads(values[column])
                if name == "site_exception":
                    values["withdrawn"] = bool(values["withdrawn"])
                lines += json.dumps(list(values.values())).encode() + b"\n"
            tables.append(
                {
                    "name": name, "columns": kinds, "numbered": "id" if name in NUMBERED_0003 else None,
                    "rows": lines.count(b"\n"),
                    "sha256": hashlib.sha256(lines).hexdigest(),
                }
            )  # fmt: skip
            archive.writestr(f"{name}.jsonl", lines)
        archive.writestr("manifest.json", json.dumps({"format": 1, "version": "0", "schema": "0003", "tables": tables}))
    target = Database.of(other)
    restore(target, file)
    target.close()
    with running(other.data, database=other.database) as served:
        client = served.sign_in("lin")
        assert len(client.get("/api/alerts").json()["items"]) == 3
        assert client.get("/api/audit/verification").json()["intact"]


KINDS = {
    "VARCHAR": "text",
    "TEXT": "text",
    "INTEGER": "integer",
    "BIGINT": "integer",
    "SMALLINT": "integer",
    "DOUBLE": "real",
    "BOOLEAN": "boolean",
    "JSON": "json",
}
"""Kinds of columns by their types in SQLite."""


def test_the_commands_carry_a_system_to_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    local = Database.of(Settings(data=tmp_path / "one"))
    local.migrate()
    fill(local, Settings(data=tmp_path))
    before = rows(local)
    local.close()
    run = CliRunner()
    file, two = str(tmp_path / "file"), str(tmp_path / "two")
    result = run.invoke(backup_command, ["--data", str(tmp_path / "one"), file], standalone_mode=False)
    assert result.exception is None
    assert f"rows in {len(before)} tables" in result.output
    result = run.invoke(restore_command, ["--data", two, file], standalone_mode=False)
    assert result.exception is None
    restored = Database.of(Settings(data=tmp_path / "two"))
    found = rows(restored)
    told = {"audit_entry", "counter"}
    assert {name: some for name, some in found.items() if name not in told} == {
        name: some for name, some in before.items() if name not in told
    }
    assert len(found["audit_entry"]) == len(before["audit_entry"]) + 1
    digest = hashlib.sha256((tmp_path / "file").read_bytes()).hexdigest()
    with closing(restored), restored.read() as session:
        assert verify(session).fault is None
        entry = audit.find(session, AuditQuery(limit=1))[0][0]
        assert (entry.action, entry.subject, entry.actor.endswith(audit.MACHINE)) == ("database.restore", "database", True)
        assert (entry.detail["file"], entry.detail["sha256"]) == (file, digest)
        assert entry.detail["rows"] == sum(map(len, before.values()))
    with closing(Database.of(Settings(data=tmp_path / "one"))) as source, source.read() as session:
        entry = audit.find(session, AuditQuery(limit=1))[0][0]
        assert (entry.action, entry.detail["file"], entry.detail["sha256"]) == ("database.backup", file, digest)
        assert verify(session).fault is None
    result = run.invoke(restore_command, ["--data", two, file], standalone_mode=False)
    assert "holds tables already" in str(result.exception)
    cut(tmp_path / "file")
    result = run.invoke(restore_command, ["--data", str(tmp_path / "three"), file], standalone_mode=False)
    assert "damaged" in str(result.exception)
    assert not (tmp_path / "three").exists()


def test_a_backup_that_the_audit_trail_cannot_be_told_of_is_taken_away_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    local = Database.of(Settings(data=tmp_path / "one"))
    local.migrate()
    local.close()

    def fail(*_: object) -> None:
        raise SQLAlchemyError("the disk is full")

    monkeypatch.setattr("api.audit.service.record", fail)
    result = CliRunner().invoke(backup_command, ["--data", str(tmp_path / "one"), str(tmp_path / "file")], standalone_mode=False)
    assert "the audit trail cannot be told of it (the disk is full)" in str(result.exception)
    assert not (tmp_path / "file").exists()
