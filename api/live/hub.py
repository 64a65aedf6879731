"""Wakes live streams when something has changed, from whatever thread changed it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from api.database.scope import Scope
    from api.live.feed import Feed


class Hub:
    """The streams that wait, each with the event loop that it runs in."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self._lock = threading.Lock()
        self.closed = False
        self.feeds: dict[tuple[Scope, bool], Feed] = {}
        """What streams tell, by what they may tell, and whether as to an authority; of those only that somebody listens to."""

    @property
    def streams(self) -> int:
        """Streams that are open."""
        return len(self._waiting)

    def join(self, most: int) -> asyncio.Event | None:
        """An event that is set whenever something changes; None where there are `most` streams already."""
        waiter = asyncio.Event()
        with self._lock:
            if len(self._waiting) >= most or self.closed:
                return None
            self._waiting[waiter] = asyncio.get_running_loop()
        return waiter

    def leave(self, waiter: asyncio.Event) -> None:
        """The stream has ended."""
        with self._lock:
            self._waiting.pop(waiter, None)

    def notify(self) -> None:
        """Something has changed."""
        with self._lock:
            waiting = list(self._waiting.items())
        for waiter, loop in waiting:
            with contextlib.suppress(RuntimeError):  # that loop has ended, and its streams with it
                loop.call_soon_threadsafe(waiter.set)

    def close(self) -> None:
        """End all streams and let no more begin."""
        self.closed = True
        self.notify()
