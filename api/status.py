"""How the parts of a running system are doing, told by the parts and read by the API."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Literal

PartState = Literal["working", "done", "failed"]


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the system.

    Attributes:
        name: capture, store, detection, or alerts.
        state: working; done where there will be no more to do; failed.
        detail: what it works on, or why it failed.
        batches: record batches done since the start.
        waiting: record batches that it has still to do.
    """

    name: str
    state: PartState = "working"
    detail: str = ""
    batches: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class Gap:
    """Batches of a sensor that never came, as `consumer` saw it: `expected` up to, not including, `found`."""

    consumer: str
    sensor: str
    epoch: str
    expected: int
    found: int


MOST_GAPS = 100
"""Gaps remembered; the newest are kept, all are counted."""


class Status:
    """The parts by name. Safe from any thread."""

    def __init__(self) -> None:
        self._parts: dict[str, Part] = {}
        self._gaps: list[Gap] = []
        self._lock = threading.Lock()
        self.gap_count = 0
        self.packets = 0

    def tell(self, name: str, **changes: object) -> Part:
        """Change what is known of a part; it is added where it is new."""
        with self._lock:
            part = replace(self._parts.get(name, Part(name)), **changes)  # pyright: ignore[reportArgumentType]  fields of Part
            self._parts[name] = part
            return part

    def gap(self, gap: Gap) -> None:
        """Batches are missing."""
        with self._lock:
            self.gap_count += 1
            self._gaps = [*self._gaps[-(MOST_GAPS - 1) :], gap]

    def parts(self) -> list[Part]:
        """All parts, in the order in which they began."""
        with self._lock:
            return list(self._parts.values())

    def gaps(self) -> list[Gap]:
        """The gaps seen last."""
        with self._lock:
            return list(self._gaps)

    def failures(self) -> dict[str, str]:
        """Parts that have failed, and why."""
        return {part.name: part.detail for part in self.parts() if part.state == "failed"}
