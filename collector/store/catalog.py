"""The catalogue of a local store: which files count, which batches they hold, and where consumers stand.

An SQLite database beside the files. A Parquet file counts from the moment the transaction that names it is committed, and no
longer once another has struck it off, so that no reader ever sees a batch twice or half, whatever moment the process dies at.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from collector.store import Stored, StoreError
from collector.store.intervals import intervals

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence
    from pathlib import Path

    from sensor.spool_format import Run

FORMAT_VERSION: Final = 1
"""Version of the tables below. A catalogue of a newer version is refused and not touched."""

_BUSY_SECONDS: Final = 30.0

_SCHEMA: Final = """
CREATE TABLE run (id INTEGER PRIMARY KEY, sensor TEXT NOT NULL, epoch TEXT NOT NULL, UNIQUE (sensor, epoch));
CREATE TABLE held (run INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (run, first))
    WITHOUT ROWID;
CREATE TABLE file (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, record_table TEXT NOT NULL, day TEXT NOT NULL, columns TEXT NOT NULL,
    rows INTEGER NOT NULL, bytes INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL);
CREATE INDEX file_by_time ON file (record_table, last);
CREATE TABLE extent (
    run INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, file INTEGER NOT NULL, PRIMARY KEY (run, first, last,
    file)
) WITHOUT ROWID;
CREATE INDEX extent_by_file ON extent (file);
CREATE TABLE discarded (name TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE stand (consumer TEXT PRIMARY KEY, position TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE generation (number INTEGER NOT NULL);
INSERT INTO generation VALUES (0);
"""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A Parquet file of the store.

    Attributes:
        name: path below the store's folder.
        table: record table.
        day: day it is filed under.
        columns: its columns and their types, as text; equal text, equal columns.
        rows: rows.
        bytes: size.
        first: earliest `ts`, nanoseconds since 1970.
        last: latest `ts`.
        extents: by run the lowest and highest sequence in it.
    """

    name: str
    table: str
    day: str
    columns: str
    rows: int
    bytes: int
    first: int
    last: int
    extents: dict[Run, tuple[int, int]]


class Catalog:
    """The catalogue in a folder. Safe from any thread; other processes may read at the same time.

    Args:
        path: the database; made where it is missing.

    Raises:
        StoreError: it cannot be opened, or is of a newer version.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = threading.RLock()
        try:
            self._database = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            # Before anything is set: that would change the file of a newer version.
            version = self._number("PRAGMA user_version")
            if version <= FORMAT_VERSION:
                self._database.execute("PRAGMA journal_mode = WAL")
                self._database.execute("PRAGMA synchronous = FULL")
            if version == 0:
                with self.transaction():
                    if self._number("PRAGMA user_version") == 0:
                        for statement in filter(str.strip, _SCHEMA.split(";")):
                            self._database.execute(statement)
                        self._database.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
        except sqlite3.Error as error:
            raise StoreError(f"{path}: cannot be opened ({error}): check that this user owns the data folder") from error
        if version > FORMAT_VERSION:
            self._database.close()
            raise StoreError(
                f"{path}: written by a newer version (format {version}, this one reads {FORMAT_VERSION}): update icsight"
            )

    @contextmanager
    def transaction(self) -> Generator[None]:
        """All changes within, or none. Raises StoreError where the database cannot be written."""
        with self._turn:
            try:
                self._database.execute("BEGIN IMMEDIATE")
                try:
                    yield
                    self._database.execute("COMMIT")
                except BaseException:
                    if self._database.in_transaction:
                        self._database.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise StoreError(f"{self._path}: cannot be written ({error}): check the disk; nothing was stored") from error

    @property
    def generation(self) -> int:
        """Rises whenever the list of files changes."""
        return self._number("SELECT number FROM generation")

    def holds(self, run: Run, sequence: int) -> bool:
        """Whether a batch is stored, or was until retention removed it."""
        found = self._rows(
            "SELECT last FROM held JOIN run ON run.id = held.run WHERE sensor = ? AND epoch = ? AND first <= ? "
            "ORDER BY first DESC LIMIT 1",
            (*run, sequence),
        )
        return bool(found) and int(str(found[0][0])) >= sequence

    def hold(self, run: Run, sequences: Iterable[int]) -> None:
        """Remember batches as stored. Within a transaction."""
        number = self._run(run)
        for first, last in intervals(sequences):
            reach = self._rows(
                "SELECT min(first), max(last) FROM held WHERE run = ? AND first <= ? AND last >= ?", (number, last + 1, first - 1)
            )[0]
            joined = (first, last) if reach[0] is None else (min(first, int(str(reach[0]))), max(last, int(str(reach[1]))))
            self._database.execute("DELETE FROM held WHERE run = ? AND first BETWEEN ? AND ?", (number, *joined))
            self._database.execute("INSERT INTO held VALUES (?, ?, ?)", (number, *joined))

    def add(self, file: StoredFile) -> None:
        """Let a file count. Within a transaction."""
        cursor = self._database.execute(
            "INSERT INTO file (name, record_table, day, columns, rows, bytes, first, last) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (file.name, file.table, file.day, file.columns, file.rows, file.bytes, file.first, file.last),
        )
        for run, (first, last) in file.extents.items():
            self._database.execute("INSERT INTO extent VALUES (?, ?, ?, ?)", (self._run(run), first, last, cursor.lastrowid))
        self._database.execute("UPDATE generation SET number = number + 1")

    def strike(self, names: Iterable[str]) -> None:
        """Let files count no longer; they are removed once no reader can still be at them. Within a transaction."""
        now = time.time()
        for name in names:
            self._database.execute("DELETE FROM extent WHERE file = (SELECT id FROM file WHERE name = ?)", (name,))
            self._database.execute("DELETE FROM file WHERE name = ?", (name,))
            self._database.execute("INSERT INTO discarded VALUES (?, ?)", (name, now))
        self._database.execute("UPDATE generation SET number = number + 1")

    def discarded(self, before: float) -> list[str]:
        """Files struck off before a time (seconds since 1970)."""
        return [str(name) for (name,) in self._rows("SELECT name FROM discarded WHERE at < ?", (before,))]

    def forget(self, names: Iterable[str]) -> None:
        """Files struck off have been removed."""
        with self.transaction():
            self._database.executemany("DELETE FROM discarded WHERE name = ?", [(name,) for name in names])

    def names(self) -> set[str]:
        """All files that count or still have to be removed."""
        return {str(name) for (name,) in self._rows("SELECT name FROM file UNION SELECT name FROM discarded")}

    def files(self, table: str | None = None, first: int | None = None, last: int | None = None) -> list[StoredFile]:
        """Files of a table (of all) with rows between two times, latest rows first; without their extents."""
        conditions, values = ["1"], list[str | float | None]()
        for condition, value in (("record_table = ?", table), ("last >= ?", first), ("first <= ?", last)):
            if value is not None:
                conditions.append(condition)
                values.append(value)
        rows = self._rows(
            "SELECT name, record_table, day, columns, rows, bytes, first, last FROM file "  # noqa: S608 - the conditions are those above
            f"WHERE {' AND '.join(conditions)} ORDER BY last DESC, name",
            values,
        )
        return [_file(row) for row in rows]

    def candidates(self, run: Run, sequence: int) -> list[StoredFile]:
        """Files that may hold a batch."""
        rows = self._rows(
            "SELECT name, record_table, day, columns, rows, bytes, file.first, file.last FROM extent "
            "JOIN run ON run.id = extent.run JOIN file ON file.id = extent.file "
            "WHERE sensor = ? AND epoch = ? AND extent.first <= ? AND extent.last >= ?",
            (*run, sequence, sequence),
        )
        return [_file(row) for row in rows]

    def extents(self, name: str) -> dict[Run, tuple[int, int]]:
        """By run the lowest and highest sequence in a file."""
        rows = self._rows(
            "SELECT sensor, epoch, extent.first, extent.last FROM extent JOIN run ON run.id = extent.run "
            "JOIN file ON file.id = extent.file WHERE name = ?",
            (name,),
        )
        return {(str(sensor), str(epoch)): (int(str(first)), int(str(last))) for sensor, epoch, first, last in rows}

    def summary(self, table: str) -> Stored:
        """What is stored of a table."""
        rows, size, first, last = self._rows(
            "SELECT coalesce(sum(rows), 0), coalesce(sum(bytes), 0), min(first), max(last) FROM file WHERE record_table = ?",
            (table,),
        )[0]
        times = [None if value is None else int(str(value)) for value in (first, last)]
        return Stored(table, int(str(rows)), int(str(size)), *times)

    def position(self, consumer: str) -> str | None:
        """Where a consumer stands."""
        found = self._rows("SELECT position FROM stand WHERE consumer = ?", (consumer,))
        return str(found[0][0]) if found else None

    def stand(self, consumer: str, position: str) -> None:
        """Remember where a consumer stands. Within a transaction."""
        self._database.execute("INSERT OR REPLACE INTO stand VALUES (?, ?)", (consumer, position))

    def close(self) -> None:
        """Let go of the database."""
        with self._turn:
            self._database.close()

    def _run(self, run: Run) -> int:
        self._database.execute("INSERT OR IGNORE INTO run (sensor, epoch) VALUES (?, ?)", run)
        return int(str(self._rows("SELECT id FROM run WHERE sensor = ? AND epoch = ?", run)[0][0]))

    def _number(self, statement: str) -> int:
        return int(str(self._rows(statement)[0][0]))

    def _rows(self, statement: str, values: Sequence[str | float | None] = ()) -> list[tuple[object, ...]]:
        with self._turn:
            try:
                return self._database.execute(statement, tuple(values)).fetchall()
            except sqlite3.Error as error:
                raise StoreError(
                    f"{self._path}: cannot be read ({error}): check the disk, or restore the folder from a copy"
                ) from error


def _file(row: tuple[object, ...]) -> StoredFile:
    name, table, day, columns = map(str, row[:4])
    rows, size, first, last = (int(str(value)) for value in row[4:])
    return StoredFile(name, table, day, columns, rows, size, first, last, {})
