"""Saved views, and which each account begins with."""

from __future__ import annotations

from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from api.database import Base
from api.database.scope import SITE_CHARACTERS, KeyedByOrganisation

Shared = Literal["nobody", "site", "organisation"]
"""Who sees a view besides its owner."""

NAME_CHARACTERS = 64


class SavedView(KeyedByOrganisation, Base):
    """A filter and an order of alerts under a name."""

    __tablename__ = "saved_view"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """From 1 in each organisation."""
    version: Mapped[int]
    """Rises with each change."""
    owner: Mapped[str] = mapped_column(sa.String(64))
    """The account that made it."""
    name: Mapped[str] = mapped_column(sa.String(NAME_CHARACTERS))
    shared: Mapped[str] = mapped_column(sa.String(16))
    shared_site: Mapped[str | None] = mapped_column(sa.String(SITE_CHARACTERS))
    """The site that it is shared with; null where it is shared with none, or with all."""
    said: Mapped[dict[str, Any]] = mapped_column("content", sa.JSON())
    """The filter, as `api.alerts.schemas.AlertFilter` reads it."""
    sort: Mapped[str] = mapped_column(sa.String(16))
    changed_by: Mapped[str] = mapped_column(sa.String(64))
    changed_at: Mapped[int]

    __table_args__ = (sa.Index("ix_saved_view_organisation_owner", "organisation", "owner"),)


class DefaultView(KeyedByOrganisation, Base):
    """The view that an account begins with."""

    __tablename__ = "default_view"

    account: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    view: Mapped[int]
