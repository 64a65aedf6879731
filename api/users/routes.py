"""`/api/setup`, `/api/session`, `/api/sessions`, `/api/users`."""

from __future__ import annotations

import math
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response

from api.audit import service as audit
from api.openapi import problems
from api.problems import Problem
from api.security import passwords
from api.security.access import Administrator, Caller, Viewer, address_of, cookie_name, csrf_token
from api.services import Services, services
from api.times import iso
from api.users import service
from api.users.models import User, UserSession
from api.users.schemas import SessionOutput, SessionState, SetupInput, SetupState, SignInInput, UserInput, UserOutput

router = APIRouter(prefix="/api", tags=["accounts"])

Provided = Annotated[Services, Depends(services)]


@router.get("/setup")
def setup_state(provided: Provided) -> SetupState:
    """Whether the first account is still to be made, with the link that the server printed."""
    with provided.database.read() as session:
        return SetupState(needed=not service.has_accounts(session))


@router.post("/setup", status_code=201, responses=problems("setup_done", "setup_link_invalid", "password_weak", "sign_in_wait"))
def set_up(body: SetupInput, request: Request, response: Response, provided: Provided) -> SessionState:
    """Make the first account, an administrator, and sign in with it."""
    address = address_of(request)
    _wait(provided, f"setup:{address}")
    with provided.database.read() as session:
        try:
            service.check_setup(session, body.token)
        except Problem:
            provided.attempts.failed(f"setup:{address}")
            raise
    password_hash = service.hash_checked(provided.settings, body.name, body.password)
    with provided.database.write() as session:
        user = service.set_up(session, body.token, body.name, password_hash, address)
        token = service.open_session(session, provided.settings, user, address, request.headers.get("user-agent", ""))
        return _signed_in(provided, response, user, token)


@router.post("/session", status_code=201, responses=problems("sign_in_failed", "sign_in_wait"))
def sign_in(body: SignInInput, request: Request, response: Response, provided: Provided) -> SessionState:
    """Sign in: sets the session cookie."""
    address = address_of(request)
    keys = (f"name:{service.normalise(body.name)}", f"address:{address}")
    _wait(provided, *keys)
    with provided.database.read() as session:
        user = service.account(session, body.name)
    if not passwords.verify_password(user.password_hash if user else None, body.password) or user is None:
        provided.attempts.failed(*keys)
        raise Problem("sign_in_failed")
    provided.attempts.succeeded(*keys)
    with provided.database.write() as session:
        user = session.merge(user)
        if passwords.outdated(user.password_hash):
            user.password_hash = passwords.hash_password(body.password)
        token = service.open_session(session, provided.settings, user, address, request.headers.get("user-agent", ""))
        return _signed_in(provided, response, user, token)


@router.get("/session", responses=problems("signed_out"))
def session_state(caller: Viewer) -> SessionState:
    """Who is signed in, and the token that changes must bring."""
    return SessionState(name=caller.name, role=caller.role, csrf_token=csrf_token(caller.token))


@router.delete("/session", status_code=204, responses=problems("signed_out", "cross_site"))
def sign_out(caller: Viewer, response: Response, provided: Provided) -> None:
    """Sign out: ends the session."""
    with provided.database.write() as session:
        service.revoke(session, caller.actor, caller.session_id, caller.user_id)
    response.delete_cookie(
        cookie_name(provided.settings.encrypted), secure=provided.settings.encrypted, httponly=True, samesite="strict"
    )


@router.get("/sessions", responses=problems("signed_out"))
def sessions(caller: Viewer, provided: Provided) -> list[SessionOutput]:
    """The caller's sessions; for an administrator, everybody's."""
    with provided.database.read() as session:
        found = [_session(item, caller) for item in service.sessions(session, provided.settings, _own(caller))]
    if _own(caller) is None:
        audit.record_read(provided.database, caller.actor, "session.list", "sessions", {"sessions": len(found)})
    return found


@router.delete("/sessions/{session_id}", status_code=204, responses=problems("signed_out", "cross_site", "session_unknown"))
def revoke(session_id: Annotated[str, Path(max_length=32)], caller: Viewer, provided: Provided) -> None:
    """End a session of the caller's; for an administrator, anybody's."""
    with provided.database.write() as session:
        service.revoke(session, caller.actor, session_id, _own(caller))


@router.get("/users", responses=problems("signed_out", "forbidden"))
def users(caller: Administrator, provided: Provided) -> list[UserOutput]:
    """All accounts."""
    with provided.database.read() as session:
        found = [
            UserOutput(
                id=user.id, name=user.name, role=user.role, created_at=iso(user.created_at), disabled=user.disabled_at is not None
            )
            for user in service.users(session)
        ]
    audit.record_read(provided.database, caller.actor, "user.list", "users", {"users": len(found)})
    return found


@router.post(
    "/users", status_code=201, responses=problems("signed_out", "forbidden", "cross_site", "name_taken", "password_weak")
)
def create(body: UserInput, caller: Administrator, provided: Provided) -> UserOutput:
    """Make an account."""
    password_hash = service.hash_checked(provided.settings, body.name, body.password)
    with provided.database.write() as session:
        user = service.create(session, caller.actor, body.name, password_hash, body.role)
        return UserOutput(id=user.id, name=user.name, role=body.role, created_at=iso(user.created_at), disabled=False)


@router.delete("/users/{user_id}", status_code=204, responses=problems("signed_out", "forbidden", "cross_site", "user_unknown"))
def disable(user_id: Annotated[int, Path(ge=1, le=2**63 - 1)], caller: Administrator, provided: Provided) -> None:
    """Disable an account and end its sessions. What it did stays on record."""
    with provided.database.write() as session:
        service.disable(session, caller.actor, user_id)


def _own(caller: Caller) -> int | None:
    return None if caller.role == "administrator" else caller.user_id


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


def _wait(provided: Services, *keys: str) -> None:
    seconds = math.ceil(provided.attempts.wait_seconds(*keys))
    if seconds:
        raise Problem("sign_in_wait", headers={"Retry-After": str(seconds)}, seconds=seconds)


def _signed_in(provided: Services, response: Response, user: User, token: str) -> SessionState:
    encrypted = provided.settings.encrypted
    response.set_cookie(
        cookie_name(encrypted), token, max_age=provided.settings.session_lifetime_seconds, path="/", secure=encrypted,
        httponly=True, samesite="strict",
    )  # fmt: skip
    response.headers["Cache-Control"] = "no-store"
    return SessionState(name=user.name, role=user.role, csrf_token=csrf_token(token))
