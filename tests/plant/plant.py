"""The plant: hosts, controllers, OPC UA servers, and the clients that poll them, on a simulated clock.

Whatever happens is a generator that does something at a time and yields when it goes on, so that polls, people and attacks
interleave as on a real wire.
"""

from __future__ import annotations

import heapq
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
    """

    def __init__(self, start: int, seed: int, pace: float = 1.0) -> None:
        self.random = np.random.default_rng(seed)
        self.wire = Wire()
        self.start = start
        self._events: list[_Event] = []
        self._order = 0
        self._port = 49_152
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
        """Four controllers, and a gateway with serial units."""

        def noise() -> np.random.Generator:
            return np.random.default_rng(int(self.random.integers(0, 2**63)))

        intake = Intake(noise())
        treatment = Treatment(noise(), intake)
        meters = {unit: Meters(noise(), 1_000.0 * unit) for unit in SERIAL_UNITS}
        gateway = Controller(GATEWAY, {**meters}, response_ns=45_000_000)
        gateway.noise = SERIAL_NOISE
        return {
            "intake": Controller(INTAKE, {1: intake}),
            "treatment": Controller(TREATMENT, {1: treatment}),
            "distribution": Controller(DISTRIBUTION, {1: Distribution(noise(), treatment)}),
            "boiler": Controller(BOILER, {1: BoilerHouse(noise())}, response_ns=8_000_000),
            "gateway": gateway,
        }

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
            if name == "gateway"
            else Poller(session, process, HMI_SECONDS * pace)
            for name, session in self.hmi.items()
        }
        for name in ("treatment", "boiler"):
            pollers[f"historian {name}"] = Poller(self.session(HISTORIAN, name), [(values, 1)], HISTORIAN_SECONDS)
        return pollers

    def _resolve(self, now: int) -> Iterator[int]:
        """The HMI asks for each controller's hardware address, as hosts do every few minutes."""
        while True:
            for controller in self.controllers.values():
                host = controller.host
                question = ARP(op=1, hwsrc=HMI.mac, psrc=HMI.ip, pdst=host.ip)
                answer = ARP(op=2, hwsrc=host.mac, psrc=host.ip, hwdst=HMI.mac, pdst=HMI.ip)
                self.wire.put(now, bytes(Ether(src=HMI.mac, dst="ff:ff:ff:ff:ff:ff") / question))
                self.wire.put(now + HOP_NS, bytes(Ether(src=host.mac, dst=HMI.mac) / answer))
                now += PAUSE_NS
            now += ARP_SECONDS * SECOND
            yield now

    def _keep_time(self, now: int) -> Iterator[int]:
        """Each controller asks the historian for the time: the plant's UDP."""
        while True:
            for controller in self.controllers.values():
                host = controller.host
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
