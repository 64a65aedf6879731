"""How sensors are enrolled: table `enrolment` of the configuration."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  pydantic reads the annotation at run time

from pydantic import Field

from sensor.configuration import Section


class EnrolmentSettings(Section, table="enrolment"):
    """The authority of sensors' certificates, and what sensors are told of Kafka."""

    authority_file: Path | None = None
    """PEM file of the authority's certificate; without it `authority/ca.pem` in the data folder, which `icsight enrolment ca`
    makes. Brokers must trust it for clients."""

    authority_key_file: Path | None = None
    """PEM file of the authority's private key, without a password; without it `authority/ca.key` in the data folder."""

    certificate_days: float = Field(default=90.0, ge=0.001, le=825)
    """How long a sensor's certificate holds, days. It is renewed when a third of that remains."""

    bootstrap: str = ""
    """Brokers as sensors reach them, where that is another listener than `[kafka] bootstrap`: the one that asks for
    certificates."""

    brokers_ca_file: Path | None = None
    """PEM file of the authorities that sensors check the brokers' certificates against; without it `[kafka] ca_file`, and
    without that the sensors' systems'."""

    replication: int = Field(default=3, ge=1, le=9)
    """Copies of the topic in which a sensor is asked."""

    def authority(self, data: Path) -> tuple[Path, Path]:
        """Files of the authority's certificate and its key."""
        folder = data / "authority"
        return self.authority_file or folder / "ca.pem", self.authority_key_file or folder / "ca.key"
