"""Assets: registered, changed, imported, seen in traffic, and compared with it."""

from __future__ import annotations

import cProfile
import json
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from sqlalchemy import event

from api.assets import importing, service
from api.assets.addresses import normal
from api.assets.observed import observed
from api.audit.service import Actor
from api.records.span import span
from api.zones import service as zone_plans
from api.zones.plan import Plan
from collector.records import decode
from collector.store import Query
from collector.store.elasticsearch import ElasticsearchRecordStore
from detection.inventory import COLUMNS, inventory
from sensor.tables import LOCAL_SENSOR
from tests.api.conftest import SQLITE_ONLY
from tests.api.test_exceptions import audited
from tests.api.traffic import HMI, MACS, OTHER, PLC, plant
from tests.collector.cluster import cluster
from tests.system.both_ways import recorded

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from tests.api.conftest import Running
    from tests.services.elasticsearch import Elasticsearch

ASSET = {"name": "PLC-3", "addresses": ["192.0.2.40", "00-80-F4-12-34-56"], "role": "plc", "criticality": "high"}

NETBOX = {
    "devices": {
        "count": 1,
        "next": None,
        "results": [
            {
                "id": 7, "name": "PLC-3", "serial": "21071930", "role": {"id": 2, "slug": "plc", "name": "PLC"},
                "device_type": {"model": "M340", "manufacturer": {"name": "Schneider Electric"}},
                "location": {"name": "Pump house"}, "tenant": None, "primary_ip4": {"address": "192.0.2.40/24"},
                "description": "", "custom_fields": {"purdue_level": {"value": "1", "label": "Level 1"}, "criticality": "High"},
            }
        ],
    },
    "ip-addresses": {"results": [{"address": "192.0.2.41/24", "assigned_object": {"device": {"id": 7}}}]},
    "interfaces": {"results": [{"mac_address": "00:80:F4:12:34:56", "device": {"id": 7}}]},
}  # fmt: skip

NETBOX_ADDRESSES = ["192.0.2.40", "192.0.2.41", "00:80:f4:12:34:56"]


CAPTURED = (
    "other-ot/cisagov+icsnpp-enip/tests/traces/enip_cip_example.pcap",
    "other-ot/cisagov+icsnpp-profinet-io-cm/testing/traces/profinet_io_cm_mixed_1.pcap",
    "modbus/resilmesh2+MONT-Dataset-OT-ICS-attacks/Scenario-2/6-Impact/impact_traffic.pcap",
    "modbus/arkime+arkime/tests/pcap/modbus.pcap",
    "opcua/cisagov+icsnpp-opcua-binary/pcaps/open62541_client-server_mainloop.pcap",
)
"""Small captures of several protocols."""


def actions(served: Running) -> list[str]:
    return [action for action, _, _ in audited(served) if action.startswith(("asset", "zones"))]


def test_an_asset_is_registered_changed_by_who_saw_it_and_removed(system_running: Running) -> None:
    client = system_running.signed_in("engineer", "li")
    made = client.post("/api/assets", json=ASSET)
    assert made.status_code == 201, made.text
    asset, tag = made.json(), made.headers["ETag"]
    assert (asset["addresses"], asset["level"], asset["level_of"]) == (["192.0.2.40", "00:80:f4:12:34:56"], "1", "role")
    path = f"/api/assets/{asset['id']}"
    assert client.get(path).json() == asset
    assert client.put(path, json=ASSET).json()["code"] == "precondition_required"
    changed = client.put(path, json={**ASSET, "addresses": ["192.0.2.41"], "owner": "Shift B"}, headers={"If-Match": tag})
    assert (changed.status_code, changed.json()["owner"], changed.json()["version"]) == (200, "Shift B", 2), changed.text
    late = client.put(path, json=ASSET, headers={"If-Match": tag})
    assert (late.status_code, late.json()["code"]) == (412, "precondition_failed")
    # The address that it no longer has is free.
    other = client.post("/api/assets", json={"name": "PLC-4", "addresses": ["192.0.2.40"]})
    assert other.status_code == 201
    taken = client.post("/api/assets", json={"name": "PLC-5", "addresses": ["192.0.2.41"]})
    assert (taken.status_code, taken.json()["code"]) == (409, "asset_address_taken")
    assert client.delete(path, headers={"If-Match": changed.headers["ETag"]}).status_code == 204
    assert client.get(path).json()["code"] == "asset_unknown"
    assert [each["name"] for each in client.get("/api/assets").json()["items"]] == ["PLC-4"]
    assert actions(system_running) == ["asset.remove", "asset.make", "asset.change", "asset.make"]


