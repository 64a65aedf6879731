"""What enrolment needs of Kafka: rights given to a sensor, and taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sensor.configuration import ConfigurationError

if TYPE_CHECKING:
    from sensor.kafka_settings import KafkaSettings


class RightsError(Exception):
    """Rights cannot be given or taken away. The text is one line."""


class Rights(Protocol):
    """Rights of sensors on the brokers."""

    def check(self, sensor: str) -> None:
        """Look whether a sensor may have a name. Raises RightsError."""
        ...

    def give(self, sensor: str, generation: int) -> None:
        """Make the sensor's topic and let it in; done before where it is let in already. Raises RightsError."""
        ...

    def take(self, sensor: str) -> int:
        """Take all its rights away; returns how many it had. Raises RightsError."""
        ...


class KafkaRights:
    """Rights on a Kafka cluster.

    Args:
        kafka: how it is reached, as who may give rights.
        replication: copies of a sensor's topic.
    """

    def __init__(self, kafka: KafkaSettings, replication: int) -> None:
        self._kafka = kafka
        self._replication = replication

    def check(self, sensor: str) -> None:
        """Look whether a sensor may have a name: it is not that of a service. Raises RightsError."""
        try:
            from collector.stream.kafka_sensors import check_name  # noqa: PLC0415  as below
            from sensor.kafka_client import KafkaUnusable  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise _missing(error) from error
        try:
            check_name(sensor)
        except KafkaUnusable as error:
            raise RightsError(str(error)) from error

    def give(self, sensor: str, generation: int) -> None:
        """Make the sensor's topic and let it in; done before where it is let in already. Raises RightsError."""
        try:
            from collector.stream.kafka_sensors import needs  # noqa: PLC0415  a centre without Kafka has none of its libraries
            from collector.stream.kafka_topics import apply  # noqa: PLC0415
            from sensor.kafka_client import KafkaUnusable  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise _missing(error) from error
        try:
            apply(self._kafka, needs(self._kafka.prefix, sensor, self._replication, generation))
        except (KafkaUnusable, ConfigurationError) as error:
            raise RightsError(str(error)) from error

    def take(self, sensor: str) -> int:
        """Take all its rights away; returns how many it had. Raises RightsError."""
        try:
            from collector.stream.kafka_sensors import revoke  # noqa: PLC0415  as above
            from sensor.kafka_client import KafkaUnusable  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise _missing(error) from error
        try:
            return revoke(self._kafka, sensor)
        except (KafkaUnusable, ConfigurationError) as error:
            raise RightsError(str(error)) from error


def _missing(error: ModuleNotFoundError) -> RightsError:
    return RightsError(f"this needs the Python package {error.name}, which is not installed: pip install 'icsight[kafka]'")
