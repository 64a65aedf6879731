"""OPC UA conversations in captures of rule traffic: clients and servers in memory (asyncua's codecs), on the capture's clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.plant.opcua.client import Client
from tests.plant.opcua.server import Server

if TYPE_CHECKING:
    from tests.rules.wire import Capture, Connection, Host

PORT: Final = 4840
SEGMENT_BYTES: Final = 1_400
"""Data of a segment."""


@dataclass(frozen=True, slots=True)
class Line:
    """A connection that carries a client's messages."""

    connection: Connection

    def now(self) -> int:
        """The capture's clock, nanoseconds."""
        return self.connection.capture.clock * 1_000

    def send(self, data: bytes) -> None:
        """Data from the client."""
        for at in range(0, len(data), SEGMENT_BYTES):
            self.connection.send(data[at : at + SEGMENT_BYTES])

    def receive(self, data: bytes) -> None:
        """Data from the server."""
        for at in range(0, len(data), SEGMENT_BYTES):
            self.connection.receive(data[at : at + SEGMENT_BYTES])


def server(host: Host, **options: Any) -> Server:
    """A server at a host. Options are those of `Server`."""
    return Server(f"opc.tcp://{host.ip}:{PORT}/plant", **options)


def client(
    capture: Capture, host: Host, at: Host, serving: Server | None = None, application: str = "mes", **security: Any
) -> Client:
    """A client whose TCP connection stands. Security is that of `Channel`."""
    connection = capture.connect(host, at, PORT)
    connection.open()
    return Client(Line(connection), serving or server(at), application, **security)
