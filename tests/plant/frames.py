"""Frames on the plant's wire: TCP conversations with proper addresses, sequence numbers and checksums, on a simulated clock.

    wire = Wire()
    talk = Talk(wire, HMI, PLC, client_port=50_000)
    now = talk.open(now)
    talk.send(now, question)
    talk.receive(now + 3_000_000, answer)

Times are nanoseconds since 1970. Packets are numbered in the order in which they leave the wire (`Wire.take`).
"""

from __future__ import annotations

import heapq
import ipaddress
import struct
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MODBUS_PORT: Final = 502
HOP_NS: Final = 200_000
"""Between a segment and the acknowledgment that goes with no data."""

RELAY_NS: Final = 60_000
"""How long a man in the middle takes to pass a frame on."""

HOPS: Final = 64
"""Hop limit of a frame that no router has passed on."""

DONT_FRAGMENT: Final = 0x4000

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16

# Parts of a frame, each packed once: a day has ten million of them.
_PORTS: Final = struct.Struct("!HH")
_SEGMENT: Final = struct.Struct("!IIBBH")
_CHECKED: Final = struct.Struct("!HH")
_PSEUDO: Final = struct.Struct("!HH")
_DATAGRAM: Final = struct.Struct("!BBHHHBB")
_CHECK: Final = struct.Struct("!H")
_RECORD: Final = struct.Struct("<IIII")


