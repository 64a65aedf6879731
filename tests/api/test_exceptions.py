"""Exceptions through the API: looked at, made, changed, withdrawn, sent to detection; and accepting as normal."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from api import system
from api.decisions import service as decisions
from api.decisions.models import Decision as Stored
from api.embedded import embedded
from api.exceptions import service
from api.settings import Settings
from api.site import service as sites
from api.times import now
from detection.baseline.decisions import TEXT, Decision
from detection.exceptions import Change
from detection.inbox import Inbox
from detection.site import Site
from detection.tuning import Exemption
from tests.api.alerts import upsert
from tests.api.test_alerts import decide, hidden
from tests.api.test_metrics import CAPTURE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import httpx

    from tests.api.conftest import Running

SCOPE: dict[str, Any] = {"rules": ["modbus_write"], "clients": ["10.0.0.0/24"], "end": "2100-01-01T00:00:00+08:00"}
MADE = {**SCOPE, "name": "known", "reason": "The historian copies at night.", "seen": 3}


def some(system: Running) -> None:
    moment = now()
    system.alerts(
        *(upsert(number, first_seen=moment - number) for number in range(1, 4)), upsert(9, rule="other", first_seen=moment)
    )


def sent(system: Running) -> list[Change | Decision]:
    """What waits for detection."""
    return [entry for _, entry in Inbox(system.services.settings.data).waiting() if entry is not None]


def audited(system: Running) -> list[tuple[str, str, str]]:
    entries = system.signed_in("administrator").get("/api/audit").json()["items"]
    return [(entry["action"], entry["actor"], entry["subject"]) for entry in entries if "." in entry["action"]]


def test_what_an_exception_would_have_hidden_is_shown_before_it_is_made(system_running: Running) -> None:
    some(system_running)
    client = system_running.signed_in(name="lin")
    assert decide(client, 2, "close", {"disposition": "true_positive_impact", "note": "x"}).status_code == 200
    shown = client.post("/api/exceptions/preview", json=SCOPE).json()
    assert (shown["hides"], shown["undecided"], shown["right"], shown["severities"]) == (3, 2, 1, {"high": 3})
    assert shown["alerts"] == [f"{number:032x}" for number in (1, 2, 3)]
    assert client.get("/api/exceptions").json() == []
    # Whoever saw less than it hides has not seen what it does.
    answer = client.post("/api/exceptions", json={**MADE, "seen": 2})
    assert (answer.status_code, answer.json()["code"]) == (409, "exception_hides_more")
    assert sent(system_running) == []


def test_an_exception_goes_to_detection_with_who_and_why_and_into_the_audit_trail(system_running: Running) -> None:
    some(system_running)
    client = system_running.signed_in(name="lin")
    answer = client.post("/api/exceptions", json={**MADE, "alert": f"{1:032x}"})
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["state"], made["origin"], made["by"], made["alert"]) == ("waiting", "people", "lin", f"{1:032x}")
    (change,) = sent(system_running)
    assert isinstance(change, Change)
    assert (change.choice, change.by) == ("except", "lin")
    assert change.exemption == Exemption.model_validate(
        {**SCOPE, "name": "known", "reason": "The historian copies at night.", "by": "lin"}
    )
    system_running.take_up()
    system_running.alerts(hidden(7, "known"))
    (listed,) = client.get("/api/exceptions").json()
    assert (listed["state"], listed["hidden"], listed["end"]) == ("in_force", 1, "2100-01-01T00:00:00+08:00")
    assert ("exception.make", "lin", "known") in audited(system_running)


def test_a_change_must_be_made_on_what_the_exception_is_now(system_running: Running) -> None:
    some(system_running)
    client = system_running.signed_in(name="lin")
    tag = client.post("/api/exceptions", json=MADE).headers["ETag"]
    changed = {**SCOPE, "clients": ["10.0.0.1"], "reason": "One only.", "seen": 1}
    for given, status in (({}, 428), ({"If-Match": '"9"'}, 412), ({"If-Match": tag}, 200), ({"If-Match": tag}, 412)):
        answer = client.put("/api/exceptions/known", json=changed, headers=given)
        assert answer.status_code == status, answer.text
    assert answer.json()["detail"].startswith("It was changed by lin")
    tag = client.get("/api/exceptions/known").headers["ETag"]
    more = client.put("/api/exceptions/known", json={**changed, "clients": ["10.0.0.0/8"]}, headers={"If-Match": tag})
    assert more.json()["code"] == "exception_hides_more"
    gone = client.post("/api/exceptions/known/withdraw", json={"reason": "gone"}, headers={"If-Match": tag})
    assert (gone.status_code, gone.json()["state"], gone.json()["version"]) == (200, "withdrawing", 3)
    assert [entry.choice for entry in sent(system_running)] == ["except", "except", "withdraw"]
    again = client.post("/api/exceptions/known/withdraw", json={"reason": "gone"}, headers={"If-Match": '"3"'})
    assert (again.status_code, again.json()["code"]) == (409, "exception_withdrawn")
    assert client.post("/api/exceptions", json=MADE).status_code == 201, "a name that was withdrawn is free"
    actions = [action for action, *_ in audited(system_running) if action.startswith("exception")]
    assert actions == ["exception.make", "exception.withdraw", "exception.change", "exception.make"]


def test_an_exception_that_has_ended_holds_again_only_where_there_is_room(
    system_running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "EXCEPTIONS", 1)
    client = system_running.signed_in(name="lin")
    tag = client.post("/api/exceptions", json=MADE).headers["ETag"]
    with system_running.services.database.write() as session:
        stored = service.get(session, "known")
        stored.content = {**stored.content, "end": "2020-01-01T00:00:00Z"}
    other = client.post("/api/exceptions", json={**MADE, "name": "other"})
    assert other.status_code == 201, "what has ended makes room"
    again = client.put("/api/exceptions/known", json={**SCOPE, "reason": "again", "seen": 3}, headers={"If-Match": tag})
    assert (again.status_code, again.json()["code"]) == (409, "exceptions_full")
    held = {"If-Match": other.headers["ETag"]}
    assert client.put("/api/exceptions/other", json={**SCOPE, "reason": "x", "seen": 3}, headers=held).status_code == 200


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"end": None}, "body"),
        ({"rules": []}, "body.rules"),
        ({"rules": ["modbus_write", "[a-z]*"]}, "body.rules.1"),
        ({"clients": ["10.0.0.300"]}, "body.clients"),
        ({"clients": ["somebody"]}, "body.clients.0"),
        ({"end": "2100-01-01T00:00:00"}, "body"),
        ({"kind": "maintenance", "start": "2026-11-28T00:00:00Z"}, "body.kind"),
        ({"kind": "drop"}, "body.kind"),
        ({"start": "2101-01-01T00:00:00Z"}, "body"),
        ({"name": "a name"}, "body.name"),
        ({"reason": " "}, "body.reason"),
        ({"by": "somebody"}, "body.by"),
    ],
    ids=str,
)
def test_an_exception_that_makes_no_sense_is_refused_with_its_place(
    system_running: Running, fields: Mapping[str, Any], place: str
) -> None:
    answer = system_running.signed_in().post("/api/exceptions", json={**MADE, **fields})
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.json()["code"], answer.json()["errors"][0]["place"]) == ("input_invalid", place)
    assert sent(system_running) == []


def test_a_viewer_sees_exceptions_and_makes_none(system_running: Running) -> None:
    client = system_running.signed_in("viewer")
    assert client.get("/api/exceptions").json() == []
    for path, body in (("/api/exceptions", MADE), ("/api/exceptions/preview", SCOPE)):
        assert client.post(path, json=body).status_code == 403


def test_the_exceptions_of_the_file_are_listed_and_keep_their_names(system_running: Running) -> None:
    known = Exemption.model_validate({**SCOPE, "name": "known", "reason": "by file", "by": "li.na"})
    client = system_running.signed_in()
    assert client.post("/api/exceptions", json={**MADE, "name": "later"}).status_code == 201
    for _ in range(2):
        with system_running.services.database.write() as session:
            sites.take_over(session, Site(exceptions=(known, known.model_copy(update={"name": "later"}))))
    system_running.take_up()
    found = {(each["name"], each["origin"]): each["state"] for each in client.get("/api/exceptions").json()}
    assert found == {("known", "file"): "in_force", ("later", "file"): "in_force", ("later", "people"): "overruled"}
    assert client.post("/api/exceptions", json=MADE).json()["code"] == "exception_taken"
    assert [action for action, *_ in audited(system_running)].count("site.take_over") == 1


def test_a_decision_that_could_not_be_left_is_left_later_and_once(
    system_running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = system_running.signed_in()
    folder: Path = system_running.services.settings.data / "decisions"
    folder.write_text("in the way")
    assert client.post("/api/exceptions", json=MADE).json()["state"] == "waiting"
    folder.unlink()
    for _ in range(2):
        decisions.send(system_running.services)
    assert [entry.choice for entry in sent(system_running)] == ["except"]
    (path,) = folder.glob("*.json")
    path.unlink()
    decisions.send(system_running.services)
    assert sent(system_running) == []


def test_what_holds_in_detection_and_is_not_known_here_is_listed_and_in_the_audit_trail(
    system_running: Running,
) -> None:
    """Left in the folder by who may write there, or taken before the database was restored."""
    client = system_running.signed_in(name="lin")
    assert client.post("/api/exceptions", json=MADE).status_code == 201
    (own,) = sent(system_running)
    assert isinstance(own, Change)
    fields = {**SCOPE, "name": "other", "reason": "by hand", "by": "wu"}
    made = Change("except", "other", "wu", Exemption.model_validate(fields))
    unseen = Change("withdraw", "unseen", "wu")
    services = system_running.services

    def adopt(*taken: Change) -> dict[str, tuple[str, int]]:
        with services.database.write() as session:
            service.adopt(session, taken, "")
        return {each["name"]: (each["state"], each["version"]) for each in client.get("/api/exceptions").json()}

    for _ in range(2):
        assert adopt(made, unseen) == {"known": ("waiting", 1), "other": ("in_force", 1)}
    assert adopt(Change("withdraw", "known", "wu"))["known"] == ("waiting", 1), "what waits comes after"
    system_running.take_up()
    assert adopt(own)["known"] == ("in_force", 1)
    assert adopt(own, Change("withdraw", "known", "wu"))["known"] == ("withdrawn", 2)
    told = [entry for entry in audited(system_running) if entry[0].startswith("exception")]
    assert sorted(told) == sorted(
        [
            ("exception.make", "lin", "known"),
            ("exception.make", "wu", "other"),
            ("exception.withdraw", "wu", "unseen"),
            *[("exception.withdraw", "wu", "known")] * 2,
        ]
    )


def test_a_name_that_another_site_has_now_is_not_changed_by_what_is_told_late(system_running: Running) -> None:
    services = system_running.services
    fields = {**SCOPE, "name": "work", "reason": "planned", "by": "wu"}
    late = Change("withdraw", "work", "wu")
    made = Change("except", "work", "wu", Exemption.model_validate(fields))
    with services.database.write() as session:
        service.adopt(session, [made], "west")
        service.adopt(session, [late], "east")
        stored = service.get(session, "work")
        assert (stored.site, stored.withdrawn, stored.decision) == ("west", False, made.id)
        service.adopt(session, [Change("withdraw", "work", "wu")], "west")
        assert service.get(session, "work").withdrawn


def test_a_running_system_adopts_exceptions_and_leaves_again_what_could_not_be_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.embedded.RETRY_SECONDS", 0.0)
    data = tmp_path / "data"
    fields = {**SCOPE, "name": "other", "reason": "by hand", "by": "wu"}
    by_hand = Change("except", "other", "wu", Exemption.model_validate(fields))
    later = Change("except", "later", "wu", Exemption.model_validate({**fields, "name": "later"}))
    with (
        system.opened(Settings(data=data, port=0)) as services,
        embedded(services, str(CAPTURE), (Site(), None), ()) as parts,
    ):
        Inbox(data).put(by_hand)
        folder = data / "decisions"
        parts.start()
        while not parts.done():
            parts.wait(0.05)
        with services.database.read() as session:
            stored = service.get(session, "other")
            assert (stored.changed_by, stored.decision) == ("wu", by_hand.id)
        with services.database.write() as session:
            decisions.leave(session, later, "")
        with services.database.read() as session:
            assert decisions.waiting(session) == {later.id}
        deadline = time.monotonic() + 60
        left = False
        while not left and time.monotonic() < deadline:
            parts.wait(0.05)
            with services.database.read() as session:
                left = later.id not in decisions.waiting(session)
        assert (left, [*folder.glob("*.json")]) == (True, [])
        parts.wait(0.05)
        with services.database.read() as session:
            assert service.get(session, "later").decision == later.id
        assert parts.stop() == []


def accept(client: httpx.Client, number: int, seen: int) -> httpx.Response:
    path = f"/api/alerts/{number:032x}"
    return client.post(
        f"{path}/accept", json={"note": "the new historian", "seen": seen}, headers={"If-Match": client.get(path).headers["ETag"]}
    )


def deviation(number: int, kind: str = "writer", **changes: Any) -> Any:
    fact = {"kind": kind, "client": "10.0.0.5", "server": "10.0.1.1", "point": ""}
    changes.setdefault("body", {**upsert(number).body, "accept": fact})
    return upsert(number, first_seen=now() - number, client_ip="10.0.0.5", rule=f"new_{kind}", **changes)


def test_accepting_a_deviation_makes_a_fact_of_the_baseline(system_running: Running) -> None:
    system_running.alerts(deviation(1), deviation(2, "conversation"), deviation(3, "program"), upsert(4, first_seen=now()))
    client = system_running.signed_in(name="lin")
    shown = client.get(f"/api/alerts/{1:032x}/acceptance").json()
    hosts = {"client": "10.0.0.5", "server": "10.0.1.1"}
    assert shown["fact"] == {"kind": "writer", **hosts, "point": "", "unit": "", "rare": False, "observed": ""}
    assert (shown["hides"], shown["exception"]) == (2, None), "what is weightier stays told"
    assert (shown["right"], shown["limited"]) == (0, False)
    assert decide(client, 3, "close", {"disposition": "true_positive_impact", "note": "x"}).status_code == 200
    assert client.get(f"/api/alerts/{1:032x}/acceptance").json()["right"] == 0, "what is weightier stays told"
    assert decide(client, 2, "close", {"disposition": "true_positive_no_impact", "note": "x"}).status_code == 200
    assert client.get(f"/api/alerts/{1:032x}/acceptance").json()["right"] == 1
    assert accept(client, 1, seen=1).json()["code"] == "exception_hides_more"
    answer = accept(client, 1, seen=2)
    assert (answer.status_code, answer.json()["triage"]["state"]) == (200, "new")
    (decision,) = sent(system_running)
    assert isinstance(decision, Decision)
    said = (decision.choice, decision.by, decision.reason, decision.kind, decision.client, decision.server)
    assert said == ("accept", "lin", "the new historian", "writer", "10.0.0.5", "10.0.1.1")
    history = client.get(f"/api/alerts/{1:032x}/history").json()
    assert [(entry["kind"], entry["actor"], entry["note"]) for entry in history][-1] == ("accepted", "lin", "the new historian")
    assert {action for action, *_ in audited(system_running)} >= {"alert.accept", "baseline.accept"}
    made = client.get("/api/baseline/decisions").json()
    assert [(each["choice"], each["waiting"]) for each in made] == [("accept", True)]


def test_accepting_what_was_rare_while_learning_accepts_just_that(system_running: Running) -> None:
    rare = {"kind": "program", "client": "10.0.0.5", "server": "10.0.1.1", "point": "download", "unit": "3", "rare": True}
    again, other, talks = {**rare, "rare": False}, {**rare, "unit": "4", "rare": False}, {"kind": "conversation", "rare": False}
    facts = [{**rare, "operation": "download"}, again, other, {**rare, **talks}]
    told = [deviation(number, "program", body={**upsert(1).body, "accept": fact}) for number, fact in enumerate(facts, 1)]
    system_running.alerts(*told)
    client = system_running.signed_in(name="lin")
    shown = client.get(f"/api/alerts/{1:032x}/acceptance").json()
    assert (shown["fact"], shown["hides"]) == ({**rare, "observed": ""}, 2), (
        "what came again each day, and neither another unit nor what comes with it"
    )
    assert accept(client, 1, seen=2).status_code == 200
    (decision,) = sent(system_running)
    assert isinstance(decision, Decision)
    assert {name: getattr(decision, name) for name in rare} == rare
    (made,) = client.get("/api/baseline/decisions").json()
    assert made["about"] == {**rare, "rare": "true"}


def test_accepting_an_anomaly_is_a_decision_about_what_its_model_learned(system_running: Running) -> None:
    fact = {
        "kind": "value",
        "client": "10.0.0.5",
        "server": "10.0.1.1",
        "point": "holding:1@1",
        "observed": "900",
        "value": 900.5,
    }
    facts = [fact, {**fact, "observed": "1000", "value": 1000.0}, {**fact, "point": "holding:2@1"}, {**fact, "kind": "step"}]
    told = [deviation(number, "value", body={**upsert(1).body, "accept": each}) for number, each in enumerate(facts, 1)]
    system_running.alerts(*told)
    client = system_running.signed_in(name="lin")
    shown = client.get(f"/api/alerts/{1:032x}/acceptance").json()
    assert (shown["fact"]["kind"], shown["fact"]["observed"], shown["hides"], shown["exception"]) == ("value", "900", 2, None)
    assert accept(client, 1, seen=2).status_code == 200
    (decision,) = sent(system_running)
    assert isinstance(decision, Decision)
    assert {name: getattr(decision, name) for name in fact} == fact


def test_an_hour_of_one_weekday_is_accepted_with_that_of_the_day_and_no_other_weekdays(system_running: Running) -> None:
    points = "Mon 09:00 UTC", "Mon 09:00 UTC", "09:00 UTC", "Tue 09:00 UTC", "Mon 10:00 UTC"
    fact = {"kind": "hours", "client": "10.0.0.5", "server": "10.0.1.1", "observed": "900 / h", "value": 900.0}
    bodies = [{**upsert(1).body, "accept": {**fact, "point": point}} for point in points]
    system_running.alerts(*(deviation(number, "hours", body=body) for number, body in enumerate(bodies, 1)))
    client = system_running.signed_in(name="lin")
    hides = [client.get(f"/api/alerts/{number:032x}/acceptance").json()["hides"] for number in range(1, 6)]
    assert hides == [3, 3, 1, 2, 1]


def test_a_stored_alert_that_names_no_kind_of_facts_is_not_accepted_as_all_of_them(system_running: Running) -> None:
    system_running.alerts(deviation(1, ""))
    shown = system_running.signed_in().get(f"/api/alerts/{1:032x}/acceptance").json()
    assert (shown["fact"], shown["exception"]["clients"]) == (None, ["10.0.0.5"])


def test_a_point_as_long_as_a_node_identifier_is_accepted_and_what_detection_would_not_read_is_refused(
    system_running: Running,
) -> None:
    points = "ns=2;s=".ljust(TEXT, "x"), "ns=2;s=".ljust(TEXT + 1, "x")
    body = {**upsert(1).body}
    fact = {"kind": "writer", "client": "10.0.0.5", "server": "10.0.1.1"}
    told = [deviation(number, body={**body, "accept": {**fact, "point": point}}) for number, point in enumerate(points, 1)]
    system_running.alerts(*told)
    client = system_running.signed_in(name="lin")
    refused = accept(client, 2, seen=1)
    assert (refused.status_code, refused.json()["code"]) == (422, "decision_unfit"), refused.text
    assert (sent(system_running), client.get("/api/baseline/decisions").json()) == ([], [])
    assert [entry["kind"] for entry in client.get(f"/api/alerts/{2:032x}/history").json()] == ["raised"]
    assert accept(client, 1, seen=1).status_code == 200
    (decision,) = sent(system_running)
    assert isinstance(decision, Decision)
    assert decision.point == points[0]
    (made,) = client.get("/api/baseline/decisions").json()
    assert made["about"]["point"] == points[0]


def test_a_stored_decision_that_cannot_be_read_is_listed_and_not_said_to_be_sent(system_running: Running) -> None:
    client = system_running.signed_in(name="lin")
    with system_running.services.database.write() as session:
        session.add(Stored(id="0" * 16, at=now(), by="lin", choice="accept", content="{}", sent_at=None))
    assert client.post("/api/exceptions", json=MADE).status_code == 201
    assert [entry.choice for entry in sent(system_running)] == ["except"], "what can be read is not held up"
    (made,) = client.get("/api/baseline/decisions").json()
    assert (made["by"], made["choice"], made["about"], made["waiting"]) == ("lin", "accept", {}, True)


def test_accepting_any_other_alert_makes_the_narrowest_exception_without_an_end(system_running: Running) -> None:
    some(system_running)
    client = system_running.signed_in()
    shown = client.get(f"/api/alerts/{1:032x}/acceptance").json()
    assert (shown["fact"], shown["exception"]["kind"], shown["exception"]["end"], shown["hides"]) == (None, "normal", None, 1)
    assert accept(client, 1, seen=1).status_code == 200
    (exception,) = client.get("/api/exceptions").json()
    assert (exception["kind"], exception["clients"], exception["end"]) == ("normal", ["10.0.0.1"], None)
    # An alert that was right is not accepted, nor is one like it.
    assert decide(client, 3, "close", {"disposition": "true_positive_impact", "note": "x"}).status_code == 200
    refused = client.get(f"/api/alerts/{3:032x}/acceptance")
    assert (refused.status_code, refused.json()["code"]) == (409, "acceptance_none")
    assert json.dumps(refused.json())
