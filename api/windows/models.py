"""Maintenance windows, and the alerts that each covered."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from api.database import Base
from api.database.scope import KeyedByOrganisation, OfSite
from api.times import rising

WindowState = Literal["planned", "running", "ending", "ended", "cancelled"]
STATES: Final[tuple[WindowState, ...]] = get_args(WindowState)
"""The states of a window. ending: its time is over, and the rest of what it covered is being restored."""

OPEN: Final = ("planned", "running", "ending")
"""States of windows that are not at their end."""

PERFORMER_CHARACTERS: Final = 128


class MaintenanceWindow(KeyedByOrganisation, OfSite, Base):
    """Planned work of which the alerts are not told while it goes on."""

    __tablename__ = "maintenance_window"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """From 1 in each organisation."""
    version: Mapped[int]
    """Rises with each change by a person."""
    state: Mapped[str] = mapped_column(sa.String(16))
    said: Mapped[dict[str, Any]] = mapped_column("content", sa.JSON())
    """What it covers, as `api.windows.schemas.Scope` reads it."""
    starts_at: Mapped[int]
    ends_at: Mapped[int]
    permit: Mapped[str] = mapped_column(sa.String(64))
    work: Mapped[str] = mapped_column(sa.Text())
    performed_by: Mapped[str] = mapped_column(sa.String(PERFORMER_CHARACTERS))
    """Who does the work."""
    made_by: Mapped[str] = mapped_column(sa.String(64))
    made_at: Mapped[int]
    changed_by: Mapped[str] = mapped_column(sa.String(64))
    changed_at: Mapped[int]
    updated_at: Mapped[int] = mapped_column(server_default="0", default=rising, onupdate=rising)
    """When it changed last, whatever changed."""
    end_reason: Mapped[str | None] = mapped_column(sa.Text())
    """Why a person ended it before its time."""
    ended_at: Mapped[int | None]
    reviewed_to: Mapped[str | None] = mapped_column(sa.String(64))
    """The last alert that was looked at after a change, whether it is still covered; null where none is left to look at."""
    report: Mapped[dict[str, Any] | None]
    """What it hid, once it is over."""

    __table_args__ = (
        sa.Index("ix_maintenance_window_organisation_state", "organisation", "state"),
        sa.Index("ix_maintenance_window_organisation_updated_at_number", "organisation", "updated_at", "number"),
    )


class WindowAlert(KeyedByOrganisation, Base):
    """An alert that a window covered."""

    __tablename__ = "window_alert"

    window_number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    alert_id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    at: Mapped[int]
    outcome: Mapped[str] = mapped_column(sa.String(16))
    """covered: it hides it still, or a person took it on meanwhile. lifted: it covered it no more. restored: came back at its
    end. passed: another window hides it on after its end."""
