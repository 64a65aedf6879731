"""Pages of lists: how long they are, and cursors.

A cursor says where the next page of a list starts. It is opaque to the caller and bound to the question that it belongs to.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import Query

from api.problems import Problem

if TYPE_CHECKING:
    from fastapi import Request, Response

CURSOR_CHARACTERS: Final = 4096
"""Longest cursor taken: longer than any that is given."""

PAGE_ROWS: Final = 50
"""Rows of a page where the caller does not say."""

PAGE_ROWS_MOST: Final = 500
"""Most rows of a page."""


Cursor = Annotated[
    str | None, Query(max_length=CURSOR_CHARACTERS, description="Of the address that the header Link names as `next`.")
]
"""Where a page of a plain list starts."""


Limit = Annotated[int, Query(ge=1, le=PAGE_ROWS_MOST, description="Most items of the page.")]
"""How long a page of a plain list is."""


def name_next(request: Request, response: Response, cursor: str | None) -> None:
    """Tell where the next page of a plain list is, which has no place for it: in the header Link (RFC 8288)."""
    if cursor is not None:
        address = request.url.include_query_params(cursor=cursor)
        response.headers["Link"] = f'<{address.path}?{address.query}>; rel="next"'


def write_cursor(question: str, *place: str | float | None) -> str:
    """The cursor of a place in the answer to a question."""
    content = json.dumps([_fingerprint(question), *place], separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def read_cursor(question: str, cursor: str, kinds: tuple[type, ...]) -> list[str | float]:
    """The place that a cursor names. Raises Problem `cursor_invalid` where it is none, or belongs to another question."""
    try:
        content: object = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise Problem("cursor_invalid") from None
    if not isinstance(content, list) or len(content) != len(kinds) + 1 or content[0] != _fingerprint(question):  # pyright: ignore[reportUnknownArgumentType]
        raise Problem("cursor_invalid")
    place: list[str | float] = content[1:]  # pyright: ignore[reportUnknownVariableType]
    if not all(_fits(value, kind) for value, kind in zip(place, kinds, strict=True)):
        raise Problem("cursor_invalid")
    return place


def _fits(value: str | float, kind: type) -> bool:
    """Whether a value is of this kind, and one that databases take."""
    if type(value) is not kind:
        return False
    if isinstance(value, str):
        # Half of a pair of UTF-16, which JSON can name and no text holds.
        return not any(each == "\0" or "\ud800" <= each <= "\udfff" for each in value)
    return abs(value) < 2**63  # what is not a number is not


def _fingerprint(question: str) -> str:
    return hashlib.sha256(question.encode()).hexdigest()[:16]
