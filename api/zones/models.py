"""Plans of zones and conduits that held, each as a whole: what was known at a past time can be told."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from api.database import Base, Number
from api.database.scope import OfOrganisation, OfSite


class ZonePlan(OfOrganisation, OfSite, Base):
    """A site's plan from a time on."""

    __tablename__ = "zone_plan"

    id: Mapped[int] = mapped_column(Number, primary_key=True)
    number: Mapped[int]
    """Rises by one with each plan of the site."""
    at: Mapped[int]
    changed_by: Mapped[str] = mapped_column(sa.String(64))
    content: Mapped[dict[str, Any]]
    """The plan as `api.zones.plan.Plan` reads it."""

    __table_args__ = (sa.UniqueConstraint("organisation", "site", "number"),)
