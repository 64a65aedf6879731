"""Merging the many small files of live traffic into few large ones.

Files of one table and day with the same columns are grouped by size, each class `merge_files` times the one below. A class with
enough files is merged into one file of the next, so that a row is rewritten a few times in its life, whatever the rate. Once a
table has rows of a later day, what is left of the day before is merged as well.
"""

from __future__ import annotations

from itertools import groupby
from math import log
from typing import TYPE_CHECKING, TypeVar

import polars as pl

from collector.records import IDENTITY_TYPES
from collector.store.files import LEVEL_MERGED, write_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from collector.settings import StoreSettings
    from collector.store.catalog import Catalog, StoredFile

_Key = TypeVar("_Key", str, int, tuple[str, str, str])


def merge_small(folder: Path, catalog: Catalog, settings: StoreSettings) -> int:
    """Merge one set of files, if there is one; returns how many files it had. Raises OSError, StoreError."""
    chosen = choose(catalog.files(), settings)
    if not chosen:
        return 0
    frames = [pl.read_parquet(folder / file.name, glob=False) for file in chosen]
    rows = pl.concat(frames).sort(*IDENTITY_TYPES)
    merged = write_file(folder, chosen[0].table, chosen[0].day, rows, LEVEL_MERGED)
    with catalog.transaction():
        catalog.strike(file.name for file in chosen)
        catalog.add(merged)
    return len(chosen)


def choose(files: Sequence[StoredFile], settings: StoreSettings) -> list[StoredFile]:
    """The files to merge next, oldest day first; none where there is nothing to gain."""
    small = [file for file in files if file.rows < settings.file_rows and file.bytes < settings.file_bytes]
    newest = {table: max(file.day for file in of_table) for table, of_table in _grouped(files, lambda file: file.table)}
    # Files of other columns or types, as before and after an update, are left apart: some cannot be put together.
    for (table, _, _), of_day in _grouped(small, lambda file: (file.table, file.day, file.columns)):
        settled = of_day[0].day < newest[table]
        if settled:
            chosen = _fitting(of_day, settings)
            if len(chosen) > 1:
                return chosen
            continue
        for _, of_size in _grouped(of_day, lambda file: int(log(max(file.rows, 1), settings.merge_files))):
            if len(of_size) >= settings.merge_files:
                chosen = _fitting(of_size, settings)
                if len(chosen) > 1:
                    return chosen
    return []


def _fitting(files: Sequence[StoredFile], settings: StoreSettings) -> list[StoredFile]:
    """The smallest of them that make a file within bounds together."""
    chosen: list[StoredFile] = []
    rows = size = 0
    for file in sorted(files, key=lambda file: (file.rows, file.first, file.name)):
        rows += file.rows
        size += file.bytes
        if chosen and (rows > settings.file_rows or size > settings.file_bytes):
            break
        chosen.append(file)
    return chosen


def _grouped(files: Iterable[StoredFile], key: Callable[[StoredFile], _Key]) -> list[tuple[_Key, list[StoredFile]]]:
    return [(value, list(group)) for value, group in groupby(sorted(files, key=key), key)]
