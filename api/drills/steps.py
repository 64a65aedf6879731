"""How far a drill came, and when: each step by what alerts and incidents have written down of themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

import sqlalchemy as sa

from api.alerts.models import Alert, AlertEvent
from api.incidents.models import Incident, IncidentAlert, IncidentEntry
from api.times import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy.orm import Session

    from api.drills.models import Drill

StepKey = Literal[
    "started", "acknowledged", "declared", "graded", "report_drafted", "report_approved", "report_submitted", "task_done",
    "action_security", "action_operations", "contained", "closed",
]  # fmt: skip

STEP_KEYS: Final[tuple[StepKey, ...]] = get_args(StepKey)
"""What is measured, in the order in which it usually comes: each when it was done for the first time."""

_LINES: Final[Mapping[str, StepKey]] = {
    "declared": "declared",
    "graded": "graded",
    "obligation_drafted": "report_drafted",
    "obligation_approved": "report_approved",
    "obligation_submitted": "report_submitted",
    "task_done": "task_done",
    "action_security_approved": "action_security",
    "action_operations_approved": "action_operations",
}
"""The step that a line of the timeline tells."""

_CONTAINED: Final = ("eradicating", "recovering", "monitoring")
"""States of an incident that is contained."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: when it was done, nanoseconds since 1970; None where it was not."""

    key: StepKey
    at: int | None
    seconds: float | None
    """From the start of the drill."""
    last_seconds: float | None
    """The same of the drill that it is compared with."""

    @property
    def difference(self) -> float | None:
        """How much longer it took than the last time; less than nothing: it was quicker."""
        if self.seconds is None or self.last_seconds is None:
            return None
        return round(self.seconds - self.last_seconds, 3)


def compared(session: Session, drill: Drill, last: Drill | None) -> list[Step]:
    """The steps of a drill, beside those of another."""
    mine, before = measured(session, drill), {} if last is None else measured(session, last)

    def seconds(of: Drill | None, moments: Mapping[StepKey, int], key: StepKey) -> float | None:
        return None if of is None or key not in moments else round((moments[key] - of.started_at) / NANOSECONDS, 3)

    return [Step(key, mine.get(key), seconds(drill, mine, key), seconds(last, before, key)) for key in STEP_KEYS]


def measured(session: Session, drill: Drill) -> dict[StepKey, int]:
    """When each step was done first, of those that were done before the drill ended."""
    found: dict[StepKey, int] = {"started": drill.started_at}
    of_drill = sa.select(Alert.id).where(Alert.drill == drill.number)
    acknowledged = sa.select(sa.func.min(AlertEvent.at)).where(
        AlertEvent.alert_id.in_(of_drill), AlertEvent.kind == "acknowledged"
    )
    _first(found, [("acknowledged", session.scalar(acknowledged))], drill)
    lines = sa.select(IncidentEntry).where(
        IncidentEntry.incident.in_(incident_numbers(session, drill)), IncidentEntry.kind.in_([*_LINES, "moved"])
    )
    for entry in session.scalars(lines.order_by(IncidentEntry.id)):
        # When it was written down: what a person says of when it was is no measure.
        if entry.kind in _LINES:
            _first(found, [(_LINES[entry.kind], entry.written_at)], drill)
        elif entry.detail["after"] in _CONTAINED:
            _first(found, [("contained", entry.written_at)], drill)
        elif entry.detail["after"] == "closed":
            _first(found, [("closed", entry.written_at)], drill)
    return found


def incident_numbers(session: Session, drill: Drill) -> Sequence[int]:
    """The incidents that alerts of a drill belong to, or belonged to, the first first."""
    of_drill = sa.select(Alert.id).where(Alert.drill == drill.number)
    links = sa.select(IncidentAlert.incident).where(IncidentAlert.alert_id.in_(of_drill)).distinct()
    return session.scalars(sa.select(Incident.number).where(Incident.number.in_(links)).order_by(Incident.number)).all()


def _first(found: dict[StepKey, int], told: Iterable[tuple[StepKey, int | None]], drill: Drill) -> None:
    for key, at in told:
        if at is not None and (drill.ended_at is None or at < drill.ended_at):
            found.setdefault(key, at)
