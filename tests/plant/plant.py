"""The plant: hosts, controllers, OPC UA servers, and the clients that poll them, on a simulated clock.

Whatever happens is a generator that does something at a time and yields when it goes on, so that polls, people and attacks
interleave as on a real wire.
"""

from __future__ import annotations

import heapq
import math
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.layers.ntp import NTPHeader

from tests.plant.clients import PAUSE_NS, SECOND, Poller, Session
from tests.plant.controllers import SETPOINTS_AT, VALUES, VALUES_AT, Controller
from tests.plant.frames import HOP_NS, Host, Packet, Wire
from tests.plant.opcua.works import Works
from tests.plant.process import BoilerHouse, Distribution, Intake, Meters, Treatment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pymodbus.pdu import ModbusPDU

    Steps = Callable[[int], Iterator[int]]
    """What happens from a time on: yields when it goes on."""

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

SERIAL_NOISE: Final = 0.0005
"""Share of requests that the serial line loses on a good day."""

ARP_SECONDS: Final = 240
"""How often hardware addresses are asked for."""

TIME_SECONDS: Final = 1_024
"""How often a controller asks the historian for the time: NTP's longest usual interval (RFC 5905, 7.3: poll exponent 10)."""

NTP_PORT: Final = 123
NTP_ERA_SECONDS: Final = 2_208_988_800
"""Between the beginnings of NTP's era and of Unix time."""

HMI_SECONDS, GATEWAY_SECONDS, HISTORIAN_SECONDS = 2.0, 10.0, 60.0
"""Polling periods of a lively plant."""


def of_works(name: str, number: int) -> str:
    """The name of a controller of the works of that number; those of the first go by their names alone."""
    return name if number == 1 else f"{name} {number}"


def at_works(host: Host, number: int) -> Host:
    """The host that stands in the works of that number where this one stands in the first: works 2 is at 10.21.2.0/24."""
    if number == 1:
        return host
    return Host(
        f"10.21.{number}.{host.ip.rpartition('.')[2]}",
        f"{host.mac[:9]}{0x10 + (number >> 8):02x}:{number & 255:02x}{host.mac[-3:]}",
    )


@cache
def _resolved(asking: Host, host: Host) -> tuple[bytes, bytes]:
    """The question for a host's hardware address, and its answer."""
    question = ARP(op=1, hwsrc=asking.mac, psrc=asking.ip, pdst=host.ip)
    answer = ARP(op=2, hwsrc=host.mac, psrc=host.ip, hwdst=asking.mac, pdst=asking.ip)
    return (
        bytes(Ether(src=asking.mac, dst="ff:ff:ff:ff:ff:ff") / question),
        bytes(Ether(src=host.mac, dst=asking.mac) / answer),
    )


class _Event(NamedTuple):
    at: int
    order: int
    tag: str
    steps: Iterator[int]


