"""Pins on their way: an alert asks on the stream `control`, the sensor copies its packets out of the ring."""

from __future__ import annotations

import heapq
import json
import os
import threading
import time
from typing import TYPE_CHECKING, Final

from api.evidence.statement import SECONDS, statement_of
from collector.stream import DamagedBatch, Position
from detection.control import pins_of
from sensor import packets
from sensor.packets import Asked, EvidenceError, Statement

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from collector.stream import Consumer, Stream
    from detection.alerts import Alert
    from detection.control import Control

CONSUMER: Final = "pins"
"""Name under which the stream of control records is read."""

POLL_SECONDS: Final = 0.25
"""How long to wait for requests before looking whether to stop."""

DELAY_SECONDS: Final = 12.0
"""How long a request waits before its packets are copied: they may still be on their way to the disk, or to come."""

ALERTS: Final = 10_000
"""Alerts of which is remembered what was asked; of one that is forgotten it is asked again."""

LONGEST_NS: Final = 600 * SECONDS
"""What is pinned of an alert at most: its first ten minutes. What goes on for longer is in the ring, as far as that reaches."""


class Pins:
    """Asks for the packets of alerts to be pinned."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._asked: dict[str, int] = {}

    def ask(self, alerts: Sequence[Alert]) -> None:
        """Ask for those packets of new and changed alerts for which nobody has asked. Raises StreamError."""
        for alert in {alert.id: alert for alert in alerts}.values():
            statement = statement_of(alert.id, alert.client_ip, alert.server_ip, (alert.first_seen, alert.last_seen))
            if statement is None:
                continue
            end = min(statement.end, statement.start + LONGEST_NS)
            # The end of a statement lies behind the last record: what comes until then has been asked for.
            if self._asked.get(alert.id, 0) >= min(alert.last_seen, end):
                continue
            self._control.pin(Statement(statement.start, end, statement.flows, statement.pairs, alert.id))
            self._asked.pop(alert.id, None)
            self._asked[alert.id] = end
            if len(self._asked) > ALERTS:
                del self._asked[next(iter(self._asked))]


class Pinner:
    """Copies the packets that are asked for out of a ring: the sensor's end of the stream `control`.

    Where it stands is kept beside the pins, once they are made: the stream holds the site's facts too and is never cut.

    Args:
        control: the stream of control records.
        ring: folder of the ring.
        quota_bytes: quota of the ring.
        sensor: name of the sensor.
    """

    def __init__(self, control: Stream, ring: Path, quota_bytes: int, sensor: str) -> None:
        self._control = control
        self._ring = ring
        self._quota_bytes = quota_bytes
        self._sensor = sensor
        self._waiting: list[tuple[float, int, Statement]] = []
        self._number = 0
        self._settling = threading.Event()
        self._settled = threading.Event()
        self.failed = 0
        """Requests that could not be followed."""

    def settled(self) -> bool:
        """Whether all that has been asked for is pinned; from the first call on nothing is waited for."""
        if not self._settling.is_set():
            self._settled.clear()
            self._settling.set()
        return self._settled.is_set()

    def run(self, stop: threading.Event) -> None:
        """Pin what is asked for until `stop` is set. Raises StreamError, OSError."""
        with self._control.subscribe(CONSUMER, self._position()) as consumer:
            done = consumer.position
            while not stop.is_set():
                is_last = self._settling.is_set()
                took = self._take(consumer)
                worked = self._work(everything=is_last, stop=stop)
                if not self._waiting and consumer.position != done:
                    done = consumer.position
                    self._keep(done)
                if is_last and not took and not self._waiting:
                    self._settled.set()
                elif took or worked:
                    self._settled.clear()

    def _take(self, consumer: Consumer) -> bool:
        try:
            deliveries = consumer.poll(POLL_SECONDS)
        except DamagedBatch:
            self.failed += 1
            return True
        for delivery in deliveries:
            try:
                asked = pins_of(delivery.data)
            except ValueError:
                self.failed += 1
                continue
            for at, statement in asked:
                self._number += 1
                heapq.heappush(self._waiting, (at / SECONDS + DELAY_SECONDS, self._number, statement))
        return bool(deliveries)

    def _work(self, *, everything: bool, stop: threading.Event) -> bool:
        """Pin what is due."""
        worked = False
        while self._waiting and not stop.is_set() and (everything or self._waiting[0][0] <= time.time()):
            _, _, statement = heapq.heappop(self._waiting)
            worked = True
            try:
                packets.pin(self._ring, statement, Asked("system", time.time_ns(), self._sensor), self._quota_bytes)
            except EvidenceError:
                # A full disk: the ring still holds the packets for a while.
                self.failed += 1
        return worked

    def _position(self) -> Position:
        try:
            return Position.from_json((self._ring / "position.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, json.JSONDecodeError):
            # From the beginning: what is pinned already is not copied again.
            return Position()

    def _keep(self, position: Position) -> None:
        draft = self._ring / "position.part"
        with draft.open("w", encoding="utf-8") as file:
            file.write(position.to_json())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._ring / "position.json")
