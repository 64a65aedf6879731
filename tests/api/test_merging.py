"""Alerts that people let one of them tell, and take out of it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api.alerts import upserts
from api.times import NANOSECONDS, iso, now
from tests.api.alerts import part_of, upsert, with_related
from tests.api.looks import tick
from tests.api.test_alerts import counted, decide, ids

if TYPE_CHECKING:
    import httpx

    from tests.api.conftest import Running

CLOSE = {"note": "x", "disposition": "false_positive"}


def path(number: int) -> str:
    return f"/api/alerts/{number:032x}"


def merged(client: httpx.Client, number: int, *others: int, **versions: int) -> httpx.Response:
    """Merge alerts into one, as they are seen now unless a version is given for all."""
    seen = [
        {"id": f"{each:032x}", "version": versions.get("version", shown(client, each)["triage"]["version"])} for each in others
    ]
    tag = client.get(path(number)).headers["ETag"]
    return client.post(f"{path(number)}/merge", json={"alerts": seen, "note": "one cause"}, headers={"If-Match": tag})


def shown(client: httpx.Client, number: int) -> dict[str, Any]:
    return client.get(path(number)).json()


def undone(client: httpx.Client, number: int, merge: int) -> httpx.Response:
    tag = client.get(path(number)).headers["ETag"]
    return client.post(f"{path(number)}/merges/{merge}/undo", headers={"If-Match": tag})


def steps(client: httpx.Client, number: int) -> list[tuple[str, int | None]]:
    history = client.get(f"{path(number)}/history").json()
    return [(each["kind"], each["other"] and int(each["other"], 16)) for each in history]


def state(client: httpx.Client, *numbers: int) -> list[dict[str, Any]]:
    """All that an alert says, but how often it changed."""
    counting: dict[str, Any] = {"change": 0, "updated_at": ""}
    return [{**(alert := shown(client, number)), **counting, "triage": {**alert["triage"], "version": 0}} for number in numbers]


def test_merged_alerts_are_told_by_the_one_that_stays_and_by_nothing_else(system_running: Running) -> None:
    system_running.alerts(
        upsert(1, rank=10.0, severity="low"), upsert(2, rank=90.0, severity="critical"), upsert(3, rank=20.0), upsert(4, rank=5.0)
    )
    client = system_running.signed_in(name="lin")
    assert decide(client, 3, "acknowledge", {"note": "mine"}).status_code == 200
    answer = merged(client, 1, 2, 3)
    assert answer.status_code == 200, answer.text
    item = answer.json()
    assert (item["severity"], item["rank"], item["triage"]["state"], item["triage"]["by"]) == (
        "critical",
        90.0,
        "triaging",
        "lin",
    )
    assert (ids(client.get("/api/alerts")), counted(client)) == ([1, 4], 2)
    assert ids(client.get("/api/alerts", params={"state": "triaging"})) == [1]
    assert ids(client.get("/api/alerts", params={"severity": "critical"})) == [1]
    # Whoever keeps a copy hears of all.
    changed = {"updated_since": "-24h", "sort": "updated_at"}
    assert sorted(ids(client.get("/api/alerts", params=changed))) == [1, 2, 3, 4]
    whole = shown(client, 1)
    assert whole["own_severity"] == "low"
    assert [(each["id"][-1], each["severity"], each["state"]) for each in whole["merged"]] == [
        ("2", "critical", "new"), ("3", "high", "triaging"),
    ]  # fmt: skip
    part = shown(client, 3)
    assert (part["part_of"], part["merged_into"], part["triage"]["by"]) == (f"{1:032x}", f"{1:032x}", "lin")
    assert (steps(client, 3)[-1], steps(client, 1)[1:]) == (
        ("merged", 1),
        [("acknowledged", None), ("took_in", 2), ("took_in", 3)],
    )
    lines = system_running.signed_in("administrator").get("/api/audit", params={"action": "alert.merge"}).json()["items"]
    assert [(line["actor"], line["subject"], len(line["detail"]["alerts"])) for line in lines] == [("lin", f"{1:032x}", 2)]
    # The situation has it once, as severe as it is told.
    told = client.get("/api/situation").json()
    assert [alert["id"] for alert in told["alerts"]] == [f"{1:032x}", f"{4:032x}"]


def test_what_goes_on_is_told_by_the_one_that_stays_which_opens_again(system_running: Running) -> None:
    system_running.alerts(upsert(1, severity="low", rank=1.0), upsert(2, rank=2.0))
    client = system_running.signed_in()
    assert merged(client, 1, 2).status_code == 200
    assert decide(client, 1, "close", CLOSE).status_code == 200
    # Its own revision leaves it as severe as it is shown; one of the other that says no more does not open it.
    system_running.alerts(upsert(1, 2, severity="low", rank=1.5, count=1), upsert(2, 2, rank=8.0, count=1))
    item = shown(client, 1)
    assert (item["triage"]["state"], item["severity"], item["rank"]) == ("closed", "high", 8.0)
    before = item["change"]
    system_running.alerts(upsert(2, 3, severity="critical", rank=9.0))
    item = shown(client, 1)
    assert (item["triage"]["state"], item["severity"], item["rank"], item["merged"][0]["count"]) == (
        "triaging",
        "critical",
        9.0,
        3,
    )
    assert item["change"] > before
    assert (shown(client, 2)["triage"]["state"], shown(client, 2)["part_of"]) == ("new", f"{1:032x}")
    assert ids(client.get("/api/alerts")) == [1]
    assert steps(client, 1)[-1] == ("recurred", None)


def test_detection_puts_back_nothing_that_a_person_took_out_and_undo_does(system_running: Running) -> None:
    system_running.alerts(upsert(1), upsert(2))
    system_running.alerts(part_of(2, 1))
    client = system_running.signed_in()
    assert ids(client.get("/api/alerts")) == [1]
    before = state(client, 1, 2)
    assert decide(client, 1, "detach", {"note": "x"}).json()["code"] == "alert_not_merged"
    answer = decide(client, 2, "detach", {"note": "another laptop"})
    assert (answer.status_code, answer.json()["part_of"], answer.json()["detached_from"]) == (200, None, f"{1:032x}")
    system_running.alerts(part_of(2, 1, 3), part_of(2, 1, 4))
    assert (ids(client.get("/api/alerts")), counted(client)) == ([2, 1], 2)
    (line,) = client.get(f"{path(2)}/merges").json()
    assert (line["kind"], line["alert"], line["parts"]) == ("detach", f"{1:032x}", [f"{2:032x}"])
    assert client.get(f"{path(1)}/merges").json() == [line]
    assert undone(client, 2, line["number"]).status_code == 200
    assert ids(client.get("/api/alerts")) == [1]
    system_running.alerts(part_of(2, 1, 5))
    now_is = state(client, 1, 2)
    grown = {name: now_is[1][name] for name in ("revision", "count", "last_seen")}
    assert now_is == [before[0], {**before[1], **grown}]
    assert [steps(client, number)[-1] for number in (1, 2)] == [("let_go", 2), ("undone", 1)]


def test_undo_puts_back_what_was_before_also_of_what_had_taken_in_others(system_running: Running) -> None:
    system_running.alerts(*(upsert(number, rank=10.0 * number) for number in range(1, 5)))
    client = system_running.signed_in(name="lin")
    first = state(client, 1, 2, 3, 4)
    assert merged(client, 2, 1).status_code == 200
    second = state(client, 1, 2, 3, 4)
    assert merged(client, 3, 2, 4).status_code == 200
    # What 2 had taken in is told by 3 now, and 2 by itself is what detection says.
    assert [shown(client, number)["merged_into"] for number in (1, 2, 4)] == [f"{3:032x}"] * 3
    assert (shown(client, 2)["rank"], shown(client, 2)["own_severity"], shown(client, 3)["rank"]) == (20.0, None, 40.0)
    numbers = [each["number"] for each in client.get(f"{path(2)}/merges").json()]
    assert undone(client, 2, numbers[1]).json()["code"] == "merge_changed"
    assert merged(client, 4, 3).json()["code"] == "alert_merged"
    assert undone(client, 3, numbers[0]).status_code == 200
    assert state(client, 1, 2, 3, 4) == second
    assert undone(client, 3, numbers[0]).json()["code"] == "merge_changed"
    assert undone(client, 1, numbers[1]).status_code == 200
    assert state(client, 1, 2, 3, 4) == first
    assert undone(client, 3, numbers[1]).json()["code"] == "merge_unknown"
    assert client.post(f"{path(1)}/merges/{numbers[1]}/undo").json()["code"] == "precondition_required"
    # What was decided since stays, and what a person detached goes back only into what is open.
    assert merged(client, 2, 1).status_code == 200
    assert decide(client, 1, "detach", {"note": "x"}).status_code == 200
    detached, again = (each["number"] for each in client.get(f"{path(1)}/merges").json()[:2])
    assert undone(client, 2, again).json()["code"] == "merge_changed"
    assert decide(client, 2, "close", CLOSE).status_code == 200
    assert undone(client, 1, detached).json()["code"] == "alert_state"
    assert shown(client, 1)["part_of"] is None


def test_undo_puts_nothing_under_what_nobody_sees_or_another_tells(system_running: Running) -> None:
    system_running.alerts(*(upsert(number, severity="critical" if number == 1 else "low") for number in range(1, 5)))
    client = system_running.signed_in(name="lin")
    assert merged(client, 2, 1).status_code == 200
    assert decide(client, 1, "detach", {"note": "x"}).status_code == 200
    detached = client.get(f"{path(1)}/merges").json()[0]["number"]
    assert decide(client, 2, "snooze", {"note": "x", "until": iso(now() + 3600 * NANOSECONDS)}).status_code == 200
    assert undone(client, 1, detached).json()["code"] == "merge_changed", "it would be away until tomorrow"
    assert decide(client, 2, "wake", {"note": "x"}).status_code == 200
    assert merged(client, 1, 3).status_code == 200
    taken = client.get(f"{path(3)}/merges").json()[0]["number"]
    assert undone(client, 1, detached).json()["code"] == "merge_changed", "3 would be told by one that 2 tells"
    assert merged(client, 4, 2).status_code == 200
    assert undone(client, 1, taken).status_code == 200
    assert undone(client, 1, detached).json()["code"] == "merge_changed", "2 is told by 4"
    assert sorted(ids(client.get("/api/alerts"))) == [1, 3, 4]
    assert undone(client, 2, client.get(f"{path(2)}/merges").json()[0]["number"]).status_code == 200
    change = shown(client, 2)["change"]
    assert undone(client, 1, detached).status_code == 200
    assert (sorted(ids(client.get("/api/alerts"))), shown(client, 2)["severity"]) == ([2, 3, 4], "critical")
    assert shown(client, 2)["change"] > change


def test_undo_puts_nothing_back_under_what_was_closed_while_another_told_it(system_running: Running) -> None:
    system_running.alerts(*(upsert(number) for number in range(1, 4)))
    client = system_running.signed_in(name="lin")
    assert merged(client, 2, 1).status_code == 200
    assert merged(client, 3, 2).status_code == 200
    assert decide(client, 2, "close", CLOSE).status_code == 200
    number = client.get(f"{path(3)}/merges").json()[0]["number"]
    assert undone(client, 3, number).json()["code"] == "alert_state"
    assert ids(client.get("/api/alerts")) == [3]


def test_what_cannot_be_merged_is_refused_and_nothing_is_changed(system_running: Running) -> None:
    with system_running.services.database.write() as session:
        upserts.apply(session, [upsert(5)], "south")
    system_running.alerts(*(upsert(number) for number in range(1, 5)))
    client = system_running.signed_in()
    assert decide(client, 3, "close", CLOSE).status_code == 200
    assert client.post("/api/incidents", json={"title": "x", "site": "", "alerts": [f"{4:032x}"]}).status_code == 201
    before = state(client, 1, 2, 3, 4, 5)
    for number, others, code in (
        (1, [2, 5], "alert_merge_sites"), (1, [2, 1], "alert_merge_unfit"), (1, [2, 3], "alert_state"), (3, [2], "alert_state"),
        (1, [2, 4], "alert_escalated"),
    ):  # fmt: skip
        assert merged(client, number, *others).json()["code"] == code, (number, others)
    assert merged(client, 1, 2, version=7).json()["code"] == "precondition_failed"
    unseen: dict[str, Any] = {"alerts": [{"id": f"{9:032x}", "version": 0}], "note": "x"}
    assert decide(client, 1, "merge", unseen).json()["code"] == "alert_unknown"
    assert decide(client, 1, "merge", unseen, '"1.7.en"').json()["code"] == "precondition_failed"
    assert state(client, 1, 2, 3, 4, 5) == before
    # One of another site is not there for who has one site.
    north = system_running.signed_in(sites=frozenset({""}))
    body: dict[str, Any] = {"alerts": [{"id": f"{5:032x}", "version": 0}], "note": "x"}
    assert decide(north, 1, "merge", body).json()["code"] == "alert_unknown"
    # Into one of an incident it can be: that is open.
    assert merged(client, 4, 2).json()["triage"]["state"] == "escalated"


def test_one_that_is_laid_aside_comes_back_for_what_it_took_in(system_running: Running) -> None:
    system_running.alerts(upsert(1, severity="low"), upsert(2, severity="low"))
    client = system_running.signed_in()
    assert merged(client, 1, 2).status_code == 200
    aside: dict[str, Any] = {"note": "x", "conditions": ["rule"]}
    assert decide(client, 1, "snooze", aside).status_code == 200
    system_running.alerts(upsert(2, 2, severity="low"))
    assert tick(system_running.services, now()) == 0
    assert ids(client.get("/api/alerts")) == []
    system_running.alerts(upsert(2, 3, severity="low", body=with_related(2).body))
    assert tick(system_running.services, now()) == 1
    assert (ids(client.get("/api/alerts")), steps(client, 1)[-1]) == ([1], ("woken_rule", None))
    assert decide(client, 1, "snooze", aside).status_code == 200
    system_running.alerts(upsert(2, 4, severity="critical"))
    assert tick(system_running.services, now()) == 1
    assert (steps(client, 1)[-1], shown(client, 1)["severity"]) == (("woken_severity", None), "critical")
