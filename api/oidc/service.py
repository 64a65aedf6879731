"""Sign-ins through a provider: begun in a browser, taken once, and made into a session of an account."""

from __future__ import annotations

import hmac
import logging
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from api.audit import service as audit
from api.database import row_of
from api.database.scope import scope_of
from api.oidc import mapping
from api.oidc.models import Identity, SignInBegun
from api.oidc.provider import Begun
from api.problems import Problem
from api.security.browsers import SECONDS
from api.security.passwords import NO_PASSWORD
from api.times import NANOSECONDS, now
from api.tokens import service as tokens
from api.users import service as users
from api.users.models import User

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.orm import Session

    from api.oidc_settings import OidcSettings
    from api.settings import Settings

BEGUN_SECONDS: Final = SECONDS
"""How long somebody may take at the provider."""

BEGUN_MOST: Final = 10_000
"""Sign-ins that are begun at a time; of more the oldest are forgotten."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Start:
    """A sign-in that is to be begun.

    Attributes:
        state: what the browser brings back.
        begun: what it is begun with.
        place: where in the console to go on.
    """

    state: str
    begun: Begun
    place: str


def start(redirect: str, place: str) -> Start:
    """A new sign-in."""
    state, nonce, verifier = (secrets.token_urlsafe(users.TOKEN_BYTES) for _ in range(3))
    return Start(state, Begun(nonce, verifier, redirect, now() // NANOSECONDS), place)


def begin(session: Session, started: Start, browser: str) -> None:
    """Keep a sign-in until the browser comes back."""
    session.execute(sa.delete(SignInBegun).where(SignInBegun.created_at < now() - BEGUN_SECONDS * NANOSECONDS))
    count = session.scalar(sa.select(sa.func.count()).select_from(SignInBegun)) or 0
    if count >= BEGUN_MOST:
        oldest = sa.select(SignInBegun.state_hash).order_by(SignInBegun.created_at).limit(count - BEGUN_MOST + 1)
        session.execute(sa.delete(SignInBegun).where(SignInBegun.state_hash.in_(oldest)))
    begun = started.begun
    kept = SignInBegun(
        state_hash=users.hash_token(started.state), browser_hash=users.hash_token(browser), nonce=begun.nonce,
        verifier=begun.verifier, redirect=begun.redirect, place=started.place, created_at=now(),
    )  # fmt: skip
    session.add(kept)


def take(session: Session, state: str, browser: str) -> Start:
    """The sign-in of a state, which is used up by it. Raises Problem `oidc_unbegun` where it was not begun in this browser."""
    found = row_of(session, SignInBegun, users.hash_token(state))
    if found is None or not hmac.compare_digest(found.browser_hash, users.hash_token(browser)):
        raise Problem("oidc_unbegun")
    if now() - found.created_at > BEGUN_SECONDS * NANOSECONDS:
        raise Problem("oidc_unbegun")
    session.delete(found)
    session.flush()
    begun = Begun(found.nonce, found.verifier, found.redirect, found.created_at // NANOSECONDS)
    return Start(state, begun, found.place)


def enter(session: Session, settings: Settings, claims: Mapping[str, Any], entry: users.Entry) -> tuple[User, str]:
    """Open a session for whom the provider tells of; returns the account and the session's token.

    The account is that of issuer and subject, and gets the rights that follow from the claims now; who has none gets one. The
    last administrator stays administrator.

    Raises Problem `oidc_role_none`, `oidc_site_none`, `oidc_name_unfit`, `name_taken`, `account_disabled`.
    """
    given = mapping.rights(settings.oidc, claims)
    subject: str = claims["sub"]
    user = _known(session, settings.oidc, subject)
    if user is None:
        user = _made(session, settings.oidc, claims, given, entry.address)
    elif user.disabled_at is not None:
        raise Problem("account_disabled")
    elif (before := users.Rights(user.role, user.limits)) == given:
        pass
    elif users.is_last_administrator(session, user):
        # Nobody would be left who could give rights.
        told = {**given.told, "issuer": settings.oidc.issuer}
        audit.record(session, audit.Actor(audit.SYSTEM, entry.address), "user.keep", user.name, told)
        _log.warning("%s stays administrator, as the last one, though the OpenID provider says otherwise", user.name)
    else:
        user.role, user.sites, user.version = given.role, given.listed, user.version + 1
        users.end_sessions(session, user.id)
        told = {**given.told, "before": before.told, "issuer": settings.oidc.issuer}
        audit.record(session, audit.Actor(audit.SYSTEM, entry.address), "user.change", user.name, told)
    return user, users.open_session(session, settings, user, entry)


def refuse(session: Session, settings: OidcSettings, claims: Mapping[str, Any], code: str, address: str) -> None:
    """Put on record that somebody whom the provider knows was not let in."""
    user = _known(session, settings, claims["sub"])
    told: dict[str, Any] = {"issuer": settings.issuer, "subject": claims["sub"], "reason": code}
    if user is not None:
        # What the provider no longer grants he does not keep either.
        users.end_sessions(session, user.id)
        told["tokens"] = tokens.end_all(session, user.id)
    name = audit.SYSTEM if user is None else user.name
    audit.record(session, audit.Actor(name, address), "session.refuse", "" if user is None else user.name, told)


def _known(session: Session, settings: OidcSettings, subject: str) -> User | None:
    key = {"organisation": scope_of(session).organisation, "issuer": settings.issuer, "subject": subject}
    found = session.get(Identity, key)
    return None if found is None else session.get(User, found.user_id)


def _made(session: Session, settings: OidcSettings, claims: Mapping[str, Any], given: users.Rights, address: str) -> User:
    """A new account, without a password."""
    if not users.has_accounts(session):
        raise Problem("setup_first")
    name = mapping.named(settings, claims)
    actor = audit.Actor(name, address)
    user = users.create(session, actor, name, NO_PASSWORD, given)
    session.add(Identity(issuer=settings.issuer, subject=claims["sub"], user_id=user.id, created_at=now()))
    audit.record(session, actor, "identity.add", user.name, {"issuer": settings.issuer, "subject": claims["sub"]})
    return user
