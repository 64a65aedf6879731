"""Attacks that look: sweeps, scans, identification, floods, and what prepares a man in the middle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pymodbus.pdu.bit_message import ReadCoilsRequest
from pymodbus.pdu.mei_message import ReadDeviceInformationRequest
from pymodbus.pdu.other_message import ReportDeviceIdRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest
from scapy.layers.l2 import ARP, Ether

from tests.plant.clients import SECOND
from tests.plant.controllers import crafted_bytes, request_bytes
from tests.plant.frames import ACK, HOP_NS, RST, SYN, Talk
from tests.plant.plant import BOILER, DISTRIBUTION, GATEWAY, HMI, INTRUDER, OUTSIDE, TREATMENT, Plant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plant.frames import Host

STEP: Final = 30_000_000
"""Between two probes of a scan, in nanoseconds."""


def step(plant: Plant) -> int:
    """Between two probes of a scan, where attacks vary: from 5 ms to 5 s."""
    return int(plant.vary(STEP, SECOND / 200, 5 * SECOND))


def address_sweep(plant: Plant, now: int) -> Iterator[int]:
    """Holding registers are read one by one, past the last."""
    session = plant.session(INTRUDER, "treatment")
    pause, stride = step(plant), int(plant.vary(4, 1, 12))
    for address in range(0, 600, stride):
        now = session.ask(now, ReadHoldingRegistersRequest(address=address, count=1)) + pause
        yield now
    session.close(now)


def function_sweep(plant: Plant, now: int) -> Iterator[int]:
    """Every function code is tried."""
    session = plant.session(INTRUDER, "intake")
    pause, last = step(plant), int(plant.vary(40, 20, 127))
    for code in range(1, last):
        now = session.repeat(now, b"\0\0\0\x06\x01" + bytes((code,)) + b"\0\0\0\1") + pause
        yield now
    session.close(now)


def unit_sweep(plant: Plant, now: int) -> Iterator[int]:
    """All unit identifiers behind the gateway are asked."""
    session = plant.session(INTRUDER, "gateway")
    pause, last = step(plant), int(plant.vary(80, 30, 247))
    for unit in range(1, last):
        now = session.ask(now, ReadHoldingRegistersRequest(address=0, count=1), unit) + pause
        yield now
    session.close(now)


SERVICES: Final = (80, 102, 443, 502, 2_404, 4_840, 20_000, 44_818)
"""Ports that a scan tries in any case."""


def port_scan(plant: Plant, now: int) -> Iterator[int]:
    """One controller's ports are tried without completing a connection."""
    pause, last = step(plant), int(plant.vary(60, 40, 400))
    for port in (*range(20, last), *(each for each in SERVICES if each >= last)):
        talk = Talk(plant.wire, INTRUDER, TREATMENT, plant.port(), port)
        talk.segment(now, True, SYN)
        if port == 502:
            talk.segment(now + HOP_NS, False, SYN | ACK)
            talk.segment(now + 2 * HOP_NS, True, RST)
        else:
            talk.segment(now + HOP_NS, False, RST | ACK)
        now += pause
        yield now


def half_open(plant: Plant, now: int) -> Iterator[int]:
    """Connections are begun and never completed until the boiler's controller has no socket left."""
    pause, count = int(plant.vary(STEP, SECOND / 200, SECOND)), int(plant.vary(40, 25, 200))
    for _ in range(count):
        talk = Talk(plant.wire, INTRUDER, BOILER, plant.port())
        talk.segment(now, True, SYN)
        talk.segment(now + HOP_NS, False, SYN | ACK)
        now += pause
        yield now


def identification(plant: Plant, now: int) -> Iterator[int]:
    """Controllers are asked who they are."""
    for name in ("intake", "treatment", "distribution", "boiler"):
        session = plant.session(INTRUDER, name)
        now = session.ask(now, ReadDeviceInformationRequest(read_code=1, object_id=0)) + SECOND
        yield now
        now = session.ask(now, ReportDeviceIdRequest()) + SECOND
        yield now
        session.close(now)


