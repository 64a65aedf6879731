"""The capture that speed is measured on: `python -m tests.benchmarks.generate --packets N --out FILE`.

Fifty clients (or `--connections`) open a connection each to a controller of its own and poll it over Modbus/TCP ten times a
second: a request, its response and a bare acknowledgment per poll. 80 % read 10 to 59 holding registers whose values drift
slowly, 8 % write one register, 7 % read coils, 3 % write four registers, 2 % are answered by an exception. Whole arrays at
a time; the same seed gives the same bytes.
"""

from __future__ import annotations

import argparse
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

CONNECTIONS: Final = 50
"""Connections, unless others are asked for."""
MOST_CONNECTIONS: Final = 25_000
"""A client's port is 40,000 and the number of its connection."""
CHUNK: Final = 20_000
"""Polls that are made at a time."""
NETWORK: Final = 250
"""Connections whose addresses differ in their last byte only."""
REGISTERS: Final = 60
POLL_NS: Final = 100_000_000
SYN, PSH, ACK = 2, 8, 16
START_NS: Final = 1_767_225_600_000_000_000
HEADER: Final = 16 + 14 + 20 + 20
"""Bytes of a packet record before the payload: pcap, Ethernet, IPv4, TCP."""
SHARES: Final = (("read", 0.80), ("write", 0.08), ("coils", 0.07), ("block", 0.03), ("exception", 0.02))


def big(values: NDArray[Any], size: int) -> NDArray[np.uint8]:
    """Numbers as big-endian bytes, one row each."""
    return values.astype(f">u{size}").view(np.uint8).reshape(len(values), size)


def little(values: NDArray[Any], size: int) -> NDArray[np.uint8]:
    """Numbers as little-endian bytes, one row each."""
    return values.astype(f"<u{size}").view(np.uint8).reshape(len(values), size)


