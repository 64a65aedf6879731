"""Facts of the site on their way down: versioned records on the stream `control`, each effective at a recorded position.

Detection writes down from which place in the stream of records a version of the site's facts holds. Whoever detects anew from the
beginning takes each version from its own place on, and so comes to the same alerts.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from collector.stream import Position
from detection.publish import Publisher
from detection.site import Site
from sensor.control_records import EVIDENCE, PIN, SENSOR, encode, rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.stream import Stream
    from sensor.control_records import EvidenceRequest
    from sensor.packets import Statement

SITE: Final = "site"
"""Kind of a record that holds the site's facts."""


@dataclass(frozen=True, slots=True)
class Effective:
    """A version of the site's facts, and the place in the stream of records from which it holds."""

    site: Site
    position: Position

    def holds_at(self, partition: str, offset: int) -> bool:
        """Whether it holds for the batch at this place."""
        return offset >= self.position.offsets.get(partition, 0)


class Control:
    """The stream of control records."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._publisher = Publisher(stream, SENSOR, secrets.token_hex(16), "control")
        self._turn = threading.Lock()

    def sites(self) -> list[Effective]:
        """All versions of the site's facts so far, in the order in which they took effect. Raises StreamError."""
        found: list[Effective] = []
        with self._stream.subscribe(f"{SENSOR}-reader", Position()) as consumer:
            while deliveries := consumer.poll(0):
                for delivery in deliveries:
                    for row in rows_of(delivery.data):
                        if row["kind"] == SITE:
                            site = Site.model_validate_json(row["content"])
                            found.append(Effective(site, Position.from_json(row["position"])))
        return found

    def publish(self, effective: Effective) -> None:
        """Write down that a version holds from a place on; durable on return. Raises StreamError."""
        content = json.dumps(effective.site.model_dump(mode="json", by_alias=True, exclude_none=True), ensure_ascii=False)
        self._publish(SITE, effective.site.version, effective.position, content, effective.site.site)

    def pin(self, statement: Statement) -> None:
        """Ask the sensors to pin the packets of an alert; durable on return. Raises StreamError."""
        self._publish(PIN, statement.alert or "", Position(), statement.to_json(), "")

    def ask(self, request: EvidenceRequest) -> None:
        """Ask a sensor for packets; durable on return. Raises StreamError."""
        self._publish(EVIDENCE, request.id, Position(), request.to_json(), "")

    def _publish(self, kind: str, version: str, position: Position, content: str, site: str) -> None:
        with self._turn:
            self._append(kind, version, position, content, site)

    def _append(self, kind: str, version: str, position: Position, content: str, site: str) -> None:
        now = time.time_ns()
        data = encode(now, kind, content, version=version, position=position.to_json())
        self._publisher.publish(data, 1, site, (now, now))


def later(one: Position, other: Position) -> Position:
    """The later of two places in a stream, partition by partition."""
    partitions = {*one.offsets, *other.offsets}
    return Position({name: max(one.offsets.get(name, 0), other.offsets.get(name, 0)) for name in sorted(partitions)})


def at(schedule: Sequence[Effective], partition: str, offset: int) -> Site | None:
    """The facts that hold for the batch at this place; None where none are written down for it."""
    held = [effective.site for effective in schedule if effective.holds_at(partition, offset)]
    return held[-1] if held else None
