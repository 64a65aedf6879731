"""Maintenance windows: what they hide, what none hides, what comes back, and what they report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from api.alerts import upserts
from api.alerts.tuning import Seen
from api.audit.verification import verify
from api.database import row_of
from api.ticking import Looks
from api.times import NANOSECONDS, iso, now, parse
from api.windows import hiding, scope, service
from api.windows.models import MaintenanceWindow
from api.windows.scope import Cover, Known, Told
from detection import attack, own_alerts
from tests.api.alerts import part_of, upsert
from tests.api.looks import tick
from tests.api.test_alerts import counted, decide, ids
from tests.api.test_exceptions import audited
from tests.api.test_live import listening

if TYPE_CHECKING:
    import httpx

    from detection.alerts import Alert as Revision
    from tests.api.conftest import Running

HOUR = 3600 * NANOSECONDS
RULES = Path(__file__).parents[2] / "rules"
ANY = {"If-Match": "*"}
COVER = Cover(7, (), (), ("10.0.1.0/24",), frozenset(), frozenset(), 0, 2**63 - 1)


def seen(rule: str = "modbus_write", severity: int = 3, client: str = "10.0.0.1", server: str = "10.0.1.1", **body: Any) -> Seen:
    return Seen("a", rule, client, server, 5, {"techniques": ["T0836"], **body}, closed=False, severity=severity)


def finding(rule: str, severity: str = "medium") -> dict[str, Any]:
    """Findings of another rule that belong to an alert."""
    title = {"en": "Findings", "zh-CN": "发现"}
    return {"rule": rule, "title": title, "severity": severity, "count": 1, "first_seen": 5, "last_seen": 5, "records": []}


@pytest.mark.parametrize(
    ("alert", "why"),
    [
        (seen(), None),
        (seen("packets_missing"), "blind"),
        (seen(own_alerts.BATCHES_MISSING), "blind"),
        (seen("digest"), "blind"),
        (seen(severity=4), "critical"),
        (seen("set_point_out_of_range"), "safety"),
        (seen(techniques=["T0878"]), "safety"),
        (seen(server="10.0.1.9"), "safety_system"),
        (seen(client="10.0.1.9"), "safety_system"),
        (seen(client="8.8.8.8"), "outside"),
        (seen("umas_program_download", techniques=["T0843"]), "unnamed"),
        (seen("file_transferred_to_device", techniques=["T1693.001"]), "unnamed"),
        (seen(story={"actors": ["10.0.0.1"], "targets": ["10.0.1.1"]}), None),
        (seen(story={"actors": ["10.0.0.1"], "targets": ["10.0.1.1", "10.0.2.1"]}), "story"),
        # What belongs to an alert is told by nothing else.
        (seen(related=[finding("sweep")]), None),
        (seen(related=[finding("sweep"), finding("write_to_critical_point")]), "safety"),
        (seen(related=[finding("packets_missing")]), "blind"),
        (seen(related=[finding("sweep", "critical")]), "critical"),
        (seen(story={"actors": ["10.0.0.1"], "targets": ["10.0.1.1", "10.0.1.9"]}), "safety_system"),
    ],
)
def test_what_endangers_blinds_or_goes_beyond_the_work_is_told_in_any_window(alert: Seen, why: Told | None) -> None:
    ground = {"10.0.1.9": Known("x", scope.SAFETY_ROLE)}
    assert COVER.fits(alert, ground)
    assert COVER.told_anyway(alert, ground) == why


def test_what_changes_a_controller_is_hidden_only_where_its_very_name_is_given() -> None:
    download = seen("umas_program_download", techniques=["T0843"])
    for rules, hidden in ((("umas_*",), False), (("umas_program_download",), True)):
        named = Cover(7, rules, ("10.0.0.1",), ("10.0.1.1",), frozenset(), frozenset(), 0, 9)
        assert named.hides(download, {}) is hidden
    # A write that the window names does not hide the change of mode that it takes in.
    mode = seen("modbus_write", techniques=["T0836", "T0858"], related=[finding("umas_reservation")])
    for rules, hidden in ((("modbus_write",), False), (("modbus_write", "umas_reservation"), True)):
        named = Cover(7, rules, ("10.0.0.1",), ("10.0.1.1",), frozenset(), frozenset(), 0, 9)
        assert named.hides(mode, {}) is hidden


@pytest.mark.parametrize(
    ("cover", "hides"),
    [
        (Cover(7, (), ("10.0.0.2",), ("10.0.1.1",), frozenset(), frozenset(), 0, 9), False),
        (Cover(7, (), (), (), frozenset({"plc"}), frozenset(), 0, 9), True),
        (Cover(7, (), (), ("10.9.9.9",), frozenset({"other"}), frozenset({"Cell"}), 0, 9), True),
        (Cover(7, (), (), (), frozenset({"other"}), frozenset({"Other"}), 0, 9), False),
        (Cover(7, ("modbus_*",), (), (), frozenset(), frozenset(), 0, 9), True),
        (Cover(7, ("opcua_*",), (), ("10.0.1.1",), frozenset(), frozenset(), 0, 9), False),
        (Cover(7, (), (), ("10.0.1.1",), frozenset(), frozenset(), 6, 9), False),
        (Cover(7, (), (), ("10.0.1.1",), frozenset(), frozenset(), 0, 5), False),
    ],
)
def test_a_window_covers_what_it_names_and_what_began_in_its_time(cover: Cover, hides: bool) -> None:
    assert cover.hides(seen(), {"10.0.1.1": Known("plc", "plc", "Cell")}) is hides


def test_what_is_always_told_names_rules_and_techniques_that_there_are() -> None:
    own = {getattr(own_alerts, name) for name in ("NOT_LOADED", "NOT_RELOADED", "SITE_NOT_RELOADED", "OVERRIDE_UNFIT")}
    own |= {own_alerts.RECORDS_LATE, own_alerts.CLOCK_WENT_BACK, own_alerts.BATCHES_MISSING, "digest"}
    known = {path.stem for path in RULES.glob("*/*.yml")} | own
    assert known >= scope.BLIND | scope.SAFETY_RULES
    assert set(attack.techniques()) >= scope.SAFETY_TECHNIQUES | scope.CONTROL_TECHNIQUES


def window(**changes: Any) -> dict[str, Any]:
    said = {"servers": ["10.0.1.0/24"], "ends_at": iso(now() + 8 * HOUR), "permit": "WP-7", "work": "New program"}
    return {**said, "performed_by": "Zhang San", "seen": 1_000, **changes}


def made(client: httpx.Client, **changes: Any) -> dict[str, Any]:
    answer = client.post("/api/windows", json=window(**changes))
    assert answer.status_code == 201, answer.text
    assert answer.headers["ETag"] == '"1"'
    return answer.json()


def fresh(number: int, revision: int = 1, **changes: Any) -> Revision:
    """An alert that begins now, or a revision of one that began a second ago."""
    return upsert(number, revision, **{"first_seen": now(), "last_seen": now() + revision, **changes})


def kinds(client: httpx.Client, number: int) -> list[str]:
    return [step["kind"] for step in client.get(f"/api/alerts/{number:032x}/history").json()]


def test_a_window_hides_what_begins_while_it_runs_and_at_its_end_it_comes_back_and_is_reported(system_running: Running) -> None:
    system_running.alerts(fresh(1))
    client, services = system_running.signed_in(name="lin"), system_running.services
    number = made(client)["number"]
    assert client.get(f"/api/windows/{number}").json()["state"] == "running"
    with listening(client) as stream:
        assert next(stream)[0] == "hello"
        # One that was told goes on; one began before; one is elsewhere; one is told in any window.
        system_running.alerts(
            upsert(1, 2), upsert(2), fresh(3, server_ip="10.0.2.1"), fresh(4, severity="critical"), fresh(5), fresh(6)
        )  # fmt: skip
        told = {int(item["id"], 16): item["suppressed_by"] for item in (next(stream)[2] for _ in range(6))}
    assert told == {1: None, 2: None, 3: None, 4: None, 5: number, 6: number}
    assert sorted(ids(client.get("/api/alerts"))) == [1, 2, 3, 4]
    assert counted(client) == 4
    assert client.get("/api/situation").json()["counts"][1]["new"] == 3
    for asked in ({"overlay": "suppressed"}, {"window": number}):
        assert sorted(ids(client.get("/api/alerts", params=asked))) == [5, 6]
    assert sorted(ids(client.get("/api/alerts", params={"overlay": "!suppressed"}))) == [1, 2, 3, 4]
    tag = client.get(f"/api/alerts/{5:032x}").headers["ETag"]
    ends = parse(client.get(f"/api/windows/{number}").json()["ends_at"])
    assert [tick(services, moment) for moment in (ends - 1, ends, ends)] == [0, 1, 0]
    assert sorted(ids(client.get("/api/alerts"))) == [1, 2, 3, 4, 5, 6]
    assert client.get(f"/api/alerts/{5:032x}", headers={"If-None-Match": tag}).status_code == 200
    # That a window ended is no reason to ask a person again who decides.
    assert decide(client, 5, "acknowledge", {"note": "x"}, tag).status_code == 200
    assert kinds(client, 6) == ["raised", "suppressed", "restored"]
    assert client.get(f"/api/alerts/{6:032x}/history").json()[1]["note"] == f"#{number} WP-7"
    over = client.get(f"/api/windows/{number}").json()
    assert (over["state"], over["ended_at"]) == ("ended", over["ends_at"])
    report = over["report"]
    assert (report["hidden"], report["restored"], report["lifted"], report["decided"]) == (2, 2, 0, 0)
    assert (report["severities"], report["rules"]) == ({"high": 2}, [{"name": "modbus_write", "count": 2}])
    assert (report["servers"], report["alerts"]) == ([{"name": "10.0.1.1", "count": 2}], [f"{6:032x}", f"{5:032x}"])
    # What it hid is found afterwards too, to be decided on together.
    assert sorted(ids(client.get("/api/alerts", params={"window": number}))) == [5, 6]
    actions = [action for action, _, subject in audited(system_running) if action.startswith("window") and subject == str(number)]
    assert sorted(actions) == ["window.begin", "window.end", "window.make", "window.restore", "window.suppress"]
    with services.database.read() as session:
        assert verify(session).fault is None


def test_an_alert_that_becomes_what_is_always_told_or_is_taken_on_leaves_the_window(system_running: Running) -> None:
    client = system_running.signed_in(name="lin")
    number = made(client)["number"]
    first = {each: fresh(each).first_seen for each in range(1, 6)}
    system_running.alerts(*(fresh(each, first_seen=first[each]) for each in range(1, 6)))
    assert ids(client.get("/api/alerts")) == []
    system_running.alerts(fresh(1, 2, first_seen=first[1]), fresh(2, 2, first_seen=first[2], severity="critical"))
    system_running.alerts(fresh(4, 2, first_seen=first[4], client_ip="8.8.8.8"))
    critical = {**upsert(5).body, "related": [finding("write_to_critical_point")]}
    system_running.alerts(fresh(5, 2, first_seen=first[5], body=critical))
    assert decide(client, 3, "acknowledge", {"note": "this is no work"}).status_code == 200
    assert sorted(ids(client.get("/api/alerts"))) == [2, 3, 4, 5]
    assert kinds(client, 2) == ["raised", "suppressed", "lifted"]
    answer = client.post(f"/api/windows/{number}/end", json={"reason": "done"}, headers=ANY).json()
    report = answer["report"]
    assert (answer["state"], answer["end_reason"], ids(client.get("/api/alerts"))) == ("ended", "done", [5, 4, 3, 2, 1])
    assert (report["hidden"], report["restored"], report["lifted"], report["decided"]) == (5, 1, 3, 1)
    system_running.alerts(fresh(9))
    assert 9 in ids(client.get("/api/alerts"))


def test_a_preview_tells_what_would_have_been_hidden_and_what_would_not(system_running: Running) -> None:
    system_running.alerts(
        fresh(1), fresh(2, rule="sweep", severity="low"), fresh(3, severity="critical"), fresh(4, server_ip="10.0.2.1")
    )
    client = system_running.signed_in()
    assert decide(client, 1, "close", {"disposition": "true_positive_impact", "note": "x"}).status_code == 200
    shown = client.post("/api/windows/preview", json={"servers": ["10.0.1.0/24"]}).json()
    assert (shown["hides"], shown["undecided"], shown["right"], shown["told"]) == (2, 1, 1, {"critical": 1})
    assert (shown["severities"], shown["alerts"]) == ({"low": 1, "high": 1}, [f"{each:032x}" for each in (2, 1)])
    named = client.post("/api/windows/preview", json={"rules": ["sweep"]}).json()
    assert (named["hides"], named["right"]) == (1, 0)
    refused = client.post("/api/windows", json=window(seen=1))
    assert (refused.status_code, refused.json()["code"]) == (409, "window_hides_more")
    assert client.get("/api/windows").json()["items"] == []


def test_what_is_worked_on_is_named_by_assets_and_zones(system_running: Running) -> None:
    client = system_running.signed_in("engineer")
    plan = {"zones": [{"name": "Cell", "networks": ["10.0.3.0/24"]}]}
    assert client.put("/api/zones", json=plan, headers={"If-Match": '"0"'}).status_code == 200
    registered: dict[str, dict[str, str]] = {
        "10.0.1.1": {}, "10.0.3.4": {}, "10.0.3.9": {"role": "safety_controller"}, "10.0.4.1": {"zone": "Cell"},
    }  # fmt: skip
    assets = [
        client.post("/api/assets", json={"name": address, "addresses": [address], **said}).json()["id"]
        for address, said in registered.items()
    ]
    for unknown in ({"assets": ["0" * 32]}, {"zones": ["Attic"]}):
        assert client.post("/api/windows", json=window(**unknown)).json()["code"] == "window_scope_unknown"
    made(client, servers=[], assets=[assets[0]], zones=["Cell"])
    hosts = ("10.0.1.1", "10.0.1.2", "10.0.3.4", "10.0.3.9", "10.0.4.1", None)
    system_running.alerts(*(fresh(number, server_ip=host) for number, host in enumerate(hosts)))
    # Not of the zone: 1. A safety controller: 3. About no server: 5.
    assert sorted(ids(client.get("/api/alerts"))) == [1, 3, 5]


@pytest.mark.parametrize(
    "changes",
    [
        {"servers": []}, {"servers": [], "rules": ["*"]}, {"servers": [], "rules": ["[a-z]*"]},
        {"servers": [], "rules": ["[]abc]*"]}, {"servers": ["0.0.0.0/0"]}, {"servers": ["::/1"]},
        {"servers": ["300.1.1.1"]}, {"permit": ""}, {"ends_at": "soon"},
        {"assets": ["x"]}, {"performed_by": " "}, {"servers": [], "clients": ["10.0.0.1"]}, {"colour": "red"},
    ],
)  # fmt: skip
def test_a_window_that_makes_no_sense_is_refused(system_running: Running, changes: dict[str, Any]) -> None:
    answer = system_running.signed_in().post("/api/windows", json=window(**changes))
    assert (answer.status_code, answer.json()["code"]) == (422, "input_invalid")


def test_a_window_has_times_to_come_and_an_end_that_is_near(system_running: Running) -> None:
    client = system_running.signed_in()
    moment = now()
    for starts, ends in ((0, -HOUR), (2 * HOUR, HOUR), (0, 32 * 24 * HOUR), (400 * 24 * HOUR, 401 * 24 * HOUR)):
        answer = client.post("/api/windows", json=window(starts_at=iso(moment + starts), ends_at=iso(moment + ends)))
        assert (answer.status_code, answer.json()["code"]) == (422, "window_times")
    # What has happened is told already: it begins now at the earliest.
    early = made(client, starts_at="-24h")
    assert (early["state"], parse(early["starts_at"]) >= moment) == ("running", True)


def test_a_planned_window_begins_by_itself_is_changed_with_what_it_is_now_and_can_be_cancelled(system_running: Running) -> None:
    client, services = system_running.signed_in(name="lin"), system_running.services
    starts = now() + HOUR
    number = made(client, starts_at=iso(starts))["number"]
    system_running.alerts(fresh(1))
    assert ids(client.get("/api/alerts")) == [1]
    path, changed = f"/api/windows/{number}", window(starts_at=iso(starts), servers=["10.0.2.0/24"], permit="WP-8")
    for given, status in (({}, 428), ({"If-Match": '"9"'}, 412), ({"If-Match": '"1"'}, 200), ({"If-Match": '"1"'}, 412)):
        assert client.put(path, json=changed, headers=given).status_code == status
    assert [tick(services, moment) for moment in (starts - 1, starts, starts)] == [0, 1, 0]
    begun = client.get(path).json()
    assert (begun["state"], begun["permit"], begun["version"]) == ("running", "WP-8", 2)
    later = made(client, starts_at=iso(starts))["number"]
    assert client.post(f"/api/windows/{later}/end", json={"reason": "x"}).json()["code"] == "precondition_required"
    gone = client.post(f"/api/windows/{later}/end", json={"reason": "put off"}, headers=ANY).json()
    assert (gone["state"], gone["report"]) == ("cancelled", None)
    for method, last, body in (("PUT", "", changed), ("POST", "/end", {"reason": "x"})):
        answer = client.request(method, f"/api/windows/{later}{last}", json=body, headers=ANY)
        assert (answer.status_code, answer.json()["code"]) == (409, "window_over")
    assert [each["number"] for each in client.get("/api/windows", params={"state": "running"}).json()["items"]] == [number]
    page = client.get("/api/windows", params={"limit": 1}).json()
    assert (page["items"][0]["number"], page["next"] is not None) == (later, True)
    rest = client.get("/api/windows", params={"limit": 1, "cursor": page["next"]}).json()
    assert ([each["number"] for each in rest["items"]], rest["next"]) == ([number], None)


def test_a_window_that_hides_has_begun_whenever_the_clocks_look_and_what_it_hid_comes_back(
    system_running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, services = system_running.signed_in(), system_running.services
    starts = now() + HOUR
    number = made(client, starts_at=iso(starts))["number"]
    monkeypatch.setattr(hiding, "now", lambda: starts)
    system_running.alerts(fresh(1, first_seen=starts))
    assert client.get(f"/api/alerts/{1:032x}").json()["suppressed_by"] == number
    # The clock is set back, or nobody has looked: it was at work all the same.
    monkeypatch.undo()
    answer = client.post(f"/api/windows/{number}/end", json={"reason": "put off"}, headers=ANY).json()
    assert (answer["state"], ids(client.get("/api/alerts")), tick(services)) == ("ended", [1], 0)
    assert answer["report"]["restored"] == 1


def test_a_clock_that_is_set_back_hides_nothing_for_longer(system_running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    client, services = system_running.signed_in(), system_running.services
    number = made(client)["number"]
    first = {each: fresh(each).first_seen for each in (1, 2)}
    system_running.alerts(*(fresh(each, first_seen=first[each]) for each in (1, 2)))
    early = now() - 48 * HOUR
    monkeypatch.setattr(hiding, "now", lambda: early)
    # What becomes what is always told is told before anybody has noticed.
    system_running.alerts(fresh(1, 2, first_seen=first[1], severity="critical"))
    assert ids(client.get("/api/alerts")) == [1]
    assert [Looks(services).take_back(moment) for moment in (now(), early, early)] == [0, 1, 0]
    assert (tick(services, early), sorted(ids(client.get("/api/alerts")))) == (1, [1, 2])
    over = client.get(f"/api/windows/{number}").json()
    assert (over["state"], over["report"]["lifted"], over["report"]["restored"]) == ("ended", 1, 1)


def test_a_running_window_that_is_narrowed_tells_what_it_covers_no_more(system_running: Running) -> None:
    client = system_running.signed_in()
    made_ = made(client)
    system_running.alerts(fresh(1), fresh(2, server_ip="10.0.1.2"))
    change = newest(client)
    answer = client.put(f"/api/windows/{made_['number']}", json=window(servers=["10.0.1.2"]), headers=ANY)
    assert (answer.status_code, answer.json()["starts_at"]) == (200, made_["starts_at"])
    assert ids(client.get("/api/alerts")) == [1]
    assert client.get(f"/api/alerts/{1:032x}").json()["change"] > change


def test_a_great_many_are_looked_at_in_parts_after_a_change_of_what_is_covered(
    system_running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hiding, "AT_A_TIME", 2)
    client, services = system_running.signed_in(), system_running.services
    path = f"/api/windows/{made(client)['number']}"
    system_running.alerts(*(fresh(number, server_ip=f"10.0.1.{1 + number % 2}") for number in range(1, 9)))

    def told(**changes: Any) -> list[int]:
        """How many are told after a change, and after each look."""
        assert client.put(path, json=window(**changes), headers=ANY).status_code == 200
        return [len(ids(client.get("/api/alerts"))), *(tick(services) for _ in range(5)), len(ids(client.get("/api/alerts")))]

    assert told(ends_at=iso(now() + 9 * HOUR)) == [0, 0, 0, 0, 0, 0, 0], "another end covers the same"
    assert told(servers=["10.0.1.2"]) == [1, 1, 1, 1, 1, 0, 4]


def newest(client: httpx.Client) -> int:
    return client.get("/api/situation").json()["change"]


def test_what_two_windows_cover_stays_hidden_until_both_are_over(system_running: Running) -> None:
    client, services = system_running.signed_in(), system_running.services
    short, long = made(client, ends_at=iso(now() + HOUR)), made(client)
    system_running.alerts(fresh(1))
    assert tick(services, parse(short["ends_at"])) == 1
    assert ids(client.get("/api/alerts")) == []
    assert client.get(f"/api/alerts/{1:032x}").json()["suppressed_by"] == long["number"]
    assert kinds(client, 1) == ["raised", "suppressed", "suppressed"]
    report = client.get(f"/api/windows/{short['number']}").json()["report"]
    assert (report["hidden"], report["restored"], report["passed"]) == (1, 0, 1)
    assert tick(services, parse(long["ends_at"])) == 1
    assert ids(client.get("/api/alerts")) == [1]


def test_a_great_many_are_restored_in_parts_and_the_report_waits_for_the_last(
    system_running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, services = system_running.signed_in(), system_running.services
    window_ = made(client)
    system_running.alerts(*(fresh(number) for number in range(5)), part_of(7, stronger=1))
    monkeypatch.setattr(hiding, "AT_A_TIME", 2)
    ends = parse(window_["ends_at"])
    states: list[tuple[str, int]] = []
    told: dict[str, Any] = {}
    while tick(services, ends):
        told = client.get(f"/api/windows/{window_['number']}").json()
        states.append((told["state"], len(ids(client.get("/api/alerts")))))
    assert states == [("ending", 2), ("ending", 4), ("ended", 5)]
    assert told["report"]["restored"] == 5


def test_a_window_belongs_to_a_site_and_sees_no_alert_of_another(system_running: Running) -> None:
    with system_running.services.database.write() as session:
        upserts.apply(session, [fresh(1)], "pumps")
        upserts.apply(session, [fresh(2)], "tanks")
    whole = system_running.signed_in()
    lin = system_running.signed_in(sites=frozenset({"pumps"}))
    system_running.services.site = None
    assert whole.post("/api/windows", json=window()).json()["code"] == "site_missing"
    assert lin.post("/api/windows", json=window(site="tanks")).json()["code"] == "site_unknown"
    assert whole.post("/api/windows/preview", json={"servers": ["10.0.1.1"], "site": "tanks"}).json()["hides"] == 1
    number = made(whole, site="tanks")["number"]
    with system_running.services.database.write() as session:
        upserts.apply(session, [fresh(3)], "pumps")
        upserts.apply(session, [fresh(4)], "tanks")
    assert sorted(ids(whole.get("/api/alerts"))) == [1, 2, 3]
    assert lin.get(f"/api/windows/{number}").json()["code"] == "window_unknown"
    assert lin.post(f"/api/windows/{number}/end", json={"reason": "x"}, headers=ANY).json()["code"] == "window_unknown"
    assert lin.get("/api/windows").json()["items"] == []


def test_a_site_has_so_many_windows_and_no_more(system_running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST", 1)
    client = system_running.signed_in()
    number = made(client)["number"]
    assert client.post("/api/windows", json=window()).json()["code"] == "windows_full"
    client.post(f"/api/windows/{number}/end", json={"reason": "x"}, headers=ANY)
    made(client)


def test_a_window_that_could_not_be_made_any_more_hides_until_its_end_and_holds_up_no_alert(system_running: Running) -> None:
    client = system_running.signed_in()
    number = made(client)["number"]
    with system_running.services.database.write() as session:
        stored = row_of(session, MaintenanceWindow, number)
        assert stored is not None
        stored.said = {**stored.said, "clients": ["0.0.0.0/0"]}
    alerts = [fresh(1), fresh(2)]
    system_running.alerts(*alerts)
    assert ids(client.get("/api/alerts")) == []
    assert client.post(f"/api/windows/{number}/end", json={"reason": "done"}, headers=ANY).json()["report"]["restored"] == 2
    assert sorted(ids(client.get("/api/alerts"))) == [1, 2]
