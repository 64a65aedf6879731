"""The filter grammar of lists: `FIELD=VALUE[,VALUE…]` is any of these, `FIELD=!VALUE[,VALUE…]` none of these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import sqlalchemy as sa
from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from api.times import parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import InstrumentedAttribute

MOST_VALUES: Final = 100
"""Most values of one filter."""

MOST_CHARACTERS: Final = 4096
"""Longest filter."""


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Values of which a field has one, or none."""

    values: tuple[str, ...]
    negated: bool = False

    def on(self, column: InstrumentedAttribute[Any], convert: Callable[[str], Any] = str) -> sa.ColumnElement[bool]:
        """The condition on a column. A column without a value is none of the values."""
        values = [convert(value) for value in self.values]
        return sa.or_(column.not_in(values), column.is_(None)) if self.negated else column.in_(values)

    def __str__(self) -> str:
        return ("!" if self.negated else "") + ",".join(self.values)


def _any_of(choices: tuple[str, ...]) -> Callable[[object], AnyOf | None]:
    def read(given: object) -> AnyOf | None:
        if given is None or isinstance(given, AnyOf):
            return given
        if not isinstance(given, str) or len(given) > MOST_CHARACTERS:
            raise ValueError(f"a filter is a text of at most {MOST_CHARACTERS} characters")
        negated = given.startswith("!")
        values = tuple(value.strip() for value in given.removeprefix("!").split(","))
        if len(values) > MOST_VALUES:
            raise ValueError(f"a filter has at most {MOST_VALUES} values")
        if not all(values) or any("\x00" in value for value in values):
            raise ValueError("a filter is a list of values with commas between: severity=high,critical")
        unknown = [value for value in values if choices and value not in choices]
        if unknown:
            raise ValueError(f"{unknown[0][:50]!r} is none of {', '.join(choices)}")
        return AnyOf(values, negated)

    return read


def _schema(choices: tuple[str, ...], example: str) -> WithJsonSchema:
    value = f"({'|'.join(choices)})" if choices else "[^,!\\x00][^,\\x00]*"
    return WithJsonSchema(
        {"type": "string", "pattern": f"^!?{value}(,{value})*$", "maxLength": MOST_CHARACTERS, "examples": [example]}
    )


def one_of(choices: tuple[str, ...], example: str) -> Any:
    """The type of a filter on a field with these values; without any, on a field of free text."""
    return Annotated[AnyOf | None, BeforeValidator(_any_of(choices)), PlainSerializer(str), _schema(choices, example)]


def _time(given: object) -> int | None:
    if given is None or isinstance(given, int):
        return given
    if not isinstance(given, str):
        raise ValueError("a time is a text")  # noqa: TRY004  pydantic reports ValueError
    return parse(given)


Time = Annotated[
    int | None,
    BeforeValidator(_time),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^(-\d{1,6}[smhd]|(19[7-9]\d|20\d\d|21\d\d)-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?Z)$",
            "examples": ["-24h", "2026-11-23T08:00:00Z"],
        }
    ),
]
"""The type of a filter on time: RFC 3339, or so long before now."""
