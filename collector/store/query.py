"""Questions to one table as SQL, and the cursors that lead from page to page."""

from __future__ import annotations

import base64
import json
import zlib
from typing import TYPE_CHECKING, Final, cast

from collector.records import IDENTITY_TYPES
from collector.store import PAGE_ROWS, Filter, Query, QueryError
from sensor.tables import TABLES, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from collector.store import Grouping

_COMPARED: Final = {"=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_TEXT: Final[frozenset[str]] = frozenset({"choice", "name", "text"})

_IDENTITY: Final[Mapping[str, Kind]] = {"sensor": "text", "epoch": "text", "sequence": "u64", "row": "u32"}

LIST_VALUES: Final = 10_000
"""Most values of an "in"."""


def kinds(table: str) -> Mapping[str, Kind]:
    """The columns of a stored table with what they hold, in order. Raises QueryError for an unknown table."""
    if table not in TABLES:
        raise QueryError(f"there is no table {table!r}: the tables are {', '.join(TABLES)}")
    columns: dict[str, Kind] = {column.name: column.kind for column in TABLES[table].columns}
    columns.update(_IDENTITY)
    return columns


def nanoseconds(moment: datetime) -> int:
    """A time as nanoseconds since 1970. Raises QueryError where it does not say its time zone."""
    if moment.tzinfo is None:
        raise QueryError(f"{moment.isoformat()} does not say its time zone: add one, as in {moment.isoformat()}+00:00")
    whole = int(moment.replace(microsecond=0).timestamp())
    return (whole * 1_000_000 + moment.microsecond) * 1000


def asked(query: Query) -> Mapping[str, Kind]:
    """The columns of the table that a question is put to. Raises QueryError where table, limit or order are none."""
    known = kinds(query.table)
    if not 1 <= query.limit <= PAGE_ROWS:
        raise QueryError(f"limit is {query.limit}: ask for 1 to {PAGE_ROWS} rows")
    if known.get(query.order.column, "binary").startswith(("list", "binary")):
        raise QueryError(f"{query.table} cannot be sorted by {query.order.column!r}")
    return known


def compile_query(query: Query, source: str) -> tuple[str, list[object]]:
    """The SQL that answers `query` from `source` (a relation) with one row more than asked for, and its values.

    Raises:
        QueryError: an unknown table, column or operator, a value that does not fit, or a bad cursor.
    """
    known = asked(query)
    order = query.order
    conditions, values = conditions_of(known, query)
    if query.cursor is not None:
        condition, given = _after(query, known[order.column])
        conditions.append(condition)
        values += given
    direction = "DESC" if order.descending else "ASC"
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    identity = ", ".join(f"{name} {direction}" for name in IDENTITY_TYPES)
    by = f"{_name(order.column)} {direction} NULLS LAST, {identity}"
    wanted = ", ".join(_name(column) for column in selected(query))
    return f"SELECT {wanted} FROM {source}{where} ORDER BY {by} LIMIT {query.limit + 1}", values  # noqa: S608 - checked names


def conditions_of(known: Mapping[str, Kind], asked: Query | Grouping) -> tuple[list[str], list[object]]:
    """Filters and times of a question as conditions with their values. Raises QueryError."""
    conditions: list[str] = []
    values: list[object] = []
    for condition, given in (_filter(known, item, asked.table) for item in asked.filters):
        conditions.append(condition)
        values += given
    for operator, moment in ((">=", asked.since), ("<", asked.until)):
        if moment is not None:
            conditions.append(f"ts {operator} {_bound('timestamp')}")
            values.append(nanoseconds(moment))
    return conditions, values


def selected(query: Query) -> list[str]:
    """The columns to fetch: those asked for, the identity, and the one that sorts. Raises QueryError."""
    known = kinds(query.table)
    for column in query.columns:
        if column not in known:
            raise QueryError(f"{query.table} has no column {column!r}: `icsight fields {query.table}` lists them")
    wanted = list(query.columns) or list(known)
    return list(dict.fromkeys([*wanted, *IDENTITY_TYPES, query.order.column]))


def cursor_behind(query: Query, row: Mapping[str, object]) -> str:
    """The cursor that leads on from a row (times and durations as nanoseconds)."""
    place = [row[query.order.column], *(row[name] for name in IDENTITY_TYPES)]
    text = json.dumps([_signature(query), place], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def place(query: Query) -> tuple[object, list[object]]:
    """Where the cursor stands: the value that sorts, and the identity. Raises QueryError where it is none of this question."""
    text = query.cursor or ""
    try:
        content = cast("list[object]", json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))))
        signature, (value, sensor, epoch, sequence, row) = cast("tuple[str, list[object]]", content)
    except (ValueError, TypeError) as error:
        raise QueryError("the cursor is not one of this store: start from the first page") from error
    if signature != _signature(query):
        raise QueryError("the cursor belongs to another question: keep table, filters, times and order as they were")
    return value, [sensor, epoch, sequence, row]


