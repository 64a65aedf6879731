"""How what was told stands now, whether somebody has taken it on, and when it is told again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import sqlalchemy as sa

from api.alerts.models import Alert
from api.incidents.models import Incident
from api.notifications import joining
from api.obligations.models import UNDONE, Obligation
from api.times import NANOSECONDS

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from api.notifications.models import Notice
    from api.notifications.schemas import Escalate, Repeat, RuleContent

Standing = Literal["open", "looked_after", "hidden", "over"]
"""open: nobody has taken it on. looked_after: what it joined has somebody, who may not have seen it: it is told, and not again.
hidden: laid aside, or by a window. over: somebody has taken it on, or there is nothing to tell any more."""

RAISED: Final = "raised"
"""Occasion of an alert that came up."""

JOINED: Final = "joined"
"""What occasions of alerts begin with that an open incident took by itself."""

DECLARED: Final = "declared"
"""Occasion of an incident that was declared."""

WITHOUT_ANYBODY: Final = (RAISED, JOINED, DECLARED)
"""What occasions begin with of what has nobody yet."""

HIDDEN_SECONDS: Final = 300
"""After how long is looked again whether what is hidden has come back."""

MINUTE: Final = 60 * NANOSECONDS


def of(session: Session, notice: Notice) -> Standing:
    """How what a notice is about stands now."""
    match notice.kind:
        case "alert":
            return _of_alert(session, notice)
        case "incident":
            return _of_incident(session, notice)
        case _:
            report = session.scalar(sa.select(Obligation).where(Obligation.id == int(notice.subject)))
            return "over" if report is None or report.state not in UNDONE else "open"


def _of_alert(session: Session, notice: Notice) -> Standing:
    alert = session.scalar(sa.select(Alert).where(Alert.id == notice.subject))
    # What another alert tells, or an exception hides, is told otherwise, or not at all.
    if alert is None or any(each is not None for each in (alert.part_of, alert.merged_into, alert.exception)):
        return "over"
    if alert.snoozed_until is not None or alert.suppressed_by is not None:
        return "hidden"
    if alert.triage_state == "escalated":
        return _of_joined(session, alert)
    # One that was closed and goes on is triaged already.
    open_states = ("new",) if notice.occasion == RAISED else ("new", "triaging")
    return "open" if alert.triage_state in open_states else "over"


def _of_joined(session: Session, alert: Alert) -> Standing:
    """How an alert of an incident stands: nobody has it where the incident took it by itself and has nobody either."""
    joined = joining.by_itself(session, [alert.id]).get(alert.id)
    incident = session.scalar(sa.select(Incident).where(Incident.number == alert.triage_incident))
    if joined is None or incident is None or incident.drill or incident.state == "closed":
        return "over"
    if incident.acknowledged_at is None:
        return "open"
    return "looked_after" if incident.moved_at <= joined.at else "over"


def _of_incident(session: Session, notice: Notice) -> Standing:
    incident = session.scalar(sa.select(Incident).where(Incident.number == int(notice.subject)))
    if incident is None or incident.drill or incident.state == "closed":
        return "over"
    return "over" if notice.occasion == DECLARED and incident.acknowledged_at is not None else "open"


def escalates_at(began_at: int, escalate: Escalate) -> int:
    """When it is told by further channels."""
    return began_at + escalate.minutes * MINUTE


def repeats_at(told_at: int, repeat: Repeat) -> int:
    """When it is told the next time."""
    return told_at + repeat.minutes * MINUTE


def next_look(notice: Notice, said: RuleContent) -> int | None:
    """When a notice is looked at next; None where it is told no more."""
    if notice.kind != "obligation" and notice.occasion.partition("-")[0] not in WITHOUT_ANYBODY:
        return None  # it has somebody already
    looks: list[int] = []
    if said.escalate is not None and not notice.escalated:
        looks.append(escalates_at(notice.began_at, said.escalate))
    if said.repeat is not None and said.repeat.goes_on(notice.repeats):
        looks.append(repeats_at(notice.told_at, said.repeat))
    return min(looks, default=None)
