"""From an attack on the plant to the signed review, as a shift goes through it: packets in, and the rest over HTTP."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
import zipfile
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import pytest

from api import embedded, system
from api.audit.verification import verify
from api.main import create_app
from api.server import Server
from api.settings import Settings
from api.times import NANOSECONDS, iso, parse
from collector.store import Order, Query
from detection.site import Site
from sensor._core import Reader
from tests.api.conftest import OPENED, Running
from tests.api.looks import tick
from tests.api.test_actions import SAFETY
from tests.api.test_actions import step as act_on
from tests.api.test_documents import looked_at, printed
from tests.api.test_incidents import act, done, lines, refused
from tests.api.test_obligations import OPERATOR, reports
from tests.api.test_obligations import step as report_on
from tests.api.test_playbooks import step as task_on
from tests.api.test_reviews import review
from tests.plant import attacks
from tests.plant.day import PACE
from tests.plant.frames import pcap_header, pcap_record
from tests.plant.plant import BOILER, INTRUDER, Plant

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    import httpx

    from api.settings import DatabaseSettings
    from sensor.spool import Spool

MINUTE: Final = 60 * NANOSECONDS
HOUR: Final = 60 * MINUTE

AGO: Final = 180 * MINUTE
"""How long before this hour the plant's traffic begins."""

STEP: Final = 5 * MINUTE
"""Of traffic, in one go: batches are cut by time, and traffic comes faster here than it does in a plant."""


class Clock:
    """The clock of the machine on the wall, which is moved on by hand."""

    def __init__(self, moment: int) -> None:
        self.moment = moment

    def time_ns(self) -> int:
        return self.moment


class Wire:
    """The plant's traffic as far as the clock has gone: an intruder asks controllers what they are, and raises a set point."""

    def __init__(self, path: Path, clock: Clock) -> None:
        os.mkfifo(path)
        self.path: Final = path
        self._clock = clock
        self._reached = clock.moment
        self._plant = Plant(clock.moment, 7, PACE)
        # Not where a step begins: silence until then counts as time that passes, and what is of before counts as of its end.
        attacks.schedule(self._plant, "identification", clock.moment + 12 * MINUTE)
        attacks.schedule(self._plant, "set_point_write", clock.moment + 17 * MINUTE)
        # For both ways, so that nobody waits for the other end.
        self._out: Final = os.fdopen(os.open(path, os.O_RDWR), "wb")
        self._out.write(pcap_header())
        self._out.flush()

    def go_on(self, minutes: int, served: Running) -> None:
        """Let time pass, and wait until records tell of it: the sensor tells of itself every 10 s."""
        until = self._reached + minutes * MINUTE
        while self._reached < until:
            self._reached = min(until, self._reached + STEP)
            self._out.write(b"".join(map(pcap_record, self._plant.run(self._reached))))
            self._out.flush()
            self._clock.moment = self._reached
            reached(lambda: newest(served) >= self._reached - MINUTE, served)

    def close(self) -> None:
        """No more comes."""
        self._out.close()


def reached(condition: Callable[[], bool], served: Running) -> None:
    """Wait for something as long as all parts are at work."""
    status, deadline = served.services.status, time.monotonic() + 300
    while not condition():
        assert status.failures() == {}
        assert time.monotonic() < deadline, status.parts()
        time.sleep(0.3)


def newest(served: Running) -> int:
    """When the sensor has last told of itself."""
    found = served.services.records.query(Query("sensor", columns=["ts"], order=Order("ts", descending=True), limit=1)).rows["ts"]
    return int(found.dt.epoch("ns").item()) if len(found) else 0


def live(source: str, spool: Spool, packets: tuple[str, int] | None) -> Reader:
    """A capture that is still written to."""
    identity = spool.identity
    return Reader(source, site=identity.site, sensor=identity.sensor, epoch=identity.epoch, live=True, packets=packets)


