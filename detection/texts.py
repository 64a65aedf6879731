"""What an alert says: a rule's texts with the finding's fields in place of the names in braces."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detection.sigma.rule import Texts

PLACE: Final = re.compile(r"\{([^{}]*)\}")
"""A name in braces in a text."""

SHOWN_ITEMS: Final = 16
"""Items of a list that a text shows."""


def written(texts: Texts, fields: Mapping[str, Any]) -> dict[str, Any]:
    """A rule's texts with the finding's fields in place of the names in braces."""

    def write(text: str) -> str:
        return PLACE.sub(lambda place: _shown(fields.get(place.group(1))), text)

    return {
        "title": write(texts.title),
        "summary": write(texts.summary),
        "expected": write(texts.expected),
        "observed": write(texts.observed),
        "next_steps": [write(step) for step in texts.next_steps],
    }


def named(text: str) -> set[str]:
    """The fields that a text names in braces."""
    return set(PLACE.findall(text))


def plain(value: object) -> object:
    """A field's value as JSON can hold it."""
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case bytes():
            return value.hex()
        case list():
            return [plain(item) for item in cast("list[object]", value)[:SHOWN_ITEMS]]
        case dict():
            return {str(name): plain(item) for name, item in cast("dict[object, object]", value).items()}
        case None | bool() | int() | float() | str():
            return value
        case _:
            return str(value)


def _shown(value: object) -> str:
    match value:
        case None:
            return "–"
        case float() if value.is_integer():
            return str(int(value))
        case list():
            return ", ".join(_shown(item) for item in cast("list[object]", value))
        case dict():
            return " ".join(_shown(item) for item in cast("dict[object, object]", value).values())
        case _:
            return str(value)
