"""Drills through the API: traffic of the plant that was made up, told by real detection, marked, measured, counted nowhere."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from api.alerts import upserts
from api.audit.verification import verify
from api.drills import detecting, packets, plant, scenarios, service, steps, traffic
from api.drills.frames import Host
from api.drills.scenarios import SCENARIO_KEYS, SCENARIOS
from api.drills.schemas import DrillInput
from api.problems import Problem
from api.site import service as sites
from api.times import now
from detection.ruleset import RuleFiles
from detection.site import Site
from sensor._core import Reader
from sensor.packets import PACKETS
from tests.api.alerts import upsert
from tests.api.conftest import SQLITE_ONLY, both_back_ends
from tests.api.looks import tick
from tests.api.test_actions import body as action_body
from tests.api.test_actions import step as act_on
from tests.api.test_exceptions import audited
from tests.api.test_incidents import CLOSE, PHONE, act, alert_id, declare, done, lines, refused
from tests.api.test_obligations import SAID, grade, reports
from tests.api.test_obligations import step as report_on
from tests.api.test_playbooks import step as task_on
from tests.api.test_windows import window
from tests.api.traffic import HMI, MACS, OTHER, PLC, Recorded, flows, requests
from tests.api.traffic import plant as plant_of
from tests.sensor.test_packets import content

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from api.drills.plant import Plant
    from api.drills.scenarios import Act, ScenarioKey
    from tests.api.conftest import Running

TITLE = "Autumn drill"
STRANGER = "10.0.1.200"
FOUND: Plant = plant.Plant(Host(PLC, MACS[PLC]), "", 502, 1, (100,), Host(HMI, MACS[HMI]), Host(STRANGER, plant.MACS["stranger"]))
ANY = {"If-Match": "*"}


@pytest.fixture(autouse=True, scope="module")
def rules_compiled() -> None:
    """All rules are compiled once in a process, as detection has done where it runs: no request waits for it."""
    told("loss_of_view")


def started(client: httpx.Client, scenario: str = "program_change", **fields: Any) -> dict[str, Any]:
    answer = client.post("/api/drills", json={"scenario": scenario, "title": TITLE, **fields})
    assert answer.headers.get("Location") == f"/api/drills/{answer.json().get('number')}", answer.text
    return done(answer, 201)


def ended(client: httpx.Client, number: int, what: str = "end") -> dict[str, Any]:
    return done(client.post(f"/api/drills/{number}/{what}", json={"note": "over"}, headers=ANY))


def alert(client: httpx.Client, identity: str) -> dict[str, Any]:
    return client.get(f"/api/alerts/{identity}").json()


def decided(client: httpx.Client, identity: str, what: str, body: dict[str, Any]) -> httpx.Response:
    path = f"/api/alerts/{identity}"
    return client.post(f"{path}/{what}", json=body, headers={"If-Match": client.get(path).headers["ETag"]})


def told(key: ScenarioKey, of: Plant = FOUND) -> set[str]:
    """The rules that tell a scenario, by themselves or under another's alert."""
    found = detecting.detect(traffic.made(SCENARIOS[key], of, now()), RuleFiles().read(), Site())
    return {rule for each in found for rule in (each.rule, *(inner["rule"] for inner in each.body["related"]))}


def nothing(of: Plant) -> Iterator[Act]:
    """A stranger who only looks whether somebody is there."""
    del of
    return iter(())


@pytest.mark.parametrize("key", SCENARIO_KEYS)
def test_each_scenario_is_told_by_its_rules_and_a_plant_at_rest_by_none_of_them(key: ScenarioKey) -> None:
    wanted = set(SCENARIOS[key].rules)
    assert wanted <= told(key)
    assert wanted <= told(key, replace(FOUND, station=None, registers=())), "where nobody was seen who reads it, too"
    quiet = traffic.made(replace(SCENARIOS[key], acts=nothing, silences=False), FOUND, now())
    found = detecting.detect(quiet, RuleFiles().read(), Site())
    assert {each.rule for each in found}.isdisjoint({rule for each in SCENARIOS.values() for rule in each.rules})


