"""The files of a table as SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from collector.store.query import kinds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from collector.store.catalog import StoredFile
    from sensor.tables import Kind

SQL_TYPES: Final[Mapping[Kind, str]] = {
    "timestamp": "TIMESTAMPTZ_NS",
    "duration": "BIGINT",
    "choice": "VARCHAR",
    "name": "VARCHAR",
    "text": "VARCHAR",
    "bool": "BOOLEAN",
    "u8": "UTINYINT",
    "u16": "USMALLINT",
    "u32": "UINTEGER",
    "u64": "UBIGINT",
    "f64": "DOUBLE",
    "binary": "BLOB",
    "list<u16>": "USMALLINT[]",
    "list<text>": "VARCHAR[]",
    "list<file_record>": 'STRUCT("file" USMALLINT, "record" USMALLINT, "length" USMALLINT, "data" BLOB)[]',
    "list<device_object>": 'STRUCT("object" UTINYINT, "value" VARCHAR)[]',
    "list<counter>": 'STRUCT("name" VARCHAR, "count" UBIGINT)[]',
}
"""What a column is in SQL, by kind. Durations are nanoseconds."""


def relation(folder: Path, table: str, files: Sequence[StoredFile]) -> str:
    """SQL that selects all rows of these files, with all columns of the table."""
    columns = ", ".join(f'NULL::{SQL_TYPES[kind]} AS "{name}"' for name, kind in kinds(table).items())
    nothing = f"SELECT {columns} WHERE false"
    if not files:
        return nothing
    names = ", ".join("'" + str((folder / file.name).resolve()).replace("'", "''") + "'" for file in files)
    # Files of older sensors may lack a column; looking into each file for that is slow, so only where they differ.
    differ = str(len({file.columns for file in files}) > 1).lower()
    rows = f"SELECT * FROM read_parquet([{names}], union_by_name = {differ}, hive_partitioning = false)"  # noqa: S608 - our own names
    return rows if _complete(table, files) else f"{rows} UNION ALL BY NAME {nothing}"


def _complete(table: str, files: Sequence[StoredFile]) -> bool:
    """Whether the files have all columns of the table, in one of them or another."""
    present = {line.split(" ", 1)[0] for file in files for line in file.columns.splitlines()}
    return present.issuperset(kinds(table))
