"""`/api/alerts/{id}/context`: what is known around an alert."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request

from api.audit import service as audit
from api.context import presentation, service
from api.context.schemas import AlertContext
from api.openapi import problems
from api.security.access import Caller, Provided, needs
from api.texts import language_of

router = APIRouter(prefix="/api/alerts", tags=["alerts"])

Reader = Annotated[Caller, needs("alert.read")]
AlertId = Annotated[str, Path(min_length=1, max_length=64, examples=["9c1f0e6a52d14f0b"])]


@router.get("/{alert_id}/context", responses=problems("signed_out", "alert_unknown"))
def context(alert_id: AlertId, caller: Reader, request: Request, provided: Provided) -> AlertContext:
    """What is known around an alert, of the 30 days up to when it was last seen.

    Both ends (registered, observed, zone, level), the process points that it touched, who else did the same to its server,
    earlier alerts of the same ends, and their incidents. Parts that records tell are empty where these cannot be read now, or not
    in time; `missing` says which. Process points need `point.read`, and the audit trail says who was shown them; assets, devices
    and who else did the same need `asset.read`, incidents `incident.read`.
    """
    found = service.around(provided, alert_id, caller.may)
    if found.points is not None:
        told = {"alert": alert_id, "rows": found.points.points.height}
        audit.record_read(provided.database, caller.actor, "points.query", found.alert.site, told)
    return presentation.output(found, language_of(request))
