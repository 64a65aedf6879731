"""`/api/sites`: the sites that decisions can be about."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from api.openapi import problems
from api.security.access import Caller, Provided, needs
from api.site import service
from api.site.schemas import SiteOutput

router = APIRouter(prefix="/api/sites", tags=["sites"])

Reader = Annotated[Caller, needs("situation.read")]


@router.get("", responses=problems("signed_out", "query_too_long"))
def sites(caller: Reader, provided: Provided) -> list[SiteOutput]:
    """The sites that the caller may see, in order of their names. Where there are several, a decision must name its own."""
    del caller
    with provided.database.read() as session:
        return [SiteOutput(name=name) for name in service.choices(session, provided)]
