"""The terminal's wire: two tagged networks with a router between them, hosts that ask and answer, and a clock.

Conversations are those of `tests.plant.frames`. A host of the other network is seen behind the router's hardware address. Frames
carry the tag of the network in which the mirror port sees them: that of the controllers if one of the two stands there.
"""

from __future__ import annotations

import heapq
import random
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw
from scapy.utils import RawPcapReader

from tests.detection.packets import Names, renamed
from tests.plant.frames import HOP_NS, Host, Packet, Talk, Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECOND: Final = 1_000_000_000
CONTROL, OFFICE = 220, 210
"""Tags of the controllers' network and of that of people and servers."""

ROUTER_MAC: Final = "00:00:5e:00:01:14"
EXCHANGES: Final = Path(__file__).resolve().parents[2] / "exchanges"
_CONTROL_NET: Final = bytes((10, 44, 3))
_ARP, _IPV4 = b"\x08\x06", b"\x08\x00"


class TaggedWire(Wire):
    """Puts an IEEE 802.1Q tag into each frame."""

    def put(self, ts: int, frame: bytes, tag: str = "") -> None:
        """As `Wire.put`."""
        if frame[12:14] == b"\x81\x00":
            super().put(ts, frame, tag)
            return
        nets = (frame[28:31], frame[38:41]) if frame[12:14] == _ARP else (frame[26:29], frame[30:33])
        control = _CONTROL_NET in nets or frame[12:14] not in {_ARP, _IPV4}
        super().put(ts, frame[:12] + struct.pack("!HH", 0x8100, CONTROL if control else OFFICE) + frame[12:], tag)


class Event(NamedTuple):
    """Something that goes on at a time."""

    at: int
    order: int
    tag: str
    steps: Iterator[int]


class Net:
    """What is on the wire, in order of time.

    Args:
        start: nanoseconds since 1970.
        seed: the same seed gives the same packets.
    """

    def __init__(self, start: int, seed: int) -> None:
        self.start = start
        self.random = random.Random(seed)
        self.wire = TaggedWire()
        self.lost: Callable[[Packet], bool] | None = None
        """Says of a frame whether the mirror port loses it."""
        self._events: list[Event] = []
        self._order = 0
        self._port = 50_000 + self.random.randrange(4_000)

    def port(self) -> int:
        """A client port that is free."""
        self._port = 50_000 if self._port >= 65_000 else self._port + self.random.randrange(1, 4)
        return self._port

    def happen(self, moment: int, steps: Iterator[int], tag: str = "") -> None:
        """Let something go on from a time on: it gives the time at which it goes on next."""
        self._order += 1
        heapq.heappush(self._events, Event(moment, self._order, tag, steps))

    def run(self, until: int) -> Iterator[Packet]:
        """The frames from now to then."""
        while self._events and self._events[0].at < until:
            at, _, tag, steps = heapq.heappop(self._events)
            yield from self._heard(at)
            self.wire.tag = tag
            again = next(steps, None)
            self.wire.tag = ""
            if again is not None:
                self.happen(max(again, at), steps, tag)
        yield from self._heard(until)

    def _heard(self, before: int) -> Iterator[Packet]:
        for packet in self.wire.take(before):
            if self.lost is None or not self.lost(packet):
                yield packet

    def talk(self, client: Host, server: Host, port: int = 502, client_port: int | None = None) -> Talk:
        """A TCP connection, not yet opened."""
        return Talk(self.wire, *self._seen(client, server), client_port or self.port(), port)

    def datagram(self, now: int, sender: Host, receiver: Host, ports: tuple[int, int], data: bytes) -> None:
        """A UDP datagram."""
        source, target = self._seen(sender, receiver)
        header = IP(src=source.ip, dst=target.ip, ttl=64) / UDP(sport=ports[0], dport=ports[1])
        self.wire.put(now, bytes(Ether(src=source.mac, dst=target.mac) / header / Raw(data)))

    def echo(self, now: int, sender: Host, receiver: Host, data: bytes, number: int, *, answer: bool = False) -> None:
        """An ICMP echo with data."""
        source, target = self._seen(sender, receiver)
        header = IP(src=source.ip, dst=target.ip, ttl=64) / ICMP(type=0 if answer else 8, id=77, seq=number & 0xFFFF)
        self.wire.put(now, bytes(Ether(src=source.mac, dst=target.mac) / header / Raw(data)))

    def arp(self, now: int, sender: Host, claimed: str, receiver: Host) -> None:
        """An answer in which `sender` says that it has the address `claimed`."""
        reply = ARP(op=2, hwsrc=sender.mac, psrc=claimed, hwdst=receiver.mac, pdst=receiver.ip)
        self.wire.put(now, bytes(Ether(src=sender.mac, dst=receiver.mac) / reply))

    def who_has(self, now: int, sender: Host, wanted: str) -> None:
        """A question for a hardware address."""
        question = ARP(op=1, hwsrc=sender.mac, psrc=sender.ip, pdst=wanted)
        self.wire.put(now, bytes(Ether(src=sender.mac, dst="ff:ff:ff:ff:ff:ff") / question))

    def replay(self, now: int, exchange: str, client: Host, server: Host, *, swapped: bool = False) -> int:
        """A real exchange of `tests/exchanges` between these hosts; returns when it is over.

        In most the client is 10.99.0.1; `swapped` where it is 10.99.0.2.
        """
        client, server = self._seen(client, server)
        first, second = (server, client) if swapped else (client, server)
        ips = {bytes((10, 99, 0, 1)): first.ip_bytes, bytes((10, 99, 0, 2)): second.ip_bytes}
        macs = {bytes((2, 0, 0, 0, 0, 1)): first.mac_bytes, bytes((2, 0, 0, 0, 0, 2)): second.mac_bytes}

        def ip_of(ip: bytes) -> bytes:
            return ips.get(ip, ip)

        def mac_of(mac: bytes) -> bytes:
            return macs.get(mac, mac)

        packets = [
            Packet(meta.sec * SECOND + meta.usec * 1_000, number, data, "")
            for number, (data, meta) in enumerate(RawPcapReader(str(EXCHANGES / f"{exchange}.pcap")))
        ]
        for packet in renamed(packets, Names(ip_of, mac_of)):
            self.wire.put(now + packet.ts - packets[0].ts, packet.frame)
        return now + packets[-1].ts - packets[0].ts

    def _seen(self, client: Host, server: Host) -> tuple[Host, Host]:
        """Both as the mirror port sees them."""
        inside = [host.ip_bytes[:3] == _CONTROL_NET for host in (client, server)]
        same = client.ip_bytes[:3] == server.ip_bytes[:3]
        return (
            client if same or inside[0] else Host(client.ip, ROUTER_MAC),
            server if same or inside[1] else Host(server.ip, ROUTER_MAC),
        )