class Plant:
    """Everything that happens from `start` on, in order of time.

    Args:
        start: nanoseconds since 1970.
        seed: the same seed gives the same packets.
        pace: factor of the HMI's polling periods; 1 is a lively plant, 3 a day within 300,000 transactions.
        works: how many water works with their boiler houses it has: five controllers each, all asked by one HMI.
        varied: whether attacks take other sizes, values and speeds with each seed.
    """

    def __init__(self, start: int, seed: int, pace: float = 1.0, works: int = 1, *, varied: bool = False) -> None:
        self.random = np.random.default_rng(seed)
        self.wire = Wire()
        self.start = start
        self._events: list[_Event] = []
        self._order = 0
        self._port = 49_152
        self._variation = np.random.default_rng([seed, 1]) if varied else None
        self._works = works
        self.controllers = self._controllers()
        self.hmi = {name: Session(self, HMI, controller) for name, controller in self.controllers.items()}
        self.pollers = self._pollers(pace)
        self.opcua = Works(self, pace)
        """Its OPC UA servers."""
        self.happen(start, self._resolve)
        self.happen(start + 5 * SECOND, self._keep_time)
        self.happen(start + SECOND, self.opcua.watch)
        self.happen(start + 2 * SECOND, self.opcua.archive)
        for number, poller in enumerate(self.pollers.values()):
            self.happen(start + number * 150_000_000, poller.run)

    def port(self) -> int:
        """A client port that is free."""
        self._port = 49_152 if self._port >= 65_000 else self._port + 1
        return self._port

    def vary(self, usual: float, least: float, most: float) -> float:
        """A size or speed of an attack: the usual one, or one drawn between two bounds, small ones as often as large ones."""
        if self._variation is None:
            return usual
        return math.exp(float(self._variation.uniform(math.log(least), math.log(most))))

    def session(self, client: Host, name: str) -> Session:
        """A new client of a controller."""
        return Session(self, client, self.controllers[name])

    def happen(self, moment: int, steps: Steps, tag: str = "") -> None:
        """Let something happen from a time on; its packets carry the tag."""
        self._push(moment, tag, steps(moment))

    def run(self, until: int) -> Iterator[Packet]:
        """The packets from now to then, in order of time."""
        while self._events and self._events[0].at < until:
            event = heapq.heappop(self._events)
            # Nothing that happens later puts a frame before its own time.
            yield from self.wire.take(event.at)
            self.wire.tag = event.tag
            again = next(event.steps, None)
            self.wire.tag = ""
            if again is not None:
                self._push(max(again, event.at), event.tag, event.steps)
        yield from self.wire.take(until)

    def _push(self, moment: int, tag: str, steps: Iterator[int]) -> None:
        self._order += 1
        heapq.heappush(self._events, _Event(moment, self._order, tag, steps))

    def _controllers(self) -> dict[str, Controller]:
        """Four controllers, and a gateway with serial units, for each of the works."""

        def noise() -> np.random.Generator:
            return np.random.default_rng(int(self.random.integers(0, 2**63)))

        found: dict[str, Controller] = {}
        for number in range(1, self._works + 1):
            intake = Intake(noise())
            treatment = Treatment(noise(), intake)
            meters = {unit: Meters(noise(), 1_000.0 * unit) for unit in SERIAL_UNITS}
            gateway = Controller(at_works(GATEWAY, number), {**meters}, response_ns=45_000_000)
            gateway.noise = SERIAL_NOISE
            found |= {
                of_works("intake", number): Controller(at_works(INTAKE, number), {1: intake}),
                of_works("treatment", number): Controller(at_works(TREATMENT, number), {1: treatment}),
                of_works("distribution", number): Controller(
                    at_works(DISTRIBUTION, number), {1: Distribution(noise(), treatment)}
                ),
                of_works("boiler", number): Controller(
                    at_works(BOILER, number), {1: BoilerHouse(noise())}, response_ns=8_000_000
                ),
                of_works("gateway", number): gateway,
            }
        return found

    def _pollers(self, pace: float) -> dict[str, Poller]:
        """The HMI asks everybody, the historian those whose values are kept."""
        values = ReadHoldingRegistersRequest(address=VALUES_AT, count=VALUES)
        process: list[tuple[ModbusPDU, int]] = [
            (values, 1),
            (ReadHoldingRegistersRequest(address=SETPOINTS_AT, count=3), 1),
            (ReadCoilsRequest(address=0, count=2), 1),
            (ReadDiscreteInputsRequest(address=2, count=2), 1),
        ]
        meters: list[tuple[ModbusPDU, int]] = [
            (ReadInputRegistersRequest(address=VALUES_AT, count=6), unit) for unit in SERIAL_UNITS
        ]
        pollers = {
            name: Poller(session, meters, GATEWAY_SECONDS * pace)
            if name.startswith("gateway")
            else Poller(session, process, HMI_SECONDS * pace)
            for name, session in self.hmi.items()
        }
        for name in (of_works(name, number) for number in range(1, self._works + 1) for name in ("treatment", "boiler")):
            pollers[f"historian {name}"] = Poller(self.session(HISTORIAN, name), [(values, 1)], HISTORIAN_SECONDS)
        return pollers

    def announce(self, now: int, host: Host) -> None:
        """A host that has just started tells everybody its hardware address, as it is the first to ask for its own."""
        question = ARP(op=1, hwsrc=host.mac, psrc=host.ip, pdst=host.ip)
        self.wire.put(now, bytes(Ether(src=host.mac, dst="ff:ff:ff:ff:ff:ff") / question))

    def _resolve(self, now: int) -> Iterator[int]:
        """The HMI asks for each controller's hardware address, as hosts do every few minutes."""
        while True:
            for host in [each.host for each in self.controllers.values() if now >= each.away_until]:
                question, answer = _resolved(HMI, host)
                self.wire.put(now, question)
                self.wire.put(now + HOP_NS, answer)
                now += PAUSE_NS
            now += ARP_SECONDS * SECOND
            yield now

    def _keep_time(self, now: int) -> Iterator[int]:
        """Each controller asks the historian for the time: the plant's UDP."""
        while True:
            for host in [each.host for each in self.controllers.values() if now >= each.away_until]:
                asked, answered = (at / SECOND + NTP_ERA_SECONDS for at in (now, now + HOP_NS))
                # Every time is given: scapy would fill in the machine's own.
                question = NTPHeader(mode=3, stratum=3, poll=10, ref=0, orig=0, recv=0, sent=asked)
                answer = NTPHeader(mode=4, stratum=2, poll=10, ref=asked - 64, orig=asked, recv=answered, sent=answered)
                for sender, receiver, message, at in (
                    (host, HISTORIAN, question, now),
                    (HISTORIAN, host, answer, now + HOP_NS),
                ):
                    network = IP(src=sender.ip, dst=receiver.ip, flags="DF") / UDP(sport=NTP_PORT, dport=NTP_PORT)
                    self.wire.put(at, bytes(Ether(src=sender.mac, dst=receiver.mac) / network / message))
                now += PAUSE_NS
            now += TIME_SECONDS * SECOND
            yield now
