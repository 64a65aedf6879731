"""Carries jobs out, in a thread of the process that serves; several servers may do so together."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from api.database.scope import Scope
from api.jobs import service

if TYPE_CHECKING:
    import threading

    from api.database import Database
    from api.services import Services

LOOK_SECONDS: Final = 2.0
"""How often is looked for jobs that another server was asked for, or has left."""

AWAY: Final = (OperationalError, InterfaceError, PoolTimeoutError)
"""What says that the database cannot be used, whatever is asked: what was to be done is done later."""

TRIES: Final = 30
"""After how many tries in a row a job is given up that the database alone keeps up."""

_log = logging.getLogger(__name__)


class JobWorker:
    """Carries out what there is to do, whenever it is woken."""

    def __init__(self, services: Services) -> None:
        self._services: Final = services
        self._database: Final = services.database
        self._tried: Final = Counter[int]()

    def run(self, stop: threading.Event) -> None:
        """Carry jobs out until the event is set."""
        while not stop.is_set():
            self._services.jobs.wait(LOOK_SECONDS)
            self._services.jobs.clear()
            try:
                self.work(stop)
            except SQLAlchemyError:
                _log.exception("jobs wait: the database cannot be used")
                stop.wait(LOOK_SECONDS)

    def work(self, stop: threading.Event) -> None:
        """Carry out all that is open, in turns, so that no job waits for the end of a long one.

        Raises SQLAlchemyError where a job, or any, could not be carried on for now.
        """
        while not stop.is_set():
            with self._database.read() as session:
                waiting = service.open_jobs(session)
            if not waiting:
                return
            away: SQLAlchemyError | None = None
            for number, dry_run in waiting:
                if stop.is_set():
                    return
                try:
                    go_on(self._database, number)
                except AWAY as error:
                    away = error
                    self._wait_for(number)
                except Exception:  # noqa: BLE001  one job that cannot be read must not keep the others up, nor end the process
                    self._give_up(number)
                else:
                    del self._tried[number]
                if not dry_run:
                    self._services.hub.notify()
            if away is not None:
                raise away

    def _wait_for(self, number: int) -> None:
        """A job could not be carried on, though the database said that there is one: that it goes on is not tried for ever."""
        self._tried[number] += 1
        if self._tried[number] >= TRIES:
            self._give_up(number)

    def _give_up(self, number: int) -> None:
        _log.exception("job %s is given up", number)
        del self._tried[number]
        with self._database.write() as session:
            service.fail(session, number)


def go_on(database: Database, number: int) -> bool:
    """Carry a job on by some alerts; whether there is more to do."""
    with database.read() as session:
        part = service.part(session, number)
    if part is None:
        return False
    with database.write(scope=Scope(database.scope.organisation, part.sites)) as session:
        return service.go_on(session, number, part)
