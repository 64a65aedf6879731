"""Sessions as whoever has just signed in sees them, whatever he signed in with."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from api.problems import Problem
from api.security.access import address_of, cookie_name, csrf_token
from api.security.permissions import FOR_TOKENS, permissions_of
from api.users.schemas import SessionState
from api.users.service import Entry, Rights

if TYPE_CHECKING:
    from fastapi import Request, Response

    from api.services import Services
    from api.users.models import User


def signed_in(provided: Services, response: Response, user: User, token: str) -> SessionState:
    """The answer to who has signed in, with the session's cookie."""
    encrypted = provided.settings.encrypted
    response.set_cookie(
        cookie_name(encrypted), token, max_age=provided.settings.session_lifetime_seconds, path="/", secure=encrypted,
        httponly=True, samesite="strict",
    )  # fmt: skip
    response.headers["Cache-Control"] = "no-store"
    return state(user.name, Rights(user.role, user.limits), token)


def state(name: str, rights: Rights, token: str) -> SessionState:
    """A session, as its caller sees it."""
    held = permissions_of(rights.role, rights.sites)
    return SessionState(
        name=name, role=rights.role, sites=rights.listed, permissions=sorted(held), for_tokens=sorted(held & FOR_TOKENS),
        csrf_token=csrf_token(token),
    )  # fmt: skip


def entry_of(request: Request, *, issuer: str | None = None, passkey: str | None = None) -> Entry:
    """How the caller comes in."""
    provided: Services = request.app.state.services
    before = request.cookies.get(cookie_name(provided.settings.encrypted), "")
    return Entry(address_of(request), request.headers.get("user-agent", ""), issuer, passkey, before)


def wait(provided: Services, *keys: str) -> None:
    """Let nobody try again too early. Raises Problem `sign_in_wait`."""
    seconds = math.ceil(provided.attempts.wait_seconds(*keys))
    if seconds:
        raise Problem("sign_in_wait", headers={"Retry-After": str(seconds)}, seconds=seconds)
