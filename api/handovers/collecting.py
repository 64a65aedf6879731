"""What is open when a shift leaves, in all languages: told by what tells it everywhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from api.actions.lifecycle import UNDONE
from api.actions.models import Action
from api.alerts.models import SEVERITIES, Alert
from api.exceptions import presentation as exceptions
from api.handovers.schemas import Content, NoteAction, NoteEnd, NoteSnooze, NoteTask, NoteWindow
from api.incidents.models import Incident
from api.playbooks import presentation as tasks
from api.playbooks import service as playbooks
from api.situation import service as situation
from api.situation.schemas import SHIFT_HOURS, SituationQuery
from api.texts import LANGUAGES
from api.times import NANOSECONDS, iso, parse
from api.windows.models import OPEN, MaintenanceWindow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import Session

    from api.playbooks.models import IncidentTask
    from api.services import Services
    from api.situation.schemas import Situation

SOON_NANOSECONDS: Final = 86_400 * NANOSECONDS
"""What is due, or ends, within this time is told."""

SHIFT_NANOSECONDS: Final = SHIFT_HOURS * 3_600 * NANOSECONDS
"""Maintenance windows that begin within this time are told: the shift that comes has to know of them."""

_AS_THERE: Final = ("standing", "furthest", "counts", "stories", "alerts", "incidents", "load", "changes")
"""What is told as the situation tells it."""

LISTED: Final = 100
"""Tasks, things that end, windows, actions and alerts laid aside that are told of each."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is told besides the situation: one more of each than is listed."""

    due: Sequence[IncidentTask]
    ends: Sequence[NoteEnd]
    windows: Sequence[NoteWindow]
    actions: Sequence[NoteAction]
    snoozed: Sequence[Alert]

    @property
    def limited(self) -> bool:
        """Whether there is more of anything than is listed."""
        return any(len(each) > LISTED for each in (self.due, self.ends, self.windows, self.actions, self.snoozed))


def collected(provided: Services, site: str | None, since: int, moment: int) -> Mapping[str, Any]:
    """What is open at a site, or at all that the caller sees, by language. Raises Problem as the situation does."""
    with provided.database.read() as session:
        kept = _Kept(
            playbooks.due(session, moment + SOON_NANOSECONDS, site, LISTED + 1),
            _ends(session, site, moment),
            _windows(session, site, moment),
            _actions(session, site, moment),
            _snoozed(session, site),
        )
    return {
        language: _content(_situation(provided, site, since, language), kept, language).model_dump(mode="json")
        for language in LANGUAGES
    }


def _situation(provided: Services, site: str | None, since: int, language: str) -> Situation:
    asked: dict[str, Any] = {"since": iso(since)} if site is None else {"since": iso(since), "site": site}
    return situation.situation(provided, SituationQuery.model_validate(asked), language)


def _content(found: Situation, kept: _Kept, language: str) -> Content:
    blind = found.blindness
    return Content.model_validate(
        {
            **{name: getattr(found, name) for name in _AS_THERE},
            "tasks": [NoteTask.model_validate(tasks.task(each, language)) for each in kept.due[:LISTED]],
            "ends": kept.ends[:LISTED],
            "windows": kept.windows[:LISTED],
            "actions": kept.actions[:LISTED],
            "snoozed": [_aside(each, language) for each in kept.snoozed[:LISTED]],
            "blindness": {
                "readable": blind.readable,
                "unheard": [each.model_dump() for each in blind.unheard],
                "silent": blind.silent,
                "gaps": blind.gaps,
                "sensors": [each for each in blind.sensors if each.dropped or each.at is None],
                "unseen": blind.unseen,
            },
            "limited": found.limited or kept.limited,
        }
    )


