"""`/api/account/authenticator`: the second factor of the caller's own account."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Request

from api.audit import service as audit
from api.factors import service, totp
from api.factors.schemas import AuthenticatorOutput, CodeInput, FactorState, RecoveryOutput, RemovalInput
from api.openapi import problems
from api.passkeys.presentation import shown
from api.problems import Problem
from api.security import passwords
from api.security.access import Caller, Provided, needs
from api.services import Services
from api.users import lockout
from api.users import service as users
from api.users.schemas import ProofInput

router = APIRouter(prefix="/api/account/authenticator", tags=["accounts"])

Owner = Annotated[Caller, needs("account.own")]

_SHOWN = ("signed_out", "cross_site", "sign_in_wait", "password_wrong")

PROVEN: Final = (*_SHOWN, "code_needed", "code_wrong", "passkey_needed", "passkey_refused")
"""What `check` answers who does not show that it is he."""


@router.get("", responses=problems("signed_out"))
def state(caller: Owner, provided: Provided) -> FactorState:
    """Whether the caller's account has a second factor."""
    with provided.database.read() as session:
        found = service.authenticator(session, caller.user_id)
        has_password = users.by_id(session, caller.user_id).password_hash != passwords.NO_PASSWORD
        return FactorState(
            password=has_password, authenticator=found is not None, recovery_codes=0 if found is None else len(found.recovery)
        )


@router.post("", status_code=201, responses=problems(*PROVEN, "authenticator_set"))
def begin(body: ProofInput, request: Request, caller: Owner, provided: Provided) -> AuthenticatorOutput:
    """Make an authenticator, after the password, and a passkey where the account has one.

    It is asked for at sign-in once `POST …/confirm` has shown that it works.
    """
    with provided.database.read() as session:
        if service.authenticator(session, caller.user_id) is not None:
            raise Problem("authenticator_set")
    check(provided, caller, request, body)
    with provided.database.write() as session:
        secret = service.begin(session, caller.user_id)
    address = totp.address(secret, caller.name)
    return AuthenticatorOutput(secret=secret, address=address, picture=totp.picture(address))


@router.post("/confirm", responses=problems("signed_out", "cross_site", "authenticator_set", "authenticator_none", "code_wrong"))
def confirm(body: CodeInput, caller: Owner, provided: Provided) -> RecoveryOutput:
    """Take the authenticator into use with one of its codes. The account's other sessions end."""
    with provided.database.write() as session:
        return RecoveryOutput(codes=service.confirm(session, caller.actor, caller.user_id, body.code, caller.session_id))


@router.post("/remove", status_code=204, responses=problems(*_SHOWN, "authenticator_none", "code_wrong"))
def remove(body: RemovalInput, caller: Owner, provided: Provided) -> None:
    """Take the authenticator away, with the password and a code."""
    _check_password(provided, caller, body.password)
    with provided.database.write() as session:
        user = users.by_id(session, caller.user_id)
        proven = service.prove(session, user, body.code, caller.address) == "right"
        if proven:
            lockout.forget(session, caller.name)
            service.remove(session, caller.actor, caller.user_id)
        else:
            audit.record(session, caller.actor, "factor.refuse", caller.name)
    if not proven:
        raise Problem("code_wrong")


@router.post("/recovery", responses=problems(*_SHOWN, "authenticator_none", "code_wrong"))
def recovery(body: RemovalInput, caller: Owner, provided: Provided) -> RecoveryOutput:
    """Make new recovery codes, with the password and a code. The earlier ones let nobody in any more."""
    _check_password(provided, caller, body.password)
    with provided.database.write() as session:
        user = users.by_id(session, caller.user_id)
        proven = service.prove(session, user, body.code, caller.address) == "right"
        if proven:
            lockout.forget(session, caller.name)
            return RecoveryOutput(codes=service.renew_recovery(session, caller.actor, caller.user_id))
        audit.record(session, caller.actor, "factor.refuse", caller.name)
    raise Problem("code_wrong")


def check(provided: Services, caller: Caller, request: Request, given: ProofInput) -> None:
    """Whether it is the owner of the account: the password, and the second factor where there is one.

    Raises Problem `password_wrong`, `sign_in_wait`, `code_needed`, `code_wrong`, `passkey_needed`, `passkey_refused`.
    """
    _check_password(provided, caller, given.password)
    passkey = shown(request, provided, given.passkey)
    with provided.database.write() as session:
        proof = service.prove(session, users.by_id(session, caller.user_id), given.code, caller.address, passkey)
        if proof == "right":
            lockout.forget(session, caller.name)
        elif proof == "wrong":
            audit.record(session, caller.actor, "factor.refuse", caller.name)
        else:
            lockout.uncount(session, caller.name)
    if proof != "right":
        raise service.refusal(proof, passkey)


def _check_password(provided: Services, caller: Caller, password: str) -> None:
    """Whether it is the account's. Who guesses waits as at sign-in. Raises Problem `password_wrong`, `sign_in_wait`."""
    with provided.database.write() as session:
        lockout.attempt(session, provided.settings, caller.name)
        user = users.by_id(session, caller.user_id)
    if not passwords.verify_password(user.password_hash, password):
        with provided.database.write() as session:
            audit.record(session, caller.actor, "factor.refuse", caller.name)
        raise Problem("password_wrong")
