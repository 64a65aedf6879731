"""How the plant is: now, at a past time, for whom, and at once however many alerts there are."""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event, Thread
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from api.alerts import service as alerts
from api.alerts.models import AlertEvent
from api.audit.service import Actor
from api.situation import load
from api.situation.kept import Kept
from api.times import NANOSECONDS, iso, now
from tests.api.alerts import part_of, upsert
from tests.api.test_topology import PLAN
from tests.api.traffic import HMI, PLC, Recorded, flows, plant
from tests.batches import START
from tests.detection.test_live_learning import live, polls

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from detection.alerts import Alert
    from detection.baseline.detector import BaselineState
    from tests.api.conftest import Running

MINUTE = 60 * NANOSECONDS


def told(number: int, minutes_ago: float = 5, **changes: Any) -> Alert:
    """An alert that began so long ago."""
    at = now() - int(minutes_ago * MINUTE)
    said: dict[str, Any] = {"first_seen": at, "last_seen": at + NANOSECONDS, "client_ip": "10.0.9.9", "server_ip": PLC}
    return upsert(number, **{**said, **changes})


def with_story(number: int, *others: int, **changes: Any) -> Alert:
    stages = [
        {"tactic": "discovery", "name": {"en": "Discovery", "zh-CN": "发现"}, "techniques": ["T0888"], "first_seen": START},
        {"tactic": "impair-process-control", "name": {"en": "Impair Process Control", "zh-CN": "损害过程控制"},
         "techniques": ["T0836"], "first_seen": START},
    ]  # fmt: skip
    story = {
        "id": f"{number:032x}", "sentence": {"en": "First this, then that.", "zh-CN": "先此后彼。"}, "stages": stages,
        "alerts": [f"{each:032x}" for each in (number, *others)], "actors": ["10.0.9.9"], "targets": [PLC],
    }  # fmt: skip
    body = {**upsert(number).body, "story": story, "target": {"modbus.unit_id": "1", "modbus.address": "100"}}
    return told(number, body=body, **changes)


