"""Playbooks that a site brought, and the tasks of incidents."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from api.database import Base, Number
from api.database.scope import KeyedByOrganisation, OfOrganisation
from api.times import rising

TaskState = Literal["open", "doing", "done", "left_out"]
"""left_out: it is not to be done, and somebody said why; a mandatory one still stands against closing."""

TASK_STATES: Final[tuple[TaskState, ...]] = get_args(TaskState)


LESSON: Final = "closed"
"""Phase of a task that is a lesson of an incident: it is done when the incident is closed, and outlives it."""


class StoredPlaybook(KeyedByOrganisation, Base):
    """A playbook that was brought in; it takes the place of one of the product with the same key."""

    __tablename__ = "playbook"

    key: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    version: Mapped[int]
    """Rises each time that it is brought in anew."""
    content: Mapped[dict[str, Any]]
    """As `api.playbooks.content.Playbook` reads it."""
    withdrawn: Mapped[bool]
    """Whether it was taken out. Its version goes on: what was seen of it never is that of another."""
    changed_by: Mapped[str] = mapped_column(sa.String(64))
    changed_at: Mapped[int]


class IncidentTask(OfOrganisation, Base):
    """Something to do about an incident, or a lesson of it. Its times are nanoseconds since 1970."""

    __tablename__ = "incident_task"

    id: Mapped[int] = mapped_column(Number, primary_key=True)
    incident: Mapped[int] = mapped_column(index=True)
    version: Mapped[int]
    """Rises with each change: its entity tag."""
    playbook: Mapped[str | None] = mapped_column(sa.String(64))
    """Key of the playbook that it is of; null for one by hand."""
    playbook_version: Mapped[int | None]
    key: Mapped[str | None] = mapped_column(sa.String(64))
    title: Mapped[dict[str, Any]]
    """By language."""
    text: Mapped[dict[str, Any]]
    """By language."""
    phase: Mapped[str] = mapped_column(sa.String(16))
    role: Mapped[str] = mapped_column(sa.String(16))
    """Who it is for."""
    mandatory: Mapped[bool]
    state: Mapped[str] = mapped_column(sa.String(16))
    owner: Mapped[str | None] = mapped_column(sa.String(64))
    made_at: Mapped[int]
    updated_at: Mapped[int] = mapped_column(server_default="0", default=rising, onupdate=rising)
    """When it changed last, whatever changed."""
    due_at: Mapped[int | None]
    late_told: Mapped[bool]
    """Whether it was told that it is overdue."""
    done_by: Mapped[str | None] = mapped_column(sa.String(64))
    done_at: Mapped[int | None]
    note: Mapped[str | None] = mapped_column(sa.Text())

    __table_args__ = (
        sa.Index("ix_incident_task_organisation_state_due_at", "organisation", "state", "due_at"),
        sa.Index("ix_incident_task_organisation_updated_at_id", "organisation", "updated_at", "id"),
    )
