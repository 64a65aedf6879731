"""Times at the API's edge: nanoseconds since 1970 (UTC) inside, RFC 3339 with up to nine decimals outside."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Final

from api.unfit import Unfit

NANOSECONDS: Final = 1_000_000_000
"""Nanoseconds in a second."""

LATEST: Final = 2**63 - 1
"""Latest time that can be told, in nanoseconds since 1970 (the year 2262)."""

_RELATIVE: Final = re.compile(r"-(\d{1,6})([smhd])")
_UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_RFC3339: Final = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def now() -> int:
    """The wall clock in nanoseconds since 1970."""
    return time.time_ns()


_latest = 0


def rising() -> int:
    """The wall clock; where it is set back, the latest that was told: what changes later never seems to have changed before."""
    global _latest  # noqa: PLW0603  one clock of the process
    _latest = max(_latest, now())
    return _latest


def iso(nanoseconds: int) -> str:
    """RFC 3339 text of a time, in UTC, with nine decimals."""
    seconds, rest = divmod(nanoseconds, NANOSECONDS)
    return f"{(_EPOCH + timedelta(seconds=seconds)).strftime('%Y-%m-%dT%H:%M:%S')}.{rest:09d}Z"


def parse(text: str) -> int:
    """Nanoseconds since 1970 of `2026-11-23T08:00:00Z` (any offset, up to nine decimals) or of `-24h` (s, m, h, d before now).

    Raises:
        ValueError: the text is neither, or lies outside 1970 to 2262.
    """
    if match := _RELATIVE.fullmatch(text):
        return max(0, now() - int(match[1]) * _UNIT_SECONDS[match[2]] * NANOSECONDS)
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise Unfit("time_form")
    date, clock, fraction, zone = match.groups()
    moment = datetime.fromisoformat(f"{date}T{clock}{'+00:00' if zone in 'Zz' else zone}")
    nanoseconds = int((moment - _EPOCH) // timedelta(seconds=1)) * NANOSECONDS + int((fraction or "0").ljust(9, "0"))
    if not 0 <= nanoseconds <= LATEST:
        raise Unfit("time_range")
    return nanoseconds