def situation(client: Any, **asked: Any) -> dict[str, Any]:
    answer = client.get("/api/situation", params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def counts(found: dict[str, Any]) -> dict[tuple[str, str], int]:
    return {
        (each["severity"], state): each[state]
        for each in found["counts"]
        for state in ("new", "triaging", "escalated")
        if each[state]
    }


def test_a_quiet_plant_is_quiet(system_running: Running) -> None:
    found = situation(system_running.signed_in("viewer"))
    assert (found["standing"], found["past"], found["limited"], found["furthest"]) == ("quiet", False, False, None)
    assert (found["stories"], found["alerts"], found["assets"], found["incidents"], found["stages"]) == ([], [], [], [], [])
    assert (found["load"]["verdict"], found["load"]["day"], found["blindness"]["readable"]) == ("within", 0, True)
    assert found["baseline"] == []


def test_open_alerts_tell_what_is_attacked_and_where(system_running: Running) -> None:
    client = system_running.signed_in("engineer")
    client.put("/api/zones", json=PLAN, headers={"If-Match": '"0"'})
    client.post("/api/assets", json={"name": "Pump", "addresses": [PLC], "criticality": "critical", "role": "plc"})
    system_running.alerts(
        with_story(1, 2, rank=90.0),
        told(2, rank=80.0, severity="medium", client_ip=HMI),
        told(3, rank=95.0, severity="low", client_ip="10.0.9.9", server_ip=None),
        part_of(4, 1),
    )
    with system_running.services.database.write() as session:
        alerts.acknowledge(session, alerts.get(session, f"{2:032x}"), Actor("lin"), "asking")
    found = situation(client)
    assert found["standing"] == "attacked"
    assert counts(found) == {("high", "new"): 1, ("medium", "triaging"): 1, ("low", "new"): 1}
    assert [(alert["id"], alert["state"], alert["by"]) for alert in found["alerts"]] == [
        (f"{3:032x}", "new", None), (f"{1:032x}", "new", None), (f"{2:032x}", "triaging", "lin"),
    ]  # fmt: skip
    (story,) = found["stories"]
    assert (story["sentence"], story["alerts"], story["stages"][-1]) == ("First this, then that.", 1, "Impair Process Control")
    assets = {asset["address"]: asset for asset in found["assets"]}
    assert assets.keys() == {"10.0.9.9", HMI, PLC}
    pump = assets[PLC]
    assert (pump["name"], pump["criticality"], pump["zone"], pump["level"], pump["suffers"], pump["acts"], pump["severity"]) == (
        "Pump", "critical", "Cell", "1", 2, 0, "high",
    )  # fmt: skip
    zones = {zone["name"]: zone for zone in found["zones"]}
    assert [(zones[name]["standing"], zones[name]["alerts"]) for name in ("Cell", "Supervision", None)] == [
        ("attacked", 2), ("noticed", 1), ("attacked", 2),
    ]  # fmt: skip
    assert zones["Cell"]["assets"] == 1
    (conduit,) = found["conduits"]
    assert (conduit["zones"], conduit["declared"], conduit["standing"]) == (["Cell", "Supervision"], True, "noticed")
    levels = {level["level"]: level["standing"] for level in found["levels"]}
    assert (levels["1"], levels["2"], levels["4"], levels[None]) == ("attacked", "noticed", "quiet", "attacked")
    assert [(point["server"], point["point"]) for point in found["points"]] == [(PLC, "100@1")]
    assert [(stage["tactic"], stage["alerts"]) for stage in found["stages"]] == [("impair-process-control", 3)]
    chinese = situation(client, language="zh-CN")
    assert (chinese["stories"][0]["sentence"], chinese["alerts"][0]["title"]) == ("先此后彼。", "告警 3")


def test_zones_without_a_conduit_between_them_are_told_when_alerts_cross(system_running: Running) -> None:
    client = system_running.signed_in("engineer")
    client.put("/api/zones", json={**PLAN, "conduits": []}, headers={"If-Match": '"0"'})
    assert situation(client)["conduits"] == []
    system_running.alerts(told(1, client_ip=HMI))
    assert [(each["zones"], each["declared"]) for each in situation(client)["conduits"]] == [(["Cell", "Supervision"], False)]


def test_what_an_exception_hides_or_is_closed_is_not_open(system_running: Running) -> None:
    system_running.alerts(told(1), told(2, body={**upsert(2).body, "exception": {"name": "night-copy"}}))
    client = system_running.signed_in()
    assert counts(situation(client)) == {("high", "new"): 1}
    assert situation(client)["load"]["day"] == 1
    tag = client.get(f"/api/alerts/{1:032x}").headers["ETag"]
    body = {"disposition": "false_positive", "note": "x"}
    assert client.post(f"/api/alerts/{1:032x}/close", json=body, headers={"If-Match": tag}).status_code == 200
    found = situation(client)
    assert (counts(found), found["standing"]) == ({}, "quiet")
    assert (found["changes"]["closed"], found["changes"]["acknowledged"], found["changes"]["raised"]) == (1, 1, 2)


def test_the_situation_of_a_past_time_is_what_it_was(system_running: Running) -> None:
    client = system_running.signed_in("engineer")
    system_running.alerts(told(1, 50), told(2, 40))
    begin = now()
    client.post("/api/assets", json={"name": "Late", "addresses": [PLC]})
    with system_running.services.database.write() as session:
        # As if it had all been told when it happened.
        for number, minutes in ((1, 50), (2, 40)):
            at = begin - minutes * MINUTE
            session.execute(sa.update(AlertEvent).where(AlertEvent.alert_id == f"{number:032x}").values(at=at))
    moments = [now()]
    with system_running.services.database.write() as session:
        alerts.acknowledge(session, alerts.get(session, f"{1:032x}"), Actor("lin"), "asking")
    moments.append(now())
    tag = client.get(f"/api/alerts/{1:032x}").headers["ETag"]
    client.post(f"/api/alerts/{1:032x}/close", json={"disposition": "false_positive", "note": "x"}, headers={"If-Match": tag})
    moments.append(now())
    assert counts(situation(client, as_of=iso(begin - 60 * MINUTE))) == {}
    assert counts(situation(client, as_of=iso(begin - 45 * MINUTE))) == {("high", "new"): 1}
    before, while_triaging, after = (situation(client, as_of=iso(each)) for each in moments)
    assert counts(before) == {("high", "new"): 2}
    assert counts(while_triaging) == {("high", "new"): 1, ("high", "triaging"): 1}
    assert counts(after) == counts(situation(client)) == {("high", "new"): 1}
    assert (before["past"], before["baseline"]) == (True, None)
    # Nobody had registered it an hour ago.
    assert {asset["asset"] for asset in situation(client, as_of=iso(begin - 45 * MINUTE))["assets"]} == {None}
    assert any(asset["asset"] for asset in before["assets"])
    assert situation(client, as_of=iso(begin - 45 * MINUTE))["load"]["day"] == 1


def test_alarms_are_held_against_what_a_person_can_deal_with(system_running: Running) -> None:
    client = system_running.signed_in()
    at = (now() // (600 * NANOSECONDS) - 6) * 600 * NANOSECONDS
    flood = [upsert(number, first_seen=at + number * NANOSECONDS, last_seen=at + 100 * NANOSECONDS) for number in range(12)]
    system_running.alerts(*flood, told(20, 60 * 30))
    found = situation(client)["load"]
    assert (found["day"], found["worst_ten_minutes"], found["floods"], found["verdict"]) == (12, 12, 1, "strained")
    assert (found["worst_at"], found["day_limit"], found["ten_minutes_limit"]) == (iso(at), 144, 10)
    assert (sum(found["hours"]), len(found["hours"])) == (12, 24)


@pytest.mark.parametrize(
    ("day", "worst", "verdict"),
    [(144, 10, "within"), (145, 1, "strained"), (12, 11, "strained"), (289, 1, "over"), (30, 21, "over")],
)
def test_the_verdict_on_the_load_goes_by_the_worse_figure(day: int, worst: int, verdict: str) -> None:
    assert load.verdict(day, worst) == verdict


def test_hours_are_counted_back_from_the_moment() -> None:
    until = 1_000_000 * 3600
    buckets = {(until - 60) // 600: 2, (until - 3 * 3600) // 600 - 1: 5, (until - 23 * 3600 - 1800) // 600: 7}
    hours = load.hours_of(buckets, until)
    assert (hours[23], hours[20], hours[0], sum(hours)) == (2, 5, 7, 14)


def test_incidents_stand_with_the_time_that_their_clocks_have_run(system_running: Running) -> None:
    client = system_running.signed_in("responder")
    discovered = iso(now() - 90 * MINUTE)
    body = {
        "title": "Writes to the filling line",
        "reported_by": "Shift B, by phone",
        "discovered_at": discovered,
    }
    made = client.post("/api/incidents", json=body)
    assert made.status_code == 201, made.text
    found = situation(client)
    (incident,) = found["incidents"]
    assert (incident["title"], incident["state"], incident["discovered_at"]) == (body["title"], "declared", discovered)
    assert 90 * 60 <= incident["seconds"] < 90 * 60 + 60
    assert found["changes"]["incidents_declared"] == 1
    grade = {"scheme": "cac-2025", "level": 3, "reason": "as the facts say"}
    graded = client.post(f"/api/incidents/{incident['number']}/grade", json=grade, headers={"If-Match": "*"})
    assert graded.status_code == 200, graded.text
    (incident,) = situation(client)["incidents"]
    running = [clock for clock in incident["clocks"] if clock["due_at"] is not None]
    reports = {each["id"]: each for each in client.get(f"/api/incidents/{incident['number']}/obligations").json()}
    assert running
    assert [clock["due_at"] for clock in running] == sorted(clock["due_at"] for clock in running)
    assert all(reports[clock["obligation"]]["due_at"] == clock["due_at"] for clock in running)
    assert incident["grade"] == 3
    assert situation(client, as_of=iso(now() - 30 * MINUTE))["incidents"] == []


def test_incidents_of_a_past_time_are_as_they_were(system_running: Running) -> None:
    client = system_running.signed_in("administrator")
    begun = {"title": "Writes", "reported_by": "Shift B", "discovered_at": iso(now() - 90 * MINUTE)}
    number = client.post("/api/incidents", json=begun).json()["number"]
    moments = [now()]

    def step(action: str, body: dict[str, object]) -> None:
        answer = client.post(f"/api/incidents/{number}/{action}", json=body, headers={"If-Match": "*"})
        assert answer.status_code in {200, 201}, answer.text
        moments.append(now())

    step("grade", {"scheme": "cac-2025", "level": 3, "reason": "as the facts say"})
    step("move", {"to": "analysing", "reason": "begun"})
    step("hold", {"until": iso(now() + 60 * MINUTE), "reason": "wait for the vendor"})
    step("resume", {"reason": "the vendor is here"})
    step("grade", {"scheme": "cac-2025", "level": 2, "reason": "more is known"})
    step("close", {"disposition": "true_positive_no_impact", "reason": "over", "override": "nothing was lost"})
    step("reopen", {"reason": "it goes on"})
    then = [situation(client, as_of=iso(moment))["incidents"] for moment in moments]
    assert [[(each["state"], each["grade"], each["on_hold"]) for each in found] for found in then] == [
        [("declared", None, False)],
        [("declared", 3, False)],
        [("analysing", 3, False)],
        [("analysing", 3, True)],
        [("analysing", 3, False)],
        [("analysing", 2, False)],
        [],
        [("analysing", 2, False)],
    ]
    assert then[0][0]["clocks"] == []
    clocks = then[1][0]["clocks"]
    assert clocks
    assert {clock["state"] for clock in clocks} == {None}
    due = [clock["due_at"] for clock in clocks if clock["due_at"] is not None]
    assert due
    assert due == sorted(due)


def test_what_is_open_stays_in_sight_when_the_clock_is_set_back(system_running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    client = system_running.signed_in("administrator")
    client.put("/api/zones", json=PLAN, headers={"If-Match": '"0"'})
    client.post("/api/assets", json={"name": "Pump", "addresses": [PLC]})
    client.post("/api/incidents", json={"title": "Writes", "reported_by": "Shift B", "discovered_at": iso(now() - 90 * MINUTE)})
    system_running.alerts(told(1, 90))
    monkeypatch.setattr("api.situation.service.now", lambda: now() - 60 * MINUTE)
    found = situation(client)
    assert [each["title"] for each in found["incidents"]] == ["Writes"]
    assert found["changes"]["incidents_declared"] == found["changes"]["assets"] == 1
    assert ("Pump", "Cell") in [(asset["name"], asset["zone"]) for asset in found["assets"]]


def test_an_asset_of_a_site_that_was_never_heard_is_in_the_situation(system_running: Running) -> None:
    system_running.services.site = None
    client = system_running.signed_in("engineer")
    for site in ("waterworks", "steelworks"):
        assert client.post("/api/assets", json={"name": "Pump", "addresses": [PLC], "site": site}).status_code == 201
    assert client.put("/api/zones", params={"site": "steelworks"}, json=PLAN, headers={"If-Match": '"0"'}).status_code == 200
    found = situation(client)
    assert [(zone["site"], zone["name"], zone["assets"]) for zone in found["zones"]] == [
        ("steelworks", "Cell", 1), ("steelworks", "Supervision", 0),
    ]  # fmt: skip
    assert situation(client, site="waterworks")["standing"] == "quiet"


def test_what_is_not_seen_is_told(system_running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    store = system_running.services.records
    recorded = plant(store)
    at = now() - 10 * NANOSECONDS
    recorded.write("flow", flows(HMI, PLC, "tls", rows=1, start=at))
    recorded.write(
        "flow", {**flows(HMI, PLC, "modbus", rows=3, start=at), "flow.state": ["one_sided", "midstream", "established"]}
    )
    drops = [[{"name": "unknown_link_type", "count": 5}, {"name": "other", "count": 0}]]
    recorded.write("sensor", {"ts": [at], "sensor.packets": [9], "sensor.bytes": [9], "sensor.flows": [1], "sensor.drops": drops})
    client = system_running.signed_in("viewer")
    found = situation(client)["blindness"]
    assert [(each["sensor"], each["dropped"], each["causes"]) for each in found["sensors"]] == [
        ("local", 5, ["unknown_link_type"])
    ]
    assert {each["reason"]: (each["records"], each["share"]) for each in found["unseen"]} == {
        "encrypted": (1, 0.25), "one_sided": (1, 0.25), "midstream": (1, 0.25),
    }  # fmt: skip
    then = situation(client, as_of=iso(START + 3600 * NANOSECONDS))["blindness"]
    assert (then["sensors"], then["unseen"], then["silent"], then["gaps"]) == ([], [], None, None)
    monkeypatch.setattr("api.situation.seeing.SEEN_SECONDS", 0.0)
    monkeypatch.setattr("api.situation.service.seeing.SEEN_SECONDS", 0.0)
    store.close()
    assert situation(client)["blindness"]["readable"] is False


def test_how_mature_it_is_what_is_normal_is_told(system_running: Running) -> None:
    state: BaselineState = live(polls(0, 6))[0]
    system_running.services.learned = lambda: {"": [(("north", "e"), state, None)]}
    (found,) = situation(system_running.signed_in("viewer"))["baseline"]
    assert (found["sensor"], found["phase"], found["learning"], found["promise_holds"]) == ("north", "proposed", False, None)


def test_who_is_limited_to_a_site_sees_the_situation_of_that_site(system_running: Running) -> None:
    from api.alerts import upserts  # noqa: PLC0415  as the stream of each site brings them

    services = system_running.services
    with services.database.write() as session:
        upserts.apply(session, [told(1)], "north")
        upserts.apply(session, [told(2, client_ip="10.0.9.8"), told(3)], "south")
    services.learned = dict
    Recorded(services.records, sensor="s").write("flow", flows(HMI, PLC, "tls", rows=1, start=now() - NANOSECONDS))
    everything = situation(system_running.signed_in("viewer"))
    assert counts(everything) == {("high", "new"): 3}
    assert counts(situation(system_running.signed_in("viewer"), site="south")) == {("high", "new"): 2}
    limited = system_running.signed_in("viewer", sites=frozenset({"north"}))
    found = situation(limited)
    assert counts(found) == {("high", "new"): 1}
    assert (found["load"]["day"], found["changes"]["raised"]) == (1, 1)
    # No sensor is known to be of its site: it sees no record.
    assert found["blindness"]["unseen"] == []
    assert limited.get("/api/situation", params={"site": "south"}).json()["code"] == "site_unknown"
    for path in ("/api/topology", "/api/points", "/api/assets/observed", "/api/zones"):
        assert limited.get(path, params={"site": "south"}).json()["code"] == "site_unknown", path
    assert limited.get("/api/topology").json()["edges"] == []
    engineer = system_running.signed_in("engineer", sites=frozenset({"north"}))
    assert engineer.post("/api/assets", json={"name": "x", "site": "south"}).json()["code"] == "site_unknown"
    made = engineer.post("/api/assets", json={"name": "x", "addresses": [PLC]})
    assert (made.status_code, made.json()["site"]) == (201, "north")


def test_points_of_two_sites_with_one_address_are_two(system_running: Running) -> None:
    from api.alerts import upserts  # noqa: PLC0415  as the stream of each site brings them

    with system_running.services.database.write() as session:
        upserts.apply(session, [with_story(1)], "north")
        upserts.apply(session, [with_story(2)], "south")
    found = situation(system_running.signed_in("viewer"))
    assert [(point["site"], point["point"], point["alerts"]) for point in found["points"]] == [
        ("south", "100@1", 1), ("north", "100@1", 1),
    ]  # fmt: skip
    assert [(story["site"], story["id"]) for story in found["stories"]] == [("south", f"{2:032x}"), ("north", f"{1:032x}")]


def test_more_alerts_than_are_looked_at_are_counted(system_running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.situation.collected.LOOKED", 5)
    system_running.alerts(*(told(number) for number in range(12)))
    found = situation(system_running.signed_in("viewer"))
    assert (counts(found), found["limited"]) == ({("high", "new"): 12}, True)
    assert [alert["id"] for alert in found["alerts"]] == [f"{number:032x}" for number in range(11, 6, -1)]


def test_an_answer_that_is_kept_is_made_once_however_many_ask() -> None:
    kept, made = Kept(), list[int]()

    def make() -> int:
        time.sleep(0.05)
        made.append(1)
        return len(made)

    def asked(ask: Callable[[], int]) -> list[int]:
        found: list[int] = []
        threads = [Thread(target=lambda: found.append(ask())) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    assert asked(lambda: kept.get("a", 60, make)) == [1] * 5
    assert kept.get("b", 60, make) == 2
    assert kept.get("a", 0, make) == 3


def test_while_an_answer_is_made_anew_others_get_the_one_before() -> None:
    kept, begun, end = Kept(), Event(), Event()
    assert kept.get("a", 60, lambda: 1) == 1

    def slow() -> int:
        begun.set()
        assert end.wait(10)
        return 2

    with ThreadPoolExecutor(1) as pool, monotonic_later(61):
        making = pool.submit(kept.get, "a", 60, slow)
        assert begun.wait(10)
        assert kept.get("a", 60, lambda: 3) == 1
        end.set()
        assert making.result(10) == 2
        assert kept.get("a", 60, lambda: 3) == 2


def test_an_answer_that_cannot_be_made_is_tried_again_by_who_asks_next() -> None:
    kept = Kept()

    def fails() -> int:
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            kept.get("a", math.inf, fails)
    assert kept.get("a", math.inf, lambda: 1) == 1
    assert kept.get("a", math.inf, fails) == 1


@contextmanager
def monotonic_later(seconds: float) -> Generator[None]:
    """So much later for what is kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("api.situation.kept.time", SimpleNamespace(monotonic=lambda: time.monotonic() + seconds))
        yield
