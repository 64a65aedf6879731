"""What the centre enrols sensors with, as the configuration says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from api.enrolment.authority import Authority, AuthorityError
from api.enrolment_settings import EnrolmentSettings
from sensor.configuration import ConfigurationError, configured
from sensor.kafka_settings import KafkaSettings

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Brokers:
    """What a sensor is told of Kafka.

    Attributes:
        bootstrap: brokers as it reaches them.
        prefix: what the names of topics begin with.
        authorities: PEM of the authorities of their certificates; empty for those of its system.
    """

    bootstrap: str
    prefix: str
    authorities: str


@dataclass(frozen=True, slots=True)
class Centre:
    """What the centre enrols with.

    Attributes:
        authority: issues certificates.
        days: how long they hold.
        brokers: what sensors are told.
    """

    authority: Authority
    days: float
    brokers: Brokers

    @classmethod
    def of(cls, data: Path) -> Self:
        """As the configuration says, read anew: an authority that was made meanwhile counts. Raises ConfigurationError."""
        settings, kafka = settings_of()
        try:
            authority = Authority.read(*settings.authority(data))
        except AuthorityError as error:
            raise ConfigurationError(str(error)) from error
        bootstrap = settings.bootstrap or kafka.bootstrap
        if not bootstrap:
            raise ConfigurationError("kafka.bootstrap: no broker is named for sensors to ship to")
        path = settings.brokers_ca_file or kafka.ca_file
        try:
            authorities = path.read_text(encoding="ascii") if path else ""
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{path}: not a PEM file that can be read ({error})") from error
        return cls(authority, settings.certificate_days, Brokers(bootstrap, kafka.prefix, authorities))


def settings_of() -> tuple[EnrolmentSettings, KafkaSettings]:
    """The two tables of the configuration. Raises ConfigurationError."""
    return configured(EnrolmentSettings), configured(KafkaSettings)
