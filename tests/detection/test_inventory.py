"""The inventory against the virtual plant, whose truth is known, real captures with known devices, and addresses that mislead."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl
import pytest
from click.testing import CliRunner

from api.cli import icsight
from detection.inventory import COLUMNS, inventory
from sensor.tables import TABLES
from tests.plant import plant
from tests.plant.day import day
from tests.plant.opcua import works

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

KNOWN: Final[dict[str, Any]] = json.loads((Path(__file__).parent / "known_devices.json").read_text())
"""Capture → what another tool tells of its devices: an address, attribute → value, perhaps all hardware addresses and a role."""

ROLES: Final = {
    plant.HMI: "hmi",
    plant.HISTORIAN: "historian",
    plant.ENGINEER: "engineering_station",
    plant.INTAKE: "plc",
    plant.TREATMENT: "plc",
    plant.DISTRIBUTION: "plc",
    plant.BOILER: "plc",
    plant.GATEWAY: "gateway",
    works.SCADA: "opcua_server",
    works.BOILER_SERVER: "opcua_server",
    works.MES: "hmi",
}
"""What the hosts of the virtual plant are for; an MES that takes values and writes some is told as what operates the plant."""


def devices(capture: Path, *options: str) -> list[dict[str, Any]]:
    """What `icsight devices` prints of a capture."""
    result = CliRunner().invoke(icsight, ["devices", "--output", "json", *options, str(capture)])
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture(scope="module")
def quiet_plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half an hour of the plant at work."""
    buffer = io.BytesIO()
    day(buffer, seed=7, hours=0.5, scenario_names=["planned_work", "normal_day"], attack_names=[])
    capture = tmp_path_factory.mktemp("inventory") / "plant.pcap"
    capture.write_bytes(buffer.getvalue())
    return capture


def test_every_host_of_the_plant_is_one_device_with_its_role(quiet_plant: Path) -> None:
    found = {device["device"]: device for device in devices(quiet_plant)}
    assert {host.mac: [host.ip] for host in ROLES} == {name: device["ips"] for name, device in found.items()}
    assert {host.mac: role for host, role in ROLES.items()} == {
        name: device["roles"][0]["role"] for name, device in found.items()
    }
    assert found[plant.GATEWAY.mac]["roles"][0]["reason"] == "answers Modbus requests to 6 units"


def test_reasons_are_told_in_chinese(quiet_plant: Path) -> None:
    found = {device["device"]: device for device in devices(quiet_plant, "--language", "zh-CN")}
    assert found[plant.GATEWAY.mac]["roles"][0]["reason"] == "应答发往 6 个单元的 Modbus 请求"


@pytest.mark.parametrize("capture", KNOWN)
def test_known_devices_of_real_captures_are_found(captures: Path, capture: str) -> None:
    found = devices(captures / capture)
    for known in KNOWN[capture]:
        device = next(
            (each for each in found if known["address"] in [*each["macs"], *each["ips"]]),
            None,
        )
        assert device is not None, known["address"]
        said = {(each["attribute"], each["value"]) for each in device["attributes"]}
        assert set(known["attributes"].items()) <= said
        assert known.get("macs", device["macs"]) == device["macs"]
        roles: list[dict[str, Any]] = device["roles"] or []
        assert known.get("role") in {None, *(role["role"] for role in roles)}


def records(
    flows: list[dict[str, Any]], facts: list[dict[str, Any]], calls: Sequence[dict[str, Any]] = ()
) -> dict[str, pl.DataFrame]:
    """Tables with these rows; what is not given is null, or one packet each way."""

    def table(name: str, rows: Sequence[dict[str, Any]], **defaults: object) -> pl.DataFrame:
        schema = {column: TABLES[name].schema[column] for column in COLUMNS[name]}
        whole = [{column: row.get(column, defaults.get(column)) for column in schema} for row in rows]
        return pl.DataFrame(whole, schema=schema, orient="row")

    packets = {"flow.packets_out": 1, "flow.packets_in": 1, "flow.bytes_in": 1, "network.transport": "tcp"}
    return {
        "flow": table("flow", [{"ts": at, **row} for at, row in enumerate(flows)], **packets),
        "modbus": table("modbus", []),
        "opcua": table("opcua", calls),
        "device": table("device", [{"ts": at, **row} for at, row in enumerate(facts)]),
    }


def flow(client: tuple[str, str | None], server: tuple[str, str | None], **columns: object) -> dict[str, Any]:
    """A conversation of two parties, each a hardware and a network address."""
    addresses = {"client.mac": client[0], "client.ip": client[1], "server.mac": server[0], "server.ip": server[1]}
    return {**addresses, **columns}


def fact(mac: str | None, ip: str | None, attribute: str, value: str, source: str, *, confidence: float = 0.9) -> dict[str, Any]:
    """Something said of a device."""
    names = ("device.mac", "device.ip", "device.attribute", "device.value", "device.source", "device.confidence")
    return dict(zip(names, (mac, ip, attribute, value, source, confidence), strict=True))


A, B, ROUTER = "02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:01"


def grouped(found: pl.DataFrame) -> set[tuple[str, ...]]:
    """The addresses of each device."""
    return {(*row["macs"], *row["ips"]) for row in found.to_dicts()}


@pytest.mark.parametrize(
    ("services", "role"),
    [
        (["Publish"] * 9, "opcua_client"),
        (["Publish"] * 10, "historian"),
        (["Read"] * 10 + ["Write"], "hmi"),
        (["Publish"] * 10 + ["Call"], "hmi"),
        (["Browse", "Write"], "engineering_station"),
        (["Publish"] * 10 + ["Write", "AddNodes"], "engineering_station"),
        ([None] * 50, "opcua_client"),
    ],
)
def test_what_a_client_of_opcua_is_for_shows_in_the_services_that_it_calls(services: list[str | None], role: str) -> None:
    parties = ((A, "10.0.0.10"), (B, "10.0.0.11"))
    calls = [{**flow(*parties), "ts": at, "opcua.service": service} for at, service in enumerate(services)]
    found = inventory(records([flow(*parties, **{"network.application": "opcua"})], [], calls))
    assert found.row(0, named=True)["roles"][0]["role"] == role