@pytest.mark.parametrize("key", SCENARIO_KEYS)
def test_traffic_is_whole_modbus_between_machines_of_the_plant_and_one_stranger(key: ScenarioKey) -> None:
    capture = traffic.made(SCENARIOS[key], FOUND, end := now())
    with packets.as_file(capture) as path:
        batches = [(batch.table, pl.DataFrame(batch)) for batch in Reader(path, sensor="x")]
    tables = {name: pl.concat(rows for table, rows in batches if table == name) for name, _ in batches}
    assert "violation" not in tables
    modbus = tables["modbus"]
    assert set(modbus["client.ip"].cast(pl.String)) == {HMI, STRANGER}
    assert set(modbus["server.ip"].cast(pl.String)) == {PLC}
    assert set(modbus["modbus.unit_id"]) == {1}
    answered = modbus.filter(pl.col("modbus.pairing").cast(pl.String) == "both")
    assert modbus.height - answered.height == (0 if not SCENARIOS[key].silences else 43)
    assert modbus.filter(pl.col("ts").dt.epoch("ns") >= end).is_empty()
    # As another reader sees them: addresses, and checksums that hold.
    frames = [Ether(data) for _, data in content(taken(capture))]
    assert {frame.src for frame in frames} == {MACS[PLC], MACS[HMI], plant.MACS["stranger"]}
    for frame in frames[:40]:
        again = Ether(bytes(frame))
        del again[IP].chksum, again[TCP].chksum
        assert bytes(Ether(bytes(again))) == bytes(frame)


def taken(capture: bytes) -> bytes:
    """All packets of a capture as evidence."""
    statement = packets.packets.Statement(0, 2**63 - 1)
    return packets.take(capture, statement, packets.packets.Asked("x", 0, packets.SENSOR)).file


@both_back_ends
def test_a_drill_is_made_of_what_the_plant_has_and_marked_wherever_it_is_shown(system_running: Running) -> None:
    plant_of(system_running.services.records).write("flow", flows("10.0.1.201", HMI, "http"))
    client = system_running.signed_in("administrator", name="lin")
    asset = {"name": "Dosing PLC", "addresses": [PLC, STRANGER], "criticality": "high", "role": "plc"}
    done(client.post("/api/assets", json=asset), 201)
    before = [each["rows"] for each in client.get("/api/records").json()]
    drill = started(client, participants="lin, wu", note="unannounced")
    shown = drill["plant"]
    assert (shown["controller"], shown["name"], shown["unit"], shown["registers"]) == (
        {"ip": PLC, "mac": MACS[PLC]}, "Dosing PLC", 1, [100],
    )  # fmt: skip
    assert (shown["station"]["ip"], shown["stranger"]["ip"]) == (HMI, "10.0.1.202"), "an address that nobody has"
    assert (drill["state"], drill["number"], drill["scenario_name"]) == ("running", 1, "Program replaced")
    first = alert(client, drill["alerts"][0])
    assert (first["rule"], first["drill"], first["severity"], first["client.ip"]) == (
        "umas_program_replaced", 1, "critical", "10.0.1.202",
    )  # fmt: skip
    listed = client.get("/api/alerts").json()["items"]
    assert {each["id"] for each in listed} == set(drill["alerts"])
    assert client.get("/api/alerts", params={"drill": "false"}).json()["items"] == []
    assert len(client.get("/api/alerts", params={"drill": "true"}).json()["items"]) == len(listed)
    number = declare(client, alerts=[first["id"]])["number"]
    incident = client.get(f"/api/incidents/{number}").json()
    assert (incident["drill"], incident["alerts"]) == (True, [first["id"]])
    assert client.get(f"/api/drills/{drill['number']}").json()["incidents"] == [number]
    assert [each["rows"] for each in client.get("/api/records").json()] == before, "records are as they were"
    assert not (system_running.services.settings.data / PACKETS).exists()
    assert client.get("/api/drills", params={"state": "running"}).json()["items"][0]["title"] == TITLE
    chinese = client.get("/api/drills/scenarios", params={"language": "zh-CN"}).json()
    assert [each["name"] for each in chinese] == ["未授权写入", "侦察扫描", "程序被替换", "失去监视"]
    known = {each["key"] for each in client.get("/api/playbooks").json()}
    assert {each["playbook"] for each in chinese} <= known


