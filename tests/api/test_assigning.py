"""Alerts that are given to somebody: to whom, by whom, many at once, and taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.alerts import upserts
from api.users import service as users
from tests.api.alerts import upsert
from tests.api.conftest import ANY
from tests.api.test_alerts import decide, ids
from tests.api.test_jobs import ended, made, results, working

if TYPE_CHECKING:
    from tests.api.conftest import Running

PATH = f"/api/alerts/{1:032x}"


def test_an_alert_is_given_to_who_may_decide_on_its_site_and_to_nobody_else(system_running: Running) -> None:
    with system_running.services.database.write() as session:
        upserts.apply(session, [upsert(1), upsert(2)], "north")
    lin = system_running.signed_in(name="lin")
    system_running.signed_in("engineer", "wang", frozenset({"north"}))
    system_running.signed_in("operator", "zhao", frozenset({"south"}))
    system_running.signed_in("viewer", "qian")
    system_running.signed_in("operator", "sun")
    with system_running.services.database.write() as session:
        session.scalars(users.sa.select(users.User).where(users.User.name == "sun")).one().disabled_at = 1
    assert lin.get(f"{PATH}/assignees").json() == ["lin", "wang"]
    for name in ("zhao", "qian", "sun", "nobody"):
        answer = decide(lin, 1, "assign", {"to": name, "note": "x"})
        assert (answer.status_code, answer.json()["code"]) == (422, "assignee_unfit"), name
    answer = decide(lin, 1, "assign", {"to": " Wang ", "note": "you know line 4"})
    assert answer.status_code == 200, answer.text
    triage = answer.json()["triage"]
    assert (triage["state"], triage["by"], triage["note"]) == ("triaging", "wang", "you know line 4")
    steps = [(step["kind"], step["actor"], step["other"]) for step in lin.get(f"{PATH}/history").json()]
    assert steps == [("raised", "system", None), ("acknowledged", "lin", None), ("assigned", "lin", "wang")]
    assert ids(lin.get("/api/alerts", params={"assignee": "wang"})) == [1]
    entries = system_running.signed_in("administrator").get("/api/audit", params={"action": "alert.assign"}).json()["items"]
    told = [(entry["actor"], entry["subject"], entry["detail"]) for entry in entries]
    assert told == [("lin", f"{1:032x}", {"before": "lin", "to": "wang", "note": "you know line 4"})]
    # What somebody saw before is told so; what is closed is nobody's.
    assert decide(lin, 1, "assign", {"to": "lin", "note": "x"}, '"1.0.en"').json()["code"] == "precondition_failed"
    assert lin.post(f"{PATH}/assign", json={"to": "lin", "note": "x"}).json()["code"] == "precondition_required"
    assert decide(lin, 1, "close", {"note": "x", "disposition": "false_positive"}).status_code == 200
    assert decide(lin, 1, "assign", {"to": "wang", "note": "x"}).json()["code"] == "alert_state"


def test_many_are_given_to_somebody_at_once_and_taken_back(system_running: Running) -> None:
    system_running.alerts(*(upsert(number) for number in range(1, 5)))
    client = system_running.signed_in(name="lin")
    system_running.signed_in(name="wang")
    assert decide(client, 2, "acknowledge", {"note": "mine"}).status_code == 200
    assert decide(client, 3, "close", {"note": "x", "disposition": "false_positive"}).status_code == 200
    before = [client.get(f"/api/alerts/{number:032x}").json()["triage"] for number in (1, 2)]
    assert client.post("/api/jobs", json={"action": "assign", "note": "x", "filter": {}}).status_code == 422
    assert client.post("/api/jobs", json={"action": "acknowledge", "to": "wang", "note": "x", "filter": {}}).status_code == 422
    with working(system_running.services):
        unfit = ended(client, made(client, action="assign", to="zhao", note="x", filter={}, dry_run=True)["number"])
        number = made(client, action="assign", to="wang", note="your line", filter={})["number"]
        job = ended(client, number)
        assert (unfit["refused"], job["to"], job["done"], job["refused"]) == (4, "wang", 3, 1)
        assert results(client, number) == {1: "done", 2: "done", 3: "alert_state", 4: "done"}
        assert sorted(ids(client.get("/api/alerts", params={"assignee": "wang"}))) == [1, 2, 4]
        ended(client, client.post(f"/api/jobs/{number}/undo", headers=ANY).json()["number"])
    for given, number in zip(before, (1, 2), strict=True):
        now = client.get(f"/api/alerts/{number:032x}").json()["triage"]
        assert {**now, "version": 0} == {**given, "version": 0}
