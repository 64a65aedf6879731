"""`/api/situation`: how the plant is now, or was at a past time."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from api.openapi import problems
from api.security.access import Caller, Provided, needs
from api.situation import service
from api.situation.schemas import Situation, SituationQuery
from api.texts import language_of

router = APIRouter(prefix="/api/situation", tags=["situation"])

Reader = Annotated[Caller, needs("situation.read")]


@router.get("", responses=problems("signed_out", "site_missing", "site_unknown", "baseline_unknown"))
def situation(query: Annotated[SituationQuery, Query()], caller: Reader, request: Request, provided: Provided) -> Situation:
    """How the plant is: open stories and alerts by rank, what they are about, alarm load, what is not seen, what changed.

    Ask again when a live event tells that an alert has changed. What sensors see and what is normal is kept for 30 s.
    """
    del caller
    return service.situation(provided, query, language_of(request))
