"""`/api/incidents/{number}/stix`, `/api/stories/{alert_id}/stix`: bundles to be given to others. Nothing is sent from here."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request

from api.openapi import problems
from api.security.access import Caller, Provided, needs
from api.services import Services
from api.sharing import service
from api.sharing.schemas import ShareInput, StixBundle
from api.texts import language_of

router = APIRouter(prefix="/api", tags=["sharing"])

Sharer = Annotated[Caller, needs("share.export")]
Number = Annotated[int, Path(ge=1, le=2**53, examples=[17])]
AlertId = Annotated[
    str, Path(min_length=1, max_length=64, examples=["9c1f0e6a52d14f0b"], description="The story's id: that of its first alert.")
]

_DECISION = ("signed_out", "cross_site", "query_too_long")


@router.post("/incidents/{number}/stix", responses=problems(*_DECISION, "drill_stays", "incident_unknown"))
def share_incident(number: Number, body: ShareInput, caller: Sharer, request: Request, provided: Provided) -> StixBundle:
    """Make a STIX 2.1 bundle of an incident, with what is chosen masked. That it was made is told in the timeline.

    A drill stays where it is.
    """
    language = language_of(request)
    with provided.database.read() as session:
        prepared = service.incident(session, number, body, language, _sensors(provided))
    made = prepared.made(body, language)
    with provided.database.write() as session:
        service.tell_incident(session, number, body, made, caller.actor)
    provided.hub.notify()
    return StixBundle.model_validate(made)


@router.post("/stories/{alert_id}/stix", responses=problems(*_DECISION, "story_of_drill", "story_unknown"))
def share_story(alert_id: AlertId, body: ShareInput, caller: Sharer, request: Request, provided: Provided) -> StixBundle:
    """Make a STIX 2.1 bundle of a story, with what is chosen masked. That it was made is on record."""
    language = language_of(request)
    with provided.database.read() as session:
        prepared = service.story(session, alert_id, body, language, _sensors(provided))
    made = prepared.made(body, language)
    with provided.database.write() as session:
        service.tell_story(session, alert_id, body, made, caller.actor)
    return StixBundle.model_validate(made)


def _sensors(provided: Services) -> list[str]:
    """What the sensors are called that tell of themselves."""
    return [each.report.sensor for each in provided.reports.all()]
