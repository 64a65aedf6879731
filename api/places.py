"""Places for work that takes long: so much of it at a time, on threads of its own, and so much that waits.

All other requests share one pool of threads: what takes minutes and is asked for often would leave none for them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

from anyio import CapacityLimiter, to_thread

from api.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

Answer = TypeVar("Answer")

WAIT_SECONDS: Final = 30
"""How long one waits for a place."""

RETRY_SECONDS: Final = 10
"""When whoever found none may ask again."""


class Places:
    """Some places, of one event loop.

    Args:
        at_once: how much is done at a time.
        waiting: how much may wait for a place.
        code: code of the problem that anything beyond is answered with.
    """

    def __init__(self, at_once: int, waiting: int, code: str) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._threads: CapacityLimiter | None = None
        self._at_once = at_once
        self._most = waiting
        self._waiting = 0
        self._code = code

    async def run(self, call: Callable[[], Answer]) -> Answer:
        """Call something on a thread of these places. Raises Problem with their code where none is free in time."""
        if self._waiting >= self._most:
            raise self._busy()
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._free.acquire()
        except TimeoutError:
            raise self._busy() from None
        finally:
            self._waiting -= 1
        try:
            if self._threads is None:
                self._threads = CapacityLimiter(self._at_once)
            return await to_thread.run_sync(call, limiter=self._threads)
        finally:
            self._free.release()

    def _busy(self) -> Problem:
        return Problem(self._code, headers={"Retry-After": str(RETRY_SECONDS)})
