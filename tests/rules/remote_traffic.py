"""Traffic for the rules about control protocols, remote services and files between hosts, and across the plant's border."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from scapy.utils import PcapReader

from tests.rules.wire import CRAFTED, ENGINEER, HMI, INTRUDER, PLC, Host, scenario

if TYPE_CHECKING:
    from tests.rules.wire import Capture, Connection

EXCHANGES: Final = Path(__file__).resolve().parents[1] / "exchanges"
"""Captures of real peers; `tests/exchanges/script.toml` says which and how they were run."""

SNAP7: Final = "python-snap7 3.3"

OUTSIDE: Final = Host("1.1.1.66", "02:00:00:00:00:fe")
"""A host of the Internet, behind the plant's router. Any address that the registries call global will do."""

Endpoint = tuple[Host, int]
"""A host and its port."""

JUMBO_BYTES: Final = 65_000
"""Data of a segment as a sensor behind a network card's offloading sees it."""


def iec104(connection: Connection) -> None:
    """A control centre starts the transfer of data (IEC 60870-5-104, 5.3)."""
    connection.open()
    for number in range(3):
        connection.send(bytes.fromhex("680407000000"))
        connection.receive(bytes.fromhex("68040b000000"))
        connection.send(bytes([0x68, 0x0E, 2 * number, 0, 0, 0]) + bytes.fromhex("64010600010000000014"))
    connection.close()


def ssh(connection: Connection) -> None:
    """Both sides say what they are (RFC 4253, 4.2)."""
    connection.open()
    connection.receive(b"SSH-2.0-OpenSSH_9.6\r\n")
    connection.send(b"SSH-2.0-OpenSSH_9.2\r\n")
    connection.receive(bytes(64))
    connection.close()


@scenario("network/control_protocol_with_public_address", CRAFTED)
def control_protocol_with_public_address(fires: Capture, quiet: Capture) -> None:
    for capture, host in ((fires, OUTSIDE), (quiet, ENGINEER)):
        iec104(capture.connect(host, PLC, 2404))


@scenario("network/remote_service_from_public_address", CRAFTED)
def remote_service_from_public_address(fires: Capture, quiet: Capture) -> None:
    for capture, host in ((fires, OUTSIDE), (quiet, ENGINEER)):
        ssh(capture.connect(host, PLC, 22))


@scenario("network/control_network_reaches_internet", CRAFTED)
def control_network_reaches_internet(fires: Capture, quiet: Capture) -> None:
    for capture, host in ((fires, PLC), (quiet, Host("10.9.0.15", "02:00:00:00:00:15"))):
        connection = capture.connect(host, OUTSIDE, 443)
        connection.open()
        connection.send(bytes(200))
        connection.receive(bytes(900))
        connection.close()


@scenario("network/clear_text_remote_service", CRAFTED)
def clear_text_remote_service(fires: Capture, quiet: Capture) -> None:
    connection = fires.connect(ENGINEER, PLC, 21)
    connection.open()
    connection.receive(b"220 CP 443-1 FTP server ready\r\n")
    connection.send(b"USER engineer\r\n")
    connection.receive(b"331 Password required\r\n")
    connection.close()
    ssh(quiet.connect(ENGINEER, PLC, 22))


@scenario("network/file_transfer_by_tftp", CRAFTED)
def file_transfer_by_tftp(fires: Capture, quiet: Capture) -> None:
    for capture, blocks in ((fires, 80), (quiet, 20)):
        _datagram(capture, (ENGINEER, 49_400), (PLC, 69), b"\0\x02firmware.bin\0octet\0")
        # The answer comes from a port of its own, which the rest goes to (RFC 1350, 4).
        for block in range(blocks):
            _datagram(capture, (PLC, 50_100), (ENGINEER, 49_400), b"\0\x04" + block.to_bytes(2))
            _datagram(capture, (ENGINEER, 49_400), (PLC, 50_100), b"\0\x03" + (block + 1).to_bytes(2) + bytes(512))


