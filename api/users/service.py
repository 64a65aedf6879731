"""Accounts and sessions: the first account by a one-time link, signing in and out, and taking sessions away."""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from api.audit import service as audit
from api.problems import Problem
from api.security import passwords
from api.times import NANOSECONDS, now
from api.users.models import PasswordLink, SetupLink, User, UserSession
from api.versions import check_version

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy.orm import Session

    from api.audit.service import Actor
    from api.security.permissions import Role
    from api.settings import Settings

TOKEN_BYTES: Final = 32
"""Random bytes in a session or setup token."""

TOUCH_NANOSECONDS: Final = 60 * NANOSECONDS
"""The last use of a session or a token is written at most once a minute, so that reading does not mean writing."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What an account is for.

    Attributes:
        role: its role.
        sites: the sites that it is limited to; None for all of the organisation.
    """

    role: Role
    sites: frozenset[str] | None = None

    @property
    def listed(self) -> list[str] | None:
        """The sites by name; None for all."""
        return None if self.sites is None else sorted(self.sites)

    @property
    def told(self) -> dict[str, Any]:
        """What the audit trail tells of it."""
        return {"role": self.role, "sites": self.listed}


@dataclass(frozen=True, slots=True)
class Entry:
    """How somebody comes in.

    Attributes:
        address: from where.
        agent: with which browser.
        issuer: the provider that knows him; None where it was this system.
        passkey: the passkey that he has shown; None where it was none.
        before: token of the session that his browser has from before, which ends; empty where it has none.
    """

    address: str
    agent: str
    issuer: str | None = None
    passkey: str | None = None
    before: str = ""

    @property
    def told(self) -> dict[str, Any]:
        """What the audit trail tells of it."""
        return {name: value for name, value in (("issuer", self.issuer), ("passkey", self.passkey)) if value is not None}


def normalise(name: str) -> str:
    """A sign-in name as it is stored and compared (NFKC, case folded, without space around it)."""
    return unicodedata.normalize("NFKC", name).strip().casefold()


def hash_token(token: str) -> str:
    """SHA-256 of a token. Tokens are random, so a plain hash cannot be turned back."""
    return hashlib.sha256(token.encode()).hexdigest()


def has_accounts(session: Session) -> bool:
    """Whether the first account has been made."""
    return session.scalar(sa.select(User.id).limit(1)) is not None


def new_setup_link(session: Session, settings: Settings) -> str | None:
    """The token of a new setup link; earlier ones stop working. None where there is an account already."""
    if has_accounts(session):
        return None
    token = secrets.token_urlsafe(TOKEN_BYTES)
    created = now()
    session.execute(sa.delete(SetupLink))
    session.add(
        SetupLink(
            token_hash=hash_token(token), created_at=created, expires_at=created + settings.setup_link_seconds * NANOSECONDS
        )
    )
    audit.record(session, audit.Actor(audit.SYSTEM), "setup.link", "setup", {"expires_seconds": settings.setup_link_seconds})
    return token


def check_setup(session: Session, token: str) -> SetupLink:
    """The setup link of a token that can be used. Raises Problem `setup_done` or `setup_link_invalid`."""
    if has_accounts(session):
        raise Problem("setup_done")
    link = session.get(SetupLink, hash_token(token))
    if link is None or link.used_at is not None or link.expires_at <= now():
        raise Problem("setup_link_invalid")
    return link


def set_up(session: Session, token: str, name: str, password_hash: str, address: str) -> User:
    """Make the first account, an administrator, and use up the link. Raises Problem as `check_setup`."""
    link = check_setup(session, token)
    link.used_at = now()
    return create(session, audit.Actor(normalise(name), address), name, password_hash, Rights("administrator"))


def create(session: Session, actor: Actor, name: str, password_hash: str, rights: Rights) -> User:
    """Make an account. Raises Problem `name_taken`."""
    stored = normalise(name)
    if session.scalar(sa.select(User.id).where(User.name == stored)) is not None:
        raise Problem("name_taken", name=stored)
    user = User(
        name=stored, password_hash=password_hash, role=rights.role, sites=rights.listed, version=1, created_at=now(),
        disabled_at=None,
    )  # fmt: skip
    session.add(user)
    session.flush()
    audit.record(session, actor, "user.create", stored, rights.told)
    return user


