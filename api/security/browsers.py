"""What tells one browser from another before anybody has signed in: a random text in a cookie, which no script reads."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Final

from api.users.service import TOKEN_BYTES

if TYPE_CHECKING:
    from fastapi import Request, Response

COOKIE: Final = "icsight_browser"
"""Name of the cookie over plain HTTP on this machine; over TLS it is `__Host-icsight_browser`."""

SECONDS: Final = 600
"""How long a browser is known: what is begun in it takes no longer."""


def browser_of(request: Request, *, encrypted: bool) -> str:
    """What is in the browser's cookie; empty where there is none, or none of this system's."""
    found = request.cookies.get(_name(encrypted), "")
    return found if re.fullmatch(r"[A-Za-z0-9_-]{43}", found) else ""


def know(request: Request, response: Response, *, encrypted: bool) -> str:
    """Have the browser bring a text from now on, the one that it has where it has one; returns it."""
    browser = browser_of(request, encrypted=encrypted) or secrets.token_urlsafe(TOKEN_BYTES)
    response.set_cookie(_name(encrypted), browser, max_age=SECONDS, path="/", secure=encrypted, httponly=True, samesite="strict")
    return browser


def _name(encrypted: bool) -> str:
    return f"__Host-{COOKIE}" if encrypted else COOKIE
