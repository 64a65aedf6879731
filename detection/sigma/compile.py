"""Conditions of Sigma rules as Polars expressions.

A test on text runs on the distinct values of a batch (its dictionary), not on its rows; where no value passes, the test is false
for the whole batch and the rule drops out before a row is looked at. What a missing value means is Sigma's: every test on it is
false, but `null` and `exists: false`.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

import polars as pl
from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionNOT,
    ConditionOR,
    ConditionValueExpression,
)
from sigma.exceptions import SigmaError
from sigma.types import (
    CompareOperators,
    Placeholder,
    SigmaBool,
    SigmaCasedString,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaExists,
    SigmaExpansion,
    SigmaFieldReference,
    SigmaNull,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaRegularExpressionFlag,
    SigmaString,
    SpecialChars,
)

from sensor.tables import TABLES, Column

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from detection.site import Site

NUMBERS: Final = {"u8": 255, "u16": 65_535, "u32": 2**32 - 1, "u64": 2**64 - 1, "f64": None, "duration": None}
"""Kinds of columns that hold numbers, with the largest that they can hold."""

TEXTS: Final = {"choice", "name", "text"}
"""Kinds of columns that hold text."""

OPERATORS: Final = {
    CompareOperators.LT: "<",
    CompareOperators.LTE: "<=",
    CompareOperators.GT: ">",
    CompareOperators.GTE: ">=",
    CompareOperators.NEQ: "!=",
}
"""Comparisons that numbers can be tested with."""

KNOWN_VALUES: Final = 65_536
"""Values of a text column for which a test's answer is remembered; then the memory starts anew."""


class ConditionError(ValueError):
    """A condition cannot be compiled. The text is one line."""


class Texts:
    """A test on text: a pattern, a list of networks, or both; the answers for values seen are remembered."""

    def __init__(self, test: Callable[[str], bool]) -> None:
        self._test = test
        self._known: dict[str, bool] = {}

    def __call__(self, value: str) -> bool:
        """Whether a value passes."""
        known = self._known.get(value)
        if known is None:
            if len(self._known) >= KNOWN_VALUES:
                self._known.clear()
            known = self._known[value] = self._test(value)
        return known


class Binding:
    """A batch's frame, with the distinct values of its text columns."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame
        self._distinct: dict[str, pl.Series] = {}

    def distinct(self, column: str) -> pl.Series:
        """The distinct values of a column, without null."""
        found = self._distinct.get(column)
        if found is None:
            found = self._distinct[column] = self.frame.get_column(column).drop_nulls().unique()
        return found


Bound = pl.Expr | bool
"""What a condition comes to for one batch: an expression, or the same answer for all rows."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A rule's condition over one table."""

    table: str
    bind: Callable[[Binding], Bound]
    columns: frozenset[str]
    """Columns that it reads."""


def compile_condition(table: str, condition: object, site: Site) -> Compiled:
    """Compile the parsed condition of a rule for a table. Raises ConditionError where it cannot be."""
    columns: set[str] = set()
    return Compiled(table, _node(condition, table, site, columns), frozenset(columns))


def _node(node: object, table: str, site: Site, columns: set[str]) -> Callable[[Binding], Bound]:
    match node:
        case ConditionAND():
            return _all([_node(part, table, site, columns) for part in node.args])
        case ConditionOR():
            return _any([_node(part, table, site, columns) for part in node.args])
        case ConditionNOT():
            (inner,) = (_node(part, table, site, columns) for part in node.args)
            return lambda binding: _not(inner(binding))
        case ConditionFieldEqualsValueExpression():
            column = column_of(table, node.field)
            columns.add(column.name)
            return _atom(column, node.value, site, columns)
        case ConditionValueExpression():
            raise ConditionError("a value without a field: name the column that must hold it")
        case _:
            raise ConditionError(f"{type(node).__name__} is not supported")


def column_of(table: str, name: str) -> Column:
    """The column of a table that a condition names. Raises ConditionError where there is none."""
    try:
        return TABLES[table].column(name)
    except KeyError as error:
        raise ConditionError(
            f"unknown field {name}: table {table} has no such column (`icsight fields {table}` lists them)"
        ) from error


def _not(bound: Bound) -> Bound:
    return not bound if isinstance(bound, bool) else ~bound


