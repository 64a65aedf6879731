"""Declaring incidents, finding them, and moving them through their states."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.orm import object_session

from api.alerts import service as alerts
from api.alerts.models import Alert
from api.audit import service as audit
from api.audit.service import Actor
from api.database import advance
from api.database.scope import scope_of
from api.incidents import categories, gate, lifecycle, timeline
from api.incidents.models import Incident, IncidentAlert, IncidentEntry
from api.ordering import page
from api.problems import Problem
from api.times import NANOSECONDS, now

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import InstrumentedAttribute, Session

    from api.alerts.models import Disposition
    from api.incidents.lifecycle import Phase
    from api.incidents.schemas import CloseIncidentInput, DeclareInput, IncidentQuery, IncidentUpdate

COUNTER: Final = "incident"
"""Counter that numbers incidents."""

AHEAD_NANOSECONDS: Final = 300 * NANOSECONDS
"""How far a time that a person gives may be ahead of our clock: theirs may be."""

MOST_ALERTS: Final = 20_000
"""Most alerts of one incident."""

CHANGES: Final = (
    "moved", "changed", "held", "resumed", "woken", "reopened", "facts", "graded", "alerts_added", "alerts_removed", "merged",
    "split",
)  # fmt: skip
"""Lines of a timeline that tell of a change of the incident itself, after which it has another version."""

_TAG: Final = re.compile(r'(?:W/)?"(\d{1,18})"')

SYSTEM: Final = Actor(audit.SYSTEM)

Id = TypeVar("Id", str, int)


@dataclass(frozen=True, slots=True)
class Start:
    """What every incident has from the first."""

    title: str
    site: str
    discovered_at: int
    occurred_at: int | None = None
    drill: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """Who takes a step, why, and when; None: now."""

    actor: Actor
    reason: str
    at: int | None = None


SORTS: Final[Mapping[str, InstrumentedAttribute[Any]]] = {
    "declared_at": Incident.declared_at,
    "updated_at": Incident.updated_at,
    "discovered_at": Incident.discovered_at,
    "moved_at": Incident.moved_at,
    "grade": Incident.grade,
}
"""What a list can be sorted by; the number breaks ties."""


def get(session: Session, number: int) -> Incident:
    """One incident. Raises Problem `incident_unknown`."""
    found = session.get(Incident, {"organisation": scope_of(session).organisation, "number": number})
    sites = scope_of(session).sites
    if found is None or (sites is not None and found.site not in sites):
        raise Problem("incident_unknown", number=number)
    return found


def teller(session: Session, incident: Incident) -> Incident:
    """The incident that tells an incident now: the one that it was merged into, and that into another; else itself."""
    while incident.merged_into is not None:
        incident = get(session, incident.merged_into)
    return incident


def find(session: Session, query: IncidentQuery) -> tuple[Sequence[Incident], str | None]:
    """One page of incidents, and the cursor of the next one. Raises Problem `cursor_invalid`."""
    return page(session, sa.select(Incident).where(*_conditions(query)), SORTS, Incident.number, query)


def _conditions(query: IncidentQuery) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    for asked, column in (
        (query.state, Incident.state),
        (query.site, Incident.site),
        (query.lead, Incident.lead),
        (query.category, Incident.category),
    ):
        if asked is not None:
            found.append(asked.on(column))
    if query.grade is not None:
        found.append(query.grade.on(Incident.grade, int))
    if query.drill is not None:
        found.append(Incident.drill.is_(query.drill))
    if query.held is not None:
        found.append(Incident.held_until.is_not(None) if query.held else Incident.held_until.is_(None))
    if query.updated_since is not None:
        found.append(Incident.updated_at >= query.updated_since)
    if query.since is not None:
        found.append(Incident.declared_at >= query.since)
    if query.until is not None:
        found.append(Incident.declared_at < query.until)
    return found


def etag(incident: Incident) -> str:
    """The entity tag of an incident."""
    return f'"{incident.version}"'


def check_precondition(incident: Incident, if_match: str | None) -> None:
    """Whether a change is made on what the incident is now. Raises Problem `precondition_required` or `precondition_failed`."""
    if if_match is None:
        raise Problem("precondition_required")
    tags = [tag.strip() for tag in if_match.split(",")]
    versions = [match[1] for tag in tags if (match := _TAG.fullmatch(tag))]
    if "*" not in tags and str(incident.version) not in versions:
        raise Problem("precondition_failed", by=_changed_by(incident))


def _changed_by(incident: Incident) -> str:
    """Who changed an incident last: each change is a line of its timeline, beside what people and clocks tell there."""
    lines = sa.select(IncidentEntry.actor).where(IncidentEntry.incident == incident.number, IncidentEntry.kind.in_(CHANGES))
    newest = lines.order_by(IncidentEntry.id.desc())
    session = object_session(incident)
    return (session and session.scalar(newest.limit(1))) or incident.declared_by


def alert_ids(session: Session, number: int) -> list[str]:
    """The alerts that belong to an incident now, in the order in which they were added."""
    mine = sa.select(IncidentAlert.alert_id).where(IncidentAlert.incident == number, IncidentAlert.removed_at.is_(None))
    return list(session.scalars(mine.order_by(IncidentAlert.added_at, IncidentAlert.alert_id)))


def declare(session: Session, actor: Actor, given: DeclareInput, site: str) -> Incident:
    """Declare an incident, from alerts or from what somebody reported.

    One that is declared from alerts of a drill is a drill. Raises Problem `incident_times`, `category_unknown`, `alert_unknown`,
    `alert_state`, `alert_elsewhere`, `drill_mixed`.
    """
    moment = now()
    chosen = [alerts.get(session, alert_id) for alert_id in dict.fromkeys(given.alerts)]
    story = None if given.story is None else story_of(session, given.story, site)
    chosen += [] if story is None else [each for each in free_of(session, story) if each not in chosen]
    first = min((each.first_seen for each in chosen), default=None)
    discovered = given.discovered_at if given.discovered_at is not None else moment
    occurred = given.occurred_at if given.occurred_at is not None else (None if first is None else min(first, discovered))
    _check_times(occurred, discovered, moment)
    _check_category(given.category)
    drill = given.drill or any(each.drill is not None for each in chosen)
    incident = made(session, actor, Start(given.title, site, discovered, occurred, drill))
    incident.summary, incident.category, incident.lead = given.summary, given.category, given.lead
    incident.reported_by, incident.story = given.reported_by, None if story is None else str(story["id"])
    incident.origin = "alerts" if chosen else "report"
    told = {"title": given.title, "drill": drill, "reported_by": given.reported_by or "–", "discovered_at": discovered}
    timeline.write(session, incident.number, actor, "declared", note=given.summary or None, detail=told)
    add_alerts(session, incident, chosen, actor, given.title)
    session.flush()
    return incident


def made(session: Session, actor: Actor, start: Start) -> Incident:
    """A new incident, declared now, that says no more than this."""
    moment = now()
    incident = Incident(
        number=advance(session, COUNTER), version=1, title=start.title, summary="", state="declared", drill=start.drill,
        origin="alerts", declared_by=actor.name, facts={}, grades={}, site=start.site, occurred_at=start.occurred_at,
        discovered_at=start.discovered_at,
        declared_at=moment, moved_at=moment,
    )  # fmt: skip
    session.add(incident)
    session.flush()
    return incident


def story_of(session: Session, alert_id: str, site: str) -> Mapping[str, Any]:
    """The story of a site that an alert is part of. Raises Problem `story_unknown`."""
    teller = session.scalar(sa.select(Alert).where(Alert.id == alert_id, Alert.site == site))
    told = None if teller is None else teller.body.get("story")
    if not told or not told["alerts"]:
        raise Problem("story_unknown", id=alert_id)
    return told


def free_of(session: Session, story: Mapping[str, Any]) -> list[Alert]:
    """The alerts of a story that are neither closed nor in an incident."""
    ids = list(story["alerts"])
    found = session.scalars(
        sa.select(Alert).where(Alert.id.in_(ids[:MOST_ALERTS]), Alert.triage_state != "closed", Alert.triage_incident.is_(None))
    )
    return sorted(found, key=lambda each: (each.first_seen, each.id))


def add_alerts(session: Session, incident: Incident, chosen: Sequence[Alert], actor: Actor, note: str) -> None:
    """Put alerts into an open incident: they are escalated. Those that it has already are passed over.

    Raises Problem `incident_closed`, `incident_full`, `alert_state` for a closed alert, `alert_elsewhere` for one of another
    incident, `alert_other_site`, `drill_mixed`.
    """
    _check_open(incident)
    mine = set[str]()
    for some in in_parts([alert.id for alert in chosen]):
        here = sa.select(IncidentAlert.alert_id).where(*_linked(incident.number), IncidentAlert.alert_id.in_(some))
        mine |= set(session.scalars(here))
    # One that it had when it was closed, and that has gone on since, comes back as new.
    new = [alert for alert in chosen if alert.id not in mine or alert.triage_incident != incident.number]
    if len(new) > room(session, incident.number):
        raise Problem("incident_full", number=incident.number, most=MOST_ALERTS)
    for alert in new:
        if alert.site != incident.site:
            raise Problem("alert_other_site", id=alert.id, number=incident.number)
        if (alert.drill is not None) != incident.drill:
            raise Problem("drill_mixed")
        if alert.triage_incident is not None and alert.triage_incident != incident.number:
            raise Problem("alert_elsewhere", id=alert.id, number=alert.triage_incident)
        alerts.escalate(session, alert, actor, incident.number, note)
        _link(session, incident.number, alert.id, actor)
    if new:
        shown = {"count": len(new), "alerts": [alert.id for alert in new[:100]]}
        timeline.write(session, incident.number, actor, "alerts_added", note=note, detail=shown)
        incident.version += 1


def room(session: Session, number: int) -> int:
    """How many more alerts an incident takes."""
    return MOST_ALERTS - (session.scalar(sa.select(sa.func.count(IncidentAlert.alert_id)).where(*_linked(number))) or 0)


def _linked(number: int) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    """What is so of the alerts that belong to an incident now."""
    return IncidentAlert.incident == number, IncidentAlert.removed_at.is_(None)


def remove_alerts(session: Session, incident: Incident, ids: Sequence[str], actor: Actor, note: str) -> None:
    """Take alerts out of an open incident: they are triaged again. Raises Problem `incident_closed`, `alert_not_in_incident`."""
    _check_open(incident)
    for alert_id in dict.fromkeys(ids):
        unlink(session, incident.number, alert_id)
        alerts.release(session, alerts.get(session, alert_id), actor, note)
    shown = {"count": len(dict.fromkeys(ids)), "alerts": list(dict.fromkeys(ids))[:100]}
    timeline.write(session, incident.number, actor, "alerts_removed", note=note, detail=shown)
    incident.version += 1


def _link(session: Session, number: int, alert_id: str, actor: Actor) -> None:
    key = {"organisation": scope_of(session).organisation, "incident": number, "alert_id": alert_id}
    link = session.get(IncidentAlert, key)
    if link is None:
        link = IncidentAlert(incident=number, alert_id=alert_id)
        session.add(link)
    link.added_at, link.added_by, link.removed_at = now(), actor.name, None
    session.flush()


def relink(session: Session, before: int, after: int, alert: Alert, step: Step) -> None:
    """Move an alert from one incident to another; its state stays. One that has gone elsewhere since stays there."""
    unlink(session, before, alert.id)
    if alert.triage_incident == before:
        _link(session, after, alert.id, step.actor)
        alerts.hand_over(session, alert, step.actor, after, step.reason)


def unlink(session: Session, number: int, alert_id: str) -> None:
    """The alert belongs to the incident no more. Raises Problem `alert_not_in_incident`."""
    key = {"organisation": scope_of(session).organisation, "incident": number, "alert_id": alert_id}
    link = session.get(IncidentAlert, key)
    if link is None or link.removed_at is not None:
        raise Problem("alert_not_in_incident", id=alert_id, number=number)
    link.removed_at = now()


def update(session: Session, incident: Incident, given: IncidentUpdate, actor: Actor) -> None:
    """Say something else of an incident; what changes is told, old and new. Raises Problem as `declare`, `incident_closed`."""
    _check_open(incident)
    _check_times(given.occurred_at, given.discovered_at, now())
    _check_category(given.category)
    changed = {
        name: [getattr(incident, name), value]
        for name, value in given.model_dump(exclude={"reason"}).items()
        if getattr(incident, name) != value
    }
    for name, (_, value) in changed.items():
        setattr(incident, name, value)
    if changed:
        timeline.write(
            session, incident.number, actor, "changed", note=given.reason,
            detail={"fields": ", ".join(changed), "changes": changed},
        )  # fmt: skip
        incident.version += 1


def move(session: Session, incident: Incident, to: Phase, step: Step) -> None:
    """Move an incident to another state.

    Raises Problem `incident_closed`, `incident_held`, `incident_state`, `incident_times`.
    """
    _check_open(incident)
    _check_not_held(incident)
    before = phase_of(incident)
    if not lifecycle.may_move(before, to):
        raise Problem("incident_state", number=incident.number, state=before, action=to)
    _enter(session, incident, to, step)


def hold(session: Session, incident: Incident, until: int, actor: Actor, reason: str) -> None:
    """Lay an incident aside until a time, at which it wakes by itself. Raises Problem `incident_closed`, `incident_times`."""
    _check_open(incident)
    if until <= now():
        raise Problem("incident_times")
    incident.held_until, incident.held_by, incident.held_reason = until, actor.name, reason
    timeline.write(session, incident.number, actor, "held", note=reason, detail={"until": until})
    incident.version += 1


def resume(session: Session, incident: Incident, actor: Actor, reason: str) -> None:
    """Take up an incident that was on hold. Raises Problem `incident_not_held`."""
    if incident.held_until is None:
        raise Problem("incident_not_held", number=incident.number)
    _release(session, incident, actor, "resumed", reason)


def due(session: Session, moment: int) -> Sequence[int]:
    """The incidents whose time on hold is over, by number."""
    return session.scalars(sa.select(Incident.number).where(Incident.held_until <= moment).order_by(Incident.held_until)).all()


def wake(session: Session, number: int, moment: int) -> int:
    """Take up an incident whose time on hold is over; returns 1 if it was taken up."""
    incident = get(session, number)
    if incident.held_until is None or incident.held_until > moment:
        return 0
    _release(session, incident, SYSTEM, "woken", None)
    return 1


def close(
    session: Session, incident: Incident, actor: Actor, given: CloseIncidentInput, blockers: Sequence[dict[str, Any]] = ()
) -> None:
    """Close an incident and its alerts with it.

    What stands against it (`blockers`) is overridden only where the person says why; that is told.
    Raises Problem `incident_closed`, `incident_held`, `incident_state`, `incident_gate`.
    """
    _check_open(incident)
    _check_not_held(incident)
    if not lifecycle.may_close(phase_of(incident)):
        raise Problem("incident_state", number=incident.number, state=incident.state, action="closed")
    if blockers and given.override is None:
        raise Problem("incident_gate", number=incident.number, open=gate.in_each(blockers))
    if blockers:
        timeline.write(session, incident.number, actor, "gate_overridden", note=given.override, detail={"open": list(blockers)})
    _close(session, incident, actor, given)


def close_over(session: Session, incident: Incident, actor: Actor, given: CloseIncidentInput) -> None:
    """Close the open incident of a drill that is over, wherever it stands and whatever is open of it, and its alerts with it."""
    incident.held_until = incident.held_by = incident.held_reason = None
    _close(session, incident, actor, given)


def _close(session: Session, incident: Incident, actor: Actor, given: CloseIncidentInput) -> None:
    for some in in_parts(alert_ids(session, incident.number)):
        for alert in session.scalars(sa.select(Alert).where(Alert.id.in_(some), Alert.triage_incident == incident.number)):
            alerts.close_with_incident(session, alert, actor, given)
    incident.disposition, incident.closed_at = given.disposition, now()
    _enter(session, incident, "closed", Step(actor, given.reason))


def reopen(session: Session, incident: Incident, actor: Actor, reason: str) -> None:
    """Open a closed incident again; its alerts stay as they are. Raises Problem `incident_state`, `incident_merged`."""
    if incident.merged_into is not None:
        raise Problem("incident_merged", number=incident.number, into=incident.merged_into)
    if incident.state != "closed":
        raise Problem("incident_state", number=incident.number, state=incident.state, action="reopen")
    for some in in_parts(alert_ids(session, incident.number)):
        elsewhere = sa.or_(Alert.triage_incident.is_(None), Alert.triage_incident != incident.number)
        for alert_id in session.scalars(sa.select(Alert.id).where(Alert.id.in_(some), elsewhere)):
            # It has gone on since, by itself or in another incident, which is about it now.
            unlink(session, incident.number, alert_id)
    incident.closed_at = incident.resolved_at = incident.disposition = None
    incident.state, incident.moved_at = lifecycle.REOPENED, now()
    timeline.write(session, incident.number, actor, "reopened", note=reason, detail={"after": lifecycle.REOPENED})
    incident.version += 1


def close_merged(session: Session, incident: Incident, into: int, actor: Actor, reason: str) -> None:
    """Close an incident that another one tells from now on."""
    incident.merged_into, incident.disposition, incident.closed_at = into, cast("Disposition", "duplicate"), now()
    incident.held_until = incident.held_by = incident.held_reason = None
    _enter(session, incident, "closed", Step(actor, reason))


def phase_of(incident: Incident) -> Phase:
    """Its state, as a state."""
    return cast("Phase", incident.state)


def check_past(moment: int) -> None:
    """Raises Problem `incident_times` for a time that is still to come."""
    _check_times(None, moment, now())


def check_open(incident: Incident) -> None:
    """Raises Problem `incident_closed` where it is not open."""
    _check_open(incident)


def _enter(session: Session, incident: Incident, to: Phase, step: Step) -> None:
    moment = now() if step.at is None else step.at
    if moment < incident.moved_at and step.at is not None:
        raise Problem("incident_times")
    _check_times(None, moment, now())
    before, incident.state, incident.moved_at = incident.state, to, moment
    if incident.acknowledged_at is None:
        incident.acknowledged_at = moment
    if to in {"monitoring", "closed"}:
        incident.resolved_at = incident.resolved_at or moment
    else:
        incident.resolved_at = None
    detail = {"before": before, "after": to}
    timeline.write(session, incident.number, step.actor, "moved", at=step.at, note=step.reason, detail=detail)
    incident.version += 1


def _release(session: Session, incident: Incident, actor: Actor, kind: str, reason: str | None) -> None:
    timeline.write(session, incident.number, actor, kind, note=reason, detail={"until": incident.held_until})
    incident.held_until = incident.held_by = incident.held_reason = None
    incident.version += 1


def _check_open(incident: Incident) -> None:
    if incident.merged_into is not None:
        raise Problem("incident_merged", number=incident.number, into=incident.merged_into)
    if incident.state == "closed":
        raise Problem("incident_closed", number=incident.number)


def _check_not_held(incident: Incident) -> None:
    if incident.held_until is not None:
        raise Problem("incident_held", number=incident.number)


def _check_times(occurred: int | None, discovered: int, moment: int) -> None:
    if discovered > moment + AHEAD_NANOSECONDS or (occurred is not None and occurred > discovered):
        raise Problem("incident_times")


def _check_category(category: str | None) -> None:
    if category is not None and not categories.known(category):
        raise Problem("category_unknown", category=category)


def in_parts(ids: Sequence[Id]) -> list[Sequence[Id]]:
    """The ids, as many at a time as a statement can ask for."""
    return [ids[start : start + 1_000] for start in range(0, len(ids), 1_000)]
