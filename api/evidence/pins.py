"""Pins on their way: an alert asks its sensors; `sensor.control` copies its packets out of the ring there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from api.evidence.statement import SECONDS, sensors_of, statement_of
from sensor.packets import Statement

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from detection.alerts import Alert

ALERTS: Final = 10_000
"""Alerts of which is remembered what was asked; of one that is forgotten it is asked again."""

LONGEST_NS: Final = 600 * SECONDS
"""What is pinned of an alert at most: its first ten minutes. What goes on for longer is in the ring, as far as that reaches."""


class Pins:
    """Asks for the packets of alerts to be pinned.

    Args:
        pin: asks the sensors of these names to pin the packets of a statement; durable on return. Raises StreamError.
    """

    def __init__(self, pin: Callable[[Statement, Sequence[str]], None]) -> None:
        self._pin = pin
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
            self._pin(Statement(statement.start, end, statement.flows, statement.pairs, alert.id), sensors_of(alert.body))
            self._asked.pop(alert.id, None)
            self._asked[alert.id] = end
            if len(self._asked) > ALERTS:
                del self._asked[next(iter(self._asked))]