def test_a_viewer_registers_nothing(system_running: Running) -> None:
    client = system_running.signed_in("viewer")
    assert client.post("/api/assets", json=ASSET).status_code == 403
    assert client.post("/api/assets/import", json={"format": "csv", "content": "name\nx\n"}).status_code == 403
    assert client.put("/api/zones", json={}, headers={"If-Match": "*"}).status_code == 403
    assert client.get("/api/assets").json()["items"] == []


def test_pages_of_assets_follow_each_other_and_filters_hold_together(system_running: Running) -> None:
    client = system_running.signed_in("engineer")
    for number in range(7):
        body = {"name": f"A{number % 3}", "addresses": [f"192.0.2.{number}"], "criticality": ["low", "high"][number % 2]}
        assert client.post("/api/assets", json=body).status_code == 201
    found: list[str] = []
    page: dict[str, Any] = {"next": ""}
    while page["next"] is not None:
        page = client.get("/api/assets", params={"limit": 3, **({"cursor": page["next"]} if page["next"] else {})}).json()
        found += [each["id"] for each in page["items"]]
    assert len(found) == len(set(found)) == 7
    high = client.get("/api/assets", params={"criticality": "high"}).json()["items"]
    assert sorted(each["addresses"][0] for each in high) == ["192.0.2.1", "192.0.2.3", "192.0.2.5"]
    assert [each["name"] for each in client.get("/api/assets", params={"address": "192.0.2.5"}).json()["items"]] == ["A2"]


def test_pages_go_on_behind_the_longest_name(system_running: Running) -> None:
    client = system_running.signed_in("engineer")
    for last in "甲乙":
        assert client.post("/api/assets", json={"name": "泵" * 127 + last}).status_code == 201
    first = client.get("/api/assets", params={"limit": 1}).json()
    second = client.get("/api/assets", params={"limit": 1, "cursor": first["next"]})
    assert second.status_code == 200, second.text
    assert {page["items"][0]["name"][-1] for page in (first, second.json())} == {"甲", "乙"}


def test_none_of_these_addresses_is_none_of_them_however_they_are_written(system_running: Running) -> None:
    client = system_running.signed_in("engineer")
    for body in (ASSET, {"name": "Q"}, {"name": "R", "addresses": ["192.0.2.9"]}):
        assert client.post("/api/assets", json=body).status_code == 201

    def named(address: str) -> list[str]:
        return [each["name"] for each in client.get("/api/assets", params={"address": address}).json()["items"]]

    assert named("!192.0.2.40") == named("!00:80:F4:12:34:56") == ["Q", "R"]
    assert named("00-80-F4-12-34-56,pump") == ["PLC-3"]


