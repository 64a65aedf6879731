"""API tokens: made with some of their owner's permissions, looked up, listed, revoked."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from api.audit import service as audit
from api.problems import Problem
from api.security.permissions import FOR_TOKENS, permissions_of
from api.times import NANOSECONDS, now
from api.tokens.models import ApiToken
from api.users.service import TOKEN_BYTES, TOUCH_NANOSECONDS, hash_token

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy.orm import Session

    from api.audit.service import Actor
    from api.security.permissions import Permission
    from api.tokens.schemas import TokenInput

PREFIX: Final = "icsight_"
"""What a token begins with, so that whoever finds one knows what it is, and scanners of secrets do."""

TOKENS_PER_USER: Final = 50
"""Most tokens that one account has at a time."""

_DAY: Final = 86_400 * NANOSECONDS


def make(session: Session, actor: Actor, user_id: int, held: frozenset[Permission], asked: TokenInput) -> tuple[ApiToken, str]:
    """Make a token for an account; returns it with the token itself, which is kept nowhere.

    Args:
        session: the session.
        actor: who makes it.
        user_id: the account.
        held: what the account may do.
        asked: what is wanted.

    Raises Problem `permission_unheld`, `tokens_full`.
    """
    unheld = sorted(set(asked.permissions) - (held & FOR_TOKENS))
    if unheld:
        raise Problem("permission_unheld", permissions=", ".join(unheld))
    if len(tokens(session, user_id)) >= TOKENS_PER_USER:
        raise Problem("tokens_full", most=TOKENS_PER_USER)
    text = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    created = now()
    made = ApiToken(
        id=secrets.token_hex(6), user_id=user_id, name=asked.name, token_hash=hash_token(text),
        permissions=sorted(set(asked.permissions)), created_at=created, expires_at=created + asked.days * _DAY, used_at=None,
        revoked_at=None,
    )  # fmt: skip
    session.add(made)
    session.flush()
    told = {"name": made.name, "permissions": made.permissions, "days": asked.days}
    audit.record(session, actor, "token.make", made.id, told)
    return made, text


def token_of(session: Session, text: str) -> ApiToken | None:
    """The token of a text, if it is still good."""
    found = session.scalar(sa.select(ApiToken).where(ApiToken.token_hash == hash_token(text)))
    return found if found is not None and _alive(found) else None


def alive(session: Session, ids: Collection[str]) -> list[ApiToken]:
    """Those tokens that are still good."""
    found = session.scalars(sa.select(ApiToken).where(ApiToken.id.in_(list(ids))))
    return [each for each in found if _alive(each)]


def _alive(found: ApiToken) -> bool:
    return found.revoked_at is None and found.expires_at > now() and found.user.disabled_at is None


def permissions(found: ApiToken) -> frozenset[Permission]:
    """What a token may do: of what it was given, what its owner may do now."""
    return permissions_of(found.user.role, found.user.limits) & FOR_TOKENS & frozenset(found.permissions)


def needs_touch(found: ApiToken) -> bool:
    """Whether the last use written down is more than a minute old."""
    return found.used_at is None or now() - found.used_at > TOUCH_NANOSECONDS


def touch(session: Session, token_id: str) -> None:
    """Write down that a token is in use."""
    session.execute(sa.update(ApiToken).where(ApiToken.id == token_id).values(used_at=now()))


def tokens(session: Session, user_id: int | None) -> Sequence[ApiToken]:
    """Tokens that are still good, of one account or of all, newest first."""
    statement = sa.select(ApiToken).where(ApiToken.revoked_at.is_(None), ApiToken.expires_at > now())
    if user_id is not None:
        statement = statement.where(ApiToken.user_id == user_id)
    return [found for found in session.scalars(statement.order_by(ApiToken.created_at.desc(), ApiToken.id)) if _alive(found)]


def end_all(session: Session, user_id: int) -> list[str]:
    """End the tokens of an account; returns which."""
    ended = tokens(session, user_id)
    for found in ended:
        found.revoked_at = now()
    return sorted(found.id for found in ended)


def revoke(session: Session, actor: Actor, token_id: str, user_id: int | None) -> None:
    """End a token (of one account, or of any). Raises Problem `token_unknown`."""
    found = session.get(ApiToken, token_id)
    if found is None or found.revoked_at is not None or user_id not in {None, found.user_id}:
        raise Problem("token_unknown", id=token_id)
    found.revoked_at = now()
    audit.record(session, actor, "token.revoke", token_id, {"user": found.user.name, "name": found.name})
