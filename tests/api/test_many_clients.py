"""Fifty clients at the same alerts and incidents, cut off and killed at random: nothing is lost, and nothing is done twice."""

from __future__ import annotations

import asyncio
import pickle
import random
import signal
import socket
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest
import sqlalchemy as sa

from api.audit.models import AuditEntry
from api.settings import Settings
from tests.api.alerts import upsert
from tests.api.conftest import PASSWORD, STARTED, running
from tests.api.test_incidents import declare
from tests.api.test_obligations import grade, reports

if TYPE_CHECKING:
    from collections.abc import Mapping

    from api.settings import DatabaseSettings
    from tests.api.conftest import Running

ROOT = Path(__file__).parents[2]

CLIENTS: Final = 50
ALERTS: Final = 4
LINE: Final = {"at": "-1m", "source": "Phone"}

KILLS: Final = 3
"""Times that the server is killed while they are at it."""

CUT: Final = 0.15
"""Share of requests that their client cuts off, at a random moment."""

GONE: Final = 0.3
"""Share of clients that were cut off which never ask what became of it."""

SERVED = """
import pickle, sys, threading
from api import system
from api.idempotency import service
from api.main import create_app
from api.server import Server
service.HELD_SECONDS = 1
with system.opened(pickle.loads(bytes.fromhex(sys.argv[1]))) as services:
    server = Server(create_app(services), services)
    server.start()
    print(server.url, flush=True)
    threading.Event().wait()
"""
"""Serves until it is killed; a request of a server that is gone is held by it for a second."""


@dataclass
class Told:
    """What clients were told of what they asked for: name of a change → whether it was done."""

    done: list[str] = field(default_factory=list[str])
    perhaps: list[str] = field(default_factory=list[str])
    """Changes of which nobody has asked any more."""


