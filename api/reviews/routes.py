"""`/api/incidents/{number}/review`: what people make of a closed incident, its lessons, and who signed it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Header, Path, Request, Response

from api.incidents import service as incidents
from api.openapi import problems
from api.playbooks import presentation as tasks
from api.playbooks import service as playbooks
from api.playbooks.schemas import TaskOutput
from api.reviews import presentation, service
from api.reviews.schemas import LessonInput, ReviewInput, ReviewOutput, SignInput
from api.security.access import Caller, Provided, needs
from api.texts import language_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

router = APIRouter(prefix="/api/incidents/{number}/review", tags=["reviews"])

Reader = Annotated[Caller, needs("incident.read")]
Worker = Annotated[Caller, needs("incident.work")]
Lead = Annotated[Caller, needs("incident.move")]
Number = Annotated[int, Path(ge=1, le=2**53, examples=[17])]
IfMatch = Annotated[
    str | None,
    Header(
        max_length=1024,
        examples=['"2"'],
        description='ETag of the review as the caller saw it, "0" where there was none; without it 428, else 412.',
    ),
]

_CHANGE = ("signed_out", "cross_site", "query_too_long", "incident_unknown", "incident_merged", "review_early", "review_signed")
_MATCHED = (*_CHANGE, "precondition_failed", "precondition_required")


@router.get("", responses=problems("signed_out", "incident_unknown"))
def review(number: Number, caller: Reader, request: Request, response: Response, provided: Provided) -> ReviewOutput:
    """The review of an incident, empty where nobody has written in it. `If-Match` of a change must bring its ETag."""
    del caller
    with provided.database.read() as session:
        return _shown(session, number, request, response)


@router.put("", responses=problems(*_MATCHED))
def write(
    number: Number, body: ReviewInput, caller: Worker, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> ReviewOutput:  # fmt: skip
    """Write what went well, what did not, and what it came from. Possible once the incident is closed, until it is signed."""
    with provided.database.write() as session:
        service.write(session, incidents.get(session, number), body, caller.actor, if_match)
        shown = _shown(session, number, request, response)
    provided.hub.notify()
    return shown


@router.post("/lessons", status_code=201, responses=problems(*_CHANGE, "review_none", "tasks_full", "assignee_unfit"))
def add_lesson(
    number: Number, body: LessonInput, caller: Worker, request: Request, response: Response, provided: Provided
) -> TaskOutput:
    """Add a lesson: a task with an owner and a time that goes on when the incident is closed and its review signed."""
    with provided.database.write() as session:
        made = service.add_lesson(session, incidents.get(session, number), body, caller.actor)
        shown = tasks.task(made, language_of(request))
    provided.hub.notify()
    response.headers["ETag"] = playbooks.task_etag(made)
    response.headers["Location"] = f"/api/tasks/{made.id}"
    return shown


@router.post("/sign", responses=problems(*_MATCHED, "review_none", "signer_wrote"))
def sign(
    number: Number, body: SignInput, caller: Lead, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> ReviewOutput:  # fmt: skip
    """Sign a review, as another person than any who wrote in it. Nothing of it is changed from then on; its lessons go on."""
    with provided.database.write() as session:
        service.sign(session, incidents.get(session, number), caller.actor, body.note, if_match)
        shown = _shown(session, number, request, response)
    provided.hub.notify()
    return shown


def _shown(session: Session, number: int, request: Request, response: Response) -> ReviewOutput:
    incident = incidents.get(session, number)
    found = service.reviews(session, number)
    response.headers["ETag"] = service.etag(found)
    return presentation.output(incident, found, playbooks.lessons(session, number), language_of(request))
