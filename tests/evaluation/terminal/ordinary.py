"""What is unusual at the terminal and no attack."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from tests.evaluation.terminal.cases import ordinary
from tests.evaluation.terminal.net import HOP_NS, SECOND, Master, read, write
from tests.evaluation.terminal.network_attacks import smb
from tests.evaluation.terminal.plant import (
    BACKUP,
    DIRECTORY,
    ENGINEER,
    HISTORIAN,
    LOADING,
    MANAGEMENT,
    OPEN_SERVER,
    PUMPS,
    SCADA,
    SERIAL,
    STANDBY,
    TANKS,
    WATCHED,
)
from tests.plant.frames import ACK, RST, SYN, Host

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.evaluation.terminal.plant import Terminal


@ordinary("nothing but the ordinary day", minutes=75.0)
def nothing(net: Terminal, now: int) -> Iterator[int]:
    yield from ()


@ordinary("the engineer's tool asks a controller for its state, as vendors' diagnostics do each time they are opened")
def vendor_diagnostics(net: Terminal, now: int) -> Iterator[int]:
    master = Master(net, ENGINEER, net.pumps)
    now = master.connect(now)
    for pdu in (
        b"\x11",
        b"\x2b\x0e\x01\x00",
        b"\x08\x00\x00\xa5\x37",
        read(3, 0, 100),
        b"\x08\x00\x0b\x00\x00",
        b"\x08\x00\x0c\x00\x00",
    ):
        now = master.ask(now, 1, pdu) + SECOND
        yield now
    master.close(now)


@ordinary("the SCADA server sets all controllers' clocks, once a day")
def time_is_set(net: Terminal, now: int) -> Iterator[int]:
    for host in (TANKS, PUMPS, LOADING):
        master = net.masters[host.ip]
        now = master.ask(now, 1, write(1_000, 2025, 10, 13, 6, 8, 0)) + SECOND
        yield now


@ordinary("a management server asks web pages of devices for their firmware's version")
def firmware_versions_asked(net: Terminal, now: int) -> Iterator[int]:
    for host in (TANKS, PUMPS, LOADING, SERIAL):
        talk = net.talk(MANAGEMENT, host, 80)
        now = talk.open(now)
        talk.send(now, b"GET /version.xml HTTP/1.1\r\nHost: device\r\n\r\n")
        talk.receive(now + 30_000_000, b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n" + bytes(60))
        now = talk.close(now + 50_000_000) + 5 * SECOND
        yield now


@ordinary("backup software fetches the SCADA server's disks by SMB")
def backup_runs(net: Terminal, now: int) -> Iterator[int]:
    talk = net.talk(BACKUP, SCADA, 445)
    now = talk.open(now)
    talk.send(now, smb())
    talk.receive(now + 2_000_000, smb(bytes(200)))
    for _ in range(1_500):
        talk.send(now + 3_000_000, smb(bytes(40)))
        talk.receive(now + 5_000_000, smb(net.random.randbytes(1_300)))
        now += 40_000_000
        yield now
    talk.close(now)


@ordinary("the SCADA server fails and its standby takes over")
def standby_takes_over(net: Terminal, now: int) -> Iterator[int]:
    net.stopped = True
    yield now + 200 * SECOND
    net.stopped = False


@ordinary("the management server gets another address by DHCP")
def address_renewed(net: Terminal, now: int) -> Iterator[int]:
    moved = Host("192.168.77.58", MANAGEMENT.mac)
    for number in range(60):
        asked = bytes.fromhex("302602010104067075626c6963a01902") + struct.pack("!BI", 4, number)
        asked += bytes.fromhex("020100020100300b300906052b060102010500")
        for host in (TANKS, PUMPS, LOADING):
            net.datagram(now, moved, host, (52_001, 161), asked)
            net.datagram(now + 5_000_000, host, moved, (161, 52_001), asked.replace(b"\xa0\x19", b"\xa2\x19"))
        now += 5 * SECOND
        yield now


@ordinary("a controller restarts: its connection is reset, it is away for a minute, and announces itself")
def controller_restarts(net: Terminal, now: int) -> Iterator[int]:
    master = net.masters[PUMPS.ip]
    net.paused[PUMPS.ip] = now + 61 * SECOND
    if master.talk is not None:
        master.talk.reset(now)
        master.talk = None
    for _ in range(20):
        talk = net.talk(SCADA, PUMPS)
        talk.segment(now, True, SYN)
        now += 3 * SECOND
        yield now
    net.who_has(now, PUMPS, PUMPS.ip)


@ordinary("a serial line fails: six instruments do not answer for two minutes")
def serial_line_fails(net: Terminal, now: int) -> Iterator[int]:
    net.serial.dead = set(range(5, 11))
    yield now + 120 * SECOND
    net.serial.dead = set()


@ordinary("the mirror port loses one frame of twenty")
def mirror_loses(net: Terminal, now: int) -> Iterator[int]:
    net.lost = lambda packet: net.random.random() < 0.05  # noqa: ARG005
    yield now + 300 * SECOND
    net.lost = None


@ordinary("an operator changes many set-points of the plan, within what they were")
def busy_operator(net: Terminal, now: int) -> Iterator[int]:
    for number in range(40):
        master = net.masters[(TANKS, PUMPS, LOADING)[number % 3].ip]
        now = master.ask(now, 1, write(910, 500 + 10 * (number % 4), 620, 40, 3)) + 3 * SECOND
        yield now


@ordinary("the historian restarts: new sessions with the rights that it had")
def historian_restarts(net: Terminal, now: int) -> Iterator[int]:
    for _ in range(3):
        line, client = net.opcua(HISTORIAN, OPEN_SERVER, now, "hist")
        client.connect()
        client.endpoints()
        client.sign_in()
        client.read(WATCHED[:12])
        client.leave()
        now = line.close() + 10 * SECOND
        yield now


@ordinary("a new server of names and time is brought in beside the old one, and controllers are switched to it")
def new_time_server(net: Terminal, now: int) -> Iterator[int]:
    server = Host("192.168.77.3", "00:50:56:a1:11:03")
    for _ in range(5):
        for host in (TANKS, PUMPS, LOADING, SERIAL):
            net.datagram(now, host, server, (123, 123), b"\x1b" + bytes(47))
            net.datagram(now + 1_000_000, server, host, (123, 123), b"\x1c\x02\x03\x00" + bytes(44))
        now += 60 * SECOND
        yield now


@ordinary("a switch's cable is loose: connections are opened again and again")
def connections_reopened(net: Terminal, now: int) -> Iterator[int]:
    for _ in range(12):
        for host in (TANKS, PUMPS, LOADING):
            master = net.masters[host.ip]
            if master.talk is not None:
                master.talk.reset(now, from_client=True)
                master.talk = None
        now += 15 * SECOND
        yield now


@ordinary("the directory server looks for hosts by ping before it hands out addresses, and asks two for their names")
def names_asked(net: Terminal, now: int) -> Iterator[int]:
    for number in range(40):
        net.echo(now, DIRECTORY, Host(f"192.168.77.{100 + number}", "00:00:00:00:00:00"), bytes(32), number)
        now += SECOND // 2
        yield now
    for host in (STANDBY, ENGINEER):
        talk = net.talk(DIRECTORY, host, 135)
        talk.segment(now, True, SYN)
        talk.segment(now + HOP_NS, False, RST | ACK)
        now += SECOND
        yield now
