"""`/api/playbooks`: what to do in which case, in and out as CACAO 2.0; and the tasks of incidents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Header, Path, Query, Request, Response

from api.incidents import service as incidents
from api.openapi import problems
from api.playbooks import cacao, presentation, service
from api.playbooks.schemas import (
    AssignInput,
    BeginInput,
    CacaoPlaybook,
    ImportInput,
    PlaybookItem,
    PlaybookOutput,
    ProposedPlaybook,
    TaskInput,
    TaskMove,
    TaskOutput,
    TaskPage,
    TaskQuery,
)
from api.security.access import Caller, Provided, needs
from api.texts import language_of
from api.users import assignees as people
from api.versions import check_version

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from api.incidents.models import Incident
    from api.playbooks.models import IncidentTask
    from api.services import Services

router = APIRouter(prefix="/api", tags=["playbooks"])

Reader = Annotated[Caller, needs("incident.read")]
Worker = Annotated[Caller, needs("incident.work")]
Writer = Annotated[Caller, needs("playbook.write")]
PlaybookKey = Annotated[str, Path(min_length=1, max_length=64, examples=["unauthorised_write"])]
Identity = Annotated[int, Path(ge=1, le=2**53, examples=[5])]
Number = Annotated[int, Path(ge=1, le=2**53, examples=[17])]
IfMatch = Annotated[
    str | None,
    Header(
        max_length=1024, examples=['"1"'], description="ETag of what is changed as the caller saw it; without it 428, else 412."
    ),
]

_DECISION = ("signed_out", "cross_site", "query_too_long")
_OPEN = (*_DECISION, "incident_unknown", "incident_closed", "incident_merged")
_CHANGE = (*_DECISION, "task_unknown", "task_state", "incident_closed", "precondition_failed", "precondition_required")


@router.get("/playbooks", responses=problems("signed_out"))
def playbooks(caller: Reader, request: Request, provided: Provided) -> list[PlaybookItem]:
    """All playbooks: those that came with the product, and those that were brought in."""
    del caller
    with provided.database.read() as session:
        return [presentation.item(*each, language_of(request)) for each in service.known(session).values()]


@router.get("/playbooks/{key}", responses=problems("signed_out", "playbook_unknown"))
def playbook(key: PlaybookKey, caller: Reader, request: Request, response: Response, provided: Provided) -> PlaybookOutput:
    """One playbook with its tasks. The header ETag is what `If-Match` of a change must bring."""
    del caller
    with provided.database.read() as session:
        found, is_of_site = service.get(session, key)
    response.headers["ETag"] = service.etag(found)
    return presentation.output(found, is_of_site, language_of(request))


@router.delete(
    "/playbooks/{key}", status_code=204,
    responses=problems(*_DECISION, "playbook_unknown", "playbook_of_product", "precondition_failed", "precondition_required"),
)  # fmt: skip
def take_out(key: PlaybookKey, caller: Writer, provided: Provided, if_match: IfMatch = None) -> None:
    """Take out a playbook that was brought in. Where it took the place of one of the product, that is there again."""
    with provided.database.write() as session:
        service.take_out(session, key, caller.actor, if_match)


@router.get("/playbooks/{key}/cacao", responses=problems("signed_out", "playbook_unknown"))
def as_cacao(key: PlaybookKey, caller: Reader, request: Request, provided: Provided) -> CacaoPlaybook:
    """The playbook as a CACAO Security Playbook 2.0, its texts in the caller's language, both in an extension."""
    del caller
    with provided.database.read() as session:
        found, _ = service.get(session, key)
    return CacaoPlaybook.model_validate(cacao.write(found, language_of(request)))


@router.post(
    "/playbooks", status_code=201,
    responses=problems(*_DECISION, "playbook_unfit", "playbooks_full", "precondition_failed", "precondition_required"),
)  # fmt: skip
def bring_in(
    body: ImportInput, caller: Writer, request: Request, response: Response, provided: Provided, if_match: IfMatch = None
) -> PlaybookOutput:
    """Bring in a CACAO 2.0 playbook: its steps become tasks of people. Nothing in it is ever run.

    One that went out from here comes back as it was; it takes the place of the one with the same key, with `If-Match` of that.
    """
    with provided.database.write() as session:
        made = service.bring_in(session, body.playbook, caller.actor, if_match)
    response.headers["ETag"] = service.etag(made)
    return presentation.output(made, True, language_of(request))


@router.get("/incidents/{number}/playbooks", responses=problems("signed_out", "incident_unknown"))
def proposed(number: Number, caller: Reader, request: Request, provided: Provided) -> list[ProposedPlaybook]:
    """The playbooks that fit an incident by its alerts and its class, best first."""
    del caller
    with provided.database.read() as session:
        incident = incidents.get(session, number)
        begun = service.begun(session, number)
        found = service.proposed(session, incident)
        return [presentation.proposed(*each, each[0].key in begun, language_of(request)) for each in found]


