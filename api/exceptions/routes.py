"""`/api/exceptions`: what the site does not want to see; looked at, made, changed, withdrawn."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Path, Response

from api.alerts.tuning import hidden_by
from api.decisions import service as decisions
from api.exceptions import presentation, service
from api.exceptions.schemas import Decided, ExceptionInput, ExceptionOutput, Preview, PreviewInput, WithdrawInput
from api.openapi import problems
from api.security.access import Caller, Provided, needs
from api.services import Services

router = APIRouter(prefix="/api/exceptions", tags=["exceptions"])

Reader = Annotated[Caller, needs("exception.read")]
Decider = Annotated[Caller, needs("exception.write")]
ExceptionName = Annotated[str, Path(min_length=1, max_length=64, examples=["night-copy"])]
IfMatch = Annotated[
    str | None,
    Header(
        max_length=1024, examples=['"1"'], description="ETag of the exception as the caller saw it; without it 428, else 412."
    ),
]

_DECISION = ("signed_out", "cross_site", "query_too_long")
_CHANGE = (*_DECISION, "exception_unknown", "exception_withdrawn", "precondition_failed", "precondition_required")


@router.get("", responses=problems("signed_out", "query_too_long"))
def exceptions(caller: Reader, provided: Provided) -> list[ExceptionOutput]:
    """All exceptions, of the site's file and made by people, those that hold first."""
    del caller
    with provided.database.read() as session:
        return presentation.listed(session)


@router.get("/{name}", responses=problems("signed_out", "exception_unknown", "query_too_long"))
def exception(name: ExceptionName, caller: Reader, response: Response, provided: Provided) -> ExceptionOutput:
    """One exception that people made. The header ETag is what `If-Match` of a change must bring."""
    del caller
    with provided.database.read() as session:
        stored = service.get(session, name)
        response.headers["ETag"] = service.etag(stored)
        return presentation.output(session, stored)


@router.post("/preview", responses=problems(*_DECISION, "alert_unknown", "site_missing", "site_unknown"))
def preview(body: PreviewInput, caller: Decider, provided: Provided) -> Preview:
    """What an exception would have hidden in the last 30 days, had it held. Nothing is changed."""
    del caller
    with provided.database.read() as session:
        return presentation.preview(hidden_by(session, service.exemption(body), service.site_of(session, provided, body)))


@router.post(
    "", status_code=201,
    responses=problems(
        *_DECISION, "alert_unknown", "exception_hides_more", "exception_taken", "exceptions_full", "site_missing", "site_unknown"
    ),
)  # fmt: skip
def make(body: ExceptionInput, caller: Decider, response: Response, provided: Provided) -> ExceptionOutput:
    """Make an exception, after a look at what it would have hidden. It holds for what detection looks at from then on.

    What it hides is kept, and says by which exception, why, by whom and until when.
    """
    made = service.given(body, body.name, caller.name)
    with provided.database.read() as session:
        service.check_seen(session, made, service.site_of(session, provided, body), body.seen)
    with provided.database.write() as session:
        stored = service.make(session, made, caller.actor, service.site_of(session, provided, body), body.alert)
    return _decided(stored.name, response, provided)


@router.put("/{name}", responses=problems(*_CHANGE, "exception_hides_more", "exceptions_full"))
def change(
    name: ExceptionName, body: Decided, caller: Decider, response: Response, provided: Provided, if_match: IfMatch = None
) -> ExceptionOutput:
    """Give an exception another scope, reason or end, after a look at what it would have hidden."""
    with provided.database.read() as session:
        stored = service.get(session, name)
        service.check_precondition(stored, if_match)
        changed = service.given(body, name, caller.name)
        service.check_seen(session, changed, stored.site, body.seen)
    with provided.database.write() as session:
        stored = service.get(session, name)
        service.check_precondition(stored, if_match)
        service.change(session, stored, changed, caller.actor)
    return _decided(name, response, provided)


@router.post("/{name}/withdraw", responses=problems(*_CHANGE))
def withdraw(
    name: ExceptionName, body: WithdrawInput, caller: Decider, response: Response, provided: Provided, if_match: IfMatch = None
) -> ExceptionOutput:
    """Take an exception back: what comes from then on is told again. What it has hidden keeps its name."""
    with provided.database.write() as session:
        stored = service.get(session, name)
        service.check_precondition(stored, if_match)
        service.withdraw(session, stored, caller.actor, body.reason)
    return _decided(name, response, provided)


def _decided(name: str, response: Response, provided: Services) -> ExceptionOutput:
    decisions.send(provided)
    with provided.database.read() as session:
        stored = service.get(session, name)
        response.headers["ETag"] = service.etag(stored)
        return presentation.output(session, stored)