def test_what_is_real_knows_nothing_of_a_drill(system_running: Running) -> None:
    plant_of(system_running.services.records)
    client = system_running.signed_in("administrator", name="lin")
    real = upsert(1, rule="umas_program_replaced", first_seen=now() - 5, last_seen=now(), client_ip=STRANGER, server_ip=PLC)
    drill = started(client)
    identity = drill["alerts"][0]
    for other in drill["alerts"]:
        assert alert(client, other)["suppressed_by"] is None
    situation = client.get("/api/situation").json()
    assert (situation["alerts"], situation["stories"], situation["assets"], situation["stages"]) == ([], [], [], [])
    assert (situation["standing"], situation["load"]["day"], situation["changes"]["raised"]) == ("quiet", 0, 0)
    assert sum(each[state] for each in situation["counts"] for state in ("new", "triaging", "escalated")) == 0
    assert sum(each["count"] for each in client.get("/api/alerts/counts").json()) == 0
    assert client.get("/api/timeline", params={"since": "-1h"}).json()["items"] == []
    done(decided(client, identity, "acknowledge", {"note": "x"}))
    assert client.get("/api/alerts/figures").json() == []
    assert [each["acknowledge"]["count"] for each in client.get("/api/alerts/figures", params={"drill": "true"}).json()] == [1]
    hidden = client.post("/api/windows/preview", json={"rules": ["umas_program_replaced"]}).json()
    assert (hidden["hides"], hidden["told"]) == (0, {})
    assert client.get(f"/api/alerts/{identity}/exceptions").json() == []
    assert refused(client.get(f"/api/alerts/{identity}/acceptance")) == "alert_of_drill"
    assert refused(client.post(f"/api/stories/{identity}/stix", json={})) in {"story_unknown", "story_of_drill"}
    ended(client, drill["number"])
    system_running.alerts(real)
    assert client.get(f"/api/alerts/{alert_id(1)}/similar").json() == {"ended": {}, "alerts": []}
    context = client.get(f"/api/alerts/{alert_id(1)}/context").json()
    assert (context["earlier"], context["incidents"]) == ([], [])
    situation = client.get("/api/situation").json()
    assert ([each["id"] for each in situation["alerts"]], situation["load"]["day"]) == ([alert_id(1)], 1)
    assert (situation["changes"]["raised"], situation["changes"]["closed"]) == (1, 0)


def test_a_window_that_runs_and_an_exception_hide_nothing_of_a_drill(system_running: Running) -> None:
    plant_of(system_running.services.records)
    client = system_running.signed_in("administrator", name="lin")
    done(client.post("/api/windows", json=window(rules=["many_points_written"], servers=[], starts_at="-1h")), 201)
    exempt = {"name": "copy", "kind": "suppress", "rules": ["many_points_written"], "reason": "x", "by": "lin"}
    facts = Site.model_validate({"site": "", "exceptions": [{**exempt, "servers": [PLC], "end": "2999-01-01T00:00:00Z"}]})
    with system_running.services.database.write() as session:
        sites.take_over(session, facts)
    drill = started(client, "unauthorised_write")
    (found,) = [each for each in (alert(client, one) for one in drill["alerts"]) if each["rule"] == "many_points_written"]
    assert (found["suppressed_by"], found["hidden_by"], found["drill"]) == (None, None, drill["number"])


@both_back_ends
def test_a_drill_takes_nothing_real_and_nothing_real_takes_a_drill(system_running: Running) -> None:
    plant_of(system_running.services.records)
    system_running.alerts(upsert(1), upsert(2))
    client = system_running.signed_in("responder", name="lin")
    drill = started(client)
    mine = drill["alerts"][0]
    for fields in ({"alerts": [mine, alert_id(1)]}, {"alerts": [alert_id(1)], "drill": True}):
        assert refused(client.post("/api/incidents", json={"title": "x", **fields})) == "drill_mixed"
    real, exercise = declare(client, alerts=[alert_id(1)])["number"], declare(client, **PHONE, drill=True)["number"]
    assert client.get(f"/api/incidents/{real}").json()["drill"] is False
    for number, other in ((real, mine), (exercise, alert_id(2))):
        assert refused(act(client, number, "alerts", {"alerts": [other], "note": "x"})) == "drill_mixed"
    done(act(client, exercise, "alerts", {"alerts": [mine], "note": "x"}))
    version = alert(client, drill["alerts"][1])["triage"]["version"]
    into = {"alerts": [{"id": drill["alerts"][1], "version": version}], "note": "x"}
    assert refused(decided(client, alert_id(2), "merge", into)) == "drill_mixed"
    assert refused(act(client, exercise, "merge", {"other": real, "reason": "x"})) == "merge_unfit"
    assert refused(client.post(f"/api/incidents/{exercise}/stix", json={})) == "drill_stays"


