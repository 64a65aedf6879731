"""Reviews of closed incidents. Their lessons are tasks (`api.playbooks.models.IncidentTask`)."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from api.database import Base
from api.database.scope import KeyedByOrganisation


class IncidentReview(KeyedByOrganisation, Base):
    """What people make of an incident after it was closed. Its times are nanoseconds since 1970."""

    __tablename__ = "incident_review"

    incident: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    turn: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """1 for the first; an incident that was opened again after one was signed and is closed again gets another."""
    version: Mapped[int]
    """Rises with each change, over all of an incident: its entity tag."""
    closed_at: Mapped[int]
    """The closing that it is about."""
    went_well: Mapped[str] = mapped_column(sa.Text())
    went_badly: Mapped[str] = mapped_column(sa.Text())
    cause: Mapped[str] = mapped_column(sa.Text())
    participants: Mapped[list[Any]]
    writers: Mapped[list[Any]]
    """Everybody who wrote in it: none of them may sign it."""
    changed_by: Mapped[str] = mapped_column(sa.String(64))
    changed_at: Mapped[int]
    signed_by: Mapped[str | None] = mapped_column(sa.String(64))
    signed_at: Mapped[int | None]
    """When it was signed: it is never changed from then on."""
