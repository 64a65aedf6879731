"""`/api/setup`, `/api/session`, `/api/sessions`, `/api/password`, `/api/users`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Header, Path, Request, Response

from api.audit import service as audit
from api.factors import service as factors
from api.openapi import problems
from api.passkeys.presentation import shown
from api.problems import Problem
from api.security import passwords
from api.security.access import Caller, Provided, address_of, cookie_name, needs
from api.services import Services, services
from api.times import iso
from api.users import links, lockout, service
from api.users.models import User, UserSession
from api.users.presentation import entry_of, signed_in, state, wait
from api.users.schemas import (
    InvitedOutput,
    LinkOutput,
    LinkUse,
    LinkUsed,
    PasswordChange,
    RightsInput,
    SessionOutput,
    SessionState,
    SetupInput,
    SetupState,
    SignInInput,
    UserInput,
    UserOutput,
)
from api.versions import check_version

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

router = APIRouter(prefix="/api", tags=["accounts"])

Entrance = Annotated[Services, Depends(services)]
"""The services, where there is no caller yet."""

Owner = Annotated[Caller, needs("account.own")]
Reader = Annotated[Caller, needs("user.read")]
Manager = Annotated[Caller, needs("user.manage")]
UserId = Annotated[int, Path(ge=1, le=2**63 - 1)]
IfMatch = Annotated[
    str | None,
    Header(max_length=1024, examples=['"1"'], description="ETag of the account as the caller saw it; without it 428, else 412."),
]

_OTHERS = ("signed_out", "cross_site", "user_unknown", "precondition_failed", "precondition_required")


@router.get("/setup")
def setup_state(provided: Entrance) -> SetupState:
    """Whether the first account is still to be made, with the link that the server printed."""
    with provided.database.read() as session:
        return SetupState(needed=not service.has_accounts(session))


@router.post("/setup", status_code=201, responses=problems("setup_done", "setup_link_invalid", "password_weak", "sign_in_wait"))
def set_up(body: SetupInput, request: Request, response: Response, provided: Entrance) -> SessionState:
    """Make the first account, an administrator, and sign in with it."""
    address = address_of(request)
    wait(provided, f"setup:{address}")
    with provided.database.read() as session:
        try:
            service.check_setup(session, body.token)
        except Problem:
            provided.attempts.failed(f"setup:{address}")
            raise
    password_hash = service.hash_checked(provided.settings, body.name, body.password)
    with provided.database.write() as session:
        user = service.set_up(session, body.token, body.name, password_hash, address)
        token = service.open_session(session, provided.settings, user, entry_of(request))
        return signed_in(provided, response, user, token)


@router.post(
    "/session",
    status_code=201,
    responses=problems("sign_in_failed", "sign_in_wait", "code_needed", "code_wrong", "passkey_needed", "passkey_refused"),
)
def sign_in(body: SignInInput, request: Request, response: Response, provided: Entrance) -> SessionState:
    """Sign in: sets the session cookie. The session that the browser had from before ends.

    An account with an authenticator is asked for a code (`code_needed`), one with passkeys alone for one of them
    (`passkey_needed`), once its password was right: send all of it again.
    """
    address, passkey = address_of(request), shown(request, provided, body.passkey)
    wait(provided, f"address:{address}")
    with provided.database.write() as session:
        lockout.attempt(session, provided.settings, body.name)
        found = service.account(session, body.name)
    if not passwords.verify_password(found.password_hash if found else None, body.password) or found is None:
        _refuse(provided, found, address)
        raise Problem("sign_in_failed")
    with provided.database.write() as session:
        # As it is by now: it may have been disabled, or got other rights or another password, while the password was looked at.
        user = service.account(session, body.name)
        if user is None or user.password_hash != found.password_hash:
            raise Problem("sign_in_failed")
        proof = factors.prove(session, user, body.code, address, passkey)
        if proof == "right":
            lockout.forget(session, body.name)
            provided.attempts.succeeded(f"address:{address}")
            if passwords.outdated(user.password_hash):
                user.password_hash = passwords.hash_password(body.password)
            token = service.open_session(session, provided.settings, user, entry_of(request))
            return signed_in(provided, response, user, token)
        if proof != "wrong":
            lockout.uncount(session, body.name)
    if proof == "wrong":
        _refuse(provided, found, address)
    raise factors.refusal(proof, passkey)


@router.get("/session", responses=problems("signed_out"))
def session_state(caller: Owner) -> SessionState:
    """Who is signed in, and the token that changes must bring."""
    return state(caller.name, service.Rights(caller.role, caller.sites), caller.token)


@router.delete("/session", status_code=204, responses=problems("signed_out", "cross_site"))
def sign_out(caller: Owner, response: Response, provided: Provided) -> None:
    """Sign out: ends the session."""
    with provided.database.write() as session:
        service.revoke(session, caller.actor, caller.session_id, caller.user_id)
    response.delete_cookie(
        cookie_name(provided.settings.encrypted), secure=provided.settings.encrypted, httponly=True, samesite="strict"
    )


@router.get("/sessions", responses=problems("signed_out"))
def sessions(caller: Owner, provided: Provided) -> list[SessionOutput]:
    """The caller's sessions; with `session.manage` everybody's."""
    with provided.database.read() as session:
        found = [_session(item, caller) for item in service.sessions(session, provided.settings, _own(caller))]
    if _own(caller) is None:
        audit.record_read(provided.database, caller.actor, "session.list", "sessions", {"sessions": len(found)})
    return found


@router.delete("/sessions/{session_id}", status_code=204, responses=problems("signed_out", "cross_site", "session_unknown"))
def revoke(session_id: Annotated[str, Path(max_length=32)], caller: Owner, provided: Provided) -> None:
    """End a session of the caller's; with `session.manage` anybody's."""
    with provided.database.write() as session:
        service.revoke(session, caller.actor, session_id, _own(caller))


@router.put(
    "/account/password",
    status_code=204,
    responses=problems(
        "signed_out", "cross_site", "sign_in_wait", "password_wrong", "password_weak", "code_needed", "code_wrong",
        "passkey_needed", "passkey_refused",
    ),
)  # fmt: skip
def change_password(body: PasswordChange, request: Request, caller: Owner, provided: Provided) -> None:
    """Give the caller's own account another password, with the one that it has, and a code or a passkey where it has any.

    The account's other sessions end. Whoever guesses waits as at sign-in.
    """
    service.check_strength(provided.settings, caller.name, body.new_password)
    passkey = shown(request, provided, body.passkey)
    with provided.database.write() as session:
        lockout.attempt(session, provided.settings, caller.name)
        known = service.by_id(session, caller.user_id).password_hash
    if not passwords.verify_password(known, body.password):
        with provided.database.write() as session:
            audit.record(session, caller.actor, "user.password_refuse", caller.name)
        raise Problem("password_wrong")
    password_hash = passwords.hash_password(body.new_password)
    with provided.database.write() as session:
        user = service.by_id(session, caller.user_id)
        if user.password_hash != known:
            # It got another one while this one was looked at.
            raise Problem("password_wrong")
        proof = factors.prove(session, user, body.code, caller.address, passkey)
        if proof == "right":
            lockout.forget(session, caller.name)
            service.set_password(session, caller.actor, user, password_hash, kept=caller.session_id)
            return
        if proof == "wrong":
            audit.record(session, caller.actor, "user.password_refuse", caller.name)
        else:
            lockout.uncount(session, caller.name)
    raise factors.refusal(proof, passkey)


@router.get("/users", responses=problems("signed_out"))
def users(caller: Reader, provided: Provided) -> list[UserOutput]:
    """All accounts."""
    with provided.database.read() as session:
        known = _Known.read(session)
        found = [_user(session, provided, user, known) for user in service.users(session)]
    audit.record_read(provided.database, caller.actor, "user.list", "users", {"users": len(found)})
    return found


@router.post("/users", status_code=201, responses=problems("signed_out", "cross_site", "name_taken"))
def create(body: UserInput, caller: Manager, response: Response, provided: Provided) -> InvitedOutput:
    """Make an account. `link` is for its owner, who chooses the password by it: nobody else knows it. It is told once."""
    rights = _rights(body)
    response.headers["Cache-Control"] = "no-store"
    with provided.database.write() as session:
        user = service.create(session, caller.actor, body.name, passwords.NO_PASSWORD, rights)
        made = links.make(session, provided.settings, caller.actor, user)
        return InvitedOutput(**_user(session, provided, user).model_dump(), link=_link(made))


@router.post(
    "/users/{user_id}/link",
    status_code=201,
    responses=problems("signed_out", "cross_site", "user_unknown", "own_account", "account_of_provider"),
)
def make_link(user_id: UserId, caller: Manager, response: Response, provided: Provided) -> LinkOutput:
    """Make a one-time link by which the owner of an account chooses another password, or the first. An earlier one ends.

    The password that it has holds until the link is used. The link is told once; that it was made is in the audit trail.
    """
    response.headers["Cache-Control"] = "no-store"
    with provided.database.write() as session:
        user = service.others(session, caller.actor, user_id)
        links.check_local(session, user)
        return _link(links.make(session, provided.settings, caller.actor, user))


@router.post("/password", responses=problems("password_link_invalid", "password_weak", "sign_in_wait"))
def choose_password(body: LinkUse, request: Request, provided: Entrance) -> LinkUsed:
    """Choose the password of the account that a one-time link is of. Its sessions end; nobody is signed in by it."""
    address = address_of(request)
    wait(provided, f"link:{address}")
    with provided.database.read() as session:
        try:
            name = links.check(session, body.token)[1].name
        except Problem:
            provided.attempts.failed(f"link:{address}")
            raise
    password_hash = service.hash_checked(provided.settings, name, body.password)
    with provided.database.write() as session:
        user = links.use(session, body.token, password_hash, address)
        return LinkUsed(name=user.name)


@router.put(
    "/users/{user_id}",
    responses=problems(*_OTHERS, "own_account", "last_administrator"),
)
def change(
    user_id: UserId, body: RightsInput, caller: Manager, response: Response, provided: Provided, if_match: IfMatch = None
) -> UserOutput:
    """Give an account another role or other sites. Its sessions end: whoever has it signs in anew."""
    with provided.database.write() as session:
        user = service.change(session, caller.actor, user_id, _rights(body), if_match)
        response.headers["ETag"] = service.etag(user)
        return _user(session, provided, user)


@router.delete(
    "/users/{user_id}",
    status_code=204,
    responses=problems(*_OTHERS, "own_account", "last_administrator"),
)
def disable(user_id: UserId, caller: Manager, provided: Provided, if_match: IfMatch = None) -> None:
    """Disable an account and end its sessions. What it did stays on record."""
    with provided.database.write() as session:
        service.disable(session, caller.actor, user_id, if_match)


@router.delete("/users/{user_id}/lock", status_code=204, responses=problems(*_OTHERS))
def unlock(user_id: UserId, caller: Manager, provided: Provided, if_match: IfMatch = None) -> None:
    """Let an account sign in at once that has to wait after failed sign-ins, also from where these came."""
    with provided.database.write() as session:
        user = service.by_id(session, user_id)
        check_version(user.version, if_match, "another administrator")
        addresses = lockout.failed_from(session, provided.settings, user.name)
        if lockout.forget(session, user.name) or addresses:
            audit.record(session, caller.actor, "user.unlock", user.name, {"addresses": addresses})
    # Each failure counted for the address too, which keeps out whoever is there.
    provided.attempts.succeeded(*(f"address:{address}" for address in addresses))


@router.delete(
    "/users/{user_id}/authenticator",
    status_code=204,
    responses=problems(*_OTHERS, "own_account", "authenticator_none"),
)
def reset(user_id: UserId, caller: Manager, provided: Provided, if_match: IfMatch = None) -> None:
    """Take authenticator and passkeys away from an account whose owner has lost them. Its sessions end."""
    with provided.database.write() as session:
        user = service.others(session, caller.actor, user_id)
        check_version(user.version, if_match, "another administrator")
        factors.reset(session, caller.actor, user.id)
        user.version += 1
        service.end_sessions(session, user.id)


def _refuse(provided: Services, user: User | None, address: str) -> None:
    """Count a failed sign-in; that of an account is on record."""
    provided.attempts.failed(f"address:{address}")
    if user is not None:
        with provided.database.write() as session:
            audit.record(session, audit.Actor(user.name, address), "session.refuse", user.name)


def _own(caller: Caller) -> int | None:
    return None if caller.may("session.manage") else caller.user_id


def _rights(body: RightsInput) -> service.Rights:
    return service.Rights(body.role, None if body.sites is None else frozenset(body.sites))


def _link(made: links.Made) -> LinkOutput:
    return LinkOutput(path=made.path, expires_at=iso(made.expires_at))


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of all accounts besides what they are.

    Attributes:
        strong: those with a second factor.
        elsewhere: those of a provider.
        links: until when links can be used.
    """

    strong: set[int]
    elsewhere: set[int]
    links: dict[int, int]

    @classmethod
    def read(cls, session: Session) -> _Known:
        return cls(factors.holders(session), links.of_provider(session), links.pending(session))


def _user(session: Session, provided: Services, user: User, known: _Known | None = None) -> UserOutput:
    known = _Known.read(session) if known is None else known
    link_until = known.links.get(user.id)
    locked_until = lockout.locked_until(session, provided.settings, user.name)
    return UserOutput(
        id=user.id,
        name=user.name,
        role=user.role,
        sites=user.sites,
        version=user.version,
        created_at=iso(user.created_at),
        disabled=user.disabled_at is not None,
        password=user.password_hash != passwords.NO_PASSWORD,
        provider=user.id in known.elsewhere,
        link_until=None if link_until is None or user.disabled_at is not None else iso(link_until),
        second_factor=user.id in known.strong,
        locked_until=None if locked_until is None else iso(locked_until),
    )


def _session(item: UserSession, caller: Caller) -> SessionOutput:
    return SessionOutput(
        id=item.id,
        user=item.user.name,
        created_at=iso(item.created_at),
        seen_at=iso(item.seen_at),
        address=item.address,
        agent=item.agent,
        current=item.id == caller.session_id,
    )
