"""`/api/oidc`: signing in through an OpenID provider.

The page begins a sign-in, goes to the provider, and is sent back to its own address `/sign-in/oidc`; what it is sent back with it
hands on in a request of its own. So no address of the API redirects, and none is called by another site.
"""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response

from api.oidc import service
from api.oidc.provider import Provider, plain
from api.oidc.schemas import BeginInput, BegunOutput, ProviderState, ReturnedState, ReturnInput
from api.openapi import problems
from api.problems import Problem
from api.security.access import address_of, origin_of
from api.security.browsers import browser_of, know
from api.services import Services, services
from api.users.presentation import entry_of, signed_in

router = APIRouter(prefix="/api/oidc", tags=["accounts"])

Entrance = Annotated[Services, Depends(services)]
"""The services, where there is no caller yet."""

PAGE: Final = "/sign-in/oidc"
"""Page of the console that the provider sends browsers back to."""

_TALK: Final = ("rate_limited", "oidc_unset", "oidc_unreachable", "oidc_untrusted", "oidc_busy")

_LATER: Final = frozenset({"oidc_role_none", "oidc_site_none", "oidc_name_unfit", "name_taken", "account_disabled"})
"""Why somebody is not let in whom the provider knows."""


@router.get("")
def provider(provided: Entrance) -> ProviderState:
    """Whether people can sign in through a provider. It is not asked: that it is away is told when somebody wants to sign in."""
    return ProviderState(name=None if provided.provider is None else provided.provider.settings.shown_name)


@router.post("/sign-in", status_code=201, responses=problems(*_TALK))
def begin(body: BeginInput, request: Request, response: Response, provided: Entrance) -> BegunOutput:
    """Begin a sign-in: answers where the browser goes."""
    asked = _asked(provided, request)
    started = service.start(f"{origin_of(request, provided.settings)}{PAGE}", body.place)
    address = asked.address(started.begun, started.state)
    browser = know(request, response, encrypted=provided.settings.encrypted)
    with provided.database.write() as session:
        service.begin(session, started, browser)
    return BegunOutput(address=address)


@router.post(
    "/session",
    status_code=201,
    responses=problems(*_TALK, "oidc_unbegun", "oidc_refused", "setup_first", *sorted(_LATER)),
)
def finish(body: ReturnInput, request: Request, response: Response, provided: Entrance) -> ReturnedState:
    """Sign in with what the provider has sent the browser back with: sets the session cookie. It is taken once."""
    asked = _asked(provided, request)
    entry = entry_of(request, issuer=provided.settings.oidc.issuer)
    with provided.database.write() as session:
        started = service.take(session, body.state, browser_of(request, encrypted=provided.settings.encrypted))
    if body.code is None:
        raise Problem("oidc_refused", reason=plain(body.error or "?"))
    claims = asked.claims(started.begun, body.code, body.iss)
    try:
        with provided.database.write() as session:
            user, token = service.enter(session, provided.settings, claims, entry)
            state = signed_in(provided, response, user, token)
    except Problem as problem:
        if problem.code in _LATER:
            with provided.database.write() as session:
                service.refuse(session, provided.settings.oidc, claims, problem.code, entry.address)
        raise
    return ReturnedState(**state.model_dump(), place=started.place)


def _asked(provided: Services, request: Request) -> Provider:
    """The provider, that this caller may have asked once more. Raises Problem `oidc_unset`, `rate_limited`."""
    provided.rate.count("address", address_of(request))
    if provided.provider is None:
        raise Problem("oidc_unset")
    return provided.provider
