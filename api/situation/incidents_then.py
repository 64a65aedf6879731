"""How incidents were at a past time: by the lines of their timelines, the grades decided, and the reports that were due."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from api.incidents.models import IncidentEntry, IncidentGrade
from api.obligations.models import Obligation
from api.times import LATEST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

MOVES: Final = ("declared", "moved", "reopened")
"""Lines after which an incident is in another state: in the one that `after` names, a new one in `declared`."""

HOLDS: Final = ("held", "resumed", "woken", "moved")
"""Lines after which it is on hold, behind the first, or no longer."""

LINES: Final = 20_000
"""Lines that are looked at."""


@dataclass(slots=True)
class Then:
    """One incident.

    Attributes:
        state: what it was in; None where nothing says so.
        on_hold: whether it was laid aside.
        grade: the worst that was decided by then, 1 the worst of all.
        clocks: reports that were not submitted, the one that was due first first. What lapsed since is not among them.
    """

    state: str | None = None
    on_hold: bool = False
    grade: int | None = None
    clocks: list[Obligation] = field(default_factory=list["Obligation"])


def of(session: Session, numbers: Sequence[int], at: int) -> dict[int, Then]:
    """These incidents as they were, by number."""
    found = {number: Then() for number in numbers}
    asked = sa.select(IncidentEntry).where(
        IncidentEntry.incident.in_(list(numbers)),
        IncidentEntry.at <= at,
        IncidentEntry.by_hand.is_(False),
        IncidentEntry.kind.in_({*MOVES, *HOLDS}),
    )
    for line in session.scalars(asked.order_by(IncidentEntry.at, IncidentEntry.id).limit(LINES)):
        # A line that another incident's was copied from tells of that one.
        if "copied_from" in line.detail:
            continue
        then = found[line.incident]
        if line.kind in MOVES:
            then.state = str(line.detail.get("after", "declared"))
        if line.kind in HOLDS:
            then.on_hold = line.kind == "held"
    _grade(session, found, at)
    running = sa.select(Obligation).where(
        Obligation.incident.in_(list(numbers)),
        Obligation.made_at <= at,
        Obligation.state != "lapsed",
        sa.or_(Obligation.submitted_at.is_(None), Obligation.submitted_at > at),
    )
    for each in session.scalars(running.order_by(sa.func.coalesce(Obligation.due_at, LATEST), Obligation.id)):
        found[each.incident].clocks.append(each)
    return found


def _grade(session: Session, found: dict[int, Then], at: int) -> None:
    """The worst of what was decided last by each scheme."""
    asked = sa.select(IncidentGrade.incident, IncidentGrade.scheme, IncidentGrade.decided).where(
        IncidentGrade.incident.in_(list(found)), IncidentGrade.at <= at
    )
    decided: dict[int, dict[str, int]] = {}
    for number, scheme, grade in session.execute(asked.order_by(IncidentGrade.id).limit(LINES)):
        decided.setdefault(number, {})[scheme] = grade
    for number, grades in decided.items():
        found[number].grade = min(grades.values())
