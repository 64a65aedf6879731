"""Reports that the law asks for, through the API: from a grade to what the authority gave for it."""

from __future__ import annotations

import hashlib
import io
import json
from typing import TYPE_CHECKING, Any, get_args

import pytest
import rfc8785
import sqlalchemy as sa
from docx import Document

from api import system
from api.alerts import upserts
from api.database import Database
from api.incidents.service import Start, made
from api.obligations import rules, service
from api.obligations.models import SiteOperator
from api.obligations.rules import rule_set
from api.settings import Settings
from api.ticking import Looks, ticking
from api.times import NANOSECONDS, iso, now, parse
from tests.api.alerts import upsert
from tests.api.conftest import ANY, SQLITE_ONLY
from tests.api.looks import tick
from tests.api.test_incidents import CLOSE, PHONE, act, declare, done, kinds, lines, refused
from tests.api.test_ticking import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx

    from tests.api.conftest import Running

OPERATOR: dict[str, Any] = {"name": "Waterworks East", "cii": False, "data_processor": True, "nis2": "none"}
SAID = {"entity": "Waterworks East, dosing", "event": "Found at 16:14; set point jumped"}
HOUR = 3600 * NANOSECONDS


@pytest.fixture(autouse=True)
def _one_site(request: pytest.FixtureRequest) -> None:
    if "system_running" in request.fixturenames:
        system_running: Running = request.getfixturevalue("system_running")
        system_running.alerts(upsert(900, rule="posture"))


def grade(client: httpx.Client, number: int, level: int, scheme: str = "cac-2025") -> dict[str, Any]:
    return done(act(client, number, "grade", {"scheme": scheme, "level": level, "reason": "x"}))


def reports(client: httpx.Client, number: int) -> dict[str, dict[str, Any]]:
    return {each["rule"]: each for each in client.get(f"/api/incidents/{number}/obligations").json()}


def step(client: httpx.Client, identity: int, what: str, body: dict[str, Any], method: str = "POST") -> httpx.Response:
    path = f"/api/obligations/{identity}"
    return client.request(method, f"{path}/{what}", json=body, headers={"If-Match": client.get(path).headers["ETag"]})


def test_a_report_goes_from_the_grade_to_its_receipt_with_two_people(system_running: Running) -> None:
    lin, wu = system_running.signed_in("responder", name="lin"), system_running.signed_in("administrator", name="wu")
    shown = declare(lin, **PHONE | {"discovered_at": "-1h"})
    number = shown["number"]
    assert reports(lin, number) == {}
    grade(lin, number, 3)
    found = reports(lin, number)
    assert {rule: each["state"] for rule, each in found.items()} == {"cac-first": "pending", "cac-final": "pending"}
    first = found["cac-first"]
    assert parse(first["due_at"]) - parse(shown["discovered_at"]) == 4 * HOUR, "from discovery, not from the grade"
    assert (first["certainty"], "第四条" in first["clause"], first["late"]) == ("seen", True, False)
    assert (found["cac-final"]["due_at"], found["cac-final"]["started_at"]) == (None, None)
    identity = first["id"]
    assert refused(step(lin, identity, "submit", {"channel": "12387", "note": "x"})) == "obligation_state"
    assert refused(step(lin, identity, "draft", {"contents": {"lessons": "x"}}, "PUT")) == "contents_unfit"
    done(step(lin, identity, "draft", {"contents": {"entity": SAID["entity"]}}, "PUT"))
    assert refused(step(lin, identity, "approve", {"note": "x"})) == "forbidden"
    assert refused(step(wu, identity, "approve", {"note": "x"})) == "contents_missing"
    done(step(lin, identity, "draft", {"contents": SAID}, "PUT"))
    approved = done(step(wu, identity, "approve", {"note": "read"}))
    assert (approved["state"], approved["approved_by"]) == ("approved", "wu")
    again = done(step(wu, identity, "draft", {"contents": SAID | {"cause": "unknown"}}, "PUT"))
    assert (again["state"], again["approved_by"], again["drafters"]) == ("drafted", None, ["lin", "wu"])
    assert refused(step(wu, identity, "approve", {"note": "x"})) == "approver_wrote", "whoever wrote in it, too"
    done(step(system_running.signed_in("administrator", name="chen"), identity, "approve", {"note": "read"}))
    assert refused(step(lin, identity, "submit", {"channel": "x", "at": "-3h", "note": "x"})) == "incident_times"
    spoken = {"channel": "12387", "at": "-10m", "note": "by phone"}
    assert refused(step(lin, identity, "submit", spoken)) == "report_unapproved"
    sent = done(step(lin, identity, "submit", spoken | {"before_approval": True}))
    assert (sent["state"], sent["late"], sent["seconds_left"]) == ("submitted", False, None)
    assert (sent["before_approval"], reports(lin, number)["cac-first"]["before_approval"]) == (True, True)
    got = done(step(lin, identity, "acknowledge", {"receipt": "GD-7", "note": "x"}))
    assert (got["state"], got["receipt"]) == ("acknowledged", "GD-7")
    assert refused(step(lin, identity, "draft", {"contents": SAID}, "PUT")) == "obligation_state"
    assert refused(lin.put(f"/api/obligations/{identity}/draft", json={"contents": {}})) == "precondition_required"
    stale = lin.put(f"/api/obligations/{identity}/draft", json={"contents": {}}, headers={"If-Match": '"1"'})
    assert refused(stale) == "precondition_failed"
    (told,) = [line for line in lines(lin, number) if line["kind"] == "obligation_submitted"]
    assert told["text"] == "Report submitted: First report (12387)"
    # The trail proves what was approved and when it is said to have been sent, and keeps what stood there before.
    assert (told["detail"]["submitted_at"], told["detail"]["before_approval"]) == (sent["submitted_at"], "yes")
    trail = wu.get("/api/audit", params={"limit": 500}).json()["items"]
    hashes = [
        (each["action"].removeprefix("incident.obligation_"), each["detail"]["sha256"])
        for each in trail
        if each["action"].removeprefix("incident.obligation_") in {"drafted", "approved", "submitted"}
    ]
    assert [action for action, _ in hashes] == ["submitted", "approved", "drafted", "approved", "drafted", "drafted"]
    assert len({sha256 for _, sha256 in hashes[:3]}) == len({sha256 for _, sha256 in hashes[3:5]}) == 1
    assert hashes[0][1] == sent["sha256"] != hashes[3][1]
    texts = [each["detail"] for each in trail if each["action"] == "obligation.text"]
    assert [each["contents"] for each in texts] == [SAID | {"cause": "unknown"}, SAID, {"entity": SAID["entity"]}]
    assert [each["sha256"] for each in texts[:2]] == [hashes[0][1], hashes[3][1]]
    assert hashlib.sha256(rfc8785.dumps(SAID)).hexdigest() == texts[1]["sha256"]
    assert refused(step(system_running.signed_in("viewer"), identity, "approve", {"note": "x"})) == "forbidden"
    assert refused(lin.get("/api/obligations/9999")) == "obligation_unknown"


