"""Alerts that an open incident took by itself: the system put them there, and nobody has taken them on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from api.alerts.models import AlertEvent
from api.audit import service as audit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

BEGUN: Final = ("raised", "recurred")
"""Steps with which an alert comes up, or goes on after it was closed: whoever had it before has it no more."""

LAID_ASIDE: Final = ("snoozed", "woken", "commented")
"""Steps by which a person has seen an alert and not taken it on."""


@dataclass(frozen=True, slots=True)
class Joined:
    """How an alert came into an incident by itself.

    Attributes:
        step: number of the step by which it did.
        at: when that was.
        begun: number of the step with which it came up, or went on.
        goes_on: whether it had been closed before.
    """

    step: int
    at: int
    begun: int
    goes_on: bool


def by_itself(session: Session, ids: Sequence[str]) -> dict[str, Joined]:
    """Those of some alerts, all of incidents, that are there by themselves, and that nobody has taken on since they began."""
    steps = sa.select(AlertEvent).where(AlertEvent.alert_id.in_(list(ids))).order_by(AlertEvent.id)
    begun: dict[str, tuple[int, bool]] = {}
    found: dict[str, Joined] = {}
    taken: set[str] = set()
    for step in session.scalars(steps) if ids else ():
        if step.kind in BEGUN:
            begun[step.alert_id] = (step.id, step.kind == "recurred")
            found.pop(step.alert_id, None)
            taken.discard(step.alert_id)
        elif step.actor != audit.SYSTEM and step.kind not in LAID_ASIDE:
            found.pop(step.alert_id, None)
            taken.add(step.alert_id)
        elif step.kind == "escalated" and step.alert_id not in taken:
            found[step.alert_id] = Joined(step.id, step.at, *begun.get(step.alert_id, (0, False)))
    return found