def gone_through(system: Running, drill: dict[str, Any]) -> None:
    """Two people take a drill from its alert to the end, each step once."""
    lin, wu = system.sign_in("lin"), system.sign_in("wu")
    first = drill["alerts"][0]
    done(decided(lin, first, "acknowledge", {"note": "looking"}))
    number = declare(lin, alerts=[first])["number"]
    grade(lin, number, 3)
    report = reports(lin, number)["cac-first"]
    assert report["drill"] is True
    done(report_on(lin, report["id"], "draft", {"contents": SAID}, "PUT"))
    done(report_on(wu, report["id"], "approve", {"note": "read"}))
    done(report_on(lin, report["id"], "submit", {"channel": "exercise", "note": "said, not sent"}))
    done(lin.post(f"/api/incidents/{number}/playbooks", json={"playbook": drill["playbook"], "reason": "it fits"}), 201)
    task = lin.get(f"/api/incidents/{number}/tasks").json()[0]
    done(task_on(lin, task["id"], "move", {"to": "done", "note": "asked"}))
    action = done(lin.post(f"/api/incidents/{number}/actions", json=action_body()), 201)
    assert action["drill"] is True
    done(act_on(lin, action["id"], "security"))
    done(act_on(wu, action["id"], "operations"))
    for to in ("analysing", "containing", "recovering", "monitoring"):
        done(act(lin, number, "move", {"to": to, "reason": "x"}))
    done(act(wu, number, "close", {**CLOSE, "override": "only an exercise"}))


@both_back_ends
def test_the_steps_of_a_drill_are_measured_and_compared_with_the_last_that_was_finished(system_running: Running) -> None:
    plant_of(system_running.services.records)
    lin = system_running.signed_in("responder", name="lin")
    system_running.signed_in("administrator", name="wu")
    first = started(lin)
    assert [(each["step"], each["seconds"]) for each in first["steps"]][:2] == [("started", 0.0), ("acknowledged", None)]
    gone_through(system_running, first)
    over = ended(lin, first["number"])
    assert (over["state"], over["compared_with"], over["ended_by"]) == ("finished", None, "lin")
    took = [each["seconds"] for each in over["steps"]]
    assert [each["step"] for each in over["steps"]] == list(steps.STEP_KEYS)
    assert took == sorted(took), "each came behind the one before"
    assert all(each["at"] is not None and each["last_seconds"] is None for each in over["steps"])
    ended(lin, started(lin)["number"], "abort")
    ended(lin, started(lin, "reconnaissance")["number"])
    again = started(lin)
    done(decided(lin, again["alerts"][0], "acknowledge", {"note": "x"}))
    shown = ended(lin, again["number"])
    assert shown["compared_with"] == first["number"], "neither with what was broken off nor with another scenario"
    found = {each["step"]: each for each in shown["steps"]}
    assert [found[key]["last_seconds"] for key in steps.STEP_KEYS] == took
    acknowledged = found["acknowledged"]
    assert acknowledged["difference"] == pytest.approx(acknowledged["seconds"] - took[1], abs=0.002)
    assert (found["declared"]["at"], found["declared"]["difference"]) == (None, None)


