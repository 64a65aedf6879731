"""Traffic for the rules about connections, remote services and the sensor's own view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymodbus.pdu.register_message import ReadHoldingRegistersRequest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

from tests.plant.controllers import request_bytes
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


@scenario("sensor/records_lost", stack=CRAFTED)
def records_lost(fires: Capture, quiet: Capture) -> None:
    # A hundred violations of one kind are recorded within a minute; who floods the sensor with more hides what comes behind them.
    for capture, requests in ((fires, 140), (quiet, 60)):
        session = capture.modbus(INTRUDER, PLC)
        for address in range(requests):
            session.exchange_pdu(b"\x03" + address.to_bytes(2) + b"\x00\x00", None)
        capture.wait(20)
        session.close()


@scenario("network/data_after_close", stack=CRAFTED)
def data_after_close(fires: Capture, quiet: Capture) -> None:
    for capture, is_forged in ((fires, True), (quiet, False)):
        session = capture.modbus(HMI, PLC)
        session.ask(ReadHoldingRegistersRequest(address=0, count=10))
        capture.wait(1)
        last = session.encode(ReadHoldingRegistersRequest(address=0, count=10))
        session.connection.send(last)
        session.connection.packet(from_client=True, flags="FA")
        # The client has nothing more to say; the server may still answer, and the client may repeat what it sent before.
        session.connection.receive(session.controller.answer(last))
        place = session.connection.sent[True] - len(last) - 1
        session.connection.packet(from_client=True, flags="PA", data=last, sequence=place)
        session.connection.packet(from_client=False, flags="FA")
        session.connection.packet(from_client=True, flags="A")
        if is_forged:
            session.exchange_pdu(b"\x06\x00\x07\x03\xe8", None)


@scenario("network/evading_fragments", stack=CRAFTED)
def evading_fragments(fires: Capture, quiet: Capture) -> None:
    segment = TCP(sport=44_000, dport=502, seq=1_000, ack=1, flags="PA", window=8192)
    request = request_bytes(ReadHoldingRegistersRequest(address=0, count=10), 1, 1)
    datagram = IP(src=INTRUDER.ip, dst=PLC.ip, id=7, ttl=64) / segment / Raw(request)
    for capture, cut in ((fires, 8), (quiet, 24)):
        payload = bytes(datagram)[20:]
        for place, piece in ((0, payload[:cut]), (cut, payload[cut:])):
            header = IP(src=INTRUDER.ip, dst=PLC.ip, id=7, ttl=64, proto=6, flags="MF" if place == 0 else 0, frag=place // 8)
            capture.put(Ether(src=INTRUDER.mac, dst=PLC.mac) / header / Raw(piece))


@scenario("network/forged_neighbour_message", stack=CRAFTED)
def forged_neighbour_message(fires: Capture, quiet: Capture) -> None:
    for capture, sender in ((fires, INTRUDER), (quiet, PLC)):
        capture.arp_request(HMI, PLC.ip)
        reply = ARP(op=2, hwsrc=PLC.mac, psrc=PLC.ip, hwdst=HMI.mac, pdst=HMI.ip)
        capture.put(Ether(src=sender.mac, dst=HMI.mac) / reply)


@scenario("network/malformed_headers", stack=CRAFTED)
def malformed_headers(fires: Capture, quiet: Capture) -> None:
    # A header of 15 words is the longest that there can be, but the segment must hold it.
    for capture, options in ((fires, b""), (quiet, bytes(40))):
        segment = TCP(sport=44_000, dport=502, seq=1_000, flags="S", window=8192, dataofs=15)
        packet = Ether(src=INTRUDER.mac, dst=PLC.mac) / IP(src=INTRUDER.ip, dst=PLC.ip, ttl=64) / segment
        capture.put(packet / Raw(options) if options else packet)
        capture.wait(1)
        capture.connect(HMI, PLC).open()


@scenario("network/slow_port_scan", stack=CRAFTED)
def slow_port_scan(fires: Capture, quiet: Capture) -> None:
    for capture, last in ((fires, 30), (quiet, 18)):
        for port in range(1, last + 1):
            connection = capture.connect(INTRUDER, PLC, port)
            connection.packet(from_client=True, flags="S")
            connection.packet(from_client=False, flags="RA")
            capture.wait(90)


@scenario("network/connections_in_vain", stack=CRAFTED)
def connections_in_vain(fires: Capture, quiet: Capture) -> None:
    for capture, tries in ((fires, 40), (quiet, 20)):
        for _ in range(tries):
            connection = capture.connect(HMI, PLC)
            connection.packet(from_client=True, flags="S")
            connection.packet(from_client=False, flags="RA")
            capture.wait(5)


@scenario("network/connections_held", stack=CRAFTED)
def connections_held(fires: Capture, quiet: Capture) -> None:
    for capture, held in ((fires, 12), (quiet, 4)):
        connections = [capture.connect(INTRUDER, PLC) for _ in range(held)]
        for connection in connections:
            connection.open()
        for place in range(9):
            capture.wait(20)
            for connection in connections:
                connection.send(b"\0\1\0\0\0\x06\1\3\0\0\0\1"[place : place + 1])