@cache
def _packed(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


@dataclass(frozen=True, slots=True)
class Host:
    """A machine on the wire."""

    ip: str
    mac: str

    @property
    def ip_bytes(self) -> bytes:
        """The address as it stands in a packet."""
        return _packed(self.ip)

    @property
    def mac_bytes(self) -> bytes:
        """The hardware address as it stands in a frame."""
        return bytes.fromhex(self.mac.replace(":", ""))


class Packet(NamedTuple):
    """A frame at a time; `tag` names the attack that sent it, or is empty. `order` keeps frames of one time in order."""

    ts: int
    order: int
    frame: bytes
    tag: str


class Wire:
    """Takes frames in any order and gives them in order of time."""

    def __init__(self) -> None:
        self._packets: list[Packet] = []
        self._order = 0
        self.tag = ""
        """Attack that is on the wire now."""

    def put(self, ts: int, frame: bytes, tag: str = "") -> None:
        """A frame at a time; a tag of its own goes before that of the attack that is on the wire."""
        self._order += 1
        heapq.heappush(self._packets, Packet(ts, self._order, frame, tag or self.tag))

    def take(self, before: int) -> Iterator[Packet]:
        """All frames earlier than this, in order; they leave the wire."""
        while self._packets and self._packets[0].ts < before:
            yield heapq.heappop(self._packets)


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    number = int.from_bytes(data + b"\0" if len(data) % 2 else data, "big")
    # 65,536 is 1 modulo 65,535, so that the remainder is the sum of the words with its carries; 0 is only the sum of nothing.
    return 0xFFFF - (number % 0xFFFF or (0xFFFF if number else 0))


class Middle(NamedTuple):
    """A man in the middle: each frame goes to him first, and from him to its receiver."""

    host: Host
    tag: str
    """Attack that his frames belong to."""
    alter: Callable[[bool, bytes], bytes]
    """What he makes of the data of a side (True: the client's); as long as before."""


class Talk:
    """One TCP connection between two hosts.

    Args:
        wire: where its frames go.
        client: who opens it.
        server: who accepts it.
        client_port: from where it is opened.
        server_port: where to.
        numbered: whether each datagram has an identification of its own and must not be fragmented, as most stacks send them.
    """

    def __init__(
        self, wire: Wire, client: Host, server: Host, client_port: int, server_port: int = MODBUS_PORT, *, numbered: bool = True
    ) -> None:
        self.wire = wire
        self.client = client
        self.server = server
        self.client_port = client_port
        self.server_port = server_port
        self.sequence = {True: (client_port * 7_919) & 0xFFFFFFFF, False: (client_port * 104_729) & 0xFFFFFFFF}
        """Next sequence number by side: True for the client."""
        self._addresses = {
            True: client.ip_bytes + server.ip_bytes,
            False: server.ip_bytes + client.ip_bytes,
        }
        self._ports = {True: _PORTS.pack(client_port, server_port), False: _PORTS.pack(server_port, client_port)}
        self._links = {
            True: server.mac_bytes + client.mac_bytes + b"\x08\x00",
            False: client.mac_bytes + server.mac_bytes + b"\x08\x00",
        }
        self._numbered = numbered
        self._identification = client_port if numbered else 1
        self.middle: Middle | None = None

    def frame(
        self, from_client: bool, flags: int, payload: bytes = b"", *, sequence: int | None = None, hops: int = HOPS
    ) -> bytes:
        """A segment of one side at its present place, or at another."""
        place = self.sequence[from_client] if sequence is None else sequence
        acknowledged = self.sequence[not from_client] if flags & ACK else 0
        addresses = self._addresses[from_client]
        head = self._ports[from_client] + _SEGMENT.pack(place, acknowledged, 0x50, flags, 8_192)
        length = 20 + len(payload)
        check = checksum(b"".join((addresses, _PSEUDO.pack(6, length), head, payload)))
        if self._numbered:
            self._identification = (self._identification + 1) & 0xFFFF
        fragmenting = DONT_FRAGMENT if self._numbered else 0
        ip = _DATAGRAM.pack(0x45, 0, 20 + length, self._identification, fragmenting, hops, 6)
        return b"".join(
            (
                self._links[from_client],
                ip,
                _CHECK.pack(checksum(ip + addresses)),
                addresses,
                head,
                _CHECKED.pack(check, 0),
                payload,
            )
        )

    def segment(self, ts: int, from_client: bool, flags: int, payload: bytes = b"", tag: str = "") -> None:
        """Put a segment on the wire and move its side on."""
        frame = self.frame(from_client, flags, payload)
        if self.middle is None:
            self.wire.put(ts, frame, tag)
        else:
            self._relay(ts, frame, self.frame(from_client, flags, self.middle.alter(from_client, payload), hops=HOPS - 1))
        step = len(payload) + bool(flags & SYN) + bool(flags & FIN)
        self.sequence[from_client] = (self.sequence[from_client] + step) & 0xFFFFFFFF

    def _relay(self, ts: int, frame: bytes, passed: bytes) -> None:
        """A frame to the man in the middle, and what he passes on."""
        assert self.middle is not None
        address, tag = self.middle.host.mac_bytes, self.middle.tag
        self.wire.put(ts, address + frame[6:], tag)
        self.wire.put(ts + RELAY_NS, passed[:6] + address + passed[12:], tag)

    def open(self, ts: int) -> int:
        """The three-way handshake; returns when it is done."""
        self.segment(ts, True, SYN)
        self.segment(ts + HOP_NS, False, SYN | ACK)
        self.segment(ts + 2 * HOP_NS, True, ACK)
        return ts + 3 * HOP_NS

    def send(self, ts: int, payload: bytes) -> None:
        """Data from the client."""
        self.segment(ts, True, PSH | ACK, payload)

    def receive(self, ts: int, payload: bytes, tag: str = "") -> None:
        """Data from the server; the tag is as in `Wire.put`."""
        self.segment(ts, False, PSH | ACK, payload, tag)

    def acknowledge(self, ts: int, *, from_client: bool = True) -> None:
        """A bare acknowledgment."""
        self.segment(ts, from_client, ACK)

    def again(self, ts: int, from_client: bool, payload: bytes) -> None:
        """The last data of a side once more: a retransmission."""
        place = (self.sequence[from_client] - len(payload)) & 0xFFFFFFFF
        self.wire.put(ts, self.frame(from_client, PSH | ACK, payload, sequence=place))

    def close(self, ts: int) -> int:
        """Both sides finish; returns when it is done."""
        self.segment(ts, True, FIN | ACK)
        self.segment(ts + HOP_NS, False, FIN | ACK)
        self.segment(ts + 2 * HOP_NS, True, ACK)
        return ts + 3 * HOP_NS

    def reset(self, ts: int, *, from_client: bool = False) -> None:
        """One side resets the connection."""
        self.segment(ts, from_client, RST | ACK)


def pcap_header() -> bytes:
    """Header of a capture: little endian, nanoseconds, Ethernet."""
    return struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262_144, 1)


def pcap_record(packet: Packet) -> bytes:
    """A packet as a record of a capture."""
    seconds, nanoseconds = divmod(packet.ts, 1_000_000_000)
    return _RECORD.pack(seconds, nanoseconds, len(packet.frame), len(packet.frame)) + packet.frame
