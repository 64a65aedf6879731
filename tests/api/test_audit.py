"""The audit trail: each change of state is in it, and nobody can alter it unseen."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.exc import DBAPIError

from api.audit import checkpoints, keeping, keys
from api.cli import icsight
from api.problems import Problem
from api.records import service as records
from api.settings import Settings
from tests.api.alerts import upsert
from tests.api.conftest import OPENED, running
from tests.api.test_incidents import done
from tests.api.test_obligations import SAID, reports, step
from tests.api.test_upgrade import write_as_0003

if TYPE_CHECKING:
    from click.testing import Result

    from api.settings import DatabaseSettings
    from tests.api.conftest import Running

GUARDS = {
    "sqlite": ("DROP TRIGGER audit_entry_update", "DROP TRIGGER audit_entry_delete"),
    "postgresql": ("DROP TRIGGER audit_entry_append_only ON audit_entry",),
}
"""What takes away, by dialect, what refuses to change entries: as someone would who owns the database."""


def trail(served: Running) -> list[tuple[str, str, str]]:
    entries = served.signed_in("administrator", "auditor").get("/api/audit", params={"limit": 100}).json()["items"]
    assert [entry["number"] for entry in entries] == list(range(len(entries), 0, -1))
    return [(entry["actor"], entry["action"], entry["subject"]) for entry in reversed(entries)]


def tamper(served: Running, *statements: str) -> None:
    engine = served.services.database.engine
    with engine.begin() as connection:
        for statement in (*GUARDS[engine.dialect.name], *statements):
            connection.exec_driver_sql(statement)


@pytest.fixture
def configured(tmp_path: Path, database_settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of `system_running`, whose database the commands find."""
    if database_settings.url:
        monkeypatch.setenv("ICSIGHT_DATABASE_URL", database_settings.url)
        assert database_settings.password is not None
        monkeypatch.setenv("ICSIGHT_DATABASE_PASSWORD", database_settings.password.get_secret_value())
    return tmp_path / OPENED


def commanded(folder: Path, *words: object) -> Result:
    return CliRunner().invoke(icsight, ["audit", str(words[0]), "--data", str(folder), *map(str, words[1:])])


def grown(served: Running, count: int = 3) -> None:
    for _ in range(count):
        served.signed_in()


def rewrite(served: Running, number: int) -> None:
    """Write all from an entry on anew, as someone would who owns the database and knows how entries are hashed."""
    database = served.services.database
    tamper(served)
    with database.read() as session:
        kept = keeping.service.following(session, number - 1)
        session.expunge_all()
    with database.engine.begin() as connection:
        connection.exec_driver_sql(f"DELETE FROM audit_entry WHERE number >= {number}")
        connection.exec_driver_sql(f"UPDATE counter SET value = {number - 1} WHERE name = 'audit'")
    for each in kept:
        with database.write() as session:
            keeping.service.record(session, keeping.service.Actor("nobody"), each.action, each.subject)


def test_every_decision_is_on_record_with_its_person(system_running: Running) -> None:
    system_running.alerts(upsert(1))
    client = system_running.signed_in(name="lin")
    path = f"/api/alerts/{1:032x}"
    headers = {"If-Match": "*"}
    client.post(f"{path}/acknowledge", json={"note": "x"}, headers=headers)
    client.post(f"{path}/close", json={"disposition": "duplicate", "note": "x"}, headers=headers)
    system_running.alerts(upsert(1, revision=5))
    found = trail(system_running)
    assert ("lin", "alert.acknowledge", f"{1:032x}") in found
    assert ("lin", "alert.close", f"{1:032x}") in found
    assert ("system", "alert.recur", f"{1:032x}") in found
    assert ("test", "user.create", "lin") in found


def test_the_audit_trail_is_for_administrators(system_running: Running) -> None:
    assert system_running.signed_in().get("/api/audit").status_code == 403


def test_the_database_refuses_to_change_or_remove_an_entry(system_running: Running) -> None:
    system_running.signed_in()
    for statement in ("UPDATE audit_entry SET actor = 'eve'", "DELETE FROM audit_entry"):
        with pytest.raises(DBAPIError, match="cannot be changed"), system_running.services.database.engine.begin() as connection:
            connection.exec_driver_sql(statement)


