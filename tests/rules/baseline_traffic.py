"""Traffic for the rules about what is new: an operator station polls long enough to be learned, then something happens."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest, WriteSingleRegisterRequest
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from tests.plant.frames import Host
from tests.plant.opcua.server import STACK
from tests.rules.opcua import client as opcua_client
from tests.rules.opcua import server
from tests.rules.wire import CRAFTED, ENGINEER, GATEWAY, HISTORIAN, HMI, INTRUDER, PLC, scenario

if TYPE_CHECKING:
    from tests.rules.wire import Capture, Session

LEARNED_POLLS, LATER_POLLS = 12, 18
"""Polls every 20 s: four minutes, all of the first fifth of ten, in which nothing else happens; and the rest of the ten."""


def polled(capture: Capture) -> Session:
    """An operator station that polls a controller and trims a set-point, for four minutes."""
    hmi = capture.modbus(HMI, PLC)
    for turn in range(LEARNED_POLLS):
        hmi.ask(ReadHoldingRegistersRequest(address=100, count=4))
        if turn in {1, 3}:
            hmi.ask(WriteSingleRegisterRequest(address=100, registers=[420 + turn]))
        capture.wait(20)
    return hmi


def goes_on(capture: Capture, hmi: Session) -> None:
    """The same station, for six minutes more."""
    for _ in range(LATER_POLLS):
        hmi.ask(ReadHoldingRegistersRequest(address=100, count=4))
        capture.wait(20)


@scenario("baseline/new_writer")
def new_writer(fires: Capture, quiet: Capture) -> None:
    for capture, client in ((fires, INTRUDER), (quiet, HMI)):
        hmi = polled(capture)
        session = hmi if client is HMI else capture.modbus(client, PLC)
        session.ask(WriteSingleRegisterRequest(address=100, registers=[430]))
        goes_on(capture, hmi)


@scenario("baseline/reader_writes")
def reader_writes(fires: Capture, quiet: Capture) -> None:
    for capture, writes in ((fires, True), (quiet, False)):
        engineer = capture.modbus(ENGINEER, PLC)
        engineer.ask(ReadHoldingRegistersRequest(address=0, count=4))
        hmi = polled(capture)
        engineer.ask(ReadHoldingRegistersRequest(address=0, count=4))
        if writes:
            engineer.ask(WriteSingleRegisterRequest(address=100, registers=[430]))
        goes_on(capture, hmi)


@scenario("baseline/new_program_operation", CRAFTED)
def new_program_operation(fires: Capture, quiet: Capture) -> None:
    for capture, sub_function in ((fires, 1), (quiet, 2)):
        hmi = polled(capture)
        # Restart communications, and a question for the diagnostic register.
        asked = bytes([8, 0, sub_function, 0, 0])
        hmi.exchange_pdu(asked, asked)
        goes_on(capture, hmi)


@scenario("baseline/new_point_written")
def new_point_written(fires: Capture, quiet: Capture) -> None:
    for capture, address in ((fires, 101), (quiet, 100)):
        hmi = polled(capture)
        hmi.ask(WriteSingleRegisterRequest(address=address, registers=[430]))
        goes_on(capture, hmi)


@scenario("baseline/new_control_conversation")
def new_control_conversation(fires: Capture, quiet: Capture) -> None:
    for capture, client in ((fires, ENGINEER), (quiet, HMI)):
        hmi = polled(capture)
        session = capture.modbus(client, PLC)
        session.ask(ReadHoldingRegistersRequest(address=100, count=4))
        session.close()
        goes_on(capture, hmi)


@scenario("baseline/new_remote_service", CRAFTED)
def new_remote_service(fires: Capture, quiet: Capture) -> None:
    for capture, answered in ((fires, True), (quiet, False)):
        hmi = polled(capture)
        session = capture.connect(INTRUDER, HMI, 22)
        if answered:
            session.open()
            session.receive(b"SSH-2.0-OpenSSH_9.2\r\n")
            session.send(b"SSH-2.0-PuTTY_Release_0.81\r\n")
            session.close()
        else:
            session.packet(from_client=True, flags="S")
        goes_on(capture, hmi)


@scenario("baseline/controller_begins_conversation", CRAFTED)
def controller_begins_conversation(fires: Capture, quiet: Capture) -> None:
    for capture, client in ((fires, PLC), (quiet, HMI)):
        hmi = polled(capture)
        session = capture.connect(client, INTRUDER, 4_444)
        session.open()
        session.send(b"hello")
        session.receive(b"hello")
        session.close()
        goes_on(capture, hmi)


@scenario("baseline/new_operation")
def new_operation(fires: Capture, quiet: Capture) -> None:
    for capture, request in ((fires, ReadInputRegistersRequest), (quiet, ReadHoldingRegistersRequest)):
        hmi = polled(capture)
        hmi.ask(request(address=100, count=4))
        goes_on(capture, hmi)


@scenario("baseline/many_new_blocks_read")
def many_new_blocks_read(fires: Capture, quiet: Capture) -> None:
    for capture, blocks in ((fires, 20), (quiet, 19)):
        hmi = polled(capture)
        for block in range(blocks):
            hmi.ask(ReadHoldingRegistersRequest(address=200 + 10 * block, count=4))
        goes_on(capture, hmi)


@scenario("baseline/new_at_many_servers")
def new_at_many_servers(fires: Capture, quiet: Capture) -> None:
    for capture, servers in ((fires, 5), (quiet, 4)):
        hmi = polled(capture)
        for number in range(servers):
            session = capture.modbus(HISTORIAN, Host(f"10.20.2.{51 + number}", f"02:00:00:00:02:{51 + number}"))
            session.ask(ReadHoldingRegistersRequest(address=100, count=4))
            session.close()
            capture.wait(20)
        goes_on(capture, hmi)


@scenario("baseline/slow_address_scan")
def slow_address_scan(fires: Capture, quiet: Capture) -> None:
    for capture, blocks in ((fires, 40), (quiet, 39)):
        hmi = polled(capture)
        goes_on(capture, hmi)
        for block in range(blocks):
            hmi.ask(ReadHoldingRegistersRequest(address=200 + 10 * block, count=4))
            capture.wait(1_200)


SECURE: dict[str, Any] = {"policy": "Basic256Sha256", "mode": 3}
OTHER: dict[str, Any] = {"policy": "Basic256", "mode": 3}


def opened(capture: Capture, application: str = "mes", **security: Any) -> None:
    """An OPC UA session of the operator station that reads one value."""
    opcua_client(capture, HMI, PLC, application=application, **security).start().read(["Boiler.Pressure"])


@scenario("baseline/new_certificate", STACK)
def new_certificate(fires: Capture, quiet: Capture) -> None:
    for capture, certificate in ((fires, "mes_changed"), (quiet, "mes")):
        opened(capture, **SECURE)
        hmi = polled(capture)
        opened(capture, **SECURE, client_certificate=certificate)
        goes_on(capture, hmi)


@scenario("baseline/new_security_policy", STACK)
def new_security_policy(fires: Capture, quiet: Capture) -> None:
    for capture, security in ((fires, OTHER), (quiet, SECURE)):
        opened(capture, **SECURE)
        hmi = polled(capture)
        opened(capture, **security)
        goes_on(capture, hmi)


@scenario("baseline/new_user", STACK)
def new_user(fires: Capture, quiet: Capture) -> None:
    users = {"operator": "Flow-17", "service": "Flow-18"}
    for capture, name in ((fires, "service"), (quiet, "operator")):
        opcua_client(capture, HMI, PLC, server(PLC, users=users)).start("operator", users["operator"])
        hmi = polled(capture)
        opcua_client(capture, HMI, PLC, server(PLC, users=users)).start(name, users[name])
        goes_on(capture, hmi)


@scenario("baseline/new_application", STACK)
def new_application(fires: Capture, quiet: Capture) -> None:
    for capture, application in ((fires, "probe"), (quiet, "mes")):
        opened(capture)
        hmi = polled(capture)
        opened(capture, application)
        goes_on(capture, hmi)


@scenario("baseline/more_new_than_looked_at", STACK)
def more_new_than_looked_at(fires: Capture, quiet: Capture) -> None:
    for capture, nodes in ((fires, 1_001), (quiet, 1_000)):
        session = opcua_client(capture, HMI, PLC).start()
        session.read(["Boiler.Pressure"])
        hmi = polled(capture)
        session.read([f"Spare.{number}" for number in range(nodes)])
        goes_on(capture, hmi)


@scenario("baseline/rare_program_operation_while_learning", CRAFTED)
def rare_program_operation_while_learning(fires: Capture, quiet: Capture) -> None:
    for capture, sub_function in ((fires, 1), (quiet, 2)):
        session = capture.modbus(HMI, PLC)
        # Restart communications, and a question for the diagnostic register, in the first fifth.
        asked = bytes([8, 0, sub_function, 0, 0])
        session.exchange_pdu(asked, asked)
        goes_on(capture, polled(capture))


@scenario("baseline/rare_act_while_learning")
def rare_act_while_learning(fires: Capture, quiet: Capture) -> None:
    for capture, times in ((fires, 1), (quiet, 2)):
        hmi, engineer = capture.modbus(HMI, PLC), capture.modbus(ENGINEER, PLC)
        for turn in range(22):
            hmi.ask(WriteSingleRegisterRequest(address=100, registers=[420 + turn]))
            # One write, and one at both ends of learning.
            if turn == 3 or (turn == 20 and times > 1):
                engineer.ask(WriteSingleRegisterRequest(address=100, registers=[430]))
            capture.wait(5)
        goes_on(capture, hmi)
        for _ in range(6):
            hmi.ask(ReadHoldingRegistersRequest(address=100, count=4))
            capture.wait(20)


def normal_day(capture: Capture) -> None:
    """The operator station polls its controller; both say whose addresses are whose."""
    capture.arp(PLC, PLC.ip, HMI)
    capture.arp(HMI, HMI.ip, PLC)
    goes_on(capture, polled(capture))


@scenario("baseline/new_device", CRAFTED, normal_day)
def new_device(fires: Capture, quiet: Capture) -> None:
    for capture, host in ((fires, INTRUDER), (quiet, PLC)):
        capture.arp(host, host.ip, HMI)
        goes_on(capture, capture.modbus(HMI, PLC))


@scenario("baseline/hardware_address_changed", CRAFTED, normal_day)
def hardware_address_changed(fires: Capture, quiet: Capture) -> None:
    for capture, host in ((fires, INTRUDER), (quiet, PLC)):
        capture.arp(host, PLC.ip, HMI)
        goes_on(capture, capture.modbus(HMI, PLC))


@scenario("baseline/new_controller_answers", learn=normal_day)
def new_controller_answers(fires: Capture, quiet: Capture) -> None:
    for capture, host in ((fires, GATEWAY), (quiet, PLC)):
        capture.modbus(HMI, host).ask(ReadHoldingRegistersRequest(address=100, count=4))
        goes_on(capture, capture.modbus(HMI, PLC))


@scenario("baseline/device_says_otherwise", CRAFTED)
def device_says_otherwise(fires: Capture, quiet: Capture) -> None:
    for capture, version in ((fires, b"V2.5"), (quiet, b"V2.4")):
        session = capture.modbus(HMI, PLC)
        identified(session, b"V2.4")
        hmi = polled(capture)
        identified(session, version)
        goes_on(capture, hmi)


def identified(session: Session, version: bytes) -> None:
    """Basic device identification, asked for and answered (Modbus Application Protocol V1.1b3, 6.21)."""
    objects = b"".join(bytes([number, len(text)]) + text for number, text in enumerate((b"Vendor", b"PLC-7", version)))
    session.exchange_pdu(bytes([0x2B, 0x0E, 1, 0]), bytes([0x2B, 0x0E, 1, 1, 0, 0, 3]) + objects)


WORK_HOURS = 9
"""Hours of an engineer's day, from eight o'clock (UTC)."""


def two_weeks(capture: Capture) -> None:
    """An engineer's station that asks a controller each hour of the working days, for two weeks and a day."""
    for day in range(15):
        for hour in range(24):
            if day % 7 < 5 and hour < WORK_HOURS:
                asked(capture, 3_600)
            else:
                capture.wait(3_600)


