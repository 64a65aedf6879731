"""Clients: connections to controllers, and those who ask the same again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.plant.controllers import request_bytes
from tests.plant.frames import HOP_NS, Talk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pymodbus.pdu import ModbusPDU

    from tests.plant.controllers import Controller
    from tests.plant.frames import Host
    from tests.plant.plant import Plant

SECOND: Final = 1_000_000_000

TIMEOUT_NS: Final = SECOND
"""How long a client, or a gateway its serial line, waits for an answer."""

SPLIT_NS: Final = 100_000
"""Between the two segments of a request that is sent in two."""

FIRST_PIECE_BYTES: Final = 8
"""How much of a split request comes first: header and function code, the least that tshark takes for Modbus."""

REPEAT_NS: Final = 200_000_000
"""When a segment that got lost is sent again (RFC 6298: the least retransmission time-out of common stacks)."""

PAUSE_NS: Final = 5_000_000
"""Least time between two rounds of one client."""


class Session:
    """A Modbus client's connection to a controller: one exchange at a time."""

    def __init__(self, plant: Plant, client: Host, controller: Controller) -> None:
        self.plant = plant
        self.client = client
        self.controller = controller
        self.transaction = 0
        self.talk: Talk | None = None
        self.retransmit = 0.0
        """Share of answers that are sent twice: a failing cable."""
        self.split = False
        """Whether it sends a request in two segments, as some stacks do."""
        self._busy_until = 0

    def opened(self, now: int) -> tuple[Talk, int]:
        """The connection, opened if need be, and when it is free."""
        now = max(now, self._busy_until)
        if self.talk is None:
            self.talk = Talk(self.plant.wire, self.client, self.controller.host, self.plant.port())
            now = self.talk.open(now)
        return self.talk, now

    def ask(self, now: int, request: ModbusPDU, unit: int = 1) -> int:
        """A request and its answer; returns when the exchange is over."""
        return self.repeat(now, request_bytes(request, 0, unit)[2:])

    def repeat(self, now: int, rest: bytes) -> int:
        """A request, without its transaction identifier, under the next one."""
        self.transaction = (self.transaction + 1) & 0xFFFF
        return self.exchange(now, self.transaction.to_bytes(2, "big") + rest)

    def exchange(self, now: int, data: bytes) -> int:
        """Bytes of a request, and the controller's answer where it gives one."""
        talk, now = self.opened(now)
        random, controller = self.plant.random, self.controller
        if self.split:
            talk.send(now, data[:FIRST_PIECE_BYTES])
            now += SPLIT_NS
        talk.send(now, data[FIRST_PIECE_BYTES:] if self.split else data)
        tag = controller.tag(data)
        answer = controller.answer(data, now)
        if not answer:
            talk.acknowledge(now + HOP_NS, from_client=False)
            self._busy_until = now + TIMEOUT_NS
            return self._busy_until
        wait = controller.response_ns + int(random.integers(0, 1 + controller.response_ns // 8))
        if controller.noise and random.random() < controller.noise:
            answer, wait = controller.lost(data), TIMEOUT_NS
        elif data[6] in controller.silent:
            wait = TIMEOUT_NS
        talk.receive(now + wait, answer, tag)
        if self.retransmit and random.random() < self.retransmit:
            wait += REPEAT_NS
            talk.again(now + wait, False, answer)
        talk.acknowledge(now + wait + HOP_NS)
        self._busy_until = now + wait + 2 * HOP_NS
        return self._busy_until

    def close(self, now: int) -> int:
        """End the connection in order; returns when that is done."""
        now = max(now, self._busy_until)
        if self.talk is not None:
            now = self.talk.close(now)
            self.talk = None
        return now

    def broken(self, now: int, *, from_client: bool) -> None:
        """One side resets the connection."""
        if self.talk is not None:
            self.talk.reset(max(now, self._busy_until), from_client=from_client)
            self.talk = None


class Poller:
    """A client that asks the same again and again.

    Args:
        session: its connection.
        requests: what is asked in each round, with the units.
        period_seconds: from the start of a round to the next, give or take one in a hundred.
    """

    def __init__(self, session: Session, requests: Sequence[tuple[ModbusPDU, int]], period_seconds: float) -> None:
        self.session = session
        self.paused_until = 0
        """Until when it does not ask: its controller is away."""
        self._period_ns = period_seconds * SECOND
        # Encoded once: only the transaction identifier differs from round to round.
        self._requests = [request_bytes(request, 0, unit)[2:] for request, unit in requests]

    def run(self, now: int) -> Iterator[int]:
        """Rounds without end; yields when it goes on."""
        while True:
            begin = now
            for request in self._requests:
                if now >= self.paused_until:
                    now = self.session.repeat(now, request)
                    yield now
            jitter = 1 + 0.01 * float(self.session.plant.random.standard_normal())
            now = max(now + PAUSE_NS, begin + int(self._period_ns * jitter))
            yield now
