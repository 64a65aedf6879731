"""`/api/views`: saved views of the list of alerts; listed, made, changed, removed, and the one to begin with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Header, Path, Query, Response

from api.openapi import problems
from api.security.access import Caller, Provided, needs
from api.times import iso
from api.versions import check_version
from api.views import service
from api.views.schemas import DefaultInput, DefaultOutput, ViewInput, ViewOutput, ViewPage, ViewQuery

if TYPE_CHECKING:
    from api.views.models import SavedView

router = APIRouter(prefix="/api", tags=["views"])

Reader = Annotated[Caller, needs("alert.read")]
Keeper = Annotated[Caller, needs("alert.decide")]
Owner = Annotated[Caller, needs("account.own")]
Number = Annotated[int, Path(ge=1, le=2**63 - 1, examples=[2])]
IfMatch = Annotated[
    str | None,
    Header(max_length=1024, examples=['"1"'], description="ETag of the view as the caller saw it; without it 428, else 412."),
]

IfDefault = Annotated[
    str | None,
    Header(
        max_length=1024, examples=['"0"'], description='ETag of the choice as the caller saw it, `"0"` for none; without it 428.'
    ),
]

_CHANGE = ("signed_out", "cross_site", "view_unknown", "precondition_failed", "precondition_required")


@router.get("/views", responses=problems("signed_out", "cursor_invalid"))
def views(query: Annotated[ViewQuery, Query()], caller: Reader, provided: Provided) -> ViewPage:
    """The caller's views, and those that are shared with him."""
    with provided.database.read() as session:
        found, cursor = service.find(session, caller, query)
        default = service.default_of(session, caller)
        return ViewPage(items=[_output(each, default) for each in found], next=cursor)


@router.post("/views", status_code=201, responses=problems("signed_out", "cross_site", "site_unknown", "views_full"))
def make(body: ViewInput, caller: Keeper, response: Response, provided: Provided) -> ViewOutput:
    """Save a filter and an order under a name, for the caller alone or for others too."""
    with provided.database.write() as session:
        made = service.make(session, caller, body)
    response.headers["Location"] = f"/api/views/{made.number}"
    return _tagged(made, None, response)


@router.get("/views/{number}", responses=problems("signed_out", "view_unknown"))
def view(number: Number, caller: Reader, response: Response, provided: Provided) -> ViewOutput:
    """One view. The header ETag is what `If-Match` of a change must bring."""
    with provided.database.read() as session:
        return _tagged(service.get(session, caller, number), service.default_of(session, caller), response)


@router.put("/views/{number}", responses=problems(*_CHANGE, "site_unknown"))
def change(
    number: Number, body: ViewInput, caller: Keeper, response: Response, provided: Provided, if_match: IfMatch = None
) -> ViewOutput:
    """Let a view be another. What others own is changed by administrators only."""
    with provided.database.write() as session:
        found = service.get(session, caller, number)
        service.check_precondition(found, if_match)
        service.change(session, caller, found, body)
        default = service.default_of(session, caller)
    return _tagged(found, default, response)


@router.delete("/views/{number}", status_code=204, responses=problems(*_CHANGE))
def remove(number: Number, caller: Keeper, provided: Provided, if_match: IfMatch = None) -> None:
    """Remove a view. What others own is removed by administrators only."""
    with provided.database.write() as session:
        found = service.get(session, caller, number)
        service.check_precondition(found, if_match)
        service.remove(session, caller, found)


@router.get("/account/default-view", responses=problems("signed_out"))
def default(caller: Owner, response: Response, provided: Provided) -> DefaultOutput:
    """The view to begin with. The header ETag is what `If-Match` of a change must bring."""
    with provided.database.read() as session:
        found = service.default_of(session, caller)
    response.headers["ETag"] = f'"{found or 0}"'
    return DefaultOutput(view=found)


@router.put("/account/default-view", status_code=204, responses=problems(*_CHANGE))
def choose(body: DefaultInput, caller: Owner, response: Response, provided: Provided, if_match: IfDefault = None) -> None:
    """Begin with a view from now on, or with none."""
    with provided.database.write() as session:
        check_version(service.default_of(session, caller) or 0, if_match, caller.name)
        service.choose(session, caller, body.view)
    response.headers["ETag"] = f'"{body.view or 0}"'


def _tagged(found: SavedView, default: int | None, response: Response) -> ViewOutput:
    response.headers["ETag"] = service.etag(found)
    return _output(found, default)


def _output(found: SavedView, default: int | None) -> ViewOutput:
    return ViewOutput.model_validate(
        {
            "number": found.number, "version": found.version, "owner": found.owner, "name": found.name, "filter": found.said,
            "sort": found.sort, "shared": found.shared, "site": found.shared_site, "default": found.number == default,
            "changed_by": found.changed_by, "changed_at": iso(found.changed_at),
        }
    )  # fmt: skip
