"""Waits after failed sign-ins with a name, kept in the database: a restart ends none, and all processes heed them.

Names are counted whether there is such an account or not, so that nobody learns which there are.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from api.audit.models import AuditEntry
from api.database import row_of
from api.problems import Problem
from api.security.attempts import wait_after
from api.times import NANOSECONDS, now
from api.users.models import SignInFailure
from api.users.service import normalise

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from api.settings import Settings

NAMES_MOST: Final = 10_000
"""Names remembered at a time; of more, those that failed longest ago are forgotten."""


def attempt(session: Session, settings: Settings, name: str) -> None:
    """Count an attempt to sign in before it is looked at, so that many at once are no way around the wait.

    Raises Problem `sign_in_wait` where it comes too early; it is not counted then.
    """
    row = row_of(session, SignInFailure, _key(name))
    if row is None:
        _make_room(session, settings)
        row = SignInFailure(key=_key(name), count=0, last_at=0)
        session.add(row)
    if now() - row.last_at > _forgotten_after(settings):
        row.count = 0
    seconds = math.ceil(_left(row, settings) / NANOSECONDS)
    if seconds:
        raise Problem("sign_in_wait", headers={"Retry-After": str(seconds)}, seconds=seconds)
    row.count, row.last_at = row.count + 1, now()


def uncount(session: Session, name: str) -> None:
    """Take back that an attempt was counted: nothing of it was a guess. What was guessed before stays counted."""
    row = row_of(session, SignInFailure, _key(name))
    if row is not None and row.count > 1:
        row.count -= 1
    elif row is not None:
        session.delete(row)
        session.flush()


def forget(session: Session, name: str) -> bool:
    """Forget the failures with a name: it signed in, or an administrator lets it; whether there were any."""
    found = row_of(session, SignInFailure, _key(name))
    if found is None:
        return False
    session.delete(found)
    session.flush()
    return True


def failed_from(session: Session, settings: Settings, name: str) -> list[str]:
    """The addresses from which somebody failed of late to sign in with the name of an account: each waits of its own."""
    since = now() - _forgotten_after(settings)
    found = sa.select(AuditEntry.address).where(
        AuditEntry.action == "session.refuse", AuditEntry.subject == normalise(name), AuditEntry.at >= since
    )
    return sorted(set(session.scalars(found)))


def locked_until(session: Session, settings: Settings, name: str) -> int | None:
    """Until when a name has to wait; None where it may sign in now."""
    row = row_of(session, SignInFailure, _key(name))
    left = 0 if row is None else _left(row, settings)
    return now() + left if left else None


def _key(name: str) -> str:
    return hashlib.sha256(normalise(name).encode()).hexdigest()


def _left(row: SignInFailure, settings: Settings) -> int:
    """Nanoseconds until the next attempt; never longer than the wait itself, and over where the clock was set back by more."""
    wait = wait_after(
        row.count, settings.sign_in_attempts, settings.sign_in_wait_seconds, settings.sign_in_wait_most_seconds
    )  # fmt: skip
    whole = int(wait * NANOSECONDS)
    ahead = row.last_at - now()
    return 0 if ahead > whole else max(0, min(ahead + whole, whole))


def _forgotten_after(settings: Settings) -> int:
    """Nanoseconds without a failure after which earlier ones no longer count."""
    return int(2 * settings.sign_in_wait_most_seconds * NANOSECONDS)


def _make_room(session: Session, settings: Settings) -> None:
    """Forget the names that have not failed for twice the longest wait, and the oldest of too many."""
    old = now() - _forgotten_after(settings)
    session.execute(sa.delete(SignInFailure).where(SignInFailure.last_at < old))
    count = session.scalar(sa.select(sa.func.count()).select_from(SignInFailure)) or 0
    if count >= NAMES_MOST:
        oldest = sa.select(SignInFailure.key).order_by(SignInFailure.last_at).limit(count - NAMES_MOST + 1)
        session.execute(sa.delete(SignInFailure).where(SignInFailure.key.in_(oldest)))
