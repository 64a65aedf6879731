"""Traffic for the rules about connections, remote services and the sensor's own view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymodbus.pdu.register_message import ReadHoldingRegistersRequest

from tests.rules.wire import CRAFTED, ENGINEER, HMI, INTRUDER, PLC, Host, scenario

if TYPE_CHECKING:
    from tests.rules.wire import Capture

OFFICE = Host("10.9.0.15", "02:00:00:00:00:fe")
"""A computer in the office network, behind the plant's router."""


@scenario("network/port_scan", stack=CRAFTED)
def port_scan(fires: Capture, quiet: Capture) -> None:
    for capture, last in ((fires, 30), (quiet, 15)):
        for port in range(1, last + 1):
            connection = capture.connect(INTRUDER, PLC, port, client_port=40_000)
            connection.packet(from_client=True, flags="S")
            connection.packet(from_client=False, flags="RA")
            capture.wait(0.1)


@scenario("network/host_sweep", stack=CRAFTED)
def host_sweep(fires: Capture, quiet: Capture) -> None:
    for capture, last in ((fires, 40), (quiet, 12)):
        for host in range(1, last + 1):
            target = Host(f"10.20.2.{host}", f"02:00:00:00:02:{host:02x}")
            capture.connect(INTRUDER, target, 502, client_port=41_000).packet(from_client=True, flags="S")
            capture.wait(0.1)


@scenario("network/half_open_connections", stack=CRAFTED)
def half_open_connections(fires: Capture, quiet: Capture) -> None:
    for capture, half_open in ((fires, 30), (quiet, 15)):
        for _ in range(half_open):
            connection = capture.connect(INTRUDER, PLC)
            connection.packet(from_client=True, flags="S")
            connection.packet(from_client=False, flags="SA")
            capture.wait(0.1)
        for _ in range(10):
            connection = capture.connect(HMI, PLC)
            connection.open()
            connection.close()


@scenario("network/connection_flood", stack=CRAFTED)
def connection_flood(fires: Capture, quiet: Capture) -> None:
    for capture, connections in ((fires, 220), (quiet, 150)):
        for _ in range(connections):
            connection = capture.connect(INTRUDER, PLC)
            connection.open()
            connection.packet(from_client=True, flags="RA")
            capture.wait(0.03)


@scenario("network/remote_service_into_control_network", stack=CRAFTED)
def remote_service_into_control_network(fires: Capture, quiet: Capture) -> None:
    for capture, client in ((fires, OFFICE), (quiet, ENGINEER)):
        connection = capture.connect(client, PLC, 22)
        connection.open()
        connection.receive(b"SSH-2.0-OpenSSH_9.6\r\n")
        connection.send(b"SSH-2.0-OpenSSH_9.2\r\n")
        connection.close()


@scenario("sensor/packets_missing")
def packets_missing(fires: Capture, quiet: Capture) -> None:
    for capture, connections in ((fires, 14), (quiet, 6)):
        for _ in range(connections):
            session = capture.modbus(HMI, PLC)
            session.ask(ReadHoldingRegistersRequest(address=0, count=10))
            session.connection.sent[False] += 29  # an answer that the mirror port lost
            session.connection.sent[True] += 12
            session.ask(ReadHoldingRegistersRequest(address=0, count=10))
            session.ask(ReadHoldingRegistersRequest(address=0, count=10))
            session.close()
            capture.wait(5)


@scenario("sensor/records_lost")
def records_lost(fires: Capture, quiet: Capture) -> None:
    # A conversation holds 64 requests that wait for their answers; a scanner that waits for none sends more.
    for capture, requests in ((fires, 100), (quiet, 60)):
        session = capture.modbus(INTRUDER, PLC)
        for address in range(requests):
            session.request(ReadHoldingRegistersRequest(address=address, count=1))
        capture.wait(20)
        session.close()
