"""What alerts that come in mean for incidents: an open one takes what joins its story, a closed one never takes anything.

Where what a closed incident was about goes on, a new incident opens that says so. One that was closed as no attack opens none:
its alerts are triaged again, like any.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from api.incidents import service, timeline
from api.incidents.models import Incident
from api.times import now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from api.alerts.models import Alert

_log: Final = logging.getLogger(__name__)

GOES_ON: Final = ("true_positive_impact", "true_positive_no_impact", "insufficient_information")
"""What a closed incident must have been for a new one to open where it goes on."""


def follow(session: Session, changed: Sequence[Alert], recurred: Sequence[Alert]) -> None:
    """Look at alerts that are new or have changed (`changed`) and those that were closed and go on (`recurred`).

    Whatever people have declared, no alert is kept out: one that fits nowhere stays by itself.
    """
    joining = _Joining(session)
    for alert in recurred:
        _go_on(joining, alert, alert.triage_incident)
    joining.join()
    stories = {
        str(told["id"]): alert
        for alert in changed
        if alert.triage_incident is None and alert.triage_state != "closed" and (told := alert.body.get("story")) is not None
    }
    if not stories:
        return
    # What was merged away tells where it went. A drill takes nothing of what really happens.
    known = sa.select(Incident).where(Incident.story.in_(list(stories)), Incident.drill.is_(False))
    newest: dict[tuple[str, str], Incident] = {}
    # An open one goes before one that was closed, whichever was declared first.
    for incident in session.scalars(known.order_by((Incident.state != "closed"), Incident.number)):
        newest[incident.site, str(incident.story)] = incident
    for alert in {alert.id: alert for alert in changed}.values():
        told = alert.body.get("story")
        incident = None if told is None else newest.get((alert.site, str(told["id"])))
        if incident is None or alert.triage_incident is not None or alert.triage_state == "closed":
            continue
        if incident.state != "closed":
            joining.add(incident, alert, "story")
        else:
            opened = _go_on(joining, alert, incident.number)
            if opened is not None:
                newest[incident.site, str(incident.story)] = opened
    joining.join()


class _Joining:
    """Alerts that are to be put into open incidents: into each all at once, however many there are."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._alerts: dict[tuple[int, str], tuple[Incident, list[Alert]]] = {}

    def add(self, incident: Incident, alert: Alert, why: str) -> None:
        """Have an alert put into an incident of its site."""
        self._alerts.setdefault((incident.number, why), (incident, []))[1].append(alert)

    def join(self) -> None:
        """Put them in, as many as each incident has room for."""
        for (_, why), (incident, joining) in self._alerts.items():
            room = service.room(self.session, incident.number)
            if len(joining) > room:
                left = ", ".join(alert.id for alert in joining[room:][:10])
                _log.warning(
                    "incident %d takes no more alerts: %d stay by themselves (%s)", incident.number, len(joining) - room, left
                )
            service.add_alerts(self.session, incident, joining[:room], service.SYSTEM, why)
        self._alerts = {}


def _go_on(joining: _Joining, alert: Alert, number: int | None) -> Incident | None:
    """Have an alert of a closed incident put into the one that goes on from it; one is opened where there is none."""
    session = joining.session
    alert.triage_incident = None
    if number is None:
        return None
    closed = _last(session, service.get(session, number))
    if closed.drill != (alert.drill is not None):
        return None
    if closed.state != "closed":
        joining.add(closed, alert, "recurred")
        return closed
    if closed.disposition not in GOES_ON:
        return None
    # Discovered is what is known: a sensor's clock may be wrong, and what it saw may be old.
    moment = now()
    start = service.Start(closed.title, closed.site, moment, min(alert.last_seen, moment), closed.drill)
    opened = service.made(session, service.SYSTEM, start)
    opened.continues, opened.story, opened.category = closed.number, closed.story, closed.category
    detail = {"other": closed.number, "title": closed.title}
    timeline.write(session, opened.number, service.SYSTEM, "continues", detail=detail)
    timeline.write(session, closed.number, service.SYSTEM, "continued", detail={"other": opened.number, "title": opened.title})
    joining.add(opened, alert, "recurred")
    return opened


def _last(session: Session, incident: Incident) -> Incident:
    """The incident that tells an incident now: what it was merged into, then the newest that goes on from it."""
    seen: set[int] = set()
    while incident.number not in seen:
        seen.add(incident.number)
        after = incident.merged_into or session.scalar(
            sa.select(Incident.number).where(Incident.continues == incident.number).order_by(Incident.number.desc()).limit(1)
        )
        if after is None or (incident.state != "closed" and incident.merged_into is None):
            break
        incident = service.get(session, after)
    return incident
