"""What happens by itself: what was laid aside wakes, windows end, reports and tasks are warned of, actions expire, notices go.

Looked at every few seconds, by the clock of this machine.

Nothing is remembered between looks: what is due is in the database, and is written down in the transaction that does it. So it
happens once, whichever of several servers looks first, and a restart loses and doubles nothing. What was told by a clock that was
wrong is taken back once it is set, and told again when its time comes. An action that expired so stays so: it is proposed anew;
what was laid aside or hidden for longer than it may be comes back.

Each thing has a transaction of its own: one that cannot be done is passed over, and holds up no other clock.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from api.actions import service as actions
from api.alerts import snoozing
from api.incidents import service as incidents
from api.jobs import service as jobs
from api.notifications import looking
from api.notifications.collecting import Collecting
from api.notifications.keeping import Keeping
from api.obligations import service as obligations
from api.obligations.clocks import SLACK
from api.playbooks import service as playbooks
from api.times import NANOSECONDS, now
from api.windows import service as windows

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from sqlalchemy.orm import Session

    from api.services import Services

TICK_SECONDS: Final = 5.0
"""How often is looked."""

STOP_SECONDS: Final = 10.0

SILENT_SECONDS: Final = 300.0
"""After how long without a look the clocks are told to stand still."""

PART: Final = "clocks"
"""Name of this part of the system."""

LOOKED_AT: Final = 500
"""Most things of a kind that one look does; the next goes on."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Work:
    """Something that happens by itself.

    Attributes:
        name: what it is done to.
        due: to which of them it is to be done at a time, by number.
        do: does it to one of them, in a transaction; returns how many things were done.
    """

    name: str
    due: Callable[[Session, int], Sequence[int]]
    do: Callable[[Session, int, int], int]


WORK: Final = (
    Work("incident", incidents.due, incidents.wake),
    Work("report", obligations.due, obligations.warn),
    Work("task", playbooks.overdue, playbooks.tell_overdue),
    Work("action", actions.over, actions.expire),
    Work("maintenance window", windows.due, windows.tend),
    Work("job", jobs.forgettable, jobs.forget),
)
"""What needs nothing but the database. What was laid aside needs the records too."""

NOTICES: Final = (
    Work("changes of alerts", looking.changed, looking.look_at_alerts),
    Work("lines of incidents", looking.written, looking.look_at_entries),
    Work("notice", looking.followed_up, looking.follow_up),
)
"""Who is to be told of what: looked for after all else, so that what the same look hid or woke is known."""

TAKEN_BACK: Final = (
    Work("report", obligations.too_early, obligations.take_back),
    Work("task", playbooks.too_early, playbooks.take_back),
    Work("maintenance window", windows.too_early, windows.take_back),
    Work("snoozed alert", snoozing.too_early, snoozing.take_back),
)
"""What a clock that was wrong has done."""


