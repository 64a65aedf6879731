"""Tests of one field by one value of a Sigma rule, as Polars expressions.

A test on text or on a small number runs on the distinct values of a batch, not on its rows; where no value passes, the test is
false for the whole batch and the rule drops out before a row is looked at. What a missing value means is Sigma's: every test on
it is false, but `null` and `exists: false`.
"""

from __future__ import annotations

import ipaddress
import operator as operators
import re
from typing import TYPE_CHECKING, Any, Final, cast

import polars as pl
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
    SigmaTimestampPart,
    SpecialChars,
)

from detection.deviation import TABLES
from detection.sigma.fields import NUMBERS, TEXTS, ConditionError, Field, address_of, field_of
from detection.site import normal_address

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from detection.site import Site

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


class TextTest:
    """A test on text; the answers for values seen are remembered."""

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
    """The distinct values of a batch's columns of text and of 8 bit numbers.

    Args:
        frame: the batch's rows.
        columns: those columns, all of which are looked at together.
    """

    def __init__(self, frame: pl.DataFrame, columns: Sequence[str]) -> None:
        self.schema = frame.schema
        exprs: list[pl.Expr] = []
        for name in columns:
            values = pl.col(name).unique().drop_nulls()
            exprs.append((values if self.schema[name] == pl.UInt8 else values.cast(pl.String)).sort().implode().alias(name))
        self._distinct: dict[str, list[Any]] = frame.select(exprs).row(0, named=True) if exprs else {}

    def distinct(self, column: str) -> list[Any]:
        """The distinct values of a column, in order, without null."""
        return self._distinct[column]

    @property
    def signature(self) -> list[list[Any]]:
        """What the answers of tests on distinct values depend on."""
        return list(self._distinct.values())


Bound = pl.Expr | bool
"""What a condition comes to for one batch: an expression, or the same answer for all rows."""


def value_test(table: str, name: str, value: object, site: Site) -> tuple[Callable[[Binding], Bound], frozenset[str]]:
    """A test of a field by a value, and the columns that it reads. Raises ConditionError where there is none such."""
    field = field_of(table, name)
    match value:
        case SigmaExpansion():
            parts = [value_test(table, name, part, site) for part in value.values]
            return any_of([bind for bind, _ in parts]), frozenset[str]().union(*(columns for _, columns in parts))
        case SigmaFieldReference():
            return _same(field, field_of(table, value.field), value)
        case SigmaString() if value.contains_placeholder():
            columns = field.columns | ({"point.id"} if field.name == "point.number" else frozenset[str]())
            return _site_test(field, value, site), columns
        case _:
            return field_test(field, value), field.columns


def keyword_test(table: str, value: object) -> tuple[Callable[[Binding], Bound], frozenset[str]]:
    """A test of all text columns of a table by a word that may stand anywhere in them. Raises ConditionError."""
    if isinstance(value, SigmaNumber):
        value = SigmaString(str(value.number))
    if not isinstance(value, SigmaString) or value.contains_placeholder():
        raise ConditionError("a value without a field must be a word: name the column that must hold it")
    anywhere = SpecialChars.WILDCARD_MULTI + value + SpecialChars.WILDCARD_MULTI
    fields = [field_of(table, column.name) for column in TABLES[table].columns if column.kind in TEXTS]
    binds = [text_test(field, _wildcards(anywhere)) for field in fields]
    return any_of(binds), frozenset(field.name for field in fields)


def any_of(parts: Sequence[Callable[[Binding], Bound]]) -> Callable[[Binding], Bound]:
    """A test that one of others must pass."""

    def bind(binding: Binding) -> Bound:
        exprs: list[pl.Expr] = []
        for part in parts:
            bound = part(binding)
            if bound is True:
                return True
            if bound is not False:
                exprs.append(bound)
        return pl.any_horizontal(exprs) if len(exprs) > 1 else exprs[0] if exprs else False

    return bind


