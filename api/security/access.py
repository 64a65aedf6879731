"""Who is calling: the session behind the cookie, the role it needs, and the token that a change must bring."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, APIKeyHeader

from api.audit.service import Actor
from api.problems import Problem
from api.security.guard import SAFE_METHODS
from api.services import Services, services
from api.users import service as users
from api.users.models import ROLES, Role

if TYPE_CHECKING:
    from collections.abc import Callable

COOKIE: Final = "icsight_session"
"""Name of the session cookie over plain HTTP on this machine; over TLS it is `__Host-icsight_session`."""

CSRF_HEADER: Final = "X-CSRF-Token"
"""A change made with a session cookie brings the session's token in this header (`csrf_token` of `GET /api/session`)."""

_cookie = APIKeyCookie(name=COOKIE, auto_error=False, description="Session cookie, set by `POST /api/session`.")
_csrf = APIKeyHeader(name=CSRF_HEADER, auto_error=False, description="The session's `csrf_token`; needed for every change.")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls."""

    user_id: int
    name: str
    role: Role
    session_id: str
    token: str
    address: str

    @property
    def actor(self) -> Actor:
        """The caller as the audit trail names it."""
        return Actor(self.name, self.address)


def address_of(request: Request) -> str:
    """Network address of the caller."""
    return request.client.host if request.client else ""


def cookie_name(encrypted: bool) -> str:
    """Name of the session cookie. Over TLS its prefix makes browsers take it from this host only (RFC 6265bis, 4.1.3.2)."""
    return f"__Host-{COOKIE}" if encrypted else COOKIE


def csrf_token(session_token: str) -> str:
    """The token that changes made with this session must bring."""
    return hmac.new(session_token.encode(), b"icsight csrf", hashlib.sha256).hexdigest()


def current(
    request: Request,
    provided: Annotated[Services, Depends(services)],
    _documented_cookie: Annotated[str | None, Depends(_cookie)],
    token: Annotated[str | None, Depends(_csrf)],
) -> Caller:
    """The caller. Raises Problem `signed_out` without a session, `cross_site` for a change without the session's token."""
    session_token = request.cookies.get(cookie_name(provided.settings.encrypted), "")
    with provided.database.read() as session:
        found = users.session_of(session, provided.settings, session_token)
    if found is None:
        raise Problem("signed_out")
    if request.method not in SAFE_METHODS and not hmac.compare_digest((token or "").encode(), csrf_token(session_token).encode()):
        raise Problem("cross_site")
    if users.needs_touch(found):
        with provided.database.write() as session:
            users.touch(session, found.id)
    return Caller(found.user_id, found.user.name, found.user.role, found.id, session_token, address_of(request))


def _needs(least: Role) -> Callable[[Caller], Caller]:
    def check(caller: Annotated[Caller, Depends(current)]) -> Caller:
        if ROLES.index(caller.role) < ROLES.index(least):
            raise Problem("forbidden", role=least)
        return caller

    return check


Viewer = Annotated[Caller, Depends(current)]
"""A caller who is signed in."""

Operator = Annotated[Caller, Depends(_needs("operator"))]
"""A caller who may decide about alerts."""

Administrator = Annotated[Caller, Depends(_needs("administrator"))]
"""A caller who may manage accounts."""
