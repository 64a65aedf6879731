"""SQLite in WAL mode: one file in the data folder, for one machine."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Generator
    from pathlib import Path

    from sqlalchemy.orm import Session

MIGRATION_SECONDS: Final = 600
"""How long a process that starts waits for another that brings the file to this version."""

LOOKED_AT: Final = 100_000
"""Rows of each index that are looked at to know how well it tells rows apart: enough that no list of values seems as many."""

BUSY_SECONDS: Final = 10.0
"""How long a transaction waits for another process's write."""

_PROGRESS_STEPS: Final = 20_000
"""SQLite steps between two looks at the clock of a limited query: well under a millisecond."""


class SQLite:
    """A database in a file. Raises OSError where it cannot be made.

    Args:
        path: the file; made where it is missing, readable by its owner only.
    """

    def __init__(self, path: Path) -> None:
        self.place: Final = str(path)
        self.remedy: Final = "restore it from a backup, or move it away"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=True)
        self.engine: Final = sa.create_engine(
            f"sqlite:///{path}", connect_args={"timeout": BUSY_SECONDS}, pool_size=8, max_overflow=56, hide_parameters=True
        )
        event.listen(self.engine, "connect", _configure)
        event.listen(self.engine, "begin", _begin)
        self.reader: Final = self.engine
        self.writer: Final = self.engine.execution_options(icsight_write=True)
        self.partitioned: Final = False

    @contextmanager
    def migrating(self) -> Generator[sa.Connection]:
        """A transaction that changes the schema. Foreign keys and indexes are looked at in its end: tables are made anew in it.

        They can be switched off outside of a transaction only (SQLite, "Making Other Kinds Of Table Schema Changes").
        """
        with self.engine.connect().execution_options(icsight_write=True, icsight_migrates=True) as connection:
            try:
                with connection.begin():
                    yield connection
                    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
                    if broken:
                        raise IntegrityError(None, None, ValueError(f"{len(broken)} rows whose counterparts are missing"))
                    # An index that is newer than what is known of the others looks to SQLite as if it told every row apart.
                    connection.exec_driver_sql(f"PRAGMA analysis_limit={LOOKED_AT}")
                    connection.exec_driver_sql("ANALYZE")
            finally:
                connection.invalidate()

    def lock(self, connection: sa.Connection, name: str) -> None:
        """Nothing: a transaction that writes has the file's lock from its beginning."""

    @contextmanager
    def limited(self, session: Session, limit_seconds: float) -> Generator[None]:
        """End with OperationalError what is asked in the session after the time limit."""
        connection: sqlite3.Connection = session.connection().connection.dbapi_connection  # pyright: ignore[reportAssignmentType]  typed as DBAPI
        deadline = time.monotonic() + limit_seconds
        connection.set_progress_handler(lambda: int(time.monotonic() > deadline), _PROGRESS_STEPS)
        try:
            yield
        finally:
            connection.set_progress_handler(None, 0)


def _configure(connection: sqlite3.Connection, record: object) -> None:
    """Settings of each new connection. Transactions are begun by `_begin`, not by the driver."""
    del record
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-16384", "mmap_size=268435456"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: sa.Connection) -> None:
    if connection.get_execution_options().get("icsight_migrates", False):
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
        connection.exec_driver_sql(f"PRAGMA busy_timeout={MIGRATION_SECONDS * 1000}")
    writes = connection.get_execution_options().get("icsight_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