class Client:
    """One of them: sends each change with a key of its own until it is answered, whatever happens meanwhile."""

    def __init__(self, url: str, name: str, seed: int, told: Told) -> None:
        self.name = name
        self._url = url
        self._random = random.Random(seed)
        self._told = told
        self._http = httpx.AsyncClient(base_url=url, timeout=60)

    async def sign_in(self) -> None:
        """Sign in."""
        while True:
            answer = await self._http.post("/api/session", json={"name": self.name, "password": PASSWORD})
            if answer.status_code != 503:
                break
            await asyncio.sleep(self._random.uniform(0.5, 1))
        assert answer.status_code == 201, answer.text
        self._http.headers["X-CSRF-Token"] = answer.json()["csrf_token"]

    async def close(self) -> None:
        """Leave."""
        await self._http.aclose()

    async def get(self, path: str) -> httpx.Response:
        """Look at something."""
        while True:
            try:
                answer = await self._http.get(path)
            except httpx.TransportError:
                await asyncio.sleep(self._random.uniform(0.3, 1))
                continue
            assert answer.status_code == 200, answer.text
            return answer

    async def change(self, what: str, method: str, path: str, body: Mapping[str, Any], tag: str | None = None) -> str | None:
        """Send one change until it is answered: the code of the problem, "" where it was done, None where nobody knows."""
        headers = {"Idempotency-Key": what.replace(" ", "_")} | ({"If-Match": tag} if tag else {})
        cut = self._random.random() < CUT
        while True:
            try:
                asked = self._http.request(method, path, json=body, headers=headers)
                answer = await asyncio.wait_for(asked, self._random.uniform(0, 0.1) if cut else None)
            except (httpx.TransportError, TimeoutError) as error:
                if isinstance(error, TimeoutError):
                    cut = False
                    await self._begin_anew()
                    if self._random.random() < GONE:
                        self._told.perhaps.append(what)
                        return None
                await asyncio.sleep(self._random.uniform(0.3, 1))
                continue
            code = "" if answer.is_success else answer.json()["code"]
            assert answer.status_code < 500 or code == "database_busy", answer.text
            if code in {"idempotency_busy", "database_busy"}:
                await asyncio.sleep(self._random.uniform(0.5, 1))
                continue
            if code in {"", "idempotency_done"}:
                self._told.done.append(what)
                return ""
            return code

    async def _begin_anew(self) -> None:
        """The client was killed: its connections are gone, the browser has kept its session."""
        before = self._http
        await before.aclose()
        self._http = httpx.AsyncClient(base_url=self._url, timeout=60, cookies=before.cookies, headers=before.headers)

    async def work(self, number: int, incident: int, obligations: list[int]) -> None:
        """What one person does, in an order of his own."""
        jobs: list[Any] = [self._summary(incident, f"word-{number}"), self._line(incident, f"line {number}")]
        jobs += [self._alert(number, alert) for alert in range(1, ALERTS + 1)]
        jobs += [self._submit(number, each) for each in obligations]
        self._random.shuffle(jobs)
        for job in jobs:
            await job

    async def _summary(self, incident: int, token: str) -> None:
        """Add a word to what the incident says, as somebody does who reads, writes and is refused where another was quicker."""
        for turn in range(10_000):
            found = await self.get(f"/api/incidents/{incident}")
            shown = found.json()
            kept = {key: shown[key] for key in ("title", "category", "lead", "discovered_at", "occurred_at")}
            body = {**kept, "summary": f"{shown['summary']} {token}".strip(), "reason": token}
            code = await self.change(f"summary {token} {turn}", "PUT", f"/api/incidents/{incident}", body, found.headers["ETag"])
            if code != "precondition_failed":
                assert not code, code
                return
            await asyncio.sleep(self._random.uniform(0, 1))

    async def _line(self, incident: int, text: str) -> None:
        assert not await self.change(text, "POST", f"/api/incidents/{incident}/timeline", LINE | {"text": text})

    async def _alert(self, number: int, alert: int) -> None:
        """Take an alert on, or close one that somebody has taken on."""
        path = f"/api/alerts/{alert:032x}"
        found = await self.get(path)
        step = {"new": "acknowledge", "triaging": "close"}.get(found.json()["triage"]["state"])
        if step is not None:
            body = {"note": self.name} | ({"disposition": "duplicate"} if step == "close" else {})
            code = await self.change(f"{step} {alert} {number}", "POST", f"{path}/{step}", body, found.headers["ETag"])
            assert code in {None, "", "precondition_failed"}, code

    async def _submit(self, number: int, obligation: int) -> None:
        """Say that a report was submitted, which each of them does; one of them is first."""
        path = f"/api/obligations/{obligation}"
        found = await self.get(path)
        if found.json()["state"] == "approved":
            body = {"channel": "12387", "note": self.name}
            code = await self.change(f"submit {obligation} {number}", "POST", f"{path}/submit", body, found.headers["ETag"])
            assert code in {None, "", "precondition_failed"}, code


async def _serve(settings: Settings) -> asyncio.subprocess.Process:
    command = [sys.executable, "-c", SERVED, pickle.dumps(settings).hex()]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    assert (await process.stdout.readline()).startswith(b"http"), "it does not start"
    return process


async def _disturbed(settings: Settings, names: list[str], incident: int, obligations: list[int], seed: int) -> tuple[Told, int]:
    """All clients at work, and the server killed meanwhile: what they were told, and how often it was killed."""
    told, chance = Told(), random.Random(seed)
    clients = [Client(f"http://127.0.0.1:{settings.port}", names[each], seed + each, told) for each in range(CLIENTS)]
    process = await _serve(settings)
    kills = 0
    try:
        await asyncio.gather(*(client.sign_in() for client in clients))
        works = asyncio.gather(*(client.work(each, incident, obligations) for each, client in enumerate(clients)))
        while not works.done():
            await asyncio.wait([works], timeout=chance.uniform(0.3, 2.5) if kills < KILLS else None)
            if not works.done() and kills < KILLS:
                process.send_signal(signal.SIGKILL)
                await process.wait()
                kills += 1
                process = await _serve(settings)
        await works
    finally:
        process.kill()
        await process.wait()
        await asyncio.gather(*(client.close() for client in clients))
    return told, kills


