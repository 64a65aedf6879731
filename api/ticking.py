"""What happens by itself as time passes: incidents on hold wake, reports are warned of, overdue tasks are told.

Looked at every few seconds, by the clock of this machine.

Nothing is remembered between looks: what is due is in the database, and is written down in the transaction that does it. So it
happens once, whichever of several servers looks first, and a restart or a clock that is set loses and doubles nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import SQLAlchemyError

from api.incidents import service as incidents
from api.obligations import service as obligations
from api.playbooks import service as playbooks
from api.times import NANOSECONDS, now

if TYPE_CHECKING:
    from collections.abc import Generator

    from api.services import Services

TICK_SECONDS: Final = 5.0
"""How often is looked."""

JUMP_NANOSECONDS: Final = 60 * NANOSECONDS
"""By how much the clock must be set for it to be told: less is what time services do."""

STOP_SECONDS: Final = 10.0

_log = logging.getLogger(__name__)


def tick(services: Services, moment: int | None = None) -> int:
    """Do what is due at a time (nanoseconds since 1970; without it, now); returns how many things were."""
    moment = now() if moment is None else moment
    with services.database.read() as session:
        if not any(part.is_due(session, moment) for part in (incidents, obligations, playbooks)):
            return 0
    with services.database.write() as session:
        done = incidents.wake(session, moment) + obligations.warn(session, moment) + playbooks.tell_overdue(session, moment)
    services.hub.notify()
    return done


class Jumps:
    """Notices where the clock of this machine was set: it went on otherwise than time since the start did."""

    def __init__(self, wall: int, elapsed: int) -> None:
        self._offset = wall - elapsed

    def look(self, wall: int, elapsed: int) -> int:
        """By how many seconds the clock was set since the last look; 0 where it was by less than a minute."""
        moved = wall - elapsed - self._offset
        if abs(moved) < JUMP_NANOSECONDS:
            return 0
        self._offset += moved
        return round(moved / NANOSECONDS)


def _elapsed() -> int:
    """Nanoseconds since the machine started, sleep included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


@contextmanager
def ticking(services: Services, seconds: float = TICK_SECONDS) -> Generator[None]:
    """Look every few seconds until the block ends."""
    stop = threading.Event()

    def look() -> None:
        jumps = Jumps(now(), _elapsed())
        while not stop.wait(seconds):
            try:
                jumped = jumps.look(now(), _elapsed())
                if jumped:
                    _log.warning("the clock of this machine was set by %d s", jumped)
                    with services.database.write() as session:
                        obligations.tell_clock_set(session, jumped)
                tick(services)
            except SQLAlchemyError as error:
                # The database is away or busy: the next look does what this one could not.
                _log.warning("what is due could not be done: %s", type(error).__name__)

    thread = threading.Thread(target=look, name="ticking", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(STOP_SECONDS)
