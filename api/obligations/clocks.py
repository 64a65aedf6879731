"""Clocks of reports: when one is due, and which warnings are to be given. Pure: no database, and no clock of its own.

A due time is an instant, worked out once from when the clock started; nothing is counted down. So a restart loses nothing, and a
clock of the machine that is set changes how much is left and never when it is due. Which warnings were given is kept with the
clock, so that each is given once. One that turns out to have come too early, by a clock that was wrong or for a start that was
corrected, counts for nothing: it is given again when its time comes.

Periods in minutes are elapsed time. Those in days and months are of the operator's calendar and end at the time of day at which
they began, days that do not exist there moved to the day before: never later than the law, which mostly gives the whole last day.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal
from zoneinfo import ZoneInfo

import chinese_calendar
from pydantic import BaseModel, ConfigDict, Field

from api.times import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable

SHARES: Final = (50, 80, 100)
"""Shares of the time, in percent, at which is warned."""

SLACK: Final = 60 * NANOSECONDS
"""By how much a clock of a machine may be off without a word: less is what time services set it by."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Term(BaseModel):
    """How long a clock runs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["minutes", "days", "months", "working_days", "at_once", "none"]
    """at_once: it is due when the clock starts. none: the law names no time."""
    amount: int = Field(ge=0, le=100_000)


@dataclass(frozen=True, slots=True)
class Due:
    """When something is due.

    Attributes:
        at: nanoseconds since 1970.
        certain: whether all days off until then are known; else none is counted, and it is due then or later.
    """

    at: int
    certain: bool = True


def due(start: int, term: Term, zone: str) -> Due | None:
    """When a clock that started at a time runs out; None where the law names no time.

    Args:
        start: nanoseconds since 1970.
        term: how long it runs.
        zone: time zone of the operator, by IANA name.
    """
    match term.kind:
        case "none":
            return None
        case "at_once":
            return Due(start)
        case "minutes":
            return Due(start + term.amount * 60 * NANOSECONDS)
        case "days" | "months" | "working_days":
            seconds, rest = divmod(start, NANOSECONDS)
            local = (_EPOCH + timedelta(seconds=seconds)).astimezone(ZoneInfo(zone))
            day, certain = _last_day(local.date(), term)
            return Due(max(_instant(local, day, zone) * NANOSECONDS + rest, start), certain)


def _last_day(first: date, term: Term) -> tuple[date, bool]:
    if term.kind == "days":
        return first + timedelta(days=term.amount), True
    if term.kind == "months":
        months = first.year * 12 + first.month - 1 + term.amount
        year, month = divmod(months, 12)
        return date(year, month + 1, min(first.day, calendar.monthrange(year, month + 1)[1])), True
    day, left, certain = first, term.amount, True
    while left:
        day += timedelta(days=1)
        working, known = is_working_day(day)
        certain = certain and known
        left -= working
    return day, certain


def is_working_day(day: date) -> tuple[bool, bool]:
    """Whether a day is a working day in China, and whether that is known: days off are announced for each year.

    Of a year that is not known each day counts as one, so that nothing is ever due too late.
    """
    try:
        return chinese_calendar.is_workday(day), True  # pyright: ignore[reportUnknownMemberType]  its parameter has no type
    except NotImplementedError:
        return True, False


def _instant(local: datetime, day: date, zone: str) -> int:
    """Seconds since 1970 of a local time of day on a day: of two the earlier; where there is none, what it would have been."""
    moment = datetime.combine(day, local.time().replace(microsecond=0, fold=0), ZoneInfo(zone))
    return int((moment.astimezone(UTC) - _EPOCH) // timedelta(seconds=1))


def warnings(start: int, due_at: int, told: Iterable[int], moment: int) -> list[int]:
    """The shares of the time that are reached and were not told before, in order.

    What is due at once has no half: only that it is due is told.
    """
    known = set(told)
    shares = SHARES if due_at > start else SHARES[-1:]
    return [share for share in shares if share not in known and moment >= start + (due_at - start) * share // 100]


def in_time(start: int, due_at: int, told: Iterable[int], moment: int) -> list[int]:
    """Of the shares that were told those whose time has come by now, as far as clocks are to be trusted."""
    return [share for share in told if start + (due_at - start) * share // 100 <= moment + SLACK]


def next_look(start: int, due_at: int, told: Iterable[int]) -> int | None:
    """When the next warning is to be given; None where all were."""
    known = set(told)
    shares = SHARES if due_at > start else SHARES[-1:]
    left = [start + (due_at - start) * share // 100 for share in shares if share not in known]
    return min(left, default=None)
