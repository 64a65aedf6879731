"""Versions of the site's file that were in force."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from api.database import Base, Number
from api.database.scope import OfOrganisation, OfSite


class SiteVersion(OfOrganisation, OfSite, Base):
    """The facts of the site's file from a time on."""

    __tablename__ = "site_version"

    id: Mapped[int] = mapped_column(Number, primary_key=True)
    at: Mapped[int]
    version: Mapped[str] = mapped_column(sa.String(32))
    """Hash of the content."""
    content: Mapped[dict[str, Any]]
    """The facts, as `detection.site.Site` reads them."""
