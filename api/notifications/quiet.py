"""Quiet hours: spans of days in a site's time zone in which only what is urgent is told. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final, Literal, get_args
from zoneinfo import ZoneInfo

from api.times import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: Final[tuple[Day, ...]] = get_args(Day)
"""Days of a week, in the order of `date.weekday`."""

MOST_DAYS: Final = 8
"""How long it can be quiet in one go: what would never end ends then, so that nothing waits for ever."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Span:
    """A span that begins on some days of each week.

    Attributes:
        days: the days on which it begins.
        begins: when, by the clock on the wall.
        ends: when it ends, on the next day where that is no later than it begins.
    """

    days: frozenset[Day]
    begins: time
    ends: time


def until(spans: Sequence[Span], moment: int, zone: str) -> int:
    """When what comes up at a time may be told: then, or when it is quiet no more (nanoseconds since 1970)."""
    known, latest = ZoneInfo(zone), moment + MOST_DAYS * 86_400 * NANOSECONDS
    end = moment
    while end < latest:
        later = max((_end(span, end, known) for span in spans), default=end)
        if later == end:
            return end
        end = later
    return latest


def _end(span: Span, moment: int, zone: ZoneInfo) -> int:
    """When a span ends that holds at a time; the time where none does."""
    seconds, _ = divmod(moment, NANOSECONDS)
    today = (_EPOCH + timedelta(seconds=seconds)).astimezone(zone).date()
    end = moment
    for first in (today - timedelta(days=1), today):
        if DAYS[first.weekday()] not in span.days:
            continue
        last = first if span.ends > span.begins else first + timedelta(days=1)
        starts_at, ends_at = _instant(first, span.begins, zone), _instant(last, span.ends, zone)
        if starts_at <= moment < ends_at:
            end = max(end, ends_at)
    return end


def _instant(day: date, clock: time, zone: ZoneInfo) -> int:
    """A time of day on a day; of two the earlier, where there is none what it would have been."""
    moment = datetime.combine(day, clock.replace(fold=0), zone)
    return int((moment.astimezone(UTC) - _EPOCH) // timedelta(seconds=1)) * NANOSECONDS
