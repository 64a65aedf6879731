"""Whether a condition can hold at all: its tests are tried on all values that a column can have, with the engine itself.

A condition is written as alternatives of tests that must hold together. Of each alternative, the tests of one field are tried on
the field's values: all of them where it has few (choices, booleans, 8 and 16 bit numbers), those around the numbers that the
tests name where it has many, those that the tests name for text. Tests against lists of the site and other fields are taken to
hold.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from itertools import product
from typing import TYPE_CHECKING, Final

import polars as pl
from sigma.conditions import ConditionAND, ConditionFieldEqualsValueExpression, ConditionNOT, ConditionOR
from sigma.types import (
    SigmaCompareExpression,
    SigmaExists,
    SigmaExpansion,
    SigmaFieldReference,
    SigmaNull,
    SigmaNumber,
    SigmaString,
)

from detection.sigma.fields import NUMBERS, TEXTS, Field, field_of
from detection.sigma.values import Binding, any_of, field_test
from sensor.tables import polars_type

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ALTERNATIVES: Final = 4_096
"""Alternatives of a condition that are tried; a condition with more is taken to be able to hold."""


@dataclass(frozen=True, slots=True, eq=False)
class Test:
    """A test of one field: one of the values must be there, or none of them."""

    positive: bool
    field: str
    values: tuple[object, ...]


def never(table: str, condition: object) -> Iterator[str]:
    """Why a condition, or a single test in it, can never hold. Raises ConditionError where it cannot be compiled."""
    try:
        choices = list(alternatives(condition, positive=True))
    except OverflowError:
        return
    told: set[str] = set()
    for test in dict.fromkeys(test for alternative in choices for test in alternative if test.positive):
        for value in test.values:
            if _possible(table, [Test(positive=True, field=test.field, values=(value,))]) is False:
                told.add(f"{test.field} is never {_shown(value)}")
    yield from sorted(told)
    problems = [_problem(table, alternative) for alternative in choices]
    if not told and problems and all(problems):
        yield f"can never fire: {problems[0]}"


def _problem(table: str, tests: Sequence[Test]) -> str | None:
    """Why tests cannot hold together, or None where they may."""
    for name in dict.fromkeys(test.field for test in tests):
        if _possible(table, [test for test in tests if test.field == name]) is False:
            return f"no value of {name} passes all its tests"
    return None


def _possible(table: str, tests: Sequence[Test]) -> bool | None:
    """Whether some value of a field passes all these tests; None where that cannot be told."""
    known = field_of(table, tests[0].field)
    # A column of its own, also where it follows from others; a duration is compared as a number of nanoseconds.
    kind = "f64" if known.kind == "duration" else known.kind
    field = replace(known, kind=kind, expr=pl.col(known.name), columns=frozenset({known.name}), predicate=None)
    judged = [test for test in tests if not any(_open(value) for value in test.values)]
    values = values_of(field, judged) if judged else None
    if values is None:
        return None
    frame = values.to_frame(field.name)
    passing: list[pl.Expr] = []
    for test in judged:
        bound = any_of([field_test(field, value) for value in test.values])(Binding(frame, frame.columns))
        held = pl.lit(bound) if isinstance(bound, bool) else bound
        passing.append(held if test.positive else ~held)
    return bool(frame.select(pl.all_horizontal(passing).any()).item())


def first_passing(known: Field, tests: Sequence[Test], values: Sequence[object] | pl.Series) -> int | None:
    """The place of the first value of a field that passes all these tests, none of which is about the site or another field."""
    # A column of its own, also where it follows from others; a duration is compared as a number of nanoseconds.
    kind = "f64" if known.kind == "duration" else known.kind
    field = replace(known, kind=kind, expr=pl.col(known.name), columns=frozenset({known.name}))
    dtype = pl.String if known.predicate is not None else polars_type(kind)
    frame = pl.DataFrame({known.name: pl.Series(values, dtype=dtype, strict=False)})
    binding = Binding(frame, frame.columns if _looked_at(field) else [])
    held: list[pl.Expr] = []
    for test in tests:
        bound = any_of([field_test(field, each) for each in test.values])(binding)
        each = pl.lit(bound) if isinstance(bound, bool) else bound
        held.append(each if test.positive else ~each)
    places = frame.with_row_index("place").filter(pl.all_horizontal(held)) if held else frame.with_row_index("place")
    return None if places.is_empty() else int(places.item(0, "place"))


def _looked_at(field: Field) -> bool:
    """Whether tests of a field look at its distinct values."""
    return field.predicate is not None or field.kind in TEXTS or field.kind == "u8"


def _open(value: object) -> bool:
    """Whether a test is about more than the field: the site, or another field."""
    match value:
        case SigmaExpansion():
            return any(_open(part) for part in value.values)
        case SigmaString():
            return value.contains_placeholder()
        case _:
            return isinstance(value, SigmaFieldReference)


def values_of(field: Field, tests: Sequence[Test]) -> pl.Series | None:
    """Values of a field among which one passes the tests if any does; None where there is no such set."""
    none: list[object] = [None] if field.nullable else []
    kind = field.kind
    if kind == "choice":
        return pl.Series([*field.values, *none], dtype=polars_type(kind))
    if kind == "bool":
        return pl.Series([True, False, *none], dtype=pl.Boolean)
    if kind in {"u8", "u16"}:
        return pl.Series([*range(int(NUMBERS[kind] or 0) + 1), *none], dtype=polars_type(kind))
    if kind in NUMBERS:
        named = {number for test in tests for value in test.values for number in numbers_of(value)}
        around = {number + step for number in (*named, 0.0) for step in (-1.0, -0.5, 0.0, 0.5, 1.0)}
        most = NUMBERS[kind]
        if most is not None:
            around = {float(int(number)) for number in around if 0 <= number <= most} | {float(most)}
        return pl.Series([*sorted(around), *none], dtype=pl.Float64)
    exact = [test for test in tests if test.positive and all(_exact(value) for value in test.values)]
    if kind in TEXTS and exact:
        return pl.Series([_text(value) for value in exact[0].values], dtype=pl.String)
    return None


def numbers_of(value: object) -> list[float]:
    """The numbers that a value of a rule names."""
    match value:
        case SigmaNumber():
            return [float(value.number)]
        case SigmaCompareExpression():
            return [float(value.number.number)]
        case SigmaExpansion():
            return [number for part in value.values for number in numbers_of(part)]
        case _:
            return []


def _exact(value: object) -> bool:
    match value:
        case SigmaString():
            return not value.contains_special() and not value.contains_placeholder()
        case SigmaExists():
            return not value.exists
        case _:
            return isinstance(value, (SigmaNull, SigmaNumber))


def _text(value: object) -> str | None:
    match value:
        case SigmaString():
            return value.to_plain()
        case SigmaNumber():
            return str(value.number)
        case _:
            return None


def _shown(value: object) -> str:
    match value:
        case SigmaCompareExpression():
            return f"{value.op.name.lower()} {value.number.number}"
        case SigmaNull() | SigmaExists():
            return "missing"
        case _:
            return repr(str(value))


def alternatives(node: object, *, positive: bool) -> Iterator[tuple[Test, ...]]:
    """The condition as alternatives of tests that hold together. Raises OverflowError where there are too many."""
    match node:
        case ConditionNOT():
            yield from alternatives(node.args[0], positive=not positive)
        case ConditionOR() if parts := _of_one_field(node):
            yield (Test(positive, parts[0].field, tuple(part.value for part in parts)),)
        case ConditionAND() | ConditionOR():
            parts = [list(alternatives(part, positive=positive)) for part in node.args]
            if isinstance(node, ConditionOR) == positive:
                for part in parts:
                    yield from part
                return
            if reduce(lambda total, part: total * max(1, len(part)), parts, 1) > ALTERNATIVES:
                raise OverflowError
            for combination in product(*parts):
                yield tuple(test for part in combination for test in part)
        case ConditionFieldEqualsValueExpression():
            yield (Test(positive, node.field, (node.value,)),)
        case _:
            yield ()


def _of_one_field(node: ConditionOR) -> list[ConditionFieldEqualsValueExpression]:
    """The parts of an alternative, where they all test the same field; else none."""
    parts = [part for part in node.args if isinstance(part, ConditionFieldEqualsValueExpression)]
    return parts if len(parts) == len(node.args) and len({part.field for part in parts}) == 1 else []
