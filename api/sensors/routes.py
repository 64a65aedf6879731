"""`/api/sensors`: the health of sensors and of the parts of the system, and settings that sensors are sent."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from api.enrolment.centre import settings_of
from api.enrolment.models import SENSOR_CHARACTERS
from api.openapi import problems
from api.problems import Problem
from api.security.access import Caller, Provided, needs
from api.sensors import service, settings
from api.sensors.schemas import Health, SettingsInput, SettingsOutput
from sensor.configuration import ConfigurationError
from sensor.remote_settings import SettingsRefused

router = APIRouter(prefix="/api/sensors", tags=["sensors"])

Reader = Annotated[Caller, needs("sensor.read")]
Manager = Annotated[Caller, needs("sensor.manage")]


@router.get("", responses=problems("signed_out", "records_missing"))
def sensors(caller: Reader, provided: Provided) -> Health:
    """What the sensors last told, what the parts of this process do, and which records never came."""
    del caller
    return service.health(provided)


@router.put(
    "/{sensor}/settings",
    status_code=202,
    responses=problems("signed_out", "cross_site", "sensor_unset", "sensor_unreachable", "kafka_none"),
)
def change_settings(
    sensor: Annotated[str, Path(min_length=1, max_length=SENSOR_CHARACTERS, examples=["pump-house-2"])],
    body: SettingsInput,
    caller: Manager,
    provided: Provided,
) -> SettingsOutput:
    """Send a sensor its next version of settings; `GET /api/sensors` shows when it follows them, or why not."""
    try:
        _, kafka = settings_of()
    except ConfigurationError as error:
        raise Problem("sensor_unreachable", reason=str(error)) from error
    if not kafka.bootstrap:
        raise Problem("kafka_none")
    try:
        version = settings.change(provided.database, settings.KafkaPost(kafka), caller.actor, sensor, body.values)
    except SettingsRefused as error:
        raise Problem("sensor_unset", reason=str(error)) from error
    except settings.Unreachable as error:
        raise Problem("sensor_unreachable", reason=str(error)) from error
    return SettingsOutput(version=version.number, values=dict(version.values))