def field_test(field: Field, value: object) -> Callable[[Binding], Bound]:
    """A test of a field by one value that needs neither another field nor the site. Raises ConditionError."""
    expr = field.expr
    match value:
        case SigmaNull():
            return lambda _: expr.is_null()
        case SigmaExists():
            return (lambda _: expr.is_not_null()) if value.exists else (lambda _: expr.is_null())
        case SigmaBool():
            return _bool(field, wanted=value.boolean)
        case SigmaTimestampPart():
            raise ConditionError(f"{field.name}: parts of a time are not supported; name a window of the site by expand")
        case SigmaNumber():
            return _number(field, "==", value.number)
        case SigmaCompareExpression():
            return _number(field, OPERATORS[value.op], value.number.number)
        case SigmaCIDRExpression():
            return text_test(field, networks([str(value.network)]))
        case SigmaRegularExpression():
            return text_test(field, _pattern(value))
        case SigmaString() if field.kind == "binary":
            return _bytes(field, value)
        case SigmaString() if field.kind in TEXTS:
            return text_test(field, _wildcards(value))
        case SigmaString():
            raise ConditionError(f"{field.name} holds {field.kind}; {str(value)!r} is not one")
        case _:
            raise ConditionError(f"{field.name}: a test by {type(value).__name__} is not supported")


def _bool(field: Field, *, wanted: bool) -> Callable[[Binding], Bound]:
    predicate = field.predicate
    if predicate is not None:
        (column,) = field.columns
        return _by_values(column, field.expr, TextTest(lambda text: predicate(text) is wanted))
    if field.kind != "bool":
        raise ConditionError(f"{field.name} holds {field.kind}, not true or false")
    return lambda _: (field.expr == wanted).fill_null(value=False)


def _number(field: Field, operator: str, number: float) -> Callable[[Binding], Bound]:
    expr = field.expr.dt.total_nanoseconds() if field.kind == "duration" else field.expr
    compare = _COMPARE[operator]
    if field.kind == "list<u16>":
        if operator == "==" and 0 <= number <= 65_535 and float(number).is_integer():
            return lambda _: expr.list.contains(int(number)).fill_null(value=False)
        return lambda _: expr.list.eval(compare(pl.element(), number)).list.any().fill_null(value=False)
    if field.kind in TEXTS and operator == "==":
        return text_test(field, TextTest(lambda text: text == str(number)))
    if field.kind not in NUMBERS:
        raise ConditionError(f"{field.name} holds {field.kind}, which cannot be tested with {operator}")
    if field.kind == "u8":
        return _by_small_values(field.name, expr, compare, number)
    return lambda _: compare(expr, number).fill_null(value=False)


_COMPARE: Final[Mapping[str, Callable[[Any, float], Any]]] = {
    "==": operators.eq,
    "<": operators.lt,
    "<=": operators.le,
    ">": operators.gt,
    ">=": operators.ge,
    "!=": operators.ne,
}
"""Comparisons of numbers, and of expressions that stand for them."""


def _same(field: Field, other: Field, reference: SigmaFieldReference) -> tuple[Callable[[Binding], Bound], frozenset[str]]:
    """Whether two fields hold the same."""
    if reference.starts_with or reference.ends_with:
        raise ConditionError(f"{field.name}: fieldref with startswith or endswith is not supported")
    alike = (field.kind in TEXTS and other.kind in TEXTS) or (field.kind in NUMBERS and other.kind in NUMBERS)
    if not alike and field.kind != other.kind:
        raise ConditionError(f"{field.name} holds {field.kind}, {other.name} holds {other.kind}: they cannot be the same")
    left, right = (
        part.expr.cast(pl.String) if part.kind == "choice" or (part.kind in TEXTS and field.kind != other.kind) else part.expr
        for part in (field, other)
    )
    return lambda _: (left == right).fill_null(value=False), field.columns | other.columns


def _bytes(field: Field, value: SigmaString) -> Callable[[Binding], Bound]:
    """Bytes in hexadecimal, blanks allowed; a `*` at an end stands for any bytes."""
    parts = list(value.s)
    before = bool(parts) and parts[0] == SpecialChars.WILDCARD_MULTI
    after = len(parts) > 1 and parts[-1] == SpecialChars.WILDCARD_MULTI
    middle = parts[before : len(parts) - after]
    text = middle[0] if len(middle) == 1 and isinstance(middle[0], str) else ""
    try:
        wanted = bytes.fromhex(text)
    except ValueError:
        wanted = b""
    if not wanted:
        raise ConditionError(f"{field.name} holds bytes: write {str(value)!r} as hexadecimal digits, with * only at the ends")
    test = {
        (False, False): field.expr == wanted,
        (False, True): field.expr.bin.starts_with(wanted),
        (True, False): field.expr.bin.ends_with(wanted),
        (True, True): field.expr.bin.contains(wanted),
    }[before, after]
    return lambda _: test.fill_null(value=False)