class Connections(ABC):
    """Connections over which a client asks and its server answers, in step: their sequence numbers and packets."""

    port = 502
    """Port of the servers."""

    def __init__(self, seed: int, connections: int = CONNECTIONS) -> None:
        self.random = np.random.default_rng(seed)
        self.connections = connections
        self.rounds = max(CHUNK // connections, 1)
        """Polls of each connection that are made at a time."""
        self.round = 0

    def begin(self) -> None:
        """Draw the sequence numbers at which the connections begin."""
        self.client_seq = self.random.integers(0, 2**32, self.connections)
        self.server_seq = self.random.integers(0, 2**32, self.connections)

    def handshakes(self) -> NDArray[np.uint8]:
        """The opening of each connection, three packets each, in the second before the first poll."""
        owner = np.repeat(np.arange(self.connections), 3)
        before_client, before_server = (self.client_seq - 1) % 2**32, (self.server_seq - 1) % 2**32
        start = START_NS - 1_000_000_000 + np.arange(self.connections) * (POLL_NS // self.connections)
        head = _heads(
            owner,
            forward=np.tile([True, False, True], self.connections),
            times=(start[:, None] + np.array([0, 200_000, 400_000])).ravel(),
            sequence=np.stack([before_client, before_server, self.client_seq], axis=1).ravel(),
            acknowledged=np.stack([np.zeros_like(self.client_seq), self.client_seq, self.server_seq], axis=1).ravel(),
            flags=np.tile([SYN, SYN | ACK, ACK], self.connections),
            sizes=np.zeros(len(owner), np.int64),
            sums=np.zeros(len(owner), np.int64),
            port=self.port,
        )
        return head.ravel()

    def packets(
        self, connection: NDArray[Any], payloads: tuple[NDArray[np.uint8], NDArray[np.uint8]], sizes: NDArray[np.int64]
    ) -> NDArray[np.uint8]:
        """The rounds before `round` as packet records: request, response and acknowledgment of each row.

        Requests and responses are rows of even width, of which `sizes` says how much is sent.
        """
        count = len(connection)
        rounds = count // self.connections
        sent, answered = (self._sequence(sizes[:, side], start) for side, start in ((0, self.client_seq), (1, self.server_seq)))
        sequence = np.stack([sent, answered, sent + sizes[:, 0]], axis=1)
        acknowledged = np.stack([answered, sent + sizes[:, 0], answered + sizes[:, 1]], axis=1)
        last = slice(-self.connections, None)
        self.client_seq = (sent[last] + sizes[last, 0]) % 2**32
        self.server_seq = (answered[last] + sizes[last, 1]) % 2**32

        start = self.times(rounds)
        times = (start[:, None] + np.array([0, 300_000, 500_000])).ravel()
        flat_sizes = sizes.ravel()
        flags = np.where(flat_sizes > 0, PSH | ACK, ACK)
        sums = np.zeros((count, 3), np.int64)
        for side, payload in enumerate(payloads):
            used = np.arange(payload.shape[1], dtype=np.int64) < sizes[:, side : side + 1]
            sums[:, side] = _sums(np.where(used, payload, 0))
        head = _heads(
            np.repeat(connection, 3),
            forward=np.tile([True, False, True], count),
            times=times,
            sequence=sequence.ravel(),
            acknowledged=acknowledged.ravel(),
            flags=flags,
            sizes=flat_sizes,
            sums=sums.ravel(),
            port=self.port,
        )

        offsets = np.concatenate([[0], np.cumsum(flat_sizes + HEADER)])
        out = np.zeros(offsets[-1], np.uint8)
        out[offsets[:-1, None] + np.arange(HEADER)] = head
        for side, payload in enumerate(payloads):
            row = np.repeat(np.arange(count), sizes[:, side])
            column = np.arange(len(row)) - np.repeat(np.cumsum(sizes[:, side]) - sizes[:, side], sizes[:, side])
            out[offsets[row * 3 + side] + HEADER + column] = payload[row, column]
        return out

    def _sequence(self, sizes: NDArray[Any], start: NDArray[Any]) -> NDArray[Any]:
        """Sequence number of each message: what its connection sent before."""
        by_round = sizes.reshape(-1, self.connections)
        before = np.cumsum(by_round, axis=0) - by_round
        return (before + start).ravel() % 2**32

    def times(self, rounds: int) -> NDArray[np.int64]:
        """When the requests of so many rounds before `round` are sent, nanoseconds since 1970."""
        step = np.repeat(np.arange(self.round - rounds, self.round, dtype=np.int64), self.connections)
        return START_NS + step * POLL_NS + np.tile(np.arange(self.connections), rounds) * (POLL_NS // self.connections)

    def chunks(self) -> Iterator[tuple[NDArray[np.uint8], int]]:
        """Packet records without end, with how many they are."""
        yield self.handshakes(), self.connections * 3
        while True:
            yield self.chunk(), self.rounds * self.connections * 3

    @abstractmethod
    def chunk(self) -> NDArray[np.uint8]:
        """`rounds` exchanges of each connection as packet records."""


class Plant(Connections):
    """What goes on between two chunks: values and transaction identifiers."""

    def __init__(self, seed: int, connections: int = CONNECTIONS) -> None:
        super().__init__(seed, connections)
        self.values = self.random.integers(100, 4_000, (connections, REGISTERS))
        self.quantity = self.random.integers(10, REGISTERS, connections)
        self.begin()

    def chunk(self) -> NDArray[np.uint8]:
        """`rounds` polls of each connection as packet records."""
        random = self.random
        count = self.rounds * self.connections
        connection = np.tile(np.arange(self.connections), self.rounds)
        transaction = np.repeat(np.arange(self.round, self.round + self.rounds), self.connections) & 0xFFFF
        kind = random.choice(len(SHARES), count, p=[share for _, share in SHARES])
        # Three registers in a hundred move by one at each poll.
        moves = (random.random((self.rounds, self.connections, REGISTERS)) < 0.03) * random.choice(
            [-1, 1], (self.rounds, self.connections, REGISTERS)
        )
        values = (np.cumsum(moves, axis=0) + self.values).reshape(count, REGISTERS)
        self.values = values[-self.connections :].reshape(self.connections, REGISTERS)

        read, write, coils, block, refused = (kind == index for index in range(len(SHARES)))
        quantity = self.quantity[connection]
        words = values.astype(">u2").view(np.uint8).reshape(count, REGISTERS * 2)
        width = 9 + REGISTERS * 2 + 1
        request = np.zeros((count, 22), np.uint8)  # of even width, as checksums are of 16-bit words; never sent whole
        response = np.zeros((count, width), np.uint8)
        request_bytes = np.where(block, 21, 12)
        response_bytes = np.select([read, write, coils, block, refused], [9 + quantity * 2, 12, 13, 12, 9])
        function = np.select([read, write, coils, block, refused], [3, 6, 1, 16, 3])
        for adu, size in ((request, request_bytes), (response, response_bytes)):
            adu[:, 0:2] = big(transaction, 2)
            adu[:, 4:6] = big(size - 6, 2)
            adu[:, 6] = 1
            adu[:, 7] = function
        request[:, 8:10] = big(np.where(write | block, 200, np.where(refused, 9_000, 0)), 2)
        request[:, 10:12] = big(np.select([read, coils, block, refused], [quantity, 32, 4, 1], values[:, 0]), 2)
        request[block, 12] = 8
        request[block, 13:21] = words[block, :8]
        response[:, 8] = np.select([read, coils, refused], [quantity * 2, 4, 2], 0)
        response[refused, 7] |= 0x80
        response[:, 9:-1] = np.where(read[:, None], words, 0)
        echo = write | block
        response[echo, 8:12] = request[echo, 8:12]
        response[coils, 9:13] = big(values[coils, 0] * 65_537, 4)

        sizes = np.stack([request_bytes, response_bytes, np.zeros(count, np.int64)], axis=1)
        self.round += self.rounds
        return self.packets(connection, (request, response), sizes)


def _heads(
    owner: NDArray[Any],
    *,
    forward: NDArray[Any],
    times: NDArray[Any],
    sequence: NDArray[Any],
    acknowledged: NDArray[Any],
    flags: NDArray[Any],
    sizes: NDArray[Any],
    sums: NDArray[Any],
    port: int,
) -> NDArray[np.uint8]:
    """Everything before the payload, one row a packet.

    `owner` is the connection, `forward` whether its client sends, `sums` the sum of the payload's 16-bit words.
    """
    count = len(owner)
    head = np.zeros((count, HEADER), np.uint8)
    head[:, 0:4] = little(times // 1_000_000_000, 4)
    head[:, 4:8] = little(times % 1_000_000_000, 4)
    head[:, 8:12] = head[:, 12:16] = little(sizes + HEADER - 16, 4)
    network, host = owner // NETWORK, owner % NETWORK + 1
    client = np.stack([np.full(count, 10), network, np.zeros(count), host], axis=1)
    server = np.stack([np.full(count, 10), network, np.ones(count), host], axis=1)
    source, target = (np.where(forward[:, None], a, b) for a, b in ((client, server), (server, client)))
    head[:, 16:22] = np.concatenate([np.full((count, 2), 2), target], axis=1)
    head[:, 22:28] = np.concatenate([np.full((count, 2), 2), source], axis=1)
    head[:, 28:30] = [8, 0]
    head[:, 30] = 0x45
    head[:, 32:34] = big(sizes + 40, 2)
    head[:, 36] = 0x40
    head[:, 38] = 64
    head[:, 39] = 6
    head[:, 42:46], head[:, 46:50] = source, target
    head[:, 40:42] = _checksums(_sums(head[:, 30:50]))
    ports = np.stack([40_000 + owner, np.full(count, port)], axis=1)
    ports = np.where(forward[:, None], ports, ports[:, ::-1])
    head[:, 50:52], head[:, 52:54] = big(ports[:, 0], 2), big(ports[:, 1], 2)
    head[:, 54:58], head[:, 58:62] = big(sequence % 2**32, 4), big(acknowledged % 2**32, 4)
    head[:, 62] = 0x50
    head[:, 63] = flags
    head[:, 64:66] = [0x20, 0]
    # The pseudo header: addresses, protocol, length.
    head[:, 66:68] = _checksums(_sums(head[:, 42:70]) + 6 + 20 + sizes + sums)
    return head


def _sums(rows: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Sum of the 16-bit words of each row of even width."""
    return np.ascontiguousarray(rows).view(">u2").sum(axis=1, dtype=np.int64)


def _checksums(sums: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The Internet checksum (RFC 1071) of what has these sums, as bytes."""
    for _ in range(2):
        sums = (sums & 0xFFFF) + (sums >> 16)
    return big(~sums & 0xFFFF, 2)


def write(out: Path, packets: int, connections: Connections) -> None:
    """Write a capture of exactly so many packets; memory holds one chunk at a time."""
    left = packets
    with out.open("wb") as file:
        file.write(
            bytes.fromhex("4d3cb2a1020004000000000000000000") + (262_144).to_bytes(4, "little") + (1).to_bytes(4, "little")
        )
        for chunk, held in connections.chunks():
            file.write((chunk if left >= held else chunk[: _end(chunk, left)]).tobytes())
            left -= held
            if left <= 0:
                return


def _end(chunk: NDArray[np.uint8], packets: int) -> int:
    """Where so many packet records end."""
    at = 0
    data = chunk.tobytes()
    for _ in range(packets):
        at += 16 + int.from_bytes(data[at + 8 : at + 12], "little")
    return at


def main(kind: Callable[[int, int], Connections]) -> None:
    """Read the command line and write the capture."""
    parser = argparse.ArgumentParser(description="Write the capture that speed is measured on.")
    parser.add_argument("--packets", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    arguments = parser.parse_args()
    if not 1 <= arguments.connections <= MOST_CONNECTIONS:
        parser.error(f"1 to {MOST_CONNECTIONS:,} connections are possible")
    write(arguments.out, arguments.packets, kind(arguments.seed, arguments.connections))


if __name__ == "__main__":
    main(Plant)
