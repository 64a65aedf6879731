"""Grades that people decide, on facts that people enter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from api.incidents import grading, timeline
from api.incidents.models import IncidentGrade
from api.incidents.service import check_open
from api.problems import Problem
from api.times import now

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import Session

    from api.audit.service import Actor
    from api.incidents.grading import Fact, Proposal
    from api.incidents.models import Incident
    from api.incidents.schemas import GradeInput


def state_facts(session: Session, incident: Incident, facts: Mapping[str, Fact], actor: Actor, reason: str) -> None:
    """Say what is known for grading. Raises Problem `facts_invalid`, `incident_closed`."""
    check_open(incident)
    wrong = grading.check(facts)
    if wrong is not None:
        raise Problem("facts_invalid", metric=wrong)
    before, incident.facts = incident.facts, dict(facts)
    changed = sorted(key for key in {*before, *facts} if before.get(key) != facts.get(key))
    if changed:
        detail = {"fields": ", ".join(changed), "before": before, "after": dict(facts)}
        timeline.write(session, incident.number, actor, "facts", note=reason, detail=detail)
        incident.version += 1


def proposals(incident: Incident) -> list[Proposal]:
    """What each scheme proposes for the facts of an incident."""
    return [grading.propose(scheme, incident.facts) for scheme in grading.grading().schemes]


def decide(session: Session, incident: Incident, given: GradeInput, actor: Actor) -> None:
    """Decide the grade of an incident by a scheme, again where it was decided before.

    Raises Problem `scheme_unknown`, `incident_closed`.
    """
    check_open(incident)
    known = grading.grading()
    try:
        scheme = known.scheme(given.scheme)
    except KeyError:
        raise Problem("scheme_unknown", scheme=given.scheme) from None
    proposed = grading.propose(scheme, incident.facts).level
    before = incident.grades.get(scheme.key)
    session.add(
        IncidentGrade(
            incident=incident.number, at=now(), by=actor.name, scheme=scheme.key, proposed=proposed, decided=given.level,
            reason=given.reason, facts=dict(incident.facts), schemes_version=known.version,
        )
    )  # fmt: skip
    incident.grades = {**incident.grades, scheme.key: given.level}
    incident.grade = min(incident.grades.values())
    detail = {"scheme": scheme.key, "before": before or "–", "after": given.level, "proposed": proposed or "–"}
    timeline.write(session, incident.number, actor, "graded", note=given.reason, detail=detail)
    incident.version += 1


def history(session: Session, number: int) -> Sequence[IncidentGrade]:
    """The decisions about the grade of an incident, oldest first."""
    return session.scalars(sa.select(IncidentGrade).where(IncidentGrade.incident == number).order_by(IncidentGrade.id)).all()
