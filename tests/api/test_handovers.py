"""Handover notes of shifts: what they tell, who writes and who takes over, and that nothing of them changes afterwards."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from api.alerts import upserts
from api.handovers import service
from api.handovers.models import Handover
from api.times import NANOSECONDS, now, parse
from tests.api.test_actions import body as action
from tests.api.test_actions import step
from tests.api.test_alerts import decide
from tests.api.test_exceptions import MADE
from tests.api.test_incidents import PHONE, act, declare, done, refused
from tests.api.test_situation import told, with_story
from tests.api.test_windows import window

if TYPE_CHECKING:
    import httpx

    from tests.api.conftest import Running

HOUR = 3_600 * NANOSECONDS


def later(**delta: int) -> str:
    return (datetime.now(UTC) + timedelta(**delta)).strftime("%Y-%m-%dT%H:%M:%SZ")


def change(client: httpx.Client, identity: int, what: str, body: dict[str, Any] | None = None, tag: str = "") -> httpx.Response:
    """Change a note as it is now, or as an ETag says."""
    path = f"/api/handovers/{identity}"
    headers = {"If-Match": tag or client.get(path).headers["ETag"]}
    return client.post(f"{path}/{what}", json=body, headers=headers) if what else client.put(path, json=body, headers=headers)


def begin(client: httpx.Client, **said: Any) -> dict[str, Any]:
    answer = client.post("/api/handovers", json=said)
    assert answer.headers.get("Location", "").startswith("/api/handovers/"), answer.text
    return done(answer, 201)


def test_a_note_tells_what_is_open_and_is_as_it_was_when_it_was_handed_over(system_running: Running) -> None:
    lin, wu = (system_running.signed_in(name=name) for name in ("lin", "wu"))
    responder = system_running.signed_in("responder", name="chen")
    system_running.alerts(with_story(1, 2, rank=90.0), told(2, rank=80.0, severity="medium"))
    number = declare(responder, **PHONE)["number"]
    done(act(responder, number, "grade", {"scheme": "cac-2025", "level": 3, "reason": "x"}))
    done(act(responder, number, "hold", {"until": later(hours=3), "reason": "The vendor answers."}))
    for title, due in (("soon", later(hours=2)), ("overdue", "-1h"), ("next week", later(days=7)), ("some day", None)):
        done(responder.post(f"/api/incidents/{number}/tasks", json={"title": title, "due_at": due}), 201)
    for name, days in (("night", 0), ("long", 30)):
        made = {**MADE, "name": name, "end": later(days=days, hours=5)}
        assert responder.post("/api/exceptions", json=made).status_code == 201
    system_running.take_up()
    note = begin(lin, remarks="Line 4 by hand.")
    assert (note["state"], note["remarks"], note["site"], note["changed_by"]) == ("draft", "Line 4 by hand.", None, "lin")
    content = note["content"]
    assert (content["standing"], content["furthest"]) == ("attacked", "Impair Process Control")
    assert [story["sentence"] for story in content["stories"]] == ["First this, then that."]
    assert [alert["id"] for alert in content["alerts"]] == [f"{1:032x}", f"{2:032x}"]
    (incident,) = content["incidents"]
    assert (incident["number"], incident["grade"], incident["on_hold"]) == (number, 3, True)
    assert {clock["kind"] for clock in incident["clocks"]} >= {"first"}
    assert [(task["title"], task["overdue"]) for task in content["tasks"]] == [("overdue", True), ("soon", False)]
    assert [(end["kind"], end["name"]) for end in content["ends"]] == [("hold", str(number)), ("suppress", "night")]
    assert content["blindness"]["readable"]
    assert (content["changes"]["raised"], content["changes"]["incidents_declared"], content["limited"]) == (2, 1, False)
    chinese = lin.get(f"/api/handovers/{note['id']}", params={"language": "zh-CN"}).json()["content"]
    assert (chinese["stories"][0]["sentence"], chinese["alerts"][0]["title"]) == ("先此后彼。", "告警 1")
    decide(responder, 2, "close", {"disposition": "false_positive", "note": "x"})
    handed = done(change(lin, note["id"], "hand-over"))
    assert [alert["id"] for alert in handed["content"]["alerts"]] == [f"{1:032x}"], "as it is when it is handed over"
    assert (handed["state"], handed["handed_by"], handed["at"]) == ("handed_over", "lin", handed["handed_at"])
    decide(responder, 1, "close", {"disposition": "false_positive", "note": "x"})
    for answer in (change(lin, note["id"], "", {"remarks": "other"}), change(lin, note["id"], "hand-over")):
        assert refused(answer) == "handover_state"
    assert refused(change(lin, note["id"], "take-over", {"note": "mine"})) == "handover_own"
    taken = done(change(wu, note["id"], "take-over", {"note": "I have line 4."}))
    assert (taken["state"], taken["taken_by"], taken["taken_note"]) == ("taken_over", "wu", "I have line 4.")
    assert taken["taken_at"] >= taken["handed_at"]
    assert taken["content"] == handed["content"]
    assert refused(change(wu, note["id"], "take-over", {"note": "again"})) == "handover_state"
    audited = system_running.signed_in("administrator").get("/api/audit", params={"limit": 500}).json()["items"]
    told_of = {each["action"]: each["detail"] for each in audited if each["action"].startswith("handover.")}
    assert told_of.keys() == {"handover.begin", "handover.hand_over", "handover.take_over"}
    with system_running.services.database.read() as session:
        digest = service.digest(service.get(session, note["id"]))
    assert told_of["handover.hand_over"]["sha256"] == told_of["handover.take_over"]["sha256"] == digest


def test_nothing_is_due_of_an_incident_that_is_over(system_running: Running) -> None:
    responder = system_running.signed_in("responder")
    number = declare(responder, **PHONE)["number"]
    done(responder.post(f"/api/incidents/{number}/tasks", json={"title": "late", "due_at": "-1h"}), 201)
    done(act(responder, number, "close", {"disposition": "false_positive", "reason": "A test of the siren."}))
    assert begin(system_running.signed_in())["content"]["tasks"] == []


def test_one_writes_on_what_is_and_the_next_shift_begins_where_the_last_ended(system_running: Running) -> None:
    lin, wu = (system_running.signed_in(name=name) for name in ("lin", "wu"))
    note = begin(lin)
    assert abs(now() - 8 * HOUR - parse(note["since"])) < HOUR / 60
    again = lin.post("/api/handovers", json={})
    assert (refused(again), f"note {note['id']}" in again.json()["detail"]) == ("handover_begun", True)
    path = f"/api/handovers/{note['id']}"
    assert refused(lin.put(path, json={"remarks": "x"})) == "precondition_required"
    tag = lin.get(path).headers["ETag"]
    assert done(change(wu, note["id"], "", {"remarks": "Valve 3 sticks.", "since": "-6h"}))["changed_by"] == "wu"
    assert refused(change(lin, note["id"], "", {"remarks": "x"}, tag)) == "precondition_failed"
    assert refused(change(lin, note["id"], "", {"since": "2099-01-01T00:00:00Z"})) == "incident_times"
    assert refused(change(lin, note["id"], "take-over", {"note": "x"})) == "handover_state", "nobody has handed it over"
    handed = done(change(lin, note["id"], "hand-over"))
    assert (handed["remarks"], abs(now() - 6 * HOUR - parse(handed["since"])) < HOUR / 60) == ("Valve 3 sticks.", True)
    second = begin(wu)
    assert second["since"] == handed["handed_at"]
    listed = wu.get("/api/handovers", params={"limit": 1}).json()
    assert [each["id"] for each in listed["items"]] == [second["id"]]
    rest = wu.get("/api/handovers", params={"limit": 1, "cursor": listed["next"]}).json()
    assert ([each["id"] for each in rest["items"]], rest["next"]) == ([note["id"]], None)
    assert [each["id"] for each in wu.get("/api/handovers", params={"state": "handed_over"}).json()["items"]] == [note["id"]]
    with system_running.services.database.write() as session:
        session.execute(sa.update(Handover).values(handed_at=now() - 10 * 24 * HOUR, state="taken_over"))
    assert abs(now() - 8 * HOUR - parse(begin(wu)["since"])) < HOUR / 60, "nobody wrote a note for longer than a week"
    # By a clock that was ahead and was set right since.
    with system_running.services.database.write() as session:
        session.execute(sa.delete(Handover).where(Handover.state == "draft"))
        session.execute(sa.update(Handover).values(handed_at=now() + HOUR))
    ahead = begin(wu)
    assert abs(now() - parse(ahead["since"])) < HOUR / 60
    with system_running.services.database.write() as session:
        session.execute(sa.update(Handover).where(Handover.state == "draft").values(since=now() + HOUR))
    assert abs(now() - parse(done(change(wu, ahead["id"], "hand-over"))["since"])) < HOUR / 60
    viewer = system_running.signed_in("viewer")
    assert viewer.get(path).status_code == 200
    assert refused(viewer.post("/api/handovers", json={})) == "forbidden"
    assert refused(lin.get("/api/handovers/999")) == "handover_unknown"


def test_a_shift_of_a_site_hears_of_no_other(system_running: Running) -> None:
    system_running.services.site = None
    with system_running.services.database.write() as session:
        upserts.apply(session, [told(1)], "pumps")
        upserts.apply(session, [told(2)], "tanks")
    administrator = system_running.signed_in("administrator", name="chen")
    for site in ("pumps", "tanks"):
        number = declare(administrator, **PHONE | {"site": site, "title": f"{site} overflow"})["number"]
        done(administrator.post(f"/api/incidents/{number}/tasks", json={"title": f"look at {site}", "due_at": "-1h"}), 201)
        done(act(administrator, number, "hold", {"until": later(hours=3), "reason": f"{site} wait"}))
    every = begin(administrator)
    assert len(every["content"]["tasks"]) == len(every["content"]["ends"]) == 2
    lin = system_running.signed_in(name="lin", sites=frozenset({"pumps"}))
    mine = begin(lin)
    assert mine["site"] == "pumps"
    assert ("pumps overflow" in str(mine), "tanks" in str(mine)) == (True, False)
    assert refused(lin.get(f"/api/handovers/{every['id']}")) == "handover_unknown"
    assert [each["id"] for each in lin.get("/api/handovers").json()["items"]] == [mine["id"]]
    assert refused(lin.post("/api/handovers", json={"site": "tanks"})) == "site_unknown"
    both = system_running.signed_in(sites=frozenset({"pumps", "tanks"}))
    assert refused(both.post("/api/handovers", json={})) == "site_missing"
    tanks = begin(both, site="tanks")
    assert ("tanks overflow" in str(tanks), "pumps" in str(tanks)) == (True, False)


def test_a_note_tells_windows_actions_that_are_open_and_what_was_laid_aside(system_running: Running) -> None:
    system_running.services.site = None
    with system_running.services.database.write() as session:
        upserts.apply(session, [told(1), told(3, severity="low")], "pumps")
        upserts.apply(session, [told(2)], "tanks")
    administrator = system_running.signed_in("administrator", name="chen")
    expected: dict[str, dict[str, Any]] = {}
    for site, alert in (("pumps", 1), ("tanks", 2)):
        number = declare(administrator, **PHONE | {"site": site, "title": f"{site} overflow"})["number"]
        planned = {"site": site, "permit": f"WP-{site}"}
        running = done(administrator.post("/api/windows", json=window(**planned, ends_at=later(hours=3))), 201)
        done(administrator.post("/api/windows", json=window(**planned, starts_at=later(hours=6), ends_at=later(hours=9))), 201)
        done(administrator.post("/api/windows", json=window(**planned, starts_at=later(hours=9), ends_at=later(hours=12))), 201)
        over = done(administrator.post("/api/windows", json=window(**planned, ends_at=later(hours=1))), 201)
        done(administrator.post(f"/api/windows/{over['number']}/end", json={"reason": "x"}, headers={"If-Match": "*"}))
        for title in (f"close {site}", f"open {site}", f"not {site}"):
            made = done(administrator.post(f"/api/incidents/{number}/actions", json=action(title=title)), 201)
        done(step(administrator, made["id"], "withdraw"))
        assert decide(administrator, alert, "snooze", {"until": later(hours=5), "note": f"ask {site}"}).status_code == 200
        expected[site] = {"incident": number, "window": running["number"]}
    with system_running.services.database.write() as session:
        upserts.apply(session, [told(9, first_seen=now(), last_seen=now(), client_ip="10.0.0.9")], "pumps")
    lin = system_running.signed_in(name="lin", sites=frozenset({"pumps"}))
    note = begin(lin)
    content = note["content"]
    assert [(each["permit"], each["state"], each["hides"]) for each in content["windows"]] == [
        ("WP-pumps", "running", 1), ("WP-pumps", "planned", 0),
    ]  # fmt: skip
    first = content["windows"][0]
    assert (first["number"], first["site"], first["performed_by"]) == (expected["pumps"]["window"], "pumps", "Zhang San")
    told_of = [(each["title"], each["state"], each["incident"], each["site"], each["proposed_by"]) for each in content["actions"]]
    of = ("proposed", expected["pumps"]["incident"], "pumps", "chen")
    assert told_of == [("close pumps", *of), ("open pumps", *of)]
    assert all(0 < each["seconds_left"] <= 3_600 for each in content["actions"])
    (aside,) = content["snoozed"]
    assert (aside["id"], aside["by"], aside["note"], aside["title"]) == (f"{1:032x}", "chen", "ask pumps", "Alert 1")
    assert aside["until"] > note["at"]
    chinese = lin.get(f"/api/handovers/{note['id']}", params={"language": "zh-CN"}).json()["content"]
    assert (chinese["snoozed"][0]["title"], chinese["windows"]) == ("告警 1", content["windows"])
    every = begin(administrator)["content"]
    assert (len(every["windows"]), len(every["actions"]), len(every["snoozed"])) == (4, 4, 2)
    # A note of an earlier version, which knew nothing of these, is read as it was written.
    with system_running.services.database.write() as session:
        found = service.get(session, note["id"])
        new = {"windows", "actions", "snoozed"}
        found.content = {
            language: {name: value for name, value in said.items() if name not in new} for language, said in found.content.items()
        }
    assert lin.get(f"/api/handovers/{note['id']}").json()["content"]["windows"] == []


def test_the_situation_tells_what_changed_since_the_last_shift_was_handed_over(system_running: Running) -> None:
    system_running.services.site = None
    with system_running.services.database.write() as session:
        upserts.apply(session, [told(1)], "pumps")
        upserts.apply(session, [told(2)], "tanks")
    lin = system_running.signed_in("administrator", name="lin")

    def changes(**asked: str) -> dict[str, Any]:
        return done(lin.get("/api/situation", params=asked))["changes"]

    nobody = changes()
    assert (nobody["since_of"], nobody["handover"], nobody["raised"]) == ("hours", None, 2)
    assert abs(now() - 8 * HOUR - parse(nobody["since"])) < HOUR / 60
    written = begin(lin, site="pumps")
    assert changes(site="pumps")["since_of"] == "hours", "nobody has handed it over"
    note = done(change(lin, written["id"], "hand-over"))
    before = note["handed_at"]
    mine = changes(site="pumps")
    assert (mine["since_of"], mine["handover"], mine["since"], mine["raised"]) == ("handover", note["id"], before, 0)
    assert changes(site="tanks")["since_of"] == changes()["since_of"] == "hours", "another site's note says nothing of it"
    said = changes(site="pumps", since="-2h")
    assert (said["since_of"], said["handover"], said["raised"]) == ("asked", None, 1)
    every = done(change(lin, begin(lin)["id"], "hand-over"))
    for asked in ({"site": "tanks"}, {"site": "pumps"}, {}):
        assert changes(**asked)["handover"] == every["id"], "a note about all hands each over"
    assert changes(site="pumps", as_of=before)["handover"] == note["id"], "as it was then"
    pumps = system_running.signed_in(sites=frozenset({"pumps"})).get("/api/situation").json()["changes"]
    assert (pumps["since_of"], pumps["handover"]) == ("handover", note["id"]), "who is limited sees no note about all"
    with system_running.services.database.write() as session:
        session.execute(sa.update(Handover).values(handed_at=now() - 10 * 24 * HOUR))
    assert changes()["since_of"] == "hours", "nobody wrote a note for longer than a week"