def asked(capture: Capture, seconds: float) -> None:
    """One question over a connection of its own; then time passes, so that the whole takes so long."""
    begun = capture.clock
    session = capture.modbus(ENGINEER, PLC)
    session.ask(ReadHoldingRegistersRequest(address=0, count=4))
    session.close()
    capture.clock = begun + round(seconds * 1_000_000)


@scenario("baseline/client_at_unusual_hour", learn=two_weeks)
def client_at_unusual_hour(fires: Capture, quiet: Capture) -> None:
    # Tuesday at three in the morning, and at ten.
    for capture, hours in ((fires, 19), (quiet, 26)):
        capture.wait(hours * 3_600)
        asked(capture, 60)


@scenario("baseline/new_service_of_controller", CRAFTED)
def new_service_of_controller(fires: Capture, quiet: Capture) -> None:
    # The web page of a controller, and that of a host that is none.
    for capture, host in ((fires, PLC), (quiet, HISTORIAN)):
        hmi = polled(capture)
        page(capture, host)
        goes_on(capture, hmi)


@scenario("baseline/new_host_answers", CRAFTED, normal_day)
def new_host_answers(fires: Capture, quiet: Capture) -> None:
    # A host that was never there, and one that was, though it only asked.
    for capture, host in ((fires, GATEWAY), (quiet, HMI)):
        page(capture, host)
        goes_on(capture, capture.modbus(HMI, PLC))


