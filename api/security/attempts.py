"""Waits after failed sign-ins, which double with each further failure."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

MOST_KEYS: Final = 10_000
"""Addresses remembered at a time; the one that failed longest ago is forgotten first."""


@dataclass(slots=True)
class _Failures:
    count: int = 0
    last: float = 0.0


def wait_after(failures: int, free: int, first_seconds: float, most_seconds: float) -> float:
    """Seconds to wait after so many failures: none for the first `free`, then twice as long with each further one."""
    if failures < free:
        return 0.0
    return min(first_seconds * 2.0 ** min(failures - free, 64), most_seconds)


class Attempts:
    """Failed sign-ins by key (an address), in this process.

    Args:
        free: failures before the first wait.
        wait_seconds: the first wait.
        wait_most_seconds: the longest wait. A key is forgotten when it has not failed for twice as long.
    """

    def __init__(self, free: int, wait_seconds: float, wait_most_seconds: float) -> None:
        self._free = free
        self._wait_seconds = wait_seconds
        self._wait_most_seconds = wait_most_seconds
        self._failures: OrderedDict[str, _Failures] = OrderedDict()
        self._lock = threading.Lock()

    def wait_seconds(self, *keys: str) -> float:
        """How long until the next attempt may be made; 0 where it may be made now."""
        now = time.monotonic()
        with self._lock:
            return max((self._left(key, now) for key in keys), default=0.0)

    def failed(self, *keys: str) -> None:
        """Count a failure of each key."""
        now = time.monotonic()
        with self._lock:
            for key in keys:
                failures = self._failures.setdefault(key, _Failures())
                failures.count += 1
                failures.last = now
                self._failures.move_to_end(key)
            while len(self._failures) > MOST_KEYS:
                self._failures.popitem(last=False)

    def succeeded(self, *keys: str) -> None:
        """Forget the failures of each key."""
        with self._lock:
            for key in keys:
                self._failures.pop(key, None)

    def _left(self, key: str, now: float) -> float:
        failures = self._failures.get(key)
        if failures is None:
            return 0.0
        if now - failures.last > 2 * self._wait_most_seconds:
            del self._failures[key]
            return 0.0
        wait = wait_after(failures.count, self._free, self._wait_seconds, self._wait_most_seconds)
        return max(0.0, failures.last + wait - now)
