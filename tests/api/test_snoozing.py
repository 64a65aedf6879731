"""Alerts that are laid aside: they keep their state, and come back by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from api.alerts import snoozing
from api.problems import Problem
from api.ticking import Looks
from api.times import NANOSECONDS, iso, now
from tests.api.alerts import upsert, with_related
from tests.api.looks import tick
from tests.api.test_alerts import counted, decide, ids
from tests.api.test_exceptions import audited
from tests.api.test_records import identity, store
from tests.batches import sample

if TYPE_CHECKING:
    import httpx

    from detection.alerts import Alert as Revision
    from tests.api.conftest import Running

HOUR = 3600 * NANOSECONDS
PATH = f"/api/alerts/{1:032x}"


def snoozed(client: httpx.Client, **said: Any) -> dict[str, Any]:
    answer = decide(client, 1, "snooze", {"note": "tomorrow", **said})
    assert answer.status_code == 200, answer.text
    return answer.json()


def kinds(client: httpx.Client) -> list[str]:
    return [step["kind"] for step in client.get(f"{PATH}/history").json()]


def with_body(revision: int, **body: Any) -> Revision:
    return upsert(1, revision, body={**upsert(1).body, **body})


def test_an_alert_is_laid_aside_with_its_state_and_comes_back_at_its_time(system_running: Running) -> None:
    system_running.alerts(upsert(1), upsert(2))
    client, services = system_running.signed_in(name="lin"), system_running.services
    assert decide(client, 1, "acknowledge", {"note": "mine"}).status_code == 200
    until = now() + HOUR
    said = snoozed(client, until=iso(until))
    assert (said["triage"]["state"], said["triage"]["note"], said["triage"]["version"]) == ("triaging", "mine", 2)
    assert said["snooze"] | {"at": ""} == {"until": iso(until), "conditions": [], "by": "lin", "at": "", "note": "tomorrow"}
    assert (ids(client.get("/api/alerts")), counted(client)) == ([2], 1)
    assert ids(client.get("/api/alerts", params={"overlay": "snoozed"})) == [1]
    assert ids(client.get("/api/alerts", params={"overlay": "snoozed", "state": "new"})) == []
    assert sorted(ids(client.get("/api/alerts", params={"overlay": "snoozed,suppressed"}))) == [1]
    # That more of the same comes in is no reason to be told.
    system_running.alerts(upsert(1, revision=5))
    tag = client.get(PATH).headers["ETag"]
    assert [tick(services, moment) for moment in (until - 1, until, until)] == [0, 1, 0]
    assert client.get(PATH, headers={"If-None-Match": tag}).status_code == 200
    back = client.get(PATH).json()
    assert (back["snooze"], back["triage"]["state"], back["triage"]["by"]) == (None, "triaging", "lin")
    assert (ids(client.get("/api/alerts")), counted(client)) == ([2, 1], 2)
    assert kinds(client) == ["raised", "acknowledged", "snoozed", "woken_time"]
    entries = [(action, actor) for action, actor, _ in audited(system_running) if action in {"alert.snooze", "alert.wake"}]
    assert entries == [("alert.wake", "system"), ("alert.snooze", "lin")]


def test_a_clock_that_is_set_back_keeps_nothing_aside_for_longer(system_running: Running) -> None:
    system_running.alerts(upsert(1), upsert(2))
    client, services = system_running.signed_in(), system_running.services
    snoozed(client, until=iso(now() + HOUR))
    early = now() - 48 * HOUR
    assert [Looks(services).take_back(moment) for moment in (now(), early, early)] == [0, 1, 0]
    assert (ids(client.get("/api/alerts")), kinds(client)) == ([2, 1], ["raised", "snoozed", "woken_time"])


def story(*targets: str) -> dict[str, Any]:
    told: dict[str, Any] = {"id": "s", "sentence": {"en": "Who, what.", "zh-CN": "谁、什么。"}, "stages": [], "alerts": []}
    return {**told, "actors": ["10.0.0.1"], "targets": list(targets)}


@pytest.mark.parametrize(
    ("conditions", "before", "after", "why"),
    [
        (["asset"], with_body(1, story=story("10.0.1.1")), with_body(2, story=story("10.0.1.1")), None),
        (["asset"], with_body(1, story=story("10.0.1.1")), with_body(2, story=story("10.0.1.1", "10.0.1.2")), "asset"),
        (["rule"], upsert(1), with_related(1), "rule"),
        (["asset", "rule"], with_related(1, 2), with_related(1, 3, count=99), None),
        (["asset"], upsert(1), with_related(1), None),
        (["asset"], upsert(1, severity="low"), upsert(1, 2, severity="high"), "severity"),
        (["asset"], upsert(1, severity="high"), upsert(1, 2, severity="low"), None),
        # What belongs to it is told by nothing else.
        (["asset"], upsert(1), with_related(1, severity="critical"), "severity"),
        (["asset"], with_related(1, severity="critical"), with_related(1, 3, severity="critical"), None),
        (["asset"], upsert(1), with_related(1, rule="write_to_critical_point"), "rule"),
        (["asset"], with_related(1, rule="write_to_critical_point"), with_related(1, 3, rule="write_to_critical_point"), None),
    ],
)
def test_what_joins_an_alert_brings_it_back_if_it_was_named(
    system_running: Running, conditions: list[str], before: Revision, after: Revision, why: str | None
) -> None:
    system_running.alerts(before)
    client, services = system_running.signed_in(), system_running.services
    snoozed(client, conditions=conditions)
    assert tick(services) == 0
    system_running.alerts(after)
    assert [tick(services), tick(services)] == [int(why is not None), 0]
    assert kinds(client)[-1] == ("snoozed" if why is None else f"woken_{why}")


def test_a_function_that_its_records_did_not_have_brings_an_alert_back(
    system_running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = {**sample("modbus", 4), "modbus.function_code": [3, 3, 3, 16]}
    store(system_running, "modbus", columns)
    client, services = system_running.signed_in(), system_running.services
    system_running.alerts(with_body(1, records=[identity(0)]))
    snoozed(client, conditions=["function"])
    system_running.alerts(with_body(2, records=[identity(0), identity(1)]))
    assert tick(services) == 0
    with services.database.read() as session:
        assert snoozing.Snoozed(services.records).due(session, now()) == [], "what was looked at is not looked at again"
    assert client.get(PATH).json()["snooze"] is not None
    system_running.alerts(with_body(3, records=[identity(row) for row in range(4)]))
    real = snoozing.functions

    def away(*given: object) -> list[str]:
        raise Problem("records_missing", reason="away")

    # What cannot be read now is looked at again.
    monkeypatch.setattr(snoozing, "functions", away)
    assert tick(services) == 0
    monkeypatch.setattr(snoozing, "functions", real)
    assert [tick(services), tick(services)] == [1, 0]
    assert kinds(client)[-1] == "woken_function"
    snoozed(client, conditions=["function"])
    system_running.alerts(with_body(4, records=[identity(0)], related=with_related(1, severity="critical").body["related"]))
    monkeypatch.setattr(snoozing, "functions", away)
    assert tick(services) == 1, "what needs no records is looked at all the same"
    assert kinds(client)[-1] == "woken_severity"


def test_many_that_cannot_be_looked_at_keep_no_other_up(system_running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snoozing, "LOOKED_AT", 2)
    numbers = range(1, 6)
    system_running.alerts(*(upsert(number) for number in numbers))
    client = system_running.signed_in()
    said: dict[str, Any] = {"note": "x", "until": iso(now() + HOUR), "conditions": ["function"]}
    assert {decide(client, number, "snooze", said).status_code for number in numbers} == {200}

    def away(*given: object) -> list[str]:
        raise Problem("records_missing", reason="away")

    monkeypatch.setattr(snoozing, "functions", away)
    system_running.alerts(*(upsert(number, 2) for number in numbers[:4]), with_related(5, severity="critical"))
    looks = Looks(system_running.services)
    assert [looks.look() for _ in range(4)] == [0, 0, 1, 0]


def test_nothing_is_laid_aside_that_joined_since_it_was_seen(system_running: Running) -> None:
    system_running.alerts(upsert(1))
    client, body = system_running.signed_in(), {"note": "x", "until": iso(now() + HOUR)}
    tag = client.get(PATH).headers["ETag"]
    system_running.alerts(with_related(1, rule="write_to_critical_point"))
    answer = decide(client, 1, "snooze", body, tag)
    assert (answer.status_code, answer.json()["code"]) == (412, "precondition_failed")
    tag = client.get(PATH).headers["ETag"]
    # That more of the same comes in is no conflict.
    system_running.alerts(with_related(1, 3, 99, rule="write_to_critical_point"))
    assert decide(client, 1, "snooze", body, tag).status_code == 200


def test_a_time_that_is_over_or_far_away_and_no_end_at_all_are_refused(system_running: Running) -> None:
    system_running.alerts(upsert(1))
    client = system_running.signed_in()
    for until in (iso(now() - HOUR), iso(now() + 31 * 24 * HOUR)):
        answer = decide(client, 1, "snooze", {"note": "x", "until": until})
        assert (answer.status_code, answer.json()["code"]) == (422, "snooze_times")
    assert decide(client, 1, "snooze", {"note": "x"}).json()["code"] == "input_invalid"
    least = now() + (snoozing.MOST_DAYS - 1) * 24 * HOUR
    assert snoozed(client, conditions=["asset"])["snooze"]["until"] > iso(least), "it ends even if nothing joins it"


def test_a_snooze_needs_the_alert_as_it_is_now_and_ends_with_any_decision(system_running: Running) -> None:
    system_running.alerts(upsert(1))
    client = system_running.signed_in()
    body = {"note": "x", "until": iso(now() + HOUR)}
    assert client.post(f"{PATH}/snooze", json=body).json()["code"] == "precondition_required"
    tag = client.get(PATH).headers["ETag"]
    assert decide(client, 1, "snooze", body, tag).status_code == 200
    assert decide(client, 1, "close", {"disposition": "duplicate", "note": "x"}, tag).json()["code"] == "precondition_failed"
    assert decide(client, 1, "wake", {"note": "it is time"}).json()["snooze"] is None
    again = decide(client, 1, "wake", {"note": "x"})
    assert (again.status_code, again.json()["code"]) == (409, "alert_not_snoozed")
    snoozed(client, until=body["until"])
    assert decide(client, 1, "acknowledge", {"note": "mine"}).json()["snooze"] is None
    assert kinds(client) == ["raised", "snoozed", "woken", "snoozed", "acknowledged"]
    assert decide(client, 1, "close", {"disposition": "duplicate", "note": "x"}).status_code == 200
    assert decide(client, 1, "snooze", body).json()["code"] == "alert_state"