def _wildcards(value: SigmaString) -> TextTest:
    """A Sigma string: `*` and `?` are wildcards, case matters only where the rule says so (Sigma specification, modifiers)."""
    parts = {SpecialChars.WILDCARD_MULTI: ".*", SpecialChars.WILDCARD_SINGLE: "."}
    pattern = "".join(re.escape(part) if isinstance(part, str) else parts[cast("SpecialChars", part)] for part in value.s)
    flags = re.DOTALL if isinstance(value, SigmaCasedString) else re.DOTALL | re.IGNORECASE
    compiled = re.compile(pattern, flags)
    return TextTest(lambda text: compiled.fullmatch(text) is not None)


def _pattern(value: SigmaRegularExpression) -> TextTest:
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
    return TextTest(lambda text: compiled.search(text) is not None)


def networks(entries: Sequence[str]) -> TextTest:
    """A test for addresses in any of these networks."""
    known = [ipaddress.ip_network(entry, strict=False) for entry in entries]

    def test(text: str) -> bool:
        address = address_of(text)
        return address is not None and any(address.version == network.version and address in network for network in known)

    return TextTest(test)


def text_test(field: Field, test: TextTest) -> Callable[[Binding], Bound]:
    """A test on the distinct values of a text column."""
    if field.kind not in TEXTS:
        raise ConditionError(f"{field.name} holds {field.kind}, not text")
    return _by_values(field.name, field.expr, test)


def _by_values(column: str, expr: pl.Expr, test: TextTest) -> Callable[[Binding], Bound]:
    def bind(binding: Binding) -> Bound:
        distinct = binding.distinct(column)
        wanted = [text for text in distinct if test(text)]
        if not wanted:
            return False
        if len(wanted) == len(distinct):
            return expr.is_not_null()
        if len(wanted) == 1:
            return (expr == wanted[0]).fill_null(value=False)
        return expr.is_in(pl.Series(wanted, dtype=binding.schema[column]).implode()).fill_null(value=False)

    return bind


def _by_small_values(
    column: str, expr: pl.Expr, compare: Callable[[Any, float], Any], number: float
) -> Callable[[Binding], Bound]:
    def bind(binding: Binding) -> Bound:
        passed = [compare(value, number) for value in binding.distinct(column)]
        if not any(passed):
            return False
        return expr.is_not_null() if all(passed) else compare(expr, number).fill_null(value=False)

    return bind


def _site_test(field: Field, value: SigmaString, site: Site) -> Callable[[Binding], Bound]:
    """A test against facts of the site; false for all rows where the site does not define them."""
    if len(value.s) != 1 or not isinstance(value.s[0], Placeholder):
        raise ConditionError(f"{field.name}: a fact of the site stands alone, as in '%authorised_writers%'")
    name = value.s[0].name
    wanted = "windows" if field.kind == "timestamp" else "ranges" if field.name == "point.number" else "lists"
    defined = site.kind_of(name)
    if defined is None:
        return lambda _: False
    if defined != wanted:
        raise ConditionError(f"{field.name} needs {name} under {wanted}:, but the site defines it under {defined}:")
    if wanted == "windows":
        tests = [window.contains(field.expr) for window in site.windows[name]]
        return lambda _: pl.any_horizontal(tests).fill_null(value=False) if tests else False
    if wanted == "ranges":
        return lambda binding: _in_range(binding, site.ranges[name])
    return _in_list(field, name, site.lists[name])


def _in_list(field: Field, name: str, entries: Sequence[str]) -> Callable[[Binding], Bound]:
    try:
        if field.kind in TEXTS:
            nets = [entry for entry in entries if "/" in entry] if field.name.endswith(".ip") else []
            words = {normal_address(entry).casefold() for entry in entries if entry not in nets}
            in_network = networks(nets)
            return text_test(field, TextTest(lambda text: text.casefold() in words or in_network(text)))
        numbers = [float(entry) for entry in entries]
    except ValueError as error:
        raise ConditionError(f"{field.name}: the site's list {name} has an entry that does not fit: {error}") from error
    if field.kind == "list<u16>" or field.kind in NUMBERS:
        return any_of([_number(field, "==", number) for number in numbers])
    raise ConditionError(f"{field.name} holds {field.kind}, which no list of the site can name")


def _in_range(binding: Binding, ranges: Mapping[str, tuple[float, float]]) -> Bound:
    """Whether a point's value lies in its range; a point without a range always does."""
    there = set(binding.distinct("point.id"))
    outside = [
        (pl.col("point.id") == point) & ~pl.col("point.number").is_between(least, most)
        for point, (least, most) in ranges.items()
        if point in there
    ]
    return ~pl.any_horizontal(outside) if outside else True
