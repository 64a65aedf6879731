"""`/api/zones`: zones and conduits of a site, as one plan."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from api.database.scope import SITE_CHARACTERS
from api.filters import Time
from api.openapi import problems
from api.security.access import Caller, Provided, needs
from api.site import service as sites
from api.zones import presentation, service
from api.zones.plan import Plan
from api.zones.schemas import PlanOutput

router = APIRouter(prefix="/api/zones", tags=["zones"])

Reader = Annotated[Caller, needs("asset.read")]
Keeper = Annotated[Caller, needs("asset.write")]
SiteQuery = Annotated[
    str | None,
    Query(
        max_length=SITE_CHARACTERS,
        pattern=r"^[^\x00]*$",
        examples=["waterworks"],
        description="The site; it may be left out where there is only one.",
    ),
]
AsOf = Annotated[Time, Query(description="What held at this time, in place of now.")]
IfMatch = Annotated[
    str | None,
    Header(
        max_length=1024,
        examples=['"3"'],
        description='ETag of the plan as the caller saw it, "0" where there was none; without it 428, else 412.',
    ),
]


@router.get("", responses=problems("signed_out", "site_missing", "site_unknown"))
def zones(caller: Reader, response: Response, provided: Provided, site: SiteQuery = None, as_of: AsOf = None) -> PlanOutput:
    """The zones and conduits of a site. The header ETag is what `If-Match` of a change must bring."""
    del caller
    with provided.database.read() as session:
        name = sites.written(session, provided, site)
        stored = service.in_force(session, name, as_of)
        response.headers["ETag"] = service.etag(stored)
        return presentation.output(name, stored)


@router.put(
    "",
    responses=problems(
        "signed_out", "cross_site", "site_missing", "site_unknown", "precondition_failed", "precondition_required"
    ),
)
def change(
    body: Plan, caller: Keeper, response: Response, provided: Provided, site: SiteQuery = None, if_match: IfMatch = None
) -> PlanOutput:
    """Put another plan in the place of the site's. What was before is kept, and answers questions about the past."""
    with provided.database.write() as session:
        name = sites.written(session, provided, site)
        stored = service.replace(session, name, body, caller.actor, if_match)
    provided.hub.notify()
    response.headers["ETag"] = service.etag(stored)
    return presentation.output(name, stored)