def test_zones_give_assets_their_level_and_are_remembered_as_they_were(system_running: Running) -> None:
    client = system_running.signed_in("engineer", "li")
    none = client.get("/api/zones")
    assert (none.json()["version"], none.json()["zones"]) == (0, [])
    plan = {
        "zones": [
            {"name": "Plant", "networks": ["10.0.0.0/8"], "level": "3"},
            {"name": "Cell 1", "networks": ["10.0.1.0/24"], "level": "1"},
        ],
        "conduits": [{"zones": ["Plant", "Cell 1"], "protocols": ["modbus"]}],
    }
    made = client.put("/api/zones", json=plan, headers={"If-Match": none.headers["ETag"]})
    assert (made.status_code, made.json()["version"], made.json()["by"]) == (200, 1, "li"), made.text
    late = client.put("/api/zones", json={}, headers={"If-Match": none.headers["ETag"]})
    assert late.json()["code"] == "precondition_failed"
    asset = client.post("/api/assets", json={"name": "x", "addresses": ["10.0.1.9"], "role": "hmi"}).json()
    assert (asset["zone"], asset["level"], asset["level_of"]) == ("Cell 1", "1", "zone")
    assert client.put("/api/zones", json={}, headers={"If-Match": made.headers["ETag"]}).json()["zones"] == []
    before = client.get("/api/zones", params={"as_of": made.json()["at"]}).json()
    assert [zone["name"] for zone in before["zones"]] == ["Plant", "Cell 1"]
    assert client.get("/api/zones", params={"as_of": "2020-01-01T00:00:00Z"}).json()["version"] == 0


@pytest.mark.parametrize(
    "plan",
    [
        {"zones": [{"name": "a"}, {"name": "a"}]},
        {"zones": [{"name": "a", "networks": ["10.0.0.0/8"]}, {"name": "b", "networks": ["10.0.0.0/8"]}]},
        {"zones": [{"name": "a"}], "conduits": [{"zones": ["a", "b"]}]},
        {"zones": [{"name": "a"}], "conduits": [{"zones": ["a", "a"]}]},
        {"zones": [{"name": "a"}, {"name": "b"}], "conduits": [{"zones": ["a", "b"]}, {"zones": ["b", "a"]}]},
        {"zones": [{"name": "a", "networks": ["10.0.0.0/40"]}]},
        {"zones": [{"name": "a", "level": "6"}]},
    ],
    ids=str,
)
def test_a_plan_that_does_not_fit_together_is_refused(system_running: Running, plan: dict[str, Any]) -> None:
    answer = system_running.signed_in("engineer").put("/api/zones", json=plan, headers={"If-Match": "*"})
    assert (answer.status_code, answer.json()["code"]) == (422, "input_invalid"), answer.text


