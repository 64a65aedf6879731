"""One SELECT as DuckDB's parser understands it: what it may name, and what it needs of the tables.

What a person asks is refused where it names anything but the record tables and its own. A store that does not have its records
in files fetches what the SELECT needs, and no more than that as far as it can be told from it: the columns that are named, and
of a SELECT over one table the rows that its conditions leave. What is not understood here is left to the SELECT itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from collector.store import Filter, QueryError
from collector.store.query import checked as checked_filter
from collector.store.query import kinds
from sensor.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from collector.store import Operator
    from sensor.tables import Kind

TABLE_FUNCTIONS: Final = frozenset({"unnest", "range", "generate_series"})
"""Functions that may stand where a table does: those that make rows of nothing but their arguments."""

_DOTTED: Final = frozenset(column.name for table in TABLES.values() for column in table.columns if "." in column.name)

_OPERATORS: Final[Mapping[str, Operator]] = {
    "COMPARE_EQUAL": "=",
    "COMPARE_NOTEQUAL": "!=",
    "COMPARE_LESSTHAN": "<",
    "COMPARE_LESSTHANOREQUALTO": "<=",
    "COMPARE_GREATERTHAN": ">",
    "COMPARE_GREATERTHANOREQUALTO": ">=",
}
_TURNED: Final[Mapping[Operator, Operator]] = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


@dataclass(frozen=True, slots=True)
class Need:
    """What a SELECT needs of a table.

    Attributes:
        columns: columns that it names; all where it may take any.
        filters: conditions that hold for every row that it can use.
    """

    columns: Sequence[str]
    filters: Sequence[Filter]


def checked(tree: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parsed statement, if it is one SELECT over the tables. Raises QueryError."""
    if tree.get("error"):
        message = str(tree.get("error_message"))
        if tree.get("error_type") == "not implemented":
            message = "only one SELECT can be asked here"
        raise QueryError(" ".join(message.split()))
    if len(tree["statements"]) != 1:
        raise QueryError("only one SELECT can be asked here")
    _check_tables(tree)
    return tree


def needs(tree: Mapping[str, Any], moment: Callable[[str], int | None]) -> dict[str, Need]:
    """What a checked statement needs, by table.

    Args:
        tree: the statement.
        moment: a text as nanoseconds since 1970 as SQL reads it, None where it is no time.
    """
    found = [node for node in nodes(tree) if node.get("type") == "BASE_TABLE"]
    tables = dict.fromkeys(name for node in found if (name := str(node["qualified_name"]["path"][0]).lower()) in TABLES)
    tables.update(dict.fromkeys(_shown(tree)))
    named = _named(tree)
    filters = _conditions(tree, found, moment)
    return {
        table: Need([column for column in kinds(table) if named is None or column.lower() in named], filters.get(table, ()))
        for table in tables
    }


def _shown(tree: Mapping[str, Any]) -> Iterator[str]:
    """Tables of DESCRIBE and SUMMARIZE."""
    for node in nodes(tree):
        if node.get("type") == "SHOW_REF":
            yield from (table for table in TABLES if table == str(node.get("table_name", "")).strip('"').lower())


def _named(tree: Mapping[str, Any]) -> frozenset[str] | None:
    """Names that may be those of columns, in lower case; None where any column may be meant."""
    names: set[str] = set()
    whole = {str(node.get("alias", "")).lower() for node in nodes(tree) if "alias" in node} | set(TABLES)
    for node in nodes(tree):
        if node.get("class") == "STAR" or node.get("type") in {"PIVOT", "SHOW_REF"} or node.get("ref_type") == "NATURAL":
            return None
        names.update(str(name).lower() for name in node.get("using_columns", ()))
        if node.get("class") != "COLUMN_REF":
            continue
        parts = [str(name).lower() for name in node["column_names"]]
        if len(parts) == 1 and parts[0] in whole and parts[0] not in _IDENTITY:
            return None
        names.update(".".join(parts[first:last]) for first in range(len(parts)) for last in range(first + 1, len(parts) + 1))
    return frozenset(names)


_IDENTITY: Final = frozenset({"sensor", "epoch", "sequence", "row"})