def change(session: Session, actor: Actor, user_id: int, rights: Rights, if_match: str | None) -> User:
    """Give an account another role or other sites, and end its sessions: whoever has them signs in anew.

    Raises Problem `user_unknown`, `own_account`, `last_administrator`, `precondition_required`, `precondition_failed`.
    """
    user = others(session, actor, user_id)
    check_version(user.version, if_match, "another administrator")
    before = Rights(user.role, user.limits)
    if is_last_administrator(session, user) and rights != before:
        raise Problem("last_administrator", name=user.name)
    user.role, user.sites, user.version = rights.role, rights.listed, user.version + 1
    end_sessions(session, user.id)
    audit.record(session, actor, "user.change", user.name, {**rights.told, "before": before.told})
    return user


def etag(user: User) -> str:
    """The entity tag of an account: its version."""
    return f'"{user.version}"'


def check_strength(settings: Settings, name: str, password: str) -> None:
    """Whether an account may have this password. Raises Problem `password_weak`."""
    reason = passwords.weakness(password, normalise(name), settings.password_characters, settings.password_words)
    if reason is not None:
        raise Problem("password_weak", least=settings.password_characters, reason=reason)


def hash_checked(settings: Settings, name: str, password: str) -> str:
    """The hash of a new password. Raises Problem `password_weak`."""
    check_strength(settings, name, password)
    return passwords.hash_password(password)


def set_password(session: Session, actor: Actor, user: User, password_hash: str, kept: str = "") -> None:
    """Give an account another password. Its sessions end, all but the one that is kept, and a link that was not used."""
    user.password_hash = password_hash
    end_sessions(session, user.id, kept)
    session.execute(sa.delete(PasswordLink).where(PasswordLink.user_id == user.id, PasswordLink.used_at.is_(None)))
    audit.record(session, actor, "user.password", user.name)


def account(session: Session, name: str) -> User | None:
    """The enabled account of a name."""
    user = session.scalar(sa.select(User).where(User.name == normalise(name)))
    return user if user is not None and user.disabled_at is None else None


