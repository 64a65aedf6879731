"""Which packets an alert rests on: those between its addresses, from just before its first record to just after its last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from collector.store import Identity
from sensor.packets import Statement

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS: Final = 1_000_000_000
"""Nanoseconds of a second."""

BEFORE_NS: Final = 5 * SECONDS
"""What came just before: the opening of the connection, as a rule."""

AFTER_NS: Final = 10 * SECONDS
"""What comes after the time of a record, which is that of its first packet: the answer, and what follows."""


def sensors_of(body: Mapping[str, Any]) -> list[str]:
    """The sensors whose records an alert rests on, that of the first record first."""
    return list(dict.fromkeys(Identity.parse(record).sensor for record in body["records"]))


def statement_of(alert: str, client_ip: str | None, server_ip: str | None, seen: tuple[int, int]) -> Statement | None:
    """The packets of an alert, first and last seen then; None for an alert that names no address."""
    one, other = (client_ip, server_ip) if client_ip is not None else (server_ip, None)
    if one is None:
        return None
    first, last = seen
    return Statement(first - BEFORE_NS, last + AFTER_NS, pairs=((one, other),), alert=alert)


def statement_of_time(alert: str, seen: int) -> Statement:
    """All packets from around the time when an alert was first seen that names no address, such as one of a hardware address.

    They are everybody's: nobody pins them.
    """
    return Statement(seen - BEFORE_NS, seen + AFTER_NS, alert=alert)