@pytest.mark.parametrize(
    ("statement", "broken", "fault"),
    [
        ("UPDATE audit_entry SET actor = 'eve' WHERE number = 2", 2, "changed"),
        ("DELETE FROM audit_entry WHERE number = 2", 2, "missing"),
        ("UPDATE audit_entry SET detail = '{}' WHERE number = 1", 1, "changed"),
        ("UPDATE audit_entry SET previous_hash = hash WHERE number = 3", 3, "changed"),
        ("UPDATE audit_entry SET form = 1 WHERE number = 2", 2, "changed"),
    ],
)
def test_an_entry_that_was_altered_is_found(system_running: Running, statement: str, broken: int, fault: str) -> None:
    administrator = system_running.signed_in("administrator")
    for _ in range(3):
        system_running.signed_in()
    assert administrator.get("/api/audit/verification").json()["intact"]
    tamper(system_running, statement)
    found = administrator.get("/api/audit/verification").json()
    assert (found["intact"], found["entries"], found["first_broken"], found["fault"]) == (False, broken - 1, broken, fault)


def test_a_cut_end_is_found(system_running: Running) -> None:
    administrator = system_running.signed_in("administrator")
    system_running.signed_in()
    tamper(system_running, "DELETE FROM audit_entry WHERE number = (SELECT max(number) FROM audit_entry)")
    found = administrator.get("/api/audit/verification").json()
    assert (found["intact"], found["fault"]) == (False, "cut_counter")


def test_a_change_that_fails_leaves_no_entry(system_running: Running) -> None:
    system_running.alerts(upsert(1))
    client = system_running.signed_in()
    before = len(trail(system_running))
    answer = client.post(f"/api/alerts/{1:032x}/acknowledge", json={"note": "x"}, headers={"If-Match": '"1.9.en"'})
    assert answer.status_code == 412
    assert (
        len(system_running.sign_in("auditor").get("/api/audit", params={"limit": 100}).json()["items"]) == before + 2
    )  # the look, and the sign-in


