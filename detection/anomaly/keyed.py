"""Frames with one row for each key, in order of the key.

A step looks at few things of many. In such a frame the few are found and renewed without a look at the others, so that what a
step costs follows from what came, and from what is held only as a copy does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

KEY: Final = "key"
"""Name of the column."""


@dataclass(frozen=True, slots=True)
class Groups:
    """Rows in order of their key, those of one key in the order in which they came.

    Attributes:
        rows: the rows.
        first: where each key begins.
        sizes: how many rows each has.
        placed: whether a column of the rows, PLACE, tells in which order they came, which was another.
    """

    rows: pl.DataFrame
    first: NDArray[np.int64]
    sizes: NDArray[np.int64]
    placed: bool

    def only(self, wanted: NDArray[np.bool_]) -> Groups:
        """Without the rows of the keys that are not wanted."""
        if wanted.all():
            return self
        sizes = self.sizes[wanted]
        rows = self.rows.filter(pl.Series(np.repeat(wanted, self.sizes)))
        return Groups(rows, sizes.cumsum() - sizes, sizes, self.placed)

    def in_order(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Some of the rows, with what was added to them, in the order in which they came."""
        return rows.sort(PLACE).drop(PLACE) if self.placed else rows


PLACE: Final = "place"
"""Name of the column of `Groups.rows` with their order before."""


def groups(rows: pl.DataFrame) -> Groups:
    """Rows in order of their key. Rows that are so already, as most are, are only looked at."""
    keys = rows.get_column(KEY).to_numpy()
    placed = bool((keys[1:] < keys[:-1]).any())
    if placed:
        rows = rows.with_row_index(PLACE).sort(KEY, maintain_order=True)
        keys = rows.get_column(KEY).to_numpy()
    first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]][: len(keys)])
    return Groups(rows, first, np.diff(np.r_[first, len(keys)]), placed)


def places(known: pl.DataFrame, keys: pl.Series) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Where each key stands, or would stand, and whether it is there."""
    held = known.get_column(KEY).to_numpy()
    asked = keys.to_numpy()
    at = np.searchsorted(held, asked)
    there = np.zeros(len(asked), np.bool_)
    inside = at < len(held)
    there[inside] = held[at[inside]] == asked[inside]
    return at, there


def rows_of(known: pl.DataFrame, keys: pl.Series) -> pl.DataFrame:
    """The rows of these keys, in their order; without those that are not there."""
    at, there = places(known, keys)
    return known[at[there]]


def beside(rows: pl.DataFrame, known: pl.DataFrame, suffix: str) -> pl.DataFrame:
    """Rows of distinct keys with what is known of each, under names with a suffix; null where nothing is."""
    at, there = places(known, rows.get_column(KEY))
    place = pl.Series(at, dtype=pl.UInt32).set(pl.Series(~there), None)
    return rows.hstack(known.select(pl.exclude(KEY).gather(place).name.suffix(suffix)))


def only_known(rows: pl.DataFrame, key: str, known: pl.DataFrame) -> pl.DataFrame:
    """Rows whose key, in a column of this name, is known."""
    distinct = rows.get_column(key).unique()
    _, there = places(known, distinct)
    if there.all():
        return rows
    return rows.filter(~pl.col(key).is_in(distinct.filter(~pl.Series(there)).implode()))


def renewed(known: pl.DataFrame, fresh: pl.DataFrame, order: Sequence[str], most: int) -> tuple[pl.DataFrame, int]:
    """What is known with fresh rows in the place of those of the same key, and how many new ones had no room.

    Args:
        known: rows, with the columns that shall remain.
        fresh: rows of distinct keys in any order, with these columns at least.
        order: columns by which new rows take the room that there is, where it is not enough for all.
        most: rows that there is room for.
    """
    if fresh.is_empty():
        return known, 0
    if fresh.columns != known.columns:
        fresh = fresh.select(known.columns)
    at, there = places(known, fresh.get_column(KEY))
    over = max(0, int((~there).sum()) - max(0, most - known.height))
    if over:
        new = fresh.filter(~pl.Series(there)).sort(order)
        fresh = pl.concat([fresh.filter(pl.Series(there)), new.head(new.height - over)])
        at, there = places(known, fresh.get_column(KEY))
    # For each row to be, its place in what is known followed by what is fresh.
    source = np.arange(known.height)
    source[at[there]] = known.height + np.flatnonzero(there)
    if not there.all():
        new_places = np.flatnonzero(~there)
        new_places = new_places[np.argsort(fresh.get_column(KEY).to_numpy()[new_places])]
        source = np.insert(source, at[new_places], known.height + new_places)
    return pl.concat([known, fresh], rechunk=True)[source], over


def arranged(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of distinct keys in any order as such a frame."""
    return rows.sort(KEY)
