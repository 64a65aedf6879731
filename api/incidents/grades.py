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


def take_over(session: Session, incident: Incident, other: Incident, actor: Actor, reason: str) -> None:
    """Let an incident that another is merged into have the more serious of both in each scheme, and of what is known.

    What the law asks for on the other's account goes on to be asked.
    """
    # Of two that differ the one that weighs more: yes, or the larger number. Texts stay.
    known: dict[str, Fact] = {**other.facts, **incident.facts}
    for key in other.facts.keys() & incident.facts.keys():
        one, two = other.facts[key], incident.facts[key]
        if not isinstance(one, str) and not isinstance(two, str):
            known[key] = max(one, two)
    incident.facts = known
    scheme_version = grading.grading().version
    for scheme, level in other.grades.items():
        if level >= incident.grades.get(scheme, level + 1):
            continue
        session.add(
            IncidentGrade(
                incident=incident.number, at=now(), by=actor.name, scheme=scheme,
                proposed=grading.propose(grading.grading().scheme(scheme), known).level, decided=level, reason=reason,
                facts=dict(known), schemes_version=scheme_version,
            )
        )  # fmt: skip
        incident.grades = {**incident.grades, scheme: level}
    incident.grade = min(incident.grades.values(), default=None)


def history(session: Session, number: int) -> Sequence[IncidentGrade]:
    """The decisions about the grade of an incident, oldest first."""
    return session.scalars(sa.select(IncidentGrade).where(IncidentGrade.incident == number).order_by(IncidentGrade.id)).all()
