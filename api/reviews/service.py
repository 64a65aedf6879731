"""Writing the review of a closed incident, its lessons, and signing it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from api.incidents import timeline
from api.playbooks import service as playbooks
from api.problems import Problem
from api.reviews.models import IncidentReview
from api.times import now
from api.versions import check_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from api.audit.service import Actor
    from api.incidents.models import Incident
    from api.playbooks.models import IncidentTask
    from api.reviews.schemas import LessonInput, ReviewInput


def reviews(session: Session, number: int) -> Sequence[IncidentReview]:
    """The reviews of an incident, the newest first: one, and another each time that it was opened again after one was signed."""
    mine = sa.select(IncidentReview).where(IncidentReview.incident == number)
    return session.scalars(mine.order_by(IncidentReview.turn.desc())).all()


def etag(found: Sequence[IncidentReview]) -> str:
    """The entity tag of the review of an incident."""
    return f'"{found[0].version if found else 0}"'


def write(session: Session, incident: Incident, given: ReviewInput, actor: Actor, if_match: str | None) -> None:
    """Write what people make of a closed incident.

    Raises Problem `incident_merged`, `review_early`, `review_signed`, `precondition_required`, `precondition_failed`.
    """
    closed_at = _closed_at(incident)
    found = reviews(session, incident.number)
    version = found[0].version if found else 0
    check_version(version, if_match, found[0].changed_by if found else "–")
    _check_unsigned(found, incident)
    if not found or found[0].signed_at is not None:
        turn = found[0].turn + 1 if found else 1
        review = IncidentReview(incident=incident.number, turn=turn, version=version, writers=[])
        session.add(review)
    else:
        review = found[0]
    said = given.model_dump()
    before = {name: getattr(review, name) for name in said}
    for name, value in said.items():
        setattr(review, name, value)
    review.closed_at = closed_at
    _changed(review, actor)
    changed = {name: [before[name], value] for name, value in said.items() if before[name] != value}
    detail = {"fields": ", ".join(changed) or "–", "changes": changed}
    timeline.write(session, incident.number, actor, "review_written", detail=detail)
    session.flush()


def add_lesson(session: Session, incident: Incident, given: LessonInput, actor: Actor) -> IncidentTask:
    """Add a lesson to the review that is being written.

    Raises Problem `incident_merged`, `review_early`, `review_none`, `review_signed`, `tasks_full`.
    """
    _closed_at(incident)
    review = _unsigned(session, incident)
    _changed(review, actor)
    return playbooks.add_lesson(session, incident, given, actor)


def sign(session: Session, incident: Incident, actor: Actor, note: str, if_match: str | None) -> None:
    """Sign a review, as another person than any who wrote in it. Nothing of it is changed from then on.

    Raises Problem `incident_merged`, `review_early`, `review_none`, `review_signed`, `signer_wrote`, `precondition_required`,
    `precondition_failed`.
    """
    _closed_at(incident)
    found = reviews(session, incident.number)
    check_version(found[0].version if found else 0, if_match, found[0].changed_by if found else "–")
    review = _unsigned(session, incident)
    if actor.name in review.writers:
        raise Problem("signer_wrote")
    review.signed_by, review.signed_at = actor.name, now()
    review.version += 1
    detail = {"writers": ", ".join(review.writers), "turn": review.turn}
    timeline.write(session, incident.number, actor, "review_signed", note=note, detail=detail)
    session.flush()


def _changed(review: IncidentReview, actor: Actor) -> None:
    review.version += 1
    review.changed_by, review.changed_at = actor.name, now()
    if actor.name not in review.writers:
        review.writers = [*review.writers, actor.name]


def _closed_at(incident: Incident) -> int:
    """When it was closed. Raises Problem `review_early` where it is open, `incident_merged` where another tells it."""
    if incident.merged_into is not None:
        raise Problem("incident_merged", number=incident.number, into=incident.merged_into)
    if incident.state != "closed" or incident.closed_at is None:
        raise Problem("review_early", number=incident.number)
    return incident.closed_at


def _check_unsigned(found: Sequence[IncidentReview], incident: Incident) -> None:
    if found and found[0].signed_at is not None and found[0].closed_at == incident.closed_at:
        raise Problem("review_signed", number=incident.number, by=found[0].signed_by)


def _unsigned(session: Session, incident: Incident) -> IncidentReview:
    """The review that is being written."""
    found = reviews(session, incident.number)
    _check_unsigned(found, incident)
    if not found or found[0].signed_at is not None or found[0].closed_at != incident.closed_at:
        # One that was written of another closing tells nothing of this one, until somebody has looked at it again.
        raise Problem("review_none", number=incident.number)
    return found[0]
