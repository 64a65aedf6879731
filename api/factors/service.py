"""Second factors: an authenticator is made, confirmed, asked for at sign-in, and taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import sqlalchemy as sa

from api.audit import service as audit
from api.database.scope import scope_of
from api.factors import totp
from api.factors.models import Authenticator
from api.passkeys import service as passkeys
from api.problems import Problem
from api.times import NANOSECONDS, now
from api.users import service as users

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from api.audit.service import Actor
    from api.passkeys.service import Shown
    from api.users.models import User

Proof = Literal["right", "wrong", "needed", "passkey"]
"""What is shown besides a password: `needed` where there is no code and there must be, `passkey` where one must be shown."""


def authenticator(session: Session, user_id: int) -> Authenticator | None:
    """The authenticator of an account that is confirmed."""
    found = _of(session, user_id)
    return found if found is not None and found.confirmed_at is not None else None


def begin(session: Session, user_id: int) -> str:
    """Make an authenticator that is to be confirmed; returns its secret. Raises Problem `authenticator_set`."""
    found = _of(session, user_id)
    if found is not None and found.confirmed_at is not None:
        raise Problem("authenticator_set")
    if found is None:
        found = Authenticator(user_id=user_id)
        session.add(found)
    found.secret, found.created_at, found.confirmed_at, found.last_step, found.recovery = totp.new_secret(), now(), None, 0, []
    return found.secret


def confirm(session: Session, actor: Actor, user_id: int, code: str, session_id: str) -> list[str]:
    """Take an authenticator into use; returns its recovery codes. Other sessions of the account end: they had no second factor.

    Raises Problem `authenticator_set`, `authenticator_none`, `code_wrong`.
    """
    found = _of(session, user_id)
    if found is None:
        raise Problem("authenticator_none")
    if found.confirmed_at is not None:
        raise Problem("authenticator_set")
    if not _take(found, code):
        raise Problem("code_wrong")
    codes = totp.new_recovery_codes()
    found.confirmed_at, found.recovery = now(), [totp.recovery_hash(each) for each in codes]
    users.end_sessions(session, user_id, kept=session_id)
    audit.record(session, actor, "factor.add", actor.name, {"kind": "authenticator"})
    return codes


def prove(session: Session, user: User, code: str | None, address: str, passkey: Shown | None = None) -> Proof:
    """Whether a code, or a passkey in its place, is what an account's second factor asks for; it is used up by it."""
    if passkey is not None:
        return "right" if passkeys.is_shown(session, user, passkey) else "wrong"
    found = authenticator(session, user.id)
    if found is None:
        return "right" if not passkeys.passkeys(session, user.id) else "passkey" if code is None else "wrong"
    if code is None:
        return "needed"
    before = found.last_step
    if _take(found, code):
        if before > found.last_step:
            detail = {"last_step": before, "step": found.last_step}
            audit.record(session, audit.Actor(user.name, address), "factor.clock", user.name, detail)
        return "right"
    hashed = totp.recovery_hash(code)
    if hashed not in found.recovery:
        return "wrong"
    found.recovery = [each for each in found.recovery if each != hashed]
    audit.record(session, audit.Actor(user.name, address), "factor.recover", user.name, {"left": len(found.recovery)})
    return "right"


def refusal(proof: Proof, passkey: Shown | None) -> Problem:
    """What is answered where it was not shown, or not rightly."""
    if proof == "wrong":
        return Problem("code_wrong" if passkey is None else "passkey_refused")
    return Problem("code_needed" if proof == "needed" else "passkey_needed")


def renew_recovery(session: Session, actor: Actor, user_id: int) -> list[str]:
    """New recovery codes of an account; earlier ones are wrong from now on. Raises Problem `authenticator_none`."""
    found = authenticator(session, user_id)
    if found is None:
        raise Problem("authenticator_none")
    codes = totp.new_recovery_codes()
    found.recovery = [totp.recovery_hash(each) for each in codes]
    audit.record(session, actor, "factor.renew", actor.name, {"kind": "recovery"})
    return codes


def remove(session: Session, actor: Actor, user_id: int) -> None:
    """Take the authenticator of an account away. Raises Problem `authenticator_none`."""
    found = _of(session, user_id)
    if found is None or found.confirmed_at is None:
        raise Problem("authenticator_none")
    session.delete(found)
    audit.record(session, actor, "factor.remove", users.by_id(session, user_id).name, {"kind": "authenticator"})


def reset(session: Session, actor: Actor, user_id: int) -> None:
    """Take all second factors of an account away. Raises Problem `authenticator_none` where it has none."""
    if passkeys.remove_all(session, user_id):
        audit.record(session, actor, "factor.remove", users.by_id(session, user_id).name, {"kind": "passkeys"})
        if authenticator(session, user_id) is None:
            return
    remove(session, actor, user_id)


def holders(session: Session) -> set[int]:
    """The accounts that have a second factor."""
    own = sa.select(Authenticator.user_id).where(Authenticator.confirmed_at.is_not(None))
    return passkeys.holders(session) | set(session.scalars(own))


def _of(session: Session, user_id: int) -> Authenticator | None:
    return session.get(Authenticator, {"organisation": scope_of(session).organisation, "user_id": user_id})


def _take(found: Authenticator, code: str) -> bool:
    """Whether a code of the authenticator is right; it is used up then."""
    step = totp.step_of(found.secret, "".join(code.split()), now() / NANOSECONDS, found.last_step)
    if step is None:
        return False
    found.last_step = step
    return True
