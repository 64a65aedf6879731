"""Backups: one file with every row of every table, written in one state and read back whole or not at all.

A backup is a zip archive: `manifest.json`, for each table `<table>.jsonl` with a row on each line, and the files of evidence that
rows name. It does not depend on the back end: what SQLite held can be restored into PostgreSQL and the other way round. What an
older version wrote is brought up.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
import zlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from api.custody.files import FILE, put_back
from api.database import MIGRATIONS, UnusableDatabaseError, first_line, migration
from api.database.schema import METADATA
from sensor import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from api.database import Database

FORMAT: Final = 1
"""Version of the archive's own layout."""

ROWS: Final = 1000
"""Rows that are held at a time."""

LINE_BYTES: Final = 16 * 1024 * 1024
"""Longest row that is read."""

MANIFEST: Final = "manifest.json"

MANIFEST_BYTES: Final = 1024 * 1024
"""Longest manifest that is read."""

_KINDS: Final[dict[str, Any]] = {
    "json": sa.JSON(),
    "boolean": sa.Boolean(),
    "integer": sa.BigInteger(),
    "real": sa.Double(),
    "text": sa.Text(),
}
"""Kinds of columns, and how they are written."""

_TYPES: Final = (("json", sa.JSON), ("boolean", sa.Boolean), ("integer", sa.Integer), ("real", sa.Float), ("text", sa.String))
"""Kinds of columns, and which types are of them."""


EVIDENCE: Final = "evidence/"
"""Folder of the files of evidence in the archive."""

EVIDENCE_TABLE: Final = "evidence_item"
"""The table whose rows name them."""

PIECE: Final = 1024 * 1024
"""Bytes of a file that are held at a time."""


class BackupError(Exception):
    """A backup cannot be written or restored. The text is one line that says why."""


@dataclass(frozen=True, slots=True)
class Table:
    """What a backup holds of a table.

    Attributes:
        name: its name.
        columns: kind of each column by its name: text, integer, real, boolean or json.
        numbered: the column that the database numbers by itself; None where there is none.
        rows: how many rows there are.
        sha256: of the lines.
    """

    name: str
    columns: dict[str, str]
    numbered: str | None
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class File:
    """A file of evidence in a backup.

    Attributes:
        name: its name in the folder of evidence.
        sha256: of what the backup holds.
        as_taken: whether that is what was taken.
    """

    name: str
    sha256: str
    as_taken: bool


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup is.

    Attributes:
        format: `FORMAT`.
        version: the version of icsight that wrote it.
        schema: the revision of the tables.
        tables: those that others refer to before those that refer to them.
        files: the files of evidence.
        missing: names of those that rows name and that are not there.
    """

    format: int
    version: str
    schema: str
    tables: tuple[Table, ...]
    files: tuple[File, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def damaged(self) -> tuple[str, ...]:
        """Names of the files of evidence that were not as they were taken when the backup was."""
        return (*self.missing, *(file.name for file in self.files if not file.as_taken))


def back_up(database: Database, path: Path, evidence: Path | None = None) -> Manifest:
    """Write a backup of a database that may be in use. It holds password hashes: only its owner can read the file.

    Args:
        database: the database.
        path: the file.
        evidence: folder of the files of evidence; without it none are in the backup.

    Raises BackupError where there is such a file already, or either cannot be used.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # Takes the name, so that no other file is written over.
        path.touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        raise BackupError(f"{path}: there is such a file already: give another name, or move it away") from None
    except OSError as error:
        raise BackupError(f"{path}: cannot be written ({error.strerror})") from error
    whole = False
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                manifest = _write(database, archive, evidence)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync(path.parent)
        whole = True
    except OSError as error:
        raise BackupError(f"{path}: cannot be written ({error.strerror})") from error
    except SQLAlchemyError as error:
        raise BackupError(f"{database.place}: cannot be read ({first_line(error)})") from error
    finally:
        temporary.unlink(missing_ok=True)
        if not whole:
            path.unlink(missing_ok=True)
    return manifest