def open_session(session: Session, settings: Settings, user: User, entry: Entry) -> str:
    """Start a session; returns its token. The one that the browser had ends, and the oldest of too many."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    moment = now()
    opened = UserSession(
        id=secrets.token_hex(8),
        user_id=user.id,
        token_hash=hash_token(token),
        created_at=moment,
        seen_at=moment,
        revoked_at=None,
        address=entry.address,
        agent=entry.agent[:200],
    )
    session.add(opened)
    session.flush()
    audit.record(session, audit.Actor(user.name, entry.address), "session.open", opened.id, entry.told)
    earlier = session_of(session, settings, entry.before)
    if earlier is not None:
        revoke(session, audit.Actor(user.name, entry.address), earlier.id, None)
    kept = (
        sa.select(UserSession.id)
        .where(UserSession.user_id == user.id, UserSession.revoked_at.is_(None))
        .order_by(UserSession.created_at.desc(), UserSession.id)
        .limit(settings.sessions_per_user)
    )
    session.execute(
        sa.update(UserSession)
        .where(UserSession.user_id == user.id, UserSession.revoked_at.is_(None), UserSession.id.not_in(kept))
        .values(revoked_at=moment)
    )
    return token


def session_of(session: Session, settings: Settings, token: str) -> UserSession | None:
    """The session of a token, if it is still good."""
    if not token:
        return None
    found = session.scalar(sa.select(UserSession).where(UserSession.token_hash == hash_token(token)))
    return found if found is not None and _alive(found, settings) else None


def alive(session: Session, settings: Settings, ids: Collection[str]) -> set[str]:
    """Those sessions that are still good."""
    found = session.scalars(sa.select(UserSession).where(UserSession.id.in_(list(ids))))
    return {each.id for each in found if _alive(each, settings)}


def _alive(found: UserSession, settings: Settings) -> bool:
    moment = now()
    return (
        found.revoked_at is None
        and found.user.disabled_at is None
        and moment - found.seen_at < settings.session_idle_seconds * NANOSECONDS
        and moment - found.created_at < settings.session_lifetime_seconds * NANOSECONDS
    )


def needs_touch(found: UserSession) -> bool:
    """Whether the last use written down is more than a minute old."""
    return now() - found.seen_at > TOUCH_NANOSECONDS


def touch(session: Session, session_id: str) -> None:
    """Write down that a session is in use."""
    session.execute(sa.update(UserSession).where(UserSession.id == session_id).values(seen_at=now()))


def sessions(session: Session, settings: Settings, user_id: int | None) -> Sequence[UserSession]:
    """Sessions that are still good, of one account or of all, newest first."""
    statement = sa.select(UserSession).where(UserSession.revoked_at.is_(None)).order_by(UserSession.created_at.desc())
    if user_id is not None:
        statement = statement.where(UserSession.user_id == user_id)
    return [found for found in session.scalars(statement) if _alive(found, settings)]


def revoke(session: Session, actor: Actor, session_id: str, user_id: int | None) -> None:
    """End a session (of one account, or of any). Raises Problem `session_unknown`."""
    found = session.get(UserSession, session_id)
    if found is None or found.revoked_at is not None or user_id not in {None, found.user_id}:
        raise Problem("session_unknown", id=session_id)
    found.revoked_at = now()
    audit.record(session, actor, "session.revoke", session_id, {"user": found.user.name})


def disable(session: Session, actor: Actor, user_id: int, if_match: str | None) -> None:
    """Disable an account, end its sessions, and its link for a password. Raises Problem as `change`."""
    user = others(session, actor, user_id)
    check_version(user.version, if_match, "another administrator")
    if is_last_administrator(session, user):
        raise Problem("last_administrator", name=user.name)
    user.disabled_at, user.version = now(), user.version + 1
    session.execute(sa.delete(PasswordLink).where(PasswordLink.user_id == user.id, PasswordLink.used_at.is_(None)))
    end_sessions(session, user.id)
    audit.record(session, actor, "user.disable", user.name)


def by_id(session: Session, user_id: int) -> User:
    """An enabled account. Raises Problem `user_unknown`."""
    user = session.get(User, user_id)
    if user is None or user.disabled_at is not None:
        raise Problem("user_unknown", id=user_id)
    return user


def others(session: Session, actor: Actor, user_id: int) -> User:
    """An enabled account that is not the caller's own. Raises Problem `user_unknown`, `own_account`."""
    user = by_id(session, user_id)
    if user.name == actor.name:
        raise Problem("own_account")
    return user


def is_last_administrator(session: Session, user: User) -> bool:
    """Whether nobody else would be left who manages accounts: two administrators may take each other's rights at the same time.

    One with a password is the last where no other has one: a provider may be away, and gives roles as it likes.
    """
    if user.role != "administrator" or user.sites is not None or user.disabled_at is not None:
        return False
    left = sa.select(User.id).where(
        User.role == "administrator", User.sites.is_(None), User.disabled_at.is_(None), User.id != user.id
    )
    if user.password_hash != passwords.NO_PASSWORD:
        left = left.where(User.password_hash != passwords.NO_PASSWORD)
    return session.scalar(left.limit(1)) is None


def end_sessions(session: Session, user_id: int, kept: str = "") -> None:
    """End the sessions of an account, all but the one that is kept."""
    own = sa.update(UserSession).where(UserSession.user_id == user_id, UserSession.revoked_at.is_(None))
    session.execute(own.where(UserSession.id != kept).values(revoked_at=now()))


def users(session: Session) -> Sequence[User]:
    """All accounts, by name."""
    return session.scalars(sa.select(User).order_by(User.name)).all()
