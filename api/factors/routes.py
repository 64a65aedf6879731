"""`/api/account/authenticator`: the second factor of the caller's own account."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from api.audit import service as audit
from api.factors import service, totp
from api.factors.schemas import AuthenticatorOutput, CodeInput, FactorState, PasswordInput, RecoveryOutput, RemovalInput
from api.openapi import problems
from api.problems import Problem
from api.security import passwords
from api.security.access import Caller, Provided, needs
from api.services import Services
from api.users import lockout
from api.users import service as users

router = APIRouter(prefix="/api/account/authenticator", tags=["accounts"])

Owner = Annotated[Caller, needs("account.own")]

_SHOWN = ("signed_out", "cross_site", "sign_in_wait", "password_wrong")


@router.get("", responses=problems("signed_out"))
def state(caller: Owner, provided: Provided) -> FactorState:
    """Whether the caller's account has a second factor."""
    with provided.database.read() as session:
        found = service.authenticator(session, caller.user_id)
        has_password = users.by_id(session, caller.user_id).password_hash != passwords.NO_PASSWORD
        return FactorState(
            password=has_password, authenticator=found is not None, recovery_codes=0 if found is None else len(found.recovery)
        )


@router.post("", status_code=201, responses=problems(*_SHOWN, "authenticator_set"))
def begin(body: PasswordInput, caller: Owner, provided: Provided) -> AuthenticatorOutput:
    """Make an authenticator. It is asked for at sign-in once `POST …/confirm` has shown that it works."""
    _check_password(provided, caller, body.password)
    with provided.database.write() as session:
        secret = service.begin(session, caller.user_id)
        lockout.forget(session, caller.name)
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


def _check_password(provided: Services, caller: Caller, password: str) -> None:
    """Whether it is the account's. Who guesses waits as at sign-in. Raises Problem `password_wrong`, `sign_in_wait`."""
    with provided.database.write() as session:
        lockout.attempt(session, provided.settings, caller.name)
        user = users.by_id(session, caller.user_id)
    if not passwords.verify_password(user.password_hash, password):
        with provided.database.write() as session:
            audit.record(session, caller.actor, "factor.refuse", caller.name)
        raise Problem("password_wrong")