@contextmanager
def watched(folder: Path, wire: Wire, database: DatabaseSettings) -> Generator[Running]:
    """A system in one process that looks at a wire, and serves."""
    folder.mkdir(mode=0o700, exist_ok=True)
    settings = Settings(data=folder, port=0, database=database)
    ring = (str(folder / "packets"), 1 << 28)
    with (
        system.opened(settings) as services,
        embedded.embedded(services, str(wire.path), (Site(), None), (), ring) as parts,
    ):
        server = Server(create_app(services), services)
        server.start()
        parts.start()
        try:
            yield Running(services, server)
        finally:
            wire.close()
            parts.end()
            assert parts.stop() == []
            server.stop()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """When the plant's traffic begins."""
    # At a quarter to: an hour of learning ends between the stranger's first contact and its write.
    clock = Clock(time.time_ns() // HOUR * HOUR - 15 * MINUTE - AGO)
    monkeypatch.setattr("api.times.time", SimpleNamespace(time_ns=clock.time_ns))
    return clock


def test_an_attack_is_answered_from_the_first_alert_to_the_signed_review(
    tmp_path: Path, database_settings: DatabaseSettings, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensor.recorder.opened", live)
    wire = Wire(tmp_path / "wire", clock)
    with watched(tmp_path / OPENED, wire, database_settings) as plant:
        chief = plant.signed_in("administrator", name="chen")
        lin, wu = plant.signed_in("responder", name="lin"), plant.signed_in("engineer", name="wu")
        wire.go_on(30, plant)
        done(chief.put("/api/operator", json=OPERATOR | {"cii": True}, headers={"If-Match": "*"}))
        alert = told_of(lin, plant)
        number = declared(lin, alert, clock)
        level = graded(lin, number)
        assert done(lin.post(f"/api/incidents/{number}/playbooks", json=proposed(lin, number)), 201)
        action = approved(lin, wu, number)
        done(act(lin, number, "move", {"to": "containing", "reason": "its port will be closed"}))
        done(act_on(lin, action, "execute", {"note": "port 12 is closed"}))
        wire.go_on(10, plant)
        assert refused(act_on(lin, action, "verify", {"note": "quiet"})) == "proof_early"
        package = given_out(lin, wu, number, alert)
        wire.go_on(25, plant)
        shown = done(act_on(lin, action, "verify", {"note": "nothing of it for half an hour"}))
        assert (shown["state"], shown["verdict"]["verdict"]) == ("verified", "silent")
        reported(lin, chief, number, clock)
        closed(lin, chief, number, clock)
        reviewed(lin, chief, number)
        tick(plant.services, clock.moment)
        intact(package, chief, tmp_path / "given")
        assert level == chief.get(f"/api/incidents/{number}/grades").json()[0]["decided"]
        with plant.services.database.read(unlimited=True) as session:
            assert verify(session).fault is None


def told_of(client: httpx.Client, plant: Running) -> str:
    """The alert that ranks first, taken on: it is the intruder's write, and its story tells what came before."""
    reached(lambda: "new_writer" in {each["rule"] for each in client.get("/api/alerts").json()["items"]}, plant)
    first = client.get("/api/alerts").json()["items"][0]
    alert = client.get(f"/api/alerts/{first['id']}").json()
    assert (alert["rule"], alert["client.ip"], alert["server.ip"]) == ("new_writer", INTRUDER.ip, BOILER.ip)
    assert [stage["tactic"] for stage in alert["story"]["stages"]] == ["discovery", "impair-process-control"]
    done(client.post(f"/api/alerts/{first['id']}/acknowledge", json={"note": "looking"}, headers={"If-Match": "*"}))
    return str(first["id"])


def declared(client: httpx.Client, alert: str, clock: Clock) -> int:
    """An incident of the whole story."""
    story = client.get(f"/api/alerts/{alert}").json()["story"]["id"]
    body = {
        "title": "Set point of boiler 3 raised by a stranger",
        "story": story,
        "discovered_at": iso(clock.moment - 10 * MINUTE),
    }
    made = done(client.post("/api/incidents", json=body), 201)
    done(act(client, made["number"], "move", {"to": "analysing", "reason": "the story is clear"}))
    assert client.get(f"/api/alerts/{alert}").json()["triage"]["state"] == "escalated"
    return int(made["number"])


def graded(client: httpx.Client, number: int) -> int:
    """As the facts propose it."""
    facts = {"cii_total_outage_minutes": 12, "direct_loss_cny": 60_000_000}
    done(act(client, number, "facts", {"facts": facts, "reason": "shift log"}, "PUT"))
    (proposal,) = [each for each in client.get(f"/api/incidents/{number}/grading").json() if each["scheme"] == "cac-2025"]
    done(act(client, number, "grade", {"scheme": "cac-2025", "level": proposal["level"], "reason": "as proposed"}))
    return int(proposal["level"])


def proposed(client: httpx.Client, number: int) -> dict[str, Any]:
    """The playbook that fits best."""
    best = client.get(f"/api/incidents/{number}/playbooks").json()[0]
    assert best["score"] > 0
    return {"playbook": best["key"], "reason": "as proposed"}


def approved(lin: httpx.Client, wu: httpx.Client, number: int) -> int:
    """An action of two people, which traffic can show."""
    proof = {"kind": "silent_writer", "client": INTRUDER.ip, "server": BOILER.ip, "minutes": 30}
    body = {"title": "Close port 12", "safety": SAFETY, "reason": "it wrote", "window_from": "-1m", "window_until": "+"}
    body["window_until"] = iso(parse(lin.get(f"/api/incidents/{number}").json()["declared_at"]) + 120 * MINUTE)
    made = done(lin.post(f"/api/incidents/{number}/actions", json={**body, "proof": proof}), 201)["id"]
    done(act_on(lin, made, "security"))
    assert refused(act_on(lin, made, "operations")) == "forbidden"
    done(act_on(wu, made, "operations"))
    return int(made)


def given_out(lin: httpx.Client, wu: httpx.Client, number: int, alert: str) -> bytes:
    """The packets of the write and what is known of the incident, handed on and given out."""
    path = f"/api/incidents/{number}/evidence"
    packets = done(lin.post(f"{path}/packets", json={"alert": alert, "reason": "what it wrote"}), 201)
    done(lin.post(f"{path}/snapshot", json={"reason": "as it was found"}), 201)
    body = {"giver": "lin", "receiver": "wu", "reason": "for the vendor"}
    done(lin.post(f"{path}/{packets['id']}/custody", json=body), 201)
    assert wu.get(f"{path}/{packets['id']}/verification").json()["intact"]
    answer = lin.post(f"{path}/package", json={"receiver": "Provincial centre", "reason": "asked for"})
    assert answer.status_code == 200, answer.text
    return answer.content


def reported(lin: httpx.Client, chief: httpx.Client, number: int, clock: Clock) -> None:
    """Each report that is due is drafted, approved by another person, printed in both languages, submitted and acknowledged."""
    sent = 0
    while found := [each for each in reports(lin, number).values() if each["state"] == "pending" and each["due_at"] is not None]:
        for each in found:
            identity = each["id"]
            asked = lin.get(f"/api/obligations/{identity}").json()["contents"]
            contents = {part["key"]: f"Set point 1350, {part['key']}" for part in asked if part["needed"]}
            done(report_on(lin, identity, "draft", {"contents": contents}, "PUT"))
            done(report_on(chief, identity, "approve", {"note": "read"}))
            for language, word in (("en", "Set point 1350"), ("zh-CN", "报告")):
                query = {"format": "pdf", "language": language}
                answer = lin.get(f"/api/obligations/{identity}/document", params=query)
                assert answer.status_code == 200, answer.text
                assert word in printed(answer.content)
                assert looked_at(answer.content)
            clock.moment += MINUTE
            done(report_on(lin, identity, "submit", {"channel": "12387", "note": "by phone"}))
            done(report_on(lin, identity, "acknowledge", {"receipt": f"GD-{identity}", "note": "x"}))
            sent += 1
    assert sent
    for language in ("en", "zh-CN"):
        summary = lin.get(f"/api/incidents/{number}/summary", params={"format": "pdf", "language": language})
        assert "Set point of boiler 3" in printed(summary.content)
        assert looked_at(summary.content)


def closed(client: httpx.Client, chief: httpx.Client, number: int, clock: Clock) -> None:
    """Every state is gone through, all tasks are done, and the last report is sent: then nothing stands against closing."""
    for phase in ("eradicating", "recovering", "monitoring"):
        done(act(client, number, "move", {"to": phase, "reason": "as planned"}))
        clock.moment += MINUTE
    body = {"disposition": "true_positive_impact", "reason": "the station is off the network"}
    assert refused(act(client, number, "close", body)) == "incident_gate"
    for task in client.get(f"/api/incidents/{number}/tasks").json():
        if task["state"] in {"open", "doing"}:
            done(task_on(client, task["id"], "move", {"to": "done", "note": "done"}))
    # Once it is over the final report is due.
    reported(client, chief, number, clock)
    done(act(client, number, "close", body))
    assert client.get("/api/alerts", params={"state": "escalated"}).json()["items"] == []


def reviewed(lin: httpx.Client, chief: httpx.Client, number: int) -> None:
    """Written by one, signed by another, with a lesson."""
    said = {"went_well": "Found in minutes.", "went_badly": "The port was open.", "participants": ["lin", "wu"]}
    done(review(lin, number, "", said))
    lesson = {"title": "Close unused ports", "owner": "wu", "due_at": "2030-01-01T00:00:00Z"}
    done(lin.post(f"/api/incidents/{number}/review/lessons", json=lesson), 201)
    done(review(chief, number, "sign", {"note": "as agreed"}))
    told = [line["kind"] for line in lines(lin, number)]
    assert told[-1] == "review_signed"
    assert {"declared", "action_verified", "obligation_submitted", "review_signed"} <= set(told)
    assert lin.get(f"/api/incidents/{number}").json()["state"] == "closed"
    said = {language: "\n".join(line["text"] for line in lines(lin, number, language)) for language in ("en", "zh-CN")}
    for key in ("cac-", "miit-", "safety_system_touched", "direct_loss_cny", "went_well"):
        assert all(key not in each for each in said.values()), key
    assert "Report to be made: First report, critical information infrastructure" in said["en"]
    assert "启动预案“" in said["zh-CN"]


def intact(package: bytes, chief: httpx.Client, folder: Path) -> None:
    """What was given out, by the script that lies in it, without any of this program's packages."""
    key = folder.with_suffix(".pem")
    key.write_bytes(chief.get("/api/audit/key").content)
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        archive.extractall(folder)
    command = [sys.executable, "-I", "-S", "verify.py", "--key", str(key)]
    told = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (told.returncode, "INTACT" in told.stdout) == (0, True), told.stdout + told.stderr
