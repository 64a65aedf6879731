"""Settings that sensors are sent: versions kept here, and carried over Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from api.audit import service as audit
from api.database.scope import row_of
from api.enrolment.models import EnrolledSensor
from api.versions import check_version
from sensor.configuration import ConfigurationError
from sensor.control_records import SETTINGS
from sensor.remote_settings import ALLOWED, Version, checked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from api.database import Database
    from sensor.kafka_settings import KafkaSettings


class Unreachable(Exception):  # noqa: N818 - named for what it reports
    """A sensor cannot be asked anything. The text is one line."""


class Post(Protocol):
    """The way to sensors."""

    def check(self, sensor: str) -> None:
        """Look whether a sensor can be asked. Raises Unreachable."""
        ...

    def send(self, sensor: str, kind: str, content: str) -> None:
        """Put a record into what a sensor reads, whether it is there or not; durable on return. Raises Unreachable."""
        ...


class KafkaPost:
    """The way over Kafka: a topic for each sensor."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka

    def check(self, sensor: str) -> None:
        """Look whether a sensor can be asked. Raises Unreachable."""
        try:
            from sensor.kafka_client import KafkaUnusable, probe  # noqa: PLC0415  a centre without Kafka has none of its libraries
            from sensor.topics import Topics  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise _missing(error) from error
        try:
            probe(self._kafka, [Topics(self._kafka.prefix).control(sensor)])
        except (KafkaUnusable, ConfigurationError) as error:
            raise Unreachable(str(error)) from error

    def send(self, sensor: str, kind: str, content: str) -> None:
        """Put a record into what a sensor reads, whether it is there or not; durable on return. Raises Unreachable."""
        try:
            from sensor.kafka_client import KafkaUnusable  # noqa: PLC0415  as above
            from sensor.kafka_control import send  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise _missing(error) from error
        try:
            send(self._kafka, sensor, kind, content)
        except (KafkaUnusable, ConfigurationError) as error:
            raise Unreachable(str(error)) from error


def change(  # noqa: PLR0913 - what is sent to whom, by whom, and what he had seen
    database: Database,
    post: Post,
    actor: audit.Actor,
    sensor: str,
    changes: Mapping[str, float | None],
    *,
    if_match: str | None = "*",
) -> Version:
    """Make the next version of a sensor's settings, and send it.

    Args:
        database: the database.
        post: the way to the sensor.
        actor: who changes.
        sensor: name of the sensor.
        changes: new values; None for what shall be as the sensor was started. Others stay as they are.
        if_match: the version that the change is made on, as an entity tag.

    Raises:
        SettingsRefused: a setting is not one that may be changed from afar, or out of its bounds. Nothing was changed.
        Problem: `precondition_failed` where somebody has sent others since; `precondition_required`.
        Unreachable: the sensor cannot be asked. At the last moment the version is kept, and goes with the next one.
    """
    for name, value in changes.items():
        checked(name, ALLOWED[name].least if value is None and name in ALLOWED else value)
    post.check(sensor)
    with database.write() as session:
        row = row_of(session, EnrolledSensor, sensor)
        check_version(0 if row is None else row.settings_version, if_match, "another administrator")
        if row is None:
            row = EnrolledSensor(
                name=sensor, site="", generation=1, enrolled_at=None, revoked_at=None, settings_version=0, settings={}
            )
            session.add(row)
        values = {name: value for name, value in {**row.settings, **changes}.items() if value is not None}
        row.settings, row.settings_version = values, row.settings_version + 1
        version = Version(row.settings_version, values)
        audit.record(session, actor, "sensor.settings", sensor, {"version": version.number, "settings": values})
    post.send(sensor, SETTINGS, version.to_json())
    return version


def _missing(error: ModuleNotFoundError) -> Unreachable:
    return Unreachable(f"this needs the Python package {error.name}, which is not installed: pip install 'icsight[kafka]'")
