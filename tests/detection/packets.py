"""Packets of a capture as a list, and what may be done to them without changing what happens: for metamorphic tests."""

from __future__ import annotations

import heapq
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.plant.frames import Packet, checksum, pcap_header, pcap_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from tests.plant.plant import Plant

ARP, IPV4 = b"\x08\x06", b"\x08\x00"
TCP, UDP = 6, 17
_CHECKS: Final = {TCP: 16, UDP: 6}
"""Where a header of transport holds its checksum."""
_URL: Final = re.compile(rb"(?<=opc\.tcp://)\d+\.\d+\.\d+\.\d+")


class Names(NamedTuple):
    """A renaming of hosts."""

    ip: Callable[[bytes], bytes]
    """Of an IPv4 address, four bytes; its text stays as long, for it stands in URLs."""
    mac: Callable[[bytes], bytes]


def packets_of(plant: Plant, until: int) -> list[Packet]:
    """What is on a plant's wire until then."""
    return list(plant.run(until))


def write(path: Path, packets: Iterable[Packet]) -> Path:
    """A capture of these packets."""
    path.write_bytes(pcap_header() + b"".join(map(pcap_record, packets)))
    return path


def shifted(packets: Iterable[Packet], nanoseconds: int) -> list[Packet]:
    """The same, so much later."""
    return [packet._replace(ts=packet.ts + nanoseconds) for packet in packets]


def merged(*captures: Sequence[Packet]) -> list[Packet]:
    """All packets in order of time, as one mirror port would show them."""
    return list(heapq.merge(*captures, key=lambda packet: packet.ts))


def renamed(packets: Iterable[Packet], names: Names) -> list[Packet]:
    """The same between hosts of other addresses, in all headers, in ARP, and in URLs of OPC UA."""
    return [packet._replace(frame=_renamed(packet.frame, names)) for packet in packets]


def _renamed(frame: bytes, names: Names) -> bytes:
    macs, kind, rest = names.mac(frame[:6]) + names.mac(frame[6:12]), frame[12:14], frame[14:]
    if kind == ARP:
        (sender, target), ips = (rest[8:14], rest[18:24]), (rest[14:18], rest[24:28])
        rest = b"".join((rest[:8], names.mac(sender), names.ip(ips[0]), names.mac(target), names.ip(ips[1]), rest[28:]))
    elif kind == IPV4:
        rest = _datagram(rest, names)
    return macs + kind + rest


def _datagram(data: bytes, names: Names) -> bytes:
    """A datagram without options under other addresses, its checksums made anew."""
    addresses = names.ip(data[12:16]) + names.ip(data[16:20])
    head = data[:10] + b"\0\0" + addresses
    head = head[:10] + checksum(head).to_bytes(2, "big") + head[12:]
    protocol, body = data[9], _URL.sub(lambda found: _text(names, found.group()), data[20:])
    place = _CHECKS.get(protocol)
    if place is None:
        return head + body
    empty = body[:place] + b"\0\0" + body[place + 2 :]
    pseudo = addresses + bytes((0, protocol)) + len(body).to_bytes(2, "big")
    return head + body[:place] + checksum(pseudo + empty).to_bytes(2, "big") + body[place + 2 :]


def _text(names: Names, text: bytes) -> bytes:
    return ".".join(map(str, names.ip(bytes(map(int, text.split(b".")))))).encode()
