"""Accounts, their sessions, and the one-time links that make the first account and by which owners choose passwords."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from api.database import Base, Number
from api.database.scope import KeyedByOrganisation, OfOrganisation
from api.security.permissions import Role  # noqa: TC001  SQLAlchemy reads the annotation at run time


class User(OfOrganisation, Base):
    """A local account."""

    __tablename__ = "user_account"

    id: Mapped[int] = mapped_column(Number, primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(64))
    """Sign-in name, as shown and recorded, normalised (NFKC, case folded)."""
    password_hash: Mapped[str] = mapped_column(sa.String(255))
    """Argon2id in PHC string format."""
    # SQLite heeds no length: there the column is left as it was made.
    role: Mapped[Role] = mapped_column(sa.String(32).with_variant(sa.String(16), "sqlite"))
    sites: Mapped[list[Any] | None] = mapped_column(sa.JSON(none_as_null=True))
    """Names of the sites that it is limited to; None for all of the organisation."""
    version: Mapped[int]
    """Rises with each decision of an administrator about it: its entity tag."""
    created_at: Mapped[int]
    disabled_at: Mapped[int | None]

    @property
    def limits(self) -> frozenset[str] | None:
        """The sites that it is limited to; None for all."""
        return None if self.sites is None else frozenset(self.sites)

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


class SignInFailure(KeyedByOrganisation, Base):
    """Attempts to sign in with a name that came to nothing, since it last signed in."""

    __tablename__ = "sign_in_failure"

    key: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    """SHA-256 of the name: what people type into the field of the name is sometimes a password."""
    count: Mapped[int]
    last_at: Mapped[int]

    __table_args__ = (sa.Index("ix_sign_in_failure_organisation_last_at", "organisation", "last_at"),)


class SetupLink(OfOrganisation, Base):
    """A link that creates the first account, once and for a limited time. Only the hash of its token is kept."""

    __tablename__ = "setup_link"

    token_hash: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    created_at: Mapped[int]
    expires_at: Mapped[int]
    used_at: Mapped[int | None]


class PasswordLink(OfOrganisation, Base):
    """A link by which the owner of an account chooses its password, once and for a limited time; the hash of its token."""

    __tablename__ = "password_link"

    token_hash: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user_account.id"), index=True)
    created_at: Mapped[int]
    expires_at: Mapped[int]
    used_at: Mapped[int | None]
