"""One writer at a time, in the order in which they came.

SQLite lets waiting writers ask again and again, whoever is lucky next: of many some wait until they give up. PostgreSQL has a
queue of its own, but each that stands in it has a connection that readers then lack.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

if TYPE_CHECKING:
    from collections.abc import Generator

    from sqlalchemy.exc import SQLAlchemyError

TURN_SECONDS: Final = 10.0
"""How long a writer waits for those before it in the same process."""

LOCKED: Final = "database is locked"
"""What SQLite says where another process writes for too long, and `Turns` where those of this process do."""


def is_busy(error: SQLAlchemyError) -> bool:
    """Whether others kept the database: the same may succeed a moment later."""
    return isinstance(error, PoolTimeoutError) or any(each in str(error) for each in (LOCKED, "lock timeout"))


class Turns:
    """The queue of a process's writers."""

    def __init__(self) -> None:
        self._guard: Final = threading.Lock()
        self._waiting: Final[deque[threading.Lock]] = deque()
        self._taken = False

    @contextmanager
    def turn(self, seconds: float = TURN_SECONDS) -> Generator[None]:
        """Wait for one's turn, and have it. Raises OperationalError where it takes too long."""
        mine = threading.Lock()
        mine.acquire()
        with self._guard:
            if self._taken:
                self._waiting.append(mine)
            else:
                self._taken = True
                mine.release()
        if not mine.acquire(timeout=seconds):
            with self._guard:
                # Whoever is not there any more was given the turn this moment.
                if mine in self._waiting:
                    self._waiting.remove(mine)
                    raise OperationalError(None, None, TimeoutError(f"{LOCKED}: others have written for {seconds:g} s"))
        try:
            yield
        finally:
            with self._guard:
                if self._waiting:
                    self._waiting.popleft().release()
                else:
                    self._taken = False
