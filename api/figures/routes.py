"""`/api/incidents/figures`, `/api/alerts/figures`: mean times to acknowledge and to resolve."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.figures import service
from api.figures.schemas import AlertFigures, AlertFiguresQuery, IncidentFigures, IncidentFiguresQuery
from api.openapi import problems
from api.security.access import Caller, Provided, needs

router = APIRouter(prefix="/api", tags=["figures"])


@router.get("/incidents/figures", responses=problems("signed_out", "periods_many", "query_too_long"))
def of_incidents(
    query: Annotated[IncidentFiguresQuery, Query()], caller: Annotated[Caller, needs("incident.read")], provided: Provided
) -> list[IncidentFigures]:
    """How long incidents took until they were declared, acknowledged and resolved: mean and median, together or by group."""
    del caller
    with provided.database.read() as session:
        return service.incidents(session, query)


@router.get("/alerts/figures", responses=problems("signed_out", "periods_many", "query_too_long"))
def of_alerts(
    query: Annotated[AlertFiguresQuery, Query()], caller: Annotated[Caller, needs("alert.read")], provided: Provided
) -> list[AlertFigures]:
    """How long alerts took until a person first decided about them, and until they were closed: mean and median."""
    del caller
    with provided.database.read() as session:
        return service.alerts(session, query)
