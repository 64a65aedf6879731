"""What detection itself says besides the texts of rules, by language."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

SHOWN_NAMES: Final = 3
"""Names that a sentence lists before it counts the rest."""


@cache
def phrases(language: str) -> dict[str, str]:
    """All phrases of a language by key; names in braces are filled in."""
    return json.loads(files("detection").joinpath("phrases.json").read_text(encoding="utf-8"))[language]


def phrase(language: str, key: str, **values: object) -> str:
    """One phrase with its names filled in. Raises KeyError for a key that there is not."""
    return phrases(language)[key].format(**values)


def listed(language: str, names: Sequence[str], otherwise: str) -> str:
    """Names in a row, the first few and how many more; `otherwise` is the key of what stands for none."""
    if not names:
        return phrase(language, otherwise)
    row = phrase(language, "and").join(names[:SHOWN_NAMES])
    rest = len(names) - SHOWN_NAMES
    return row if rest <= 0 else phrase(language, "more", names=row, rest=rest, count=len(names))
