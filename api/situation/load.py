"""The load of alarms on whoever looks at them, held against EEMUA 191. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Verdict = Literal["within", "strained", "over"]
"""within: both figures are. strained: more than that, and not twice as much. over: more than twice as much of one of them."""

DAY_ALARMS: Final = 144
"""Alarms a day that one person can deal with: one in ten minutes (EEMUA 191)."""

TEN_MINUTES_ALARMS: Final = 10
"""Alarms in ten minutes that one person can deal with (EEMUA 191)."""

BUCKET_SECONDS: Final = 600


def verdict(day: int, worst: int) -> Verdict:
    """What so many alarms in a day, and in the worst ten minutes, mean."""
    over = max(day / DAY_ALARMS, worst / TEN_MINUTES_ALARMS)
    return "within" if over <= 1 else "strained" if over <= 2 else "over"


def worst_of(buckets: Mapping[int, int]) -> tuple[int, int | None]:
    """The most alarms in ten minutes, and which ten minutes; of several the latest."""
    if not buckets:
        return 0, None
    bucket = max(buckets, key=lambda each: (buckets[each], each))
    return buckets[bucket], bucket


def hours_of(buckets: Mapping[int, int], until: int) -> list[int]:
    """Alarms in each of the 24 hours up to a time (seconds since 1970), the earliest first."""
    counts = [0] * 24
    for bucket, count in buckets.items():
        age = until - bucket * BUCKET_SECONDS
        place = 23 - int(age // 3600) if age > 0 else 23
        if 0 <= place < 24:
            counts[place] += count
    return counts