def test_every_read_of_what_is_sensitive_is_on_record_with_its_person(
    system_running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    system_running.alerts(upsert(1))
    client = system_running.signed_in("administrator", "lin")
    for path in (
        f"/api/alerts/{1:032x}/records", "/api/records/modbus?where=modbus.unit_id%20%3D%203", "/api/users", "/api/sessions",
        "/api/audit", "/api/audit/verification", "/api/audit/export", "/api/topology", "/api/assets/observed",
        "/api/assets/comparison",
    ):  # fmt: skip
        assert client.get(path).status_code == 200, path
    items = client.get("/api/audit", params={"limit": 100}).json()["items"]
    found = [(each["action"], each["subject"], each["detail"]) for each in reversed(items) if each["actor"] == "lin"][1:]
    assert [(action, subject) for action, subject, _ in found] == [
        ("alert.records", f"{1:032x}"), ("records.query", "modbus"), ("user.list", "users"), ("session.list", "sessions"),
        ("audit.read", "trail"), ("audit.verify", "trail"), ("audit.export", "trail"), ("topology.query", ""),
        ("assets.observe", ""), ("assets.compare", ""),
    ]  # fmt: skip
    assert found[1][2] == {"where": ["modbus.unit_id = 3"], "rows": 0}
    # What cannot be written down is not shown, and what could not be read is no read.
    count = len(items) + 1

    def fail(*_given: object) -> None:
        raise Problem("records_missing", reason="x")

    monkeypatch.setattr(records, "find", fail)
    assert client.get("/api/records/modbus").status_code == 503
    monkeypatch.setattr("api.audit.service.record", fail)
    assert client.get("/api/users").status_code == 503
    monkeypatch.undo()
    assert len(client.get("/api/audit", params={"limit": 100}).json()["items"]) == count


def test_whatever_a_regulator_reads_and_whoever_reads_a_report_is_on_record(system_running: Running) -> None:
    system_running.alerts(upsert(1))
    lin = system_running.signed_in("responder", "lin")
    number = lin.post("/api/incidents", json={"title": "Overflow", "reported_by": "phone"}).json()["number"]
    grade = {"scheme": "cac-2025", "level": 3, "reason": "x"}
    assert lin.post(f"/api/incidents/{number}/grade", json=grade, headers={"If-Match": "*"}).status_code == 200
    identity = reports(lin, number)["cac-first"]["id"]
    done(step(lin, identity, "draft", {"contents": SAID}, "PUT"))
    done(step(system_running.signed_in("administrator"), identity, "approve", {"note": "read"}))
    done(step(lin, identity, "submit", {"channel": "12387", "note": "x"}))
    asked = (
        "/api/told/incidents?state=declared", f"/api/told/incidents/{number}", f"/api/told/reports/{identity}",
        "/api/told/incidents/999", "/api/incidents", "/api/alerts", "/api/sessions",
    )  # fmt: skip
    for name in ("city", "province"):
        client = system_running.signed_in("city_regulator" if name == "city" else "province_regulator", name)
        assert [client.get(path).status_code for path in asked] == [200] * 3 + [404, 403, 403, 200]
    viewer = system_running.signed_in("viewer", "qian")
    for path in ("/api/incidents", f"/api/incidents/{number}", "/api/obligations", f"/api/obligations/{identity}"):
        assert viewer.get(path).status_code == 200
    items = system_running.signed_in("auditor", "audit").get("/api/audit", params={"limit": 200}).json()["items"]
    for name in ("city", "province"):
        found = [
            (each["action"], each["subject"], each["detail"].get("question"))
            for each in reversed(items)
            if each["actor"] == name and each["action"] != "session.open"
        ]
        assert found == [
            ("regulator.read", "/api/told/incidents", "state=declared"),
            ("regulator.read", f"/api/told/incidents/{number}", None),
            ("regulator.read", f"/api/told/reports/{identity}", None),
            ("report.read", str(identity), None),
            ("regulator.read", "/api/told/incidents/999", None),
        ]
    (read,) = [each for each in items if each["actor"] == "qian" and each["action"] != "session.open"]
    assert (read["action"], read["subject"], read["detail"]["state"]) == ("report.read", str(identity), "submitted")
    assert len(read["detail"]["sha256"]) == 64


def test_a_look_at_one_s_own_sessions_and_at_alerts_is_not_on_record(system_running: Running) -> None:
    system_running.alerts(upsert(1))
    client = system_running.signed_in(name="lin")
    for path in ("/api/sessions", "/api/alerts", f"/api/alerts/{1:032x}", "/api/alerts/counts"):
        assert client.get(path).status_code == 200
    assert [action for actor, action, _ in trail(system_running) if actor == "lin"] == ["session.open"]


def test_the_commands_tell_in_one_line_whether_the_trail_holds(system_running: Running, configured: Path) -> None:
    grown(system_running)
    told = commanded(configured, "verify", "--language", "en")
    assert (told.exit_code, told.output.count("\n")) == (0, 1)
    assert told.output.startswith("Intact in itself: ")
    made = json.loads(commanded(configured, "checkpoint").output)
    told = commanded(configured, "verify", "--language", "en")
    assert told.output == (
        f"Intact: {made['number']} entries hold, and 1 checkpoints say the same, the last of entry {made['number']}.\n"
    )
    tamper(system_running, "UPDATE audit_entry SET actor = 'eve' WHERE number = 2")
    told = commanded(configured, "verify", "--language", "zh-CN")
    assert (told.exit_code, told.output) == (1, "第 2 条记录被修改：其哈希与内容不符。\n")


def test_a_trail_written_anew_and_a_cut_one_are_found_by_checkpoints_kept_elsewhere(
    system_running: Running, configured: Path, tmp_path: Path
) -> None:
    far, public = tmp_path / "far", tmp_path / "public.pem"
    public.write_text(commanded(configured, "key").output)
    ends: list[int] = []
    for _ in range(2):
        grown(system_running)
        made = checkpoints.parse(commanded(configured, "checkpoint").output)
        checkpoints.write(far, made)
        ends.append(made.number)
    elsewhere = ("verify", "--language", "en", "--checkpoints", far, "--key", public)
    assert commanded(configured, *elsewhere).exit_code == 0
    rewrite(system_running, ends[0] + 2)
    # Whoever owns the machine has its folder of checkpoints and its key as well.
    folder = configured / "audit" / "checkpoints"
    for path in folder.iterdir():
        path.unlink()
    assert commanded(configured, "checkpoint").exit_code == 0
    assert commanded(configured, "verify").exit_code == 0
    told = commanded(configured, *elsewhere)
    assert (told.exit_code, told.output.count("\n")) == (1, 1)
    assert told.output.startswith(f"Entries after {ends[0]} and up to {ends[1]} were written anew: checkpoint default-")
    with system_running.services.database.engine.begin() as connection:
        connection.exec_driver_sql(f"DELETE FROM audit_entry WHERE number > {ends[0]}")
        connection.exec_driver_sql(f"UPDATE counter SET value = {ends[0]} WHERE name = 'audit'")
    told = commanded(configured, *elsewhere)
    assert told.output.startswith(f"The trail was cut after entry {ends[0]}: checkpoint default-")
    other = tmp_path / "other.pem"
    other.write_text(keys.pem(Ed25519PrivateKey.generate().public_key()))
    told = commanded(configured, "verify", "--language", "en", "--checkpoints", far, "--key", other)
    assert (told.exit_code, "which is none of those given" in told.output) == (1, True)
    (path,) = far.glob(f"*-{ends[1]:012d}-*")
    path.write_text(path.read_text().replace(f'"number":{ends[1]}', f'"number":{ends[0]}'))
    told = commanded(configured, *elsewhere)
    assert (told.exit_code, "was altered" in told.output) == (1, True), told.output


def recipe(tmp_path: Path, export: str, public: str) -> subprocess.CompletedProcess[str]:
    """What the documentation tells others to do, done by them."""
    text = (Path(__file__).parents[2] / "deploy" / "docs" / "audit.md").read_text()
    script, lines, key = tmp_path / "recipe.py", tmp_path / "audit.jsonl", tmp_path / "public.pem"
    script.write_text(text.partition("```python\n")[2].partition("```")[0])
    lines.write_text(export)
    key.write_text(public)
    command = [sys.executable, "-I", str(script), str(lines), str(key)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_who_has_the_export_and_the_key_verifies_it_by_the_recipe(
    tmp_path: Path, empty_database: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data=tmp_path / "data", database=empty_database)
    write_as_0003(settings)
    with running(settings.data, database=empty_database) as served:
        client = served.sign_in("lin")
        export = client.get("/api/audit/export")
        assert export.headers["Content-Type"].startswith("application/jsonl")
        public = client.get("/api/audit/key").text
        made = client.post("/api/audit/checkpoints").json()
        assert client.get("/api/audit/verification").json()["up_to"] == made["number"]
    lines = export.text.splitlines()
    assert {json.loads(line).get("form") for line in lines} == {1, 2, None}
    told = recipe(tmp_path, export.text, public)
    assert (told.returncode, told.stdout.startswith(f"{len(lines) - 1} entries of default hold")) == (0, True), told.stderr
    altered = export.text.replace('"actor":"lin"', '"actor":"eve"', 1)
    assert "does not hold" in recipe(tmp_path, altered, public).stderr
    cut = "".join(f"{line}\n" for line in [*lines[:-2], lines[-1]])
    assert "the trail ends with" in recipe(tmp_path, cut, public).stderr
    other = keys.pem(Ed25519PrivateKey.generate().public_key())
    assert "InvalidSignature" in recipe(tmp_path, export.text, other).stderr


def test_checkpoints_are_made_on_a_schedule_where_entries_have_come(
    system_running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    services = system_running.services
    folder = services.settings.audit.folder(services.settings.data)
    often = services.settings.audit.model_copy(update={"checkpoint_seconds": 0.02})
    told: list[str] = []
    stop = threading.Event()
    schedule = keeping.Schedule(services.database, services.settings.model_copy(update={"audit": often}), told.append)
    thread = threading.Thread(target=schedule.run, args=(stop,))
    with caplog.at_level(logging.INFO, "api.audit.keeping"):
        thread.start()
        for expected in (1, 2):
            for _ in range(500):
                if folder.is_dir() and len(list(folder.glob("*.json"))) >= expected:
                    break
                stop.wait(0.02)
            system_running.signed_in()
        stop.set()
        thread.join(10)
    found = checkpoints.read(folder, "default")
    # None where nothing has come: never more than there are entries.
    assert 2 <= len(found) <= found[-1].number
    logged = [record.getMessage().removeprefix("audit checkpoint ") for record in caplog.records]
    assert [checkpoints.parse(line).number for line in logged] == [each.number for each in found]
    assert set(told) == {""}
    with services.database.read() as session:
        assert found[-1].number == keeping.service.newest(session)[0]


def test_a_folder_that_is_away_keeps_nothing_else_up_and_is_told(system_running: Running, tmp_path: Path) -> None:
    settings = system_running.services.settings
    (tmp_path / "file").write_text("")
    away = settings.model_copy(update={"audit": settings.audit.model_copy(update={"checkpoint_folder": tmp_path / "file"})})
    told: list[str] = []
    schedule = keeping.Schedule(system_running.services.database, away, told.append)
    schedule.make()
    assert "cannot be written" in told[-1]
    schedule = keeping.Schedule(system_running.services.database, settings, told.append)
    schedule.make()
    assert told[-1] == ""


def test_the_key_is_made_once_and_named_in_the_trail(system_running: Running) -> None:
    services = system_running.services
    path = services.settings.audit.key(services.settings.data)
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_bytes()
    keeping.set_up(services.database, services.settings)
    assert path.read_bytes() == before
    found = [subject for _, action, subject in trail(system_running) if action == "audit.key"]
    assert found == [keys.identity(keys.read_public(path))]
