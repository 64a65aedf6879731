"""Actions in the plant."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from api.database import Base, Number
from api.database.scope import OfOrganisation


class Action(OfOrganisation, Base):
    """One action in the plant. Its times are nanoseconds since 1970."""

    __tablename__ = "plant_action"

    id: Mapped[int] = mapped_column(Number, primary_key=True)
    incident: Mapped[int] = mapped_column(index=True)
    version: Mapped[int]
    """Rises with each change: its entity tag."""
    title: Mapped[str] = mapped_column(sa.String(200))
    state: Mapped[str] = mapped_column(sa.String(24))
    safety: Mapped[dict[str, Any]]
    """As `api.actions.schemas.SafetyContext` has it."""
    proof: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON(none_as_null=True))
    """What traffic must show, as `api.actions.schemas.Silence` has it; null where traffic cannot show it."""
    window_from: Mapped[int]
    window_until: Mapped[int]
    moves: Mapped[list[Any]]
    """Every move: the state that it led to, who made it, when, and why."""
    proposed_by: Mapped[str] = mapped_column(sa.String(64))
    security_by: Mapped[str | None] = mapped_column(sa.String(64))
    operations_by: Mapped[str | None] = mapped_column(sa.String(64))
    operations_at: Mapped[int | None]
    executed_by: Mapped[str | None] = mapped_column(sa.String(64))
    executed_at: Mapped[int | None]
    verdict: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON(none_as_null=True))
    """What traffic showed when it was verified, or said to have failed."""

    __table_args__ = (sa.Index("ix_plant_action_organisation_state_window_until", "organisation", "state", "window_until"),)
