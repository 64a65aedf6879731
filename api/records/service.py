"""Questions to the record store, and answers as JSON."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, cast, get_args

from api.problems import Problem
from api.records.schemas import AlertRecords, RecordPage, StoredTable, TableRecords
from api.sensors import sites as sensors
from api.times import NANOSECONDS, iso, parse
from collector.records import plain
from collector.store import IDENTITY, Filter, Identity, Operator, Order, Query, QueryError, QueryTimeoutError, StoreError
from sensor.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from api.records.schemas import RecordQuery
    from api.services import Services
    from collector.store import RecordStore
    from sensor.tables import Column, Table

FIRST_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "flow": (
        "ts", "client.ip", "server.ip", "server.port", "network.transport", "network.application", "flow.state", "flow.bytes_out",
        "flow.bytes_in", "flow.duration",
    ),
    "modbus": (
        "ts", "client.ip", "server.ip", "modbus.unit_id", "modbus.function", "modbus.address", "modbus.quantity", "modbus.values",
        "modbus.write_address", "modbus.write_values", "modbus.exception", "modbus.response_time",
    ),
    "opcua": (
        "ts", "client.ip", "server.ip", "opcua.message_type", "opcua.service", "opcua.security_mode", "opcua.user_name",
        "opcua.status", "opcua.error", "opcua.operations", "opcua.response_time",
    ),
    "opcua_item": (
        "ts", "client.ip", "server.ip", "opcua.kind", "opcua.node_id", "opcua.name", "opcua.attribute", "opcua.value",
        "opcua.status",
    ),
    "pubsub": (
        "ts", "client.ip", "server.ip", "pubsub.publisher_id", "pubsub.message_type", "pubsub.data_set_writer_id",
        "pubsub.fields", "pubsub.values", "pubsub.status",
    ),
    "point": ("ts", "client.ip", "server.ip", "point.id", "point.number", "point.access"),
    "device": ("ts", "device.ip", "device.mac", "device.attribute", "device.value", "device.source"),
    "violation": ("ts", "client.ip", "server.ip", "violation.kind", "violation.detail", "violation.clause", "violation.layer"),
    "sensor": ("ts", "sensor.packets", "sensor.flows", "sensor.drops"),
}  # fmt: skip
"""The columns that a person looks at first, by table."""

_CONDITION: Final = re.compile(
    r"\s*([a-z][a-z_.0-9]*)\s*(<=|>=|!=|=|<|>|\b(?:in|contains|starts_with|is_null|is_not_null)\b)\s*(.*?)\s*", re.DOTALL
)
_INTEGERS: Final = frozenset({"u8", "u16", "u32", "u64", "duration"})
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def find(services: Services, table: str, asked: RecordQuery) -> RecordPage:
    """One page of records, of the sensors that the caller may see.

    Raises Problem `table_unknown`, `query_invalid`, `query_too_long`, `records_missing`.
    """
    declared = TABLES.get(table)
    if declared is None:
        raise Problem("table_unknown", table=table[:50], tables=", ".join(TABLES))
    column = asked.sort.removeprefix("-")
    _column(declared, column)
    query = Query(
        table,
        filters=[*(_filter(declared, condition) for condition in asked.where), *_limits(services)],
        since=None if asked.since is None else _moment(asked.since),
        until=None if asked.until is None else _moment(asked.until),
        order=Order(column, descending=asked.sort.startswith("-")),
        limit=asked.limit,
        cursor=asked.cursor,
        seconds=services.settings.query_seconds,
    )
    try:
        page = services.records.query(query)
    except QueryTimeoutError as error:
        raise Problem("query_too_long", headers={"Retry-After": "5"}) from error
    except QueryError as error:
        raise Problem("query_invalid", reason=str(error)) from error
    except StoreError as error:
        raise Problem("records_missing", reason=str(error)) from error
    return RecordPage(items=[shown(row) for row in plain(page.rows)], limited=page.cursor is not None, next=page.cursor)


def of_identities(store: RecordStore, identities: Sequence[str]) -> AlertRecords:
    """Exact records, by table. Raises Problem `records_missing` where the store cannot be read."""
    try:
        asked = [Identity.parse(text) for text in identities]
        found = store.records(asked)
    except StoreError as error:
        raise Problem("records_missing", reason=str(error)) from error
    by_table: dict[str, list[dict[str, Any]]] = {}
    for row in found.values():
        by_table.setdefault(str(row["table"]), []).append(shown(row))
    tables = [TableRecords(table=table, columns=_columns(TABLES[table], rows), items=rows) for table, rows in by_table.items()]
    return AlertRecords(tables=tables, missing=[str(identity) for identity in asked if identity not in found])


def stored(services: Services) -> list[StoredTable]:
    """What is stored, by table; how much only where the caller may see all of it."""
    known = [
        StoredTable(
            table=held.table,
            meaning=TABLES[held.table].meaning,
            rows=held.rows,
            bytes=held.bytes,
            first=None if held.first is None else iso(held.first),
            last=None if held.last is None else iso(held.last),
            columns=[column.name for column in TABLES[held.table].columns],
        )
        for held in services.records.tables()
    ]
    if sensors.seen(services) is None:
        return known
    return [each.model_copy(update=dict.fromkeys(("rows", "bytes", "first", "last"))) for each in known]


def _limits(services: Services) -> list[Filter]:
    """What limits a question to the sensors that the caller may see."""
    seen = sensors.seen(services)
    return [] if seen is None else [Filter("sensor", "in", sorted(seen) or [""])]


def shown(row: Mapping[str, object]) -> dict[str, Any]:
    """A record as an object: its identity, and the columns that hold something."""
    identity = "/".join(str(row[name]) for name in IDENTITY)
    hidden = {*IDENTITY, "table"}
    return {"record": identity, **{name: value for name, value in row.items() if value is not None and name not in hidden}}


def _columns(table: Table, rows: Sequence[Mapping[str, object]]) -> list[str]:
    held = {name for row in rows for name in row}
    first = [name for name in FIRST_COLUMNS[table.name] if name in held]
    rest = [column.name for column in table.columns if column.name in held and column.name not in first]
    return [*first, *rest, "record"]


def _column(table: Table, name: str) -> Column:
    try:
        return table.column(name)
    except KeyError:
        raise Problem("query_invalid", reason=f"table {table.name} has no column {name[:50]!r}") from None


def _filter(table: Table, condition: str) -> Filter:
    """The filter that a condition says: COLUMN OPERATOR VALUE."""
    match = _CONDITION.fullmatch(condition)
    if match is None:
        operators = ", ".join(get_args(Operator))
        raise Problem("query_invalid", reason=f"{condition[:50]!r}: write COLUMN OPERATOR VALUE, the operator one of {operators}")
    name, operator, text = match[1], cast("Operator", match[2]), match[3]
    column = _column(table, name)
    if operator in {"is_null", "is_not_null"}:
        if text:
            raise Problem("query_invalid", reason=f"{operator} takes no value")
        return Filter(name, operator)
    if operator == "in":
        return Filter(name, operator, [_value(column, part.strip()) for part in text.split(",")])
    return Filter(name, operator, _value(column, text))


def _value(column: Column, text: str) -> str | int | float | bool:
    """A value of the column's kind, as it is written in a condition."""
    try:
        if column.kind in _INTEGERS:
            return int(text)
        if column.kind == "f64":
            return float(text)
        if column.kind == "timestamp":
            return parse(text)
        if column.kind == "bool":
            return {"true": True, "false": False}[text]
    except (ValueError, KeyError):
        raise Problem("query_invalid", reason=f"{text[:50]!r} is no value of {column.name} ({column.kind})") from None
    if column.kind.startswith("list<") or column.kind == "binary":
        raise Problem("query_invalid", reason=f"{column.name} can only be asked for with is_null and is_not_null")
    return text


def _moment(nanoseconds: int) -> datetime:
    seconds, rest = divmod(nanoseconds, NANOSECONDS)
    return _EPOCH + timedelta(seconds=seconds, microseconds=rest // 1000)