class Device:
    """A Modbus server: registers and coils by unit, and how it answers.

    Args:
        host: where it is.
        units: its unit identifiers.
        port: its port.
        framing: `tcp`, or `rtu` for serial frames inside of TCP.
        size: how many registers of each kind and coils a unit has.
        response_ns: how long it takes to answer.
    """

    def __init__(
        self,
        host: Host,
        units: tuple[int, ...] = (1,),
        port: int = 502,
        *,
        framing: str = "tcp",
        size: int = 1_200,
        response_ns: int = 4_000_000,
    ) -> None:
        self.host, self.units, self.port, self.framing = host, units, port, framing
        self.registers = {unit: [0] * size for unit in units}
        self.coils = {unit: [0] * size for unit in units}
        self.response_ns = response_ns
        self.dead: set[int] = set()
        """Units that do not answer their gateway."""
        self.mute_until = 0
        """Until when it answers nothing."""
        self.identity = (b"Hydro Fluidics", b"TX-410", b"4.12")

    def answer(self, unit: int, pdu: bytes) -> bytes:
        """The response to a request."""
        if unit == 0 and pdu[0] in {5, 6, 15, 16}:
            for each in self.units:
                self.answer(each, pdu)
            return b""
        if unit not in self.registers:
            return bytes((pdu[0] | 0x80, 0x0A))
        if unit in self.dead:
            return bytes((pdu[0] | 0x80, 0x0B))
        known = getattr(self, f"_fc{pdu[0]}", None)
        return bytes((pdu[0] | 0x80, 1)) if known is None else known(self.registers[unit], self.coils[unit], pdu)

    def _fc1(self, words: list[int], coils: list[int], pdu: bytes) -> bytes:  # noqa: ARG002
        at, count = struct.unpack("!HH", pdu[1:5])
        if at + count > len(coils):
            return bytes((pdu[0] | 0x80, 2))
        bits = bytearray((count + 7) // 8)
        for place, value in enumerate(coils[at : at + count]):
            bits[place // 8] |= value << place % 8
        return bytes((pdu[0], len(bits))) + bits

    _fc2 = _fc1

    def _fc3(self, words: list[int], coils: list[int], pdu: bytes) -> bytes:  # noqa: ARG002
        at, count = struct.unpack("!HH", pdu[1:5])
        if not 0 < count <= 125:
            return bytes((pdu[0] | 0x80, 3))
        if at + count > len(words):
            return bytes((pdu[0] | 0x80, 2))
        return bytes((pdu[0], 2 * count)) + struct.pack(f"!{count}H", *words[at : at + count])

    _fc4 = _fc3

    def _fc5(self, words: list[int], coils: list[int], pdu: bytes) -> bytes:  # noqa: ARG002
        at, value = struct.unpack("!HH", pdu[1:5])
        if at >= len(coils):
            return bytes((0x85, 2))
        coils[at] = int(value == 0xFF00)
        return pdu

    def _fc6(self, words: list[int], coils: list[int], pdu: bytes) -> bytes:  # noqa: ARG002
        at, value = struct.unpack("!HH", pdu[1:5])
        if at >= len(words):
            return bytes((0x86, 2))
        words[at] = value
        return pdu

    def _fc8(self, words: list[int], coils: list[int], pdu: bytes) -> bytes:  # noqa: ARG002
        return b"" if pdu[1:3] == b"\0\4" else pdu

    def _fc15(self, words: list[int], coils: list[int], pdu: bytes) -> bytes:  # noqa: ARG002
        at, count = struct.unpack("!HH", pdu[1:5])
        if at + count > len(coils):
            return bytes((0x8F, 2))
        coils[at : at + count] = [pdu[6 + place // 8] >> place % 8 & 1 for place in range(count)]
        return pdu[:5]

    def _fc16(self, words: list[int], coils: list[int], pdu: bytes) -> bytes:  # noqa: ARG002
        at, count = struct.unpack("!HH", pdu[1:5])
        if at + count > len(words):
            return bytes((0x90, 2))
        words[at : at + count] = struct.unpack(f"!{count}H", pdu[6 : 6 + 2 * count])
        return pdu[:5]

    def _fc17(self, words: list[int], coils: list[int], pdu: bytes) -> bytes:  # noqa: ARG002
        return bytes((17, 2 + len(self.identity[1]), 1, 0xFF)) + self.identity[1]

    def _fc22(self, words: list[int], coils: list[int], pdu: bytes) -> bytes:  # noqa: ARG002
        at, keep, put = struct.unpack("!HHH", pdu[1:7])
        words[at] = (words[at] & keep) | (put & ~keep & 0xFFFF)
        return pdu

    def _fc23(self, words: list[int], coils: list[int], pdu: bytes) -> bytes:
        at, count, to, written = struct.unpack("!HHHH", pdu[1:9])
        words[to : to + written] = struct.unpack(f"!{written}H", pdu[10 : 10 + 2 * written])
        return bytes((23,)) + self._fc3(words, coils, struct.pack("!BHH", 3, at, count))[1:]

    def _fc43(self, words: list[int], coils: list[int], pdu: bytes) -> bytes:  # noqa: ARG002
        objects = b"".join(bytes((number, len(text))) + text for number, text in enumerate(self.identity))
        return bytes((43, 14, pdu[2], 0x81, 0, 0, len(self.identity))) + objects


class Master:
    """A Modbus client's connection to a device."""

    def __init__(self, net: Net, client: Host, device: Device) -> None:
        self.net, self.client, self.device = net, client, device
        self.number = net.random.randrange(1_000)
        self.talk: Talk | None = None

    def connect(self, now: int, client_port: int | None = None) -> int:
        """Open the connection; returns when it is open."""
        self.talk = self.net.talk(self.client, self.device.host, self.device.port, client_port)
        return self.talk.open(now)

    @property
    def connected(self) -> Talk:
        """Its connection, which must be open."""
        assert self.talk is not None
        return self.talk

    def frame(self, unit: int, pdu: bytes) -> bytes:
        """A message around a PDU."""
        if self.device.framing == "rtu":
            body = bytes((unit,)) + pdu
            return body + struct.pack("<H", crc(body))
        return struct.pack("!HHHB", self.number & 0xFFFF, 0, len(pdu) + 1, unit) + pdu

    def ask(self, now: int, unit: int, pdu: bytes, alter: Callable[[bytes], bytes] | None = None) -> int:
        """A request and its answer; returns when it is over. `alter` changes the answer on its way."""
        if self.talk is None:
            now = self.connect(now)
        assert self.talk is not None
        self.number += 1
        self.talk.send(now, self.frame(unit, pdu))
        answer = self.device.answer(unit, pdu)
        if now < self.device.mute_until or not answer:
            return now + HOP_NS
        took = int(self.device.response_ns * self.net.random.uniform(0.7, 1.6)) + (
            3 * SECOND // 10 if unit in self.device.dead else 0
        )
        if alter is not None:
            answer = alter(answer)
        self.talk.receive(now + took, self.frame(unit, answer))
        self.talk.acknowledge(now + took + HOP_NS)
        return now + took + 2 * HOP_NS

    def close(self, now: int) -> int:
        """End the connection."""
        if self.talk is None:
            return now
        now, self.talk = self.talk.close(now), None
        return now


def read(function: int, at: int, count: int) -> bytes:
    """A request to read."""
    return struct.pack("!BHH", function, at, count)


def write(at: int, *values: int) -> bytes:
    """A request to write registers: FC 6 for one, FC 16 for more."""
    if len(values) == 1:
        return struct.pack("!BHH", 6, at, values[0] & 0xFFFF)
    words = struct.pack(f"!{len(values)}H", *(value & 0xFFFF for value in values))
    return struct.pack("!BHHB", 16, at, len(values), len(words)) + words


def coil(at: int, *, on: bool) -> bytes:
    """A request to set a coil."""
    return struct.pack("!BHH", 5, at, 0xFF00 if on else 0)


def crc(data: bytes) -> int:
    """The check of a serial frame (Modbus over Serial Line V1.02, 6.2.2)."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return value