def _conditions(
    tree: Mapping[str, Any], tables: Sequence[Mapping[str, Any]], moment: Callable[[str], int | None]
) -> dict[str, list[Filter]]:
    """By table the conditions of a SELECT over one table that can be asked of a store."""
    selects = [node for node in nodes(tree) if node.get("type") in {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE"}]
    if len(selects) != 1 or len(tables) != 1 or selects[0].get("from_table") is not tables[0]:
        return {}
    table = str(tables[0]["qualified_name"]["path"][0]).lower()
    if table not in TABLES:
        return {}
    known = kinds(table)
    names = {table, str(tables[0].get("alias") or table).lower()}
    filters: list[Filter] = []
    for part in _conjuncts(selects[0].get("where_clause")):
        for column, operator, literals in _comparisons(part, known, names):
            values = [_value(known[column], literal, moment) for literal in literals]
            if any(value is None for value in values):
                continue
            filter_ = Filter(column, operator, cast("list[Any]", values) if operator == "in" else values[0])
            try:
                checked_filter(known, filter_, table)
            except QueryError:
                continue
            filters.append(filter_)
    return {table: filters}


def _conjuncts(condition: Mapping[str, Any] | None) -> Iterator[Mapping[str, Any]]:
    """The parts of a condition that must all hold."""
    if condition is None:
        return
    if condition.get("type") == "CONJUNCTION_AND":
        for child in condition["children"]:
            yield from _conjuncts(child)
        return
    yield condition


def _comparisons(
    part: Mapping[str, Any], known: Mapping[str, Kind], names: set[str]
) -> Iterator[tuple[str, Operator, list[Mapping[str, Any]]]]:
    """A condition as comparisons of a column with what is written there; none where it is no such thing."""
    kind = str(part.get("type"))
    if kind in _OPERATORS:
        operator: Operator = _OPERATORS[kind]
        sides: tuple[tuple[Any, Any, Operator], ...] = (
            (part["left"], part["right"], operator),
            (part["right"], part["left"], _TURNED[operator]),
        )
        for one, other, asked in sides:
            if (column := _column(one, known, names)) is not None:
                yield column, asked, [other]
                return
    elif kind == "COMPARE_IN" and (column := _column(part["children"][0], known, names)) is not None:
        yield column, "in", part["children"][1:]
    elif kind == "COMPARE_BETWEEN" and (column := _column(part["input"], known, names)) is not None:
        yield column, ">=", [part["lower"]]
        yield column, "<=", [part["upper"]]


def _column(node: Mapping[str, Any], known: Mapping[str, Kind], names: set[str]) -> str | None:
    """The column that is named there; None where it is none."""
    if node.get("class") != "COLUMN_REF":
        return None
    parts = [str(name) for name in node["column_names"]]
    for candidate in (parts, parts[1:] if parts[0].lower() in names else []):
        if (name := ".".join(candidate).lower()) in known:
            return name
    return None


def _value(kind: Kind, node: Mapping[str, Any], moment: Callable[[str], int | None]) -> str | int | float | None:
    """What is written there as a value of this kind; None where it is none or SQL would have to convert it."""
    if kind == "timestamp" and node.get("type") == "OPERATOR_CAST":
        if not str(node.get("type_expr", {}).get("type_name", "")).upper().startswith("TIMESTAMP"):
            return None
        node = node["child"]
    literal = node.get("literal")
    if node.get("class") != "CONSTANT" or not isinstance(literal, dict):
        return None
    form, text = cast("dict[str, str]", literal).get("kind"), str(cast("dict[str, str]", literal).get("text"))
    if kind == "timestamp":
        return moment(text) if form == "STRING" else None
    if kind in {"choice", "name", "text"}:
        return text if form == "STRING" else None
    try:
        if kind == "f64":
            return float(text) if form in {"INTEGER", "NUMERIC"} else None
        return int(text) if form == "INTEGER" else None
    except ValueError:
        return None


def _check_tables(tree: Mapping[str, Any]) -> None:
    """Refuse tables and table functions that are not the query's own business. Raises QueryError."""
    known = set(TABLES)
    for node in nodes(tree):
        if "cte_map" in node:
            known |= {str(entry["key"]).lower() for entry in node["cte_map"]["map"]}
    for node in nodes(tree):
        kind = node.get("type")
        if kind == "BASE_TABLE":
            path = [str(part) for part in node["qualified_name"]["path"]]
            if len(path) != 1 or path[0].lower() not in known:
                raise QueryError(f"there is no table {'.'.join(path)!r}: the tables are {', '.join(TABLES)}")
        elif kind == "TABLE_FUNCTION":
            name = str(node["function"]["function_name"])
            if name.lower() not in TABLE_FUNCTIONS or len(node["function"]["qualified_name"]["path"]) != 1:
                raise QueryError(f"{name}() cannot be asked here: the tables are {', '.join(TABLES)}")
        elif kind == "SHOW_REF" and node.get("query") is None:
            raise QueryError(f"the tables are {', '.join(TABLES)}: DESCRIBE one of them")


def quoted(select: str, tree: Mapping[str, Any]) -> str:
    """Put the dotted names of columns in double quotes, at the places where the parser has found them."""
    text = select.encode()
    places: dict[int, tuple[int, list[str]]] = {}
    for node in nodes(tree):
        if node.get("class") != "COLUMN_REF":
            continue
        names = [str(name) for name in node["column_names"]]
        if len(names) >= 2 and ".".join(names[-2:]).lower() in _DOTTED:
            places[int(node["query_location"])] = (int(node["query_location_length"]), names)
    for start, (length, names) in sorted(places.items(), reverse=True):
        if text[start : start + length].decode(errors="replace").replace('"', "").lower() != ".".join(names).lower():
            continue  # comments or blanks stand inside the name: it stays as it was written
        parts = [*names[:-2], ".".join(names[-2:])]
        text = text[:start] + ".".join(f'"{part}"' for part in parts).encode() + text[start + length :]
    return text.decode()


def nodes(tree: object) -> Iterator[dict[str, Any]]:
    """All objects in a parsed statement."""
    waiting: list[object] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            mapping = cast("dict[str, Any]", node)
            yield mapping
            waiting.extend(mapping.values())
        elif isinstance(node, list):
            waiting.extend(cast("list[object]", node))
