"""Conditions of Sigma rules as Polars expressions, one for each rule and batch: all rules of a table run in one select."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import polars as pl
from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionNOT,
    ConditionOR,
    ConditionValueExpression,
)
from sigma.exceptions import SigmaError

from detection.deviation import TABLES
from detection.sigma.fields import ConditionError
from detection.sigma.values import any_of, keyword_test, value_test

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from detection.sigma.values import Binding, Bound
    from detection.site import Site


@dataclass(frozen=True, slots=True)
class Compiled:
    """A rule's condition over one table: rows must pass `bind`, and those that do `costly`."""

    table: str
    bind: Callable[[Binding], Bound]
    costly: Callable[[Binding], Bound] | None
    """Tests on lists and bytes: tried only on the rows that have passed the others."""
    columns: frozenset[str]
    """Columns that it reads."""


def compile_condition(table: str, condition: object, site: Site) -> Compiled:
    """Compile the parsed condition of a rule for a table. Raises ConditionError where it cannot be."""
    columns: set[str] = set()
    costly: list[Callable[[Binding], Bound]] = []
    cheap: list[Callable[[Binding], Bound]] = []
    for part in _parts(condition):
        read: set[str] = set()
        bind = _node(part, table, site, read)
        (costly if any(_is_costly(table, name) for name in read) else cheap).append(bind)
        columns |= read
    return Compiled(table, _all_of(cheap), _all_of(costly) if costly else None, frozenset(columns))


def _parts(node: object) -> list[object]:
    """What must hold together."""
    return [part for each in node.args for part in _parts(each)] if isinstance(node, ConditionAND) else [node]


def _is_costly(table: str, column: str) -> bool:
    kind = TABLES[table].column(column).kind
    return kind == "binary" or kind.startswith("list")


def parsed(rule_detection: object) -> object:
    """The parsed condition of a Sigma rule; several conditions are alternatives. Raises ConditionError."""
    conditions = cast("list[object]", getattr(rule_detection, "parsed_condition", []))
    try:
        nodes = [getattr(condition, "parsed") for condition in conditions]  # noqa: B009 - pySigma types it as a property of a mixin
    except SigmaError as error:
        raise ConditionError(" ".join(str(error).split())) from error
    return nodes[0] if len(nodes) == 1 else ConditionOR(nodes)


def _node(node: object, table: str, site: Site, columns: set[str]) -> Callable[[Binding], Bound]:
    match node:
        case ConditionAND():
            return _all_of([_node(part, table, site, columns) for part in node.args])
        case ConditionOR():
            return any_of([_node(part, table, site, columns) for part in node.args])
        case ConditionNOT():
            (inner,) = (_node(part, table, site, columns) for part in node.args)
            return lambda binding: _not(inner(binding))
        case ConditionFieldEqualsValueExpression():
            bind, wanted = value_test(table, node.field, node.value, site)
            columns |= wanted
            return bind
        case ConditionValueExpression():
            bind, wanted = keyword_test(table, node.value)
            columns |= wanted
            return bind
        case _:
            raise ConditionError(f"{type(node).__name__} is not supported")


def _not(bound: Bound) -> Bound:
    return not bound if isinstance(bound, bool) else ~bound


def _all_of(parts: Sequence[Callable[[Binding], Bound]]) -> Callable[[Binding], Bound]:
    def bind(binding: Binding) -> Bound:
        exprs: list[pl.Expr] = []
        for part in parts:
            bound = part(binding)
            if bound is False:
                return False
            if bound is not True:
                exprs.append(bound)
        return pl.all_horizontal(exprs) if len(exprs) > 1 else exprs[0] if exprs else True

    return bind
