"""How processes are watched: table `observability` of the configuration."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  pydantic reads the annotation at run time
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from sensor.configuration import Section
from sensor.loopback import is_loopback


class ObservabilitySettings(Section, table="observability"):
    """Metrics and health of a process, its log, and traces."""

    listen: str = ""
    """`ADDRESS:PORT` at which the process answers `/metrics`, `/healthz` and `/readyz`; without it, it does not listen. Processes
    of one machine need different ports: give each its own by the environment, or port 0 for a free one."""

    certificate_file: Path | None = None
    """PEM file of the certificate and its chain for that address; needed where other machines can reach it."""

    key_file: Path | None = None
    """PEM file of the certificate's private key."""

    client_ca_file: Path | None = None
    """PEM file of the authorities of those who may ask; without it, whoever reaches the address may."""

    log_format: Literal["text", "json"] = "text"
    """How log lines are written on standard error: for people, or one JSON object a line."""

    log_level: Literal["debug", "info", "warning", "error"] = "warning"
    """Least weight of what is logged."""

    otlp_endpoint: str = ""
    """Where traces are sent by OTLP over HTTP, `http://127.0.0.1:4318/v1/traces`; without it, none are made. https where it is
    another machine; headers and certificates by the exporter's own variables (`OTEL_EXPORTER_OTLP_HEADERS` and others)."""

    trace_share: float = Field(default=1.0, ge=0, le=1)
    """Share of batches that are traced; all processes choose the same ones."""

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port to listen on; None for none."""
        if not self.listen:
            return None
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @model_validator(mode="after")
    def _is_for_this_machine_or_encrypted(self) -> Self:
        host, _, port = self.listen.rpartition(":")
        if self.listen and (not host or not port.isdecimal() or int(port) > 65_535):
            raise ValueError("listen is written ADDRESS:PORT, as in 127.0.0.1:9464")
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file belong together: give both")
        if self.client_ca_file is not None and self.certificate_file is None:
            raise ValueError("client_ca_file needs certificate_file and key_file")
        if self.listen and not is_loopback(host) and self.certificate_file is None:
            raise ValueError("listen: other machines can reach this address: give certificate_file and key_file, or 127.0.0.1")
        if self.otlp_endpoint:
            try:
                url = urlsplit(self.otlp_endpoint)
            except ValueError:
                # It would say what stands there.
                raise ValueError("otlp_endpoint is written http://127.0.0.1:4318/v1/traces") from None
            if url.scheme not in {"http", "https"} or not url.hostname or "@" in self.otlp_endpoint:
                raise ValueError("otlp_endpoint is written http://127.0.0.1:4318/v1/traces, without a name or password")
            if url.scheme == "http" and not is_loopback(url.hostname):
                raise ValueError("otlp_endpoint is on another machine: use https")
        return self