def test_a_report_that_was_approved_by_a_clock_ahead_is_told_as_submitted_and_as_approved_before(
    system_running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    lin, wu = system_running.signed_in("responder", name="lin"), system_running.signed_in("administrator", name="wu")
    number = declare(lin, **PHONE)["number"]
    grade(lin, number, 3)
    identity = reports(lin, number)["cac-first"]["id"]
    done(step(lin, identity, "draft", {"contents": SAID}, "PUT"))
    with monkeypatch.context() as ahead:
        ahead.setattr("api.obligations.service.now", lambda: now() + HOUR)
        done(step(wu, identity, "approve", {"note": "read"}))
    said = {"channel": "12387", "note": "x"}
    assert refused(step(lin, identity, "submit", said | {"at": iso(now() + HOUR)})) == "incident_times"
    assert refused(step(lin, identity, "submit", said | {"at": iso(now())})) == "report_unapproved", "so it was written down"
    sent = done(step(lin, identity, "submit", said))
    assert (sent["state"], sent["before_approval"], parse(sent["submitted_at"]) <= now()) == ("submitted", False, True)
    second = reports(lin, number)["cac-final"]["id"]
    assert second != identity


def resolve(client: httpx.Client, number: int, **more: str) -> None:
    for to in ("analysing", "monitoring"):
        done(act(client, number, "move", {"to": to, "reason": "x", **(more if to == "monitoring" else {})}))


def test_the_kind_of_operator_says_how_long_there_is(system_running: Running) -> None:
    client, chief = system_running.signed_in("responder", name="lin"), system_running.signed_in("administrator")
    assumed = client.get("/api/operator")
    assert (assumed.json()["version"], assumed.json()["cii"], assumed.headers["ETag"]) == (0, False, '"0"')
    number = declare(client, **PHONE)["number"]
    grade(client, number, 3)
    assert refused(client.put("/api/operator", json=OPERATOR, headers={"If-Match": '"0"'})) == "forbidden"
    for wrong in ({"time_zone": "Mars/Base"}, {"nis2": "yes"}):
        assert refused(chief.put("/api/operator", json=OPERATOR | wrong, headers={"If-Match": '"0"'})) == "input_invalid"
    done(chief.put("/api/operator", json=OPERATOR | {"cii": True}, headers={"If-Match": '"0"'}))
    assert refused(chief.put("/api/operator", json=OPERATOR, headers={"If-Match": '"0"'})) == "precondition_failed"
    found = reports(client, number)
    assert (found["cac-first"]["state"], found["cac-first-cii"]["state"]) == ("lapsed", "pending")
    assert parse(found["cac-first-cii"]["due_at"]) - parse(found["cac-first-cii"]["started_at"]) == HOUR
    european = OPERATOR | {"china": False, "data_processor": False, "nis2": "essential", "time_zone": "Europe/Berlin"}
    done(chief.put("/api/operator", json=european, headers={"If-Match": '"1"'}))
    done(act(client, number, "facts", {"facts": {"nis2_significant": True}, "reason": "x"}, "PUT"))
    running = {rule: each["due_at"] is not None for rule, each in reports(client, number).items() if each["state"] == "pending"}
    assert running == {"nis2-early-warning": True, "nis2-notification": True, "nis2-final": False}
    identity = reports(client, number)["nis2-notification"]["id"]
    done(step(client, identity, "draft", {"contents": {"severity": "high"}}, "PUT"))
    done(step(chief, identity, "approve", {"note": "x"}))
    done(step(client, identity, "submit", {"channel": "portal", "note": "x"}))
    resolve(client, number)
    final = reports(client, number)["nis2-final"]
    assert final["started_at"] == client.get(f"/api/obligations/{identity}").json()["submitted_at"]
    assert 27 * 24 * HOUR < parse(final["due_at"]) - parse(final["started_at"]) <= 31 * 24 * HOUR + HOUR


def test_what_was_said_of_an_operator_by_an_earlier_version_still_holds_and_more_can_be_said(system_running: Running) -> None:
    chief = system_running.signed_in("administrator", name="wu")
    done(chief.put("/api/operator", json=OPERATOR, headers={"If-Match": '"0"'}))
    with system_running.services.database.write() as session:
        stored = session.scalars(sa.select(SiteOperator)).one()
        stored.content = {key: value for key, value in stored.content.items() if key in OPERATOR or key in {"china", "time_zone"}}
    before = chief.get("/api/operator").json()
    assert (before["state_body"], before["served"], before["industrial"]) == (False, False, True)
    number = declare(chief, **PHONE)["number"]
    done(act(chief, number, "facts", {"facts": {"control_disturbed": True}, "reason": "x"}, "PUT"))
    assert reports(chief, number)["miit-ics-first"]["at_once"] is True
    said = OPERATOR | {"state_body": True, "served": True, "industrial": False}
    done(chief.put("/api/operator", json=said, headers={"If-Match": '"1"'}))
    grade(chief, number, 3)
    states = {rule: each["state"] for rule, each in reports(chief, number).items()}
    assert states == {
        "miit-ics-first": "lapsed", "cac-provider": "pending", "cac-first-state": "pending", "cac-final": "pending",
    }  # fmt: skip
    first = reports(chief, number)["cac-first-state"]
    assert parse(first["due_at"]) - parse(first["started_at"]) == 2 * HOUR


def test_whom_a_report_goes_to_and_which_are_asked_for_follow_from_the_sector(system_running: Running) -> None:
    chief = system_running.signed_in("administrator", name="wu")
    number = declare(chief, **PHONE)["number"]
    done(act(chief, number, "facts", {"facts": {"public_internet_disturbed": True}, "reason": "x"}, "PUT"))
    grade(chief, number, 3, scheme="miit-data-2024")
    told: dict[str | None, tuple[str, bool]] = {}
    for version, sector in enumerate((None, "steel", "telecom", "power")):
        done(chief.put("/api/operator", json=OPERATOR | {"sector": sector}, headers={"If-Match": f'"{version}"'}))
        found = reports(chief, number)
        is_asked = "miit-public-first" in found and found["miit-public-first"]["state"] == "pending"
        told[sector] = (found["miit-first"]["to"].removeprefix("Local regulator of the industry: the "), is_asked)
    department = "provincial department of industry and information technology"
    anyone = f"{department}, communications administration or radio office"
    assert told == {
        None: (anyone, True),
        "steel": (department, False),
        "telecom": (f"provincial communications administration; of industrial data the {department}", True),
        "power": (anyone, False),
    }
    done(chief.put("/api/operator", json=OPERATOR | {"sector": "steel"}, headers={"If-Match": '"4"'}))
    identity = reports(chief, number)["miit-first"]["id"]
    query = {"format": "docx", "language": "zh-CN"}
    document = chief.get(f"/api/obligations/{identity}/document", params=query).content
    cells = [cell.text for table in Document(io.BytesIO(document)).tables for row in table.rows for cell in row.cells]
    assert "地方行业监管部门（省级工业和信息化主管部门）" in cells
    said = chief.get("/api/operator", headers={"Accept-Language": "zh-CN"}).json()
    assert (said["sector"], said["sector_name"]) == ("steel", "钢铁")
    unknown = OPERATOR | {"sector": "circus"}
    assert refused(chief.put("/api/operator", json=unknown, headers={"If-Match": '"5"'})) == "input_invalid"
    sectors = done(chief.get("/api/operator/vocabulary", headers={"Accept-Language": "zh-CN"}))["sectors"]
    assert [each["name"] for each in sectors if each["key"] == "steel"] == ["钢铁"]
    # Each that can be chosen can be said.
    assert {each["key"] for each in sectors} == set(get_args(rules.Sector))


def test_an_approved_report_keeps_whom_it_goes_to_and_one_that_is_not_is_another_version(system_running: Running) -> None:
    chief, lin = system_running.signed_in("administrator", name="wu"), system_running.signed_in("responder", name="lin")
    number = declare(lin, **PHONE)["number"]
    grade(lin, number, 3, scheme="miit-data-2024")
    done(chief.put("/api/operator", json=OPERATOR | {"sector": "steel"}, headers={"If-Match": '"0"'}))
    identity = reports(lin, number)["miit-first"]["id"]
    done(step(lin, identity, "draft", {"contents": SAID}, "PUT"))
    drafted = lin.get(f"/api/obligations/{identity}")
    done(chief.put("/api/operator", json=OPERATOR | {"sector": "telecom"}, headers={"If-Match": '"1"'}))
    path = f"/api/obligations/{identity}/approve"
    late = chief.post(path, json={"note": "x"}, headers={"If-Match": drafted.headers["ETag"]})
    assert refused(late) == "precondition_failed", "it goes to another one now"
    done(step(chief, identity, "approve", {"note": "x"}))
    to = reports(lin, number)["miit-first"]["to"]
    assert "the provincial communications administration" in to
    version = reports(lin, number)["miit-first"]["version"]
    done(chief.put("/api/operator", json=OPERATOR | {"sector": "steel"}, headers={"If-Match": '"2"'}))
    kept = reports(lin, number)["miit-first"]
    assert (kept["to"], kept["version"]) == (to, version)
    done(step(lin, identity, "draft", {"contents": SAID | {"trend": "none"}}, "PUT"))
    assert "communications" not in reports(lin, number)["miit-first"]["to"]


def test_a_grade_decided_otherwise_lets_reports_lapse_and_brings_them_back(system_running: Running) -> None:
    client = system_running.signed_in("responder", name="lin")
    number = declare(client, **PHONE)["number"]
    grade(client, number, 2)
    identity = reports(client, number)["cac-first"]["id"]
    done(step(client, identity, "draft", {"contents": SAID}, "PUT"))
    grade(client, number, 4)
    assert {each["state"] for each in reports(client, number).values()} == {"lapsed"}
    assert tick(system_running.services, now() + 100 * HOUR) == 0
    grade(client, number, 3)
    found = reports(client, number)
    assert (found["cac-first"]["id"], found["cac-first"]["state"], found["cac-final"]["state"]) == (
        identity,
        "drafted",
        "pending",
    )
    assert client.get(f"/api/obligations/{identity}").json()["contents"][0]["text"] == SAID["entity"]
    assert refused(step(client, identity, "draft", {"contents": {"entity": "a\x01"}}, "PUT")) == "input_invalid"


def warned(client: httpx.Client, number: int) -> list[tuple[str, int]]:
    told = [line["detail"] for line in lines(client, number) if line["kind"] == "obligation_warned"]
    return [(each["rule"], each["share"]) for each in told]


def test_warnings_are_given_once_over_clock_jumps_and_restarts(system_running: Running) -> None:
    client = system_running.signed_in("responder", name="lin")
    shown = declare(client, **PHONE)
    number = shown["number"]
    grade(client, number, 3)
    start, services = parse(shown["discovered_at"]), system_running.services
    looks: list[tuple[int, list[int]]] = [
        (0, []),
        (2 * HOUR - 1, []),
        (2 * HOUR, [50]),
        (HOUR, []),
        (3 * HOUR, []),
        (5 * HOUR, [80, 100]),
        (0, []),
        (9 * HOUR, []),
    ]
    said: list[int] = []
    for passed, new in looks:
        assert tick(services, start + passed) == len(new)
        said += new
        assert [share for _, share in warned(client, number)] == said
    first = reports(client, number)["cac-first"]
    assert first["warned"] == [50, 80, 100]
    # Another process on the same database says nothing again.
    settings = services.settings
    other = Database.of(Settings(data=settings.data, database=settings.database))
    with other.write() as session:
        assert service.due(session, start + 50 * HOUR) == []
        assert service.warn(session, first["id"], start + 50 * HOUR) == 0
    other.close()
    # The clock of the closing report starts when the incident is resolved, and stops when it is opened again.
    for to in ("analysing", "monitoring"):
        done(act(client, number, "move", {"to": to, "reason": "x"}))
    final = reports(client, number)["cac-final"]
    assert parse(final["due_at"]) - parse(final["started_at"]) == 30 * 24 * HOUR
    # What was warned of by a clock that was hours ahead of what it is now counts for nothing, and is warned of again.
    assert tick(services, parse(final["started_at"]) + 15 * 24 * HOUR) == 1 + 3
    done(act(client, number, "move", {"to": "containing", "reason": "it goes on"}))
    assert reports(client, number)["cac-final"]["due_at"] is None
    assert tick(services, start + 100 * 24 * HOUR) == 3
    for to in ("recovering", "monitoring"):
        done(act(client, number, "move", {"to": to, "reason": "x"}))
    again = reports(client, number)["cac-final"]
    assert (again["warned"], parse(again["started_at"]) > parse(final["started_at"])) == ([], True)
    with services.database.write() as session:
        service.tell_clock_set(session, -3600)
    assert lines(client, number)[-1]["text"] == "The clock of the server was set by -3600 s"


def test_reports_that_are_not_made_stand_against_closing(system_running: Running) -> None:
    client = system_running.signed_in("responder", name="lin")
    number = declare(client, **PHONE)["number"]
    grade(client, number, 3)
    answer = act(client, number, "close", CLOSE)
    assert refused(answer) == "incident_gate"
    title = rule_set().rule("cac-first").name("en")
    assert f"{title} (pending)" in answer.json()["detail"]
    in_chinese = client.post(f"/api/incidents/{number}/close?language=zh-CN", json=CLOSE, headers=ANY).json()["detail"]
    assert f"{rule_set().rule('cac-first').name('zh-CN')}（待撰写）；" in in_chinese
    assert "pending" not in in_chinese
    override = CLOSE | {"override": "The authority took it by phone."}
    assert refused(act(client, number, "close", override)) == "forbidden"
    done(act(system_running.signed_in("administrator"), number, "close", override))
    (line,) = [line for line in lines(client, number) if line["kind"] == "gate_overridden"]
    assert (line["note"], [each["state"] for each in line["detail"]["open"]]) == (
        "The authority took it by phone.",
        ["pending", "pending"],
    )
    assert title in line["text"]
    (line,) = [line for line in lines(client, number, "zh-CN") if line["kind"] == "gate_overridden"]
    assert f"{rule_set().rule('cac-final').name('zh-CN')}（待撰写）" in line["text"]


def test_supplements_are_a_series_and_a_merge_keeps_all_reports(system_running: Running) -> None:
    client = system_running.signed_in("responder", name="lin")
    kept, gone = (declare(client, **PHONE | {"discovered_at": when})["number"] for when in ("-1h", "-2h"))
    body = {"rule": "cac-supplement", "reason": "path known"}
    assert refused(client.post(f"/api/incidents/{kept}/obligations", json=body)) == "rule_unfit"
    for number in (kept, gone):
        grade(client, number, 3)
    assert refused(client.post(f"/api/incidents/{kept}/obligations", json={**body, "rule": "cac-first"})) == "rule_unfit"
    added = [done(client.post(f"/api/incidents/{kept}/obligations", json=body), 201) for _ in range(2)]
    assert [(each["kind"], each["due_at"]) for each in added] == [("supplement", None)] * 2
    before = {each["id"] for number in (kept, gone) for each in client.get(f"/api/incidents/{number}/obligations").json()}
    early = client.get(f"/api/incidents/{gone}").json()["discovered_at"]
    done(act(client, kept, "merge", {"other": gone, "reason": "same"}))
    after = client.get(f"/api/incidents/{kept}/obligations").json()
    assert {each["id"] for each in after} == before
    assert {each["started_at"] for each in after if each["rule"] == "cac-first"} == {early}
    assert "obligation_made" in kinds(client, kept)
    page = client.get("/api/obligations", params={"state": "pending", "limit": 3}).json()
    rest = client.get("/api/obligations", params={"state": "pending", "limit": 3, "cursor": page["next"]}).json()
    assert [len(page["items"]), len(rest["items"])] == [3, 3]
    assert [each["due_at"] is None for each in (*page["items"], *rest["items"])] == [False] * 2 + [True] * 4
    due = client.get("/api/obligations", params={"due_before": "2100-01-01T00:00:00Z"}).json()["items"]
    assert {each["rule"] for each in due} == {"cac-first"}


def test_clocks_go_on_where_they_stood_when_the_system_is_started_again(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data", port=0)
    start = now() - 3 * HOUR
    with system.opened(settings) as services, services.database.write() as session:
        actor = service.audit.Actor("lin")
        incident = made(session, actor, Start("Dosing", "", start))
        incident.grades = {"cac-2025": 3}
        service.sync(session, incident, actor)
    for expected in (1, 0):
        with system.opened(settings) as services:
            assert tick(services) == expected, "half of four hours is over"


def test_what_was_warned_of_by_a_wrong_clock_is_warned_of_again_when_its_time_comes(system_running: Running) -> None:
    client = system_running.signed_in("responder", name="lin")
    shown = declare(client, **PHONE)
    number, start, services = shown["number"], parse(shown["discovered_at"]), system_running.services
    grade(client, number, 3)
    soon = {"title": "Look", "due_at": iso(start + HOUR)}
    task = done(client.post(f"/api/incidents/{number}/tasks", json=soon), 201)["id"]
    looks = Looks(services)
    assert (looks.look(start + 240 * HOUR), reports(client, number)["cac-first"]["warned"]) == (4, [50, 80, 100])
    assert looks.take_back(start + 240 * HOUR) == 0, "by that clock all of them were right"
    assert (looks.take_back(start + 3 * HOUR), looks.take_back(start + 3 * HOUR)) == (2, 0)
    assert reports(client, number)["cac-first"]["warned"] == [50], "half of four hours is over by the right one"
    assert (looks.take_back(start), looks.look(start)) == (2, 0)
    assert [looks.look(start + passed * HOUR) for passed in (1, 2, 3, 4, 5)] == [1, 1, 0, 2, 0]
    assert [share for _, share in warned(client, number)] == [50, 80, 100, 50, 80, 100]
    told = [line["text"] for line in lines(client, number) if line["kind"] == "obligation_unwarned"]
    assert told[0] == "Told too early that 80, 100 % of the time is over; told again when it is: First report"
    assert kinds(client, number).count("task_overdue") == 2
    assert client.get(f"/api/tasks/{task}").json()["state"] == "open"


def test_another_discovery_is_warned_of_from_the_first(system_running: Running) -> None:
    client = system_running.signed_in("responder", name="lin")
    number = declare(client, **PHONE | {"discovered_at": "-5h"})["number"]
    grade(client, number, 3)
    assert tick(system_running.services) == 3
    said = client.get(f"/api/incidents/{number}").json()
    kept = {name: said[name] for name in ("title", "summary", "category", "lead", "occurred_at")}
    for hours, left in ((3, [50]), (0, [])):
        done(act(client, number, "", {**kept, "discovered_at": f"-{hours}h", "reason": "the log says so"}, "PUT"))
        assert reports(client, number)["cac-first"]["warned"] == left
    assert tick(system_running.services) == 0
    assert tick(system_running.services, now() + 2 * HOUR) == 1


def test_a_server_takes_back_at_its_start_what_a_wrong_clock_has_told(system_running: Running) -> None:
    client = system_running.signed_in("responder", name="lin")
    number = declare(client, **PHONE)["number"]
    grade(client, number, 3)
    assert tick(system_running.services, now() + 240 * HOUR) == 3
    with ticking(system_running.services, 0.01):
        until(lambda: reports(client, number)["cac-first"]["warned"] == [])


DAY = 24 * HOUR
FINAL = ("severity", "root_cause", "mitigation")
PROGRESS = ("severity", "mitigation")
EUROPEAN = OPERATOR | {"china": False, "data_processor": False, "nis2": "essential", "time_zone": "Europe/Berlin"}


def notified(running: Running, days: int) -> tuple[int, str]:
    """An incident of an essential entity whose notification was submitted so many days ago, and when that was."""
    client, chief = running.signed_in("responder", name="lin"), running.signed_in("administrator", name="wu")
    done(chief.put("/api/operator", json=EUROPEAN, headers={"If-Match": '"0"'}))
    number = declare(client, **PHONE | {"discovered_at": f"-{days + 2}d"})["number"]
    done(act(client, number, "facts", {"facts": {"nis2_significant": True}, "reason": "x"}, "PUT"))
    assert "nis2-progress" not in reports(client, number), "nothing would be due yet"
    sent = make(running, reports(client, number)["nis2-notification"]["id"], ("severity",), f"-{days}d")
    return number, sent["submitted_at"]


def make(running: Running, identity: int, contents: tuple[str, ...], at: str | None = None) -> dict[str, Any]:
    client, chief = running.sign_in("lin"), running.sign_in("wu")
    done(step(client, identity, "draft", {"contents": dict.fromkeys(contents, "x")}, "PUT"))
    done(step(chief, identity, "approve", {"note": "x"}))
    told = {"channel": "portal", "note": "x"} | ({} if at is None else {"at": at, "before_approval": True})
    return done(step(client, identity, "submit", told))


def test_an_incident_that_goes_on_when_the_final_report_would_be_due_asks_for_a_progress_report_then(
    system_running: Running,
) -> None:
    number, submitted = notified(system_running, 40)
    client = system_running.sign_in("lin")
    found = reports(client, number)
    progress, final = found["nis2-progress"], found["nis2-final"]
    assert (progress["kind"], progress["clause"]) == ("progress", "Directive (EU) 2022/2555 (NIS2), Article 23(4)(e)")
    assert (progress["started_at"], progress["late"]) == (submitted, True)
    assert 28 * DAY - HOUR <= parse(progress["due_at"]) - parse(submitted) <= 31 * DAY + HOUR
    assert (final["state"], final["started_at"], final["due_at"]) == ("pending", None, None), "until it is over"
    assert "Progress report (pending)" in act(client, number, "close", CLOSE).json()["detail"], "it is overdue"
    make(system_running, progress["id"], PROGRESS)
    resolve(client, number)
    found = reports(client, number)
    assert (found["nis2-progress"]["state"], found["nis2-progress"]["late"]) == ("submitted", True)
    final, resolved = found["nis2-final"], client.get(f"/api/incidents/{number}").json()["resolved_at"]
    assert final["started_at"] == resolved
    assert 28 * DAY - HOUR <= parse(final["due_at"]) - parse(resolved) <= 31 * DAY + HOUR
    done(act(client, number, "move", {"to": "containing", "reason": "it is back"}))
    assert reports(client, number)["nis2-final"]["due_at"] is None
    for to in ("recovering", "monitoring"):
        done(act(client, number, "move", {"to": to, "reason": "x"}))
    again = reports(client, number)["nis2-final"]
    assert parse(again["started_at"]) > parse(final["started_at"])
    assert make(system_running, again["id"], FINAL)["late"] is False


def test_an_incident_that_is_over_in_time_asks_for_no_progress_report(system_running: Running) -> None:
    number, submitted = notified(system_running, 20)
    client = system_running.sign_in("lin")
    progress = reports(client, number)["nis2-progress"]
    assert (progress["state"], progress["started_at"], progress["late"]) == ("pending", submitted, False)
    tick(system_running.services, now() + 6 * DAY)
    said = reports(client, number)["nis2-progress"]["warned"]
    detail = act(client, number, "close", CLOSE).json()["detail"]
    assert (said, "Progress report" in detail, "Final report (pending)" in detail) == ([50, 80], False, True)
    resolve(client, number)
    found = reports(client, number)
    assert (found["nis2-progress"]["state"], found["nis2-final"]["started_at"]) == ("lapsed", submitted)
    assert found["nis2-final"]["due_at"] == progress["due_at"], "as if nobody had thought that it goes on"
    done(act(client, number, "move", {"to": "containing", "reason": "it is back"}))
    found = reports(client, number)
    assert (found["nis2-progress"]["state"], found["nis2-final"]["due_at"]) == ("pending", None)
    make(system_running, found["nis2-final"]["id"], FINAL)
    assert reports(client, number)["nis2-progress"]["state"] == "lapsed", "the final report tells all"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # Hours ago at which the notification of the incident that is kept and of the other one was submitted, before or after
        # the merge.
        ((50, 2), (None, None)),
        ((2, 50), (None, None)),
        ((None, None), (None, 3)),
        ((None, None), (4, None)),
        ((None, 5), (None, None)),
        ((None, 5), (6, None)),
        ((7, None), (None, None)),
    ],
)
@SQLITE_ONLY
def test_the_first_report_that_was_made_starts_the_next_clock_of_incidents_that_were_merged(
    system_running: Running, before: tuple[int | None, int | None], after: tuple[int | None, int | None]
) -> None:
    client, chief = system_running.signed_in("responder", name="lin"), system_running.signed_in("administrator")
    done(chief.put("/api/operator", json=EUROPEAN, headers={"If-Match": '"0"'}))
    numbers = [declare(client, **PHONE | {"discovered_at": "-60h"})["number"] for _ in range(2)]
    for number in numbers:
        done(act(client, number, "facts", {"facts": {"nis2_significant": True}, "reason": "x"}, "PUT"))
    first = [reports(client, number)["nis2-notification"]["id"] for number in numbers]
    for identity in first:
        done(step(client, identity, "draft", {"contents": {"severity": "high"}}, "PUT"))
        done(step(chief, identity, "approve", {"note": "x"}))
    submitted = list[str]()
    for identity, hours in (*zip(first, before, strict=True), (0, 0), *zip(first, after, strict=True)):
        if identity == 0:
            done(act(client, numbers[0], "merge", {"other": numbers[1], "reason": "same"}))
        elif hours is not None:
            sent = {"channel": "portal", "at": f"-{hours}h", "note": "x", "before_approval": True}
            if client.get(f"/api/obligations/{identity}").json()["state"] == "lapsed":
                assert refused(step(client, identity, "submit", sent)) == "obligation_state"
                continue
            submitted.append(done(step(client, identity, "submit", sent))["submitted_at"])
    every = client.get(f"/api/incidents/{numbers[0]}/obligations").json()
    waiting = [each for each in every if each["rule"] == "nis2-progress" and each["state"] == "pending"]
    assert {each["started_at"] for each in waiting} == {min(submitted)}, "nobody knows yet whether it goes on until then"
    resolve(client, numbers[0])
    every = client.get(f"/api/incidents/{numbers[0]}/obligations").json()
    assert {each["state"] for each in every if each["rule"] == "nis2-progress"} == {"lapsed"}
    finals = [each for each in every if each["rule"] == "nis2-final"]
    assert [each["started_at"] for each in finals] == [min(submitted)] * 2
    assert all(each["due_at"] is not None for each in finals)
    states = sorted(each["state"] for each in every if each["rule"] == "nis2-notification")
    assert states == (["submitted"] * 2 if len(submitted) == 2 else ["lapsed", "submitted"])
    if len(submitted) == 1:
        assert "obligation_covered" in kinds(client, numbers[0])
    chosen = finals[1]["id"]
    done(step(client, chosen, "draft", {"contents": dict.fromkeys(FINAL, "x")}, "PUT"))
    done(step(chief, chosen, "approve", {"note": "x"}))
    done(step(client, chosen, "submit", {"channel": "portal", "note": "x"}))
    every = client.get(f"/api/incidents/{numbers[0]}/obligations").json()
    assert sorted(each["state"] for each in every if each["rule"] == "nis2-final") == ["lapsed", "submitted"]
    grades_again = done(act(client, numbers[0], "facts", {"facts": {"nis2_significant": True}, "reason": "again"}, "PUT"))
    assert grades_again["number"] == numbers[0]
    assert sorted(each["state"] for each in every if each["rule"] == "nis2-final") == ["lapsed", "submitted"], "covered for good"


