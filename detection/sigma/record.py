"""Records that a rule's own condition asks for: what must be on the wire for it to fire.

Of the condition's alternatives each is tried: for each field a value that passes its tests, everything else as plain as the table
allows. Whether the record fires the rule is for the engine to say; nothing here is trusted.
"""

from __future__ import annotations

import ipaddress
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import polars as pl
from sigma.types import (
    Placeholder,
    SigmaCIDRExpression,
    SigmaExpansion,
    SigmaFieldReference,
    SigmaNumber,
    SigmaString,
    SpecialChars,
)

from detection.deviation import TABLES
from detection.sigma.fields import NUMBERS, TEXTS, Field, field_of
from detection.sigma.satisfy import Test, alternatives, first_passing, numbers_of, values_of
from sensor.drops import LOSSES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sensor.columns import Column

Record = dict[str, Any]
"""Values of a row by column; what is not named is null or as plain as the column allows."""

CLIENT: Final = "10.0.0.2"
SERVER: Final = "10.0.0.9"
LISTED: Final = "10.77.0."
"""Addresses that stand in lists of the site begin so; those that do not are others."""

PLAIN_ADDRESSES: Final = (CLIENT, SERVER, "8.8.8.8", "192.168.1.1", "2001:4860:4860::8888")
PLAIN_TEXTS: Final = ("proof", "Proof.1", "0")
PLAIN_NUMBERS: Final = (0, 1, 2, 3, 255, 65_535, 1_000_000)


@dataclass(frozen=True, slots=True)
class Needs:
    """Facts of the site that a record needs to fire its rule."""

    listed: dict[str, set[str]] = field(default_factory=dict[str, "set[str]"])
    """Values that a list must name; a list without values must be defined."""
    windows: dict[str, bool] = field(default_factory=dict[str, bool])
    """Windows, and whether the record's time must lie in them."""
    ranges: dict[str, bool] = field(default_factory=dict[str, bool])
    """Ranges, and whether the record's value must lie in them."""


def records_for(table: str, condition: object, given: Record) -> Iterator[tuple[Record, Needs]]:
    """Records that may fire a rule, the likeliest first.

    Args:
        table: the table that the rule looks at.
        condition: its parsed condition.
        given: values that the rule itself gives.

    Raises:
        ConditionError: the condition cannot be compiled.
    """
    try:
        choices = list(alternatives(condition, positive=True))
    except OverflowError:
        return
    for choice in choices:
        record: Record = {"client.ip": CLIENT, "server.ip": SERVER} if _has(table, "client.ip") else {}
        needs = Needs()
        names = list(dict.fromkeys(test.field for test in choice))
        if all(_put(table, record, [test for test in choice if test.field == name], needs, given) for name in names):
            yield record | given, needs


def distinct(table: str, name: str, record: Record, count: int) -> list[Record]:
    """The same record with so many values of a field, the record's own first."""
    known = field_of(table, name)
    own = record.get(name)
    fresh = [value for value in _numbered(known, count + 8) if value != own]
    given = [own] if own is not None else []
    made: list[Record] = []
    for value in [*given, *fresh][:count]:
        changed = dict(record)
        _set(changed, known, value)
        made.append(changed)
    return made


def filled(table: str, records: Sequence[Record]) -> pl.DataFrame:
    """Records as rows of their table."""
    schema = TABLES[table].schema
    plain = {column.name: _plain(column) for column in TABLES[table].columns}
    return pl.DataFrame(
        [pl.Series(name, [record.get(name, plain[name]) for record in records], dtype=dtype) for name, dtype in schema.items()]
    )


def _has(table: str, name: str) -> bool:
    return any(column.name == name for column in TABLES[table].columns)


def _plain(column: Column) -> Any:
    """What a column holds where nothing is asked of it."""
    if column.nullable:
        return None
    match column.kind:
        case "choice":
            return column.values[0]
        case "name" | "text":
            return PLAIN_TEXTS[0]
        case "bool":
            return False
        case "binary":
            return b""
        case "f64":
            return 0.0
        case kind if kind.startswith("list"):
            return []
        case _:
            return 0


def _put(table: str, record: Record, tests: list[Test], needs: Needs, given: Record) -> bool:
    """Give a record a value of a field that passes its tests; False where none is found."""
    known = field_of(table, tests[0].field)
    if known.name in given:
        return True
    judged: list[Test] = []
    wanted: list[Any] = []
    for test in tests:
        closed: list[object] = []
        for value in (part for each in test.values for part in _parts(each)):
            if isinstance(value, SigmaFieldReference):
                if test.positive:
                    wanted.append(_same(table, record, known, value))
            elif isinstance(value, SigmaString) and value.contains_placeholder():
                wanted += _of_site(known, value, needs, record, positive=test.positive)
            else:
                closed.append(value)
        if closed:
            judged.append(Test(test.positive, test.field, tuple(closed)))
    for values in itertools.chain([wanted], _candidates(known, judged)):
        place = first_passing(known, judged, values) if len(values) else None
        if place is not None:
            _set(record, known, values[place])
            return True
    # A fact of the site may be all that is asked of a time.
    return known.kind == "timestamp" and not judged


