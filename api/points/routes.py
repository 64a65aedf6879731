"""`/api/points`: process points with their values, who wrote them, and what is expected of them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.audit import service as audit
from api.baseline import service as baseline
from api.openapi import problems
from api.points import presentation, service
from api.points.schemas import PointPage, PointQuery
from api.records.span import PROBLEMS, of_query
from api.security.access import Caller, Provided, needs
from api.site import service as sites

router = APIRouter(prefix="/api/points", tags=["points"])

Reader = Annotated[Caller, needs("point.read")]


@router.get("", responses=problems(*PROBLEMS, "cursor_invalid"))
def points(query: Annotated[PointQuery, Query()], caller: Reader, provided: Provided) -> PointPage:
    """Process points that were read, written or told in a time, by server and identifier.

    The audit trail says who asked for what.
    """
    with provided.database.read() as session:
        site, span = of_query(session, provided, query)
        facts = sites.in_force(session, site)
    learned = [each for name, each in baseline.learned(provided) if name == site]
    found = service.find(provided.records, span, query, learned)
    asked = query.model_dump(mode="json", exclude_defaults=True, exclude={"cursor", "language"})
    audit.record_read(provided.database, caller.actor, "points.query", site, {**asked, "rows": found.points.height})
    return presentation.page(site, span, found, facts)
