"""Carries jobs out, in a thread of the process that serves; several servers may do so together."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from api.database.scope import Scope
from api.jobs import service

if TYPE_CHECKING:
    import threading

    from api.services import Services

LOOK_SECONDS: Final = 2.0
"""How often is looked for jobs that another server was asked for, or has left."""

AWAY: Final = (OperationalError, InterfaceError, PoolTimeoutError)
"""What says that the database cannot be used, whatever is asked: what was to be done is done later."""

_log = logging.getLogger(__name__)


class JobWorker:
    """Carries out what there is to do, whenever it is woken."""

    def __init__(self, services: Services) -> None:
        self._services: Final = services
        self._database: Final = services.database

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
        """Carry out all that is open, in turns, so that no job waits for the end of a long one."""
        while not stop.is_set():
            with self._database.read() as session:
                waiting = service.open_jobs(session)
            if not waiting:
                return
            for number, sites in waiting:
                if stop.is_set():
                    return
                scope = Scope(self._database.scope.organisation, None if sites is None else frozenset(sites))
                try:
                    with self._database.write(scope=scope) as session:
                        service.go_on(session, number)
                except AWAY:
                    raise
                except Exception:  # noqa: BLE001  one job that cannot be read must not keep the others up, nor end the process
                    _log.exception("job %s is given up", number)
                    with self._database.write() as session:
                        service.fail(session, number)
                self._services.hub.notify()
