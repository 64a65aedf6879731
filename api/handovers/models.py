"""Handover notes of shifts."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from api.database import Base, Number
from api.database.scope import OfOrganisation, OfSite

HandoverState = Literal["draft", "handed_over", "taken_over"]
"""draft: the shift that leaves writes it. From handed_over on nothing of it changes but who has taken it over."""

HANDOVER_STATES: Final[tuple[HandoverState, ...]] = get_args(HandoverState)


class Handover(OfOrganisation, OfSite, Base):
    """One note. Its times are nanoseconds since 1970; without a site it is about all of them."""

    __tablename__ = "handover"

    id: Mapped[int] = mapped_column(Number, primary_key=True)
    version: Mapped[int]
    """Rises with each change: its entity tag."""
    state: Mapped[str] = mapped_column(sa.String(16))
    since: Mapped[int]
    """When the shift that leaves began."""
    remarks: Mapped[str] = mapped_column(sa.Text())
    """What the shift that leaves adds."""
    content: Mapped[dict[str, Any]]
    """What was open, by language; as `api.handovers.schemas.Content` has it."""
    content_at: Mapped[int]
    """Of when that is."""
    changed_by: Mapped[str] = mapped_column(sa.String(64))
    handed_by: Mapped[str | None] = mapped_column(sa.String(64))
    handed_at: Mapped[int | None]
    taken_by: Mapped[str | None] = mapped_column(sa.String(64))
    taken_at: Mapped[int | None]
    taken_note: Mapped[str | None] = mapped_column(sa.Text())

    __table_args__ = (sa.Index("ix_handover_organisation_site_state_id", "organisation", "site", "state", "id"),)
