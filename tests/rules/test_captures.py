"""What the rules say about public captures: those written for signatures fire, ordinary traffic raises nothing high."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml
from click.testing import CliRunner
from scapy.layers.inet import TCP
from scapy.utils import PcapReader, wrpcap

from api.cli import icsight

if TYPE_CHECKING:
    from pathlib import Path

QUICKDRAW: Final = "modbus/digitalbond+Quickdraw-Snort"
LEMAY: Final = "modbus/antoine-lemay+Modbus_dataset"
CHARACTERIZATION: Final = f"{LEMAY}/characterization_modbus_6RTU_with_operate.pcap"

ORDINARY: Final = (
    "modbus/Similicious11+ics-security-monitoring/captures/modbus_traffic.pcap",
    "modbus/apache+plc4x/protocols/modbus/src/test/resources/protocols/modbus/tcp/manual-test-capture.pcapng",
    "modbus/ITI+ICS-Security-Tools/pcaps/ModbusTCP/Modbus/modbus_test.pcap",
    "modbus/ITI+ICS-Security-Tools/pcaps/ModbusTCP/Modbus/modbus_test_2.pcap",
    "modbus/ITI+ICS-Security-Tools/pcaps/ModbusTCP/ModbusTCP.pcap",
    "modbus/cisagov+icsnpp-modbus/testing/traces/modbus_example.pcap",
    "modbus/resilmesh2+MONT-Dataset-OT-ICS-attacks/Scenario-2/4-Lateral-movement/lateral_movement_traffic.pcap",
    "modbus/zeek+zeek/testing/btest/Traces/modbus/4SICS-GeekLounge-151022-min.pcap",
    "modbus/zeek+zeek/testing/btest/Traces/modbus/modbus-eit.pcap",
    "modbus/zeek+zeek/testing/btest/Traces/modbus/modbusBig.pcap",
    "modbus/zeek+zeek/testing/btest/Traces/modbus/modbusSmall.pcap",
)
"""Polling and engineering traffic without an attack."""

OPCUA: Final = "opcua/cisagov+icsnpp-opcua-binary"

OPCUA_ORDINARY: Final = (
    f"{OPCUA}/pcaps",
    f"{OPCUA}/tests/traces",
    "opcua/KiwiMiri+opcua-security-research/pcaps",
    "opcua/node-opcua+node-opcua",
)
"""Folders of OPC UA clients' ordinary work: open62541, asyncua, node-opcua, FreeOpcUa."""

OPCUA_WEAK: Final = {
    "open62541_client-server_mainloop.pcap": "opcua_password_in_clear",
    "open62541_client-server_encrypted.pcap": "opcua_deprecated_policy",
    "python_opcua-client-server_minimal.pcap": "opcua_anonymous_sign_in",
    "OpcUaConversation1.pcapng": "opcua_better_security_not_used",
}
"""Captures of weak security → what it is told as, below high."""

DIAGNOSTICS: Final = {
    "force_listen_only_mode",
    "restart_communications",
    "counters_cleared",
    "device_identification_read",
    "busy_exceptions",
}
"""What the first part of Quickdraw's captures was written to fire (sid 1111001-1111005, 1111010)."""

SCANS: Final = {
    "function_code_sweep",
    "illegal_function_exceptions",
    "illegal_address_exceptions",
    "reserved_function",
}
"""What the second part was written to fire (sid 1111013, 1111014)."""

WRITTEN_TO_FIRE: Final = {
    f"{QUICKDRAW}/modbus_test_data_part1.pcap": {
        *DIAGNOSTICS,
        "acknowledge_exceptions",
        "protocol_identifier_violation",
        "length_violation",
    },
    f"{QUICKDRAW}/modbus_test_data_part2.pcap": {*SCANS, "controller_at_public_address"},
    f"{QUICKDRAW}/modicon_test.pcap": {"umas_program_upload", "umas_reservation", "umas_identification"},
    "modbus/OISF+suricata-verify/tests/modbus/modbus.pcap": DIAGNOSTICS,
    "modbus/arkime+arkime/tests/pcap/modbus.pcap": {*DIAGNOSTICS, *SCANS, "acknowledge_exceptions"},
    "modbus/zeek+zeek/testing/btest/Traces/modbus/modbus-and-non-modbus-p502.pcap": {"foreign_protocol_on_modbus_port"},
    "modbus/resilmesh2+MONT-Dataset-OT-ICS-attacks/Scenario-2/1-Reconnaissance/normal_scan.pcap": {"port_scan"},
    CHARACTERIZATION: {"address_sweep"},
}
"""Capture → rules that must fire on it without site lists."""

