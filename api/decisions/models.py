"""Decisions about exceptions and about what is normal, each written in the transaction of what it changes."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from api.database import Base
from api.database.scope import OfOrganisation, OfSite


class Decision(OfOrganisation, OfSite, Base):
    """A decision for detection."""

    __tablename__ = "decision"

    id: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    at: Mapped[int] = mapped_column(index=True)
    by: Mapped[str] = mapped_column(sa.String(64))
    choice: Mapped[str] = mapped_column(sa.String(16))
    """What was decided, as in `approve` or `withdraw`."""
    content: Mapped[str] = mapped_column(sa.Text())
    """The decision as detection reads it, JSON."""
    sent_at: Mapped[int | None]
    """When it was left for detection; null: not yet."""
    taken_at: Mapped[int | None]
    """When it was seen that detection has taken it up; null: not yet."""