def read_manifest(path: Path) -> Manifest:
    """The manifest of a backup whose every byte has been looked at.

    Raises BackupError where it cannot be read, is damaged, or is of a newer version.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = _manifest(archive, path)
            for table in manifest.tables:
                rows, digest = 0, hashlib.sha256()
                for line in _lines(archive, table.name):
                    rows += 1
                    digest.update(line)
                if (rows, digest.hexdigest()) != (table.rows, table.sha256):
                    raise BackupError(f"{path}: damaged: table {table.name} is not as it was written; use another backup")
            for file in manifest.files:
                digest = hashlib.sha256()
                for piece in _pieces(archive, file):
                    digest.update(piece)
                if digest.hexdigest() != file.sha256:
                    raise BackupError(f"{path}: damaged: file {file.name} is not as it was written; use another backup")
    except OSError as error:
        raise BackupError(f"{path}: cannot be read ({error.strerror})") from error
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, EOFError, NotImplementedError, zlib.error) as error:
        raise BackupError(f"{path}: damaged, or no backup of icsight ({error}); use another backup") from error
    return manifest


def restore(database: Database, path: Path, evidence: Path | None = None) -> Manifest:
    """Put a backup into an empty database, and bring it to this version: whole, or the database stays empty.

    Args:
        database: the database.
        path: the backup.
        evidence: folder that the files of evidence are put into, before anything counts that names them; those that are there
            stay. Without it they are left.

    Raises BackupError where the backup cannot be used (as `read_manifest` finds before anything is written), or the database
    is not empty or cannot be used.
    """
    manifest = read_manifest(path)
    partitioned, organisation = database.back_end.partitioned, database.scope.organisation
    new = [] if evidence is None else [file for file in manifest.files if not (evidence / file.name).exists()]
    whole = False
    try:
        with database.back_end.migrating() as connection, zipfile.ZipFile(path) as archive:
            database.back_end.lock(connection, MIGRATIONS)
            if sa.inspect(connection).get_table_names():
                raise BackupError(f"{database.place}: holds tables already: restore into an empty database")
            migration.upgrade(connection, manifest.schema, organisation=organisation, partitioned=partitioned)
            for table in manifest.tables:
                _insert(connection, archive, table)
            migration.upgrade(connection, organisation=organisation, partitioned=partitioned)
            if evidence is not None:
                for file in new:
                    put_back(evidence, file.name, _pieces(archive, file))
        whole = True
    except SQLAlchemyError as error:
        raise BackupError(f"{database.place}: cannot be restored into ({first_line(error)})") from error
    except UnusableDatabaseError as error:
        raise BackupError(str(error)) from error
    except OSError as error:
        raise BackupError(f"{error.filename or path}: cannot be read or written ({error.strerror})") from error
    finally:
        if not whole and evidence is not None:
            for file in new:
                (evidence / file.name).unlink(missing_ok=True)
    return manifest


def _write(database: Database, archive: zipfile.ZipFile, evidence: Path | None) -> Manifest:
    with database.back_end.reader.connect() as connection, connection.begin():
        found = migration.revision_of(connection)
        if found is None or found != migration.revisions()[-1]:
            raise BackupError(
                f"{database.place}: its schema is {found or 'none'}, and backups are of {migration.revisions()[-1]}: "
                "start this version of icsight on it once, or use the version that it belongs to"
            )
        tables = tuple(_table(connection, archive, table) for table in METADATA.sorted_tables)
        taken = METADATA.tables[EVIDENCE_TABLE]
        asked = connection.execute(sa.select(taken.c.file, taken.c.sha256).order_by(taken.c.id))
        named = [(str(name), str(sha256)) for name, sha256 in asked]
    # Behind the transaction: what a row names is there, whole, before the row is, and never changes.
    files, missing = _files(archive, evidence, named) if evidence is not None else ((), ())
    manifest = Manifest(FORMAT, __version__, found, tables, files, missing)
    archive.writestr(MANIFEST, json.dumps(asdict(manifest), indent=1))
    return manifest


def _table(connection: sa.Connection, archive: zipfile.ZipFile, table: sa.Table) -> Table:
    rows, digest = 0, hashlib.sha256()
    order = list(table.primary_key.columns)
    with archive.open(f"{table.name}.jsonl", "w", force_zip64=True) as file:
        asked = connection.execution_options(yield_per=ROWS).execute(sa.select(table).order_by(*order))
        for some in asked.partitions():
            lines = "".join(f"{json.dumps(list(row), ensure_ascii=False, separators=(',', ':'))}\n" for row in some).encode()
            file.write(lines)
            digest.update(lines)
            rows += len(some)
    numbered = table.autoincrement_column
    columns = {column.name: _kind(column) for column in table.columns}
    return Table(table.name, columns, None if numbered is None else numbered.name, rows, digest.hexdigest())


def _files(archive: zipfile.ZipFile, folder: Path, named: Sequence[tuple[str, str]]) -> tuple[tuple[File, ...], tuple[str, ...]]:
    """Put the files of evidence into the archive. One that was changed goes in as it is; a backup is no place to lose it."""
    files: list[File] = []
    missing: list[str] = []
    for name, taken in named:
        digest = hashlib.sha256()
        try:
            with (folder / name).open("rb") as source, archive.open(EVIDENCE + name, "w", force_zip64=True) as file:
                while piece := source.read(PIECE):
                    file.write(piece)
                    digest.update(piece)
        except FileNotFoundError:
            missing.append(name)
        else:
            files.append(File(name, digest.hexdigest(), digest.hexdigest() == taken))
    return tuple(files), tuple(missing)


def _pieces(archive: zipfile.ZipFile, file: File) -> Iterator[bytes]:
    with archive.open(EVIDENCE + file.name) as source:
        while piece := source.read(PIECE):
            yield piece


def _kind(column: sa.Column[Any]) -> str:
    for kind, types in _TYPES:
        if isinstance(column.type, types):
            return kind
    raise BackupError(f"column {column} is of a type that backups do not hold")


def _manifest(archive: zipfile.ZipFile, path: Path) -> Manifest:
    if archive.getinfo(MANIFEST).file_size > MANIFEST_BYTES:
        raise ValueError("the manifest is too long")
    content = json.loads(archive.read(MANIFEST))
    known = migration.revisions()
    if content["format"] != FORMAT or content["schema"] not in known:
        raise BackupError(
            f"{path}: written by icsight {content['version']}, which is newer (format {content['format']}, "
            f"schema {content['schema']}; this one knows {FORMAT} and up to {known[-1]}): use that version; nothing was changed"
        )
    tables = tuple(Table(**each) for each in content["tables"])
    if any(kind not in _KINDS for table in tables for kind in table.columns.values()):
        raise ValueError("a column is of no kind")
    files = tuple(File(**each) for each in content.get("files", ()))
    missing = tuple(map(str, content.get("missing", ())))
    if any(FILE.fullmatch(name) is None for name in (*(file.name for file in files), *missing)):
        raise ValueError("a file has a name that none of evidence has")
    return Manifest(content["format"], content["version"], content["schema"], tables, files, missing)


def _lines(archive: zipfile.ZipFile, table: str) -> Iterator[bytes]:
    with archive.open(f"{table}.jsonl") as file:
        while line := file.readline(LINE_BYTES):
            if not line.endswith(b"\n"):
                raise ValueError(f"a row of table {table} has no end")
            yield line


def _insert(connection: sa.Connection, archive: zipfile.ZipFile, table: Table) -> None:
    names = list(table.columns)
    into = sa.table(table.name, *(sa.column(name, _KINDS[kind]) for name, kind in table.columns.items()))
    connection.execute(sa.delete(into))
    some: list[dict[str, Any]] = []
    for line in _lines(archive, table.name):
        some.append(dict(zip(names, json.loads(line), strict=True)))
        if len(some) == ROWS:
            connection.execute(into.insert(), some)
            some = []
    if some:
        connection.execute(into.insert(), some)
    if table.numbered is not None and table.rows and connection.dialect.name == "postgresql":
        highest = sa.select(sa.func.max(sa.column(table.numbered, sa.BigInteger()))).select_from(into).scalar_subquery()
        connection.execute(sa.select(sa.func.setval(sa.func.pg_get_serial_sequence(table.name, table.numbered), highest)))


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
