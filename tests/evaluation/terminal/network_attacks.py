"""Attacks on the terminal by other protocols than Modbus and OPC UA, as far as records of conversations show them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from tests.evaluation.terminal.cases import attack
from tests.evaluation.terminal.net import HOP_NS, SECOND
from tests.evaluation.terminal.plant import (
    BACKUP,
    CENTRE,
    DIRECTORY,
    ENGINEER,
    LOADING,
    OFFICE_PC,
    OFFICE_STRANGER,
    OPERATOR,
    OUTSIDE,
    PACKAGE,
    PUMPS,
    RTU,
    SAFETY,
    SCADA,
    STRANGER,
    TANKS,
    question,
)
from tests.plant.frames import ACK, RST, SYN, Host

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.evaluation.terminal.plant import Terminal

NEGOTIATE = bytes.fromhex("000000d4ff534d4272000000001853c8") + bytes(100)
SMB2 = b"\xfeSMB" + struct.pack("<HHIHHIIQ", 64, 0, 0, 0, 1, 0, 0, 0) + bytes(32)


def smb(data: bytes = b"") -> bytes:
    """An SMB2 message in its NetBIOS frame."""
    return struct.pack("!I", len(SMB2) + len(data)) + SMB2 + data


@attack("T1692.001", hosts=(STRANGER, RTU), why="a stranger opens IEC 104 to the RTU and sends commands, as Industroyer2 does")
def industroyer(net: Terminal, now: int) -> Iterator[int]:
    talk = net.talk(STRANGER, RTU, 2404)
    now = talk.open(now)
    talk.send(now, bytes.fromhex("680443000000"))
    talk.receive(now + 4_000_000, bytes.fromhex("680483000000"))
    talk.send(now + 8_000_000, bytes.fromhex("680407000000"))
    talk.receive(now + 12_000_000, bytes.fromhex("68040b000000"))
    now += 30_000_000
    for number in range(24):
        head = struct.pack("<BBHH", 0x68, 0x0E, number << 1, number << 1)
        talk.send(now, head + bytes.fromhex("2d010600 0100") + struct.pack("<I", 1_100 + number)[:3] + b"\x01")
        talk.receive(now + 5_000_000, head + bytes.fromhex("2d010700 0100") + struct.pack("<I", 1_100 + number)[:3] + b"\x01")
        now += 400_000_000
        yield now
    talk.close(now)


@attack("T0858", "T0816", hosts=(STRANGER, PACKAGE), why="a stranger stops an S7 controller and reads its program")
def s7_stopped(net: Terminal, now: int) -> Iterator[int]:
    yield net.replay(now, "s7_programming", STRANGER, PACKAGE)


@attack(
    "T0858",
    "T0843",
    hosts=(ENGINEER, SAFETY),
    why="the engineering station sends to a safety controller's programming port, UDP 1502, as Triton does",
    held_out=True,
)
def safety_programmed(net: Terminal, now: int) -> Iterator[int]:
    for _ in range(80):
        net.datagram(now, ENGINEER, SAFETY, (52_900, 1_502), struct.pack("<HH", 5, 0x0A00) + net.random.randbytes(480))
        net.datagram(now + 6_000_000, SAFETY, ENGINEER, (1_502, 52_900), struct.pack("<HH", 6, 0x0A00) + net.random.randbytes(12))
        now += 120_000_000
        yield now


@attack(
    "T1692.001",
    hosts=(STRANGER, TANKS),
    why="a stranger speaks EtherNet/IP to a controller that was only asked by Modbus",
    held_out=True,
)
def cip_to_controller(net: Terminal, now: int) -> Iterator[int]:
    yield net.replay(now, "enip", STRANGER, TANKS)


@attack(
    "T0885",
    "T0869",
    "T0882",
    hosts=(TANKS, OUTSIDE),
    shown="wire",
    why="a controller hides data in ICMP echoes to the Internet; tables have no row for ICMP",
)
def icmp_tunnel(net: Terminal, now: int) -> Iterator[int]:
    for number in range(150):
        net.echo(now, TANKS, OUTSIDE, net.random.randbytes(900), number)
        net.echo(now + 30_000_000, OUTSIDE, TANKS, net.random.randbytes(900), number, answer=True)
        now += SECOND
        yield now


@attack(
    "T0885",
    "T0869",
    "T0882",
    hosts=(PUMPS, OUTSIDE),
    why="a controller asks a name server in the Internet for long random names, hundreds of times",
    held_out=True,
)
def dns_tunnel(net: Terminal, now: int) -> Iterator[int]:
    for number in range(300):
        name = net.random.randbytes(24).hex().encode() + b"." + net.random.randbytes(20).hex().encode() + b".cdn-telemetry.net"
        asked = question(number, name)
        port = 40_000 + number % 9_000
        net.datagram(now, PUMPS, OUTSIDE, (port, 53), asked)
        net.datagram(
            now + 25_000_000, OUTSIDE, PUMPS, (53, port), asked[:2] + b"\x81\x80" + asked[4:] + net.random.randbytes(120)
        )
        now += 600_000_000
        yield now


@attack("T0830", "T0848", hosts=(STRANGER,), why="a second DHCP server offers itself as router")
def rogue_dhcp(net: Terminal, now: int) -> Iterator[int]:
    for number in range(6):
        mac = bytes.fromhex(f"0080f42103{0x80 + number:02x}")
        for kind, answer in (("discover", "offer"), ("request", "ack")):
            ask = (
                Ether(src=mac.hex(":"), dst="ff:ff:ff:ff:ff:ff")
                / IP(src="0.0.0.0", dst="255.255.255.255")
                / UDP(sport=68, dport=67)
            )
            ask = ask / BOOTP(chaddr=mac, xid=900 + number) / DHCP(options=[("message-type", kind), "end"])
            net.wire.put(now, bytes(ask))
            reply = (
                Ether(src=STRANGER.mac, dst="ff:ff:ff:ff:ff:ff")
                / IP(src=STRANGER.ip, dst="255.255.255.255")
                / UDP(sport=67, dport=68)
            )
            options = [
                ("message-type", answer),
                ("server_id", STRANGER.ip),
                ("router", STRANGER.ip),
                ("name_server", STRANGER.ip),
                "end",
            ]
            reply = (
                reply
                / BOOTP(op=2, yiaddr=f"10.44.3.{200 + number}", siaddr=STRANGER.ip, chaddr=mac, xid=900 + number)
                / DHCP(options=options)
            )
            net.wire.put(now + 3_000_000, bytes(reply))
            now += 10_000_000
        now += 15 * SECOND
        yield now


@attack(
    "T0886", "T0822", hosts=(OFFICE_PC, SCADA), why="an office PC takes over the SCADA server's desktop by VNC", held_out=True
)
def vnc_into_scada(net: Terminal, now: int) -> Iterator[int]:
    now = net.replay(now, "vnc", OFFICE_PC, SCADA)
    yield now
    talk = net.talk(OFFICE_PC, SCADA, 5_900)
    now = talk.open(now + SECOND)
    talk.receive(now, b"RFB 003.008\n")
    talk.send(now + 2_000_000, b"RFB 003.008\n")
    for _ in range(200):
        talk.send(now + 3_000_000, b"\x05\x00" + net.random.randbytes(4))
        talk.receive(now + 5_000_000, net.random.randbytes(1_200))
        now += 300_000_000
        yield now


@attack(
    "T0886", "T0822", hosts=(OFFICE_STRANGER, ENGINEER), why="an unknown office host signs in to the engineering station by RDP"
)
def rdp_into_engineering(net: Terminal, now: int) -> Iterator[int]:
    talk = net.talk(OFFICE_STRANGER, ENGINEER, 3_389)
    now = talk.open(now)
    talk.send(now, bytes.fromhex("030000130ee000000000000100080003000000"))
    talk.receive(now + 3_000_000, bytes.fromhex("030000130ed000001234000209080002000000"))
    for _ in range(200):
        talk.send(now + 4_000_000, b"\x17\x03\x03\x00\x40" + net.random.randbytes(64))
        talk.receive(now + 7_000_000, b"\x17\x03\x03\x04\x00" + net.random.randbytes(1_024))
        now += 200_000_000
        yield now


@attack(
    "T0867",
    "T0886",
    hosts=(OPERATOR, SCADA, ENGINEER, BACKUP),
    why="an operator's PC copies a program by SMB to each server in turn",
)
def smb_spreads(net: Terminal, now: int) -> Iterator[int]:
    for target in (SCADA, ENGINEER, BACKUP):
        talk = net.talk(OPERATOR, target, 445)
        now = talk.open(now)
        talk.send(now, smb())
        talk.receive(now + 2_000_000, smb(bytes(200)))
        for _ in range(120):
            talk.send(now + 3_000_000, smb(net.random.randbytes(1_300)))
            talk.receive(now + 4_000_000, smb(bytes(20)))
            now += 10_000_000
            yield now
        now = talk.close(now + SECOND) + 20 * SECOND


@attack(
    "T0869",
    "T0885",
    "T0884",
    hosts=(PACKAGE, OUTSIDE),
    why="a controller opens a connection to the Internet on port 4444 and is told what to do",
    held_out=True,
)
def reverse_shell(net: Terminal, now: int) -> Iterator[int]:
    talk = net.talk(PACKAGE, OUTSIDE, 4_444)
    now = talk.open(now)
    for _ in range(40):
        talk.receive(now, b"cat /etc/passwd\n")
        talk.send(now + 20_000_000, b"root:x:0:0:root:/root:/bin/sh\n# ")
        now += 3 * SECOND
        yield now
    talk.close(now)


@attack("T1693.001", "T1693.002", "T0843", hosts=(STRANGER, LOADING), why="a stranger loads firmware into a controller by TFTP")
def firmware_by_tftp(net: Terminal, now: int) -> Iterator[int]:
    net.datagram(now, STRANGER, LOADING, (49_400, 69), b"\0\x02noe77101.bin\0octet\0")
    for block in range(400):
        net.datagram(now + 4_000_000, LOADING, STRANGER, (50_100, 49_400), b"\0\x04" + block.to_bytes(2, "big"))
        net.datagram(
            now + 8_000_000,
            STRANGER,
            LOADING,
            (49_400, 50_100),
            b"\0\x03" + (block + 1).to_bytes(2, "big") + net.random.randbytes(512),
        )
        now += 10_000_000
        yield now


@attack(
    "T1693.001",
    "T1693.002",
    "T0843",
    hosts=(ENGINEER, PUMPS),
    why="firmware is loaded into a controller over its web page, which nobody used before",
    held_out=True,
)
def firmware_by_http(net: Terminal, now: int) -> Iterator[int]:
    talk = net.talk(ENGINEER, PUMPS, 80)
    now = talk.open(now)
    talk.send(
        now,
        b"POST /secure/system/firmware HTTP/1.1\r\nHost: 10.44.3.102\r\nContent-Length: 900000\r\n\r\n",
    )
    for _ in range(640):
        talk.send(now, net.random.randbytes(1_400))
        talk.acknowledge(now + HOP_NS, from_client=False)
        now += 6_000_000
        yield now
    talk.receive(now, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    talk.close(now + SECOND)


@attack(
    "T1692.002",
    "T0830",
    hosts=(STRANGER, Host("239.0.0.44", "01:00:5e:00:00:2c")),
    why="a stranger multicasts UADP messages of a publisher where there were none",
)
def pubsub_forged(net: Terminal, now: int) -> Iterator[int]:
    target = Host("239.0.0.44", "01:00:5e:00:00:2c")
    for number in range(200):
        # Version 1 with publisher (UInt16), group header with writer group, payload header with one writer; one Double.
        head = bytes((0x71, 0x01)) + struct.pack("<H", 77)
        group = bytes((0x09,)) + struct.pack("<HH", 100, number)
        message = bytes((0x01,)) + struct.pack("<H", 1) + b"\x0b" + struct.pack("<d", 99.0)
        net.datagram(now, STRANGER, target, (52_000, 4_840), head + group + b"\x01" + struct.pack("<H", 1) + message)
        now += 100_000_000
        yield now


@attack("T0859", hosts=(STRANGER, TANKS), why="Telnet passwords of a controller are tried", held_out=True)
def telnet_guessed(net: Terminal, now: int) -> Iterator[int]:
    for number in range(30):
        talk = net.talk(STRANGER, TANKS, 23)
        now = talk.open(now)
        talk.receive(now, b"\xff\xfd\x18\xff\xfb\x01VxWorks login: ")
        talk.send(now + 100_000_000, b"USER\r\n")
        talk.receive(now + 150_000_000, b"Password: ")
        talk.send(now + 250_000_000, b"pass%02d\r\n" % number)
        talk.receive(now + 300_000_000, b"Login incorrect\r\n")
        now = talk.close(now + 400_000_000) + 2 * SECOND
        yield now


@attack(
    "T0846",
    "T0840",
    hosts=(DIRECTORY,),
    why="the directory server, taken over, sweeps the controllers' network for remote services",
    held_out=True,
)
def sweep_from_server(net: Terminal, now: int) -> Iterator[int]:
    for number in range(1, 200):
        for port in (22, 445):
            talk = net.talk(DIRECTORY, Host(f"10.44.3.{number}", "00:00:00:00:00:00"), port)
            talk.segment(now, True, SYN)
            if number in {60, 90, 91, 101}:
                talk.segment(now + HOP_NS, False, RST | ACK)
        now += 250_000_000
        yield now


@attack(
    "T1691.001",
    "T0814",
    hosts=(CENTRE, RTU),
    why="the control centre's connection is cut and refused for minutes: commands cannot come through",
)
def control_centre_cut(net: Terminal, now: int) -> Iterator[int]:
    for _ in range(60):
        talk = net.talk(CENTRE, RTU, 2404)
        talk.segment(now, True, SYN)
        talk.segment(now + HOP_NS, False, RST | ACK)
        now += 3 * SECOND
        yield now
