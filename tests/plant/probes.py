"""Attacks that look: sweeps, scans, identification, floods, and what prepares a man in the middle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pymodbus.pdu.bit_message import ReadCoilsRequest
from pymodbus.pdu.mei_message import ReadDeviceInformationRequest
from pymodbus.pdu.other_message import ReportDeviceIdRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest
from scapy.layers.l2 import ARP, Ether

from tests.plant.clients import SECOND
from tests.plant.controllers import request_bytes
from tests.plant.frames import ACK, HOP_NS, RST, SYN, Talk
from tests.plant.plant import BOILER, GATEWAY, HMI, INTRUDER, OUTSIDE, TREATMENT, Plant

if TYPE_CHECKING:
    from collections.abc import Iterator

STEP: Final = 30_000_000
"""Between two probes of a scan, in nanoseconds."""


def address_sweep(plant: Plant, now: int) -> Iterator[int]:
    """Holding registers are read one by one, past the last."""
    session = plant.session(INTRUDER, "treatment")
    for address in range(0, 600, 4):
        now = session.ask(now, ReadHoldingRegistersRequest(address=address, count=1)) + STEP
        yield now
    session.close(now)


def function_sweep(plant: Plant, now: int) -> Iterator[int]:
    """Every function code is tried."""
    session = plant.session(INTRUDER, "intake")
    for code in range(1, 40):
        now = session.repeat(now, b"\0\0\0\x06\x01" + bytes((code,)) + b"\0\0\0\1") + STEP
        yield now
    session.close(now)


def unit_sweep(plant: Plant, now: int) -> Iterator[int]:
    """All unit identifiers behind the gateway are asked."""
    session = plant.session(INTRUDER, "gateway")
    for unit in range(1, 80):
        now = session.ask(now, ReadHoldingRegistersRequest(address=0, count=1), unit) + STEP
        yield now
    session.close(now)


def port_scan(plant: Plant, now: int) -> Iterator[int]:
    """One controller's ports are tried without completing a connection."""
    for port in (*range(20, 60), 80, 102, 443, 502, 2_404, 4_840, 20_000, 44_818):
        talk = Talk(plant.wire, INTRUDER, TREATMENT, plant.port(), port)
        talk.segment(now, True, SYN)
        if port == 502:
            talk.segment(now + HOP_NS, False, SYN | ACK)
            talk.segment(now + 2 * HOP_NS, True, RST)
        else:
            talk.segment(now + HOP_NS, False, RST | ACK)
        now += STEP
        yield now


def half_open(plant: Plant, now: int) -> Iterator[int]:
    """Connections are begun and never completed until the boiler's controller has no socket left."""
    for _ in range(40):
        talk = Talk(plant.wire, INTRUDER, BOILER, plant.port())
        talk.segment(now, True, SYN)
        talk.segment(now + HOP_NS, False, SYN | ACK)
        now += STEP
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
    for _ in range(5):
        now = session.ask(now, ReadHoldingRegistersRequest(address=0, count=10)) + SECOND
        yield now
    session.close(now)


def arp_spoofing(plant: Plant, now: int) -> Iterator[int]:
    """The intruder tells the HMI that it is a controller, and the controller that it is the HMI."""
    for _ in range(10):
        for claimed, receiver in ((TREATMENT, HMI), (HMI, TREATMENT)):
            reply = ARP(op=2, hwsrc=INTRUDER.mac, psrc=claimed.ip, hwdst=receiver.mac, pdst=receiver.ip)
            plant.wire.put(now, bytes(Ether(src=INTRUDER.mac, dst=receiver.mac) / reply))
            now += 1_000_000
        now += SECOND
        yield now


def flood(plant: Plant, now: int) -> Iterator[int]:
    """Requests come faster than the gateway's serial line can answer; the HMI waits for its own."""
    gateway = plant.controllers["gateway"]
    usual, gateway.response_ns = gateway.response_ns, 700_000_000
    talk = Talk(plant.wire, INTRUDER, GATEWAY, plant.port())
    now = talk.open(now)
    for transaction in range(3_000):
        talk.send(now, request_bytes(ReadCoilsRequest(address=0, count=8), transaction, 1))
        now += 1_000_000
        if transaction % 10 == 9:
            talk.acknowledge(now - 500_000, from_client=False)
            yield now
    talk.reset(now)
    gateway.response_ns = usual
