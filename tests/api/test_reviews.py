"""Reviews of closed incidents: written, signed by another person, with lessons that outlive the incident."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from api.times import parse
from tests.api.alerts import upsert
from tests.api.looks import tick
from tests.api.test_incidents import CLOSE, PHONE, act, declare, done, kinds, lines, refused
from tests.api.test_playbooks import step

if TYPE_CHECKING:
    import httpx

    from tests.api.conftest import Running

SAID = {"went_well": "Manual within two minutes.", "went_badly": "Nobody knew the station.", "participants": ["lin", "wu"]}
LESSON = {"title": "List the vendor's stations", "owner": "wu", "due_at": "2030-01-01T00:00:00Z"}


@pytest.fixture(autouse=True)
def _one_site(request: pytest.FixtureRequest) -> None:
    if "system_running" in request.fixturenames:
        system_running: Running = request.getfixturevalue("system_running")
        system_running.alerts(upsert(900, rule="posture"))


def review(client: httpx.Client, number: int, what: str, body: dict[str, Any], tag: str | None = None) -> httpx.Response:
    """Write or sign the review of an incident as it is now, or as an ETag says."""
    path = f"/api/incidents/{number}/review"
    headers = {"If-Match": tag or client.get(path).headers["ETag"]}
    if what:
        return client.post(f"{path}/{what}", json=body, headers=headers)
    return client.put(path, json=body, headers=headers)


def closed(client: httpx.Client) -> int:
    number = declare(client, **PHONE)["number"]
    done(act(client, number, "close", CLOSE))
    return number


def test_a_closed_incident_is_reviewed_and_signed_by_who_did_not_write(system_running: Running) -> None:
    lin, wu = (system_running.signed_in("responder", name=name) for name in ("lin", "wu"))
    number = declare(lin, **PHONE)["number"]
    assert refused(review(lin, number, "", SAID)) == "review_early"
    done(act(lin, number, "close", CLOSE))
    path = f"/api/incidents/{number}/review"
    assert refused(review(wu, number, "sign", {"note": "x"})) == "review_none"
    assert refused(lin.post(f"{path}/lessons", json=LESSON)) == "review_none"
    assert refused(lin.put(path, json=SAID)) == "precondition_required"
    written = review(lin, number, "", SAID, '"0"')
    assert (done(written)["writers"], written.headers["ETag"]) == (["lin"], '"1"')
    late = review(wu, number, "", SAID | {"cause": "A laptop."}, '"0"')
    assert (refused(late), "lin" in late.json()["detail"]) == ("precondition_failed", True)
    assert refused(review(lin, number, "sign", {"note": "x"})) == "signer_wrote"
    assert refused(lin.post(f"{path}/lessons", json=LESSON | {"owner": "wu.jnu"})) == "assignee_unfit"
    before = lin.get(path).headers["ETag"]
    lesson = done(lin.post(f"{path}/lessons", json=LESSON), 201)
    assert (lesson["phase"], lesson["owner"], lesson["mandatory"]) == ("closed", "wu", False)
    assert refused(review(wu, number, "sign", {"note": "x"}, before)) == "precondition_failed", "a lesson came in between"
    signed = done(review(wu, number, "sign", {"note": "as agreed"}))
    assert (signed["signed_by"], signed["went_badly"], signed["participants"]) == (
        "wu",
        "Nobody knew the station.",
        ["lin", "wu"],
    )
    assert [each["id"] for each in signed["lessons"]] == [lesson["id"]]
    assert signed["times"]["closed"] >= signed["times"]["declared"] >= 0
    for again in (review(lin, number, "", SAID), review(wu, number, "sign", {"note": "x"})):
        assert refused(again) == "review_signed"
    assert refused(lin.post(f"{path}/lessons", json=LESSON)) == "review_signed"
    assert kinds(lin, number)[-3:] == ["review_written", "lesson_added", "review_signed"]
    told = lines(lin, number, "zh-CN")[-2:]
    assert [line["text"] for line in told] == ["新增改进任务，由 wu 负责：List the vendor's stations", "复盘已签署，撰写人：lin"]
    audited = system_running.signed_in("administrator").get("/api/audit", params={"limit": 500}).json()["items"]
    assert {"incident.review_written", "incident.lesson_added", "incident.review_signed"} <= {each["action"] for each in audited}
    assert refused(review(system_running.signed_in("operator"), number, "sign", {"note": "x"})) == "forbidden"


def test_lessons_outlive_the_incident_and_its_review(system_running: Running) -> None:
    lin, wu = (system_running.signed_in("responder", name=name) for name in ("lin", "wu"))
    number = closed(lin)
    done(review(lin, number, "", SAID))
    lesson = done(lin.post(f"/api/incidents/{number}/review/lessons", json=LESSON), 201)
    done(review(wu, number, "sign", {"note": "as agreed"}))
    done(step(wu, lesson["id"], "move", {"to": "doing", "note": "begun"}))
    assert refused(step(wu, lesson["id"], "assignment", {"owner": None, "due_at": None}, "PUT")) == "lesson_unowned"
    later = {"owner": "chen", "due_at": "2031-01-01T00:00:00Z"}
    assert refused(step(wu, lesson["id"], "assignment", later, "PUT")) == "assignee_unfit"
    system_running.signed_in("engineer", "chen")
    assert done(step(wu, lesson["id"], "assignment", later, "PUT"))["owner"] == "chen"
    assert tick(system_running.services, parse("2031-01-01T00:00:00Z")) == 1
    assert kinds(lin, number)[-1] == "task_overdue"
    done(act(system_running.signed_in("administrator"), number, "reopen", {"reason": "it goes on"}))
    done(act(lin, number, "close", CLOSE))  # a lesson that is not done gates nothing
    asked = {"state": "open,doing", "lesson": "true", "owner": "chen", "due_before": "2031-06-01T00:00:00Z"}
    (found,) = lin.get("/api/tasks", params=asked).json()["items"]
    assert (found["id"], found["incident"]) == (lesson["id"], number)
    done(step(wu, lesson["id"], "move", {"to": "done", "note": "listed"}))
    assert lin.get("/api/tasks", params=asked).json()["items"] == []


def test_an_incident_that_was_opened_again_is_reviewed_again_and_the_first_review_stays(system_running: Running) -> None:
    lin, wu = (system_running.signed_in("responder", name=name) for name in ("lin", "wu"))
    number = closed(lin)
    done(review(lin, number, "", SAID))
    done(review(wu, number, "sign", {"note": "as agreed"}))
    done(act(system_running.signed_in("administrator"), number, "reopen", {"reason": "it goes on"}))
    assert refused(review(wu, number, "", SAID)) == "review_early"
    done(act(lin, number, "close", CLOSE))
    assert refused(review(lin, number, "sign", {"note": "x"})) == "review_none"
    done(review(wu, number, "", SAID))
    done(act(system_running.signed_in("administrator"), number, "reopen", {"reason": "and on"}))
    done(act(lin, number, "close", CLOSE))
    # What was written of one closing is not signed as what is said of the next.
    lesson = {"title": "x", "owner": "lin", "due_at": "2030-01-01T00:00:00Z"}
    assert refused(review(lin, number, "sign", {"note": "x"})) == "review_none"
    assert refused(lin.post(f"/api/incidents/{number}/review/lessons", json=lesson)) == "review_none"
    second = done(review(wu, number, "", SAID | {"cause": "The vendor's second laptop."}))
    assert (second["signed_by"], second["writers"], second["cause"]) == (None, ["wu"], "The vendor's second laptop.")
    assert [(each["signed_by"], each["cause"]) for each in second["earlier"]] == [("wu", "")]
    assert done(review(lin, number, "sign", {"note": "as agreed"}))["signed_by"] == "lin"


def test_tasks_of_all_incidents_come_in_pages_those_due_first_before_others(system_running: Running) -> None:
    client = system_running.signed_in("responder", name="lin")
    for title, due in (("late", "2031-01-01T00:00:00Z"), ("none", None), ("soon", "2029-01-01T00:00:00Z")):
        number = declare(client, **PHONE)["number"]
        done(client.post(f"/api/incidents/{number}/tasks", json={"title": title, "due_at": due}), 201)
    found, cursor = list[str](), None
    while True:
        page = client.get("/api/tasks", params={"limit": 1, **({} if cursor is None else {"cursor": cursor})}).json()
        found += [each["title"] for each in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert found == ["soon", "late", "none"]
    site = client.get("/api/incidents").json()["items"][0]["site"]
    elsewhere = system_running.signed_in("viewer", sites=frozenset({f"not {site}"}))
    assert elsewhere.get("/api/tasks").json()["items"] == []
