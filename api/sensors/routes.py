"""`/api/sensors`: the health of sensors and of the parts of the system."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from api.openapi import problems
from api.security.access import Viewer
from api.sensors import service
from api.sensors.schemas import Health
from api.services import Services, services

router = APIRouter(prefix="/api/sensors", tags=["sensors"])


@router.get("", responses=problems("signed_out", "records_missing"))
def sensors(caller: Viewer, provided: Annotated[Services, Depends(services)]) -> Health:
    """What the sensors last told, what the parts of this process do, and which records never came."""
    del caller
    return service.health(provided)
