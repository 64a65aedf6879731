"""`/api/assets`: what is registered, what traffic shows, how they differ; changes, and imports of files."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request, Response

from api.assets import comparison as comparing
from api.assets import importing, observed, presentation, service
from api.assets.schemas import (
    AssetInput,
    AssetMade,
    AssetOutput,
    AssetPage,
    AssetQuery,
    Comparison,
    ImportedItem,
    ImportInput,
    ImportOutput,
    Inventory,
)
from api.audit import service as audit
from api.openapi import problems
from api.problems import Problem
from api.records.span import PROBLEMS, Span, SpanQuery, of_query
from api.security.access import Caller, Provided, needs
from api.services import Services
from api.site import service as sites
from api.texts import language_of
from api.zones import service as zones
from api.zones.plan import Places

router = APIRouter(prefix="/api/assets", tags=["assets"])

Reader = Annotated[Caller, needs("asset.read")]
Keeper = Annotated[Caller, needs("asset.write")]
AssetId = Annotated[str, Path(min_length=1, max_length=32, examples=["5f0c1d2e3a4b5c6d7e8f90a1b2c3d4e5"])]
IfMatch = Annotated[
    str | None,
    Header(max_length=1024, examples=['"1"'], description="ETag of the asset as the caller saw it; without it 428, else 412."),
]

_DECISION = ("signed_out", "cross_site")
_CHANGE = (*_DECISION, "asset_unknown", "precondition_failed", "precondition_required")


@router.get("", responses=problems("signed_out", "cursor_invalid"))
def assets(query: Annotated[AssetQuery, Query()], caller: Reader, provided: Provided) -> AssetPage:
    """Registered assets that match all filters, by name."""
    del caller
    with provided.database.read() as session:
        rows, cursor = service.find(session, query)
        places = {site: zones.places(session, provided.plans, site) for site in {row.site for row in rows}}
        return AssetPage(items=[presentation.output(row, places[row.site]) for row in rows], next=cursor)


@router.post(
    "", status_code=201, responses=problems(*_DECISION, "site_missing", "site_unknown", "asset_address_taken", "assets_full")
)
def register(body: AssetMade, caller: Keeper, response: Response, provided: Provided) -> AssetOutput:
    """Register an asset."""
    with provided.database.write() as session:
        site = sites.written(session, provided, body.site)
        made = service.make(session, body, site, caller.actor)
        audit.record(session, caller.actor, "asset.make", made.id, {"site": site, "asset": service.fields(made)})
        places = zones.places(session, provided.plans, site)
    provided.hub.notify()
    response.headers["ETag"] = service.etag(made)
    return presentation.output(made, places)


@router.get("/observed", responses=problems(*PROBLEMS))
def devices(query: Annotated[SpanQuery, Query()], caller: Reader, request: Request, provided: Provided) -> Inventory:
    """The devices that traffic shows: addresses, what they say of themselves with source and confidence, what they are for.

    The audit trail says who asked.
    """
    site, span, found, shown, _ = _observed(query, request, provided)
    audit.record_read(provided.database, caller.actor, "assets.observe", site, {"devices": len(shown)})
    return presentation.inventory(site, span, found, shown)


@router.get("/comparison", responses=problems(*PROBLEMS))
def comparison(query: Annotated[SpanQuery, Query()], caller: Reader, request: Request, provided: Provided) -> Comparison:
    """What traffic shows against what is registered: new devices, assets of which nothing was seen, and what is otherwise.

    The audit trail says who asked.
    """
    site, span, found, shown, places = _observed(query, request, provided)
    audit.record_read(provided.database, caller.actor, "assets.compare", site, {"devices": len(shown)})
    with provided.database.read() as session:
        compared = comparing.compare(service.of_site(session, site), shown)
        return presentation.comparison(site, span, compared, places, limited=found.limited)


@router.post("/import", responses=problems(*_DECISION, "site_missing", "site_unknown", "import_unreadable", "body_too_large"))
def take(body: ImportInput, caller: Keeper, provided: Provided) -> ImportOutput:
    """Take assets over from a file: CSV, or what NetBox answers over REST. As a trial unless `dry_run` is false.

    What cannot be taken is told, and keeps nothing else out. Of assets that are known only what the file says is changed, and
    none is removed. Assets are written in parts of 500; where one fails, those before it stay, and the file can be sent again.
    """
    try:
        given = importing.read(body.format, body.content)
    except importing.Unreadable as error:
        raise Problem("import_unreadable", reason=str(error)) from error
    with provided.database.read() as session:
        site = sites.written(session, provided, body.site)
        if body.dry_run:
            return presentation.imported(service.tried(session, given, site, body.format, caller.actor), dry_run=True)
    items: list[ImportedItem] = []
    seen: set[str] = set()
    try:
        for start in range(0, len(given), service.PART):
            if start:
                time.sleep(service.PAUSE_SECONDS)
            with provided.database.write() as session:
                some = given[start : start + service.PART]
                items += service.take(session, some, site, body.format, caller.actor, seen)
    finally:
        # Also where a part fails: those before it stay.
        provided.hub.notify()
    return presentation.imported(items, dry_run=False)


@router.get("/{asset_id}", responses=problems("signed_out", "asset_unknown"))
def asset(asset_id: AssetId, caller: Reader, response: Response, provided: Provided) -> AssetOutput:
    """One registered asset. The header ETag is what `If-Match` of a change must bring."""
    del caller
    with provided.database.read() as session:
        found = service.get(session, asset_id)
        response.headers["ETag"] = service.etag(found)
        return presentation.output(found, zones.places(session, provided.plans, found.site))


@router.put("/{asset_id}", responses=problems(*_CHANGE, "asset_address_taken"))
def change(
    asset_id: AssetId, body: AssetInput, caller: Keeper, response: Response, provided: Provided, if_match: IfMatch = None
) -> AssetOutput:
    """Put other values in the place of an asset's."""
    with provided.database.write() as session:
        found = service.get(session, asset_id)
        service.check_precondition(found, if_match)
        before = service.fields(found)
        if differ := service.change(session, found, body, caller.actor):
            after = service.fields(found)
            told = {"before": {name: before[name] for name in differ}, "after": {name: after[name] for name in differ}}
            audit.record(session, caller.actor, "asset.change", asset_id, told)
        places = zones.places(session, provided.plans, found.site)
    provided.hub.notify()
    response.headers["ETag"] = service.etag(found)
    return presentation.output(found, places)


@router.delete("/{asset_id}", status_code=204, responses=problems(*_CHANGE))
def remove(asset_id: AssetId, caller: Keeper, provided: Provided, if_match: IfMatch = None) -> None:
    """Take an asset off the register. The audit trail keeps what it was."""
    with provided.database.write() as session:
        found = service.get(session, asset_id)
        service.check_precondition(found, if_match)
        told = {"site": found.site, "asset": service.fields(found)}
        service.remove(session, found)
        audit.record(session, caller.actor, "asset.remove", asset_id, told)
    provided.hub.notify()


def _observed(
    query: SpanQuery, request: Request, provided: Services
) -> tuple[str, Span, observed.Observed, list[presentation.ObservedDevice], Places]:
    with provided.database.read() as session:
        site, span = of_query(session, provided, query)
        registered = service.of_site(session, site)
        places = zones.places(session, provided.plans, site)
    found = observed.observed(provided.records, span, language_of(request))
    return site, span, found, presentation.devices(found, registered, places), places
