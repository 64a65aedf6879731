"""`/healthz`, `/readyz`, `/metrics`: for what watches this system. None needs a session.

Metrics answer this machine only, and why something does not work is told to it alone.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError

from api.alerts import service as alerts
from api.notifications import service as notifications
from api.openapi import problems
from api.problems import Problem
from api.security.access import address_of
from api.services import Services, services
from collector.store import StoreError
from sensor.loopback import is_loopback
from sensor.metrics import CONTENT_TYPE

router = APIRouter(tags=["probes"])

Provided = Annotated[Services, Depends(services)]

ELSEWHERE: Final = "does not work: the machine itself is told why"
"""Stands for the reason where another machine asks."""


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """Whether the system works as a whole."""

    status: Literal["ready", "failing"] = Field(examples=["ready"])
    failures: dict[str, str] = Field(examples=[{}])


@router.get("/healthz")
async def healthz() -> Alive:
    """Whether the process answers."""
    return Alive()


@router.get("/readyz", responses={503: {"model": Ready, "description": "A part does not work"}})
def readyz(request: Request, response: Response, provided: Provided) -> Ready:
    """Whether the database, the record store and every part of the system work. Why one does not is told to this machine only."""
    failures = provided.status.failures()
    for watched in provided.watched:
        failures |= watched()
    try:
        with provided.database.read() as session:
            alerts.newest_change(session)
    except SQLAlchemyError as error:
        failures["database"] = type(error).__name__
    try:
        provided.records.check()
    except StoreError as error:
        failures["records"] = str(error)
    if not is_loopback(address_of(request)):
        # Reasons name addresses and files.
        failures = dict.fromkeys(failures, ELSEWHERE)
    if failures:
        response.status_code = 503
    return Ready(status="failing" if failures else "ready", failures=failures)


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"content": {CONTENT_TYPE: {"schema": {"type": "string"}}}, "description": "OpenMetrics"},
        **problems("metrics_elsewhere"),
    },
)
def metrics(request: Request, provided: Provided) -> Response:
    """Rates, lags, times, and alerts by severity and state, in OpenMetrics."""
    if not is_loopback(address_of(request)):
        raise Problem("metrics_elsewhere")
    with provided.database.read() as session:
        counts = alerts.counts(session)
        waiting = notifications.waiting(session)
    told = provided.metrics
    for (severity, state), count in counts.items():
        told.alerts.labels(severity, state).set(count)
    for part in provided.status.parts():
        told.failures.labels(part.name).set(part.state == "failed")
    for what, count in waiting.items():
        told.notifications_waiting.labels(what).set(count)
    told.live_streams.set(provided.hub.streams)
    return Response(told.exposition(), media_type=CONTENT_TYPE)