def test_a_plan_of_many_networks_is_looked_through_once(system_running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    networks = [f"10.{number // 250}.{number % 250}.7" for number in range(8_000)]
    zones = [{"name": f"Z{start}", "networks": networks[start : start + 200]} for start in range(0, 8_000, 200)]
    with cProfile.Profile() as profile:
        plan = Plan.model_validate({"zones": zones})
    assert sum(entry.callcount for entry in profile.getstats()) < 200 * len(networks), "not each beside each other"
    with pytest.raises(ValueError, match=r"10\.0\.3\.7/32 is in two zones"):
        Plan.model_validate({"zones": [*zones, {"name": "x", "networks": ["10.0.3.7"]}]})
    with system_running.services.database.write() as session:
        zone_plans.replace(session, "", plan, Actor("li"), "*")
    client = system_running.signed_in("engineer")
    asset = {"name": "x", "addresses": ["10.0.3.7"]}
    assert client.post("/api/assets", json=asset).json()["zone"] == "Z0"
    monkeypatch.setattr(zone_plans, "plan", None)
    for path in ("/api/assets", "/api/situation", "/api/topology"):
        assert client.get(path).status_code == 200, path
    monkeypatch.undo()
    changed = client.put("/api/zones", json={"zones": [{"name": "New", "networks": ["10.0.0.0/8"]}]}, headers={"If-Match": "*"})
    assert changed.status_code == 200
    assert client.get("/api/assets").json()["items"][0]["zone"] == "New"


def test_an_import_is_tried_first_and_then_done_and_knows_its_assets_again(system_running: Running) -> None:
    client = system_running.signed_in("engineer")
    content = (
        "name;addresses;role;criticality;id\nPLC-3;192.0.2.40 00:80:f4:12:34:56;PLC;High;17\n"
        "HMI;192.0.2.40;hmi;;\nbroken;x;;;\nbad;;;urgent;\n"
    )
    asked = {"format": "csv", "content": content}
    tried = client.post("/api/assets/import", json=asked).json()
    assert (tried["dry_run"], tried["made"], tried["refused"]) == (True, 1, 3)
    assert [(item["place"], item["outcome"]) for item in tried["items"]] == [
        ("line 2", "made"), ("line 3", "refused"), ("line 4", "refused"), ("line 5", "refused"),
    ]  # fmt: skip
    assert client.get("/api/assets").json()["items"] == []
    assert actions(system_running) == []
    done = client.post("/api/assets/import", json={**asked, "dry_run": False}).json()
    assert done["made"] == 1
    again = client.post("/api/assets/import", json={**asked, "dry_run": False}).json()
    assert (again["made"], again["unchanged"]) == (0, 1)
    renamed = client.post(
        "/api/assets/import", json={"format": "csv", "content": "id,name,owner\n17,PLC-3a,Shift B\n", "dry_run": False}
    ).json()
    assert [(item["outcome"], item["fields"]) for item in renamed["items"]] == [("changed", ["name", "owner"])]
    (asset,) = client.get("/api/assets").json()["items"]
    assert (asset["name"], asset["criticality"], asset["addresses"][0]) == ("PLC-3a", "high", "192.0.2.40")
    assert actions(system_running) == ["asset.import", "asset.import"]


def imported(client: httpx.Client, content: str, form: str = "csv", *, dry_run: bool = False) -> dict[str, Any]:
    answer = client.post("/api/assets/import", json={"format": form, "content": content, "dry_run": dry_run})
    assert answer.status_code == 200, answer.text
    return answer.json()


def last_import(served: Running) -> dict[str, Any]:
    """What the audit trail was told of the latest import."""
    asked = {"action": "asset.import", "limit": 1}
    return served.signed_in("administrator").get("/api/audit", params=asked).json()["items"][0]["detail"]


def test_an_import_tells_what_was_before_and_leaves_addresses_that_the_file_does_not_know(system_running: Running) -> None:
    client = system_running.signed_in("engineer")
    made = client.post("/api/assets", json=ASSET).json()
    imported(client, "name,addresses,criticality\nPLC-3,192.0.2.41,low\n")
    (asset,) = client.get("/api/assets").json()["items"]
    assert (asset["id"], asset["addresses"]) == (made["id"], ["192.0.2.41", "00:80:f4:12:34:56"])
    told = last_import(system_running)
    before = {"addresses": ["192.0.2.40", "00:80:f4:12:34:56"], "criticality": "high"}
    after = {"addresses": ["192.0.2.41", "00:80:f4:12:34:56"], "criticality": "low"}
    assert told["assets"] == [{"asset": made["id"], "outcome": "changed", "before": before, "after": after}]
    # NetBox without its addresses knows the primary ones only.
    device = NETBOX["devices"]["results"][0]  # type: ignore[index]  # pyright: ignore[reportArgumentType]
    (item,) = imported(client, json.dumps([device]), "netbox")["items"]
    assert (item["outcome"], item["asset"], "source" in item["fields"]) == ("changed", made["id"], True)
    assert client.get("/api/assets").json()["items"][0]["addresses"] == NETBOX_ADDRESSES
    told = last_import(system_running)
    assert (told["assets"][0]["before"]["source"], told["assets"][0]["after"]["foreign_id"]) == ("people", "7")
    assert imported(client, json.dumps(NETBOX), "netbox")["unchanged"] == 1


def test_addresses_go_from_one_asset_of_a_file_to_another_across_parts(
    system_running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.assets.service.PART", 2)
    monkeypatch.setattr("api.assets.service.PAUSE_SECONDS", 0)
    client = system_running.signed_in("engineer")
    first = "id,name,addresses\n" + "".join(f"{number},A{number},10.0.0.{number}\n" for number in range(5))
    assert imported(client, first)["made"] == 5
    moved = "id,name,addresses\n" + "".join(f"{number},A{number},10.0.0.{(number or 9) - 1}\n" for number in range(5))
    tried = imported(client, moved, dry_run=True)
    assert (tried["changed"], tried["refused"]) == (5, 0)
    assert client.get("/api/assets", params={"address": "10.0.0.8"}).json()["items"] == []
    done = imported(client, moved + "0,again,\n")
    assert (done["changed"], done["refused"], done["items"][5]["reason"]) == (5, 1, "the file has this asset twice")
    assert done["items"][:5] == tried["items"]
    assets = {asset["name"]: asset["addresses"] for asset in client.get("/api/assets").json()["items"]}
    assert assets == {f"A{number}": [f"10.0.0.{(number or 9) - 1}"] for number in range(5)}
    assert client.post("/api/assets", json={"name": "x", "addresses": ["10.0.0.4"]}).status_code == 201
    assert client.post("/api/assets", json={"name": "x", "addresses": ["10.0.0.8"]}).json()["code"] == "asset_address_taken"


@SQLITE_ONLY
def test_a_trial_waits_for_nobody_who_writes_and_an_import_lets_others_write(system_running: Running) -> None:
    client = system_running.signed_in("engineer")
    lines = [f"{number},A{number},10.{number // 250}.0.{number % 250}" for number in range(3_000)]
    content = "\n".join(["id,name,addresses", *lines])
    database = system_running.services.database
    with database.write():
        assert imported(client, content, dry_run=True)["made"] == 3_000
    given = importing.read("csv", content)
    moved = [replace(each, fields={**each.fields, "addresses": [f"11.0.{n // 250}.{n % 250}"]}) for n, each in enumerate(given)]
    asked: list[int] = []

    @event.listens_for(database.engine, "before_cursor_execute")
    def counted(*_: object) -> None:
        if asked:
            asked[-1] += 1

    for of in (given, moved):
        seen: set[str] = set()
        for start in range(0, len(of), service.PART):
            with database.write() as session:
                asked.append(0)
                service.take(session, of[start : start + service.PART], "", "csv", Actor("li"), seen)
    assert len(asked) == 12
    # One for each, its entry of the audit trail, and a few for all: the lock is not held for what grows with the file.
    assert max(asked) < service.PART + 50, asked
    assert client.get("/api/assets", params={"address": "11.0.0.7"}).json()["items"][0]["name"] == "A7"


def test_what_netbox_answers_is_taken_with_all_addresses(system_running: Running) -> None:
    client = system_running.signed_in("engineer")
    asked = {"format": "netbox", "content": json.dumps(NETBOX), "dry_run": False}
    assert client.post("/api/assets/import", json=asked).json()["made"] == 1
    (asset,) = client.get("/api/assets").json()["items"]
    assert asset["addresses"] == NETBOX_ADDRESSES
    assert (asset["vendor"], asset["product"], asset["serial"]) == ("Schneider Electric", "M340", "21071930")
    assert (asset["level"], asset["level_of"], asset["criticality"]) == ("1", "registered", "high")
    assert (asset["source"], asset["foreign_id"], asset["location"]) == ("netbox", "7", "Pump house")


def test_a_file_of_a_thousand_devices_is_no_larger_than_may_be(system_running: Running) -> None:
    client = system_running.signed_in("engineer")
    lines = [f"Remote terminal unit number {number},10.1.{number // 250}.{number % 250},rtu" for number in range(2_000)]
    content = "\n".join(["name,addresses,role", *lines])
    assert len(content) > system_running.services.settings.body_bytes
    answer = client.post("/api/assets/import", json={"format": "csv", "content": content})
    assert (answer.status_code, answer.json()["made"]) == (200, 2_000), answer.text[:300]
    assert client.post("/api/assets", json={**ASSET, "note": "x" * 100_000}).status_code == 413


@pytest.mark.parametrize(
    ("form", "content", "says"),
    [
        ("csv", "address\n10.0.0.1\n", "no column name"),
        ("csv", "name,colour\nx,red\n", "no column 'colour'"),
        ("csv", 'name\n"x', "line"),
        ("netbox", "{", "not JSON"),
        ("netbox", '{"detail": "Invalid token"}', "no list `results`"),
        ("netbox", '{"results": [], "next": "http://x/?offset=50"}', "one page of several"),
        ("netbox", "[1]", "no list `results`"),
        ("csv", "name\n" + "x\n" * 20_001, "more than 20,000 assets"),
        ("csv", "name\n" + "\n" * 200_001, "more than 200,000 lines"),
        ("csv", "name" + "," * 5_000, "first line is longer"),
        ("netbox", json.dumps([{}] * 20_001), "more than 20,000 assets"),
    ],
    ids=range(11),
)
def test_a_file_that_is_none_is_refused_in_one_line(form: str, content: str, says: str) -> None:
    with pytest.raises(importing.Unreadable, match=says):
        importing.read(form, content)


def test_of_a_file_that_is_too_long_no_more_is_read_than_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    checked = importing._checked  # pyright: ignore[reportPrivateUsage]  counts what is looked at

    def counted(place: str, fields: dict[str, Any], foreign_id: str) -> importing.Given:
        looked.append(place)
        return checked(place, fields, foreign_id)

    monkeypatch.setattr(importing, "_checked", counted)
    monkeypatch.setattr(importing, "ASSETS", 10)
    for form, content in (("csv", "name\n" + "x\n" * 1_000), ("netbox", json.dumps([{"name": "x"}] * 1_000))):
        with pytest.raises(importing.Unreadable):
            importing.read(form, content)
    assert len(looked) == 11


@pytest.mark.parametrize(
    ("device", "reason"),
    [
        ({"primary_ip4": {"address": ["x"]}}, "addresses.0"),
        ({"primary_ip4": {"address": {"a": 1}}, "custom_fields": {"owner": [[1]]}}, "addresses.0"),
        ({"id": "\ud800"}, "its identity is no text"),
        ({"id": "a\0"}, "its identity is no text"),
        ({"id": "7" * 65}, "its identity is no text"),
        ({"name": "\ud800"}, "name: "),
        ({"name": ["x"]}, "name: "),
        ({"id": {"a": [1]}, "role": {"slug": [1]}}, ""),
    ],
    ids=str,
)
def test_odd_values_of_netbox_are_told_with_their_device(device: dict[str, Any], reason: str) -> None:
    addresses = [{"address": [1], "assigned_object": {"device": {"id": [2]}}}, {"address": "10.0.0.1"}]
    content = json.dumps({"devices": [{"name": "x", **device}, {"name": "y"}], "ip-addresses": addresses})
    given, other = importing.read("netbox", content)
    assert given.reason.startswith(reason)
    assert (not given.reason, other.reason) == (not reason, "")
    given.name.encode()


def test_an_asset_keeps_no_more_addresses_than_it_may_have(system_running: Running) -> None:
    client = system_running.signed_in("engineer")
    hardware = [f"00:80:f4:00:00:{number:02x}" for number in range(40)]
    assert client.post("/api/assets", json={"name": "x", "addresses": hardware}).status_code == 201
    found = imported(client, "name,addresses\nx," + " ".join(f"10.0.0.{number}" for number in range(40)) + "\ny,10.0.1.1\n")
    assert [(item["outcome"], item["reason"][:10]) for item in found["items"]] == [("refused", "addresses:"), ("made", "")]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("0080.F412.3456", "00:80:f4:12:34:56"),
        ("00-80-f4-12-34-56", "00:80:f4:12:34:56"),
        ("10.0.0.1/24", "10.0.0.1"),
        ("FE80::1", "fe80::1"),
    ],
)
def test_addresses_are_read_as_people_write_them(written: str, read: str) -> None:
    assert normal(written) == read


