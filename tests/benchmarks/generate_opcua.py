"""The OPC UA capture that speed is measured on: `python -m tests.benchmarks.generate_opcua --packets N --out FILE`.

Fifty clients (or `--connections`) have a session each at a server of its own, without security, and ask ten times a second:
a request, its response and a bare acknowledgment. 70 % read 20 variables, 25 % are told ten changed values of a
subscription, 5 % write one variable. asyncua encodes each message once; numbers, times and values in it are then written
over whole arrays at a time.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tests.benchmarks.generate import CONNECTIONS, POLL_NS, START_NS, Connections, main
from tests.plant.opcua.channel import file_time
from tests.plant.opcua.client import Client
from tests.plant.opcua.server import STATIONS, VARIABLES, Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

READ: Final = tuple(f"{station}.{name}" for station in STATIONS for name in VARIABLES[:5])
WATCHED: Final = tuple(f"{station}.{name}" for station in STATIONS[:2] for name in VARIABLES[:5])
MOVING: Final = 0.1
"""Share of the values that move from one call to the next."""
SHARES: Final = (("read", 0.70), ("publish", 0.25), ("write", 0.05))

_TICK_NS: Final = 100
_MARK_NS: Final = START_NS + 8_765_432_000
"""Time that is looked for in a template."""
_MARK_VALUE: Final = -1.234_567_890_123e77
"""First value that is looked for; each further one is twice the one before."""


class Tape:
    """Keeps what a client and its server say, on a clock that stands."""

    def __init__(self) -> None:
        self.clock = START_NS
        self.said: list[bytes] = []

    def now(self) -> int:
        """The time, nanoseconds since 1970."""
        return self.clock

    def send(self, data: bytes) -> None:
        """From the client."""
        self.said.append(data)

    def receive(self, data: bytes) -> None:
        """From the server."""
        self.said.append(data)

    def exchange(self) -> tuple[bytes, bytes]:
        """The last request and its response."""
        asked, answered = self.said[-2:]
        return asked, answered


class Template:
    """A message as asyncua encodes it, and where in it stand the parts that differ from one to the next."""

    def __init__(self, data: bytes, handle: int, values: int) -> None:
        self.data = np.frombuffer(data, np.uint8)
        self.times = _places(data, struct.pack("<q", file_time(_MARK_NS)))
        self.handle = data.index(struct.pack("<I", handle), 24)
        """Place of the request handle, the first such number behind message and sequence header."""
        self.values = [data.index(struct.pack("<d", _MARK_VALUE * 2.0**number)) for number in range(values)]


def _places(data: bytes, wanted: bytes) -> list[int]:
    found = [at for at in range(len(data) - len(wanted) + 1) if data.startswith(wanted, at)]
    assert found, "a template without its mark"
    return found


class Sessions(Connections):
    """What goes on between two chunks: values, and the numbers of messages."""

    port = 4840

    def __init__(self, seed: int, connections: int = CONNECTIONS) -> None:
        super().__init__(seed, connections)
        self.values = self.random.normal(50.0, 10.0, (self.connections, len(READ)))
        self.notifications = np.zeros(self.connections, np.int64)
        self.begin()
        self._tape = Tape()
        self._marks: dict[str, float] = {}
        # Each client has a server of its own, so that what they say to begin with is the same.
        self._client = Client(self._tape, Server("opc.tcp://server:4840/plant", lambda name, _: self._marks.get(name, 1.0)))
        self._client.start()
        self._client.subscribe(WATCHED, POLL_NS / 1e6)
        self._opening = list(self._tape.said)
        self._first_sequence, self._first_request = self._client.channel.sequence[True], self._client.channel.request
        self._templates = self._encoded()

    def _encoded(self) -> list[tuple[Template, Template]]:
        """The request and response of each kind."""
        client, made = self._client, list[tuple[Template, Template]]()
        self._tape.clock = _MARK_NS
        for kind, (names, asked, answered) in enumerate(((READ, 0, len(READ)), (WATCHED, 0, len(WATCHED)), (READ[:1], 1, 0))):
            self._marks = {name: _MARK_VALUE * 2.0**number for number, name in enumerate(names)}
            client.handle = 0x5A5A_5A00
            if kind == 0:
                client.read(names)
            elif kind == 1:
                client.publish()
            else:
                client.write(names[0], _MARK_VALUE)
            request, response = self._tape.exchange()
            made.append((Template(request, client.handle, asked), Template(response, client.handle, answered)))
        return made

    def chunks(self) -> Iterator[tuple[NDArray[np.uint8], int]]:
        """The handshakes, the sessions' beginning, and calls without end."""
        yield self.handshakes(), self.connections * 3
        yield self._beginning(), len(self._opening) // 2 * self.connections * 3
        while True:
            yield self.chunk(), self.rounds * self.connections * 3

    def _beginning(self) -> NDArray[np.uint8]:
        """What every client says until it has its session and subscription."""
        rounds = len(self._opening) // 2
        sizes = np.array([len(data) for data in self._opening], np.int64).reshape(rounds, 2)
        payloads = (_padded(self._opening[0::2]), _padded(self._opening[1::2]))
        self.round += rounds
        owner = np.repeat(np.arange(rounds), self.connections)
        whole = np.concatenate([sizes, np.zeros((rounds, 1), np.int64)], axis=1)
        return self.packets(np.tile(np.arange(self.connections), rounds), (payloads[0][owner], payloads[1][owner]), whole[owner])

    def chunk(self) -> NDArray[np.uint8]:
        """`rounds` calls of each session as packet records."""
        count = self.rounds * self.connections
        kind = self.random.choice(len(SHARES), count, p=[share for _, share in SHARES])
        shape = (self.rounds, self.connections, len(READ))
        moves = (self.random.random(shape) < MOVING) * self.random.normal(0.0, 0.5, shape)
        values = np.cumsum(moves, axis=0) + self.values
        self.values = values[-1]
        values = values.reshape(count, len(READ))
        published = np.cumsum((kind == 1).reshape(self.rounds, self.connections), axis=0) + self.notifications
        self.notifications = published[-1]

        number = np.repeat(np.arange(self.round, self.round + self.rounds), self.connections) - len(self._opening) // 2 + 1
        self.round += self.rounds
        ticks = self.times(self.rounds) // _TICK_NS + file_time(0)
        sizes = np.zeros((count, 3), np.int64)
        payloads: list[NDArray[np.uint8]] = []
        for side in (0, 1):
            templates = [both[side] for both in self._templates]
            rows = _padded([template.data.tobytes() for template in templates])[kind]
            sizes[:, side] = np.array([len(template.data) for template in templates])[kind]
            rows[:, 16:20] = _little(self._first_sequence + number, "<u4")
            rows[:, 20:24] = _little(self._first_request + number, "<u4")
            for index, template in enumerate(templates):
                chosen = np.flatnonzero(kind == index)
                _put(rows, chosen, template.handle, _little(number[chosen], "<u4"))
                for place in template.times:
                    _put(rows, chosen, place, _little(ticks[chosen], "<i8"))
                for column, place in enumerate(template.values):
                    _put(rows, chosen, place, _little(values[chosen, column], "<f8"))
            payloads.append(rows)
        told = np.flatnonzero(kind == 1)
        _put(payloads[1], told, self._notification_at, _little(published.ravel()[told], "<u4"))
        return self.packets(np.tile(np.arange(self.connections), self.rounds), (payloads[0], payloads[1]), sizes)

    @property
    def _notification_at(self) -> int:
        """Where a Publish response has the number of its notification: before the second time, the notification's own."""
        return self._templates[1][1].times[1] - 4


def _padded(messages: list[bytes]) -> NDArray[np.uint8]:
    """Messages as rows of one even width."""
    width = -(-max(map(len, messages)) // 2) * 2
    return np.stack([np.frombuffer(data.ljust(width, b"\0"), np.uint8) for data in messages])


def _little(numbers: NDArray[Any], kind: str) -> NDArray[np.uint8]:
    """Numbers as bytes of a type, one row each."""
    return numbers.astype(kind).view(np.uint8).reshape(len(numbers), -1)


def _put(rows: NDArray[np.uint8], chosen: NDArray[Any], place: int, data: NDArray[np.uint8]) -> None:
    """Write bytes at one place of some rows."""
    rows[chosen[:, None], place + np.arange(data.shape[1])] = data


if __name__ == "__main__":
    main(Sessions)
