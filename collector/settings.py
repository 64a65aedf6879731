"""Settings of the collector: tables `store`, `writer` and `elasticsearch` of the configuration."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  pydantic reads the annotation at run time
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from sensor.configuration import Section, secret
from sensor.loopback import is_loopback
from sensor.tls_settings import TlsSettings


class StoreSettings(Section, table="store"):
    """How records are kept and asked for."""

    file_rows: int = Field(default=1_000_000, ge=1_000, le=16_000_000)
    """Files of so many rows are not merged."""

    file_bytes: int = Field(default=64 * 1024**2, ge=1024**2, le=1024**3)
    """Nor is one of so many bytes."""

    merge_files: int = Field(default=16, ge=2, le=256)
    """So many files of like size make one."""

    query_seconds: float = Field(default=30.0, gt=0, le=600)
    """Most time of one query."""

    query_memory_bytes: int = Field(default=1024**3, ge=64 * 1024**2)
    """Most memory of all queries together."""

    query_threads: int = Field(default=2, ge=1, le=256)
    """Threads of all queries together."""

    query_rows: int = Field(default=1_000_000, ge=1)
    """Most rows of the answer to one SQL query."""


class WriterSettings(Section, table="writer"):
    """How batches are gathered on their way into the store."""

    gather_rows: int = Field(default=500_000, ge=1, le=16_000_000)
    """So many rows are stored at once."""

    gather_bytes: int = Field(default=64 * 1024**2, ge=1, le=1024**3)
    """So many bytes are stored at once: batches as they came, and what they unfold to where each row has its texts by itself."""

    gather_seconds: float = Field(default=1.0, ge=0, le=60)
    """Records wait at most so long for others."""


class ElasticsearchSettings(TlsSettings, table="elasticsearch"):
    """A cluster that keeps the records, and who this process is there."""

    hosts: str = ""
    """Nodes to talk to, `https://host:port,https://host:port`; none: records are kept in files of this machine."""

    prefix: str = Field(default="icsight", pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")
    """What the names of all indices and templates begin with, so that several systems can share a cluster."""

    username: str = ""
    """Name of this process."""

    password: SecretStr | None = None
    """Its password."""

    password_file: Path | None = None
    """File that holds the password and nothing else."""

    api_key: SecretStr | None = None
    """An API key instead of name and password, as Elasticsearch gives it (`encoded`)."""

    api_key_file: Path | None = None
    """File that holds the API key and nothing else."""

    connect_seconds: float = Field(default=10.0, gt=0, le=120)
    """How long the first answer may take before what is wrong is told."""

    request_seconds: float = Field(default=60.0, gt=0, le=600)
    """How long the answer to one request that writes may take."""

    bulk_bytes: int = Field(default=4 * 1024**2, ge=64 * 1024, le=64 * 1024**2)
    """Most bytes of one request that writes; where a node takes fewer, requests are split."""

    bulk_requests: int = Field(default=2, ge=1, le=64)
    """Most requests that write at the same time."""

    patience_seconds: float = Field(default=60.0, gt=0, le=3_600)
    """How long rows that the cluster is too busy to take are sent again, ever more slowly, before storing has failed."""

    sql_rows: int = Field(default=300_000, ge=1, le=16_000_000)
    """Most rows of one table that are fetched to answer one SQL query; a query that needs more is refused."""

    shards: int = Field(default=1, ge=1, le=1024)
    """Primary shards of each index, which holds one day of one table."""

    replicas: int = Field(default=1, ge=0, le=16)
    """Copies of each shard."""

    retention_days: int | None = Field(default=None, ge=1, le=36_500)
    """Days after which the cluster itself removes records, by the day on which they happened; none: never."""

    @property
    def addresses(self) -> list[str]:
        """The nodes one by one, each once."""
        return list(dict.fromkeys(host.strip().rstrip("/") for host in self.hosts.split(",") if host.strip()))

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for address in self.addresses:
            try:
                url = urlsplit(address)
            except ValueError:
                # It would say what stands there.
                raise ValueError("hosts: write https://host:port") from None
            if url.scheme not in {"http", "https"} or not url.hostname or "@" in address:
                raise ValueError("hosts: write https://host:port, without a name or password")
            if url.scheme == "http" and not is_loopback(url.hostname):
                raise ValueError(f"hosts: {url.hostname} is another machine: use https")
        if self.username and not (self.password or self.password_file):
            raise ValueError("username needs password or password_file")
        if self.username and (self.api_key or self.api_key_file):
            raise ValueError("give either a username or an API key")
        return self

    def secret_password(self) -> str | None:
        """The password. Raises ConfigurationError where its file cannot be read."""
        return secret(self.password, self.password_file, "elasticsearch.password")

    def secret_api_key(self) -> str | None:
        """The API key. Raises ConfigurationError where its file cannot be read."""
        return secret(self.api_key, self.api_key_file, "elasticsearch.api_key")