def _parts(value: object) -> Iterator[object]:
    if isinstance(value, SigmaExpansion):
        for part in value.values:
            yield from _parts(part)
    else:
        yield value


def _same(table: str, record: Record, known: Field, reference: SigmaFieldReference) -> Any:
    """A value that another field has as well."""
    other = field_of(table, reference.field)
    value = record.get(other.name, PLAIN_TEXTS[0] if known.kind in TEXTS else 1)
    _set(record, other, value)
    return value


def _of_site(known: Field, value: SigmaString, needs: Needs, record: Record, *, positive: bool) -> list[Any]:
    """Values that are in a fact of the site, or not; the fact is noted."""
    name = next(part.name for part in value.s if isinstance(part, Placeholder))
    if known.kind == "timestamp":
        needs.windows[name] = positive
        return []
    if known.name == "point.number":
        needs.ranges[name] = positive
        record.setdefault("point.id", PLAIN_TEXTS[0])
        return [1.0]
    listed = needs.listed.setdefault(name, set())
    if not positive:
        return []
    chosen = LISTED + ("1" if known.name == "client.ip" else "2") if known.name.endswith(".ip") else None
    chosen = chosen or ("listed" if known.kind in TEXTS else "7")
    listed.add(chosen)
    return [chosen if known.kind in TEXTS else [7] if known.kind.startswith("list") else 7]


def _candidates(known: Field, tests: Sequence[Test]) -> Iterator[Sequence[Any] | pl.Series]:
    """Values that may pass, those that tests name first; what there are many of is made only where it comes to that."""
    if known.predicate is not None:
        yield PLAIN_ADDRESSES
        return
    yield [named for test in tests if test.positive for value in test.values for named in _named(known, value)]
    if known.kind in TEXTS and known.kind != "choice":
        yield PLAIN_ADDRESSES if known.name.endswith(".ip") else PLAIN_TEXTS
    elif known.kind == "list<u16>":
        numbers = [int(number) for test in tests for value in test.values for number in numbers_of(value)]
        yield [[number + step] for number in (*numbers, 1) for step in (0, 1, -1) if 0 <= number + step <= 65_535]
    elif known.kind == "binary":
        yield [b"\x00"]
    else:
        some = values_of(known, tests) if tests else None
        if some is not None:
            some = some.drop_nulls()
            yield some.filter(some == some.floor()) if known.kind == "duration" else some
        elif known.kind in NUMBERS:
            yield PLAIN_NUMBERS
    if known.nullable:
        yield [None]


def _named(known: Field, value: object) -> Iterator[Any]:
    """Values that one test names."""
    match value:
        case SigmaCIDRExpression():
            yield str(next(iter(ipaddress.ip_network(str(value.network), strict=False).hosts())))
        case SigmaString() if known.kind == "binary":
            texts = [part for part in value.s if isinstance(part, str)]
            try:
                yield bytes.fromhex("".join(texts))
            except ValueError:
                return
        case SigmaString():
            holes = {SpecialChars.WILDCARD_MULTI: "", SpecialChars.WILDCARD_SINGLE: "x"}
            yield "".join(
                part if isinstance(part, str) else holes.get(part, "") for part in value.s if not isinstance(part, Placeholder)
            )
        case SigmaNumber() if known.kind in TEXTS:
            yield str(value.number)
        case _:
            return


def _numbered(known: Field, count: int) -> Iterator[Any]:
    """Values of a field, each another one."""
    if known.values:
        yield from known.values
        return
    for number in range(1, count + 1):
        if known.name.endswith(".ip"):
            yield f"10.66.{number >> 8}.{number & 255}"
        elif known.kind in TEXTS:
            yield f"proof-{number}"
        elif NUMBERS.get(known.kind) is None or number <= int(NUMBERS[known.kind] or 0):
            yield number


def _set(record: Record, known: Field, value: Any) -> None:
    """Put a value into the column of a field, or into those that it follows from."""
    name = known.name
    base, _, address = name.partition("[")
    if known.predicate is not None:
        (column,) = known.columns
        record[column] = value
    elif name.startswith("sensor.drops.") or name == "sensor.lost":
        counter = name.removeprefix("sensor.drops.") if name != "sensor.lost" else LOSSES[0]
        record["sensor.drops"] = [{"name": counter, "count": int(value)}]
    elif name == "modbus.last_address":
        record |= {"modbus.address": int(value), "modbus.quantity": 1}
    elif name in {"modbus.written_address", "modbus.written_last_address"}:
        record |= {"modbus.access": "write", "modbus.address": int(value), "modbus.quantity": 1}
    elif base in {"modbus.value", "modbus.written"} and address:
        record |= {"modbus.address": int(address.rstrip("]")), "modbus.values": [int(value)]}
        if base == "modbus.written":
            record["modbus.access"] = "write"
    elif known.kind in {"u8", "u16", "u32", "u64", "duration"} and value is not None:
        record[name] = int(value)
    else:
        record[name] = value
