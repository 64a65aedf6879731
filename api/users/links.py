"""One-time links by which the owner of an account chooses its password, the first one or another: nobody else ever knows it.

An account has one link at a time. It is bound to the account, works once and for a limited time, and ends when the password is
changed in any other way or the account is disabled. Only the hash of its token is kept.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import sqlalchemy as sa

from api.audit import service as audit
from api.oidc.models import Identity
from api.problems import Problem
from api.security.passwords import NO_PASSWORD
from api.times import NANOSECONDS, now
from api.users import lockout, service
from api.users.models import PasswordLink, User

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from api.audit.service import Actor
    from api.settings import Settings

PAGE: Final = "/password"
"""Where the console takes a link."""


@dataclass(frozen=True, slots=True)
class Made:
    """A link as it is told, once.

    Attributes:
        path: what follows the address of the server. What stands behind the # is sent to no server.
        expires_at: until when it can be used, in nanoseconds since 1970.
    """

    path: str
    expires_at: int


def make(session: Session, settings: Settings, actor: Actor, user: User) -> Made:
    """A new link for an account; an earlier one stops working. Its password, where it has one, holds until the link is used."""
    token, created = secrets.token_urlsafe(service.TOKEN_BYTES), now()
    expires = created + settings.password_link_seconds * NANOSECONDS
    session.execute(sa.delete(PasswordLink).where(PasswordLink.user_id == user.id))
    session.add(
        PasswordLink(token_hash=service.hash_token(token), user_id=user.id, created_at=created, expires_at=expires, used_at=None)
    )
    told = {"expires_seconds": settings.password_link_seconds, "first": user.password_hash == NO_PASSWORD}
    audit.record(session, actor, "user.link", user.name, told)
    return Made(f"{PAGE}#{urlencode({'name': user.name, 'token': token})}", expires)


def check(session: Session, token: str) -> tuple[PasswordLink, User]:
    """The link of a token that can be used, and its account. Raises Problem `password_link_invalid`."""
    link = session.get(PasswordLink, service.hash_token(token))
    user = None if link is None else session.get(User, link.user_id)
    if link is None or link.used_at is not None or link.expires_at <= now() or user is None or user.disabled_at is not None:
        raise Problem("password_link_invalid")
    return link, user


def use(session: Session, token: str, password_hash: str, address: str) -> User:
    """Give the account of a link the password that its owner has chosen, and use the link up. Raises Problem as `check`.

    Waits after failed sign-ins end, and sessions. A second factor stays: the link alone lets nobody in who has one.
    """
    link, user = check(session, token)
    link.used_at = now()
    session.flush()
    actor = audit.Actor(user.name, address)
    audit.record(session, actor, "user.link_use", user.name)
    service.set_password(session, actor, user, password_hash)
    lockout.forget(session, user.name)
    return user


def pending(session: Session) -> dict[int, int]:
    """Until when links can be used that were not, by account."""
    asked = sa.select(PasswordLink.user_id, PasswordLink.expires_at)
    found = session.execute(asked.where(PasswordLink.used_at.is_(None), PasswordLink.expires_at > now()))
    return {row[0]: row[1] for row in found}


def of_provider(session: Session) -> set[int]:
    """Accounts that sign in through a provider: whether they have a password beside is decided at the machine."""
    return set(session.scalars(sa.select(Identity.user_id)))


def check_local(session: Session, user: User) -> None:
    """Whether an account has its password here. Raises Problem `account_of_provider`."""
    if user.id in of_provider(session):
        raise Problem("account_of_provider", name=user.name)