def test_a_router_s_hardware_address_does_not_merge_what_is_behind_it() -> None:
    here = (A, "10.0.0.10")
    flows = [flow(here, (ROUTER, "10.9.0.1")), flow(here, (ROUTER, "10.9.0.2")), flow(here, (ROUTER, "10.0.0.1"))]
    facts = [fact(ROUTER, "10.0.0.1", "address", "10.0.0.1", "arp"), fact(ROUTER, "10.9.0.1", "product", "PLC", "http")]
    found = inventory(records(flows, facts))
    assert grouped(found) == {here, (ROUTER, "10.0.0.1"), ("10.9.0.1",), ("10.9.0.2",)}
    assert found.filter(pl.col("product") == "PLC")["device"].to_list() == ["10.9.0.1"]
    routers = found.explode("roles").filter(pl.col("roles").struct.field("role") == "router")
    assert routers["device"].to_list() == [ROUTER]


def test_who_claims_another_s_address_is_not_merged_with_it() -> None:
    victim = (A, "10.0.0.10")
    facts = [fact(*victim, "address", victim[1], "arp"), fact(B, victim[1], "address", victim[1], "arp")]
    found = inventory(records([flow((B, "10.0.0.66"), victim), flow((B, victim[1]), (ROUTER, "10.0.0.1"))], facts))
    assert victim in grouped(found)
    assert not any(A in device and B in device for device in grouped(found))


def test_ports_and_addresses_of_one_device_are_merged_by_what_it_claims() -> None:
    facts = [
        fact(A, None, "address", B, "lldp"),
        fact(B, "fe80::1", "address", "fe80::1", "ndp"),
        fact(B, None, "address", "10.0.0.2", "profinet dcp"),
        fact(A, None, "role", "bridge", "lldp"),
    ]
    found = inventory(records([], facts))
    assert grouped(found) == {(A, B, "10.0.0.2", "fe80::1")}
    assert found["roles"].to_list()[0][0]["role"] == "switch"


def test_what_a_device_s_messages_are_those_of_gives_it_its_role_with_the_reason() -> None:
    facts = [
        fact(A, "10.0.0.10", "role", "transfers S7 blocks", "s7 function", confidence=0.8),
        fact(B, "10.0.0.11", "role", "IEC 104 controlled station", "iec104 unit", confidence=0.8),
        fact(ROUTER, "10.0.0.1", "product", "SIMATIC S7 MULTIPORT SCALANCE X 200 FAM", "lldp", confidence=0.8),
    ]
    found = inventory(records([], facts))
    assert {row["device"]: (row["roles"][0]["role"], row["roles"][0]["reason"]) for row in found.to_dicts()} == {
        A: ("engineering_station", "its messages are those of one: transfers S7 blocks (s7 function)"),
        B: ("rtu", "its messages are those of one: IEC 104 controlled station (iec104 unit)"),
        ROUTER: ("switch", "its product is one: SIMATIC S7 MULTIPORT SCALANCE X 200 FAM"),
    }


def test_who_exchanges_cyclic_data_with_what_it_connected_to_is_a_controller() -> None:
    controller, device, panel = (A, "10.0.0.10"), (B, "10.0.0.11"), (ROUTER, "10.0.0.12")
    udp = {"network.transport": "udp", "client.port": 2222, "server.port": 2222, "network.application": "enip"}
    flows = [
        flow(controller, device, **{"network.application": "enip"}),
        flow(panel, device, **{"network.application": "enip"}),
        flow(device, controller, **udp),
    ]
    roles = {row["device"]: [role["role"] for role in row["roles"]] for row in inventory(records(flows, [])).to_dicts()}
    assert roles == {A: ["plc", "control_client"], B: ["plc"], ROUTER: ["control_client"]}


def test_who_publishes_events_of_a_substation_is_one_of_its_devices() -> None:
    columns = {"network.application": "goose", "network.transport": "ethernet"}
    found = inventory(records([flow((A, None), ("01:0c:cd:01:00:01", None), **columns)], []))
    assert [(row["device"], row["roles"][0]["role"], row["roles"][0]["reason"]) for row in found.to_dicts()] == [
        (A, "ied", "publishes goose")
    ]


def test_an_address_that_never_answers_is_no_device() -> None:
    flows = [flow((A, "10.0.0.10"), ("ff:ff:ff:ff:ff:ff", "10.0.0.255"), **{"flow.packets_in": 0})]
    assert grouped(inventory(records(flows, []))) == {(A, "10.0.0.10")}


def test_the_most_trusted_value_is_shown_and_others_are_kept_as_different() -> None:
    facts = [
        fact(A, None, "vendor", "Cards Ltd", "mac address", confidence=0.5),
        fact(A, "10.0.0.10", "vendor", "Siemens", "s7 szl"),
        fact(A, "10.0.0.10", "vendor", "siemens", "lldp", confidence=0.8),
    ]
    device = inventory(records([flow((A, "10.0.0.10"), (B, "10.0.0.11"))], facts)).row(0, named=True)
    assert device["vendor"] == "Siemens"
    assert [(each["value"], each["differs"]) for each in device["attributes"]] == [
        ("Siemens", False),
        ("siemens", False),
        ("Cards Ltd", True),
    ]


def test_nothing_seen_is_no_device() -> None:
    assert inventory(records([], [])).height == 0
