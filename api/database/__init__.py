"""The SQL database: short transactions, migrations that run at the start; a SQLite file, or PostgreSQL where settings name one.

Both have the same tables and answer the same. Times are nanoseconds since 1970 (UTC) in 64-bit integers, as in the records. All
writes go through `write`, which takes the write lock at once, so that a read that turns into a write cannot fail.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from api.database import migration
from api.database.migration import UnusableDatabaseError
from api.database.postgresql import PostgreSQL
from api.database.scope import KeyedByOrganisation, Scope, ScopedSession, row_of
from api.database.sqlite import SQLite
from api.database.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from sqlalchemy.orm import Session

    from api.settings import Settings

Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""A 64-bit integer that can number rows by itself (SQLite numbers only columns of type INTEGER)."""

QUERY_SECONDS: Final = 10.0
"""How long a session that reads may work where nothing else is set."""

MIGRATIONS: Final = "migrations"
"""Name of the lock that is held while the schema is changed."""

WRITES: Final = "writes"
"""Name of the lock that each transaction takes that writes, with its organisation: of these one is at work at a time."""


class Base(DeclarativeBase):
    """Base of all tables."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map = {int: sa.BigInteger(), dict[str, Any]: sa.JSON(), list[Any]: sa.JSON()}  # noqa: RUF012  SQLAlchemy's own form


class Counter(KeyedByOrganisation, Base):
    """Numbers that rise by one: `change` of alerts, `audit` of audit entries."""

    __tablename__ = "counter"

    name: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    value: Mapped[int]


def advance(session: Session, name: str, by: int = 1) -> int:
    """Raise a counter and return its new value. Until the transaction ends no other can: `write` lets one in at a time."""
    counter = row_of(session, Counter, name)
    if counter is None:
        counter = Counter(name=name, value=0)
        session.add(counter)
    counter.value += by
    session.flush()
    return counter.value


class Database:
    """The database of one system.

    Args:
        back_end: where it is.
        scope: what sessions see and write that are opened without a scope of their own.
        query_seconds: how long a session that reads may work (SQLite), or each of its queries (PostgreSQL).
    """

    def __init__(self, back_end: SQLite | PostgreSQL, scope: Scope, query_seconds: float = QUERY_SECONDS) -> None:
        self.back_end: Final = back_end
        self.scope: Final = scope
        self.query_seconds = query_seconds
        self.engine: Final = back_end.engine
        self.place: Final = back_end.place
        """Where it is, for people: a path, or an address without a password."""
        self._turns = Turns()
        self.before_commit: Callable[[Session], None] | None = None
        """Called in each transaction that writes, at its end; what it raises undoes the transaction."""

    @classmethod
    def of(cls, settings: Settings) -> Database:
        """The database that settings name. Raises OSError, ConfigurationError, UnusableDatabaseError."""
        scope = Scope(settings.database.organisation)
        if not settings.database.url:
            return cls(SQLite(settings.database_path), scope, settings.query_seconds)
        try:
            return cls(PostgreSQL(settings.database), scope, settings.query_seconds)
        except ModuleNotFoundError as error:
            raise UnusableDatabaseError(
                f"PostgreSQL needs the Python package {error.name}, which is not installed. "
                "Install it with: pip install 'icsight[postgres]'"
            ) from error

    def limited(self, scope: Scope) -> Database:
        """The same database, for whoever sees and writes no more than this."""
        limited = Database(self.back_end, scope, self.query_seconds)
        limited.before_commit = self.before_commit
        limited._turns = self._turns
        return limited

    def migrate(self) -> None:
        """Bring the schema to this version, whole or not at all; of several processes that do so one after the other.

        Raises UnusableDatabaseError where it cannot be reached, or a newer version has written it: it is not touched then.
        """
        try:
            with self.back_end.reader.begin() as connection:
                migration.check(connection, self.place)
            with self.back_end.migrating() as connection:
                self.back_end.lock(connection, MIGRATIONS)
                migration.check(connection, self.place)
                migration.upgrade(connection, organisation=self.scope.organisation, partitioned=self.back_end.partitioned)
        except SQLAlchemyError as error:
            raise UnusableDatabaseError(f"{self.place}: cannot be used ({first_line(error)}): {self.back_end.remedy}") from error

    def check(self) -> None:
        """See that the schema is this version's; nothing is changed. Raises UnusableDatabaseError where it is not."""
        try:
            with self.back_end.reader.begin() as connection:
                found = migration.check(connection, self.place)
        except SQLAlchemyError as error:
            raise UnusableDatabaseError(f"{self.place}: cannot be used ({first_line(error)}): {self.back_end.remedy}") from error
        if found != migration.revisions()[-1]:
            raise UnusableDatabaseError(
                f"{self.place}: its schema is {found or 'none'}, and this version's is {migration.revisions()[-1]}: "
                "start this version of icsight on it once, or use the version that it belongs to"
            )

    @contextmanager
    def read(self, *, unlimited: bool = False, scope: Scope | None = None) -> Generator[Session]:
        """A session that sees one consistent state of what its scope holds.

        A query past the limit ends with OperationalError; `unlimited` is for what must look at everything.
        """
        with ScopedSession(self.back_end.reader, scope or self.scope) as session:
            if unlimited:
                yield session
                return
            with self.back_end.limited(session, self.query_seconds):
                yield session

    @contextmanager
    def write(self, *, scope: Scope | None = None) -> Generator[Session]:
        """A session whose changes happen together at the end of the block, or not at all if it raises.

        Raises OperationalError where others write for too long.
        """
        scope = scope or self.scope
        opened = ScopedSession(self.back_end.writer, scope, expire_on_commit=False)
        with self._turns.turn(), opened as session, session.begin():
            self.back_end.lock(session.connection(), f"{WRITES} {scope.organisation}")
            yield session
            if self.before_commit is not None:
                self.before_commit(session)

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()


def first_line(error: SQLAlchemyError) -> str:
    """What went wrong, in one line, without the statement and its values."""
    cause = getattr(error, "orig", None) or error
    return (str(cause).strip() or type(cause).__name__).splitlines()[0]