@router.post(
    "/incidents/{number}/playbooks", status_code=201,
    responses=problems(*_OPEN, "playbook_unknown", "playbook_begun", "tasks_full"),
)  # fmt: skip
def begin(number: Number, body: BeginInput, caller: Worker, request: Request, provided: Provided) -> list[TaskOutput]:
    """Give an incident the tasks of a playbook, each with its time from now."""
    with provided.database.write() as session:
        made = service.begin(session, incidents.get(session, number), body.playbook, caller.actor, body.reason)
        shown = [presentation.task(each, language_of(request)) for each in made]
    provided.hub.notify()
    return shown


@router.get("/incidents/{number}/tasks", responses=problems("signed_out", "incident_unknown"))
def tasks(number: Number, caller: Reader, request: Request, provided: Provided) -> list[TaskOutput]:
    """The tasks of an incident and of those merged into it."""
    del caller
    with provided.database.read() as session:
        incidents.get(session, number)
        return [presentation.task(each, language_of(request)) for each in service.tasks(session, number)]


@router.post("/incidents/{number}/tasks", status_code=201, responses=problems(*_OPEN, "tasks_full", "assignee_unfit"))
def add_task(
    number: Number, body: TaskInput, caller: Worker, request: Request, response: Response, provided: Provided
) -> TaskOutput:
    """Add a task by hand."""
    with provided.database.write() as session:
        made = service.add(session, incidents.get(session, number), body, caller.actor)
        shown = presentation.task(made, language_of(request))
    provided.hub.notify()
    response.headers["ETag"] = service.task_etag(made)
    return shown


@router.get("/incidents/{number}/assignees", responses=problems("signed_out", "incident_unknown"))
def assignees(number: Number, caller: Worker, provided: Provided) -> list[str]:
    """Names of the accounts that tasks and lessons can be given to: those that may work on incidents of the site."""
    del caller
    with provided.database.read() as session:
        return people.of_site(session, service.WORKS, incidents.get(session, number).site)


@router.get("/tasks", responses=problems("signed_out", "cursor_invalid", "query_too_long"))
def all_tasks(query: Annotated[TaskQuery, Query()], caller: Reader, request: Request, provided: Provided) -> TaskPage:
    """Tasks of all incidents that match all filters, those due first before others; lessons of closed incidents among them."""
    del caller
    with provided.database.read() as session:
        rows, cursor = service.find(session, query)
        return TaskPage(items=[presentation.task(row, language_of(request)) for row in rows], next=cursor)


@router.get("/tasks/{identity}", responses=problems("signed_out", "task_unknown"))
def task(identity: Identity, caller: Reader, request: Request, response: Response, provided: Provided) -> TaskOutput:
    """One task. The header ETag is what `If-Match` of a change must bring."""
    del caller
    with provided.database.read() as session:
        found, _ = service.task(session, identity)
        response.headers["ETag"] = service.task_etag(found)
        return presentation.task(found, language_of(request))


@router.put("/tasks/{identity}/assignment", responses=problems(*_CHANGE, "lesson_unowned", "assignee_unfit"))
def assign(
    identity: Identity, body: AssignInput, caller: Worker, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> TaskOutput:  # fmt: skip
    """Say who does a task, and by when."""

    def change(session: Session, found: IncidentTask, incident: Incident) -> None:
        service.assign(session, found, incident, body, caller.actor)

    return _changed(identity, if_match, change, request, response, provided)


@router.post("/tasks/{identity}/move", responses=problems(*_CHANGE))
def move(
    identity: Identity, body: TaskMove, caller: Worker, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> TaskOutput:  # fmt: skip
    """Say how a task stands. Whoever begins one that nobody has takes it on."""

    def change(session: Session, found: IncidentTask, incident: Incident) -> None:
        service.move(session, found, incident, body, caller.actor)

    return _changed(identity, if_match, change, request, response, provided)


def _changed(
    identity: int, if_match: str | None, change: Callable[[Session, IncidentTask, Incident], None], request: Request,
    response: Response, provided: Services,
) -> TaskOutput:  # fmt: skip
    """The task after a change that was made on what the caller saw."""
    with provided.database.write() as session:
        found, incident = service.task(session, identity)
        check_version(found.version, if_match, found.done_by or found.owner or "–")
        change(session, found, incident)
        session.flush()
        shown = presentation.task(found, language_of(request))
    provided.hub.notify()
    response.headers["ETag"] = service.task_etag(found)
    return shown
