"""Keeping the audit trail: its key, checkpoints on demand and on a schedule, and its export."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, Final

import rfc8785
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from api.audit import checkpoints, keys, service
from api.audit.chain import OLD_FORM, content
from api.audit.checkpoints import Checkpoint, CheckpointFileError
from api.audit.keys import AuditKeyError
from api.audit.models import AuditEntry
from api.times import now

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from api.database import Database
    from api.settings import Settings

MADE: Final = "audit.key"
"""Action of the entry that names a key which signs from then on."""

_log = logging.getLogger(__name__)


def set_up(database: Database, settings: Settings) -> None:
    """Make the key that signs checkpoints where there is none, and name it in the trail. Raises AuditKeyError."""
    key = keys.read_or_make(settings.audit.key(settings.data)).public_key()
    name = keys.identity(key)
    known = sa.select(AuditEntry.number).where(AuditEntry.action == MADE, AuditEntry.subject == name).limit(1)
    with database.read() as session:
        if session.scalar(known) is not None:
            return
    with database.write() as session:
        service.record(session, service.Actor(service.SYSTEM), MADE, name, {"public_key": keys.pem(key)})


def checkpoint(database: Database, settings: Settings) -> Checkpoint | None:
    """Sign how far the trail is now, and leave that in the folder and in the log; None where the trail is empty.

    Raises AuditKeyError, CheckpointFileError.
    """
    key = keys.read(settings.audit.key(settings.data))
    with database.read() as session:
        number, entry_hash = service.newest(session)
    if number == 0:
        return None
    made = checkpoints.sign(key, database.scope.organisation, number, entry_hash, now())
    # Before the folder: what is on another machine may be away, the log is not.
    _log.info("audit checkpoint %s", made.line())
    checkpoints.write(settings.audit.folder(settings.data), made)
    return made


class Schedule:
    """Makes checkpoints on a schedule, where entries have come since the last.

    Args:
        database, settings: as in `checkpoint`.
        tell: is told why none could be made; empty where one could.
    """

    def __init__(self, database: Database, settings: Settings, tell: Callable[[str], None]) -> None:
        self._database: Final = database
        self._settings: Final = settings
        self._tell: Final = tell
        self._last = 0

    def run(self, stop: threading.Event) -> None:
        """Make them until the event is set, and one at the end."""
        while True:
            self.make()
            if stop.wait(self._settings.audit.checkpoint_seconds):
                self.make()
                return

    def make(self) -> None:
        """Make one where entries have come since the last."""
        try:
            with self._database.read() as session:
                number, _ = service.newest(session)
            if number != self._last and (made := checkpoint(self._database, self._settings)) is not None:
                # More entries may have come since it was asked.
                self._last = made.number
        except (AuditKeyError, CheckpointFileError) as error:
            _log.warning("no checkpoint of the audit trail: %s", error)
            self._tell(str(error))
        except SQLAlchemyError as error:
            _log.warning("no checkpoint of the audit trail: the database cannot be read (%s)", type(error).__name__)
            self._tell(type(error).__name__)
        else:
            self._tell("")


def export(database: Database, settings: Settings, after: int = 0) -> Iterator[str]:
    """The trail after a number, an entry a line, some lines at a time, and a checkpoint of its end as the last line.

    Each line is the object that is hashed, in canonical JSON, with its hash. Entries in the old form have their time in
    nanoseconds and are not canonical. Raises AuditKeyError, before the first line.
    """
    key = keys.read(settings.audit.key(settings.data))
    with database.read() as session:
        last, last_hash = service.newest(session)
    end = checkpoints.sign(key, database.scope.organisation, last, last_hash, now()).line() if last else ""
    return _lines(database, after, last, end)


def _lines(database: Database, after: int, last: int, end: str) -> Iterator[str]:
    number = after
    while number < last:
        # A session for each: a reader may take its time, and what is written stays as it is.
        with database.read(unlimited=True) as session:
            entries = [(entry.number, line(entry)) for entry in service.following(session, number)]
        yield "".join(line for each, line in entries if each <= last)
        number = entries[-1][0] if entries else last
    if end:
        yield f"{end}\n"


def line(entry: AuditEntry) -> str:
    """An entry as it is given out: the object that is hashed, with its hash."""
    said: dict[str, Any] = {**content(entry), "hash": entry.hash}
    if entry.form == OLD_FORM:
        return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"
    try:
        return rfc8785.dumps(said).decode() + "\n"
    except rfc8785.CanonicalizationError:
        # Somebody has altered it: it is given out as it is, and does not hold.
        return json.dumps(said, sort_keys=True) + "\n"