class Looks:
    """Does what is due, look by look, and remembers only what it has said of what cannot be done."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._passed_over: dict[str, str] = {}
        snoozed = snoozing.Snoozed(services.records)
        collecting = Collecting(services.channels, services.settings.address)
        keeping = Keeping(services.settings.notifications.keep_days)
        self._works = (
            *WORK, Work("snoozed alert", snoozed.due, snoozed.end), *NOTICES,
            Work("message", collecting.due, collecting.collect), Work("old message", keeping.due, keeping.remove),
        )  # fmt: skip

    def look(self, moment: int | None = None, works: Sequence[Work] | None = None) -> int:
        """Do what is due at a time (nanoseconds since 1970; without it, now); returns how many things were.

        Raises SQLAlchemyError where the database cannot say of anything what is due.
        """
        moment = now() if moment is None else moment
        done, passed_over, unknown = 0, dict[str, str](), list[Exception]()
        works = works or self._works
        for work in works:
            try:
                with self._services.database.read() as session:
                    due = work.due(session, moment)
            except Exception as error:  # noqa: BLE001  what cannot be looked at holds up no other clock
                unknown.append(error)
                passed_over |= self._passed(f"any {work.name}", error)
                continue
            some, failed = self._carry_out(work, due, moment)
            done += some
            passed_over |= failed
        if len(unknown) == len(works):
            raise unknown[0]
        if done:
            self._services.hub.notify()
            self._services.outbox.set()
        if works is self._works:
            self._passed_over = passed_over
            self._services.metrics.passed_over.set(len(passed_over))
            told = "; ".join(f"{thing} cannot be done ({why})" for thing, why in list(passed_over.items())[:10])
            self._services.status.tell(PART, state="working", detail=told)
        return done

    def _carry_out(self, work: Work, due: Sequence[int], moment: int) -> tuple[int, dict[str, str]]:
        done, tried, failed = 0, 0, dict[str, str]()
        for identity in due:
            try:
                with self._services.database.write() as session:
                    done += work.do(session, identity, moment)
            except Exception as error:  # noqa: BLE001  whatever one thing is like, the other clocks go on
                failed |= self._passed(f"{work.name} {identity}", error)
            else:
                tried += 1
            if tried >= LOOKED_AT:
                break
        return done, failed

    def _passed(self, thing: str, error: Exception) -> dict[str, str]:
        """Pass over what cannot be done; the log tells it once."""
        if thing not in self._passed_over:
            _log.error("what is due of %s cannot be done: it is passed over", thing, exc_info=error)
        return {thing: type(error).__name__}

    def take_back(self, moment: int | None = None) -> int:
        """Take back what was told too early, by a clock that was wrong; returns how many things were."""
        return self.look(moment, TAKEN_BACK)


class Jumps:
    """Notices where the clock of this machine was set: it went on otherwise than time since the start did."""

    def __init__(self, wall: int, elapsed: int) -> None:
        self._offset = wall - elapsed

    def look(self, wall: int, elapsed: int) -> int:
        """By how many seconds the clock was set since the last look; 0 where it was by less than a minute."""
        moved = wall - elapsed - self._offset
        if abs(moved) < SLACK:
            return 0
        self._offset += moved
        return round(moved / NANOSECONDS)


def _elapsed() -> int:
    """Nanoseconds since the machine started, sleep included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Ticking:
    """A thread that looks every few seconds, whatever happens.

    Args:
        services: the system.
        seconds: how often.
    """

    def __init__(self, services: Services, seconds: float = TICK_SECONDS) -> None:
        self._services = services
        self._seconds = seconds
        self._stop = threading.Event()
        self._looked = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="ticking", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._services.watched.append(self.failures)
        self._thread.start()

    def stop(self) -> None:
        """End; a look that is under way is waited for a while."""
        self._stop.set()
        self._services.watched.remove(self.failures)
        self._thread.join(STOP_SECONDS)

    def failures(self) -> dict[str, str]:
        """That the clocks stand still, where they do."""
        silent = time.monotonic() - self._looked
        if self._thread.is_alive() and silent < SILENT_SECONDS + self._seconds:
            return {}
        return {PART: f"nothing was looked at for {silent:.0f} s: no clock of a report or task runs"}

    def _run(self) -> None:
        jumps, looks = Jumps(now(), _elapsed()), Looks(self._services)
        # A clock may have been set while nobody looked.
        jumped, is_set = 0, True
        while not self._stop.wait(self._seconds):
            try:
                jumped += jumps.look(now(), _elapsed())
                if jumped:
                    _log.warning("the clock of this machine was set by %d s", jumped)
                    with self._services.database.write() as session:
                        obligations.tell_clock_set(session, jumped)
                    jumped, is_set = 0, True
                if is_set:
                    looks.take_back()
                    is_set = False
                looks.look()
                self._looked = time.monotonic()
            except Exception as error:  # noqa: BLE001  the next look does what this one could not
                _log.exception("what is due could not be looked at")
                self._services.status.tell(PART, state="failed", detail=type(error).__name__)


@contextmanager
def ticking(services: Services, seconds: float = TICK_SECONDS) -> Generator[None]:
    """Look every few seconds until the block ends."""
    thread = Ticking(services, seconds)
    thread.start()
    try:
        yield
    finally:
        thread.stop()
