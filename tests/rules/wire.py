"""Captures of rule traffic: hosts, conversations and a clock that only moves when told. The same calls give the same bytes."""

from __future__ import annotations

import gzip
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from scapy.layers.l2 import ARP, Ether
from scapy.utils import PcapWriter

from tests.plant.controllers import Units, crafted_bytes, request_bytes
from tests.plant.frames import ACK, FIN, PSH, RST, SYN, Host, Talk, Wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymodbus.pdu import ModbusPDU
    from scapy.packet import Packet

START: Final = 1_772_438_400
"""Time of the first packet: Monday 2026-03-02 08:00:00 UTC."""

PLAIN_BYTES: Final = 20_000
"""A longer capture is stored gzipped."""

STACK: Final = "pymodbus 3.16"
"""The stack whose codecs and data store make the traffic."""

CRAFTED: Final = "scapy"
"""Stack of traffic that no honest stack sends."""

_FLAGS: Final = {"F": FIN, "S": SYN, "R": RST, "P": PSH, "A": ACK}

_TICK: Final = 2_000
"""Microseconds between two packets that follow each other."""


HMI: Final = Host("10.20.1.10", "02:00:00:00:01:10")
ENGINEER: Final = Host("10.20.1.20", "02:00:00:00:01:20")
HISTORIAN: Final = Host("10.20.1.30", "02:00:00:00:01:30")
INTRUDER: Final = Host("10.20.1.66", "02:00:00:00:01:66")
PLC: Final = Host("10.20.2.11", "02:00:00:00:02:11")
GATEWAY: Final = Host("10.20.2.40", "02:00:00:00:02:40")


@dataclass(frozen=True, slots=True)
class Scenario:
    """How the captures of one rule are made."""

    rule: str
    stack: str
    make: Callable[[Capture, Capture], None]
    learn: Callable[[Capture], None] | None = None
    """Fills the capture that says what is normal before the other two."""

    def captures(self) -> dict[str, bytes]:
        """The capture files by name: `<rule>.fires.pcap`, `.quiet.pcap` and `.learn.pcap`, with `.gz` where they are long."""
        fires, quiet, learned = Capture(), Capture(), Capture()
        self.make(fires, quiet)
        made = [("fires", fires), ("quiet", quiet)]
        if self.learn is not None:
            self.learn(learned)
            made.append(("learn", learned))
        files: dict[str, bytes] = {}
        for kind, capture in made:
            data = capture.pcap()
            packed = len(data) > PLAIN_BYTES
            files[f"{self.rule}.{kind}.pcap{'.gz' if packed else ''}"] = gzip.compress(data, mtime=0) if packed else data
        return files


SCENARIOS: Final[dict[str, Scenario]] = {}
"""All scenarios by rule (path below `rules/` without `.yml`)."""


def scenario(
    rule: str, stack: str = STACK, learn: Callable[[Capture], None] | None = None
) -> Callable[[Callable[[Capture, Capture], None]], Callable[[Capture, Capture], None]]:
    """Register a function that fills the capture that fires a rule and the one that must not.

    `learn` fills a third that says what is normal.
    """

    def register(make: Callable[[Capture, Capture], None]) -> Callable[[Capture, Capture], None]:
        SCENARIOS[rule] = Scenario(rule, stack, make, learn)
        return make

    return register


def controllers(units: tuple[int, ...] = (1,)) -> Units:
    """A Modbus TCP server with some units of 256 coils and 512 registers."""
    stored = [number for number in (0, *units) if number != 0 or 0 in units or len(units) == 1]
    return Units(stored, coils=256, registers=512, value=250, present=units)