FROM_REQUESTS: Final = {
    f"{QUICKDRAW}/modbus_test_data_part1.pcap": DIAGNOSTICS - {"busy_exceptions"},
    f"{QUICKDRAW}/modbus_test_data_part2.pcap": {"function_code_sweep", "reserved_function"},
    f"{QUICKDRAW}/modicon_test.pcap": {"umas_program_upload", "umas_reservation"},
    CHARACTERIZATION: {"address_sweep"},
}
"""Capture → rules that must fire where only its requests were seen."""

SITE: Final = {"authorised_writers": ["10.0.0.57"], "modbus_clients": ["10.0.0.57"]}
"""Site lists in which Quickdraw's second client, 10.0.0.9, is a stranger (sid 1111006, 1111007)."""

Alerts = list[dict[str, Any]]


@pytest.mark.parametrize("capture", ORDINARY)
def test_ordinary_traffic_raises_nothing_high(captures: Path, capture: str) -> None:
    high = [alert for alert in _detect(captures / capture) if alert["severity"] in {"high", "critical"}]
    assert [(alert["title"], alert["summary"]) for alert in high] == []


@pytest.mark.parametrize("folder", OPCUA_ORDINARY)
def test_ordinary_opcua_clients_raise_nothing_high(captures: Path, folder: str) -> None:
    files = sorted((captures / folder).rglob("*.pcap*"))
    assert files
    for capture in files:
        alerts = _detect(capture)
        high = [alert for alert in alerts if alert["severity"] in {"high", "critical"}]
        assert {alert["rule"] for alert in high} == set(), capture.name
        if capture.name in OPCUA_WEAK:
            assert OPCUA_WEAK[capture.name] in _rules(alerts), capture.name


@pytest.mark.parametrize("capture", WRITTEN_TO_FIRE)
def test_a_capture_that_was_written_for_signatures_fires_their_rules(captures: Path, capture: str) -> None:
    assert WRITTEN_TO_FIRE[capture] <= _rules(_detect(captures / capture))


@pytest.mark.parametrize("capture", FROM_REQUESTS)
def test_attacks_are_named_from_the_requests_alone(captures: Path, capture: str, tmp_path: Path) -> None:
    requests = tmp_path / "requests.pcap"
    with PcapReader(str(captures / capture)) as reader:
        wrpcap(str(requests), [packet for packet in reader if TCP in packet and packet[TCP].dport == 502])
    assert FROM_REQUESTS[capture] <= _rules(_detect(requests))


def test_the_modbus_scan_is_one_sweep_alert_and_few_name_its_client(captures: Path) -> None:
    alerts = [alert for alert in _detect(captures / CHARACTERIZATION) if alert["client.ip"] == "192.168.1.101"]
    sweeps = [alert for alert in alerts if alert["rule"] == "address_sweep"]
    assert len(sweeps) == 1
    assert sweeps[0]["server.ip"] == "192.168.1.104"
    assert sweeps[0]["count"] > 3_000
    assert len(alerts) <= 3


def test_clients_that_the_site_lists_do_not_name_are_told_when_they_read_and_write(captures: Path, tmp_path: Path) -> None:
    site = tmp_path / "site.yml"
    site.write_text(yaml.safe_dump({"lists": SITE}))
    alerts = _detect(captures / QUICKDRAW / "modbus_test_data_part1.pcap", "--site", str(site))
    for rule in ("write_by_unauthorised_client", "read_by_unauthorised_client"):
        assert {alert["client.ip"] for alert in alerts if rule in _rules([alert])} == {"10.0.0.9"}


def test_a_stranger_s_scan_is_titled_by_the_scan_and_says_that_a_stranger_did_it(captures: Path, tmp_path: Path) -> None:
    site = tmp_path / "site.yml"
    site.write_text(yaml.safe_dump({"lists": {"authorised_writers": ["192.168.1.1"], "modbus_clients": ["192.168.1.1"]}}))
    alerts = _detect(captures / CHARACTERIZATION, "--site", str(site))
    named = [alert for alert in alerts if alert["client.ip"] == "192.168.1.101"]
    (sweep,) = [alert for alert in named if alert["rule"] == "address_sweep"]
    assert sweep["count"] > 3_000
    assert "read_by_unauthorised_client" in _rules([sweep])
    assert len(named) <= 3


def _detect(capture: Path, *options: str) -> Alerts:
    result = CliRunner().invoke(icsight, ["detect", str(capture), "--output", "json", *options], catch_exceptions=False)
    assert result.exit_code in {0, 1}, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def _rules(alerts: Alerts) -> set[str]:
    """The rules of alerts and of the findings that attach to them."""
    return {name for alert in alerts for name in (alert["rule"], *(related["rule"] for related in alert["related"]))}
