"""Limits of an alarm budget: so many alerts in so long."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

MOST: Final = 10_000
"""Most alerts of a limit."""

_UNITS: Final = {"s": 1, "min": 60, "h": 3_600, "day": 86_400}

_LIMIT: Final = re.compile(r"(\d{1,6})/(\d{0,5}) ?(s|min|h|day)")


@dataclass(frozen=True, slots=True, order=True)
class Limit:
    """So many alerts in so long."""

    seconds: int
    alerts: int

    @property
    def window_ns(self) -> int:
        """Length of its windows."""
        return self.seconds * 1_000_000_000

    def __str__(self) -> str:
        unit = next(name for name in ("day", "h", "min", "s") if self.seconds % _UNITS[name] == 0)
        count = self.seconds // _UNITS[unit]
        return f"{self.alerts}/{'' if count == 1 else count}{unit}"


@cache
def parse(text: str) -> tuple[Limit, ...]:
    """The limits that a text names, as in `144/day,10/10min`, longest window first; none in an empty one. Raises ValueError."""
    limits: list[Limit] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        found = _LIMIT.fullmatch(part)
        seconds = 0 if found is None else int(found[2] or 1) * _UNITS[found[3]]
        if found is None or not 0 < seconds <= _UNITS["day"] or _UNITS["day"] % seconds or not 2 <= int(found[1]) <= MOST:
            raise ValueError(
                f"{part!r} is no limit of alerts: give 2 to {MOST} alerts in a time that divides a day, as in 144/day or 10/10min"
            )
        limits.append(Limit(seconds, int(found[1])))
    if len({limit.seconds for limit in limits}) != len(limits):
        raise ValueError(f"{text!r} limits one length of time twice")
    return tuple(sorted(limits, reverse=True))
