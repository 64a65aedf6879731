"""`/api/drills`: what can be drilled, drills started, followed, ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Header, Path, Query, Request, Response

from api.drills import presentation, service
from api.drills.schemas import DrillInput, DrillOutput, DrillPage, DrillQuery, EndDrillInput, ScenarioOutput
from api.openapi import problems
from api.security.access import Caller, Provided, needs
from api.texts import language_of
from api.versions import check_version

if TYPE_CHECKING:
    from api.audit.service import Actor
    from api.drills.models import DrillState
    from api.services import Services

router = APIRouter(prefix="/api/drills", tags=["drills"])

Reader = Annotated[Caller, needs("alert.read")]
Runner = Annotated[Caller, needs("drill.run")]
Number = Annotated[int, Path(ge=1, le=2**53, examples=[3])]
IfMatch = Annotated[
    str | None,
    Header(max_length=1024, examples=['"1"'], description="ETag of the drill as the caller saw it; without it 428, else 412."),
]

_DECISION = ("signed_out", "cross_site")
_END = (*_DECISION, "drill_unknown", "drill_over", "precondition_failed", "precondition_required")


@router.get("", responses=problems("signed_out", "cursor_invalid", "query_too_long"))
def drills(query: Annotated[DrillQuery, Query()], caller: Reader, request: Request, provided: Provided) -> DrillPage:
    """Drills that match all filters, the latest first."""
    del caller
    with provided.database.read() as session:
        rows, cursor = service.find(session, query)
        language = language_of(request)
        return DrillPage(items=[presentation.item(row, language) for row in rows], next=cursor)


@router.get("/scenarios", responses=problems("signed_out"))
def scenarios(caller: Reader, request: Request) -> list[ScenarioOutput]:
    """What can be drilled, and what of ATT&CK for ICS and which playbook each exercises."""
    del caller
    return [presentation.scenario(key, language_of(request)) for key in service.scenario_keys()]


@router.post(
    "", status_code=201,
    responses=problems(
        *_DECISION, "baseline_unknown", "drill_plant_unknown", "drill_running", "drill_silent", "query_invalid", "query_too_long",
        "records_missing", "rules_unreadable", "site_missing", "site_unknown",
    ),
)  # fmt: skip
def start(body: DrillInput, caller: Runner, request: Request, response: Response, provided: Provided) -> DrillOutput:
    """Start a drill: traffic of the plant's own inventory is made up, looked at by the site's rules, and told by alerts.

    It is sent nowhere and stored among no records. Its alerts are marked (`drill`), count nowhere and notify nobody; what is
    declared from them is a drill. One drill runs at a site at a time.
    """
    prepared = service.prepare(provided, body)
    with provided.database.write() as session:
        made = service.start(session, prepared, body, caller.actor)
        shown = presentation.output(session, made, language_of(request))
    provided.hub.notify()
    response.headers["ETag"] = service.etag(made)
    response.headers["Location"] = f"/api/drills/{made.number}"
    return shown


@router.get("/{number}", responses=problems("signed_out", "drill_unknown"))
def drill(number: Number, caller: Reader, request: Request, response: Response, provided: Provided) -> DrillOutput:
    """One drill with the times of its steps, beside those of the last finished one of its scenario and site."""
    del caller
    with provided.database.read() as session:
        found = service.get(session, number)
        response.headers["ETag"] = service.etag(found)
        return presentation.output(session, found, language_of(request))


@router.post("/{number}/end", responses=problems(*_END))
def end(
    number: Number, body: EndDrillInput, caller: Runner, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> DrillOutput:  # fmt: skip
    """End a drill that ran as it should: the next of its kind is compared with it. What is open of it is closed."""
    return _ended((number, if_match, body, "finished"), caller.actor, request, response, provided)


@router.post("/{number}/abort", responses=problems(*_END))
def abort(
    number: Number, body: EndDrillInput, caller: Runner, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> DrillOutput:  # fmt: skip
    """Break a drill off: no other is compared with it. What is open of it is closed."""
    return _ended((number, if_match, body, "aborted"), caller.actor, request, response, provided)


def _ended(
    asked: tuple[int, str | None, EndDrillInput, DrillState], actor: Actor, request: Request, response: Response,
    provided: Services,
) -> DrillOutput:  # fmt: skip
    number, if_match, body, state = asked
    with provided.database.write() as session:
        found = service.get(session, number)
        check_version(found.version, if_match, found.started_by)
        service.end(session, found, actor, body.note, state)
        session.flush()
        shown = presentation.output(session, found, language_of(request))
    provided.hub.notify()
    response.headers["ETag"] = service.etag(found)
    return shown
