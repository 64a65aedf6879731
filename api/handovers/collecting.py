"""What is open when a shift leaves, in all languages: told by what tells it everywhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from api.exceptions import presentation as exceptions
from api.handovers.schemas import Content, NoteEnd, NoteTask
from api.incidents.models import Incident
from api.playbooks import presentation as tasks
from api.playbooks import service as playbooks
from api.situation import service as situation
from api.situation.schemas import SituationQuery
from api.texts import LANGUAGES
from api.times import NANOSECONDS, iso, parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import Session

    from api.playbooks.models import IncidentTask
    from api.services import Services
    from api.situation.schemas import Situation

SOON_NANOSECONDS: Final = 86_400 * NANOSECONDS
"""What is due, or ends, within this time is told."""

_AS_THERE: Final = ("standing", "furthest", "counts", "stories", "alerts", "incidents", "load", "changes")
"""What is told as the situation tells it."""

LISTED: Final = 100
"""Tasks, and things that end, that are told."""


def collected(provided: Services, site: str | None, since: int, moment: int) -> Mapping[str, Any]:
    """What is open at a site, or at all that the caller sees, by language. Raises Problem as the situation does."""
    with provided.database.read() as session:
        due = playbooks.due(session, moment + SOON_NANOSECONDS, site, LISTED + 1)
        ends = _ends(session, site, moment)
    return {
        language: _content(_situation(provided, site, since, language), due, ends, language).model_dump(mode="json")
        for language in LANGUAGES
    }


def _situation(provided: Services, site: str | None, since: int, language: str) -> Situation:
    asked: dict[str, Any] = {"since": iso(since)} if site is None else {"since": iso(since), "site": site}
    return situation.situation(provided, SituationQuery.model_validate(asked), language)


def _content(found: Situation, due: Sequence[IncidentTask], ends: Sequence[NoteEnd], language: str) -> Content:
    blind = found.blindness
    return Content.model_validate(
        {
            **{name: getattr(found, name) for name in _AS_THERE},
            "tasks": [NoteTask.model_validate(tasks.task(each, language)) for each in due[:LISTED]],
            "ends": ends[:LISTED],
            "blindness": {
                "readable": blind.readable,
                "silent": blind.silent,
                "gaps": blind.gaps,
                "sensors": [each for each in blind.sensors if each.dropped or each.at is None],
                "unseen": blind.unseen,
            },
            "limited": found.limited or len(due) > LISTED or len(ends) > LISTED,
        }
    )


def _ends(session: Session, site: str | None, moment: int) -> list[NoteEnd]:
    """Exceptions and windows that hold and end soon, and incidents whose time on hold is over soon."""
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
