"""`/api/handovers`: notes of shifts, begun, written, handed over, taken over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Header, Path, Query, Request, Response

from api.handovers import presentation, service
from api.handovers.collecting import collected
from api.handovers.schemas import (
    BeginHandoverInput,
    HandoverInput,
    HandoverOutput,
    HandoverPage,
    HandoverQuery,
    TakeOverInput,
)
from api.handovers.service import Collected
from api.openapi import problems
from api.security.access import Caller, Provided, needs
from api.texts import language_of
from api.times import now
from api.versions import check_version

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from api.handovers.models import Handover
    from api.services import Services

router = APIRouter(prefix="/api/handovers", tags=["handovers"])

Reader = Annotated[Caller, needs("situation.read")]
Writer = Annotated[Caller, needs("handover.write")]
Identity = Annotated[int, Path(ge=1, le=2**53, examples=[31])]
IfMatch = Annotated[
    str | None,
    Header(max_length=1024, examples=['"2"'], description="ETag of the note as the caller saw it; without it 428, else 412."),
]

_DECISION = ("signed_out", "cross_site", "query_too_long")
_COLLECTS = ("baseline_unknown", "incident_times", "site_missing", "site_unknown")
_CHANGE = (*_DECISION, "handover_unknown", "handover_state", "precondition_failed", "precondition_required")


@router.get("", responses=problems("signed_out", "cursor_invalid", "query_too_long"))
def handovers(query: Annotated[HandoverQuery, Query()], caller: Reader, provided: Provided) -> HandoverPage:
    """Notes that match all filters, the latest first, without what they tell."""
    del caller
    with provided.database.read() as session:
        rows, cursor = service.find(session, query)
        return HandoverPage(items=[presentation.item(row) for row in rows], next=cursor)


@router.post("", status_code=201, responses=problems(*_DECISION, *_COLLECTS, "handover_begun"))
def begin(body: BeginHandoverInput, caller: Writer, request: Request, response: Response, provided: Provided) -> HandoverOutput:
    """Begin a note from what is open.

    Stories, alerts, also those laid aside, incidents and clocks, tasks due, actions in the plant, maintenance windows that run or
    begin next shift, what is not seen, what ends soon.
    """
    with provided.database.read() as session:
        site = service.site_of(session, body.site)
    content = _collected(provided, site, body.since)
    with provided.database.write() as session:
        made = service.begin(session, site, caller.actor, body.remarks, content)
        shown = presentation.output(made, language_of(request))
    provided.hub.notify()
    response.headers["ETag"] = service.etag(made)
    response.headers["Location"] = f"/api/handovers/{made.id}"
    return shown


@router.get("/{identity}", responses=problems("signed_out", "handover_unknown"))
def handover(identity: Identity, caller: Reader, request: Request, response: Response, provided: Provided) -> HandoverOutput:
    """One note. The header ETag is what `If-Match` of a change must bring."""
    del caller
    with provided.database.read() as session:
        found = service.get(session, identity)
        response.headers["ETag"] = service.etag(found)
        return presentation.output(found, language_of(request))


@router.put("/{identity}", responses=problems(*_CHANGE, *_COLLECTS))
def write(
    identity: Identity, body: HandoverInput, caller: Writer, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> HandoverOutput:  # fmt: skip
    """Say something else in a note that is not handed over yet. What is open is looked at again."""
    content = _collected_anew(provided, identity, body.since)

    def change(session: Session, found: Handover) -> None:
        service.write(session, found, caller.actor, body.remarks, content)

    return _changed(identity, if_match, change, request, response, provided)


@router.post("/{identity}/hand-over", responses=problems(*_CHANGE, *_COLLECTS))
def hand_over(
    identity: Identity, caller: Writer, request: Request, response: Response, provided: Provided, if_match: IfMatch = None
) -> HandoverOutput:
    """Hand a note over, with what is open now. Nothing of it changes from then on."""
    content = _collected_anew(provided, identity, None)

    def change(session: Session, found: Handover) -> None:
        service.hand_over(session, found, caller.actor, content)

    return _changed(identity, if_match, change, request, response, provided)


@router.post("/{identity}/take-over", responses=problems(*_CHANGE, "handover_own"))
def take_over(
    identity: Identity, body: TakeOverInput, caller: Writer, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> HandoverOutput:  # fmt: skip
    """Take a note over, as another person than who handed it over: with name and time."""

    def change(session: Session, found: Handover) -> None:
        service.take_over(session, found, caller.actor, body.note)

    return _changed(identity, if_match, change, request, response, provided)


def _collected(provided: Services, site: str, since: int | None) -> Collected:
    moment = now()
    if since is None:
        with provided.database.read() as session:
            since = service.began(session, site, moment)
    service.check_since(since, moment)
    return Collected(since, moment, collected(provided, site or None, since, moment))


def _collected_anew(provided: Services, identity: int, since: int | None) -> Collected:
    """What is open now for a note that is being written; its shift began when it did, unless it is said otherwise."""
    with provided.database.read() as session:
        found = service.get(session, identity)
        site, began = found.site, found.since
    return _collected(provided, site, min(began, now()) if since is None else since)


def _changed(
    identity: int, if_match: str | None, change: Callable[[Session, Handover], None], request: Request, response: Response,
    provided: Services,
) -> HandoverOutput:  # fmt: skip
    """The note after a change that was made on what the caller saw."""
    with provided.database.write() as session:
        found = service.get(session, identity)
        check_version(found.version, if_match, found.changed_by)
        change(session, found)
        session.flush()
        shown = presentation.output(found, language_of(request))
    provided.hub.notify()
    response.headers["ETag"] = service.etag(found)
    return shown
