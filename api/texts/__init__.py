"""The catalogue: every text of the API and of the console, by language. One JSON file for each, with the same keys."""

from __future__ import annotations

import json
import os
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

LANGUAGES: Final = ("en", "zh-CN")
"""Languages that the product speaks; the first is the default."""


@cache
def catalogue(language: str) -> dict[str, str]:
    """All texts of a language by key. Placeholders are written `{name}`."""
    return json.loads((files(__name__) / f"{language}.json").read_text("utf-8"))


def text(language: str, key: str, **values: object) -> str:
    """One text with its placeholders filled. Raises KeyError for a key that the catalogue lacks."""
    template = catalogue(language)[key]
    for name, value in values.items():
        template = template.replace("{" + name + "}", str(value))
    return template


def preferred() -> str:
    """The language of the terminal's user (POSIX, environment variables of locales)."""
    told = next((value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := os.environ.get(name))), "")
    return next((language for language in LANGUAGES if told[:2] == language[:2]), LANGUAGES[0])


def language_of(request: HTTPConnection) -> str:
    """The language to answer in: `?language=`, else the best of Accept-Language (RFC 9110, 12.5.4), else English."""
    asked = request.query_params.get("language")
    if asked in LANGUAGES:
        return asked
    best, best_weight = LANGUAGES[0], 0.0
    for part in request.headers.get("accept-language", "").split(",")[:16]:
        name, _, weight_text = part.strip().partition(";q=")
        try:
            weight = float(weight_text) if weight_text else 1.0
        except ValueError:
            continue
        language = _match(name)
        if language is not None and weight > best_weight:
            best, best_weight = language, weight
    return best


def _match(name: str) -> str | None:
    primary = name.strip().lower().split("-")[0]
    return next((language for language in LANGUAGES if language.lower().split("-")[0] == primary), None)
