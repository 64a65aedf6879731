"""Attacks on the terminal by Modbus, after what was seen in the world and in others' data sets."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from tests.evaluation.terminal.cases import attack
from tests.evaluation.terminal.net import HOP_NS, SECOND, Device, Master, coil, read, write
from tests.evaluation.terminal.plant import (
    DRIVER,
    DRIVES,
    ENGINEER,
    HISTORIAN,
    LOADING,
    METERS,
    OFFICE_STRANGER,
    OPERATOR,
    PUMPS,
    SCADA,
    SERIAL,
    STRANGER,
    TANKS,
)
from tests.plant.frames import ACK, PSH, RST, SYN, Host

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.evaluation.terminal.plant import Terminal


@attack("T0836", "T1692.001", hosts=(OFFICE_STRANGER, TANKS, PUMPS), why="a host of the office reads a few registers and overwrites set-points, as FrostyGoop does")
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


@attack("T0846", "T0888", hosts=(STRANGER,), why="a stranger looks for port 502 in the whole network, then asks who answers for its identity, as INCONTROLLER's Modbus module does")
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


@attack("T0836", hosts=(SCADA, TANKS), why="the SCADA server was taken: one set-point creeps up by a few per mille each time it is written, far beyond what it ever was")
def slow_creep(net: Terminal, now: int) -> Iterator[int]:
    value = 620.0
    master = net.masters[TANKS.ip]
    for _ in range(70):
        value *= 1.008
        now = master.ask(now, 1, write(911, round(value))) + 4 * SECOND
        yield now


@attack("T1692.002", "T0830", hosts=(SCADA, PUMPS), why="answers are replaced by the same recording of half a minute, over and over, while pumps are switched")
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


@attack("T0814", "T1691.001", "T1691.002", hosts=(STRANGER, LOADING), why="a stranger tells a controller to listen only; from then on it answers nobody until it is restarted")
def listen_only(net: Terminal, now: int) -> Iterator[int]:
    master = Master(net, STRANGER, net.loading)
    now = master.ask(master.connect(now), 1, b"\x08\x00\x04\x00\x00")
    net.loading.mute_until = now + 90 * SECOND
    yield now + 90 * SECOND
    master.ask(now + 90 * SECOND, 1, b"\x08\x00\x01\x00\x00")


@attack("T0888", "T0846", hosts=(STRANGER, SERIAL), why="all units behind the serial gateway are asked for their identity", held_out=True)
def identities_behind_gateway(net: Terminal, now: int) -> Iterator[int]:
    master = Master(net, STRANGER, net.serial)
    now = master.connect(now)
    for unit in range(1, 60):
        now = master.ask(now, unit, b"\x2b\x0e\x01\x00") + 250_000_000
        yield now


@attack("T0858", "T0816", hosts=(ENGINEER, TANKS), why="UMAS: the controller is reserved and stopped from the engineering station")
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


@attack("T0806", "T0831", "T1692.001", hosts=(SCADA, PUMPS), why="outputs are switched on and off several times a second from the SCADA server, which else does so once a minute")
def outputs_toggled(net: Terminal, now: int) -> Iterator[int]:
    master = net.masters[PUMPS.ip]
    for number in range(120):
        now = master.ask(now, 1, struct.pack("!BHHBB", 15, 1, 1, 1, number % 2)) + 150_000_000
        yield now


@attack("T0830", "T1692.002", hosts=(SCADA, TANKS, STRANGER), why="a stranger claims both sides' addresses by ARP, passes frames on and alters levels in them")
def arp_in_the_middle(net: Terminal, now: int) -> Iterator[int]:
    from tests.plant.frames import Middle  # noqa: PLC0415

    def alter(from_client: bool, data: bytes) -> bytes:
        if from_client or len(data) < 40:
            return data
        return data[:9] + struct.pack("!H", 1_800) + data[11:]

    talk = net.masters[TANKS.ip].talk
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


@attack("T0814", hosts=(STRANGER, TANKS), why="a stranger opens connections and holds them until the controller has none left for the SCADA server", held_out=True)
def connections_held(net: Terminal, now: int) -> Iterator[int]:
    talks = []
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


@attack("T1692.002", "T0832", hosts=(SCADA, TANKS), why="levels told are impossible: below zero and beyond the tank (naive false measurements)", held_out=True)
def naive_measurements(net: Terminal, now: int) -> Iterator[int]:
    def alter(answer: bytes) -> bytes:
        if len(answer) < 200:
            return answer
        return answer[:2] + struct.pack("!H", net.random.choice((65_535, 64_000, 29_999))) + answer[4:]

    net.alter[TANKS.ip] = alter
    yield now + 60 * SECOND
    del net.alter[TANKS.ip]


@attack("T1692.002", "T0832", hosts=(SCADA, TANKS), why="a level is told that rises smoothly, within its range, whatever the tank does (complex false measurements)")
def smooth_measurements(net: Terminal, now: int) -> Iterator[int]:
    begun = net.level(now, 0)

    def alter(answer: bytes) -> bytes:
        if len(answer) < 200:
            return answer
        alter.number += 1
        return answer[:2] + struct.pack("!H", begun + alter.number) + answer[4:]

    alter.number = 0
    net.alter[TANKS.ip] = alter
    yield now + 240 * SECOND
    del net.alter[TANKS.ip]


@attack("T1692.001", hosts=(SCADA, PUMPS), why="a command to a pump with the SCADA server's address from another network card, over a connection of its own (false state command)", held_out=True)
def forged_state_command(net: Terminal, now: int) -> Iterator[int]:
    forged = Host(SCADA.ip, "00:00:5e:00:01:14")
    master = Master(net, forged, net.pumps)
    now = master.connect(now)
    now = master.ask(now, 1, coil(2, on=True)) + SECOND
    yield now
    now = master.ask(now, 1, coil(3, on=False)) + SECOND
    master.close(now)


@attack("T0836", hosts=(SCADA, PUMPS), why="the SCADA server writes a controller's gain and reset time, which it never did (false parameter command)")
def control_parameters(net: Terminal, now: int) -> Iterator[int]:
    master = net.masters[PUMPS.ip]
    for at, value in ((200, 9_999), (201, 1), (202, 0)):
        now = master.ask(now, 1, write(at, value)) + 2 * SECOND
        yield now


@attack("T0814", "T0866", hosts=(STRANGER, SERIAL), why="serial frames with wrong checks are poured into the gateway")
def wrong_checks(net: Terminal, now: int) -> Iterator[int]:
    talk = net.talk(STRANGER, SERIAL, 4_001)
    now = talk.open(now)
    for number in range(600):
        talk.send(now, bytes((1 + number % 20,)) + read(3, number, 2) + net.random.randbytes(2))
        now += 12_000_000
        yield now


@attack("T0861", hosts=(STRANGER, METERS), why="the meters' registers are read one by one on their own port, until the last", held_out=True)
def register_walk(net: Terminal, now: int) -> Iterator[int]:
    master = Master(net, STRANGER, net.meters)
    now = master.connect(now)
    for at in range(160):
        now = master.ask(now, 10, read(3, at, 1)) + 80_000_000
        yield now


@attack("T0806", "T1692.001", hosts=(SCADA, SERIAL), why="one broadcast writes to all serial instruments at once")
def broadcast(net: Terminal, now: int) -> Iterator[int]:
    master = Master(net, SCADA, net.serial)
    now = master.connect(now)
    for _ in range(3):
        now = master.ask(now, 0, write(10, 0)) + SECOND
        yield now
    master.close(now)


@attack("T0836", "T1692.001", hosts=(HISTORIAN, METERS), why="the logger, which only reads, changes bits of a register by FC 22", held_out=True)
def mask_write(net: Terminal, now: int) -> Iterator[int]:
    master = Master(net, HISTORIAN, net.meters)
    now = master.connect(now)
    now = master.ask(now, 10, read(4, 0, 40)) + 20_000_000
    now = master.ask(now, 10, struct.pack("!BHHH", 22, 60, 0xFF00, 0x0003)) + 20_000_000
    yield master.close(now)


@attack("T0843", "T1693.002", hosts=(ENGINEER, LOADING), why="the engineering station writes a file into a controller by FC 21", held_out=True)
def file_record(net: Terminal, now: int) -> Iterator[int]:
    master = Master(net, ENGINEER, net.loading)
    now = master.connect(now)
    for number in range(30):
        body = struct.pack("!BHHH", 6, 1, number * 40, 40) + net.random.randbytes(80)
        now = master.ask(now, 1, bytes((21, len(body))) + body) + 40_000_000
        yield now


@attack("T1692.001", hosts=(STRANGER, DRIVES[0]), why="a stranger commands a drive by function 23, as the controller does all the time")
def drive_commanded(net: Terminal, now: int) -> Iterator[int]:
    master = Master(net, STRANGER, net.drives[0])
    now = master.connect(now)
    for _ in range(8):
        now = master.ask(now, 1, struct.pack("!BHHHHB2H", 23, 0, 4, 20, 2, 4, 2_990, 0x047F)) + SECOND
        yield now
    master.close(now)


@attack("T0836", hosts=(DRIVER, DRIVES[1]), why="the controller's own connection carries speeds far beyond those that it ever asked for", held_out=True)
def drive_too_fast(net: Terminal, now: int) -> Iterator[int]:
    master = Master(net, DRIVER, net.drives[1])
    now = master.connect(now)
    for _ in range(60):
        now = master.ask(now, 1, struct.pack("!BHHHHB2H", 23, 0, 4, 20, 2, 4, 2_950, 0x047F)) + SECOND // 2
        yield now


@attack("T1692.001", hosts=(OPERATOR, TANKS), why="an operator's PC, which only looks at screens, writes to a controller directly", held_out=True)
def operator_pc_writes(net: Terminal, now: int) -> Iterator[int]:
    master = Master(net, OPERATOR, net.tanks)
    now = master.connect(now)
    now = master.ask(now, 1, write(912, 99)) + SECOND
    yield master.close(now)


@attack("T0846.001", hosts=(STRANGER, TANKS), why="ports of a controller are tried, one every few seconds")
def slow_ports(net: Terminal, now: int) -> Iterator[int]:
    for port in (21, 22, 23, 25, 80, 102, 111, 135, 139, 161, 443, 445, 502, 1_502, 2_404, 4_840, 5_900, 8_080, 20_000, 44_818, *range(9_600, 9_640)):
        talk = net.talk(STRANGER, TANKS, port)
        talk.segment(now, True, SYN)
        if port == 502:
            talk.segment(now + HOP_NS, False, SYN | ACK)
            talk.segment(now + 2 * HOP_NS, True, RST)
        else:
            talk.segment(now + HOP_NS, False, RST | ACK)
        now += 4 * SECOND
        yield now


@attack("T1692.001", "T0830", hosts=(SCADA, LOADING), why="a write is put into the SCADA server's own connection by who reads along: its numbers fit", held_out=True)
def injected_segment(net: Terminal, now: int) -> Iterator[int]:
    master = net.masters[LOADING.ip]
    for number in range(4):
        talk = master.talk
        data = struct.pack("!HHHB", 0x7700 + number, 0, 6, 1) + write(420, 1)
        talk.segment(now, True, PSH | ACK, data)
        talk.segment(now + 2_000_000, False, PSH | ACK, data)
        now += 5 * SECOND
        yield now


@attack("T0814", hosts=(STRANGER, PUMPS), why="a stranger reads as fast as the controller answers; the SCADA server's polls wait", held_out=True)
def read_flood(net: Terminal, now: int) -> Iterator[int]:
    master = Master(net, STRANGER, net.pumps)
    now = master.connect(now)
    for _ in range(6_000):
        now = master.ask(now, 1, read(3, 0, 100)) + 500_000
        yield now


@attack("T0872", hosts=(ENGINEER, PUMPS), why="the controller's diagnostic counters are cleared by FC 8/10, then its communication log read", held_out=True)
def counters_cleared(net: Terminal, now: int) -> Iterator[int]:
    master = Master(net, ENGINEER, net.pumps)
    now = master.connect(now)
    for pdu in (b"\x08\x00\x0a\x00\x00", b"\x08\x00\x0b\x00\x00"):
        now = master.ask(now, 1, pdu) + SECOND
        yield now
