"""What sensors say of themselves over Kafka, the newest of each; empty where this system has no Kafka."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sensor.self_report import SelfReport

SENSORS_MOST: Final = 10_000
"""Sensors remembered at a time; of more, that which has been quiet longest is let go."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A report, and what the brokers add to it.

    Attributes:
        report: what the sensor said.
        at: when the brokers took it, nanoseconds since 1970.
        in_topic: requests in its control topic that it has not taken yet; None where it could not be asked.
    """

    report: SelfReport
    at: int
    in_topic: int | None = None


class Reports:
    """The newest report of each sensor. Any thread may call."""

    def __init__(self) -> None:
        self.unread = False
        """Whether what sensors said before is still to be read: until then it is not known who was never heard."""
        self._heard: dict[str, Heard] = {}
        self._turn: Final = threading.Lock()

    def hear(self, heard: Heard) -> None:
        """Take a report."""
        name = heard.report.sensor
        with self._turn:
            if name not in self._heard and len(self._heard) >= SENSORS_MOST:
                del self._heard[min(self._heard, key=lambda each: self._heard[each].at)]
            self._heard[name] = heard

    def all(self) -> Sequence[Heard]:
        """The newest of each sensor, by name."""
        with self._turn:
            return [heard for _, heard in sorted(self._heard.items())]
