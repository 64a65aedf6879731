"""Who talks to whom, process points, and the life of a device or a story, from stored records."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from api.alerts import service as alerts
from api.audit.service import Actor
from api.pages import write_cursor
from api.timeline.schemas import TimelineQuery
from api.topology.collapsed import Known, collapse, network_of
from api.zones.plan import Places, Plan
from collector.store.elasticsearch import ElasticsearchRecordStore
from tests.api.alerts import upsert
from tests.api.conftest import SQLITE_ONLY
from tests.api.traffic import HMI, OTHER, PLC, SECOND, Recorded, flows, plant, requests
from tests.batches import START
from tests.collector.cluster import cluster
from tests.detection.test_live_learning import live, polls

if TYPE_CHECKING:
    from collections.abc import Generator

    from detection.baseline.detector import BaselineState
    from tests.api.conftest import Running
    from tests.services.elasticsearch import Elasticsearch

PLAN = {
    "zones": [
        {"name": "Cell", "networks": ["10.0.1.0/24"], "level": "1"},
        {"name": "Supervision", "networks": ["10.0.2.0/24"], "level": "2"},
    ],
    "conduits": [{"zones": ["Cell", "Supervision"], "protocols": ["modbus"]}],
}


@contextmanager
def on_cluster(served: Running, server: Elasticsearch) -> Generator[Recorded]:
    """The system with its records in a cluster."""
    before = served.services.records
    with cluster(server.url) as settings, ExitStack() as stack:
        store = ElasticsearchRecordStore(settings, writer=True)
        stack.callback(store.close)
        served.services.records = store
        try:
            yield plant(store)
        finally:
            served.services.records = before


def talk(clients: int, servers: int) -> pl.DataFrame:
    """Clients that all talk to all servers, each in a network of a hundred."""
    rows = [
        (f"10.{client // 100}.9.{client % 100}", f"10.{server // 100}.1.{server % 100}", "modbus", 1 + client, 10, 4.0, 5, 9)
        for client in range(clients)
        for server in range(servers)
    ]
    names = ["client", "server", "protocol", "records", "bytes", "answers", "first", "last"]
    return pl.DataFrame(rows, schema=names, orient="row")


NOTHING = pl.DataFrame(
    schema={
        "client": pl.String(), "server": pl.String(), "protocol": pl.String(), "operation": pl.String(),
        "changes": pl.Boolean(), "records": pl.Int64(),
    }
)  # fmt: skip


def test_who_talks_to_whom_is_told_by_protocol_and_operation(system_running: Running) -> None:
    recorded = plant(system_running.services.records)
    recorded.write("modbus", requests(HMI, PLC, rows=3, function="write_single_register"))
    recorded.write("flow", {**flows(HMI, "10.0.9.9", None), "flow.packets_in": [0, 0]})
    client = system_running.signed_in("engineer")
    client.post("/api/assets", json={"name": "Panel", "addresses": [HMI], "criticality": "high"})
    found = client.get("/api/topology").json()
    assert (found["by"], found["limited"], found["more_edges"]) == ("device", False, 0)
    nodes = {node["name"]: node for node in found["nodes"]}
    assert nodes.keys() == {HMI, PLC, OTHER, "silent"}
    assert (nodes[HMI]["label"], nodes[HMI]["criticality"], nodes["silent"]["devices"]) == ("Panel", "high", 1)
    edges = {(edge["client"], edge["server"]): edge for edge in found["edges"]}
    assert edges.keys() == {(HMI, PLC), (HMI, OTHER), (HMI, "silent")}
    (spoken,) = edges[HMI, PLC]["talk"]
    assert (spoken["protocol"], spoken["records"], spoken["bytes"]) == ("modbus", 2, 600)
    assert spoken["operations"] == [
        {"operation": "read_holding_registers", "changes": False, "records": 20},
        {"operation": "write_single_register", "changes": True, "records": 3},
    ]
    assert {edge["agreement"] for edge in found["edges"]} == {"unknown"}


def test_talk_is_held_against_the_plan_of_zones(system_running: Running) -> None:
    recorded = plant(system_running.services.records)
    recorded.write("flow", flows("10.0.1.12", PLC, "s7comm"))
    recorded.write("flow", flows("10.0.3.1", PLC, "modbus"))
    client = system_running.signed_in("engineer")
    assert client.put("/api/zones", json=PLAN, headers={"If-Match": '"0"'}).status_code == 200

    def agreements(**asked: Any) -> dict[tuple[str, str], str]:
        edges = client.get("/api/topology", params=asked).json()["edges"]
        return {(edge["client"], edge["server"]): edge["agreement"] for edge in edges}

    told = agreements()
    assert (told[HMI, PLC], told["10.0.1.12", PLC], told["10.0.3.1", PLC]) == ("declared", "inside", "unknown")
    assert agreements(by="zone") == {
        ("Supervision", "Cell"): "declared", ("Cell", "Cell"): "inside", ("10.0.3.0/24", "Cell"): "unknown",
    }  # fmt: skip
    assert agreements(protocol="s7comm").keys() == {("10.0.1.12", PLC)}
    assert agreements(protocol="!modbus").keys() == {("10.0.1.12", PLC)}
    assert (HMI, PLC) in agreements(by="zone", open="Cell") or ("Supervision", PLC) in agreements(by="zone", open="Cell")
    recorded.write("flow", flows(HMI, PLC, "telnet"))
    assert agreements()[HMI, PLC] == "protocol"
    bare = {**PLAN, "conduits": []}
    assert client.put("/api/zones", json=bare, headers={"If-Match": '"1"'}).status_code == 200
    assert agreements(by="zone")["Supervision", "Cell"] == "undeclared"


def test_a_thousand_devices_are_few_nodes_and_nothing_is_lost() -> None:
    flows_ = talk(500, 500)
    plan = Plan.model_validate({"zones": [{"name": f"Z{number}", "networks": [f"10.{number}.0.0/16"]} for number in range(5)]})
    places = Places(plan)
    addresses = {*flows_["client"], *flows_["server"]}
    known = {address: Known(address, zone=places.zone(address).name) for address in addresses if places.zone(address)}  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    zones = collapse(flows_, NOTHING, known, places)
    assert (zones.grain, zones.nodes.height, zones.nodes["devices"].sum()) == ("zone", 5, 1_000)
    assert zones.edges["records"].sum() == flows_["records"].sum()
    networks = collapse(flows_, NOTHING, {}, Places(Plan()))
    assert (networks.grain, networks.nodes.height) == ("network", 10)
    devices = collapse(flows_, NOTHING, {}, Places(Plan()), by="device", most=60)
    assert devices.nodes.height == 59
    assert devices.nodes.filter(pl.col("kind") == "others")["devices"].item() == 1_000 - 58
    assert devices.edges["records"].sum() == flows_["records"].sum()
    assert devices.edges.height <= 2_000
    opened = collapse(flows_, NOTHING, known, places, by="zone", opened="Z1", most=300)
    assert opened.nodes.filter(pl.col("kind") == "device").height == 200


def test_a_scan_of_empty_addresses_is_one_node() -> None:
    rows = [("10.0.0.66", f"10.9.{number // 250}.{number % 250}", None, 1, 0, 0.0, 5, 9) for number in range(2_000)]
    flows_ = pl.concat([talk(1, 1), pl.DataFrame(rows, schema=talk(1, 1).schema, orient="row")])
    found = collapse(flows_, NOTHING, {}, Places(Plan()))
    assert set(found.nodes["kind"]) == {"device", "silent"}
    assert found.nodes.filter(pl.col("kind") == "silent")["devices"].item() == 2_000


@pytest.mark.parametrize(
    ("address", "network"), [("10.1.2.3", "10.1.2.0/24"), ("fe80::1:2", "fe80::/64"), ("00:80:f4:00:00:01", "ethernet")]
)
def test_addresses_are_put_into_networks(address: str, network: str) -> None:
    assert network_of(address) == network


def points(recorded: Recorded) -> None:
    """Values of three points: one is read by two and written by one, one is written by a stranger."""
    recorded.write(
        "point",
        {
            "ts": [START + second * SECOND for second in range(6)],
            "client.ip": [HMI, "10.0.2.6", HMI, HMI, "10.0.9.9", HMI],
            "server.ip": [PLC] * 5 + [OTHER],
            "point.id": ["holding:100@1"] * 4 + ["holding:7@1", "holding:100@1"],
            "point.number": [10.0, 10.0, 14.0, 12.0, 1.0, 3.0],
            "point.access": ["read", "read", "write", "read", "write", "read"],
            "point.quality": ["good"] * 6,
            "network.protocol": ["modbus"] * 6,
        },
    )


def test_points_are_told_with_values_writers_and_what_is_expected(system_running: Running) -> None:
    points(plant(system_running.services.records))
    client = system_running.signed_in("viewer")
    page = client.get("/api/points").json()
    told = {(point["server"], point["point"]): point for point in page["items"]}
    assert [(point["server"], point["point"]) for point in page["items"]] == [
        (PLC, "holding:100@1"), (PLC, "holding:7@1"), (OTHER, "holding:100@1"),
    ]  # fmt: skip
    first = told[PLC, "holding:100@1"]
    assert (first["values"], first["least"], first["greatest"], first["latest"], first["readers"]) == (4, 10.0, 14.0, 12.0, 2)
    assert [(writer["client"], writer["latest"], writer["expected"]) for writer in first["writers"]] == [(HMI, 14.0, None)]
    assert (first["expected"], first["outside"]) == (None, None)
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = client.get("/api/points", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        found += [f"{point['server']} {point['point']}" for point in page["items"]]
        cursor = page["next"]
    assert len(found) == len(set(found)) == 3
    assert [point["point"] for point in client.get("/api/points", params={"server": OTHER}).json()["items"]] == ["holding:100@1"]
    assert [point["point"] for point in client.get("/api/points", params={"contains": ":7@"}).json()["items"]] == ["holding:7@1"]
    assert client.get("/api/points", params={"protocol": "opcua"}).json()["items"] == []
    # Values are what a process does: who looked at them is on record.
    told = system_running.signed_in("administrator").get("/api/audit", params={"action": "points.query"}).json()["items"]
    assert (told[0]["actor"], told[0]["detail"]) == ("viewer-0", {"protocol": "opcua", "rows": 0})
    assert len(told) == 6


def test_a_stranger_that_writes_and_a_value_that_never_was_are_told(system_running: Running) -> None:
    """What was learned says who may write, and the records of that time what values there were."""
    state: BaselineState = live(polls(0, 6))[0]
    normal = state.whole
    recorded = Recorded(system_running.services.records, sensor="north")
    server = normal.normal.filter(pl.col("kind") == "conversation")["server"][0]

    def value(at: int, client: str, number: float, access: str) -> None:
        recorded.write(
            "point",
            {
                "ts": [at], "client.ip": [client], "server.ip": [server], "point.id": ["holding:0@1"],
                "point.number": [number], "point.access": [access], "point.quality": ["good"], "network.protocol": ["modbus"],
            },
        )  # fmt: skip

    value(normal.start + SECOND, "10.0.0.5", 5.0, "read")
    value(normal.start + 2 * SECOND, "10.0.0.5", 8.0, "read")
    value(normal.until + SECOND, "10.0.0.66", 90.0, "write")
    run, promise = ("north", "e"), None
    system_running.services.learned = lambda: {"": [(run, state, promise)]}
    (point,) = system_running.signed_in("engineer").get("/api/points", params={"since": "1970-01-01T00:00:00Z"}).json()["items"]
    assert point["expected"] == {"least": 5.0, "greatest": 8.0, "origin": "learned"}
    assert point["outside"] is True
    assert [(writer["client"], writer["expected"]) for writer in point["writers"]] == [("10.0.0.66", False)]


@SQLITE_ONLY
def test_a_cluster_gives_the_same_topology_and_points(system_running: Running, elasticsearch_server: Elasticsearch) -> None:
    client = system_running.signed_in("engineer")
    points(plant(system_running.services.records))
    local = [client.get(path).json() for path in ("/api/topology", "/api/points", f"/api/timeline?address={PLC}")]
    with on_cluster(system_running, elasticsearch_server) as recorded:
        points(recorded)
        there = [client.get(path).json() for path in ("/api/topology", "/api/points", f"/api/timeline?address={PLC}")]
    assert there == local


def lived(served: Running) -> None:
    """Writes, an alert about them, and what was decided."""
    recorded = plant(served.services.records)
    recorded.write("modbus", requests("10.0.9.9", PLC, rows=5, function="write_single_register", start=START + SECOND))
    served.alerts(
        upsert(1, client_ip="10.0.9.9", server_ip=PLC, first_seen=START + 3 * SECOND, last_seen=START + 5 * SECOND),
        upsert(2, client_ip="10.0.5.5", server_ip="10.0.5.6", first_seen=START + 3 * SECOND, last_seen=START + 4 * SECOND),
    )
    with served.services.database.write() as session:
        alerts.acknowledge(session, alerts.get(session, f"{1:032x}"), Actor("lin"), "asking")


def pages(client: Any, **asked: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = client.get("/api/timeline", params={**asked, **({"cursor": cursor} if cursor else {})})
        assert answer.status_code == 200, answer.text
        found += answer.json()["items"]
        cursor = answer.json()["next"]
    return found


@pytest.mark.parametrize("limit", [1, 3, 50])
def test_the_life_of_a_device_is_told_in_order_and_whole_however_it_is_paged(system_running: Running, limit: int) -> None:
    lived(system_running)
    client = system_running.signed_in("viewer")
    found = pages(client, address=PLC, limit=limit)
    assert [entry["kind"] for entry in found[:1]] == ["decision"]
    assert (found[0]["text"], found[0]["actor"], found[0]["note"]) == ("Acknowledged: Alert 1", "lin", "asking")
    told = [(entry["kind"], entry["table"]) for entry in found]
    assert told.count(("alert", None)) == 1
    assert told.count(("record", "modbus")) == 5
    assert told.count(("record", "device")) == 2
    assert len(found) == 9
    times = [entry["at"] for entry in found]
    assert times == sorted(times, reverse=True)
    records = [entry["record"]["record"] for entry in found if entry["record"]]
    assert len(records) == len(set(records))
    only = pages(client, address=PLC, limit=limit, kind="alert,decision")
    assert [entry["kind"] for entry in only] == ["decision", "alert"]
    assert pages(client, address=PLC, limit=limit, kind="!record") == only


def test_what_a_record_of_a_life_holds_is_for_who_may_see_records(system_running: Running) -> None:
    lived(system_running)
    viewer, auditor = system_running.signed_in("viewer"), system_running.signed_in("auditor", name="audit")
    whole, lines = (pages(client, address=PLC, limit=50) for client in (viewer, auditor))
    assert any("modbus.function" in entry["record"] for entry in whole if entry["record"])
    told = ("at", "kind", "table", "alert", "note")
    assert [[entry[name] for name in told] for entry in lines] == [[entry[name] for name in told] for entry in whole]
    for entry, shown in zip(lines, whole, strict=True):
        assert entry["text"] == (shown["text"] if entry["record"] is None else entry["table"])
        if entry["record"] is not None:
            assert entry["record"].keys() <= {"record", "ts", "client.ip", "server.ip", "device.ip"}
            assert entry["record"].items() <= shown["record"].items()
            assert entry["record"]["record"]
    asked = {"action": "records.timeline", "actor": "audit"}
    (entry,) = auditor.get("/api/audit", params=asked).json()["items"]
    assert (entry["detail"]["values"], len(entry["detail"]["records"])) == (False, 7)


def test_a_cursor_that_somebody_wrote_is_refused_or_leads_on(system_running: Running) -> None:
    lived(system_running)
    client = system_running.signed_in("viewer")
    question = TimelineQuery(address=PLC, limit=3).question()
    for place in (
        (5, 1, "abc", 0, 9), (5, 1, "9" * 19, 0, 9), (5, 1, "9" * 30, 0, 9), (5, 1, "٣", 0, 9), (5, 2, "x", 0, 9),
        (5, 2, "a/b/1/x", 0, 9), (5, 3, f"a/b/{2**63}/1", 0, 9), (-1, 0, "x", 0, 9), (5, 0, "x", -(2**62), 9), (5, -1, "x", 0, 9),
    ):  # fmt: skip
        answer = client.get("/api/timeline", params={"address": PLC, "limit": 3, "cursor": write_cursor(question, *place)})
        assert (answer.status_code, answer.json()["code"]) == (422, "cursor_invalid"), place
    for place in ((2**62, 2, "a/b/1/1", 0, 2**62), (2**62, 99, "a/b/1/1", 0, 2**62), (5, 0, "x", 9, 0)):
        answer = client.get("/api/timeline", params={"address": PLC, "limit": 3, "cursor": write_cursor(question, *place)})
        assert answer.status_code == 200, (place, answer.text)


def test_a_registered_asset_and_a_story_have_a_life(system_running: Running) -> None:
    lived(system_running)
    client = system_running.signed_in("engineer")
    made = client.post("/api/assets", json={"name": "Pump", "addresses": [PLC, "00:80:f4:00:00:10"]}).json()
    assert len(pages(client, asset=made["id"])) == 9
    story = {
        "id": f"{1:032x}", "sentence": {"en": "x", "zh-CN": "x"}, "stages": [], "alerts": [f"{1:032x}", f"{2:032x}"],
        "actors": ["10.0.9.9"], "targets": [PLC],
    }  # fmt: skip
    system_running.alerts(upsert(1, 9, client_ip="10.0.9.9", server_ip=PLC, body={**upsert(1).body, "story": story}))
    told = [(entry["kind"], entry["table"]) for entry in pages(client, story=f"{1:032x}", since="2025-01-01T00:00:00Z")]
    assert told.count(("record", "modbus")) == 5
    assert told.count(("alert", None)) == 2
    for asked, code in (
        ({"story": "none"}, "story_unknown"),
        ({"asset": "none"}, "asset_unknown"),
        ({"asset": "a", "story": "b"}, "input_invalid"),
    ):
        assert client.get("/api/timeline", params=asked).json()["code"] == code
    assert len(pages(client, since="2025-01-01T00:00:00Z")) == 10
    assert client.get("/api/timeline", params={"address": PLC, "cursor": "x"}).json()["code"] == "cursor_invalid"
