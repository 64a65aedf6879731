"""The Parquet files of a local store: written whole, found again, removed when no reader can be at them."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from typing import TYPE_CHECKING, Final

import polars as pl

from collector.store.catalog import Catalog, StoredFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date
    from pathlib import Path

    from sensor.spool_format import Run

GROUP_ROWS: Final = 65_536
"""Rows of a row group: what is passed over, or read, as one."""

LEVEL_APPENDED: Final = 1
"""How hard zstd tries with rows as they come: they will be written again, with others, when files are merged."""

LEVEL_MERGED: Final = 3
"""The same of merged files, a tenth smaller at two fifths more time."""

DAYS_PER_APPEND: Final = 32
"""Rows of more days than these are filed together under their first day: a capture with wild clocks must not make a file a row.

Times are found by the catalogue, not by the name of the folder, so that answers stay right.
"""

_DRAFT: Final = ".draft"


def by_day(rows: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """The rows by day (UTC) of their `ts`, as yyyy-mm-dd."""
    days = rows.select(pl.col("ts").dt.date().alias("day"))
    distinct: list[date] = days["day"].unique().sort().to_list()
    if len(distinct) == 1 or len(distinct) > DAYS_PER_APPEND:
        yield str(distinct[0]), rows
        return
    for day in distinct:
        yield str(day), rows.filter(days["day"] == day)


def write_file(folder: Path, table: str, day: str, rows: pl.DataFrame, level: int = LEVEL_APPENDED) -> StoredFile:
    """Write rows as a file of the store and put it on the disk. Raises OSError.

    It does not count before the catalogue names it.
    """
    place = folder / table / day
    _make(place, folder)
    name = f"{secrets.token_hex(12)}.parquet"
    draft = place / (name + _DRAFT)
    try:
        rows.write_parquet(draft, compression="zstd", compression_level=level, row_group_size=GROUP_ROWS, statistics=True)
        _sync(draft)
        draft.replace(place / name)
        _sync(place)
    except BaseException:
        for leftover in (draft, place / name):
            with contextlib.suppress(OSError):
                leftover.unlink()
        raise
    times = rows.select(pl.col("ts").min().dt.epoch("ns").alias("first"), pl.col("ts").max().dt.epoch("ns").alias("last")).row(0)
    columns = "\n".join(f"{column} {kind}" for column, kind in rows.schema.items())
    size = (place / name).stat().st_size
    return StoredFile(
        f"{table}/{day}/{name}", table, day, columns, rows.height, size, int(times[0]), int(times[1]), _extents(rows)
    )


def sweep(folder: Path, catalog: Catalog, query_seconds: float) -> None:
    """Remove files that were struck off so long ago that no query can still read them."""
    names = catalog.discarded(time.time() - 2 * query_seconds)
    if names:
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                (folder / name).unlink()
        catalog.forget(names)


def remove_orphans(folder: Path, catalog: Catalog) -> int:
    """Remove files that a crash left behind before they counted; returns how many. Only for the one process that appends."""
    known = catalog.names()
    removed = 0
    for path in [*folder.glob("*/*/*.parquet"), *folder.glob(f"*/*/*{_DRAFT}")]:
        if path.relative_to(folder).as_posix() not in known:
            path.unlink()
            removed += 1
    return removed


def _extents(rows: pl.DataFrame) -> dict[Run, tuple[int, int]]:
    """By run the lowest and highest sequence."""
    found = rows.group_by("sensor", "epoch").agg(pl.col("sequence").min().alias("first"), pl.col("sequence").max().alias("last"))
    return {(str(sensor), str(epoch)): (int(first), int(last)) for sensor, epoch, first, last in found.rows()}


def _make(place: Path, folder: Path) -> None:
    """Make a folder and those above it down to the store's, each on the disk before a file lies in it."""
    if place.is_dir():
        return
    for path in (place.parent, place):
        path.mkdir(mode=0o700, exist_ok=True)
    for path in (folder, place.parent):
        _sync(path)


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
