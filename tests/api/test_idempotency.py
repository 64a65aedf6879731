"""Changes that are sent again with their key: carried out once, whoever sends them at the same time and whatever is killed."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import sqlalchemy as sa

from api.alerts import upserts
from api.audit.models import AuditEntry
from api.idempotency import service
from api.idempotency.models import KeyedRequest
from api.settings import Settings
from api.users import service as users
from tests.api.alerts import upsert
from tests.api.conftest import PASSWORD, STARTED, running

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from api.database import Database
    from api.settings import DatabaseSettings
    from tests.api.conftest import Running

ROOT = Path(__file__).parents[2]
KEY = {"Idempotency-Key": "6f1d6f0e-3f55-4a53-8f0a-0c1a4c6a9c57"}
ALERT = f"/api/alerts/{1:032x}"
ANY = {"If-Match": "*"}


def acknowledged(client: httpx.Client, note: str = "x", key: dict[str, str] = KEY) -> httpx.Response:
    return client.post(f"{ALERT}/acknowledge", json={"note": note}, headers={**ANY, **key})


def kinds(client: httpx.Client) -> list[str]:
    return [step["kind"] for step in client.get(f"{ALERT}/history").json()]


def entries(database: Database, action: str) -> int:
    with database.read() as session:
        return session.scalar(sa.select(sa.func.count(AuditEntry.number)).where(AuditEntry.action == action)) or 0


def stored(database: Database) -> list[KeyedRequest]:
    with database.read() as session:
        found = list(session.scalars(sa.select(KeyedRequest)))
        session.expunge_all()
        return found


def test_a_change_that_is_sent_again_is_answered_as_the_first_time(system_running: Running) -> None:
    system_running.alerts(upsert(1))
    client = system_running.signed_in(name="lin")
    first = acknowledged(client)
    client.post(f"{ALERT}/close", json={"disposition": "duplicate", "note": "y"}, headers=ANY)
    # In another session of the same person too.
    again = acknowledged(system_running.sign_in("lin"))
    assert (first.status_code, again.status_code) == (200, 200)
    assert (again.json(), again.headers["ETag"]) == (first.json(), first.headers["ETag"])
    assert (first.headers.get("Idempotency-Replayed"), again.headers["Idempotency-Replayed"]) == (None, "true")
    assert again.headers["Content-Security-Policy"]
    assert kinds(client) == ["raised", "acknowledged", "closed"]
    (kept,) = stored(system_running.services.database)
    assert first.text not in str(kept.answer)


def test_another_s_key_is_another_key(system_running: Running) -> None:
    system_running.alerts(upsert(1))
    assert acknowledged(system_running.signed_in()).status_code == 200
    assert acknowledged(system_running.signed_in()).json()["code"] == "alert_state"


def test_the_same_key_with_something_else_is_a_problem(system_running: Running) -> None:
    system_running.alerts(upsert(1), upsert(2))
    client = system_running.signed_in()
    assert acknowledged(client).status_code == 200
    answer = acknowledged(client, "another")
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_other")
    answer = client.post(f"/api/alerts/{2:032x}/acknowledge", json={"note": "x"}, headers={**ANY, **KEY})
    assert answer.json()["code"] == "idempotency_other"


def test_what_changed_nothing_can_be_sent_again_with_its_key(system_running: Running) -> None:
    client = system_running.signed_in()
    assert acknowledged(client).json()["code"] == "alert_unknown"
    system_running.alerts(upsert(1))
    assert acknowledged(client).status_code == 200
    assert client.post(f"{ALERT}/close", json={}, headers={**ANY, "Idempotency-Key": "k"}).status_code == 422
    assert [kept.status for kept in stored(system_running.services.database)] == [200]


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "schlüssel"])
def test_what_is_no_key_is_a_problem(system_running: Running, key: str) -> None:
    answer = system_running.signed_in().delete("/api/sessions/x", headers={b"Idempotency-Key": key.encode("latin-1")})
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_invalid")


def test_a_body_beyond_the_bound_is_refused_with_a_key_too(system_running: Running) -> None:
    def parts() -> Any:
        yield b"x" * 100_000

    answer = system_running.signed_in().post(f"{ALERT}/acknowledge", content=parts(), headers=KEY)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_what_needs_no_caller_and_what_changes_nothing_needs_no_key(system_running: Running) -> None:
    system_running.signed_in(name="lin")
    client = system_running.client()
    for _ in range(2):
        answer = client.post("/api/session", json={"name": "lin", "password": PASSWORD}, headers=KEY)
        assert answer.status_code == 201
    assert client.get("/api/alerts", headers=KEY).status_code == 200
    assert stored(system_running.services.database) == []


def test_of_many_that_send_the_same_at_once_one_is_carried_out(system_running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    clients = [system_running.signed_in("administrator", "lin"), *(system_running.sign_in("lin") for _ in range(7))]
    together = threading.Barrier(len(clients))
    rights = users.Rights

    def slowly(body: Any) -> users.Rights:
        time.sleep(0.2)
        return rights(body.role)

    monkeypatch.setattr("api.users.routes._rights", slowly)

    def make(client: httpx.Client, number: int) -> tuple[int, str]:
        body = {"name": f"new-{number}", "role": "viewer"}
        together.wait(30)
        for _ in range(200):
            answer = client.post("/api/users", json=body, headers={"Idempotency-Key": f"round-{number}"})
            if answer.status_code != 409:
                return answer.status_code, answer.text
            assert answer.json()["code"] == "idempotency_busy", answer.text
            assert answer.headers["Retry-After"] == "1"
            time.sleep(0.05)
        raise AssertionError("it stays busy")

    before = entries(system_running.services.database, "user.create")
    with ThreadPoolExecutor(len(clients)) as pool:
        for number in range(3):
            answers = list(pool.map(make, clients, [number] * len(clients)))
            assert {status for status, _ in answers} == {201}
            assert len({body for _, body in answers}) == 1
    assert entries(system_running.services.database, "user.create") == before + 3


@pytest.mark.parametrize("sites", [None, frozenset({"pumps"})], ids=["everywhere", "one site"])
def test_who_was_overtaken_changes_nothing(system_running: Running, sites: frozenset[str] | None) -> None:
    """One that took too long is held for gone, and another has taken it up: the first can then write no more."""
    with system_running.services.database.write() as session:
        upserts.apply(session, [upsert(1)], "pumps")
    client = system_running.signed_in(sites=sites)
    database = system_running.services.database
    marked = database.before_commit
    assert marked is not None

    def overtaken(session: Session) -> None:
        claim = service.CURRENT.get()
        if claim is not None and claim.holder:
            taken = sa.update(KeyedRequest).values(holder="another").execution_options(synchronize_session=False)
            session.execute(taken.where(KeyedRequest.holder == claim.holder))
        marked(session)

    database.before_commit = overtaken
    answer = acknowledged(client)
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_busy")
    assert kinds(client) == ["raised"]
    database.before_commit = marked
    assert acknowledged(client).status_code == 200
    assert kinds(client) == ["raised", "acknowledged"]


KILLED = """
import os, pickle, signal, sys
from api import system
from api.idempotency import service
from api.main import create_app
from api.server import Server
settings, where = pickle.loads(bytes.fromhex(sys.argv[1]))
service.HELD_SECONDS = 1

