"""Accounts, their sessions, and the one-time link that makes the first account."""

from __future__ import annotations

from typing import Final, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from api.database import Base, Number
from api.database.scope import OfOrganisation

Role = Literal["viewer", "operator", "administrator"]
"""What an account may do, each including the one before: look; decide about alerts; manage accounts and read the audit trail."""

ROLES: Final[tuple[Role, ...]] = get_args(Role)
"""All roles, from the least to the most."""


class User(OfOrganisation, Base):
    """A local account."""

    __tablename__ = "user_account"

    id: Mapped[int] = mapped_column(Number, primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(64))
    """Sign-in name, as shown and recorded, normalised (NFKC, case folded)."""
    password_hash: Mapped[str] = mapped_column(sa.String(255))
    """Argon2id in PHC string format."""
    role: Mapped[Role] = mapped_column(sa.String(16))
    created_at: Mapped[int]
    disabled_at: Mapped[int | None]

    __table_args__ = (sa.UniqueConstraint("organisation", "name"),)


class UserSession(OfOrganisation, Base):
    """One sign-in. The token itself is only in the browser's cookie; here is its hash."""

    __tablename__ = "user_session"

    id: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user_account.id"), index=True)
    token_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    created_at: Mapped[int]
    seen_at: Mapped[int]
    """Last use, to the minute."""
    revoked_at: Mapped[int | None]
    address: Mapped[str] = mapped_column(sa.String(64))
    agent: Mapped[str] = mapped_column(sa.String(200))
    user: Mapped[User] = relationship(lazy="joined")


class SetupLink(OfOrganisation, Base):
    """A link that creates the first account, once and for a limited time. Only the hash of its token is kept."""

    __tablename__ = "setup_link"

    token_hash: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    created_at: Mapped[int]
    expires_at: Mapped[int]
    used_at: Mapped[int | None]
