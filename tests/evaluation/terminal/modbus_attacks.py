"""Attacks on the terminal by Modbus, after what was seen in the world and in others' data sets."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from tests.evaluation.terminal.cases import attack
from tests.evaluation.terminal.net import HOP_NS, SECOND, Device, Master, read, write
from tests.evaluation.terminal.plant import (
    DRIVES,
    ENGINEER,
    HISTORIAN,
    LOADING,
    METERS,
    OFFICE_STRANGER,
    OPERATOR,
    PUMPS,
    SERIAL,
    STRANGER,
    TANKS,
)
from tests.plant.frames import ACK, RST, SYN, Host

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.evaluation.terminal.plant import Terminal
    from tests.plant.frames import Talk


@attack(
    "T0836",
    "T1692.001",
    hosts=(OFFICE_STRANGER, TANKS, PUMPS),
    why="a host of the office reads a few registers and overwrites set-points, as FrostyGoop does",
)
def frosty_goop(net: Terminal, now: int) -> Iterator[int]:
    for device in (net.tanks, net.pumps):
        master = Master(net, OFFICE_STRANGER, device)
        now = master.connect(now)
        for at in (0, 910):
            now = master.ask(now, 1, read(3, at, 4)) + SECOND
            yield now
        for at in (910, 911, 912):
            now = master.ask(now, 1, write(at, 5)) + 300_000_000
            yield now
        now = master.ask(now, 1, write(910, 0, 0, 0, 0)) + SECOND
        now = master.close(now)
        yield now


@attack(
    "T0846",
    "T0888",
    hosts=(STRANGER,),
    why="a stranger looks for port 502 in the whole network, then asks who answers who it is, as INCONTROLLER does",
)
def scan_and_identify(net: Terminal, now: int) -> Iterator[int]:
    answering = {device.host.ip: device for device in (net.tanks, net.pumps, net.loading, *net.drives)}
    for number in range(1, 255):
        target = Host(f"10.44.3.{number}", "00:00:00:00:00:00")
        net.who_has(now, STRANGER, target.ip)
        if target.ip in answering:
            device = answering[target.ip]
            master = Master(net, STRANGER, device)
            at = master.connect(now + 2_000_000)
            at = master.ask(at, 1, b"\x2b\x0e\x01\x00")
            at = master.ask(at, 1, b"\x11")
            now = master.close(at)
        now += 60_000_000
        yield now


@attack(
    "T0814",
    "T1691.001",
    "T1691.002",
    hosts=(STRANGER, LOADING),
    why="a stranger tells a controller to listen only; from then on it answers nobody until it is restarted",
)
def listen_only(net: Terminal, now: int) -> Iterator[int]:
    master = Master(net, STRANGER, net.loading)
    now = master.ask(master.connect(now), 1, b"\x08\x00\x04\x00\x00")
    net.loading.mute_until = now + 90 * SECOND
    yield now + 90 * SECOND
    master.ask(now + 90 * SECOND, 1, b"\x08\x00\x01\x00\x00")


@attack(
    "T0888",
    "T0846",
    hosts=(STRANGER, SERIAL),
    why="all units behind the serial gateway are asked for their identity",
    held_out=True,
)
def identities_behind_gateway(net: Terminal, now: int) -> Iterator[int]:
    master = Master(net, STRANGER, net.serial)
    now = master.connect(now)
    for unit in range(1, 60):
        now = master.ask(now, unit, b"\x2b\x0e\x01\x00") + 250_000_000
        yield now


@attack(
    "T0858", "T0816", hosts=(ENGINEER, TANKS), why="UMAS: the controller is reserved and stopped from the engineering station"
)
def umas_stop(net: Terminal, now: int) -> Iterator[int]:
    device = _umas(net)
    master = Master(net, ENGINEER, device)
    now = master.connect(now)
    for body in (b"\x00\x02", b"\x00\x01\x00", b"\x00\x10" + bytes(4) + b"\x09WIN-ENG77", b"\x01\x41\xff\x00"):
        now = master.ask(now, 0, b"\x5a" + body) + 400_000_000
        yield now


def _umas(net: Terminal) -> Device:
    class Unity(Device):
        def answer(self, unit: int, pdu: bytes) -> bytes:
            return b"\x5a" + pdu[1:2] + b"\xfe" if pdu[0] == 0x5A else super().answer(unit, pdu)

    return Unity(TANKS)


@attack(
    "T0814",
    hosts=(STRANGER, TANKS),
    why="a stranger opens connections and holds them until the controller has none left for the SCADA server",
    held_out=True,
)
def connections_held(net: Terminal, now: int) -> Iterator[int]:
    talks: list[Talk] = []
    for _ in range(64):
        talk = net.talk(STRANGER, TANKS)
        now = talk.open(now) + 200_000_000
        talks.append(talk)
        yield now
    for _ in range(3):
        now += 30 * SECOND
        yield now
        for talk in talks:
            talk.acknowledge(now)


@attack("T0814", hosts=(STRANGER, LOADING), why="a request is sent byte by byte with long pauses, on many connections at a time")
def slow_loris(net: Terminal, now: int) -> Iterator[int]:
    message = struct.pack("!HHHB", 1, 0, 250, 1) + b"\x10\x00\x00\x00\x7b\xf6" + bytes(240)
    talks = [net.talk(STRANGER, LOADING) for _ in range(16)]
    for talk in talks:
        now = talk.open(now) + 50_000_000
    for place in range(60):
        for talk in talks:
            talk.send(now, message[place : place + 1])
            talk.acknowledge(now + HOP_NS, from_client=False)
        now += 3 * SECOND
        yield now


@attack("T0814", "T0866", hosts=(STRANGER, SERIAL), why="serial frames with wrong checks are poured into the gateway")
def wrong_checks(net: Terminal, now: int) -> Iterator[int]:
    talk = net.talk(STRANGER, SERIAL, 4_001)
    now = talk.open(now)
    for number in range(600):
        talk.send(now, bytes((1 + number % 20,)) + read(3, number, 2) + net.random.randbytes(2))
        now += 12_000_000
        yield now


@attack(
    "T0861",
    hosts=(STRANGER, METERS),
    why="the meters' registers are read one by one on their own port, until the last",
    held_out=True,
)
def register_walk(net: Terminal, now: int) -> Iterator[int]:
    master = Master(net, STRANGER, net.meters)
    now = master.connect(now)
    for at in range(160):
        now = master.ask(now, 10, read(3, at, 1)) + 80_000_000
        yield now


@attack(
    "T0836",
    "T1692.001",
    hosts=(HISTORIAN, METERS),
    why="the logger, which only reads, changes bits of a register by FC 22",
    held_out=True,
)
def mask_write(net: Terminal, now: int) -> Iterator[int]:
    master = Master(net, HISTORIAN, net.meters)
    now = master.connect(now)
    now = master.ask(now, 10, read(4, 0, 40)) + 20_000_000
    now = master.ask(now, 10, struct.pack("!BHHH", 22, 60, 0xFF00, 0x0003)) + 20_000_000
    yield master.close(now)


@attack(
    "T0843",
    "T1693.002",
    hosts=(ENGINEER, LOADING),
    why="the engineering station writes a file into a controller by FC 21",
    held_out=True,
)
def file_record(net: Terminal, now: int) -> Iterator[int]:
    master = Master(net, ENGINEER, net.loading)
    now = master.connect(now)
    for number in range(30):
        body = struct.pack("!BHHH", 6, 1, number * 40, 40) + net.random.randbytes(80)
        now = master.ask(now, 1, bytes((21, len(body))) + body) + 40_000_000
        yield now


@attack(
    "T1692.001",
    hosts=(STRANGER, DRIVES[0]),
    why="a stranger commands a drive by function 23, as the controller does all the time",
)
def drive_commanded(net: Terminal, now: int) -> Iterator[int]:
    master = Master(net, STRANGER, net.drives[0])
    now = master.connect(now)
    for _ in range(8):
        now = master.ask(now, 1, struct.pack("!BHHHHB2H", 23, 0, 4, 20, 2, 4, 2_990, 0x047F)) + SECOND
        yield now
    master.close(now)


@attack(
    "T1692.001",
    hosts=(OPERATOR, TANKS),
    why="an operator's PC, which only looks at screens, writes to a controller directly",
    held_out=True,
)
def operator_pc_writes(net: Terminal, now: int) -> Iterator[int]:
    master = Master(net, OPERATOR, net.tanks)
    now = master.connect(now)
    now = master.ask(now, 1, write(912, 99)) + SECOND
    yield master.close(now)


@attack("T0846.001", hosts=(STRANGER, TANKS), why="ports of a controller are tried, one every few seconds")
def slow_ports(net: Terminal, now: int) -> Iterator[int]:
    for port in (
        21,
        22,
        23,
        25,
        80,
        102,
        111,
        135,
        139,
        161,
        443,
        445,
        502,
        1_502,
        2_404,
        4_840,
        5_900,
        8_080,
        20_000,
        44_818,
        *range(9_600, 9_640),
    ):
        talk = net.talk(STRANGER, TANKS, port)
        talk.segment(now, True, SYN)
        if port == 502:
            talk.segment(now + HOP_NS, False, SYN | ACK)
            talk.segment(now + 2 * HOP_NS, True, RST)
        else:
            talk.segment(now + HOP_NS, False, RST | ACK)
        now += 4 * SECOND
        yield now


@attack(
    "T0814",
    hosts=(STRANGER, PUMPS),
    why="a stranger reads as fast as the controller answers; the SCADA server's polls wait",
    held_out=True,
)
def read_flood(net: Terminal, now: int) -> Iterator[int]:
    master = Master(net, STRANGER, net.pumps)
    now = master.connect(now)
    for _ in range(6_000):
        now = master.ask(now, 1, read(3, 0, 100)) + 500_000
        yield now


@attack(
    "T0872",
    hosts=(ENGINEER, PUMPS),
    why="the controller's diagnostic counters are cleared by FC 8/10, then its communication log read",
    held_out=True,
)
def counters_cleared(net: Terminal, now: int) -> Iterator[int]:
    master = Master(net, ENGINEER, net.pumps)
    now = master.connect(now)
    for pdu in (b"\x08\x00\x0a\x00\x00", b"\x08\x00\x0b\x00\x00"):
        now = master.ask(now, 1, pdu) + SECOND
        yield now
