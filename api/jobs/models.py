"""Jobs, and what came of each alert that they are about."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from api.database import Base
from api.database.scope import KeyedByOrganisation

Action = Literal["acknowledge", "assign", "close", "undo"]
"""What a job does."""

JobState = Literal["waiting", "running", "done", "stopped", "failed"]
STATES: Final[tuple[JobState, ...]] = get_args(JobState)
"""The states of a job."""


class Job(KeyedByOrganisation, Base):
    """A decision about many alerts."""

    __tablename__ = "job"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """From 1 in each organisation."""
    action: Mapped[str] = mapped_column(sa.String(16))
    dry_run: Mapped[bool]
    """Whether it only tells what it would do."""
    said: Mapped[dict[str, Any]] = mapped_column("content", sa.JSON())
    """The decision, and the filter of the alerts that it is about, where it has one."""
    ids: Mapped[list[Any] | None] = mapped_column(sa.JSON(none_as_null=True), deferred=True)
    """Ids of the alerts that it is about, in order, where it names them."""
    made_by: Mapped[str] = mapped_column(sa.String(64))
    address: Mapped[str] = mapped_column(sa.String(64))
    """Where who made it called from, as the audit trail has it."""
    token: Mapped[str | None] = mapped_column(sa.String(12))
    """The API token that it was made with; null where a person made it."""
    sites: Mapped[list[Any] | None]
    """The sites of who made it; null for all."""
    at: Mapped[int]
    event: Mapped[int]
    """The newest step of any alert when it was made: what has a later one is not decided on."""
    undoes: Mapped[int | None] = mapped_column(index=True)
    """The job that it takes back."""
    state: Mapped[str] = mapped_column(sa.String(16), index=True)
    place: Mapped[str] = mapped_column(sa.String(64))
    """The last alert that it is done with, or has looked at."""
    done: Mapped[int]
    """Alerts that it decided on, or would."""
    refused: Mapped[int]
    """Alerts that it left as they were, or would."""
    ended_at: Mapped[int | None]

    __table_args__ = (sa.Index("ix_job_organisation_ended_at", "organisation", "ended_at"),)


class JobItem(KeyedByOrganisation, Base):
    """What came of an alert."""

    __tablename__ = "job_item"

    job: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    alert_id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    result: Mapped[str] = mapped_column(sa.String(64))
    """`done`, or the code of the problem."""
    before: Mapped[dict[str, Any] | None]
    """What people had decided about it before; null where nothing was done."""
    version: Mapped[int | None]
    """Version of what people decided, as the job left it."""