class Capture:
    """Packets with their times."""

    def __init__(self) -> None:
        self.clock = START * 1_000_000
        self._packets: list[tuple[int, bytes]] = []
        self._port = 49_152

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.clock += round(seconds * 1_000_000)

    def put(self, packet: Packet | bytes) -> None:
        """Add a packet at the present time."""
        self._packets.append((self.clock, bytes(packet)))
        self.clock += _TICK

    def connect(self, client: Host, server: Host, port: int = 502, *, client_port: int | None = None) -> Connection:
        """A TCP connection, not yet opened."""
        if client_port is None:
            client_port = self._port
            self._port += 1
        return Connection(self, client, server, client_port, port)

    def modbus(self, client: Host, server: Host, controller: Units | None = None, *, port: int = 502) -> Session:
        """A Modbus client's connection to a controller, opened with the TCP handshake."""
        connection = self.connect(client, server, port)
        connection.open()
        return Session(connection, controller or controllers())

    def arp(self, sender: Host, claimed_ip: str, receiver: Host) -> None:
        """An ARP reply in which `sender` says that it has `claimed_ip`."""
        reply = ARP(op=2, hwsrc=sender.mac, psrc=claimed_ip, hwdst=receiver.mac, pdst=receiver.ip)
        self.put(Ether(src=sender.mac, dst=receiver.mac) / reply)

    def arp_request(self, sender: Host, wanted_ip: str) -> None:
        """An ARP request: who has `wanted_ip`? An announcement where that is the sender's own."""
        request = ARP(op=1, hwsrc=sender.mac, psrc=sender.ip, pdst=wanted_ip)
        self.put(Ether(src=sender.mac, dst="ff:ff:ff:ff:ff:ff") / request)

    def pcap(self) -> bytes:
        """The capture file: classic pcap, Ethernet, microseconds."""
        buffer = io.BytesIO()
        writer = PcapWriter(buffer, linktype=1)
        writer.write_header(None)
        for clock, data in self._packets:
            writer.write_packet(data, sec=clock // 1_000_000, usec=clock % 1_000_000)
        return buffer.getvalue()


class Connection:
    """One TCP connection, packet by packet."""

    def __init__(self, capture: Capture, client: Host, server: Host, client_port: int, server_port: int) -> None:
        self.capture = capture
        self._talk = Talk(Wire(), client, server, client_port, server_port, numbered=False)
        self.sent = self._talk.sequence
        """Next sequence number by side: True for the client."""
        self.sent.update({True: 1_000, False: 900_000})

    def packet(self, from_client: bool, flags: str, data: bytes = b"", *, sequence: int | None = None) -> None:
        """One segment of a side; with `sequence` it stands elsewhere than at the end of what the side has sent."""
        bits = sum(_FLAGS[letter] for letter in flags)
        self.capture.put(self._talk.frame(from_client, bits, data, sequence=sequence))
        if sequence is None:
            self.sent[from_client] += len(data) + ("S" in flags) + ("F" in flags)

    def open(self) -> None:
        """The three-way handshake."""
        self.packet(from_client=True, flags="S")
        self.packet(from_client=False, flags="SA")
        self.packet(from_client=True, flags="A")

    def send(self, data: bytes) -> None:
        """Data from the client."""
        self.packet(from_client=True, flags="PA", data=data)

    def receive(self, data: bytes) -> None:
        """Data from the server."""
        self.packet(from_client=False, flags="PA", data=data)

    def close(self) -> None:
        """Both sides finish."""
        self.packet(from_client=True, flags="FA")
        self.packet(from_client=False, flags="FA")
        self.packet(from_client=True, flags="A")


class Session:
    """A Modbus client at one connection, with transaction identifiers that count up."""

    def __init__(self, connection: Connection, controller: Units) -> None:
        self.connection = connection
        self.controller = controller
        self._transaction = 0

    def encode(self, request: ModbusPDU, unit: int = 1) -> bytes:
        """The bytes of a request to a unit with the next transaction identifier."""
        self._transaction = (self._transaction + 1) & 0xFFFF
        return request_bytes(request, self._transaction, unit)

    def ask(self, request: ModbusPDU, unit: int = 1) -> None:
        """A request and the controller's answer."""
        data = self.encode(request, unit)
        self.connection.send(data)
        self.connection.receive(self.controller.answer(data))

    def request(self, request: ModbusPDU, unit: int = 1) -> None:
        """A request that nobody answers."""
        self.connection.send(self.encode(request, unit))

    def frame(self, pdu: bytes, unit: int = 1, *, protocol: int = 0, length: int | None = None) -> bytes:
        """Bytes of a crafted message under the present transaction identifier; `length` overrides the header's."""
        return crafted_bytes(pdu, self._transaction, unit, protocol=protocol, length=length)

    def exchange_pdu(self, request: bytes, response: bytes | None, unit: int = 1) -> None:
        """A crafted request and, unless None, a crafted response under the next transaction identifier."""
        self._transaction = (self._transaction + 1) & 0xFFFF
        self.connection.send(self.frame(request, unit))
        if response is not None:
            self.connection.receive(self.frame(response, unit))

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()
