"""Second factors."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from api.database import Base
from api.database.scope import KeyedByOrganisation


class Authenticator(KeyedByOrganisation, Base):
    """What makes an account's one-time codes (RFC 6238). Its secret has to be kept as it is, for codes are computed from it."""

    __tablename__ = "authenticator"

    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user_account.id"), primary_key=True)
    secret: Mapped[str] = mapped_column(sa.String(64))
    """Base32."""
    created_at: Mapped[int]
    confirmed_at: Mapped[int | None]
    """When its owner showed that it works; before, it is not asked for."""
    last_step: Mapped[int]
    """The time step of the last code that was taken: neither it nor an earlier one is taken again."""
    recovery: Mapped[list[Any]]
    """SHA-256 of the recovery codes that are left."""
