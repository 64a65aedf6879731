"""Fields that rules may test: the columns of the record tables, and some that follow from them.

A derived field is an expression over columns; nothing is stored. `deploy/docs/rules.md` lists them, a test compares.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import polars as pl

from detection.deviation import TABLES
from sensor.drops import DROPS, LOSSES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sensor.tables import Kind

TEXTS: Final = frozenset({"choice", "name", "text"})
"""Kinds that hold text."""

NUMBERS: Final = {"u8": 255, "u16": 65_535, "u32": 2**32 - 1, "u64": 2**64 - 1, "f64": None, "duration": None}
"""Kinds that hold numbers, with the largest that they can hold. Durations are compared as nanoseconds."""

_NUMBERED: Final = re.compile(r"([a-z_.]+)\[(\d{1,5})\]")
"""A field of one address: `modbus.written[499]`."""


class ConditionError(ValueError):
    """A condition cannot be compiled. The text is one line."""


@dataclass(frozen=True, slots=True)
class Field:
    """Something that a condition can test."""

    name: str
    kind: Kind
    expr: pl.Expr
    columns: frozenset[str]
    """Columns of the table that it is made of."""
    meaning: str
    nullable: bool = True
    values: tuple[str, ...] = ()
    """All values of a choice."""
    predicate: Callable[[str], bool] | None = None
    """For a field that says something about a text column: what it says of each of the column's values."""


def field_of(table: str, name: str) -> Field:
    """The field that a condition names. Raises ConditionError where there is none."""
    for column in TABLES[table].columns:
        if column.name == name:
            return Field(
                name, column.kind, pl.col(name), frozenset({name}), column.meaning, nullable=column.nullable, values=column.values
            )
    for derived in (COMMON, DERIVED.get(table, {})):
        if name in derived:
            return derived[name]
    numbered = _NUMBERED.fullmatch(name)
    if numbered is not None and table == "modbus" and numbered[1] in _AT_ADDRESS and int(numbered[2]) <= 65_535:
        return _AT_ADDRESS[numbered[1]](int(numbered[2]))
    if table == "sensor" and name.startswith(_DROPS):
        raise ConditionError(f"unknown counter {name.removeprefix(_DROPS)}: one of {', '.join(DROPS)}")
    raise ConditionError(f"unknown field {name}: table {table} has no such column (`icsight fields {table}` lists them)")


@lru_cache(maxsize=65_536)
def address_of(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address, parsed once for all rules; None where a text is none."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def public(text: str) -> bool:
    """Whether an address is reachable in the Internet (IANA special-purpose address registries)."""
    address = address_of(text)
    return address is not None and address.is_global and not address.is_multicast


def _derived(name: str, kind: Kind, expr: pl.Expr, columns: tuple[str, ...], meaning: str) -> Field:
    return Field(name, kind, expr, frozenset(columns), meaning)


COMMON: Final[Mapping[str, Field]] = {
    f"network.{side}_public": Field(
        name=f"network.{side}_public",
        kind="bool",
        expr=pl.col(f"{side}.ip"),
        columns=frozenset({f"{side}.ip"}),
        meaning=f"whether the {side}'s address is reachable in the Internet",
        predicate=public,
    )
    for side in ("client", "server")
}
"""Derived fields of every table."""

_ADDRESS: Final = pl.col("modbus.address").cast(pl.Int32)
_WRITE_ADDRESS: Final = pl.col("modbus.write_address").cast(pl.Int32)
_ACCESS: Final = pl.col("modbus.access")


def _last(address: pl.Expr, quantity: str) -> pl.Expr:
    return address + pl.max_horizontal(pl.col(quantity).cast(pl.Int32).fill_null(1), pl.lit(1, pl.Int32)) - 1


def _value_at(values: str, address: pl.Expr, wanted: int) -> pl.Expr:
    """The element of a list that stands for one address; null where the list does not reach it."""
    place = wanted - address
    return pl.when(place >= 0).then(pl.col(values).list.get(place, null_on_oob=True))


def _value(wanted: int) -> Field:
    return _derived(
        f"modbus.value[{wanted}]",
        "u16",
        _value_at("modbus.values", _ADDRESS, wanted),
        ("modbus.values", "modbus.address"),
        "value read or written at one address",
    )


def _written(wanted: int) -> Field:
    expr = (
        pl.when(_ACCESS == "write")
        .then(_value_at("modbus.values", _ADDRESS, wanted))
        .when(_ACCESS == "read_write")
        .then(_value_at("modbus.write_values", _WRITE_ADDRESS, wanted))
    )
    columns = ("modbus.access", "modbus.values", "modbus.address", "modbus.write_values", "modbus.write_address")
    return _derived(f"modbus.written[{wanted}]", "u16", expr, columns, "value written at one address")


_AT_ADDRESS: Final[Mapping[str, Callable[[int], Field]]] = {"modbus.value": _value, "modbus.written": _written}

_SPAN: Final = ("modbus.address", "modbus.quantity")
_WRITTEN_SPAN: Final = ("modbus.access", *_SPAN, "modbus.write_address", "modbus.write_quantity")

_DROPS: Final = "sensor.drops."


def _dropped(names: tuple[str, ...]) -> pl.Expr:
    """The sum of these counters, of all interfaces where they are told by interface; one that is not in the list is 0."""
    counter = pl.element().struct
    named = counter.field("name").cast(pl.String).str.split_exact(":", 1).struct.field("field_0").is_in(names)
    return pl.col("sensor.drops").list.eval(pl.when(named).then(counter.field("count")).otherwise(0)).list.sum()


def _count(name: str, counters: tuple[str, ...], meaning: str) -> Field:
    return replace(_derived(name, "u64", _dropped(counters), ("sensor.drops",), meaning), nullable=False)


DERIVED: Final[Mapping[str, Mapping[str, Field]]] = {
    "modbus": {
        field.name: field
        for field in (
            _derived("modbus.last_address", "u32", _last(_ADDRESS, "modbus.quantity"), _SPAN, "last address read or written"),
            _derived(
                "modbus.written_address",
                "u16",
                pl.when(_ACCESS == "write").then(_ADDRESS).when(_ACCESS == "read_write").then(_WRITE_ADDRESS),
                _WRITTEN_SPAN,
                "first address written, by whichever function",
            ),
            _derived(
                "modbus.written_last_address",
                "u32",
                pl.when(_ACCESS == "write")
                .then(_last(_ADDRESS, "modbus.quantity"))
                .when(_ACCESS == "read_write")
                .then(_last(_WRITE_ADDRESS, "modbus.write_quantity")),
                _WRITTEN_SPAN,
                "last address written, by whichever function",
            ),
        )
    },
    "sensor": {
        field.name: field
        for field in (
            *(_count(f"{_DROPS}{name}", (name,), f"{meaning}, since the start") for name, meaning in DROPS.items()),
            _count("sensor.lost", LOSSES, "what was on the wire and is not recorded because a bound of the sensor was reached"),
        )
    },
}
"""Derived fields by table; `modbus.value[ADDRESS]` and `modbus.written[ADDRESS]` come on top of them."""
