"""Passkeys of accounts, and challenges that have been given out."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from api.database import Base
from api.database.scope import KeyedByOrganisation


class Passkey(KeyedByOrganisation, Base):
    """A key pair in an authenticator. Here is the public key, which is no secret."""

    __tablename__ = "passkey"

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    """SHA-256 of what the authenticator calls it."""
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user_account.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(64))
    """What its owner calls it."""
    credential: Mapped[str] = mapped_column(sa.String(1400))
    """What the authenticator calls it, in base64url."""
    public_key: Mapped[str] = mapped_column(sa.String(2000))
    """COSE key, in base64url."""
    sign_count: Mapped[int]
    """How often it has signed, as the authenticator said last; 0 where it does not count."""
    created_at: Mapped[int]
    used_at: Mapped[int | None]


class PasskeyChallenge(KeyedByOrganisation, Base):
    """A challenge that is to be signed. It is taken once."""

    __tablename__ = "passkey_challenge"

    challenge_hash: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    purpose: Mapped[str] = mapped_column(sa.String(16))
    """What it was given out for: nothing else is done with it."""
    holder_hash: Mapped[str] = mapped_column(sa.String(64))
    """Hash of what is in the cookie of the browser that asked for it, or of the session that makes a passkey."""
    created_at: Mapped[int]

    __table_args__ = (sa.Index("ix_passkey_challenge_organisation_created_at", "organisation", "created_at"),)
