"""Who at a provider is which account here, and sign-ins that have been begun."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from api.database import Base
from api.database.scope import KeyedByOrganisation


class Identity(KeyedByOrganisation, Base):
    """Somebody at a provider, who is an account here. What else the provider says of him, as name or mail, is no identity."""

    __tablename__ = "user_identity"

    issuer: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    subject: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user_account.id"), index=True)
    created_at: Mapped[int]


class SignInBegun(KeyedByOrganisation, Base):
    """A sign-in that was begun in a browser and has not come back. It is taken once."""

    __tablename__ = "sign_in_begun"

    state_hash: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    browser_hash: Mapped[str] = mapped_column(sa.String(64))
    """Hash of what is in the browser's cookie: a state that is brought by another browser is not taken."""
    nonce: Mapped[str] = mapped_column(sa.String(64))
    verifier: Mapped[str] = mapped_column(sa.String(128))
    redirect: Mapped[str] = mapped_column(sa.String(400))
    place: Mapped[str] = mapped_column(sa.String(200))
    """Where in the console to go on."""
    created_at: Mapped[int]

    __table_args__ = (sa.Index("ix_sign_in_begun_organisation_created_at", "organisation", "created_at"),)
