"""Days, weeks and months of a time zone, as instants. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal
from zoneinfo import ZoneInfo

from api.times import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

Length = Literal["day", "week", "month"]
"""A week begins on Monday."""

MOST: Final = 120
"""Most periods that are told apart."""


class TooManyError(ValueError):
    """There are more periods than are told apart."""


@dataclass(frozen=True, slots=True)
class Period:
    """A period: its name (`2026-11-30`, `2026-W49`, `2026-11`), and when the next begins (nanoseconds since 1970)."""

    name: str
    end: int


def periods(since: int, until: int, length: Length, zone: str) -> list[Period]:
    """The periods in which a time lies from `since` to before `until`, in order. Raises TooManyError."""
    found: list[Period] = []
    for period in _from(since, length, ZoneInfo(zone)):
        if len(found) == MOST:
            raise TooManyError
        found.append(period)
        if period.end >= until:
            break
    return found


def _from(since: int, length: Length, zone: ZoneInfo) -> Iterator[Period]:
    begin = datetime.fromtimestamp(since // NANOSECONDS, UTC).astimezone(zone).date()
    begin -= timedelta(days=begin.weekday() if length == "week" else begin.day - 1 if length == "month" else 0)
    while True:
        after = _next(begin, length)
        midnight = datetime(after.year, after.month, after.day, tzinfo=zone)
        yield Period(_name(begin, length), int(midnight.timestamp()) * NANOSECONDS)
        begin = after


def _next(begin: date, length: Length) -> date:
    if length == "month":
        return (begin + timedelta(days=31)).replace(day=1)
    return begin + timedelta(days=7 if length == "week" else 1)


def _name(begin: date, length: Length) -> str:
    if length == "day":
        return begin.isoformat()
    year, week, _ = begin.isocalendar()
    return f"{year}-W{week:02d}" if length == "week" else begin.isoformat()[:7]
