"""OPC UA in the plant: the control system's server, the boiler house's secured server, and who asks them.

The MES watches all stations by a subscription without security, as it was set up years ago, and writes the day's production. The
historian reads the boiler house over Basic256Sha256 with Sign and Encrypt; see `channel` for what its bytes are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.plant.clients import SECOND
from tests.plant.frames import HOP_NS, Host, Talk
from tests.plant.opcua.client import Client
from tests.plant.opcua.server import STATIONS, VARIABLES, Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plant.plant import Plant

MES: Final = Host("10.20.1.40", "00:1b:21:3c:01:40")
HISTORIAN: Final = Host("10.20.1.30", "00:1b:21:3c:01:30")
SCADA: Final = Host("10.20.2.31", "00:1b:21:3c:02:31")
BOILER_SERVER: Final = Host("10.20.2.32", "00:1b:21:3c:02:32")

PORT: Final = 4840
SEGMENT_BYTES: Final = 1_460
"""Data of a segment."""

RESPONSE_NS: Final = 2_000_000
"""How long a server takes to answer."""

PUBLISH_SECONDS: Final = 5
"""How often the MES is told what changed, in a lively plant."""

READ_SECONDS: Final = 60
"""How often the historian reads."""

PRODUCTION_SECONDS: Final = 3_600
"""How often the MES writes the production by day."""

RENEW_SECONDS: Final = 2_700
"""How often a client renews its channel: at three quarters of its token's life (OPC 10000-4, 5.5.2.1)."""

WATCHED: Final = tuple(f"{station}.{name}" for station in STATIONS for name in VARIABLES[:5])
"""What the MES watches."""

PRODUCTION: Final = "Distribution.Speed"
"""What the MES writes."""

USERS: Final = {"historian": "Wtr-4711", "engineer": "Blr-0815"}
"""Users of the boiler house's server."""

SECURITY: Final[dict[str, Any]] = {"policy": "Basic256Sha256", "mode": 3}
_WORK_HOURS: Final = range(10)
_DAY_SECONDS: Final = 86_400


class Line:
    """A client's TCP connection to a server of the plant, with a clock that each message moves on."""

    def __init__(self, plant: Plant, client: Host, server: Host, moment: int) -> None:
        self.talk = Talk(plant.wire, client, server, plant.port(), PORT)
        self.clock = self.talk.open(moment)

    def now(self) -> int:
        """The time, nanoseconds since 1970."""
        return self.clock

    def wait(self, moment: int) -> None:
        """Let time pass until then."""
        self.clock = max(self.clock, moment)

    def send(self, data: bytes) -> None:
        """Data from the client."""
        for at in range(0, len(data), SEGMENT_BYTES):
            self.talk.send(self.clock, data[at : at + SEGMENT_BYTES])
            self.clock += HOP_NS

    def receive(self, data: bytes) -> None:
        """Data from the server, some time later, and the client's acknowledgment."""
        self.clock += RESPONSE_NS
        for at in range(0, len(data), SEGMENT_BYTES):
            self.talk.receive(self.clock, data[at : at + SEGMENT_BYTES])
            self.clock += HOP_NS
        self.talk.acknowledge(self.clock)
        self.clock += HOP_NS

    def close(self) -> int:
        """End the connection in order; returns when that is done."""
        self.clock = self.talk.close(self.clock)
        return self.clock


class Works:
    """The plant's OPC UA: servers and their regular clients.

    Args:
        plant: where it stands.
        pace: factor of the periods, as in `Plant`.
    """

    def __init__(self, plant: Plant, pace: float) -> None:
        self.plant = plant
        self._pace = pace
        self.scada = Server(f"opc.tcp://{SCADA.ip}:{PORT}/scada", self._value)
        self.boiler = Server(
            f"opc.tcp://{BOILER_SERVER.ip}:{PORT}/boiler",
            self._value,
            policies=(("None", 1), (SECURITY["policy"], SECURITY["mode"])),
            users=USERS,
        )

    def client(self, host: Host, server: Host, moment: int, application: str, **security: Any) -> tuple[Line, Client]:
        """A new client of a server; security is that of `Channel`."""
        line = Line(self.plant, host, server, moment)
        return line, Client(line, self.scada if server == SCADA else self.boiler, application, **security)

    def watch(self, now: int) -> Iterator[int]:
        """The MES: a subscription, and the production written by day."""
        line, client = self.client(MES, SCADA, now, "mes")
        client.start()
        client.subscribe(WATCHED, PUBLISH_SECONDS * 1_000.0)
        renew, produce = now + RENEW_SECONDS * SECOND, now + PRODUCTION_SECONDS * SECOND // 4
        period = int(PUBLISH_SECONDS * self._pace * SECOND)
        while True:
            now += period
            yield now
            line.wait(now)
            client.publish()
            if now >= renew:
                client.open(renew=True)
                renew += RENEW_SECONDS * SECOND
            if now >= produce:
                produce += PRODUCTION_SECONDS * SECOND
                if now // SECOND % _DAY_SECONDS // 3_600 in _WORK_HOURS:
                    client.write(PRODUCTION, 60.0 + now // SECOND // PRODUCTION_SECONDS % 5)

    def archive(self, now: int) -> Iterator[int]:
        """The historian: reads of the boiler house over a secured channel."""
        line, client = self.client(HISTORIAN, BOILER_SERVER, now, "historian", **SECURITY, client_certificate="engineer")
        client.start("historian", USERS["historian"])
        names = [f"Boiler.{name}" for name in VARIABLES]
        renew = now + RENEW_SECONDS * SECOND
        while True:
            now += READ_SECONDS * SECOND
            yield now
            line.wait(now)
            client.read(names)
            if now >= renew:
                client.open(renew=True)
                renew += RENEW_SECONDS * SECOND

    def _value(self, name: str, now: int) -> float:  # noqa: ARG002
        """What a controller measures, as its registers have it."""
        station, variable = name.split(".")
        return self.plant.controllers[station.lower()].processes[1].registers()[VARIABLES.index(variable)] / 10
