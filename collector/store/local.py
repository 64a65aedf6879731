"""`LocalRecordStore`: Parquet files by table and day, a catalogue beside them, DuckDB to ask them.

    records/catalog.db                            which files count (`collector.store.catalog`)
    records/lock                                  held by the one process that appends
    records/<table>/<yyyy-mm-dd>/<name>.parquet   rows, zstd

An append writes whole files under names of their own, puts them on the disk, and then names them in one transaction together
with the consumer's position. Small files are merged into larger ones in the same way (`collector.store.merge`). A file that no
transaction names is no part of the store; those that a crash left behind are removed by the next process that appends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from typing import TYPE_CHECKING, Final

import polars as pl

from collector.records import IDENTITY_TYPES, identified, plain, reason_of
from collector.settings import StoreSettings
from collector.store import Appended, Groups, Identity, Page, Query, RecordBatch, Stored, StoreError, Unstorable
from collector.store.catalog import Catalog, StoredFile
from collector.store.files import by_day, remove_orphans, sweep, write_file
from collector.store.groups import compile_groups, schema
from collector.store.merge import merge_small
from collector.store.query import compile_query, cursor_behind, kinds, nanoseconds
from collector.store.sql import SqlSession
from collector.store.views import relation
from collector.stream import Position
from sensor.configuration import configured
from sensor.tables import TABLES, polars_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from collector.store import Grouping
    from sensor.spool_format import Run


class LocalRecordStore:
    """Records of one machine as a `collector.store.RecordStore`.

    Args:
        folder: folder of the store, made where it is missing.
        writer: whether this process appends; one may, the others read at the same time.
        settings: bounds; from the environment where none are given.

    Raises:
        StoreError: the folder cannot be used, is of a newer version, or has another writer.
    """

    def __init__(self, folder: Path, *, writer: bool = False, settings: StoreSettings | None = None) -> None:
        self.folder: Final = folder
        self.settings: Final = settings or configured(StoreSettings)
        self._lock = -1
        self._turn = threading.Lock()
        """Held while files are written and named: appending, merging and retention take turns."""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if writer:
                self._lock = _take_lock(folder)
        except OSError as error:
            raise StoreError(f"{folder}: cannot be written ({error.strerror}): give a folder that this user owns") from error
        self._catalog = Catalog(folder / "catalog.db")
        self._sql = SqlSession(folder, self.settings)
        self._views = threading.Lock()
        self._shown = -1
        if writer:
            remove_orphans(folder, self._catalog)

    def append(self, batches: Iterable[RecordBatch], *, consumer: str = "", position: Position | None = None) -> Appended:
        """As `RecordStore.append`."""
        self._check_writer()
        with self._turn:
            return self._append(batches, consumer, position)

    def _append(self, batches: Iterable[RecordBatch], consumer: str, position: Position | None) -> Appended:
        new: dict[str, list[RecordBatch]] = {}
        taken: dict[Run, set[int]] = {}
        repeated = 0
        for batch in batches:
            run, sequence = batch.header.run, batch.header.sequence
            if sequence in taken.get(run, ()) or self._catalog.holds(run, sequence):
                repeated += 1
                continue
            taken.setdefault(run, set()).add(sequence)
            if batch.rows.height:
                new.setdefault(batch.header.table, []).append(batch)
        written: list[StoredFile] = []
        try:
            for table, parts in new.items():
                for day, part in _by_day(parts):
                    written.append(write_file(self.folder, table, day, part))
        except (OSError, pl.exceptions.PolarsError, Unstorable) as error:
            for file in written:
                with contextlib.suppress(OSError):
                    (self.folder / file.name).unlink()
            if isinstance(error, Unstorable):
                raise
            raise StoreError(f"{self.folder}: records cannot be stored ({error}): check the disk; nothing was stored") from error
        # Where this fails nobody knows whether the files count; the next process that appends removes them if they do not.
        with self._catalog.transaction():
            for file in written:
                self._catalog.add(file)
            for run, sequences in taken.items():
                self._catalog.hold(run, sequences)
            if consumer and position is not None:
                self._catalog.stand(consumer, position.to_json())
        return Appended(sum(map(len, taken.values())), sum(file.rows for file in written), repeated)

    def merge(self) -> int:
        """Merge one set of small files into one, if there are enough of them; returns how many. Also removes files merged before.

        Takes no longer than writing one file of `settings.file_rows` rows. Raises StoreError.
        """
        self._check_writer()
        try:
            with self._turn:
                sweep(self.folder, self._catalog, self.settings.query_seconds)
                return merge_small(self.folder, self._catalog, self.settings)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise StoreError(f"{self.folder}: files cannot be merged ({error}): check the disk; nothing is lost") from error

    def position(self, consumer: str) -> Position | None:
        """As `RecordStore.position`."""
        text = self._catalog.position(consumer)
        try:
            return None if text is None else Position.from_json(text)
        except ValueError as error:
            raise StoreError(f"{self.folder}: position of {consumer}: {error}: restore the folder from a copy") from error

    def check(self) -> None:
        """As `RecordStore.check`."""
        if not self.folder.is_dir() or self._catalog.generation < 0:
            raise StoreError(f"{self.folder}: there is no such folder any more: look at the disk")

    def holds(self, run: Run, sequence: int) -> bool:
        """As `RecordStore.holds`."""
        return self._catalog.holds(run, sequence)

    def query(self, query: Query) -> Page:
        """As `RecordStore.query`."""
        known = kinds(query.table)
        since = None if query.since is None else nanoseconds(query.since)
        until = None if query.until is None else nanoseconds(query.until) - 1
        files = self._catalog.files(query.table, since, until)
        statement, values = compile_query(query, f"({relation(self.folder, query.table, files)})")
        found = self._sql.run(statement, values, query.limit + 1, seconds=query.seconds)
        rows = found.head(query.limit)
        cursor = None
        if found.height > query.limit:
            last = rows.tail(1).with_columns(pl.selectors.datetime().dt.epoch("ns"))
            cursor = cursor_behind(query, last.to_dicts()[0])
        asked = [*(query.columns or known), *(name for name in IDENTITY_TYPES if name not in (query.columns or known))]
        return Page(rows.select(_typed(query.table, column) for column in asked), cursor)

    def groups(self, grouping: Grouping) -> Groups:
        """As `RecordStore.groups`."""
        columns = schema(grouping)
        since = None if grouping.since is None else nanoseconds(grouping.since)
        until = None if grouping.until is None else nanoseconds(grouping.until) - 1
        files = self._catalog.files(grouping.table, since, until)
        statement, values = compile_groups(grouping, f"({relation(self.folder, grouping.table, files)})")
        found = self._sql.run(statement, values, grouping.limit + 1, seconds=grouping.seconds)
        rows = found.head(grouping.limit).select(pl.col(name).cast(kind) for name, kind in columns.items())
        return Groups(rows, more=found.height > grouping.limit)

    def records(self, identities: Iterable[Identity]) -> Mapping[Identity, Mapping[str, object]]:
        """As `RecordStore.records`."""
        asked = list(dict.fromkeys(identities))
        wanted: dict[str, tuple[StoredFile, list[Identity]]] = {}
        places: dict[tuple[Run, int], list[StoredFile]] = {}
        for identity in asked:
            place = (identity.sensor, identity.epoch), identity.sequence
            if place not in places:
                places[place] = self._catalog.candidates(*place)
            for file in places[place]:
                wanted.setdefault(file.name, (file, []))[1].append(identity)
        found: dict[Identity, Mapping[str, object]] = {}
        for file, sought in wanted.values():
            for record in self._rows(file, [identity for identity in sought if identity not in found]):
                key = Identity(str(record["sensor"]), str(record["epoch"]), int(str(record["sequence"])), int(str(record["row"])))
                found[key] = {"table": file.table, **record}
        return {identity: found[identity] for identity in asked if identity in found}

    def sql(self, select: str, *, max_rows: int | None = None, first: int | None = None) -> pl.DataFrame:
        """As `RecordStore.sql`."""
        self._show()
        return self._sql.ask(select, min(max_rows or self.settings.query_rows, self.settings.query_rows), first)

    def tables(self) -> Sequence[Stored]:
        """As `RecordStore.tables`."""
        return [self._catalog.summary(table) for table in TABLES]

    def retain(self, *, before: datetime | None = None, max_bytes: int | None = None) -> int:
        """As `RecordStore.retain`."""
        self._check_writer()
        with self._turn:
            return self._retain(before, max_bytes)

    def _retain(self, before: datetime | None, max_bytes: int | None) -> int:
        files = self._catalog.files()
        oldest_first = list(reversed(files))
        gone: dict[str, StoredFile] = {}
        if before is not None:
            moment = nanoseconds(before)
            gone |= {file.name: file for file in oldest_first if file.last < moment}
        if max_bytes is not None:
            size = sum(file.bytes for file in files if file.name not in gone)
            for file in oldest_first:
                if size <= max_bytes:
                    break
                if file.name not in gone:
                    gone[file.name] = file
                    size -= file.bytes
        if gone:
            with self._catalog.transaction():
                self._catalog.strike(gone)
            sweep(self.folder, self._catalog, self.settings.query_seconds)
        return sum(file.rows for file in gone.values())

    def close(self) -> None:
        """As `RecordStore.close`."""
        self._sql.close()
        self._catalog.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _rows(self, file: StoredFile, sought: Sequence[Identity]) -> list[dict[str, object]]:
        """The records of one file that are sought, as plain values."""
        if not sought:
            return []
        sequences = sorted({identity.sequence for identity in sought})
        keys = pl.DataFrame(sought, schema=dict(IDENTITY_TYPES), orient="row")
        rows = (
            pl.scan_parquet(self.folder / file.name, glob=False)
            .filter(
                pl.col("sequence").is_between(sequences[0], sequences[-1]),
                pl.col("sequence").is_in(sequences),
                pl.col("row").is_in(sorted({identity.row for identity in sought})),
            )
            .collect()
            .join(keys, on=list(IDENTITY_TYPES), how="semi")
        )
        return plain(rows)

    def _show(self) -> None:
        """Make the views of the SQL session those of the catalogue as it is now."""
        with self._views:
            generation = self._catalog.generation
            if generation == self._shown:
                return
            for table in TABLES:
                self._sql.define(table, relation(self.folder, table, self._catalog.files(table)))
            self._shown = generation

    def _check_writer(self) -> None:
        if self._lock < 0:
            raise StoreError(f"{self.folder}: opened for reading only")


def _by_day(parts: Sequence[RecordBatch]) -> list[tuple[str, pl.DataFrame]]:
    """The rows of batches of one table by day. Raises Unstorable."""
    try:
        return list(by_day(identified(parts)))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise Unstorable(f"rows of table {parts[0].header.table} cannot be stored: {reason_of(error)}") from error


def _typed(table: str, column: str) -> pl.Expr:
    """A column of an answer in the type that its table declares, names and choices as text."""
    wanted = IDENTITY_TYPES.get(column) or polars_type(kinds(table)[column])
    expression = pl.col(column)
    return expression.cast(pl.String() if isinstance(wanted, pl.Categorical) else wanted)


def _take_lock(folder: Path) -> int:
    """Take the lock of the one process that appends. Raises StoreError."""
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise StoreError(f"{folder}: another process appends to it already: stop that one first") from error
    return lock
