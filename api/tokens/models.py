"""API tokens."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from api.database import Base
from api.database.scope import OfOrganisation
from api.users.models import User  # noqa: TC001  SQLAlchemy reads the annotation at run time


class ApiToken(OfOrganisation, Base):
    """A token that acts for an account, with some of its permissions. Only its owner has the token itself; here is its hash."""

    __tablename__ = "api_token"

    id: Mapped[str] = mapped_column(sa.String(12), primary_key=True)
    """Hexadecimal digits; no secret: the audit trail names the token by it."""
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user_account.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(64))
    """What it is for."""
    token_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    permissions: Mapped[list[Any]]
    """Names of the permissions that it was given; of those it has what its owner has."""
    created_at: Mapped[int]
    expires_at: Mapped[int]
    used_at: Mapped[int | None]
    """Last use, to the minute."""
    revoked_at: Mapped[int | None]
    user: Mapped[User] = relationship(lazy="joined")