@both_back_ends
def test_what_is_open_of_a_drill_that_is_broken_off_is_closed_as_a_drill_on_record(system_running: Running) -> None:
    plant_of(system_running.services.records)
    client = system_running.signed_in("responder", name="lin")
    drill = started(client)
    number = declare(client, alerts=[drill["alerts"][0]])["number"]
    done(act(client, number, "move", {"to": "containing", "reason": "x"}))
    done(act(client, number, "hold", {"until": "2200-01-01T00:00:00Z", "reason": "x"}))
    path = f"/api/drills/{drill['number']}"
    assert refused(client.post(f"{path}/abort", json={"note": "x"})) == "precondition_required"
    assert refused(client.post(f"{path}/abort", json={"note": "x"}, headers={"If-Match": '"9"'})) == "precondition_failed"
    over = ended(client, drill["number"], "abort")
    assert (over["state"], over["end_note"]) == ("aborted", "over")
    assert {each["step"] for each in over["steps"] if each["at"]} == {"started", "acknowledged", "declared"}, "the end is no step"
    incident = client.get(f"/api/incidents/{number}").json()
    assert (incident["state"], incident["disposition"], incident["hold"]) == ("closed", "authorised_work", None)
    items = client.get("/api/alerts", params={"drill": "true"}).json()["items"]
    said = {(each["triage"]["state"], each["triage"]["disposition"], each["triage"]["permit"]) for each in items}
    assert said == {("closed", "authorised_work", "drill 1")}
    assert refused(client.post(f"{path}/end", json={"note": "x"}, headers=ANY)) == "drill_over"
    assert lines(client, number)[-1]["note"] == "over"
    assert {("drill.start", "lin", "1"), ("drill.abort", "lin", "1")} <= set(audited(system_running))
    with system_running.services.database.read() as session:
        assert verify(session, [], {}).fault is None


def test_at_a_site_one_drill_runs_at_a_time(system_running: Running) -> None:
    plant_of(system_running.services.records)
    client = system_running.signed_in("responder")
    number = started(client)["number"]
    again = client.post("/api/drills", json={"scenario": "loss_of_view", "title": TITLE})
    assert (refused(again), "Drill 1 is running" in again.json()["detail"]) == ("drill_running", True)
    ended(client, number)
    assert started(client, "loss_of_view")["number"] == 2
    # Two who begin at once: the one that writes later finds that the other was first.
    given, prepared = DrillInput(scenario="loss_of_view", title=TITLE), service.Prepared("", FOUND, b"", [])
    with system_running.services.database.write() as session, pytest.raises(Problem, match="drill_running"):
        service.start(session, prepared, given, service.audit.Actor("x"))


def test_without_a_controller_there_is_nothing_to_drill_and_one_that_is_registered_is_enough(system_running: Running) -> None:
    client = system_running.signed_in("administrator", name="lin")
    answer = client.post("/api/drills", json={"scenario": "unauthorised_write", "title": TITLE})
    assert (answer.status_code, refused(answer)) == (409, "drill_plant_unknown")
    assert "register one as an asset" in answer.json()["detail"]
    done(client.post("/api/assets", json={"name": "Screen", "addresses": ["10.0.9.8"], "role": "hmi"}), 201)
    assert refused(client.post("/api/drills", json={"scenario": "unauthorised_write", "title": TITLE})) == "drill_plant_unknown"
    done(client.post("/api/assets", json={"name": "PLC 9", "addresses": ["10.0.9.9"], "role": "plc"}), 201)
    shown = started(client, "unauthorised_write")["plant"]
    assert (shown["controller"]["ip"], shown["station"], shown["registers"]) == ("10.0.9.9", None, [])
    assert client.get("/api/drills").json()["items"][0]["number"] == 1, "what was refused is no drill"


def test_of_several_controllers_the_most_critical_is_meant_else_the_one_that_is_asked_most(system_running: Running) -> None:
    recorded = Recorded(system_running.services.records)
    recorded.write("modbus", requests(HMI, PLC, rows=5))
    recorded.write("modbus", requests(HMI, OTHER, rows=50))
    recorded.write("modbus", {**requests(HMI, "fe80::9", rows=90)})
    client = system_running.signed_in("administrator")
    ended(client, (one := started(client, "loss_of_view"))["number"])
    done(client.post("/api/assets", json={"name": "A", "addresses": [PLC], "criticality": "critical"}), 201)
    other = started(client, "loss_of_view")
    assert [each["plant"]["controller"]["ip"] for each in (one, other)] == [OTHER, PLC]


def test_a_site_whose_rules_tell_nothing_of_it_is_told_so(system_running: Running) -> None:
    plant_of(system_running.services.records)
    client = system_running.signed_in("responder")
    off = {"many_points_written": {"enabled": False, "reason": "loud"}}
    with system_running.services.database.write() as session:
        sites.take_over(session, Site.model_validate({"site": "", "rules": off}))
    answer = client.post("/api/drills", json={"scenario": "unauthorised_write", "title": TITLE})
    assert (refused(answer), "many_points_written" in answer.json()["detail"]) == ("drill_silent", True)
    assert client.get("/api/alerts").json()["items"] == []


