"""PostgreSQL through psycopg 3: one server for many processes and machines."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Generator

    from sqlalchemy.orm import Session

    from api.settings import DatabaseSettings

LOCK_SECONDS: Final = 30
"""How long a transaction waits for another's lock."""

MIGRATION_SECONDS: Final = 600
"""How long a process that starts waits for another that brings the database to this version."""

IDLE_SECONDS: Final = 60
"""After so long the server ends a transaction in which nothing is asked, so that a process that hangs keeps no lock."""

KEPT: Final = 8
"""Connections that are kept open between questions."""


class PostgreSQL:
    """A database on a server. Nothing is asked of the server before it is used.

    Args:
        settings: how it is reached. Raises ConfigurationError where the password's file cannot be read.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        url = settings.address()
        self.place: Final = url.set(query={}).render_as_string(hide_password=True)
        self.remedy: Final = "look at table database of the configuration, and whether the server runs"
        self.engine: Final = sa.create_engine(
            url.set(password=settings.secret()),
            connect_args={
                "connect_timeout": max(2, round(settings.connect_seconds)),
                "application_name": "icsight",
                # Empty for a key that is not encrypted: without one libpq would ask on the terminal.
                "sslpassword": settings.secret_key_password() or "",
                "options": f"-c lock_timeout={LOCK_SECONDS}s -c idle_in_transaction_session_timeout={IDLE_SECONDS}s",
            },
            pool_size=KEPT,
            max_overflow=max(0, settings.connections - KEPT),
            pool_pre_ping=True,
            hide_parameters=True,
        )
        self.partitioned: Final = settings.partitioned
        # One snapshot for all that a session asks, as SQLite gives.
        self.reader: Final = self.engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        # Each statement sees what was committed before it, and the lock has let one writer in at a time.
        self.writer: Final = self.engine.execution_options(isolation_level="READ COMMITTED")

    @contextmanager
    def migrating(self) -> Generator[sa.Connection]:
        """A transaction that changes the schema."""
        with self.writer.begin() as connection:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{MIGRATION_SECONDS}s'")
            yield connection

    def lock(self, connection: sa.Connection, name: str) -> None:
        """Wait until no other transaction holds the lock of this name; it is held until this one ends."""
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_key(name))))

    @contextmanager
    def limited(self, session: Session, limit_seconds: float) -> Generator[None]:
        """End with OperationalError a query in the session that takes longer."""
        session.connection().exec_driver_sql(f"SET LOCAL statement_timeout = {max(1, round(limit_seconds * 1000))}")
        yield


def _key(name: str) -> int:
    """The number of a named lock: advisory locks have 64-bit numbers, shared by all that use the database."""
    return int.from_bytes(hashlib.sha256(f"icsight {name}".encode()).digest()[:8], signed=True)
