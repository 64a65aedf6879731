"""Incidents, the alerts that belong to them, their timeline, and how they were graded."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from api.database import Base, Number
from api.database.scope import KeyedByOrganisation, OfOrganisation, OfSite
from api.times import rising

Origin = Literal["alerts", "report"]
"""What an incident was made from: alerts, or what somebody reported."""

ORIGINS: Final[tuple[Origin, ...]] = get_args(Origin)


class Incident(KeyedByOrganisation, OfSite, Base):
    """One incident. Its times are nanoseconds since 1970."""

    __tablename__ = "incident"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    version: Mapped[int]
    """Rises with each change: its entity tag."""
    title: Mapped[str] = mapped_column(sa.String(200))
    summary: Mapped[str] = mapped_column(sa.Text())
    state: Mapped[str] = mapped_column(sa.String(16))
    drill: Mapped[bool]
    """Whether it is exercise only: nothing of it leaves the site."""
    origin: Mapped[str] = mapped_column(sa.String(16))
    reported_by: Mapped[str | None] = mapped_column(sa.String(200))
    """Who reported it, and how, where no alert did."""
    declared_by: Mapped[str] = mapped_column(sa.String(64))
    lead: Mapped[str | None] = mapped_column(sa.String(64))
    """Who leads the work."""
    category: Mapped[str | None] = mapped_column(sa.String(64))
    """Class by GB/T 20986-2023, or class and sub-class: `network_attack.scan`."""
    facts: Mapped[dict[str, Any]]
    """What is known for grading, by metric."""
    grades: Mapped[dict[str, Any]]
    """The grade that a person decided, by scheme."""
    grade: Mapped[int | None] = mapped_column(sa.SmallInteger())
    """The worst of them: 1 is the worst of all."""
    story: Mapped[str | None] = mapped_column(sa.String(64), index=True)
    """The story that it was made from: alerts that join it join the incident."""
    occurred_at: Mapped[int | None]
    discovered_at: Mapped[int]
    """When the operator found or learned of it: legal clocks start here."""
    declared_at: Mapped[int]
    acknowledged_at: Mapped[int | None]
    """When somebody first moved it on."""
    resolved_at: Mapped[int | None]
    """When it last came to be monitored only, or was closed."""
    closed_at: Mapped[int | None]
    moved_at: Mapped[int]
    """When it came into its state."""
    updated_at: Mapped[int] = mapped_column(server_default="0", default=rising, onupdate=rising)
    """When it changed last, whatever changed. A line of its timeline is a change too."""
    disposition: Mapped[str | None] = mapped_column(sa.String(32))
    """What it turned out to be, once it is closed."""
    held_until: Mapped[int | None] = mapped_column(index=True)
    """Until when it is on hold; its state stays what it was."""
    held_by: Mapped[str | None] = mapped_column(sa.String(64))
    held_reason: Mapped[str | None] = mapped_column(sa.Text())
    continues: Mapped[int | None]
    """The closed incident that it goes on from."""
    split_from: Mapped[int | None]
    merged_into: Mapped[int | None] = mapped_column(index=True)
    """The incident that tells this one too; it is closed then."""

    __table_args__ = (
        sa.Index("ix_incident_organisation_state_declared_at", "organisation", "state", "declared_at"),
        sa.Index("ix_incident_organisation_declared_at_number", "organisation", "declared_at", "number"),
        sa.Index("ix_incident_organisation_updated_at_number", "organisation", "updated_at", "number"),
    )


class IncidentAlert(KeyedByOrganisation, Base):
    """An alert that belongs, or belonged, to an incident."""

    __tablename__ = "incident_alert"

    incident: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    alert_id: Mapped[str] = mapped_column(sa.String(64), primary_key=True, index=True)
    added_at: Mapped[int]
    added_by: Mapped[str] = mapped_column(sa.String(64))
    removed_at: Mapped[int | None]
    """When it was taken out, or moved to another incident."""


class IncidentEntry(OfOrganisation, Base):
    """One line of the timeline of an incident. Never changed: a merge reads the lines of both."""

    __tablename__ = "incident_entry"

    id: Mapped[int] = mapped_column(Number, primary_key=True)
    incident: Mapped[int] = mapped_column(index=True)
    kind: Mapped[str] = mapped_column(sa.String(32))
    """What happened: names the text that tells it."""
    at: Mapped[int]
    """When it happened."""
    written_at: Mapped[int]
    """When it was written down."""
    actor: Mapped[str] = mapped_column(sa.String(64))
    by_hand: Mapped[bool]
    """Whether a person wrote it as it stands."""
    origin: Mapped[str | None] = mapped_column(sa.String(200))
    """Where a person has it from."""
    note: Mapped[str | None] = mapped_column(sa.Text())
    """What the person wrote: a reason, or the line itself."""
    detail: Mapped[dict[str, Any]]
    """What fills the text: before and after, names, numbers."""


class IncidentGrade(OfOrganisation, Base):
    """One decision about a grade, with the facts that it was made on."""

    __tablename__ = "incident_grade"

    id: Mapped[int] = mapped_column(Number, primary_key=True)
    incident: Mapped[int] = mapped_column(index=True)
    at: Mapped[int]
    by: Mapped[str] = mapped_column(sa.String(64))
    scheme: Mapped[str] = mapped_column(sa.String(32))
    proposed: Mapped[int | None] = mapped_column(sa.SmallInteger())
    decided: Mapped[int] = mapped_column(sa.SmallInteger())
    reason: Mapped[str] = mapped_column(sa.Text())
    facts: Mapped[dict[str, Any]]
    schemes_version: Mapped[str] = mapped_column(sa.String(32))
    """Version of the schemes' data."""
