"""`/api/account/passkeys`: passkeys of the caller's own account. `/api/passkeys`: signing in with one alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Path, Request, Response

from api.audit import service as audit
from api.factors.routes import PROVEN, check
from api.openapi import problems
from api.passkeys import service
from api.passkeys.presentation import output, party
from api.passkeys.schemas import BeginInput, OptionsOutput, PasskeyOutput, RegistrationInput
from api.passkeys.service import Shown
from api.problems import Problem
from api.security.access import Caller, Provided, address_of, needs
from api.security.browsers import browser_of, know
from api.services import Services, services
from api.users import service as users
from api.users.models import User
from api.users.presentation import entry_of, signed_in, wait
from api.users.schemas import AssertionInput, ProofInput, SessionState

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from api.passkeys.models import Passkey

router = APIRouter(prefix="/api", tags=["accounts"])

Entrance = Annotated[Services, Depends(services)]
"""The services, where there is no caller yet."""

Owner = Annotated[Caller, needs("account.own")]


@router.get("/account/passkeys", responses=problems("signed_out"))
def passkeys(caller: Owner, provided: Provided) -> list[PasskeyOutput]:
    """The passkeys of the caller's account."""
    with provided.database.read() as session:
        return [output(each) for each in service.passkeys(session, caller.user_id)]


@router.post("/account/passkeys/begin", status_code=201, responses=problems(*PROVEN, "passkeys_full"))
def begin(body: ProofInput, request: Request, caller: Owner, provided: Provided) -> OptionsOutput:
    """What the browser makes a passkey with, after the password, and a code or a passkey where the account has any."""
    check(provided, caller, request, body)
    with provided.database.write() as session:
        user = users.by_id(session, caller.user_id)
        return OptionsOutput(options=service.begin_registration(session, party(request, provided, caller.session_id), user))


@router.post(
    "/account/passkeys",
    status_code=201,
    responses=problems("signed_out", "cross_site", "passkey_refused", "passkey_known", "passkeys_full"),
)
def register(body: RegistrationInput, request: Request, caller: Owner, provided: Provided) -> PasskeyOutput:
    """Take a passkey into use. The account's other sessions end, and from here on its password alone lets nobody in."""
    asked = party(request, provided, caller.session_id)
    with provided.database.write() as session:
        challenge = service.take(session, asked, body.client_data, service.MAKING)
    found = service.verified(asked, body, challenge)
    with provided.database.write() as session:
        made = service.register(session, caller.actor, caller.user_id, body.name, found)
        # They had no second factor.
        users.end_sessions(session, caller.user_id, kept=caller.session_id)
        return output(made)


@router.post("/account/passkeys/{passkey_id}/remove", status_code=204, responses=problems(*PROVEN, "passkey_unknown"))
def remove(
    passkey_id: Annotated[str, Path(max_length=64)], body: ProofInput, request: Request, caller: Owner, provided: Provided
) -> None:
    """Take a passkey away, with the password, and a code or a passkey, which may be this one."""
    check(provided, caller, request, body)
    with provided.database.write() as session:
        service.remove(session, caller.actor, caller.user_id, passkey_id)


@router.post("/passkeys/begin", status_code=201, responses=problems("rate_limited"))
def begin_showing(body: BeginInput, request: Request, response: Response, provided: Entrance) -> OptionsOutput:
    """What the browser asks an authenticator with. What it signs is taken from this browser alone, which gets a cookie."""
    provided.rate.count("address", address_of(request))
    browser = know(request, response, encrypted=provided.settings.encrypted)
    with provided.database.write() as session:
        return OptionsOutput(options=service.begin_showing(session, party(request, provided, browser), alone=body.alone))


@router.post("/passkeys/session", status_code=201, responses=problems("sign_in_wait", "passkey_refused", "account_disabled"))
def sign_in(body: AssertionInput, request: Request, response: Response, provided: Entrance) -> SessionState:
    """Sign in with a passkey alone, whose authenticator has verified who holds it: sets the session cookie."""
    address = address_of(request)
    wait(provided, f"address:{address}")
    shown = Shown(body, party(request, provided, browser_of(request, encrypted=provided.settings.encrypted)))
    try:
        with provided.database.write() as session:
            challenge = service.take(session, shown.party, body.client_data, service.ALONE)
        with provided.database.write() as session:
            found = service.check(session, shown, challenge, alone=True)
            user = _holder(session, found)
            token = users.open_session(session, provided.settings, user, entry_of(request, passkey=found.name))
            state = signed_in(provided, response, user, token)
    except Problem as problem:
        _refuse(provided, body, address, problem.code)
        raise
    provided.attempts.succeeded(f"address:{address}")
    return state


def _holder(session: Session, found: Passkey) -> User:
    """Whose a passkey is. Raises Problem `account_disabled`."""
    user = session.get(User, found.user_id)
    if user is None or user.disabled_at is not None:
        raise Problem("account_disabled")
    return user


def _refuse(provided: Services, given: AssertionInput, address: str, code: str) -> None:
    """Count a failed sign-in; that with a passkey of an account is on record."""
    provided.attempts.failed(f"address:{address}")
    with provided.database.write() as session:
        found = service.known(session, given)
        user = None if found is None else session.get(User, found.user_id)
        if found is not None and user is not None:
            told = {"passkey": found.name, "reason": code}
            audit.record(session, audit.Actor(user.name, address), "session.refuse", user.name, told)
