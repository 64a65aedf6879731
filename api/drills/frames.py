"""Frames of a drill: Modbus over TCP between two hosts, both sides of it, as a capture file. Bytes alone: nothing is sent.

Modbus Messaging on TCP/IP Implementation Guide V1.0b, 3.1.3; RFC 791, RFC 9293; the capture is a pcap with nanoseconds.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

FIN, SYN, PSH, ACK = 1, 2, 8, 16

HOP_NS: Final = 200_000
"""Between a segment and what follows it at once."""

_HOPS: Final = 64
_WINDOW: Final = 8_192


@dataclass(frozen=True, slots=True)
class Host:
    """A machine, by its addresses."""

    ip: str
    mac: str


class Talk:
    """One connection, whose frames are gathered.

    Args:
        client: who opens it.
        server: who answers.
        ports: the client's, and the server's.
        unit: unit identifier of all requests.
    """

    def __init__(self, client: Host, server: Host, ports: tuple[int, int], unit: int) -> None:
        self.frames: Final = list[tuple[int, bytes]]()
        """Frames with their times, nanoseconds since 1970."""
        self._hosts = {True: client, False: server}
        self._ports = {True: ports, False: ports[::-1]}
        self._unit = unit
        self._next = {True: ports[0] * 7_919, False: ports[0] * 104_729}
        self._transaction = 0

    def open(self, at: int) -> None:
        """The three-way handshake."""
        self._segment(at, from_client=True, flags=SYN)
        self._segment(at + HOP_NS, from_client=False, flags=SYN | ACK)
        self._segment(at + 2 * HOP_NS, from_client=True, flags=ACK)

    def ask(self, at: int, request: bytes, answer: bytes | None) -> None:
        """A request, and what answers it; None: nothing does."""
        self._transaction = (self._transaction + 1) & 0xFFFF
        self._segment(at, from_client=True, flags=PSH | ACK, data=self._adu(request))
        if answer is None:
            self._segment(at + HOP_NS, from_client=False, flags=ACK)
        else:
            self._segment(at + 10 * HOP_NS, from_client=False, flags=PSH | ACK, data=self._adu(answer))
            self._segment(at + 11 * HOP_NS, from_client=True, flags=ACK)

    def close(self, at: int) -> None:
        """Both sides finish."""
        self._segment(at, from_client=True, flags=FIN | ACK)
        self._segment(at + HOP_NS, from_client=False, flags=FIN | ACK)
        self._segment(at + 2 * HOP_NS, from_client=True, flags=ACK)

    def _adu(self, pdu: bytes) -> bytes:
        return struct.pack("!HHHB", self._transaction, 0, len(pdu) + 1, self._unit) + pdu

    def _segment(self, at: int, *, from_client: bool, flags: int, data: bytes = b"") -> None:
        source, target = self._hosts[from_client], self._hosts[not from_client]
        addresses = ipaddress.IPv4Address(source.ip).packed + ipaddress.IPv4Address(target.ip).packed
        place, acknowledged = self._next[from_client], self._next[not from_client] if flags & ACK else 0
        head = struct.pack(
            "!HHIIBBH", *self._ports[from_client], place & 0xFFFFFFFF, acknowledged & 0xFFFFFFFF, 0x50, flags, _WINDOW
        )
        check = _checksum(addresses + struct.pack("!HH", 6, 20 + len(data)) + head + bytes(4) + data)
        tcp = head + struct.pack("!HH", check, 0) + data
        begin = struct.pack("!BBHHHBB", 0x45, 0, 20 + len(tcp), len(self.frames) & 0xFFFF, 0x4000, _HOPS, 6)
        ip = begin + struct.pack("!H", _checksum(begin + bytes(2) + addresses)) + addresses
        self.frames.append((at, _mac(target.mac) + _mac(source.mac) + b"\x08\x00" + ip + tcp))
        self._next[from_client] += len(data) + bool(flags & (SYN | FIN))


def capture(talks: Iterable[Talk]) -> bytes:
    """All frames of some connections in the order of their times, as a capture file."""
    frames = sorted((frame for talk in talks for frame in talk.frames), key=lambda frame: frame[0])
    parts = [struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262_144, 1)]
    for at, frame in frames:
        parts += (struct.pack("<IIII", *divmod(at, 1_000_000_000), len(frame), len(frame)), frame)
    return b"".join(parts)


def _checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    padded = data + bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))