def page(capture: Capture, host: Host) -> None:
    """The engineer looks at a host's web page."""
    connection = capture.connect(ENGINEER, host, 80)
    connection.open()
    connection.send(b"GET / HTTP/1.1\r\nHost: device\r\n\r\n")
    connection.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    connection.close()


@scenario("baseline/new_publisher", CRAFTED)
def new_publisher(fires: Capture, quiet: Capture) -> None:
    for capture, host in ((fires, INTRUDER), (quiet, GATEWAY)):
        for number in range(3):
            published(capture, GATEWAY, number)
        hmi = polled(capture)
        published(capture, host, 3)
        goes_on(capture, hmi)


def published(capture: Capture, host: Host, number: int) -> None:
    """A network message with one field (OPC 10000-14, 7.2.4)."""
    data = bytes((0x71, 0x01, 77, 0, 0x09)) + struct.pack("<HH", 100, number) + b"\1\1\0\1\1\0\x0b" + struct.pack("<d", 21.5)
    header = IP(src=host.ip, dst="239.0.0.44", ttl=1) / UDP(sport=52_000, dport=4_840)
    capture.put(Ether(src=host.mac, dst="01:00:5e:00:00:2c") / header / Raw(data))


@scenario("baseline/new_dhcp_server", CRAFTED)
def new_dhcp_server(fires: Capture, quiet: Capture) -> None:
    for capture, host in ((fires, INTRUDER), (quiet, GATEWAY)):
        offered(capture, GATEWAY, 1)
        hmi = polled(capture)
        offered(capture, host, 2)
        goes_on(capture, hmi)


def offered(capture: Capture, host: Host, number: int) -> None:
    """An address, offered to everybody (RFC 2131, 4.1)."""
    offer = BOOTP(op=2, yiaddr=f"10.20.2.{200 + number}", siaddr=host.ip, chaddr=b"\2\0\0\0\3" + bytes([number]), xid=number)
    header = IP(src=host.ip, dst="255.255.255.255") / UDP(sport=67, dport=68)
    options = DHCP(options=[("message-type", "offer"), ("server_id", host.ip), ("router", host.ip), "end"])
    capture.put(Ether(src=host.mac, dst="ff:ff:ff:ff:ff:ff") / header / offer / options)
