"""Exceptions that people made. Those of the site's file are not here."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from api.database import Base
from api.database.scope import KeyedByOrganisation, OfSite


class SiteException(KeyedByOrganisation, OfSite, Base):
    """An exception that a person made. Its name is one among all sites of the organisation."""

    __tablename__ = "site_exception"

    name: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    version: Mapped[int]
    """Rises with each change."""
    content: Mapped[dict[str, Any]]
    """The exception as `detection.tuning.Exemption` reads it."""
    alert_id: Mapped[str | None] = mapped_column(sa.String(64))
    """The alert that it was made for."""
    changed_by: Mapped[str] = mapped_column(sa.String(64))
    changed_at: Mapped[int]
    withdrawn: Mapped[bool] = mapped_column(default=False)
    decision: Mapped[str] = mapped_column(sa.String(32))
    """Identity of the latest decision about it."""