def outside_client(plant: Plant, now: int) -> Iterator[int]:
    """A public address reads a controller."""
    session = plant.session(OUTSIDE, "distribution")
    pause = int(plant.vary(SECOND, SECOND / 5, 30 * SECOND))
    for _ in range(int(plant.vary(5, 2, 40))):
        now = session.ask(now, ReadHoldingRegistersRequest(address=0, count=10)) + pause
        yield now
    session.close(now)


def arp_spoofing(plant: Plant, now: int) -> Iterator[int]:
    """The intruder tells the HMI that it is a controller, and the controller that it is the HMI."""
    for _ in range(int(plant.vary(10, 3, 60))):
        now = claim(plant, now, TREATMENT, INTRUDER.mac, HMI)
        now = claim(plant, now, HMI, INTRUDER.mac, TREATMENT) + SECOND
        yield now


def claim(plant: Plant, now: int, claimed: Host, mac: str, receiver: Host) -> int:
    """The intruder tells a host where another is, truly or not; returns when that is done."""
    reply = ARP(op=2, hwsrc=mac, psrc=claimed.ip, hwdst=receiver.mac, pdst=receiver.ip)
    plant.wire.put(now, bytes(Ether(src=INTRUDER.mac, dst=receiver.mac) / reply))
    return now + 1_000_000


MALFORMED: Final = (
    crafted_bytes(b"\x03\x00\x00\x00\x7e", 1, 1),  # more registers than an answer holds
    crafted_bytes(b"\x10\x00\x64\x00\x02\x06\x00\x01\x00\x02", 2, 1),  # byte count and quantity differ
    crafted_bytes(b"\x05\x00\x00\x12\x34", 3, 1),  # neither on nor off
    crafted_bytes(b"\x03\xff\xff\x00\x02", 4, 1),  # past the last address
    crafted_bytes(b"\x03\x00\x00\x00\x0a\x00\x00", 5, 1),  # two bytes too many
    crafted_bytes(b"\x03\x00\x00\x00\x0a", 6, 1, protocol=1),
    crafted_bytes(b"\x03\x00\x00\x00\x0a", 7, 1, length=255),
    crafted_bytes(b"\x03", 8, 1),
    b"GET / HTTP/1.1\r\nHost: 10.20.2.13\r\n\r\n",
)
"""Messages that break the standard, each in another way."""

REFUSED: Final = 4
"""So many of them are answered by an exception (illegal data value); at the others the controller ends the connection."""


def malformed_messages(plant: Plant, now: int) -> Iterator[int]:
    """A fuzzer tries what the distribution's controller does with messages that break the standard."""
    for number, message in enumerate(MALFORMED):
        talk = Talk(plant.wire, INTRUDER, DISTRIBUTION, plant.port())
        now = talk.open(now)
        talk.send(now, message)
        if number < REFUSED:
            talk.receive(now + STEP // 10, crafted_bytes(bytes((message[7] | 0x80, 3)), number + 1, 1))
            talk.close(now + STEP // 5)
        else:
            talk.reset(now + STEP // 10)
        now += SECOND // 2
        yield now


def flood(plant: Plant, now: int) -> Iterator[int]:
    """Requests come faster than the gateway's serial line can answer; the HMI waits for its own."""
    gateway = plant.controllers["gateway"]
    usual, gateway.response_ns = gateway.response_ns, 700_000_000
    talk = Talk(plant.wire, INTRUDER, GATEWAY, plant.port())
    now = talk.open(now)
    for transaction in range(int(plant.vary(3_000, 1_000, 9_000))):
        talk.send(now, request_bytes(ReadCoilsRequest(address=0, count=8), transaction, 1))
        now += 1_000_000
        if transaction % 10 == 9:
            talk.acknowledge(now - 500_000, from_client=False)
            yield now
    talk.reset(now)
    gateway.response_ns = usual
