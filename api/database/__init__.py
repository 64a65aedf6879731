"""The SQL database: one engine, short transactions, migrations that run at the start.

SQLite in WAL mode here; nothing is used that PostgreSQL could not do. Times are nanoseconds since 1970 (UTC) in 64-bit integers,
as in the records. All writes go through `write`, which takes the write lock at once, so that a read that turns into a write
cannot fail.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy import event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Generator
    from pathlib import Path

Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""A 64-bit integer that can number rows by itself (SQLite numbers only columns of type INTEGER)."""

BUSY_SECONDS: Final = 10.0
"""How long a transaction waits for another process's write."""

QUERY_SECONDS: Final = 10.0
"""How long a session that reads may work where nothing else is set."""

_PROGRESS_STEPS: Final = 20_000
"""SQLite steps between two looks at the clock of a limited query: well under a millisecond."""


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


class Counter(Base):
    """Numbers that rise by one: `change` of alerts, `audit` of audit entries. The row's lock puts concurrent writers in order."""

    __tablename__ = "counter"

    name: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    value: Mapped[int]


def advance(session: Session, name: str, by: int = 1) -> int:
    """Raise a counter and return its new value. Until the transaction ends no other can."""
    statement = sa.update(Counter).where(Counter.name == name).values(value=Counter.value + by).returning(Counter.value)
    return session.execute(statement).scalar_one()


class Database:
    """The database of one system. Raises OSError or SQLAlchemyError where it cannot be opened.

    Args:
        path: the SQLite file; made where it is missing, readable by its owner only.
        query_seconds: how long a session that reads may work.
    """

    def __init__(self, path: Path, query_seconds: float = QUERY_SECONDS) -> None:
        self._query_seconds = query_seconds
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=True)
        self.engine: Final = sa.create_engine(
            f"sqlite:///{path}", connect_args={"timeout": BUSY_SECONDS}, pool_size=8, max_overflow=56
        )
        event.listen(self.engine, "connect", _configure)
        event.listen(self.engine, "begin", _begin)
        self._writer = self.engine.execution_options(icsight_write=True)

    def migrate(self) -> None:
        """Bring the schema to this version. Each migration happens whole or not at all."""
        configuration = Config()
        configuration.set_main_option("script_location", str(files("api.database") / "migrations"))
        with self._writer.begin() as connection:
            configuration.attributes["connection"] = connection
            command.upgrade(configuration, "head")

    @contextmanager
    def read(self, *, unlimited: bool = False) -> Generator[Session]:
        """A session that sees one consistent state.

        A query past the limit ends with OperationalError; `unlimited` is for what must look at everything.
        """
        with Session(self.engine) as session:
            if unlimited:
                yield session
                return
            with _limited(session, self._query_seconds):
                yield session

    @contextmanager
    def write(self) -> Generator[Session]:
        """A session whose changes happen together at the end of the block, or not at all if it raises."""
        with Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()


@contextmanager
def _limited(session: Session, limit_seconds: float) -> Generator[None]:
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
    writes = connection.get_execution_options().get("icsight_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
