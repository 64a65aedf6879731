"""Rows counted together, as SQL; and what of a grouping holds for every store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from collector.store import GROUPS, Grouping, QueryError
from collector.store.query import conditions_of, kinds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sensor.tables import Kind

WHOLE: Final[frozenset[Kind]] = frozenset({"u8", "u16", "u32", "u64"})
"""Kinds of whole numbers, which can be grouped by and added up."""

TEXT: Final[frozenset[Kind]] = frozenset({"choice", "name", "text"})
"""Kinds of text, which can be grouped by."""

COLUMNS: Final = 12
"""Most columns that rows are grouped by."""


def schema(grouping: Grouping) -> dict[str, pl.DataType]:
    """The columns of the answer with their types. Raises QueryError where the grouping makes no sense."""
    known = kinds(grouping.table)
    if not 1 <= grouping.limit <= GROUPS:
        raise QueryError(f"limit is {grouping.limit}: ask for 1 to {GROUPS} groups")
    if not 1 <= len(grouping.by) <= COLUMNS:
        raise QueryError(f"1 to {COLUMNS} columns are wanted to group by")
    for column in grouping.by:
        _check(known, grouping.table, column, WHOLE | TEXT, "cannot be grouped by")
    for column in grouping.sums:
        _check(known, grouping.table, column, WHOLE, "has nothing to add up in")
    for column in grouping.ranges:
        _check(known, grouping.table, column, frozenset({"f64"}), "has no range in")
    return {
        **{column: pl.String() if known[column] in TEXT else pl.Int64() for column in grouping.by},
        "rows": pl.Int64(),
        "first": pl.Int64(),
        "last": pl.Int64(),
        **{f"sum {column}": pl.Float64() for column in grouping.sums},
        **{f"{word} {column}": pl.Float64() for column in grouping.ranges for word in ("least", "greatest", "latest")},
    }


def compile_groups(grouping: Grouping, source: str) -> tuple[str, list[object]]:
    """The SQL that answers a grouping from `source` (a relation) with one group more than wanted, and its values.

    Raises QueryError as `schema`, and for filters that do not fit.
    """
    schema(grouping)
    known = kinds(grouping.table)
    conditions, values = conditions_of(known, grouping)
    by = [f'"{column}"' for column in grouping.by]
    wanted = [
        *by,
        'count(*) AS "rows"',
        'epoch_ns(min(ts)) // 1000000 * 1000000 AS "first"',
        'epoch_ns(max(ts)) // 1000000 * 1000000 AS "last"',
        *(f'CAST(sum("{column}") AS DOUBLE) AS "sum {column}"' for column in grouping.sums),
    ]
    for column in grouping.ranges:
        finite = f'FILTER (WHERE isfinite("{column}"))'
        wanted += [
            f'min("{column}") {finite} AS "least {column}"',
            f'max("{column}") {finite} AS "greatest {column}"',
            f'arg_max("{column}", (ts, sensor, epoch, sequence, "row")) {finite} AS "latest {column}"',
        ]
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    names = ", ".join(by)
    return f"SELECT {', '.join(wanted)} FROM {source}{where} GROUP BY {names} LIMIT {grouping.limit + 1}", values  # noqa: S608 - checked names


def _check(known: Mapping[str, Kind], table: str, column: str, fit: frozenset[Kind], how: str) -> None:
    if column not in known:
        raise QueryError(f"{table} has no column {column!r}: `icsight fields {table}` lists them")
    if known[column] not in fit:
        raise QueryError(f"{table} {how} {column!r}, which holds {known[column]}")
