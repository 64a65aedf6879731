"""The plant: hosts, controllers, and the clients that poll them, on a simulated clock."""

from __future__ import annotations

import heapq
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pymodbus.pdu.bit_message import ReadCoilsRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest
from scapy.layers.l2 import ARP, Ether

from tests.plant.controllers import SETPOINTS_AT, VALUES_AT, Controller, request_bytes
from tests.plant.frames import HOP_NS, Host, Packet, Talk, Wire
from tests.plant.process import BoilerHouse, Meters, WaterWorks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pymodbus.pdu import ModbusPDU

SECOND: Final = 1_000_000_000

HMI: Final = Host("10.20.1.10", "00:1b:21:3c:01:10")
HISTORIAN: Final = Host("10.20.1.30", "00:1b:21:3c:01:30")
ENGINEER: Final = Host("10.20.1.20", "00:1b:21:3c:01:20")
INTRUDER: Final = Host("10.20.1.66", "00:0c:29:66:66:66")
OUTSIDE: Final = Host("203.0.113.77", "00:09:0f:aa:00:01")
INTAKE: Final = Host("10.20.2.11", "00:80:f4:02:00:11")
TREATMENT: Final = Host("10.20.2.12", "00:80:f4:02:00:12")
DISTRIBUTION: Final = Host("10.20.2.13", "00:80:f4:02:00:13")
BOILER: Final = Host("10.20.2.21", "00:80:f4:02:00:21")
GATEWAY: Final = Host("10.20.2.40", "00:90:e8:02:00:40")

SERIAL_UNITS: Final = (1, 2, 3, 4, 5, 6)
"""Units behind the gateway."""

ARP_SECONDS: Final = 240
"""How often hardware addresses are asked for."""

WINDOW: Final = 5_000_000
"""Least time between two messages of one client, in nanoseconds."""


@dataclass(frozen=True, slots=True)
class Truth:
    """An attack as it really was."""

    name: str
    technique: str
    start: int
    end: int
    hosts: tuple[str, ...]


class Session:
    """A Modbus client's connection to a controller."""

    def __init__(self, plant: Plant, client: Host, controller: Controller) -> None:
        self.plant = plant
        self.client = client
        self.controller = controller
        self.transaction = 0
        self.talk: Talk | None = None
        self.retransmit = 0.0
        """Share of answers that are sent twice: a failing cable."""

    def opened(self, now: int) -> tuple[Talk, int]:
        """The connection, opened if need be, and when it can be used."""
        if self.talk is None:
            self.talk = Talk(self.plant.wire, self.client, self.controller.host, self.plant.port())
            return self.talk, self.talk.open(now)
        return self.talk, now

    def ask(self, now: int, request: ModbusPDU, unit: int = 1) -> int:
        """A request and its answer; returns when the exchange is over."""
        self.transaction = (self.transaction + 1) & 0xFFFF
        return self.exchange(now, request_bytes(request, self.transaction, unit))

    def exchange(self, now: int, data: bytes) -> int:
        """Bytes of a request, and the controller's answer."""
        talk, now = self.opened(now)
        answer = self.controller.answer(data, now)
        wait = self.controller.response_ns + int(self.plant.random.integers(0, 400_000))
        if data[6] in self.controller.silent:
            wait = SECOND
        talk.send(now, data)
        talk.receive(now + wait, answer)
        if self.retransmit and self.plant.random.random() < self.retransmit:
            talk.again(now + wait + 200_000_000, False, answer)
            wait += 200_000_000
        talk.acknowledge(now + wait + HOP_NS)
        return now + wait + 2 * HOP_NS

    def close(self, now: int) -> None:
        """End the connection in order."""
        if self.talk is not None:
            self.talk.close(now)
            self.talk = None


@dataclass
class Poller:
    """A client that asks the same again and again."""

    session: Session
    requests: tuple[tuple[int, int, int, int], ...]
    """Function (1 or 3), address, quantity, unit."""
    period: float
    paused_until: int = 0

    def poll(self, now: int) -> int:
        """One round; returns when the next is due."""
        at = now
        if now >= self.paused_until:
            for function, address, quantity, unit in self.requests:
                kind = ReadCoilsRequest if function == 1 else ReadHoldingRegistersRequest
                at = self.session.ask(at, kind(address=address, count=quantity), unit)
        jitter = 1 + 0.01 * float(self.session.plant.random.standard_normal())
        return max(at + WINDOW, now + int(self.period * jitter * SECOND))


@dataclass(order=True)
class _Event:
    at: int
    order: int
    action: Callable[[int], None] = field(compare=False)