def _after(query: Query, kind: Kind) -> tuple[str, list[object]]:
    """The condition that holds for the rows behind the cursor."""
    value, identity = place(query)
    sign = "<" if query.order.descending else ">"
    behind = f"(sensor, epoch, sequence, row) {sign} (?, ?, ?, ?)"
    column = _name(query.order.column)
    if value is None:
        return f"({column} IS NULL AND {behind})", identity
    bound = _bound(kind)
    same = f"({column} = {bound} AND {behind})"
    if query.order.column == "ts":
        # The first condition says nothing new; files and row groups are passed over by it.
        return f"(ts {sign}= {bound} AND (ts {sign} {bound} OR {same}))", [value, value, value, *identity]
    return f"({column} {sign} {bound} OR {same} OR {column} IS NULL)", [value, value, *identity]


def _signature(query: Query) -> str:
    """What a cursor must not be used without."""
    filters = [[item.column, item.operator, repr(item.value)] for item in query.filters]
    times = [moment and nanoseconds(moment) for moment in (query.since, query.until)]
    text = json.dumps([query.table, filters, times, query.order.column, query.order.descending])
    return f"{zlib.crc32(text.encode()):08x}"


def checked(known: Mapping[str, Kind], item: Filter, table: str) -> tuple[Kind, list[object]]:
    """What the column of a filter holds, and the values that it is compared with. Raises QueryError where they do not fit."""
    kind = known.get(item.column)
    if kind is None:
        raise QueryError(f"{table} has no column {item.column!r}: `icsight fields {table}` lists them")
    if item.operator in {"is_null", "is_not_null"}:
        return kind, []
    if kind.startswith(("list", "binary")):
        raise QueryError(f"{item.column} holds {kind}, which can only be asked whether it is null")
    value = item.value
    if item.operator == "in":
        if isinstance(value, str) or not hasattr(value, "__iter__"):
            raise QueryError(f"{item.column} in: a list of values is wanted")
        several = list(cast("Sequence[object]", value))
        if not 1 <= len(several) <= LIST_VALUES:
            raise QueryError(f"{item.column} in: 1 to {LIST_VALUES} values are wanted")
        return kind, [_checked(item, kind, one) for one in several]
    if item.operator in {"contains", "starts_with"}:
        if kind not in _TEXT:
            raise QueryError(f"{item.column} holds no text, so that {item.operator} cannot be asked")
    elif item.operator not in _COMPARED:
        raise QueryError(f"{item.operator!r} is no operator")
    return kind, [_checked(item, kind, value)]


def _filter(known: Mapping[str, Kind], item: Filter, table: str) -> tuple[str, list[object]]:
    """A filter as a condition with its values. Raises QueryError."""
    kind, values = checked(known, item, table)
    column = _name(item.column)
    if item.operator in {"is_null", "is_not_null"}:
        return f"{column} {'IS NULL' if item.operator == 'is_null' else 'IS NOT NULL'}", []
    if item.operator == "in":
        bounds = ", ".join(_bound(kind) for _ in values)
        return f"{column} IN ({bounds})", values
    if item.operator in {"contains", "starts_with"}:
        return f"{item.operator}({column}, ?)", values
    return f"{column} {_COMPARED[item.operator]} {_bound(kind)}", values


def _checked(item: Filter, kind: Kind, value: object) -> object:
    """The value, if a column of this kind can be compared with it. Raises QueryError."""
    if kind in _TEXT:
        fits = isinstance(value, str)
    elif kind == "bool":
        fits = isinstance(value, bool)
    elif kind == "f64":
        fits = isinstance(value, (int, float)) and not isinstance(value, bool)
    else:
        fits = isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**64
    if not fits:
        raise QueryError(f"{item.column} holds {kind} and cannot be compared with {value!r}")
    return value


def _bound(kind: Kind) -> str:
    """The place of a value in SQL."""
    return "make_timestamp_ns(?)::TIMESTAMPTZ_NS" if kind == "timestamp" else "?"


def _name(column: str) -> str:
    return f'"{column}"'
