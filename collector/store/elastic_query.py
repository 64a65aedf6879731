"""Questions to one table as searches of Elasticsearch, with the same answers and the same cursors as SQL over files."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

from collector.records import IDENTITY_TYPES
from collector.store.elastic_templates import ADDRESSES, IDENTITY_FIELDS, NOT_FINITE, PRESENT, TIME, field
from collector.store.query import asked, checked, nanoseconds, place
from sensor.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collector.store import Filter, Query
    from sensor.tables import Kind

_BOUNDS: Final[Mapping[Kind, tuple[int, int]]] = {
    "timestamp": (-(2**63), 2**63 - 1),
    "duration": (-(2**63), 2**63 - 1),
    "u8": (0, 2**8 - 1),
    "u16": (0, 2**16 - 1),
    "u32": (0, 2**32 - 1),
    "u64": (0, 2**63 - 1),
}
"""Least and greatest value that is indexed of a kind. Elasticsearch refuses to compare with a value that a field cannot hold."""

_SIGNS: Final = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
PATTERN_CHARACTERS: Final = 64
"""A longer text is looked for by a script: Lucene refuses patterns that are too much work to compile, as long ones are."""

_NOTHING: Final[Mapping[str, Any]] = {"match_none": {}}


def search(query: Query) -> dict[str, Any]:
    """The body of the search that answers `query` with one row more than asked for.

    Raises:
        QueryError: an unknown table, column or operator, a value that does not fit, or a bad cursor.
    """
    known = asked(query)
    conditions = [condition(known, item, query.table) for item in query.filters]
    bounds = {
        sign: iso(nanoseconds(moment)) for sign, moment in (("gte", query.since), ("lt", query.until)) if moment is not None
    }
    if bounds:
        conditions.append({"range": {TIME: bounds}})
    order = "desc" if query.order.descending else "asc"
    column = query.order.column
    by: dict[str, Any] = {"order": order, "missing": "_last", "unmapped_type": _type(query.table, column)}
    if column == "ts":
        by["format"] = "strict_date_optional_time_nanos"
    identity: list[dict[str, Any]] = [
        {IDENTITY_FIELDS[name]: {"order": order, "unmapped_type": "keyword" if name in {"sensor", "epoch"} else "long"}}
        for name in IDENTITY_TYPES
    ]
    body: dict[str, Any] = {"size": query.limit + 1, "track_total_hits": False, "sort": [{compared(column): by}, *identity]}
    if query.cursor is not None:
        value, behind = place(query)
        if value is None:
            # Rows without a value come last: of those behind the cursor none has one.
            conditions.append(_null(known, column))
            body["sort"] = identity
            body["search_after"] = behind
        else:
            body["search_after"] = [iso(int(str(value))) if column == "ts" else value, *behind]
    body["query"] = {"bool": {"filter": conditions}}
    return body


def condition(known: Mapping[str, Kind], item: Filter, table: str) -> dict[str, Any]:
    """A filter as a query. Raises QueryError."""
    kind, values = checked(known, item, table)
    column = item.column
    match item.operator:
        case "is_null":
            return _null(known, column)
        case "is_not_null":
            return _not(_null(known, column))
        case "contains":
            return _containing(compared(column), str(values[0]))
        case "starts_with":
            return _starting(compared(column), str(values[0]))
        case "=" | "in":
            return _any(column, kind, values)
        case "!=":
            return {"bool": {"filter": [_not(_null(known, column))], "must_not": [_any(column, kind, values)]}}
        case sign:
            return _beyond(known, column, sign, values[0])


def iso(moment: int) -> str:
    """Nanoseconds since 1970 as text that Elasticsearch compares exactly; a time out of its reach is the nearest in it."""
    seconds, rest = divmod(min(max(moment, 0), 2**63 - 1), 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def _any(column: str, kind: Kind, values: Sequence[object]) -> dict[str, Any]:
    """Rows that have one of these values."""
    fit = [value for value in values if _within(column, kind, value) == 0]
    special = [f"{column}={value}" for value in values if kind == "f64" and not _is_finite(value)]
    if column == "ts":
        fit = [iso(int(str(value))) for value in fit]
    some = [{"terms": {compared(column): fit}}] if fit else []
    if special:
        some.append({"terms": {NOT_FINITE: special}})
    return {"bool": {"should": some, "minimum_should_match": 1}} if some else dict(_NOTHING)


def _containing(field: str, text: str) -> dict[str, Any]:
    """Rows whose text has this one in it."""
    if len(text) <= PATTERN_CHARACTERS:
        return {"wildcard": {field: {"value": f"*{_literal(text)}*"}}}
    script = "doc[params.field].size() > 0 && doc[params.field].value.contains(params.text)"
    return {"script": {"script": {"source": script, "params": {"field": field, "text": text}}}}


def _starting(field: str, text: str) -> dict[str, Any]:
    """Rows whose text starts with this one, as a range: the query for prefixes takes 1,000 characters and no more."""
    bounds = {"gte": text}
    stem = text.rstrip("\U0010ffff")
    if stem:
        last = ord(stem[-1]) + 1
        # There are no characters between U+D7FF and U+E000.
        bounds["lt"] = stem[:-1] + chr(0xE000 if last == 0xD800 else last)
    return {"range": {field: bounds}}


def _beyond(known: Mapping[str, Kind], column: str, sign: str, value: object) -> dict[str, Any]:
    """Rows whose value is less or greater than this one."""
    kind = known[column]
    above = sign.startswith(">")
    outside = _within(column, kind, value)
    if outside and kind != "f64":
        # A value below all that the column can hold is less than every one of them.
        return _not(_null(known, column)) if (outside < 0) == above else dict(_NOTHING)
    number = iso(int(str(value))) if column == "ts" else value
    some: list[dict[str, Any]] = []
    if not outside:
        some.append({"range": {compared(column): {_SIGNS[sign]: number}}})
    if kind == "f64":
        some += _beyond_special(column, sign, float(cast("float", value)))
    return some[0] if len(some) == 1 else {"bool": {"should": some, "minimum_should_match": 1}} if some else dict(_NOTHING)


def _beyond_special(column: str, sign: str, value: float) -> list[dict[str, Any]]:
    """The same for numbers that are not finite, on either side. As in SQL, NaN is greater than all others and equal to itself."""
    ranks = {"-inf": 0, "finite": 1, "inf": 2, "nan": 3}
    own = ranks.get(str(value), 1)
    wanted = {
        name
        for name, rank in ranks.items()
        if (rank > own if sign.startswith(">") else rank < own) or (sign.endswith("=") and rank == own and own != 1)
    }
    told = [f"{column}={name}" for name in sorted(wanted - {"finite"})]
    some: list[dict[str, Any]] = [{"terms": {NOT_FINITE: told}}] if told else []
    if "finite" in wanted:
        some.append({"exists": {"field": column}})
    return some


def _within(column: str, kind: Kind, value: object) -> int:
    """0 where the index can hold the value, -1 where it is too small for it, 1 where it is too large."""
    if kind == "f64":
        return 0 if _is_finite(value) else 1
    if kind not in _BOUNDS and column not in {"sequence", "row"}:
        return 0
    least, most = (0, 2**63 - 1) if column in {"ts", "sequence"} else (0, 2**31 - 1) if column == "row" else _BOUNDS[kind]
    number = int(cast("int", value))
    return -1 if number < least else 1 if number > most else 0


def _is_finite(value: object) -> bool:
    return abs(float(cast("float", value))) < float("inf")


def _null(known: Mapping[str, Kind], column: str) -> dict[str, Any]:
    """Rows without a value in a column."""
    kind = known[column]
    if kind.startswith("list") or kind == "binary":
        return _not({"term": {PRESENT: column}})
    present: list[dict[str, Any]] = [{"exists": {"field": compared(column)}}]
    if kind == "f64":
        present.append({"terms": {NOT_FINITE: [f"{column}={name}" for name in ("nan", "inf", "-inf")]}})
    return {"bool": {"must_not": present}}


def _not(query: Mapping[str, Any]) -> dict[str, Any]:
    return {"bool": {"must_not": [dict(query)]}}


def compared(column: str) -> str:
    """The field that a column is compared and sorted by."""
    if column == "ts":
        return TIME
    return f"{column}.text" if column in ADDRESSES else IDENTITY_FIELDS.get(column, column)


def _type(table: str, column: str) -> str:
    """The type of that field, for indices that were made before the column was."""
    if column in IDENTITY_TYPES:
        return "keyword" if column in {"sensor", "epoch"} else "long"
    if column in ADDRESSES:
        return "keyword"
    return str((field(TABLES[table].column(column)) or {"type": "keyword"})["type"])


def _literal(text: str) -> str:
    """A text as a pattern that stands for itself."""
    return re.sub(r"([\\*?])", r"\\\1", text)
