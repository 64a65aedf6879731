"""What an authority is told: of incidents what was reported, and nothing of what the plant works on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from api.security.permissions import REGULATORS, Role
from tests.api.alerts import upsert
from tests.api.conftest import both_back_ends
from tests.api.test_incidents import PHONE, act, declare, done, refused
from tests.api.test_live import listening
from tests.api.test_obligations import SAID, grade, reports, step

if TYPE_CHECKING:
    import httpx

    from tests.api.conftest import Running

SECRET = "only the shift knows this"
"""In all that a plant writes beside what it reports."""

INNER = (
    "", "/timeline", "/grading", "/grades", "/obligations", "/tasks", "/playbooks", "/actions", "/evidence", "/review",
    "/summary",
)  # fmt: skip
"""What belongs to an incident, behind its path."""


@pytest.fixture
def plant(system_running: Running) -> tuple[httpx.Client, httpx.Client]:
    """Who writes reports, and who approves them."""
    system_running.alerts(upsert(900, rule="posture"))
    return system_running.signed_in("responder", name="lin"), system_running.signed_in("administrator", name="wu")


def declared(lin: httpx.Client, **fields: Any) -> tuple[int, int]:
    """An incident of grade III, and its first report."""
    number = declare(lin, **PHONE | {"discovered_at": "-1h", "summary": SECRET, "lead": SECRET} | fields)["number"]
    done(act(lin, number, "facts", {"facts": {"cii_total_outage_minutes": 12}, "reason": SECRET}, "PUT"))
    grade(lin, number, 3)
    line = {"at": "-1m", "text": SECRET, "source": "y"}
    done(lin.post(f"/api/incidents/{number}/timeline", json=line), 201)
    return number, reports(lin, number)["cac-first"]["id"]


def approved(plant: tuple[httpx.Client, httpx.Client], identity: int) -> None:
    lin, wu = plant
    done(step(lin, identity, "draft", {"contents": SAID}, "PUT"))
    done(step(wu, identity, "approve", {"note": "read"}))


def submitted(plant: tuple[httpx.Client, httpx.Client], identity: int, document: str | None = None) -> None:
    approved(plant, identity)
    done(step(plant[0], identity, "submit", {"channel": "12387", "note": "x", "document": document}))


def told(client: httpx.Client, **asked: Any) -> list[int]:
    return [each["number"] for each in done(client.get("/api/told/incidents", params=asked))["items"]]


@both_back_ends
@pytest.mark.parametrize("role", sorted(REGULATORS))
def test_an_incident_is_told_from_its_first_submitted_report_on_and_a_drill_never(
    system_running: Running, plant: tuple[httpx.Client, httpx.Client], role: Role
) -> None:
    lin, _ = plant
    authority = system_running.signed_in(role)
    number, identity = declared(lin)
    practised, exercise = declared(lin, drill=True)
    path, report = f"/api/told/incidents/{number}", f"/api/told/reports/{identity}"

    def unknown() -> None:
        assert told(authority) == []
        assert (authority.get(path).status_code, refused(authority.get(path))) == (404, "incident_unknown")
        assert (authority.get(report).status_code, refused(authority.get(report))) == (404, "obligation_unknown")
        assert refused(authority.get(f"{report}/document")) == "obligation_unknown"

    unknown()
    approved(plant, identity)
    unknown()
    submitted(plant, exercise)
    unknown()
    assert refused(authority.get(f"/api/told/incidents/{practised}")) == "incident_unknown"
    assert refused(authority.get(f"/api/told/reports/{exercise}")) == "obligation_unknown"
    done(step(lin, identity, "submit", {"channel": "12387", "note": "x"}))
    assert told(authority) == [number]
    (shown,) = done(authority.get(path))["reports"]
    assert (shown["id"], shown["state"], shown["late"]) == (identity, "submitted", False)
    says = done(authority.get(report))
    assert {each["key"]: each["text"] for each in says["contents"] if each["text"]} == SAID
    assert refused(authority.get(f"{report}/document")) == "document_none"
    done(step(lin, identity, "acknowledge", {"receipt": "GD-7", "note": "x"}))
    assert done(authority.get(report))["receipt"] == "GD-7"


def test_an_authority_reads_nothing_that_the_plant_works_on(
    system_running: Running, plant: tuple[httpx.Client, httpx.Client]
) -> None:
    lin, _ = plant
    number, identity = declared(lin)
    submitted(plant, identity)
    other = reports(lin, number)["cac-final"]["id"]
    done(step(lin, other, "draft", {"contents": {"lessons": SECRET}}, "PUT"))
    authority = system_running.signed_in("city_regulator")
    shown = authority.get(f"/api/told/incidents/{number}")
    assert set(done(shown)) == {
        "number", "site", "title", "state", "category", "category_name", "grade", "grades", "discovered_at", "declared_at",
        "closed_at", "merged_into", "reports",
    }  # fmt: skip
    assert (shown.json()["title"], shown.json()["grades"]) == (PHONE["title"], {"cac-2025": 3})
    assert [each["id"] for each in shown.json()["reports"]] == [identity]
    assert refused(authority.get(f"/api/told/reports/{other}")) == "obligation_unknown"
    for path in ("/api/told/incidents", f"/api/told/incidents/{number}", f"/api/told/reports/{identity}"):
        answer = authority.get(path)
        for hidden in (SECRET, "cii_total_outage_minutes", '"lin"', '"wu"'):
            assert hidden not in answer.text, (path, hidden)
    for path in (
        *(f"/api/incidents/{number}{inner}" for inner in INNER), "/api/incidents", "/api/incidents/figures", "/api/obligations",
        f"/api/obligations/{identity}", f"/api/obligations/{identity}/document", f"/api/obligations/{identity}/documents",
        "/api/report-templates", "/api/operator", "/api/drills", "/api/tasks",
    ):  # fmt: skip
        assert (authority.get(path).status_code, refused(authority.get(path))) == (403, "forbidden"), path
    for asked in ({"lead": SECRET}, {"held": True}, {"drill": True}, {"sort": "updated_at"}):
        assert refused(authority.get("/api/told/incidents", params=asked)) == "input_invalid", "what is not shown is no question"
    assert told(authority, grade="3") == told(authority, state="!closed") == [number]
    assert told(authority, grade="!3") == told(authority, state="closed") == []
    assert (lin.get("/api/told/incidents").status_code, lin.get("/api/incidents").status_code) == (403, 200)


@pytest.mark.parametrize("sent", ["zh-CN", "en"])
def test_the_document_that_was_sent_is_told_as_it_was_sent_and_no_other(
    system_running: Running, plant: tuple[httpx.Client, httpx.Client], sent: str
) -> None:
    lin, _ = plant
    number, identity = declared(lin)
    approved(plant, identity)
    taken = {
        language: lin.get(f"/api/obligations/{identity}/document", params={"language": language}) for language in ("zh-CN", "en")
    }
    digest = taken[sent].headers["X-Content-SHA256"]
    done(step(lin, identity, "submit", {"channel": "12387", "note": "x", "document": digest}))
    done(act(lin, number, "", {**update(lin, number), "title": "Known better now", "reason": "x"}, "PUT"))
    authority = system_running.signed_in("province_regulator", name="province")
    assert done(authority.get(f"/api/told/reports/{identity}"))["document"] == digest
    answer = authority.get(f"/api/told/reports/{identity}/document")
    assert (answer.status_code, answer.content) == (200, taken[sent].content)
    assert answer.headers["X-Content-SHA256"] == digest
    trail = system_running.signed_in("auditor").get("/api/audit", params={"limit": 500}).json()["items"]
    read = [(each["action"], each["detail"].get("sha256")) for each in trail if each["actor"] == "province"]
    assert ("report.take", digest) in read


def update(lin: httpx.Client, number: int) -> dict[str, Any]:
    """What of an incident can be said otherwise, as it is."""
    shown = lin.get(f"/api/incidents/{number}").json()
    return {name: shown[name] for name in ("summary", "category", "lead", "discovered_at", "occurred_at")}


@both_back_ends
def test_what_tells_a_reported_incident_is_told_too(system_running: Running, plant: tuple[httpx.Client, httpx.Client]) -> None:
    lin, _ = plant
    authority = system_running.signed_in("city_regulator")
    (first, identity), (second, _), (third, _), (fourth, _) = (declared(lin) for _ in range(4))
    submitted(plant, identity)
    assert told(authority) == [first]
    for teller, other in ((second, first), (third, second)):
        done(act(lin, teller, "merge", {"other": other, "reason": "the same"}))
    assert sorted(told(authority)) == [first, second, third], f"and not {fourth}"
    assert done(authority.get(f"/api/told/incidents/{first}"))["merged_into"] == second
    assert [each["id"] for each in done(authority.get(f"/api/told/incidents/{third}"))["reports"]] == [identity]


def test_pages_of_what_is_told_hold_nothing_else(system_running: Running, plant: tuple[httpx.Client, httpx.Client]) -> None:
    lin, _ = plant
    numbers: list[int] = []
    for _ in range(3):
        declared(lin)
        number, identity = declared(lin)
        submitted(plant, identity)
        numbers.append(number)
    authority = system_running.signed_in("city_regulator")
    found: list[int] = []
    cursor: dict[str, str] = {}
    for _ in numbers:
        page = done(authority.get("/api/told/incidents", params={"limit": 1, "sort": "declared_at", **cursor}))
        found += [each["number"] for each in page["items"]]
        cursor = {"cursor": page["next"]}
    assert (found, cursor) == (numbers, {"cursor": None})


@both_back_ends
def test_an_authority_hears_of_an_incident_once_it_is_told_of_it(
    system_running: Running, plant: tuple[httpx.Client, httpx.Client]
) -> None:
    """As it happens, and after a break; with one who hears of all beside it."""
    lin, _ = plant
    authority = system_running.signed_in("city_regulator")
    with listening(lin) as all_of_it, listening(authority) as stream:
        assert next(all_of_it)[0] == "hello"
        name, last, _ = next(stream)
        assert name == "hello"
        hidden, _ = declared(lin)
        number, identity = declared(lin)
        assert next(each for each in all_of_it if each[0] == "incidents")[2]["numbers"][0] == hidden
        submitted(plant, identity)
        assert next(stream)[2] == {"numbers": [number]}
    with listening(authority, last=last) as stream:
        assert next(stream)[0] == "hello"
        assert next(stream)[2] == {"numbers": [number]}