def _ends(session: Session, site: str | None, moment: int) -> list[NoteEnd]:
    """Exceptions that hold and end soon, and incidents whose time on hold is over soon."""
    until = moment + SOON_NANOSECONDS
    found = [
        (parse(each.end), NoteEnd(kind=each.kind, name=each.name, site=each.site, at=each.end, reason=each.reason, by=each.by))
        for each in exceptions.listed(session)
        if each.end is not None and each.state == "in_force" and site in {None, each.site} and parse(each.end) <= until
    ]
    held = sa.select(Incident).where(Incident.held_until <= until)
    for incident in session.scalars(held if site is None else held.where(Incident.site == site)):
        end = NoteEnd(
            kind="hold", name=str(incident.number), site=incident.site, at=iso(incident.held_until or until),
            reason=incident.held_reason or "–", by=incident.held_by or "–",
        )  # fmt: skip
        found.append((incident.held_until or until, end))
    return [end for _, end in sorted(found, key=lambda each: (each[0], each[1].name))]


def _windows(session: Session, site: str | None, moment: int) -> list[NoteWindow]:
    """Maintenance windows that run or begin within the next shift, with how many alerts each hides."""
    asked = sa.select(MaintenanceWindow).where(
        MaintenanceWindow.state.in_(OPEN), MaintenanceWindow.starts_at <= moment + SHIFT_NANOSECONDS
    )
    if site is not None:
        asked = asked.where(MaintenanceWindow.site == site)
    found = session.scalars(asked.order_by(MaintenanceWindow.ends_at, MaintenanceWindow.number).limit(LISTED + 1)).all()
    numbers = [each.number for each in found]
    hidden = sa.select(Alert.suppressed_by, sa.func.count(Alert.id)).where(Alert.suppressed_by.in_(numbers))
    hides = {row[0]: int(row[1]) for row in session.execute(hidden.group_by(Alert.suppressed_by))}
    return [
        NoteWindow(
            number=each.number, site=each.site, state=each.state, starts_at=iso(each.starts_at), ends_at=iso(each.ends_at),
            permit=each.permit, work=each.work, performed_by=each.performed_by, hides=hides.get(each.number, 0),
        )
        for each in found
    ]  # fmt: skip


def _actions(session: Session, site: str | None, moment: int) -> list[NoteAction]:
    """Actions in the plant that are not done: what has no approval yet, what may be carried out, and what is."""
    # What a session does not see of incidents, it does not see of their actions.
    asked = sa.select(Action, Incident).join(Incident, Incident.number == Action.incident)
    # Of a drill that is over some may stand where they stood.
    asked = asked.where(Action.state.in_(UNDONE), Incident.state != "closed")
    if site is not None:
        asked = asked.where(Incident.site == site)
    named = ("id", "incident", "title", "state", "proposed_by", "security_by", "operations_by", "executed_by")
    return [
        NoteAction.model_validate(
            {
                **{name: getattr(action, name) for name in named},
                "site": incident.site,
                "drill": incident.drill,
                "window_from": iso(action.window_from),
                "window_until": iso(action.window_until),
                "seconds_left": (action.window_until - moment) // NANOSECONDS,
            }
        )
        for action, incident in session.execute(asked.order_by(Action.window_until, Action.id).limit(LISTED + 1))
    ]


def _snoozed(session: Session, site: str | None) -> Sequence[Alert]:
    """Alerts of what is real that somebody laid aside."""
    asked = sa.select(Alert).where(
        Alert.snoozed_until > 0, Alert.triage_state != "closed", Alert.merged_into.is_(None), Alert.drill.is_(None)
    )
    if site is not None:
        asked = asked.where(Alert.site == site)
    return session.scalars(asked.order_by(Alert.snoozed_until, Alert.id).limit(LISTED + 1)).all()


def _aside(alert: Alert, language: str) -> NoteSnooze:
    said: Mapping[str, Any] = alert.snooze or {}
    return NoteSnooze(
        id=alert.id,
        site=alert.site,
        severity=SEVERITIES[alert.severity],
        title=alert.body["texts"][language]["title"],
        until=iso(alert.snoozed_until or 0),
        conditions=said.get("conditions", []),
        by=said.get("by", "–"),
        note=said.get("note", "–"),
    )
