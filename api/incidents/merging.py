"""Two incidents that are one, and one that is two: no line of any timeline is lost or changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from api.alerts.models import Alert
from api.custody import service as custody
from api.incidents import grades, service, timeline
from api.problems import Problem

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from api.audit.service import Actor
    from api.incidents.models import Incident
    from api.incidents.schemas import SplitInput


def merge(session: Session, incident: Incident, other: Incident, actor: Actor, reason: str) -> None:
    """Let `incident` tell `other` too: its alerts move, its lines are read with it, and it is closed as a duplicate.

    The earlier discovery and the earlier occurrence hold: a legal clock never starts later by a merge. The more serious grade
    holds, and of facts that differ the one that weighs more.

    Raises Problem `incident_closed`, `incident_merged`, `merge_unfit`.
    """
    service.check_open(incident)
    service.check_open(other)
    if other.number == incident.number or other.drill != incident.drill or other.site != incident.site:
        raise Problem("merge_unfit", number=incident.number, other=other.number)
    for alert_id in service.alert_ids(session, other.number):
        alert = session.scalar(sa.select(Alert).where(Alert.id == alert_id))
        if alert is not None:
            service.relink(session, other.number, incident.number, alert, service.Step(actor, reason))
    before = {
        "discovered_at": incident.discovered_at, "occurred_at": incident.occurred_at, "facts": incident.facts,
        "grades": incident.grades, "other_facts": other.facts,
    }  # fmt: skip
    incident.discovered_at = min(incident.discovered_at, other.discovered_at)
    occurred = [time for time in (incident.occurred_at, other.occurred_at) if time is not None]
    incident.occurred_at = min(occurred) if occurred else None
    grades.take_over(session, incident, other, actor, reason)
    incident.story = incident.story or other.story
    detail = {"other": other.number, "title": other.title, "before": before}
    timeline.write(session, incident.number, actor, "merged", note=reason, detail=detail)
    incident.version += 1
    custody.move(session, other.number, incident.number, actor, reason)
    service.close_merged(session, other, incident.number, actor, reason)


def split(session: Session, incident: Incident, given: SplitInput, actor: Actor) -> Incident:
    """Make a new incident of some alerts and lines of an open one. The lines are told in both.

    Raises Problem `incident_closed`, `alert_not_in_incident`, `split_unfit` where a line is not of this incident.
    """
    service.check_open(incident)
    lines = timeline.chosen(session, incident.number, given.entries)
    if len(lines) != len(set(given.entries)):
        raise Problem("split_unfit", number=incident.number)
    new = service.made(
        session,
        actor,
        service.Start(given.title, incident.site, incident.discovered_at, incident.occurred_at, incident.drill),
    )
    new.split_from, new.origin = incident.number, "alerts" if given.alerts else "report"
    for line in lines:
        timeline.copy(session, line, new.number)
    for alert_id in dict.fromkeys(given.alerts):
        alert = session.scalar(sa.select(Alert).where(Alert.id == alert_id))
        if alert is None:
            raise Problem("alert_not_in_incident", id=alert_id, number=incident.number)
        service.relink(session, incident.number, new.number, alert, service.Step(actor, given.reason))
    told = {"other": new.number, "title": new.title, "count": len(set(given.alerts)), "alerts": given.alerts[:100]}
    timeline.write(session, incident.number, actor, "split", note=given.reason, detail=told)
    timeline.write(
        session, new.number, actor, "split_off", note=given.reason, detail={"other": incident.number, "title": incident.title}
    )
    incident.version += 1
    session.flush()
    return new