def test_the_clocks_of_a_grade_that_the_facts_propose_run_before_anybody_has_decided(system_running: Running) -> None:
    client, chief = system_running.signed_in("responder", name="lin"), system_running.signed_in("administrator")
    number = declare(client, **PHONE | {"discovered_at": "-3h"})["number"]
    assert reports(client, number) == {}
    done(act(client, number, "facts", {"facts": {"direct_loss_cny": 60_000_000}, "reason": "x"}, "PUT"))
    proposed = reports(client, number)["cac-first"]
    assert (proposed["state"], proposed["provisional"], proposed["assumed"]) == ("pending", True, True)
    tick(system_running.services)
    assert reports(client, number)["cac-first"]["warned"] == [50], "half of four hours is over, decided or not"
    (listed,) = [each for each in client.get("/api/obligations").json()["items"] if each["rule"] == "cac-first"]
    assert (listed["id"], listed["provisional"]) == (proposed["id"], True)
    grade(client, number, 4)
    assert reports(client, number)["cac-first"]["state"] == "lapsed"
    grade(client, number, 3)
    done(chief.put("/api/operator", json=OPERATOR, headers={"If-Match": '"0"'}))
    decided = reports(client, number)["cac-first"]
    assert (decided["id"], decided["state"], decided["provisional"], decided["assumed"]) == (
        proposed["id"], "pending", False, False,
    )  # fmt: skip


