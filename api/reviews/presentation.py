"""Reviews of incidents as the API shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.playbooks import presentation as playbooks
from api.reviews.schemas import ReviewOutput, SignedReview, Times
from api.times import NANOSECONDS, iso

if TYPE_CHECKING:
    from collections.abc import Sequence

    from api.incidents.models import Incident
    from api.playbooks.models import IncidentTask
    from api.reviews.models import IncidentReview

_SAID = ("went_well", "went_badly", "cause", "participants")


def output(
    incident: Incident, found: Sequence[IncidentReview], lessons: Sequence[IncidentTask], language: str
) -> ReviewOutput:  # fmt: skip
    """The review of an incident: the newest, with those that were signed before."""
    shown = ReviewOutput(
        incident=incident.number, version=0, times=times(incident), lessons=[playbooks.task(each, language) for each in lessons]
    )
    if not found:
        return shown
    newest = found[0]
    said = {name: getattr(newest, name) for name in ("version", "writers", "signed_by", *_SAID)}
    closed, signed = iso(newest.closed_at), None if newest.signed_at is None else iso(newest.signed_at)
    earlier = [_signed(each) for each in found[1:]]
    return shown.model_copy(update={**said, "closed_at": closed, "signed_at": signed, "earlier": earlier})


def times(incident: Incident) -> Times:
    """How long an incident took."""

    def after(moment: int | None) -> float | None:
        return None if moment is None else max(0, moment - incident.discovered_at) / NANOSECONDS

    return Times(
        declared=after(incident.declared_at) or 0.0,
        acknowledged=after(incident.acknowledged_at),
        resolved=after(incident.resolved_at),
        closed=after(incident.closed_at),
    )


def _signed(review: IncidentReview) -> SignedReview:
    said = {name: getattr(review, name) for name in ("signed_by", *_SAID)}
    return SignedReview(**said, closed_at=iso(review.closed_at), signed_at=iso(review.signed_at or 0))
