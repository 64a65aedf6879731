"""Attacks on the terminal that lie about values, or command with the hands of who may command."""

from __future__ import annotations

import itertools
import struct
from typing import TYPE_CHECKING

from tests.evaluation.terminal.cases import attack
from tests.evaluation.terminal.net import SECOND, Master, coil, write
from tests.evaluation.terminal.plant import (
    DRIVER,
    DRIVES,
    LOADING,
    PUMPS,
    SCADA,
    SERIAL,
    STRANGER,
    TANKS,
)
from tests.plant.frames import ACK, PSH, RST, Host

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.evaluation.terminal.plant import Terminal


@attack(
    "T0836",
    hosts=(SCADA, TANKS),
    why="the SCADA server was taken: one set-point creeps up with each write, far beyond what it was",
)
def slow_creep(net: Terminal, now: int) -> Iterator[int]:
    value = 620.0
    master = net.masters[TANKS.ip]
    for _ in range(70):
        value *= 1.008
        now = master.ask(now, 1, write(911, round(value))) + 4 * SECOND
        yield now


@attack(
    "T1692.002",
    "T0830",
    hosts=(SCADA, PUMPS),
    why="answers are replaced by the same recording of half a minute, over and over, while pumps are switched",
)
def replayed_recording(net: Terminal, now: int) -> Iterator[int]:
    recorded: list[bytes] = []
    places: dict[int, int] = {}

    def record(answer: bytes) -> bytes:
        recorded.append(answer)
        return answer

    def play(answer: bytes) -> bytes:
        same = [each for each in recorded if each[:2] == answer[:2]]
        place = places[answer[0]] = places.get(answer[0], -1) + 1
        return same[place % len(same)] if same else answer

    net.alter[PUMPS.ip] = record
    yield now + 30 * SECOND
    net.alter[PUMPS.ip] = play
    yield now + 240 * SECOND
    del net.alter[PUMPS.ip]


@attack(
    "T0806",
    "T0831",
    "T1692.001",
    hosts=(SCADA, PUMPS),
    why="outputs are switched on and off several times a second from the SCADA server, which else does so once a minute",
)
def outputs_toggled(net: Terminal, now: int) -> Iterator[int]:
    master = net.masters[PUMPS.ip]
    for number in range(120):
        now = master.ask(now, 1, struct.pack("!BHHBB", 15, 1, 1, 1, number % 2)) + 150_000_000
        yield now


@attack(
    "T0830",
    "T1692.002",
    hosts=(SCADA, TANKS, STRANGER),
    why="a stranger claims both sides' addresses by ARP, passes frames on and alters levels in them",
)
def arp_in_the_middle(net: Terminal, now: int) -> Iterator[int]:
    from tests.plant.frames import Middle  # noqa: PLC0415

    def alter(from_client: bool, data: bytes) -> bytes:
        if from_client or len(data) < 40:
            return data
        return data[:9] + struct.pack("!H", 1_800) + data[11:]

    talk = net.masters[TANKS.ip].connected
    router = Host("10.44.3.1", talk.client.mac)
    for number in range(60):
        net.arp(now, STRANGER, TANKS.ip, router)
        net.arp(now + 500_000, STRANGER, router.ip, TANKS)
        if number == 1:
            talk.middle = Middle(STRANGER, "arp_in_the_middle", alter)
        now += 2 * SECOND
        yield now
    talk.middle = None


@attack("T0814", "T1691.001", hosts=(SCADA, PUMPS), why="forged resets end the SCADA server's connection again and again")
def forged_resets(net: Terminal, now: int) -> Iterator[int]:
    master = net.masters[PUMPS.ip]
    for _ in range(40):
        talk = master.talk
        if talk is not None:
            frame = talk.frame(False, RST)
            net.wire.put(now, frame[:6] + STRANGER.mac_bytes + frame[12:])
            master.talk = None
        now += 2 * SECOND
        yield now


@attack(
    "T1692.002",
    "T0832",
    hosts=(SCADA, TANKS),
    why="levels told are impossible: below zero and beyond the tank (naive false measurements)",
    held_out=True,
)
def naive_measurements(net: Terminal, now: int) -> Iterator[int]:
    def alter(answer: bytes) -> bytes:
        if len(answer) < 200:
            return answer
        return answer[:2] + struct.pack("!H", net.random.choice((65_535, 64_000, 29_999))) + answer[4:]

    net.alter[TANKS.ip] = alter
    yield now + 60 * SECOND
    del net.alter[TANKS.ip]


@attack(
    "T1692.002",
    "T0832",
    hosts=(SCADA, TANKS),
    why="a level is told that rises smoothly, within its range, whatever the tank does (complex false measurements)",
)
def smooth_measurements(net: Terminal, now: int) -> Iterator[int]:
    told = itertools.count(net.level(now, 0))

    def alter(answer: bytes) -> bytes:
        return answer if len(answer) < 200 else answer[:2] + struct.pack("!H", next(told)) + answer[4:]

    net.alter[TANKS.ip] = alter
    yield now + 240 * SECOND
    del net.alter[TANKS.ip]


@attack(
    "T1692.001",
    hosts=(SCADA, PUMPS),
    why="a command to a pump with the SCADA server's address from another network card, over a connection of its own",
    held_out=True,
)
def forged_state_command(net: Terminal, now: int) -> Iterator[int]:
    forged = Host(SCADA.ip, "00:00:5e:00:01:14")
    master = Master(net, forged, net.pumps)
    now = master.connect(now)
    now = master.ask(now, 1, coil(2, on=True)) + SECOND
    yield now
    now = master.ask(now, 1, coil(3, on=False)) + SECOND
    master.close(now)


@attack(
    "T0836",
    hosts=(SCADA, PUMPS),
    why="the SCADA server writes a controller's gain and reset time, which it never did (false parameter command)",
)
def control_parameters(net: Terminal, now: int) -> Iterator[int]:
    master = net.masters[PUMPS.ip]
    for at, value in ((200, 9_999), (201, 1), (202, 0)):
        now = master.ask(now, 1, write(at, value)) + 2 * SECOND
        yield now


@attack("T0806", "T1692.001", hosts=(SCADA, SERIAL), why="one broadcast writes to all serial instruments at once")
def broadcast(net: Terminal, now: int) -> Iterator[int]:
    master = Master(net, SCADA, net.serial)
    now = master.connect(now)
    for _ in range(3):
        now = master.ask(now, 0, write(10, 0)) + SECOND
        yield now
    master.close(now)


@attack(
    "T0836",
    hosts=(DRIVER, DRIVES[1]),
    why="the controller's own connection carries speeds far beyond those that it ever asked for",
    held_out=True,
)
def drive_too_fast(net: Terminal, now: int) -> Iterator[int]:
    master = Master(net, DRIVER, net.drives[1])
    now = master.connect(now)
    for _ in range(60):
        now = master.ask(now, 1, struct.pack("!BHHHHB2H", 23, 0, 4, 20, 2, 4, 2_950, 0x047F)) + SECOND // 2
        yield now


@attack(
    "T1692.001",
    "T0830",
    hosts=(SCADA, LOADING),
    why="a write is put into the SCADA server's own connection by who reads along: its numbers fit",
    held_out=True,
)
def injected_segment(net: Terminal, now: int) -> Iterator[int]:
    master = net.masters[LOADING.ip]
    for number in range(4):
        talk = master.connected
        data = struct.pack("!HHHB", 0x7700 + number, 0, 6, 1) + write(420, 1)
        talk.segment(now, True, PSH | ACK, data)
        talk.segment(now + 2_000_000, False, PSH | ACK, data)
        now += 5 * SECOND
        yield now