class Plant:
    """Everything that happens from `start` on, in order of time.

    Args:
        start: nanoseconds since 1970.
        seed: the same seed gives the same packets.
        pace: factor of the polling periods; 1 is a lively plant, 3 a day within 300,000 transactions.
    """

    def __init__(self, start: int, seed: int, pace: float = 1.0) -> None:
        self.random = np.random.default_rng(seed)
        self.wire = Wire()
        self.start = self.now = start
        self.truth: list[Truth] = []
        self._events: list[_Event] = []
        self._order = 0
        self._port = 49_152

        def noise() -> np.random.Generator:
            return np.random.default_rng(int(self.random.integers(0, 2**63)))

        self.controllers = {
            "intake": Controller(INTAKE, {1: WaterWorks(noise())}),
            "treatment": Controller(TREATMENT, {1: WaterWorks(noise(), level_m=2.8)}),
            "distribution": Controller(DISTRIBUTION, {1: WaterWorks(noise(), level_m=4.0)}),
            "boiler": Controller(BOILER, {1: BoilerHouse(noise())}),
            "gateway": Controller(
                GATEWAY, {unit: Meters(noise(), 1_000.0 * unit) for unit in SERIAL_UNITS}, response_ns=45_000_000
            ),
        }
        self.hmi = {name: Session(self, HMI, controller) for name, controller in self.controllers.items()}
        values = ((3, VALUES_AT, 10, 1), (3, SETPOINTS_AT, 3, 1), (1, 0, 4, 1))
        serial = tuple((3, VALUES_AT, 6, unit) for unit in SERIAL_UNITS)
        self.pollers = {
            name: Poller(session, serial if name == "gateway" else values, (10.0 if name == "gateway" else 2.0) * pace)
            for name, session in self.hmi.items()
        }
        for name in ("treatment", "boiler"):
            self.pollers[f"historian {name}"] = Poller(
                Session(self, HISTORIAN, self.controllers[name]), ((3, VALUES_AT, 10, 1),), 60.0
            )
        self._repeat(start, self._resolve)
        for number, poller in enumerate(self.pollers.values()):
            self._repeat(start + number * 150_000_000, poller.poll)

    def port(self) -> int:
        """A client port that is free."""
        self._port = 49_152 if self._port >= 65_000 else self._port + 1
        return self._port

    def at(self, moment: int, action: Callable[[int], None]) -> None:
        """Let something happen at a time."""
        self._order += 1
        heapq.heappush(self._events, _Event(moment, self._order, action))

    def attack(self, moment: int, name: str, technique: str, hosts: tuple[Host, ...], action: Callable[[int], int]) -> None:
        """Let an attack happen at a time; `action` returns when it is over. Its packets carry its name."""

        def run(now: int) -> None:
            self.wire.tag = name
            end = action(now)
            self.wire.tag = ""
            self.truth.append(Truth(name, technique, now, end, tuple(host.ip for host in hosts)))

        self.at(moment, run)

    def run(self, until: int) -> Iterator[Packet]:
        """The packets from now to then, in order of time."""
        while self._events and self._events[0].at < until:
            event = heapq.heappop(self._events)
            self.now = event.at
            # Nothing that happens later puts a frame before its own time.
            yield from self.wire.take(self.now)
            event.action(event.at)
        self.now = until
        yield from self.wire.take(until)

    def session(self, client: Host, name: str) -> Session:
        """A new client of a controller."""
        return Session(self, client, self.controllers[name])

    def _resolve(self, now: int) -> int:
        """The HMI asks for each controller's hardware address, as hosts do every few minutes."""
        for controller in self.controllers.values():
            host = controller.host
            question = ARP(op=1, hwsrc=HMI.mac, psrc=HMI.ip, pdst=host.ip)
            answer = ARP(op=2, hwsrc=host.mac, psrc=host.ip, hwdst=HMI.mac, pdst=HMI.ip)
            self.wire.put(now, bytes(Ether(src=HMI.mac, dst="ff:ff:ff:ff:ff:ff") / question))
            self.wire.put(now + HOP_NS, bytes(Ether(src=host.mac, dst=HMI.mac) / answer))
            now += WINDOW
        return now + ARP_SECONDS * SECOND

    def _repeat(self, moment: int, action: Callable[[int], int]) -> None:
        def again(now: int) -> None:
            self.at(action(now), again)

        self.at(moment, again)


def truth_line(truth: Truth, numbers: list[int]) -> str:
    """An attack as a line of the ground truth; `numbers` are its packets, from 1."""
    line: dict[str, Any] = {
        "name": truth.name,
        "technique": truth.technique,
        "start": truth.start,
        "end": truth.end,
        "hosts": list(truth.hosts),
        "packets": numbers,
    }
    return json.dumps(line)