def _all(parts: list[Callable[[Binding], Bound]]) -> Callable[[Binding], Bound]:
    def bind(binding: Binding) -> Bound:
        exprs: list[pl.Expr] = []
        for part in parts:
            bound = part(binding)
            if bound is False:
                return False
            if bound is not True:
                exprs.append(bound)
        return pl.all_horizontal(exprs) if exprs else True

    return bind


def _any(parts: list[Callable[[Binding], Bound]]) -> Callable[[Binding], Bound]:
    def bind(binding: Binding) -> Bound:
        exprs: list[pl.Expr] = []
        for part in parts:
            bound = part(binding)
            if bound is True:
                return True
            if bound is not False:
                exprs.append(bound)
        return pl.any_horizontal(exprs) if exprs else False

    return bind


def _atom(column: Column, value: object, site: Site, columns: set[str]) -> Callable[[Binding], Bound]:
    """One test of one column."""
    name = column.name
    match value:
        case SigmaNull():
            return lambda _: pl.col(name).is_null()
        case SigmaExists():
            return (lambda _: pl.col(name).is_not_null()) if value.exists else (lambda _: pl.col(name).is_null())
        case SigmaExpansion():
            return _any([_atom(column, part, site, columns) for part in value.values])
        case SigmaFieldReference():
            columns.add(value.field)
            return lambda _: (pl.col(name) == pl.col(value.field)).fill_null(value=False)
        case SigmaBool():
            return lambda _: (pl.col(name) == value.boolean).fill_null(value=False)
        case SigmaNumber():
            return _number(column, "==", value.number)
        case SigmaCompareExpression():
            return _number(column, OPERATORS[value.op], value.number.number)
        case SigmaCIDRExpression():
            return text_test(column, networks([str(value.network)]))
        case SigmaRegularExpression():
            return text_test(column, _pattern(value))
        case SigmaString() if value.contains_placeholder():
            (placeholder,) = (part for part in value.s if isinstance(part, Placeholder))
            return _site(column, placeholder.name, site, columns)
        case SigmaString():
            return _string(column, value)
        case _:
            raise ConditionError(f"{name}: a test by {type(value).__name__} is not supported")


def _number(column: Column, operator: str, number: float) -> Callable[[Binding], Bound]:
    name = column.name
    compare: dict[str, Callable[[pl.Expr], pl.Expr]] = {
        "==": lambda expr: expr == number,
        "<": lambda expr: expr < number,
        "<=": lambda expr: expr <= number,
        ">": lambda expr: expr > number,
        ">=": lambda expr: expr >= number,
        "!=": lambda expr: expr != number,
    }
    if column.kind == "list<u16>":
        if operator == "==":
            return lambda _: pl.col(name).list.contains(int(number)).fill_null(value=False)
        return lambda _: pl.col(name).list.eval(compare[operator](pl.element())).list.any().fill_null(value=False)
    if column.kind == "duration":
        return lambda _: compare[operator](pl.col(name).dt.total_nanoseconds()).fill_null(value=False)
    if column.kind in TEXTS:
        return text_test(column, Texts(lambda text: text == str(number))) if operator == "==" else _refuse(column, operator)
    if column.kind not in NUMBERS:
        return _refuse(column, operator)
    return lambda _: compare[operator](pl.col(name)).fill_null(value=False)


def _refuse(column: Column, operator: str) -> Callable[[Binding], Bound]:
    raise ConditionError(f"{column.name} holds {column.kind}, which cannot be tested with {operator}")


def _string(column: Column, value: SigmaString) -> Callable[[Binding], Bound]:
    if column.kind in TEXTS:
        return text_test(column, _wildcards(value))
    if column.kind == "binary":
        wanted = bytes.fromhex(value.to_plain())
        return lambda _: (pl.col(column.name) == wanted).fill_null(value=False)
    try:
        return _number(column, "==", float(value.to_plain()))
    except ValueError as error:
        raise ConditionError(f"{column.name} holds {column.kind}; {value.to_plain()!r} is not a number") from error


