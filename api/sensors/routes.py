"""`/api/sensors`: the health of sensors and of the parts of the system, and settings that sensors are sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Header, Path, Response

from api.database.scope import row_of
from api.enrolment.centre import settings_of
from api.enrolment.models import SENSOR_CHARACTERS, EnrolledSensor
from api.openapi import problems
from api.problems import Problem
from api.security.access import Caller, Provided, needs
from api.sensors import service, settings
from api.sensors.schemas import Health, SettingsInput, SettingsOutput
from sensor.configuration import ConfigurationError
from sensor.remote_settings import SettingsRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

router = APIRouter(prefix="/api/sensors", tags=["sensors"])

Reader = Annotated[Caller, needs("sensor.read")]
Manager = Annotated[Caller, needs("sensor.manage")]
Sensor = Annotated[str, Path(min_length=1, max_length=SENSOR_CHARACTERS, examples=["pump-house-2"])]
IfMatch = Annotated[
    str | None,
    Header(
        max_length=1024, examples=['"2"'],
        description='ETag of the settings as the caller saw them, `"0"` where none were ever sent; without it 428, else 412.',
    ),
]  # fmt: skip


@router.get("", responses=problems("signed_out", "records_missing"))
def sensors(caller: Reader, provided: Provided) -> Health:
    """What the sensors last told, what the parts of this process do, and which records never came."""
    del caller
    return service.health(provided)


@router.get("/{sensor}/settings", responses=problems("signed_out", "sensor_unknown"))
def sent_settings(sensor: Sensor, caller: Reader, response: Response, provided: Provided) -> SettingsOutput:
    """The settings that a sensor was sent last. The header ETag is what `If-Match` of a change must bring."""
    del caller
    with provided.database.read() as session:
        row = row_of(session, EnrolledSensor, sensor)
        if row is None:
            raise Problem("sensor_unknown", sensor=sensor)
        return _output(row.settings_version, row.settings, response)


@router.put(
    "/{sensor}/settings",
    status_code=202,
    responses=problems(
        "signed_out", "cross_site", "sensor_unset", "sensor_unreachable", "kafka_none", "precondition_failed",
        "precondition_required",
    ),
)  # fmt: skip
def change_settings(
    sensor: Sensor, body: SettingsInput, caller: Manager, response: Response, provided: Provided, if_match: IfMatch = None
) -> SettingsOutput:
    """Send a sensor its next version of settings; `GET /api/sensors` shows when it follows them, or why not."""
    if if_match is None:
        raise Problem("precondition_required")
    try:
        _, kafka = settings_of()
    except ConfigurationError as error:
        raise Problem("sensor_unreachable", reason=str(error)) from error
    if not kafka.bootstrap:
        raise Problem("kafka_none")
    try:
        version = settings.change(
            provided.database, settings.KafkaPost(kafka), caller.actor, sensor, body.values, if_match=if_match
        )
    except SettingsRefused as error:
        raise Problem("sensor_unset", reason=str(error)) from error
    except settings.Unreachable as error:
        raise Problem("sensor_unreachable", reason=str(error)) from error
    return _output(version.number, version.values, response)


def _output(version: int, values: Mapping[str, float], response: Response) -> SettingsOutput:
    response.headers["ETag"] = f'"{version}"'
    return SettingsOutput(version=version, values=dict(values))