def test_what_the_operator_is_can_be_said_before_anything_was_heard_of_its_site(start: Callable[..., Running]) -> None:
    served = start()
    served.services.site = None  # as in a centre, which serves several
    chief = served.signed_in("administrator")
    said = done(chief.put("/api/operator", params={"site": "north"}, json=OPERATOR, headers={"If-Match": '"0"'}))
    assert (said["site"], said["version"]) == ("north", 1)
    assert done(chief.get("/api/operator", params={"site": "north"}))["name"] == OPERATOR["name"]


def test_the_sites_to_choose_from_are_those_that_the_caller_sees(start: Callable[..., Running]) -> None:
    served = start()
    served.services.site = None
    chief = served.signed_in("administrator")
    assert done(chief.get("/api/operator/vocabulary"))["sites"] == []
    with served.services.database.write() as session:
        for number, site in enumerate(("tanks", "pumps"), start=1):
            upserts.apply(session, [upsert(number)], site)
    assert done(chief.get("/api/operator/vocabulary"))["sites"] == ["pumps", "tanks"]
    limited = served.signed_in("viewer", sites=frozenset({"tanks"}))
    assert done(limited.get("/api/operator/vocabulary"))["sites"] == ["tanks"]
    served.services.site = "wells"
    assert done(chief.get("/api/operator/vocabulary"))["sites"] == ["pumps", "tanks", "wells"]