def _wildcards(value: SigmaString) -> Texts:
    """A Sigma string: `*` and `?` are wildcards, case matters only where the rule says so (Sigma specification, modifiers)."""
    parts = {SpecialChars.WILDCARD_MULTI: ".*", SpecialChars.WILDCARD_SINGLE: "."}
    pattern = "".join(re.escape(part) if isinstance(part, str) else parts[cast("SpecialChars", part)] for part in value.s)
    flags = re.DOTALL if isinstance(value, SigmaCasedString) else re.DOTALL | re.IGNORECASE
    compiled = re.compile(pattern, flags)
    return Texts(lambda text: compiled.fullmatch(text) is not None)


def _pattern(value: SigmaRegularExpression) -> Texts:
    known = {
        SigmaRegularExpressionFlag.IGNORECASE: re.IGNORECASE,
        SigmaRegularExpressionFlag.MULTILINE: re.MULTILINE,
        SigmaRegularExpressionFlag.DOTALL: re.DOTALL,
    }
    flags = re.RegexFlag(0)
    for flag in value.flags:
        flags |= known[flag]
    try:
        compiled = re.compile(str(value.regexp), flags)
    except re.error as error:
        raise ConditionError(f"the pattern {value.regexp!s} cannot be read: {error}") from error
    return Texts(lambda text: compiled.search(text) is not None)


def networks(entries: list[str]) -> Texts:
    """A test for addresses in any of these networks."""
    known = [ipaddress.ip_network(entry, strict=False) for entry in entries]

    def test(text: str) -> bool:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        return any(address.version == network.version and address in network for network in known)

    return Texts(test)


def text_test(column: Column, test: Texts) -> Callable[[Binding], Bound]:
    """A test on the distinct values of a text column."""
    if column.kind not in TEXTS:
        raise ConditionError(f"{column.name} holds {column.kind}, not text")
    name = column.name

    def bind(binding: Binding) -> Bound:
        distinct = binding.distinct(name)
        passed = [test(text) for text in distinct.cast(pl.String)]
        if not any(passed):
            return False
        if all(passed):
            return pl.col(name).is_not_null()
        wanted = distinct.filter(pl.Series(passed))
        if len(wanted) == 1:
            return (pl.col(name) == wanted.cast(pl.String)[0]).fill_null(value=False)
        return pl.col(name).is_in(wanted.implode()).fill_null(value=False)

    return bind


def _site(column: Column, name: str, site: Site, columns: set[str]) -> Callable[[Binding], Bound]:
    """A test against facts of the site; false for all rows where the site does not define them."""
    if column.kind == "timestamp":
        windows = site.windows.get(name, ())
        return lambda _: pl.any_horizontal([window.contains(pl.col(column.name)) for window in windows]) if windows else False
    if column.name == "point.number":
        columns.add("point.id")
        ranges = site.ranges.get(name, {})
        return lambda binding: _in_range(binding, ranges)
    entries = site.lists.get(name, ())
    if column.kind in TEXTS:
        nets = [entry for entry in entries if column.name.endswith(".ip") and "/" in entry]
        words = {entry.casefold() for entry in entries if entry not in nets}
        in_network = networks(nets)
        return text_test(column, Texts(lambda text: text.casefold() in words or in_network(text)))
    numbers = [float(entry) for entry in entries]
    return lambda _: pl.col(column.name).is_in(numbers).fill_null(value=False) if numbers else False


def _in_range(binding: Binding, ranges: Mapping[str, tuple[float, float]]) -> Bound:
    """Whether a point's value lies in its range; a point without a range always does."""
    outside = [
        (pl.col("point.id") == point) & ~pl.col("point.number").is_between(least, most)
        for point, (least, most) in ranges.items()
        if point in set(binding.distinct("point.id").cast(pl.String))
    ]
    return ~pl.any_horizontal(outside) if outside else True


def parsed(rule_detection: object) -> object:
    """The parsed condition of a Sigma rule; several conditions are alternatives. Raises ConditionError."""
    conditions = cast("list[object]", getattr(rule_detection, "parsed_condition", []))
    try:
        nodes = [getattr(condition, "parsed") for condition in conditions]  # noqa: B009 - pySigma types it as a property of a mixin
    except SigmaError as error:
        raise ConditionError(" ".join(str(error).split())) from error
    return nodes[0] if len(nodes) == 1 else ConditionOR(nodes)
