"""Incidents through the API: declared, moved, held, merged, split, closed, gone on with."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from api.incidents import service
from api.incidents.schemas import IncidentUpdate
from api.incidents.wording import words
from api.playbooks.content import built_in
from api.reviews.schemas import ReviewInput
from api.texts import LANGUAGES, catalogue
from api.ticking import ticking
from api.times import NANOSECONDS, iso, now
from tests.api.alerts import upsert
from tests.api.looks import tick
from tests.api.test_alerts import decide

if TYPE_CHECKING:
    import httpx

    from detection.alerts import Alert
    from tests.api.conftest import Running

PHONE: dict[str, Any] = {"title": "Dosing jumps", "reported_by": "Shift leader Wu, by phone", "summary": "Twice.", "site": None}
CLOSE = {"disposition": "true_positive_impact", "reason": "The station is off the network."}


def alert_id(number: int) -> str:
    return f"{number:032x}"


def in_story(number: int, story: int, members: tuple[int, ...], revision: int = 2, **changes: Any) -> Alert:
    """Alert `number` as part of a story, as detection tells it."""
    told = {
        "id": alert_id(story), "sentence": {"en": "x", "zh-CN": "x"}, "stages": [],
        "alerts": [alert_id(each) for each in members],
        "actors": [], "targets": [],
    }  # fmt: skip
    return upsert(number, revision, body={**upsert(number).body, "story": told}, **changes)


def declare(client: httpx.Client, **fields: Any) -> dict[str, Any]:
    body = {"title": "Writes", **fields}
    answer = client.post("/api/incidents", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == f"/api/incidents/{answer.json()['number']}"
    return answer.json()


def act(client: httpx.Client, number: int, what: str, body: dict[str, Any], method: str = "POST") -> httpx.Response:
    """Do something to an incident as it is now."""
    path = f"/api/incidents/{number}"
    tag = client.get(path).headers["ETag"]
    return client.request(method, f"{path}/{what}" if what else path, json=body, headers={"If-Match": tag})


def done(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


def refused(answer: httpx.Response) -> str:
    assert answer.status_code >= 400, answer.text
    return answer.json()["code"]


def lines(client: httpx.Client, number: int, language: str = "en") -> list[dict[str, Any]]:
    return client.get(f"/api/incidents/{number}/timeline", params={"limit": 500, "language": language}).json()["items"]


def kinds(client: httpx.Client, number: int) -> list[str]:
    return [line["kind"] for line in lines(client, number)]


def state(client: httpx.Client, number: int) -> tuple[str, int | None]:
    triage = client.get(f"/api/alerts/{alert_id(number)}").json()["triage"]
    return triage["state"], triage["incident"]


def test_an_incident_takes_its_alerts_along_from_the_first_to_the_last(system_running: Running) -> None:
    system_running.alerts(upsert(1), upsert(2), upsert(3))
    client = system_running.signed_in("responder", name="lin")
    made = declare(client, alerts=[alert_id(1), alert_id(2)], category="improper_operation.unauthorised_use")
    assert (made["state"], made["origin"], made["alerts"]) == ("declared", "alerts", [alert_id(1), alert_id(2)])
    assert made["category_name"] == "Operation against the rules: Use of resources without permission"
    assert made["occurred_at"] == iso(upsert(1).first_seen)
    number = made["number"]
    assert [state(client, each) for each in (1, 2, 3)] == [("escalated", number)] * 2 + [("new", None)]
    assert refused(decide(client, 1, "close", {"disposition": "duplicate", "note": "x"})) == "alert_escalated"
    assert done(act(client, number, "alerts", {"alerts": [alert_id(3)], "note": "same"}))["alert_count"] == 3
    done(act(client, number, "alerts/remove", {"alerts": [alert_id(2)], "note": "another cause"}))
    assert state(client, 2) == ("triaging", None)
    for to in ("analysing", "containing", "eradicating", "recovering", "monitoring"):
        moved = done(act(client, number, "move", {"to": to, "reason": f"now {to}"}))
        assert (moved["state"], moved["acknowledged_at"] is not None) == (to, True)
    closed = done(act(client, number, "close", CLOSE))
    assert (closed["state"], closed["disposition"], closed["moves"]) == ("closed", "true_positive_impact", [])
    assert [state(client, each) for each in (1, 2, 3)] == [("closed", number), ("triaging", None), ("closed", number)]
    history = client.get(f"/api/alerts/{alert_id(1)}/history").json()
    assert [entry["kind"] for entry in history] == ["raised", "acknowledged", "escalated", "closed"]
    assert history[-1]["disposition"] == "true_positive_impact"
    assert kinds(client, number) == ["declared", "alerts_added", "alerts_added", "alerts_removed", *["moved"] * 6]
    told = lines(client, number, "zh-CN")[4]
    assert (told["text"], told["note"], told["actor"]) == ("从已宣布转为研判", "now analysing", "lin")
    audited = system_running.signed_in("administrator").get("/api/audit", params={"limit": 500}).json()["items"]
    assert {"incident.declared", "incident.moved", "alert.escalate", "alert.close"} <= {entry["action"] for entry in audited}


def test_what_somebody_reports_by_phone_is_an_incident_with_a_line_by_hand(system_running: Running) -> None:
    client = system_running.signed_in("responder", name="lin")
    made = declare(client, **PHONE | {"discovered_at": "-30m", "occurred_at": "-2h"})
    assert (made["origin"], made["reported_by"], made["alerts"]) == ("report", "Shift leader Wu, by phone", [])
    number = made["number"]
    line = {"at": "-1h", "text": "Line 4 went to manual.", "source": "Phone, Wu"}
    written = done(client.post(f"/api/incidents/{number}/timeline", json=line), 201)
    assert (written["text"], written["source"], written["by_hand"]) == ("Line 4 went to manual.", "Phone, Wu", True)
    assert kinds(client, number) == ["note", "declared"], "in the order in which things happened"
    for wrong in ({**line, "at": "2200-01-01T00:00:00Z"}, {**line, "source": ""}, {**line, "at": 5}):
        assert client.post(f"/api/incidents/{number}/timeline", json=wrong).status_code == 422
    assert refused(client.post("/api/incidents", json={"title": "x"})) == "input_invalid"
    times = PHONE | {"discovered_at": "-2h", "occurred_at": "-1h"}
    assert refused(client.post("/api/incidents", json=times)) == "incident_times"
    assert refused(client.post("/api/incidents", json=PHONE | {"category": "network_attack.nothing"})) == "category_unknown"


@pytest.fixture(autouse=True)
def _one_site(request: pytest.FixtureRequest) -> None:
    """Every system here has one site, which has no name: an alert makes it known."""
    if "system_running" in request.fixturenames:
        system: Running = request.getfixturevalue("system_running")
        system.alerts(upsert(900, rule="posture"))


def test_no_move_is_made_that_the_states_do_not_allow(system_running: Running) -> None:
    client = system_running.signed_in("responder")
    number = declare(client, **PHONE)["number"]
    for to in ("monitoring", "recovering", "eradicating"):
        assert refused(act(client, number, "move", {"to": to, "reason": "x"})) == "incident_state"
    assert refused(act(client, number, "move", {"to": "closed", "reason": "x"})) == "input_invalid"
    assert refused(act(client, number, "move", {"to": "analysing", "reason": " "})) == "input_invalid"
    assert refused(act(client, number, "move", {"to": "analysing", "reason": "x", "at": "-2h"})) == "incident_times"
    done(act(client, number, "move", {"to": "containing", "reason": "x"}))
    assert refused(act(client, number, "close", CLOSE)) == "incident_state"
    body = {"to": "analysing", "reason": "x"}
    for headers, code in (({}, "precondition_required"), ({"If-Match": '"1"'}, "precondition_failed")):
        assert refused(client.post(f"/api/incidents/{number}/move", json=body, headers=headers)) == code
    viewer = system_running.signed_in("viewer")
    assert viewer.get(f"/api/incidents/{number}").status_code == 200
    assert refused(act(viewer, number, "move", body)) == "forbidden"
    assert refused(client.get("/api/incidents/999")) == "incident_unknown"


def test_who_decides_about_what_another_has_changed_meanwhile_is_told_who_that_was(system_running: Running) -> None:
    lin, wu = (system_running.signed_in("responder", name=name) for name in ("lin", "wu"))
    number = declare(lin, **PHONE)["number"]
    seen = lin.get(f"/api/incidents/{number}").headers["ETag"]
    done(act(wu, number, "move", {"to": "analysing", "reason": "x"}))
    line = {"at": "-1m", "text": "The pump was heard.", "source": "shift log"}
    done(lin.post(f"/api/incidents/{number}/timeline", json=line), 201)
    body = {"to": "containing", "reason": "x"}
    answer = lin.post(f"/api/incidents/{number}/move", json=body, headers={"If-Match": seen})
    assert refused(answer) == "precondition_failed"
    assert "changed by wu " in answer.json()["detail"]


def test_an_incident_on_hold_wakes_by_itself_once_and_keeps_its_state(system_running: Running) -> None:
    client = system_running.signed_in("responder", name="lin")
    number = declare(client, **PHONE)["number"]
    done(act(client, number, "move", {"to": "analysing", "reason": "x"}))
    assert refused(act(client, number, "hold", {"until": "-1h", "reason": "x"})) == "incident_times"
    until = now() + 3600 * NANOSECONDS
    held = done(act(client, number, "hold", {"until": iso(until), "reason": "The vendor answers."}))
    assert (held["state"], held["hold"]["by"], held["moves"]) == ("analysing", "lin", [])
    assert refused(act(client, number, "move", {"to": "containing", "reason": "x"})) == "incident_held"
    assert [item["number"] for item in client.get("/api/incidents", params={"held": True}).json()["items"]] == [number]
    services = system_running.services
    assert [tick(services, until - 1), tick(services, until), tick(services, until), tick(services, until - 10)] == [0, 1, 0, 0]
    woken = client.get(f"/api/incidents/{number}").json()
    assert (woken["state"], woken["hold"]) == ("analysing", None)
    done(act(client, number, "hold", {"until": iso(until), "reason": "x"}))
    done(act(client, number, "resume", {"reason": "They called."}))
    assert refused(act(client, number, "resume", {"reason": "x"})) == "incident_not_held"
    assert kinds(client, number)[2:] == ["held", "woken", "held", "resumed"]
    assert lines(client, number)[3]["actor"] == "system"
    done(act(client, number, "hold", {"until": iso(now() + NANOSECONDS // 2), "reason": "x"}))
    with ticking(services, 0.05):
        deadline = time.monotonic() + 30
        while client.get(f"/api/incidents/{number}").json()["hold"] is not None:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_merge_keeps_every_line_and_the_earlier_discovery(system_running: Running) -> None:
    system_running.alerts(upsert(1), upsert(2))
    client = system_running.signed_in("responder")
    kept = declare(client, alerts=[alert_id(1)], discovered_at="-1h")["number"]
    gone = declare(client, alerts=[alert_id(2)], discovered_at="-3h", title="The same")["number"]
    older = declare(client, **PHONE)["number"]
    drill = declare(client, **PHONE, drill=True)["number"]
    early = client.get(f"/api/incidents/{gone}").json()["discovered_at"]
    done(act(client, gone, "merge", {"other": older, "reason": "same call"}))
    before = {each["id"] for number in (kept, gone) for each in lines(client, number)}
    for other in (kept, drill):
        assert refused(act(client, kept, "merge", {"other": other, "reason": "x"})) == "merge_unfit"
    merged = done(act(client, kept, "merge", {"other": gone, "reason": "same station"}))
    assert (merged["discovered_at"], merged["merged"], merged["alert_count"]) == (early, [gone, older], 2)
    assert state(client, 2) == ("escalated", kept)
    assert before <= {each["id"] for each in lines(client, kept)}
    assert {each["incident"] for each in lines(client, kept)} == {kept, gone, older}
    left = client.get(f"/api/incidents/{gone}").json()
    assert (left["state"], left["merged_into"], left["disposition"]) == ("closed", kept, "duplicate")
    for what, body in (("reopen", {"reason": "x"}), ("move", {"to": "analysing", "reason": "x"})):
        assert refused(act(system_running.signed_in("administrator"), gone, what, body)) == "incident_merged"


def test_a_merge_keeps_the_more_serious_grade_and_with_it_what_the_law_asks_for(system_running: Running) -> None:
    client = system_running.signed_in("responder")
    kept = declare(client, **PHONE)["number"]
    gone = declare(client, **PHONE)["number"]
    facts = {"direct_loss_cny": 60_000_000, "people_without_supply": 10}
    done(act(client, kept, "facts", {"facts": {"direct_loss_cny": 5, "people_without_supply": 20}, "reason": "x"}, "PUT"))
    done(act(client, gone, "facts", {"facts": facts, "reason": "x"}, "PUT"))
    done(act(client, kept, "grade", {"scheme": "cac-2025", "level": 4, "reason": "x"}))
    done(act(client, gone, "grade", {"scheme": "cac-2025", "level": 2, "reason": "x"}))
    asked = client.get(f"/api/incidents/{gone}/obligations").json()
    merged = done(act(client, kept, "merge", {"other": gone, "reason": "one and the same"}))
    assert (merged["grades"], merged["grade"]) == ({"cac-2025": 2}, 2)
    assert merged["facts"] == {"direct_loss_cny": 60_000_000, "people_without_supply": 20}
    history = client.get(f"/api/incidents/{kept}/grades").json()
    assert [(each["decided"], each["reason"]) for each in history] == [(4, "x"), (2, "one and the same")]
    running = [each["state"] for each in client.get(f"/api/incidents/{kept}/obligations").json()]
    assert [each["state"] for each in asked].count("pending") > 0
    assert running.count("pending") >= [each["state"] for each in asked].count("pending")


def test_a_split_moves_alerts_and_tells_chosen_lines_in_both(system_running: Running) -> None:
    system_running.alerts(upsert(1), upsert(2))
    client = system_running.signed_in("responder")
    number = declare(client, alerts=[alert_id(1), alert_id(2)])["number"]
    line = {"at": "-1m", "text": "A scan.", "source": "Firewall"}
    entry = done(client.post(f"/api/incidents/{number}/timeline", json=line), 201)["id"]
    body = {"title": "Scan", "alerts": [alert_id(2)], "entries": [entry], "reason": "another cause"}
    assert refused(act(client, number, "split", {**body, "entries": [entry, 10**9]})) == "split_unfit"
    assert refused(act(client, number, "split", {**body, "alerts": [alert_id(900)]})) == "alert_not_in_incident"
    new = done(act(client, number, "split", body), 201)
    assert (new["split_from"], new["alerts"], new["title"]) == (number, [alert_id(2)], "Scan")
    assert (state(client, 1), state(client, 2)) == (("escalated", number), ("escalated", new["number"]))
    assert sorted(kinds(client, number)) == ["alerts_added", "declared", "note", "split"]
    assert kinds(client, new["number"]) == ["note", "split_off"]
    copied = lines(client, new["number"])[0]
    assert (copied["text"], copied["detail"]) == ("A scan.", {"copied_from": number})


def closed_with(client: httpx.Client, number: int, disposition: str) -> int:
    made = declare(client, alerts=[alert_id(number)])["number"]
    done(act(client, made, "close", {"disposition": disposition, "reason": "x"}))
    return made


def test_a_closed_incident_never_takes_an_alert_and_another_opens_that_names_it(system_running: Running) -> None:
    system_running.alerts(upsert(1), upsert(2), upsert(3))
    client = system_running.signed_in("responder")
    closed = closed_with(client, 1, "true_positive_impact")
    false = closed_with(client, 2, "false_positive")
    assert refused(act(client, closed, "alerts", {"alerts": [alert_id(3)], "note": "x"})) == "incident_closed"
    system_running.alerts(upsert(1, 2), upsert(2, 2))
    (opened,) = client.get("/api/incidents", params={"state": "declared"}).json()["items"]
    shown = client.get(f"/api/incidents/{opened['number']}").json()
    assert (shown["continues"], shown["alerts"], shown["declared_by"]) == (closed, [alert_id(1)], "system")
    assert state(client, 1) == ("escalated", opened["number"])
    assert state(client, 2) == ("triaging", None), "what was no attack opens none"
    assert kinds(client, closed)[-1] == "continued"
    assert client.get(f"/api/incidents/{closed}").json()["state"] == "closed"
    assert client.get(f"/api/incidents/{false}").json()["state"] == "closed"
    system_running.alerts(upsert(1, 3))
    assert len(client.get("/api/incidents", params={"state": "declared"}).json()["items"]) == 1
    done(act(client, opened["number"], "close", CLOSE))
    system_running.alerts(upsert(1, 4))
    (again,) = client.get("/api/incidents", params={"state": "declared"}).json()["items"]
    assert client.get(f"/api/incidents/{again['number']}").json()["continues"] == opened["number"]


def test_alerts_that_join_the_story_join_the_open_incident(system_running: Running) -> None:
    system_running.alerts(in_story(1, 1, (1, 2)), in_story(2, 1, (1, 2)))
    client = system_running.signed_in("responder")
    made = declare(client, story=alert_id(1))
    assert made["alerts"] == [alert_id(1), alert_id(2)]
    more = tuple(range(10, 40))
    system_running.alerts(in_story(4, 4, (4,)), *(in_story(each, 1, (1, 2, *more, 3)) for each in (*more, 3)))
    joined = client.get(f"/api/incidents/{made['number']}").json()["alerts"]
    assert (len(joined), set(joined[2:])) == (33, {alert_id(each) for each in (*more, 3)})
    told = [line["detail"]["count"] for line in lines(client, made["number"]) if line["kind"] == "alerts_added"]
    assert told == [2, 31], "those that come together are told in one line"
    assert state(client, 4) == ("new", None)
    done(act(client, made["number"], "close", CLOSE))
    system_running.alerts(in_story(5, 1, (1, 2, 3, 5)), in_story(6, 1, (1, 2, 3, 5, 6)))
    (opened,) = client.get("/api/incidents", params={"state": "declared"}).json()["items"]
    shown = client.get(f"/api/incidents/{opened['number']}").json()
    assert (shown["continues"], shown["alerts"]) == (made["number"], [alert_id(5), alert_id(6)])
    assert refused(client.post("/api/incidents", json={"title": "x", "story": alert_id(900)})) == "story_unknown"


def test_a_declaration_that_fits_no_alert_keeps_none_out(system_running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    system_running.alerts(in_story(1, 1, (1, 2)), in_story(2, 1, (1, 2)))
    client = system_running.signed_in("responder")
    assert refused(client.post("/api/incidents", json={"title": "x", "story": alert_id(1), "site": "other"})) in {
        "story_unknown", "site_unknown",
    }  # fmt: skip
    # By any of its alerts: the story is the same.
    made = declare(client, story=alert_id(2))
    again = declare(client, story=alert_id(1))
    done(act(client, again["number"], "close", {**CLOSE, "disposition": "false_positive"}))
    system_running.alerts(in_story(3, 1, (1, 2, 3)))
    assert state(client, 3) == ("escalated", made["number"]), "the one that is open takes it, though another is newer"
    monkeypatch.setattr(service, "MOST_ALERTS", 3)
    system_running.alerts(in_story(4, 1, (1, 2, 3, 4)))
    assert state(client, 4) == ("new", None)


def test_an_alert_of_an_incident_that_was_opened_again_comes_back_into_it(system_running: Running) -> None:
    system_running.alerts(upsert(1))
    number = closed_with(system_running.signed_in("responder"), 1, "true_positive_impact")
    client = system_running.signed_in("administrator")
    done(act(client, number, "reopen", {"reason": "It goes on."}))
    system_running.alerts(upsert(1, 2))
    assert state(client, 1) == ("escalated", number)


def test_an_alert_that_went_on_in_another_incident_is_not_closed_with_the_old_one(system_running: Running) -> None:
    system_running.alerts(upsert(1), upsert(2))
    client, administrator = system_running.signed_in("responder"), system_running.signed_in("administrator")
    old = declare(client, alerts=[alert_id(1), alert_id(2)])["number"]
    done(act(client, old, "close", CLOSE))
    system_running.alerts(upsert(1, 2))
    _, new = state(client, 1)
    assert new not in {None, old}
    done(act(administrator, old, "reopen", {"reason": "x"}))
    assert client.get(f"/api/incidents/{old}").json()["alerts"] == [alert_id(2)]
    done(act(client, old, "close", CLOSE))
    assert state(client, 1) == ("escalated", new)
    # What is taken out of an incident that was opened again has not turned out to be anything.
    done(act(administrator, old, "reopen", {"reason": "x"}))
    done(act(client, old, "alerts/remove", {"alerts": [alert_id(2)], "note": "not ours"}))
    triage = client.get(f"/api/alerts/{alert_id(2)}").json()["triage"]
    assert (triage["state"], triage["disposition"], triage["incident"]) == ("triaging", None, None)
    assert client.get(f"/api/alerts/{alert_id(2)}/history").json()[-1]["kind"] == "released"


def test_whoever_follows_alerts_hears_that_one_went_to_another_incident(system_running: Running) -> None:
    system_running.alerts(upsert(1), upsert(2))
    client = system_running.signed_in("responder")
    number = declare(client, alerts=[alert_id(1), alert_id(2)])["number"]
    before = client.get(f"/api/alerts/{alert_id(2)}")
    split = {"title": "x", "alerts": [alert_id(2)], "entries": [], "reason": "another cause"}
    new = done(act(client, number, "split", split), 201)["number"]
    after = client.get(f"/api/alerts/{alert_id(2)}", headers={"If-None-Match": before.headers["ETag"]})
    assert (after.status_code, after.json()["triage"]["incident"]) == (200, new)
    assert after.json()["updated_at"] > before.json()["updated_at"]
    assert client.get(f"/api/alerts/{alert_id(2)}/history").json()[-1]["kind"] == "moved"


def test_a_story_that_was_merged_into_another_goes_on_there_and_no_drill_takes_what_happens(system_running: Running) -> None:
    system_running.alerts(in_story(1, 1, (1,)), in_story(2, 2, (2,)))
    system_running.alerts(in_story(5, 5, (5,)), drill=1)
    client = system_running.signed_in("responder")
    kept, gone = (declare(client, story=alert_id(each))["number"] for each in (1, 2))
    assert declare(client, story=alert_id(5))["drill"] is True
    done(act(client, kept, "merge", {"other": gone, "reason": "one"}))
    system_running.alerts(in_story(3, 2, (2, 3)), in_story(6, 5, (5, 6)))
    assert state(client, 3) == ("escalated", kept)
    assert state(client, 6) == ("new", None)


def test_only_who_may_opens_a_closed_incident_again(system_running: Running) -> None:
    client = system_running.signed_in("responder")
    number = declare(client, **PHONE)["number"]
    done(act(client, number, "close", {"disposition": "authorised_work", "permit": "WP-1", "reason": "planned"}))
    assert refused(act(client, number, "reopen", {"reason": "x"})) == "forbidden"
    opened = done(act(system_running.signed_in("administrator"), number, "reopen", {"reason": "It was not."}))
    assert (opened["state"], opened["closed_at"], opened["disposition"]) == ("analysing", None, None)
    assert kinds(client, number)[-1] == "reopened"


def test_a_grade_is_proposed_from_facts_and_decided_by_a_person_again_and_again(system_running: Running) -> None:
    client = system_running.signed_in("responder", name="lin")
    number = declare(client, **PHONE)["number"]
    cac, miit = client.get(f"/api/incidents/{number}/grading").json()
    assert (cac["level"], miit["level"], cac["certainty"]) == (4, None, "seen")
    facts = {"cii_total_outage_minutes": 12, "direct_loss_cny": 60_000_000, "production_stop": "minor"}
    for wrong in ({"cii_total_outage_minutes": -1}, {"nothing": 1}, {"data_threat": "huge"}, {"direct_loss_cny": "much"}):
        assert refused(act(client, number, "facts", {"facts": wrong, "reason": "x"}, "PUT")) in {"facts_invalid", "input_invalid"}
    done(act(client, number, "facts", {"facts": facts, "reason": "shift log"}, "PUT"))
    cac, miit = client.get(f"/api/incidents/{number}/grading", params={"language": "zh-CN"}).json()
    assert (cac["level"], cac["level_name"], [each["metric"] for each in cac["met"]]) == (2, "重大", ["direct_loss_cny"])
    assert (miit["level"], miit["level_name"]) == (3, "较大")
    assert "people_without_supply" in cac["unknown"]
    assert client.get(f"/api/incidents/{number}").json()["grade"] is None
    for scheme, level in (("cac-2025", 3), ("cac-2025", 2), ("miit-data-2024", 3)):
        graded = done(act(client, number, "grade", {"scheme": scheme, "level": level, "reason": "as proposed"}))
    assert (graded["grades"], graded["grade"]) == ({"cac-2025": 2, "miit-data-2024": 3}, 2)
    history = client.get(f"/api/incidents/{number}/grades").json()
    assert [(each["scheme"], each["proposed"], each["decided"]) for each in history] == [
        ("cac-2025", 2, 3), ("cac-2025", 2, 2), ("miit-data-2024", 3, 3),
    ]  # fmt: skip
    assert history[0]["facts"] == facts
    told = [line["text"] for line in lines(client, number) if line["kind"] == "graded"]
    guide = "Cybersecurity incidents: grading guide of the national rule on reporting"
    assert told[1] == f"Grade: III, relatively serious → II, serious (proposed II, serious), by: {guide}"
    (known,) = [line["text"] for line in lines(client, number, "zh-CN") if line["kind"] == "facts"]
    assert known == "定级事实已更改：关键信息基础设施整体中断运行；直接经济损失；停工停产或业务处理能力丧失的程度"
    assert refused(act(client, number, "grade", {"scheme": "none", "level": 1, "reason": "x"})) == "scheme_unknown"
    for params, found in (({"grade": "1,2"}, [number]), ({"grade": "!2"}, []), ({"drill": "true"}, []), ({"lead": "wu"}, [])):
        assert [each["number"] for each in client.get("/api/incidents", params=params).json()["items"]] == found


def test_lines_of_earlier_versions_are_told_by_what_they_keep() -> None:
    (key, playbook), *_ = built_in().items()
    begun = {"playbook": key, "version": playbook.version, "count": 7}
    assert words("playbook_begun", begun, "zh-CN") == {"playbook": playbook.title.text("zh-CN")}
    assert words("playbook_begun", {**begun, "version": playbook.version + 1}, "en") == {}, "it is the site's own"
    assert words("playbook_begun", {**begun, "title": {"en": "Ours", "zh-CN": "自编"}}, "zh-CN") == {"playbook": "自编"}
    assert words("obligation_made", {"rule": "gone"}, "en") == {}
    assert words("obligation_drafted", {"rule": "gone", "fields": ""}, "en") == {"fields": "–"}
    assert words("obligation_drafted", {"rule": "gone", "fields": "a, b, c, d"}, "en") == {"fields": "4 parts"}
    assert words("changed", {"fields": "title, gone"}, "en") == {"fields": "title; gone"}
    for told in (IncidentUpdate.model_fields.keys() - {"reason"}, ReviewInput.model_fields.keys()):
        for language in LANGUAGES:
            assert {f"timeline.field.{name}" for name in told} <= catalogue(language).keys()


def test_what_is_said_otherwise_is_told_old_and_new(system_running: Running) -> None:
    client = system_running.signed_in("responder", name="lin")
    made = declare(client, **PHONE)
    body = {
        "title": "Dosing", "summary": made["summary"], "category": "network_attack.scan", "lead": "wu",
        "discovered_at": made["discovered_at"], "occurred_at": None, "reason": "as the log says",
    }  # fmt: skip
    changed = done(act(client, made["number"], "", body, "PUT"))
    assert (changed["title"], changed["lead"], changed["category"]) == ("Dosing", "wu", "network_attack.scan")
    line = lines(client, made["number"])[-1]
    assert line["text"] == "Changed: title; class; lead"
    assert line["detail"]["changes"]["title"] == ["Dosing jumps", "Dosing"]


def test_incidents_come_in_pages_that_hold_their_place(system_running: Running) -> None:
    client = system_running.signed_in("responder")
    numbers = [declare(client, **PHONE)["number"] for _ in range(5)]
    first = client.get("/api/incidents", params={"limit": 2}).json()
    numbers.append(declare(client, **PHONE)["number"])
    second = client.get("/api/incidents", params={"limit": 2, "cursor": first["next"]}).json()
    third = client.get("/api/incidents", params={"limit": 2, "cursor": second["next"]}).json()
    shown = [item["number"] for page in (first, second, third) for item in page["items"]]
    assert (shown, third["next"]) == (numbers[4::-1], None)
    path = f"/api/incidents/{numbers[0]}/timeline"
    page = client.get(path, params={"limit": 1}).json()
    assert page["next"] is None
    assert refused(client.get(path, params={"cursor": "x"})) == "cursor_invalid"


def test_a_timeline_is_read_from_its_beginning_or_from_its_end(system_running: Running) -> None:
    client = system_running.signed_in("responder")
    number = declare(client, **PHONE)["number"]
    path = f"/api/incidents/{number}/timeline"
    for minutes in (3, 1, 2, 2):
        done(client.post(path, json={"at": f"-{minutes}m", "text": "x", "source": "y"}), 201)

    def read(**asked: Any) -> list[int]:
        found, cursor = list[int](), None
        while True:
            answer = done(client.get(path, params={**asked, "limit": 2, **({} if cursor is None else {"cursor": cursor})}))
            found += [each["id"] for each in answer["items"]]
            cursor = answer["next"]
            if cursor is None:
                return found

    forward = [each["id"] for each in lines(client, number)]
    assert len(forward) > 4
    assert [read(), read(sort="at"), read(sort="-at")] == [forward, forward, forward[::-1]]
    cursor = done(client.get(path, params={"limit": 1}))["next"]
    assert refused(client.get(path, params={"sort": "-at", "cursor": cursor})) == "cursor_invalid"
