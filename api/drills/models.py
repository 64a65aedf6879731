"""Drills that run, or ran."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from api.database import Base
from api.database.scope import KeyedByOrganisation, OfSite

DrillState = Literal["running", "finished", "aborted"]
"""finished: it ran to its end, and the next one is compared with it; aborted: it counts for nothing."""

DRILL_STATES: Final[tuple[DrillState, ...]] = get_args(DrillState)


class Drill(KeyedByOrganisation, OfSite, Base):
    """One drill. Its times are nanoseconds since 1970."""

    __tablename__ = "drill"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """From 1 in each organisation; alerts of the drill have it."""
    version: Mapped[int]
    """Rises with each change: its entity tag."""
    scenario: Mapped[str] = mapped_column(sa.String(32))
    """Key of the scenario, as `api.drills.scenarios` has it."""
    title: Mapped[str] = mapped_column(sa.String(200))
    participants: Mapped[str] = mapped_column(sa.Text())
    """Who takes part, as who began it wrote it."""
    note: Mapped[str] = mapped_column(sa.Text())
    state: Mapped[str] = mapped_column(sa.String(16))
    started_by: Mapped[str] = mapped_column(sa.String(64))
    started_at: Mapped[int]
    """What is measured is measured from here."""
    ended_by: Mapped[str | None] = mapped_column(sa.String(64))
    ended_at: Mapped[int | None]
    end_note: Mapped[str | None] = mapped_column(sa.Text())
    plant: Mapped[dict[str, Any]]
    """What of the plant its traffic was made of, as `api.drills.plant.Plant.told` says it."""
    packets: Mapped[str] = mapped_column(sa.Text(), deferred=True)
    """Its traffic as a capture file, as `api.drills.packets` keeps it: in the database, so that every server has it."""

    __table_args__ = (
        sa.Index("ix_drill_organisation_site_state", "organisation", "site", "state"),
        sa.Index("ix_drill_organisation_site_scenario_number", "organisation", "site", "scenario", "number"),
    )
