"""`/api/timeline`: what happened to a device, or in a story, the latest first."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query, Request

from api.audit import service as audit
from api.openapi import problems
from api.records.span import PROBLEMS, of_query
from api.security.access import Caller, Provided, needs
from api.texts import language_of
from api.timeline import service
from api.timeline.schemas import Entry, Timeline, TimelineQuery
from api.times import iso

router = APIRouter(prefix="/api/timeline", tags=["timeline"])

Reader = Annotated[Caller, needs("asset.read")]


@router.get("", responses=problems(*PROBLEMS, "asset_unknown", "story_unknown", "cursor_invalid"))
def timeline(query: Annotated[TimelineQuery, Query()], caller: Reader, request: Request, provided: Provided) -> Timeline:
    """Alerts, what was decided about them, and records of what was done, merged by time.

    Of records those are told that change something (writes, calls), that say something of a device, or that break a protocol.
    Whoever has no `records.read` is told that there was one, when and between whom, and not what it holds. The audit trail says
    who was shown which.
    """
    with provided.database.read() as session:
        life = service.life(session, query)
        asked = query if query.site is not None or life.site is None else query.model_copy(update={"site": life.site})
        site, span = of_query(session, provided, asked)
        life = replace(life, site=site)
        items, cursor = service.page(session, provided.records, (life, span), query, language_of(request))
    if not caller.may("records.read"):
        items = [service.without_values(each) for each in items]
    shown = [str(each.fields["record"]["record"]) for each in items if "record" in each.fields]
    if shown:
        told = {"records": shown} if caller.may("records.read") else {"records": shown, "values": False}
        audit.record_read(provided.database, caller.actor, "records.timeline", "", told)
    return Timeline(
        addresses=list(dict.fromkeys([*life.addresses, *life.targets])),
        items=[Entry.model_validate({"at": iso(each.at), **each.fields}) for each in items],
        next=cursor,
    )