def test_the_packets_of_a_drill_s_alert_are_at_one_click_and_those_of_no_other(system_running: Running) -> None:
    plant_of(system_running.services.records)
    client = system_running.signed_in("operator", name="li")
    drill = started(system_running.signed_in("responder"))
    path = f"/api/alerts/{drill['alerts'][0]}/evidence"
    frames = [Ether(data) for _, data in content(client.get(path).content)]
    assert {(frame[IP].src, frame[IP].dst) for frame in frames} == {(STRANGER, PLC), (PLC, STRANGER)}
    assert b"asked for by li at" in client.get(path).content
    with zipfile.ZipFile(io.BytesIO(client.get(path, params={"form": "zip"}).content)) as opened:
        assert b'"sensor": "drill"' in opened.read(opened.namelist()[1])
    masked = [Ether(data) for _, data in content(client.get(path, params={"mask_values": "true"}).content)]
    assert len(masked) == len(frames)
    assert client.get(f"/api/alerts/{drill['alerts'][0]}/records").json()["missing"] == []
    assert refused(client.get(path, params={"sensor": "local"})) == "evidence_none"
    system_running.alerts(upsert(1))
    assert refused(client.get(f"/api/alerts/{alert_id(1)}/evidence")) == "evidence_gone"


@SQLITE_ONLY
def test_who_may_run_drills_does_so_at_his_sites_and_meets_none_of_others(system_running: Running) -> None:
    services = system_running.services
    services.site = None
    with services.database.write() as session:
        for site in ("pumps", "tanks"):
            sites.take_over(session, Site(site=site), site)
    administrator = system_running.signed_in("administrator", name="chen")
    for site, address in (("pumps", "10.0.1.9"), ("tanks", "10.0.2.9")):
        asset = {"name": f"PLC {site}", "addresses": [address], "role": "plc", "site": site}
        done(administrator.post("/api/assets", json=asset), 201)
    given = {"scenario": "loss_of_view", "title": TITLE}
    for role in ("viewer", "operator", "engineer", "auditor"):
        client = system_running.signed_in(role)
        assert refused(client.post("/api/drills", json={**given, "site": "pumps"})) == "forbidden"
        assert client.get("/api/drills").json()["items"] == []
    lin = system_running.signed_in("responder", name="lin", sites=frozenset({"pumps"}))
    assert refused(lin.post("/api/drills", json={**given, "site": "tanks"})) == "site_unknown"
    assert started(lin, **given)["site"] == "pumps"
    other = started(administrator, **given, site="tanks")
    assert other["plant"]["controller"]["ip"] == "10.0.2.9"
    for path in (f"/api/drills/{other['number']}", f"/api/alerts/{other['alerts'][0]}"):
        assert lin.get(path).status_code == 404
    assert refused(lin.post(f"/api/drills/{other['number']}/abort", json={"note": "x"}, headers=ANY)) == "drill_unknown"
    assert [each["site"] for each in lin.get("/api/drills").json()["items"]] == ["pumps"]
    tick(services, now())
    assert {each["site"] for each in administrator.get("/api/drills", params={"site": "tanks"}).json()["items"]} == {"tanks"}


def test_alerts_of_a_drill_that_come_with_others_are_marked_alone(system_running: Running) -> None:
    with system_running.services.database.write() as session:
        upserts.apply(session, [upsert(1)], "", 7)
        upserts.apply(session, [upsert(2)])
    client = system_running.signed_in("viewer")
    assert {each["id"]: each["drill"] for each in client.get("/api/alerts").json()["items"]} == {
        alert_id(1): 7,
        alert_id(2): None,
    }


def test_every_scenario_has_its_texts_and_addresses_never_run_out() -> None:
    assert set(scenarios.SCENARIO_KEYS) == set(SCENARIOS)
    for registers in ((), (65_530,), tuple(range(0, 640, 10))):
        acts = list(SCENARIOS["unauthorised_write"].acts(replace(FOUND, registers=registers)))
        assert len({each.request[1:3] for each in acts}) == scenarios.WRITTEN
        assert not registers or int.from_bytes(acts[0].request[1:3], "big") == registers[0]