@pytest.mark.parametrize("broken", ["", "10.0.0", "pump", "00:80:f4:12:34", "10.0.0.1 10.0.0.2"])
def test_what_is_no_address_is_told(broken: str) -> None:
    with pytest.raises(ValueError, match="no address"):
        normal(broken)


def test_traffic_shows_devices_with_evidence(system_running: Running) -> None:
    plant(system_running.services.records)
    client = system_running.signed_in("viewer")
    found = client.get("/api/assets/observed").json()
    assert (found["limited"], found["site"]) == (False, "")
    devices = {each["ips"][0]: each for each in found["devices"]}
    assert devices.keys() == {HMI, PLC, OTHER}
    assert devices[PLC]["macs"] == [MACS[PLC]]
    assert (devices[PLC]["vendor"], devices[PLC]["product"]) == ("Schneider Electric", "BMX P34 2020")
    assert (devices[PLC]["roles"][0]["role"], devices[PLC]["level"], devices[PLC]["level_of"]) == ("plc", "1", "role")
    assert devices[PLC]["attributes"][0]["source"] == "modbus device identification"
    assert devices[HMI]["roles"][0]["role"] == "hmi"
    assert "2.0 s" in devices[HMI]["roles"][0]["reason"]
    assert devices[HMI]["first_seen"].startswith("2025-11-24T16:00:00")
    chinese = client.get("/api/assets/observed", params={"language": "zh-CN"}).json()["devices"]
    assert "周期" in next(each for each in chinese if each["ips"] == [HMI])["roles"][0]["reason"]
    before = client.get("/api/assets/observed", params={"until": "2025-11-24T16:00:00Z"}).json()
    assert before["devices"] == []