def die(*given):
    os.kill(os.getpid(), signal.SIGKILL)

with system.opened(settings) as services:
    app = create_app(services)
    if where == "before the answer is kept":
        service.settle = die
    else:
        claim = service.CURRENT.get
        services.database.before_commit = lambda session: die() if claim() and claim().holder else None
    server = Server(app, services)
    server.start()
    print(server.url, flush=True)
    sys.stdin.read()
"""
"""Serves until it kills itself at a moment of a request with a key."""


@pytest.mark.parametrize("where", ["before the change is written", "before the answer is kept"])
def test_a_change_survives_a_kill_and_is_not_done_twice(tmp_path: Path, database_settings: DatabaseSettings, where: str) -> None:
    folder = tmp_path / STARTED
    with running(folder, database=database_settings) as served:
        served.alerts(upsert(1))
        served.signed_in(name="lin")
    settings = Settings(data=folder, port=0, database=database_settings)
    command = [sys.executable, "-c", KILLED, pickle.dumps((settings, where)).hex()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        client = running_client(url)
        with pytest.raises(httpx.TransportError):
            acknowledged(client)
        assert process.wait(30) == -signal.SIGKILL
    with running(folder, database=database_settings) as served:
        client = served.sign_in("lin")
        time.sleep(1.1)
        answer = acknowledged(client)
        if where == "before the answer is kept":
            assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_done")
        else:
            assert answer.status_code == 200
        assert kinds(client) == ["raised", "acknowledged"]
        assert entries(served.services.database, "alert.acknowledge") == 1
        assert served.signed_in("administrator").get("/api/audit/verification").json()["intact"]


def running_client(url: str) -> httpx.Client:
    client = httpx.Client(base_url=url, timeout=30)
    answer = client.post("/api/session", json={"name": "lin", "password": PASSWORD})
    client.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
    return client


def test_answers_are_forgotten_after_a_day_and_a_caller_has_a_bound(
    system_running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    system_running.alerts(*(upsert(number) for number in range(1, 5)))
    client = system_running.signed_in()
    monkeypatch.setattr(service, "MOST_KEYS", 2)

    def send(number: int) -> httpx.Response:
        headers = {**ANY, "Idempotency-Key": f"k{number}"}
        return client.post(f"/api/alerts/{number:032x}/acknowledge", json={"note": "x"}, headers=headers)

    assert [send(number).status_code for number in (1, 2)] == [200, 200]
    answer = send(3)
    assert (answer.status_code, answer.json()["code"]) == (429, "idempotency_full")
    assert send(1).headers["Idempotency-Replayed"] == "true"
    monkeypatch.setattr(service, "KEPT_SECONDS", -1)
    assert send(3).status_code == 200
    assert len(stored(system_running.services.database)) == 1


def test_an_answer_too_long_to_be_kept_is_given_once(system_running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    system_running.alerts(upsert(1))
    client = system_running.signed_in()
    monkeypatch.setattr("api.idempotency.middleware.ANSWER_BYTES", 100)
    assert acknowledged(client).json()["triage"]["state"] == "triaging"
    assert acknowledged(client).json()["code"] == "idempotency_done"


def test_every_change_that_needs_a_caller_takes_a_key(system_running: Running) -> None:
    document = system_running.client().get("/api/openapi.json").json()
    entries = ("session", "setup", "oidc/sign-in", "oidc/session", "password", "passkeys/begin", "passkeys/session")
    without = {f"/api/{entry}": {"post"} for entry in entries}
    found = 0
    for path, item in document["paths"].items():
        for method, said in item.items():
            if method == "get" or "security" not in said:
                assert not any(each["name"] == "Idempotency-Key" for each in said.get("parameters", ()))
                assert method == "get" or method in without.get(path, set()) or path.startswith("/api/enrolment"), path
                continue
            assert [each["name"] for each in said["parameters"]].count("Idempotency-Key") == 1, path
            assert {"400", "409", "422", "429"} <= said["responses"].keys(), path
            found += 1
    assert found > 8