def _port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _prepared(served: Running) -> tuple[list[str], int, list[int]]:
    """Accounts, an incident, and reports that two people have approved."""
    served.alerts(*(upsert(each) for each in range(1, ALERTS + 1)))
    names = [f"person-{each}" for each in range(CLIENTS)]
    people = [served.signed_in("responder", name) for name in names]
    chief = served.signed_in("administrator", "chief")
    number = declare(people[0], title="Dosing", reported_by="Wu", summary="")["number"]
    grade(people[0], number, 3)
    found = [each["id"] for each in reports(people[0], number).values() if each["due_at"] is not None]
    for each in found:
        path = f"/api/obligations/{each}"
        shown = people[0].get(path)
        contents = {part["key"]: "x" for part in shown.json()["contents"] if part["needed"]}
        answer = people[0].put(f"{path}/draft", json={"contents": contents}, headers={"If-Match": shown.headers["ETag"]})
        assert answer.status_code == 200, answer.text
        answer = chief.post(f"{path}/approve", json={"note": "x"}, headers={"If-Match": answer.headers["ETag"]})
        assert answer.status_code == 200, answer.text
    return names, number, found


@pytest.mark.parametrize("seed", [1])
def test_fifty_clients_that_are_killed_with_their_server_lose_nothing_and_do_nothing_twice(
    tmp_path: Path, database_settings: DatabaseSettings, seed: int
) -> None:
    folder = tmp_path / STARTED
    with running(folder, database=database_settings) as served:
        names, incident, obligations = _prepared(served)
    assert obligations
    settings = Settings(data=folder, port=_port(), database=database_settings)
    told, kills = asyncio.run(_disturbed(settings, names, incident, obligations, seed))
    assert kills == KILLS, "they were ready before the server was killed often enough"
    assert told.perhaps, "nobody was cut off"
    with running(folder, database=database_settings) as served:
        client = served.sign_in("chief")
        # Each word that somebody was told is written stands there, and stands there once.
        words: Counter[str] = Counter(client.get(f"/api/incidents/{incident}").json()["summary"].split())
        written = {what.split()[1] for what in told.done if what.startswith("summary")}
        maybe = {what.split()[1] for what in told.perhaps if what.startswith("summary")}
        assert set(words.values()) == {1}
        assert written <= set(words) <= written | maybe
        lines = Counter(_lines(client, incident))
        said = {what for what in told.done if what.startswith("line")}
        assert {text: lines[text] for text in said} == dict.fromkeys(said, 1)
        assert max(lines[text] for text in lines if text.startswith("line")) == 1
        # One of all who did the same was told that it was him.
        steps = [" ".join(what.split()[:2]) for what in told.done if what.split()[0] in {"acknowledge", "close", "submit"}]
        assert set(Counter(steps).values()) == {1}
        for alert in range(1, ALERTS + 1):
            kinds = [each["kind"] for each in client.get(f"/api/alerts/{alert:032x}/history").json()]
            assert kinds == ["raised", "acknowledged", "closed"], kinds
        for each in obligations:
            assert client.get(f"/api/obligations/{each}").json()["state"] == "submitted"
        with served.services.database.read() as session:
            kept = dict(session.execute(sa.select(AuditEntry.action, sa.func.count()).group_by(AuditEntry.action)).all())
        assert kept["incident.changed"] == len(words)
        assert (kept["alert.acknowledge"], kept["alert.close"]) == (ALERTS, ALERTS)
        assert kept["incident.obligation_submitted"] == len(obligations)
        assert client.get("/api/audit/verification").json()["intact"]


def _lines(client: httpx.Client, incident: int) -> list[str]:
    """All lines of a timeline."""
    found: list[str] = []
    cursor: str | None = None
    while True:
        query = {"limit": "500"} | ({"cursor": cursor} if cursor else {})
        page = client.get(f"/api/incidents/{incident}/timeline", params=query).json()
        found += [each["text"] for each in page["items"]]
        cursor = page["next"]
        if cursor is None:
            return found