@scenario("network/datagram_sweep", CRAFTED)
def datagram_sweep(fires: Capture, quiet: Capture) -> None:
    for capture, hosts in ((fires, 30), (quiet, 15)):
        for number in range(hosts):
            target = Host(f"10.20.2.{100 + number}", f"02:00:00:00:02:{100 + number:02x}")
            # EtherNet/IP, ListIdentity.
            _datagram(capture, (INTRUDER, 50_001), (target, 44_818), b"\x63" + bytes(23))
            capture.wait(0.2)


@scenario("network/control_protocol_by_unlisted_client", CRAFTED)
def control_protocol_by_unlisted_client(fires: Capture, quiet: Capture) -> None:
    for capture, host in ((fires, INTRUDER), (quiet, HMI)):
        iec104(capture.connect(host, PLC, 2404))


@scenario("network/remote_sign_in_guessing", CRAFTED)
def remote_sign_in_guessing(fires: Capture, quiet: Capture) -> None:
    for capture, tries in ((fires, 25), (quiet, 12)):
        for _ in range(tries):
            ssh(capture.connect(INTRUDER, PLC, 22))
            capture.wait(1)


@scenario("network/large_upload_to_public_address", CRAFTED)
def large_upload_to_public_address(fires: Capture, quiet: Capture) -> None:
    for capture, segments in ((fires, 170), (quiet, 40)):
        for _ in range(2):
            connection = capture.connect(HMI, OUTSIDE, 8443)
            connection.open()
            for _ in range(segments // 2):
                connection.send(bytes(JUMBO_BYTES))
            connection.close()
            capture.wait(120)


@scenario("network/device_identity_changed", CRAFTED)
def device_identity_changed(fires: Capture, quiet: Capture) -> None:
    for capture, second in ((fires, 0x006C061B), (quiet, 0x006C061A)):
        for serial in (0x006C061A, second):
            _datagram(capture, (ENGINEER, 50_002), (PLC, 44_818), b"\x63" + bytes(23))
            _datagram(capture, (PLC, 44_818), (ENGINEER, 50_002), _identity(PLC, serial))
            capture.wait(600)


@scenario("network/s7_program_transferred", SNAP7)
def s7_program_transferred(fires: Capture, quiet: Capture) -> None:
    _replay(fires, "s7_programming")
    _replay(quiet, "s7_operating")


@scenario("network/s7_controller_started_or_stopped", SNAP7)
def s7_controller_started_or_stopped(fires: Capture, quiet: Capture) -> None:
    _replay(fires, "s7_programming")
    _replay(quiet, "s7_operating")


def _datagram(capture: Capture, sender: Endpoint, receiver: Endpoint, data: bytes) -> None:
    (source, source_port), (target, target_port) = sender, receiver
    header = IP(src=source.ip, dst=target.ip, ttl=64) / UDP(sport=source_port, dport=target_port)
    capture.put(Ether(src=source.mac, dst=target.mac) / header / Raw(data))


def _identity(host: Host, serial: int) -> bytes:
    """What a controller answers to ListIdentity (CIP Networks Library volume 2, 2-4.2)."""
    name = b"1756-L61/B LOGIX5561"
    address = struct.pack("!HH4s8x", 2, 44_818, host.ip_bytes)
    item = struct.pack("<H", 1) + address + struct.pack("<HHHBBHI", 1, 14, 54, 20, 11, 0x3160, serial)
    item += bytes([len(name)]) + name + b"\x03"
    body = struct.pack("<HHH", 1, 0x0C, len(item)) + item
    return struct.pack("<HH", 0x63, len(body)) + bytes(20) + body


def _replay(capture: Capture, exchange: str) -> None:
    """The frames of a real exchange, on the capture's clock."""
    with PcapReader(str(EXCHANGES / f"{exchange}.pcap")) as reader:
        for packet in reader:
            capture.put(packet)
