"""Who is calling: the session behind the cookie or the account behind an API token, and the permission that is needed.

A change made with a cookie must bring the session's token too, which no other site knows. One made with an API token need not:
browsers add no such header by themselves.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import Depends, Request
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.security import APIKeyCookie, APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool

from api.audit.models import SUBJECT_CHARACTERS
from api.audit.service import Actor, record_read
from api.database.scope import Scope
from api.idempotency import service as idempotency
from api.problems import Problem
from api.security.guard import SAFE_METHODS
from api.security.permissions import OPEN, REGULATORS, TOLD_BY_LAW, Permission, Role, permissions_of
from api.services import Services, services
from api.tokens import service as tokens
from api.users import service as users

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy.orm import Session
    from starlette.routing import BaseRoute

    from api.settings import Settings

COOKIE: Final = "icsight_session"
"""Name of the session cookie over plain HTTP on this machine; over TLS it is `__Host-icsight_session`."""

CSRF_HEADER: Final = "X-CSRF-Token"
"""A change made with a session cookie brings the session's token in this header (`csrf_token` of `GET /api/session`)."""

_cookie = APIKeyCookie(name=COOKIE, auto_error=False, description="Session cookie, set by `POST /api/session`.")
_bearer = HTTPBearer(auto_error=False, description="An API token of `POST /api/tokens`, in place of the cookie.")
_csrf = APIKeyHeader(name=CSRF_HEADER, auto_error=False, description="The session's `csrf_token`; needed for every change.")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls.

    Attributes:
        sites: the sites that the account is limited to; None for all.
        session_id: the session; empty where a token calls.
        token: the token of the session, or the API token.
        token_id: the API token; None where a person calls.
    """

    user_id: int
    name: str
    role: Role
    sites: frozenset[str] | None
    permissions: frozenset[Permission]
    session_id: str
    token: str
    address: str
    token_id: str | None = None

    @property
    def actor(self) -> Actor:
        """The caller as the audit trail names it."""
        return Actor(self.name, self.address if self.token_id is None else f"{self.address} token {self.token_id}")

    def may(self, permission: Permission) -> bool:
        """Whether the caller has a permission."""
        return permission in self.permissions


def address_of(request: Request) -> str:
    """Network address of the caller."""
    return request.client.host if request.client else ""


def origin_of(request: Request, settings: Settings) -> str:
    """How browsers call this server. The Host header is one of its names (`api.security.guard`)."""
    return settings.address or f"{'https' if settings.encrypted else 'http'}://{request.headers['host']}"


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
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    token: Annotated[str | None, Depends(_csrf)],
) -> Caller:
    """The caller; a change with an `Idempotency-Key` is taken up in his name.

    Raises Problem `rate_limited` after too many requests, `signed_out` without a session or a token that is good, `cross_site`
    for a change without the session's token, and as `api.idempotency.service.take_up`.
    """
    if bearer is not None:
        return _of_token(request, provided, bearer.credentials)
    session_token = request.cookies.get(cookie_name(provided.settings.encrypted), "")
    with provided.database.read() as session:
        found = users.session_of(session, provided.settings, session_token)
    if found is None:
        provided.rate.count("address", address_of(request))
        raise Problem("signed_out")
    request.state.caller = found.user.name
    provided.rate.count("account", found.user.name)
    if request.method not in SAFE_METHODS and not hmac.compare_digest((token or "").encode(), csrf_token(session_token).encode()):
        raise Problem("cross_site")
    if users.needs_touch(found):
        with provided.database.write() as session:
            users.touch(session, found.id)
    if request.method not in SAFE_METHODS:
        idempotency.take_up(provided.database, f"account {found.user.id}")
    user = found.user
    permissions = permissions_of(user.role, user.limits)
    return Caller(user.id, user.name, user.role, user.limits, permissions, found.id, session_token, address_of(request))


def _of_token(request: Request, provided: Services, text: str) -> Caller:
    with provided.database.read() as session:
        found = tokens.token_of(session, text)
    if found is None:
        provided.rate.count("address", address_of(request))
        raise Problem("signed_out", headers={"WWW-Authenticate": "Bearer"})
    request.state.caller = f"{found.user.name} (token {found.id})"
    provided.rate.count("account", found.user.name)
    if tokens.needs_touch(found):
        with provided.database.write() as session:
            tokens.touch(session, found.id)
    if request.method not in SAFE_METHODS:
        idempotency.take_up(provided.database, f"token {found.id}")
    user = found.user
    permissions = tokens.permissions(found)
    return Caller(user.id, user.name, user.role, user.limits, permissions, "", text, address_of(request), found.id)


def still_in(session: Session, settings: Settings, callers: Collection[Caller]) -> frozenset[Caller]:
    """Those callers, of some who were let in, who would be let in now: for what goes on for long."""
    good = users.alive(session, settings, {caller.session_id for caller in callers if caller.token_id is None})
    found = {token.id: token for token in tokens.alive(session, {caller.token_id for caller in callers if caller.token_id})}

    def is_good(caller: Caller) -> bool:
        if caller.token_id is None:
            return caller.session_id in good
        token = found.get(caller.token_id)
        return token is not None and (tokens.permissions(token), token.user.limits) == (caller.permissions, caller.sites)

    return frozenset(filter(is_good, callers))


QUESTION_CHARACTERS: Final = 1_000
"""So much of the question of a regulator is in the audit trail."""


@dataclass(frozen=True, slots=True)
class Needs:
    """Lets only callers pass who have a permission, or one that will do instead, and puts on record what regulators read.

    Raises Problem `forbidden`.
    """

    permission: Permission
    instead: tuple[Permission, ...] = ()

    async def __call__(
        self,
        request: Request,
        caller: Annotated[Caller, Depends(current)],
        provided: Annotated[Services, Depends(services)],
    ) -> Caller:
        """The caller, who has the permission."""
        named = {self.permission, *self.instead}
        if named.isdisjoint(caller.permissions):
            raise Problem("forbidden", permission=self.permission)
        if caller.role in REGULATORS and not TOLD_BY_LAW.isdisjoint(named) and request.method in SAFE_METHODS:
            # Not checked yet: it may be anything.
            place = request.url.path.replace("\0", "")[:SUBJECT_CHARACTERS]
            asked = {"question": request.url.query[:QUESTION_CHARACTERS]} if request.url.query else {}
            await run_in_threadpool(record_read, provided.database, caller.actor, "regulator.read", place, asked)
        return caller


def needs(permission: Permission, *instead: Permission) -> Any:
    """Marks the caller of a route as one who has this permission, or one of others instead, in `Annotated[Caller, …]`."""
    return Depends(Needs(permission, instead))


async def limited(caller: Annotated[Caller, Depends(current)], provided: Annotated[Services, Depends(services)]) -> Services:
    """The services as the caller may use them: sessions of the database see and write what belongs to his sites."""
    if caller.sites is None:
        return provided
    database = provided.database.limited(Scope(provided.database.scope.organisation, caller.sites))
    return replace(provided, database=database, site=provided.site if provided.site in caller.sites else None)


Provided = Annotated[Services, Depends(limited)]
"""The services, for a route that needs a permission."""


class UnguardedError(Exception):
    """A route of the application does not say who may call it, or uses more than its caller may. A defect."""


def permissions_of_routes(routes: Sequence[BaseRoute]) -> dict[tuple[str, str], Needs]:
    """The permission that each operation needs, by method and path; those open to all are left out.

    Raises UnguardedError for a route that neither names a permission nor is in `OPEN`, and for one that names a permission and
    takes the services as they are, past the caller's sites.
    """
    found: dict[tuple[str, str], Needs] = {}
    for route in iter_route_contexts(routes):
        if not isinstance(route.original_route, APIRoute):
            continue  # the document itself, and the parts of the page
        direct = [each.call for each in route.original_route.dependant.dependencies]
        named = [call for call in direct if isinstance(call, Needs)]
        for method in sorted(route.methods or ()):
            operation = (method, route.path or "")
            if (operation in OPEN) == bool(named) or len(named) > 1:
                raise UnguardedError(f"{method} {route.path} names {len(named)} permissions: one, or an entry in OPEN")
            if named and services in direct:
                raise UnguardedError(f"{method} {route.path} takes services past its caller's sites: take Provided")
            if named:
                found[operation] = named[0]
    return found
