"""The filter grammar of lists: `FIELD=VALUE[,VALUE…]` is any of these, `FIELD=!VALUE[,VALUE…]` none of these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import sqlalchemy as sa
from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import core_schema

from api.times import parse
from api.unfit import Unfit

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema
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

    def on_any(self, *columns: InstrumentedAttribute[Any]) -> sa.ColumnElement[bool]:
        """The condition on several columns of one meaning: one of them has a value, or none has."""
        return (sa.and_ if self.negated else sa.or_)(*(self.on(column) for column in columns))

    def on_one_of(
        self, key: InstrumentedAttribute[Any], owner: InstrumentedAttribute[Any], column: InstrumentedAttribute[Any]
    ) -> sa.ColumnElement[bool]:
        """The condition on what may have several values, each a row that names its owner: one of them is named, or none is."""
        owners = sa.select(owner).where(column.in_(self.values))
        return key.not_in(owners) if self.negated else key.in_(owners)

    def has_one_of(
        self, key: InstrumentedAttribute[Any], owner: InstrumentedAttribute[Any], column: InstrumentedAttribute[Any]
    ) -> sa.ColumnElement[bool]:
        """The same condition, looked at row by row: of values that many have a database would gather all rows first."""
        found = sa.exists().where(owner == key, column.in_(self.values))
        return ~found if self.negated else found

    def __str__(self) -> str:
        return ("!" if self.negated else "") + ",".join(self.values)


@dataclass(frozen=True, slots=True)
class OneOf:
    """Annotates a filter on a field: its values, or none for free text, and an example."""

    choices: tuple[str, ...]
    example: str

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read the filter from text."""
        del source, handler
        return core_schema.no_info_plain_validator_function(self.read, serialization=core_schema.to_string_ser_schema())

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The grammar as a pattern."""
        del schema, handler
        value = f"({'|'.join(self.choices)})" if self.choices else r"[^,!\x00][^,\x00]*"
        return {"type": "string", "pattern": f"^!?{value}(,{value})*$", "maxLength": MOST_CHARACTERS, "examples": [self.example]}

    def read(self, given: object) -> AnyOf | None:
        """The filter that a text says. Raises ValueError."""
        if given is None or isinstance(given, AnyOf):
            return given
        if not isinstance(given, str) or len(given) > MOST_CHARACTERS:
            raise Unfit("filter_text", most=MOST_CHARACTERS)
        values = tuple(value.strip() for value in given.removeprefix("!").split(","))
        if len(values) > MOST_VALUES:
            raise Unfit("filter_values", most=MOST_VALUES)
        if not all(values) or any("\x00" in value for value in values):
            raise Unfit("filter_list")
        unknown = [value for value in values if self.choices and value not in self.choices]
        if unknown:
            raise Unfit("filter_choice", given=repr(unknown[0][:50]), choices=", ".join(self.choices))
        return AnyOf(values, negated=given.startswith("!"))


class Instant(int):
    """Nanoseconds since 1970 that remember how they were written: a cursor belongs to `-24h`, whenever that is."""

    written: str

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read the time from text, and write what was read."""
        del source, handler
        written = core_schema.plain_serializer_function_ser_schema(lambda instant: instant.written)
        return core_schema.no_info_plain_validator_function(cls.read, serialization=written)

    @classmethod
    def read(cls, given: object) -> Instant:
        """The time that a text says. Raises ValueError."""
        if isinstance(given, Instant):
            return given
        if not isinstance(given, str):
            raise Unfit("time_text")
        instant = cls(parse(given))
        instant.written = given
        return instant


def _moment(given: object) -> int:
    if not isinstance(given, str):
        raise Unfit("time_text")
    return parse(given)


_DATE: Final = r"(19[7-9]\d|20\d\d|21\d\d)-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])"
_CLOCK: Final = r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?"

_WRITTEN: Final = WithJsonSchema(
    {
        "type": "string",
        "pattern": rf"^(-\d{{1,6}}[smhd]|{_DATE}T{_CLOCK}Z)$",
        "examples": ["-24h", "2026-11-23T08:00:00Z"],
    }
)

Time = Annotated[Instant | None, _WRITTEN]
"""The type of a filter on time: RFC 3339, or so long before now."""

Moment = Annotated[int, BeforeValidator(_moment), _WRITTEN]
"""The type of a time in a body: RFC 3339, or so long before now."""
