"""TLS towards a service: the same settings in the table of each (`kafka`, `elasticsearch`, `database`)."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  pydantic reads the annotation at run time
from typing import Self

from pydantic import SecretStr, model_validator

from sensor.configuration import Section, secret


class TlsSettings(Section):
    """What is checked of a service, and what this process shows it: a part of the tables of services, and no table itself."""

    ca_file: Path | None = None
    """PEM file of the authorities that the service's certificates are checked against; without it, the system's."""

    certificate_file: Path | None = None
    """PEM file of this process' certificate and its chain, where the service asks for one."""

    key_file: Path | None = None
    """PEM file of the certificate's private key."""

    key_password: SecretStr | None = None
    """Password of the private key, where the file is encrypted."""

    key_password_file: Path | None = None
    """File that holds the private key's password and nothing else."""

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file belong together: give both")
        if self.key_password is not None and self.key_password_file is not None:
            raise ValueError("key_password and key_password_file are both given: give one")
        if self.key_file is None and (self.key_password is not None or self.key_password_file is not None):
            raise ValueError("key_password needs key_file, the key that it opens")
        return self

    def secret_key_password(self) -> str | None:
        """The private key's password. Raises ConfigurationError where its file cannot be read."""
        return secret(self.key_password, self.key_password_file, f"{self.table}.key_password")
