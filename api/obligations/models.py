"""Reports that must be made, and what the operator of a site is."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from api.database import Base, Number
from api.database.scope import SITE_CHARACTERS, OfOrganisation
from api.times import rising

State = Literal["pending", "drafted", "approved", "submitted", "acknowledged", "lapsed"]
"""lapsed: it is asked for no more, because what it followed from was decided otherwise."""

STATES: Final[tuple[State, ...]] = get_args(State)

UNDONE: Final[tuple[State, ...]] = ("pending", "drafted", "approved")
"""States of a report whose clock runs."""


class Obligation(OfOrganisation, Base):
    """One report of a series. Its times are nanoseconds since 1970."""

    __tablename__ = "obligation"

    id: Mapped[int] = mapped_column(Number, primary_key=True)
    incident: Mapped[int] = mapped_column(index=True)
    rule: Mapped[str] = mapped_column(sa.String(64))
    """Key of the rule that it follows from."""
    rules_version: Mapped[str] = mapped_column(sa.String(32))
    kind: Mapped[str] = mapped_column(sa.String(16))
    state: Mapped[str] = mapped_column(sa.String(16))
    version: Mapped[int]
    """Rises with each change: its entity tag."""
    made_at: Mapped[int]
    updated_at: Mapped[int] = mapped_column(server_default="0", default=rising, onupdate=rising)
    """When it changed last, whatever changed."""
    started_at: Mapped[int | None]
    """When its clock started; null where it has not yet."""
    due_at: Mapped[int | None]
    due_certain: Mapped[bool]
    told: Mapped[list[Any]]
    """Warnings that were given, as shares of the time."""
    look_at: Mapped[int | None] = mapped_column(index=True)
    """When the next warning is to be given."""
    contents: Mapped[dict[str, Any]]
    drafters: Mapped[list[Any]]
    """Everybody who wrote in it: none of them may approve it."""
    approved_by: Mapped[str | None] = mapped_column(sa.String(64))
    approved_at: Mapped[int | None]
    sector: Mapped[str | None] = mapped_column(sa.String(32))
    """The operator's sector when it was approved, which says whom it went to; null before, and where nobody had said it."""
    before_approval: Mapped[bool]
    """Whether it was told to the authority before it was approved: by phone, say."""
    submitted_by: Mapped[str | None] = mapped_column(sa.String(64))
    submitted_at: Mapped[int | None]
    channel: Mapped[str | None] = mapped_column(sa.String(200))
    """By which way it was submitted."""
    document: Mapped[str | None] = mapped_column(sa.String(64))
    """SHA-256 of the kept document that was sent."""
    receipt: Mapped[str | None] = mapped_column(sa.String(200))
    """What the authority gave for it."""
    acknowledged_at: Mapped[int | None]

    __table_args__ = (
        sa.Index("ix_obligation_organisation_state_due_at", "organisation", "state", "due_at"),
        sa.Index("ix_obligation_organisation_updated_at_id", "organisation", "updated_at", "id"),
    )


class SiteOperator(OfOrganisation, Base):
    """What the operator of a site is in the eyes of the law."""

    __tablename__ = "site_operator"

    organisation: Mapped[str] = mapped_column(sa.String(64), primary_key=True, sort_order=-2)
    site: Mapped[str] = mapped_column(sa.String(SITE_CHARACTERS), primary_key=True, sort_order=-1)
    version: Mapped[int]
    content: Mapped[dict[str, Any]]
    """As `api.obligations.schemas.OperatorInput` has it."""
    said_by: Mapped[str | None] = mapped_column(sa.String(64))
    """Who said so; null where that was not kept yet."""
