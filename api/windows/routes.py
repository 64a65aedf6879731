"""`/api/windows`: maintenance windows; looked at, made, changed, ended, and what each hid."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response

from api.openapi import problems
from api.security.access import Caller, Provided, needs
from api.site import service as sites
from api.windows import presentation, service
from api.windows.models import MaintenanceWindow
from api.windows.schemas import (
    EndInput,
    PreviewInput,
    WindowChange,
    WindowInput,
    WindowOutput,
    WindowPage,
    WindowPreview,
    WindowQuery,
)

router = APIRouter(prefix="/api/windows", tags=["windows"])

Reader = Annotated[Caller, needs("exception.read")]
Decider = Annotated[Caller, needs("exception.write")]
Number = Annotated[int, Path(ge=1, le=2**63 - 1, examples=[7])]
IfMatch = Annotated[
    str | None,
    Header(max_length=1024, examples=['"1"'], description="ETag of the window as the caller saw it; without it 428, else 412."),
]

_DECISION = ("signed_out", "cross_site")
_LOOK = (*_DECISION, "query_too_long", "site_missing", "site_unknown", "window_scope_unknown")
_CHANGE = (*_DECISION, "window_unknown", "window_over", "precondition_failed", "precondition_required")


@router.get("", responses=problems("signed_out", "cursor_invalid"))
def windows(query: Annotated[WindowQuery, Query()], caller: Reader, provided: Provided) -> WindowPage:
    """Maintenance windows, the latest made first."""
    del caller
    with provided.database.read() as session:
        found, cursor = service.find(session, query)
        return WindowPage(items=[presentation.output(each) for each in found], next=cursor)


@router.get("/{number}", responses=problems("signed_out", "window_unknown"))
def window(number: Number, caller: Reader, response: Response, provided: Provided) -> WindowOutput:
    """One window, with what it hid once it is over. The header ETag is what `If-Match` of a change must bring."""
    del caller
    with provided.database.read() as session:
        return _output(service.get(session, number), response)


@router.post("/preview", responses=problems(*_LOOK))
def preview(body: PreviewInput, caller: Decider, provided: Provided) -> WindowPreview:
    """What a window would have hidden in the last 30 days, had it held, and what it would not. Nothing is changed."""
    del caller
    with provided.database.read() as session:
        return service.preview(session, body, sites.written(session, provided, body.site))


@router.post("", status_code=201, responses=problems(*_LOOK, "window_hides_more", "window_times", "windows_full"))
def make(body: WindowInput, caller: Decider, response: Response, provided: Provided) -> WindowOutput:
    """Make a window, after a look at what it would have hidden.

    While it runs, new alerts that it covers leave the list (`suppressed_by`), but for those that are always told. At its end they
    come back, and it reports what it hid.
    """
    with provided.database.read() as session:
        site = sites.written(session, provided, body.site)
        service.check_seen(session, body, site)
    with provided.database.write() as session:
        made = service.make(session, caller.actor, body, site)
    response.headers["Location"] = f"/api/windows/{made.number}"
    return _output(made, response)


@router.put(
    "/{number}", responses=problems(*_CHANGE, "query_too_long", "window_hides_more", "window_scope_unknown", "window_times")
)  # fmt: skip
def change(
    number: Number, body: WindowChange, caller: Decider, response: Response, provided: Provided, if_match: IfMatch = None
) -> WindowOutput:
    """Give a window another scope, end or permit, after a look at what it would have hidden. What it covers no more is told."""
    with provided.database.read() as session:
        found = service.get(session, number)
        service.check_precondition(found, if_match)
        service.check_seen(session, body, found.site)
    with provided.database.write() as session:
        found = service.get(session, number)
        service.check_precondition(found, if_match)
        service.change(session, found, body, caller.actor)
    provided.hub.notify()
    return _output(found, response)


@router.post("/{number}/end", responses=problems(*_CHANGE))
def end(
    number: Number, body: EndInput, caller: Decider, response: Response, provided: Provided, if_match: IfMatch = None
) -> WindowOutput:
    """End a window before its time: what it covered comes back. One that has not begun is cancelled."""
    with provided.database.write() as session:
        found = service.get(session, number)
        service.check_precondition(found, if_match)
        service.end(session, found, caller.actor, body.reason)
    provided.hub.notify()
    return _output(found, response)


def _output(found: MaintenanceWindow, response: Response) -> WindowOutput:
    response.headers["ETag"] = service.etag(found)
    return presentation.output(found)