def test_what_is_registered_is_compared_with_what_is_seen(system_running: Running) -> None:
    plant(system_running.services.records)
    client = system_running.signed_in("engineer")
    for body in (
        {"name": "PLC", "addresses": [PLC], "role": "plc", "vendor": "Schneider", "product": "M580", "owner": "B"},
        {"name": "HMI", "addresses": [HMI], "role": "hmi"},
        {"name": "Gone", "addresses": ["10.0.1.99"]},
        {"name": "Serial line"},
    ):
        assert client.post("/api/assets", json=body).status_code == 201
    found = client.get("/api/assets/comparison").json()
    assert [each["ips"] for each in found["new"]] == [[OTHER]]
    assert [each["name"] for each in found["missing"]] == ["Gone"]
    (changed,) = found["changed"]
    assert changed["asset"]["name"] == "PLC"
    (difference,) = changed["differences"]
    assert (difference["field"], difference["registered"], difference["observed"]) == ("product", "M580", "BMX P34 2020")
    assert (found["alike"], found["silent"]) == (1, 1)
    seen = client.get("/api/assets/observed").json()["devices"]
    assert next(each for each in seen if each["ips"] == [PLC])["owner"] == "B"


@SQLITE_ONLY
def test_records_counted_together_tell_the_same_devices_as_all_of_them(system_running: Running, captures: Path) -> None:
    """But for periods: of records that are counted together the mean distance is known and not the median."""
    store = system_running.services.records
    for name in CAPTURED:
        batches = recorded(captures / name, "", LOCAL_SENSOR)
        store.append([decode(batch.header, bytes(batch.data)) for batch in batches])
    frames = {table: store.query(Query(table, limit=10_000, columns=COLUMNS[table])).rows for table in COLUMNS}
    whole = inventory(frames).drop("roles", "attributes")
    assert all(frame.height < 10_000 for frame in frames.values())
    found = observed(store, span(store, 0, None, 60, ()), "en")
    assert whole.height > 10
    assert found.devices.select(whole.columns).equals(whole)
    told = [
        devices.select("device", pl.col("roles").list.eval(pl.element().struct.field("role").sort()))
        for devices in (inventory(frames), found.devices)
    ]
    assert told[0].equals(told[1])
    assert told[0]["roles"].explode().drop_nulls().len() > 10


@SQLITE_ONLY
def test_devices_are_the_same_from_a_cluster(system_running: Running, elasticsearch_server: Elasticsearch) -> None:
    plant(system_running.services.records)
    local = system_running.services.records
    with cluster(elasticsearch_server.url) as settings, ExitStack() as stack:
        store = ElasticsearchRecordStore(settings, writer=True)
        stack.callback(store.close)
        plant(store)
        found = [observed(each, span(each, None, None, 60, ()), "en") for each in (local, store)]
    assert found[0].devices.height == 3
    assert found[0].devices.equals(found[1].devices)
