"""How Kafka is reached: table `kafka` of the configuration."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  pydantic reads the annotation at run time
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from sensor.configuration import secret
from sensor.tls_settings import TlsSettings


class KafkaSettings(TlsSettings, table="kafka"):
    """A cluster, and who this process is there."""

    bootstrap: str = ""
    """Brokers to begin with, `host:port,host:port`."""

    prefix: str = Field(default="icsight", pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")
    """What the names of all topics, groups and transactions begin with, so that several systems can share a cluster."""

    security: Literal["plaintext", "tls", "sasl_tls"] = "tls"
    """How this process shows who it is: `tls` by its certificate, `sasl_tls` by name and password (SCRAM-SHA-512) over TLS;
    `plaintext` not at all, for brokers on this machine."""

    username: str = ""
    """Name of this process, for `sasl_tls`."""

    password: SecretStr | None = None
    """Its password."""

    password_file: Path | None = None
    """File that holds the password and nothing else."""

    connect_seconds: float = Field(default=10.0, gt=0, le=120)
    """How long the first connection may take before what is wrong is told."""

    delivery_timeout_seconds: float = Field(default=120.0, ge=5, le=3_600)
    """After so long a batch that brokers have not taken is sent anew by a new producer."""

    largest_message_bytes: int = Field(default=9 * 1024**2, ge=1024**2, le=64 * 1024**2)
    """Most bytes of a message: more than the largest batch has (8 MiB, and what frames it)."""

    waiting_bytes: int = Field(default=64 * 1024**2, ge=1024**2, le=1024**3)
    """Most bytes of messages that a reader of batches holds unpacked before they are asked for, and, besides, that its client
    fetches of a broker at once (50 MiB there at most) and holds until they are looked at. The last look, of 16 messages, may go
    beyond: a message that is larger than all of it is read all the same. The group of messages that is just being unpacked, of
    128 MiB at most, comes on top."""

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if "@" in self.bootstrap:
            raise ValueError("bootstrap is written host:port, without a name or password: it is shown")
        if self.security == "sasl_tls" and not (self.username and (self.password or self.password_file)):
            raise ValueError("sasl_tls needs username, and password or password_file")
        if self.security == "tls" and self.bootstrap and (self.certificate_file is None or self.key_file is None):
            raise ValueError("tls needs certificate_file and key_file; for a cluster that asks for a password use sasl_tls")
        if self.password is not None and self.password_file is not None:
            raise ValueError("password and password_file are both given: give one")
        return self

    def secret(self) -> str | None:
        """The password. Raises ConfigurationError where its file cannot be read."""
        return secret(self.password, self.password_file, "kafka.password")
