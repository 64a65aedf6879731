"""The audit trail: each change of state is in it, and nobody can alter it unseen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy.exc import DBAPIError

from tests.api.alerts import upsert

if TYPE_CHECKING:
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
    ("statement", "broken"),
    [
        ("UPDATE audit_entry SET actor = 'eve' WHERE number = 2", 2),
        ("DELETE FROM audit_entry WHERE number = 2", 2),
        ("UPDATE audit_entry SET detail = '{}' WHERE number = 1", 1),
    ],
)
def test_an_entry_that_was_altered_is_found(system_running: Running, statement: str, broken: int) -> None:
    administrator = system_running.signed_in("administrator")
    for _ in range(3):
        system_running.signed_in()
    assert administrator.get("/api/audit/verification").json()["intact"]
    tamper(system_running, statement)
    assert administrator.get("/api/audit/verification").json() == {"intact": False, "entries": broken - 1, "first_broken": broken}


def test_a_cut_end_is_found(system_running: Running) -> None:
    administrator = system_running.signed_in("administrator")
    system_running.signed_in()
    tamper(system_running, "DELETE FROM audit_entry WHERE number = (SELECT max(number) FROM audit_entry)")
    assert not administrator.get("/api/audit/verification").json()["intact"]


def test_a_change_that_fails_leaves_no_entry(system_running: Running) -> None:
    system_running.alerts(upsert(1))
    client = system_running.signed_in()
    before = len(trail(system_running))
    answer = client.post(f"/api/alerts/{1:032x}/acknowledge", json={"note": "x"}, headers={"If-Match": '"1.9.en"'})
    assert answer.status_code == 412
    assert len(system_running.sign_in("auditor").get("/api/audit", params={"limit": 100}).json()["items"]) == before + 1
