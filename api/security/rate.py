"""How often a caller may ask: so many requests in any minute, and no more."""

from __future__ import annotations

import math
import threading
import time
from typing import Final

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from api.problems import Problem


class Rate:
    """Counts requests by key, in the memory of this process; what is older than two minutes is forgotten.

    Args:
        per_minute: most requests of a key in any minute.
    """

    def __init__(self, per_minute: int) -> None:
        self._limit: Final = RateLimitItemPerMinute(per_minute)
        self._limiter: Final = SlidingWindowCounterRateLimiter(MemoryStorage())
        # The storage starts a timer now and then, and fails where two threads start the same one.
        self._lock: Final = threading.Lock()

    def count(self, kind: str, name: str) -> None:
        """Count a request of an account or from an address. Raises Problem `rate_limited`."""
        with self._lock:
            is_within = self._limiter.hit(self._limit, kind, name)
        if is_within:
            return
        reset = self._limiter.get_window_stats(self._limit, kind, name).reset_time
        seconds = min(60, max(1, math.ceil(reset - time.time())))
        raise Problem("rate_limited", headers={"Retry-After": str(seconds)}, most=self._limit.amount, seconds=seconds)
