"""What is known around an alert, in one answer; also while records are away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from api.context import effects
from api.site import service as sites
from api.texts import LANGUAGES, text
from collector.store import QueryTimeoutError, StoreError
from detection import attack
from detection.site import Site
from tests.api.alerts import upsert
from tests.api.conftest import SQLITE_ONLY
from tests.api.test_alerts import decide
from tests.api.test_topology import PLAN
from tests.api.traffic import HMI, OTHER, PLC, SECOND, Recorded, plant, requests
from tests.batches import EPOCH, START

if TYPE_CHECKING:
    from collections.abc import Callable

    from detection.alerts import Alert as Revision
    from tests.api.conftest import Running

PATH = f"/api/alerts/{9:032x}/context"
LAPTOP = "10.0.9.9"


def alert(**changes: Any) -> Revision:
    """The laptop wrote to the controller, as the records behind it tell."""
    hosts: dict[str, Any] = {
        "client_ip": LAPTOP,
        "server_ip": PLC,
        "first_seen": START + 60 * SECOND,
        "last_seen": START + 70 * SECOND,
    }
    return upsert(9, **{**hosts, **changes})


def recorded(served: Running) -> Recorded:
    """What the panel does to the controller, and the laptop that comes to write."""
    found = plant(served.services.records)
    found.write("modbus", requests(HMI, PLC, rows=3, function="write_single_register"))
    found.write("modbus", requests(LAPTOP, PLC, rows=2, function="write_single_register", start=START + 60 * SECOND))
    found.write("modbus", requests(LAPTOP, OTHER, rows=2, function="write_single_register", start=START + 60 * SECOND))
    found.write(
        "point",
        {
            "ts": [START, START + 60 * SECOND, START + 61 * SECOND, START + 62 * SECOND],
            "client.ip": [HMI, LAPTOP, LAPTOP, LAPTOP],
            "server.ip": [PLC] * 4,
            "point.id": ["holding:100@1", "holding:100@1", "holding:7@1", "holding:8@1"],
            "point.number": [10.0, 90.0, 1.0, 2.0],
            "point.access": ["read", "write", "write", "read"],
            "point.quality": ["good"] * 4,
            "network.protocol": ["modbus"] * 4,
        },
    )
    return found


def test_what_is_known_around_an_alert_is_one_answer(start: Callable[..., Running]) -> None:
    # Whatever else this machine does: of what is not told in time the next test says what becomes.
    system_running = start(query_seconds=300.0)
    recorded(system_running)
    place = Site.model_validate(
        {
            "ranges": {"speed": {"holding:100@1": [0, 50]}}, "lists": {"critical_points": ["holding:100@1"]},
            "critical": {PLC: 3.0, "holding:100@1": 2.0},
        }
    )  # fmt: skip
    with system_running.services.database.write() as session:
        sites.take_over(session, place, "")
    engineer = system_running.signed_in("engineer", name="lin")
    made = {"name": "PLC-3", "addresses": [PLC], "role": "plc", "criticality": "high", "owner": "Shift B"}
    assert engineer.post("/api/assets", json=made).status_code == 201
    assert engineer.post("/api/assets", json={"name": "Panel", "addresses": [HMI]}).status_code == 201
    assert engineer.put("/api/zones", json=PLAN, headers={"If-Match": "*"}).status_code == 200
    records = [f"local/{EPOCH}/7/{row}" for row in range(2)]
    system_running.alerts(
        upsert(1, client_ip=HMI, server_ip=PLC, first_seen=START),
        upsert(2, client_ip=LAPTOP, server_ip=OTHER, first_seen=START + 1),
        upsert(3, client_ip=HMI, server_ip=OTHER, first_seen=START + 2),
        upsert(4, client_ip=LAPTOP, server_ip=PLC, first_seen=START + 61 * SECOND),
        alert(body={**upsert(9).body, "records": records}),
    )  # fmt: skip
    assert decide(engineer, 1, "close", {"note": "x", "disposition": "false_positive"}).status_code == 200
    incident = engineer.post("/api/incidents", json={"title": "Laptop", "alerts": [f"{2:032x}"]}).json()["number"]
    found = engineer.get(PATH).json()
    assert found["missing"] == []
    client, server = found["ends"]
    assert (client["side"], client["address"], client["asset"], client["zone"], client["first_seen"]) == (
        "client", LAPTOP, None, None, None,
    )  # fmt: skip
    assert (server["asset"]["name"], server["asset"]["criticality"], server["asset"]["owner"]) == ("PLC-3", "high", "Shift B")
    assert (server["zone"], server["level"], server["level_of"], server["factor"]) == ("Cell", "1", "zone", 3.0)
    assert server["first_seen"].startswith("20")
    assert {(each["attribute"], each["value"]) for each in server["said"]} == {
        ("vendor", "Schneider Electric"), ("product", "BMX P34 2020"),
    }  # fmt: skip
    assert found["way"] == "unknown"
    points = {point["point"]: point for point in found["points"]}
    assert points.keys() == {"holding:100@1", "holding:7@1"}
    touched = points["holding:100@1"]
    assert (touched["latest"], touched["expected"]["greatest"], touched["outside"]) == (90.0, 50.0, True)
    assert (touched["critical"], touched["lists"], points["holding:7@1"]["lists"]) == (2.0, ["critical_points"], [])
    assert [(each["client"], each["name"], each["own"], each["operation"], each["records"]) for each in found["operations"]] == [
        (HMI, "Panel", False, "write_single_register", 3), (LAPTOP, None, True, "write_single_register", 2),
    ]  # fmt: skip
    assert [(int(each["id"], 16), each["same"], each["disposition"]) for each in found["earlier"]] == [
        (2, ["client"], None), (1, ["server"], "false_positive"),
    ]  # fmt: skip
    assert [(each["number"], each["alerts"]) for each in found["incidents"]] == [(incident, [f"{2:032x}"])]
    assert [(each["kind"], each["seen"], each["techniques"], each["written"]) for each in found["effects"]] == [
        ("manipulation_of_control", False, ["T0836"], ["holding:100@1", "holding:7@1"]),
    ]  # fmt: skip
    # Who sees no process values sees none here; who did is on record.
    auditor = system_running.signed_in("auditor")
    shown = auditor.get(PATH).json()
    assert [(each["kind"], each["written"]) for each in shown["effects"]] == [("manipulation_of_control", [])]
    chinese = auditor.get(PATH, params={"language": "zh-CN"}).json()["effects"]
    assert (shown["effects"][0]["text"][:12], chinese[0]["text"][:4]) == ("Manipulation", "操纵控制")
    assert (shown["points"], shown["missing"][0]["part"], shown["missing"][0]["code"]) == ([], "points", "forbidden")
    assert len(shown["operations"]) == 2
    looked = auditor.get("/api/audit", params={"action": "points.query"}).json()["items"]
    assert [(entry["actor"], entry["detail"]["alert"], entry["detail"]["rows"]) for entry in looked] == [("lin", f"{9:032x}", 2)]


@SQLITE_ONLY
def test_without_records_what_the_database_knows_is_told_and_the_rest_is_missing(
    system_running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    system_running.alerts(upsert(1, client_ip=HMI, server_ip=PLC, first_seen=START), alert())
    client = system_running.signed_in()
    records = system_running.services.records
    for error, code in ((StoreError("away"), "records_missing"), (QueryTimeoutError("slow"), "query_too_long")):

        def fail(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(records, "groups", fail)
        found = client.get(PATH)
        assert found.status_code == 200, found.text
        told = found.json()
        assert {each["part"]: each["code"] for each in told["missing"]} == dict.fromkeys(
            ("devices", "operations", "points"), code
        )
        assert [each["address"] for each in told["ends"]] == [LAPTOP, PLC]
        assert [int(each["id"], 16) for each in told["earlier"]] == [1]
    # One that names no address has nothing to ask for, and says so by being empty.
    system_running.alerts(upsert(5, client_ip=None, server_ip=None))
    empty = client.get(f"/api/alerts/{5:032x}/context").json()
    assert (empty["ends"], empty["operations"], empty["earlier"], empty["missing"]) == ([], [], [], [])


@SQLITE_ONLY
def test_what_needs_more_than_the_alert_is_missing_for_who_has_no_more(system_running: Running) -> None:
    recorded(system_running)
    engineer = system_running.signed_in("engineer", name="lin")
    made = {"name": "PLC-3", "addresses": [PLC], "role": "plc", "criticality": "high"}
    assert engineer.post("/api/assets", json=made).status_code == 201
    records = [f"local/{EPOCH}/7/{row}" for row in range(2)]
    system_running.alerts(alert(body={**upsert(9).body, "records": records}))
    assert engineer.post("/api/incidents", json={"title": "Laptop", "alerts": [f"{9:032x}"]}).status_code == 201
    whole = engineer.get(PATH).json()
    assert whole["missing"] == []
    assert all((whole["operations"], whole["incidents"], whole["points"], whole["ends"][1]["asset"]))
    needed = {"devices": "asset.read", "operations": "asset.read", "points": "point.read", "incidents": "incident.read"}
    for held in (set[str](), {"asset.read"}, {"point.read"}, {"incident.read"}):
        given = {"name": "program", "permissions": sorted({"alert.read", *held})}
        token = engineer.post("/api/tokens", json=given).json()["token"]
        program = system_running.client()
        program.headers["Authorization"] = f"Bearer {token}"
        found = program.get(PATH).json()
        refused = {part for part, permission in needed.items() if permission not in held}
        assert {each["part"] for each in found["missing"] if each["code"] == "forbidden"} == refused
        assert bool(found["operations"]) == ("operations" not in refused)
        assert bool(found["incidents"]) == ("incidents" not in refused)
        assert bool(found["points"]) == ("points" not in refused)
        server = found["ends"][1]
        assert (server["address"], bool(server["asset"]), bool(server["first_seen"])) == (
            PLC, "devices" not in refused, "devices" not in refused,
        )  # fmt: skip
        assert [each["id"] for each in found["earlier"]] == [each["id"] for each in whole["earlier"]]


FOLLOWS: list[tuple[list[str], tuple[str, ...], str | None, list[tuple[str, bool, list[str]]]]] = [
    (["T0846", "T0888"], (), "plc", []),
    (["T0829"], (), None, [("loss_of_view", True, ["T0829"])]),
    (["T0878", "T0816"], (), None, [
        ("loss_of_protection", False, ["T0878"]), ("loss_of_control", False, ["T0816"]), ("loss_of_view", False, ["T0816"]),
        ("denial_of_view", False, ["T0878"]),
    ]),
    (["T0836", "T0831"], ("holding:1@1",), "plc", [("manipulation_of_control", True, ["T0836", "T0831"])]),
    ([], ("holding:1@1",), "plc", [("manipulation_of_control", False, [])]),
    (["T0836"], (), "safety_controller", [("loss_of_safety", False, []), ("manipulation_of_control", False, ["T0836"])]),
    (["T0829"], (), "safety_controller", [("loss_of_view", True, ["T0829"])]),
    (["T1693.002"], (), None, [
        ("loss_of_control", False, ["T1693.002"]), ("manipulation_of_control", False, ["T1693.002"]),
    ]),
]  # fmt: skip
"""Techniques, points that were written, the role of the server: which effects follow, whether they are seen, from which."""


@pytest.mark.parametrize(("techniques", "written", "role", "found"), FOLLOWS)
def test_effects_follow_from_techniques_points_and_the_role_of_the_server(
    techniques: list[str], written: tuple[str, ...], role: str | None, found: list[tuple[str, bool, list[str]]]
) -> None:
    told = effects.effects(techniques, written, role)
    assert [(each.kind, each.seen, list(each.techniques)) for each in told] == found
    for each in told:
        assert each.written == (written if each.kind == "manipulation_of_control" else ())
        assert each.role == (role if each.kind == "loss_of_safety" else None)
        assert all(text(language, f"effect.{each.kind}") for language in LANGUAGES)


def test_every_technique_of_impact_is_an_effect_and_every_technique_named_is_one_of_att_ck() -> None:
    known = attack.techniques()
    assert {name for name, each in known.items() if "impact" in each.tactics} == effects.IMPACT.keys()
    assert sorted(effects.IMPACT.values()) == sorted(effects.KINDS)
    assert effects.LEADS_TO.keys() <= known.keys()
    assert not effects.LEADS_TO.keys() & effects.IMPACT.keys()
    inhibiting = {
        name for name, each in known.items() if {"inhibit-response-function", "impair-process-control"} & {*each.tactics}
    }
    led = {name for name in inhibiting if effects.effects([name], (), None)}
    assert inhibiting - led == {"T0851"}, "a rootkit hides, and says nothing of what"


@SQLITE_ONLY
def test_an_alert_about_how_a_server_is_set_up_has_no_effect(system_running: Running) -> None:
    client = system_running.signed_in()
    for posture, count in ((False, 1), (True, 0)):
        system_running.alerts(alert(revision=2 + posture, body={**upsert(9).body, "posture": posture}))
        assert len(client.get(PATH).json()["effects"]) == count