def newer(folder: Path) -> None:
    """Rules of a version to come: a regime is gone, and of another's rule the clock, the words and the minimum differ."""
    for each in rules.DATA.iterdir():
        if each.name.endswith(".json"):
            (folder / each.name).write_bytes(each.read_bytes())
    said = json.loads((folder / "rules.json").read_bytes())
    said["version"] = "2099.1.1"
    said["rules"] = [each for each in said["rules"] if each["regime"] != "miit-data-2024"]
    said["regimes"] = [each for each in said["regimes"] if each["key"] != "miit-data-2024"]
    (first,) = [each for each in said["rules"] if each["key"] == "cac-first"]
    first["term"]["amount"], first["en"], first["minimum"] = 10, "Another name", [*first["minimum"], "trend"]
    (folder / "rules.json").write_text(json.dumps(said))


def test_a_report_follows_the_rule_as_it_was_when_the_report_was_made(
    system_running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lin, wu = system_running.signed_in("responder", name="lin"), system_running.signed_in("administrator", name="wu")
    done(wu.put("/api/operator", json=OPERATOR, headers={"If-Match": "*"}))
    number = declare(lin, **PHONE)["number"]
    grade(lin, number, 3)
    grade(lin, number, 3, "miit-data-2024")
    before = reports(lin, number)
    assert {each["regime"] for each in before.values()} == {"cac-2025", "miit-data-2024"}
    folder = tmp_path / "rules"
    folder.mkdir()
    newer(folder)
    monkeypatch.setattr(rules, "DATA", folder)
    for each in (cached := (rules.rule_set, rules.kept, rules.made_under, rules.content_keys)):
        each.cache_clear()
    try:
        assert rules.rule_set().version == "2099.1.1"
        # Whatever happens to the incident now, its reports stay what they were, those under the rules that are gone, too.
        done(act(lin, number, "move", {"to": "analysing", "reason": "x"}))
        grade(lin, number, 2)
        after = reports(lin, number)
        same = ("title", "regime", "to", "channel", "clause", "note", "due_at", "state")
        assert {key: [each[name] for name in same] for key, each in before.items()} == {
            key: [after[key][name] for name in same] for key in before
        }
        for each in after.values():
            found = lin.get(f"/api/obligations/{each['id']}").json()
            assert found["rules_version"] != "2099.1.1", "made before"
            assert all(content["name"] for content in found["contents"])
            assert lin.get(f"/api/obligations/{each['id']}/document").status_code == 200
        assert lin.get(f"/api/incidents/{number}/summary").status_code == 200
        assert lin.get("/api/obligations").status_code == 200
        first = after["cac-first"]["id"]
        done(step(lin, first, "draft", {"contents": SAID}, "PUT"))
        assert done(step(wu, first, "approve", {"note": "read"}))["state"] == "approved", "as much as it had to say then"
        later = declare(lin, **PHONE)["number"]
        grade(lin, later, 3)
        made = reports(lin, later)
        assert set(made) == {"cac-first", "cac-final"}, "new ones follow the new rules"
        assert (made["cac-first"]["title"], lin.get(f"/api/obligations/{made['cac-first']['id']}").json()["rules_version"]) == (
            "Another name", "2099.1.1",
        )  # fmt: skip
    finally:
        for each in cached:
            each.cache_clear()


def test_every_version_of_the_rules_that_was_given_out_is_kept_as_it_was() -> None:
    newest = (rules.DATA / "rules.json").read_bytes()
    beside = rules.DATA / f"rules-{rules.rule_set().version}.json"
    assert beside.is_file(), "copy rules.json to rules-VERSION.json, and give rules that differ another version"
    assert beside.read_bytes() == newest
    for kept in rules.kept():
        assert (rules.DATA / f"rules-{kept.version}.json").is_file(), "the name of the file is its version"
        for rule in kept.rules:
            assert rules.made_under(kept.version, rule.key) == kept
            assert {rule.regime} <= {each.key for each in kept.regimes}
            assert set(rule.contents) <= set(rules.content_keys())
    assert rules.kept()[0] == rules.rule_set()
    assert rules.made_under("1999.1.1", "cac-first") == rules.rule_set(), "of a version that nobody knows"
    with pytest.raises(KeyError):
        rules.made_under(rules.rule_set().version, "none")
