"""Settings of the API and of its database: tables `serve` and `database` of the configuration."""

from __future__ import annotations

import re
from pathlib import Path  # noqa: TC003  pydantic reads the annotation at run time
from typing import TYPE_CHECKING, Final, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from api.audit_settings import AuditSettings
from api.notification_settings import NotificationSettings
from api.oidc_settings import OidcSettings
from sensor.configuration import Section, secret
from sensor.loopback import is_loopback
from sensor.tls_settings import TlsSettings

if TYPE_CHECKING:
    from sqlalchemy import URL


PASSWORD_WORD_CHARACTERS: Final = 3
"""Shortest word that passwords are kept free of: shorter ones are part of many others."""

_ORIGIN: Final = re.compile(r"https?://[a-z0-9.-]+(:\d{1,5})?|https?://\[[0-9a-f:]+\](:\d{1,5})?")


class DatabaseSettings(TlsSettings, table="database"):
    """Where alerts, decisions, accounts and the audit trail are kept: table `database` of the configuration."""

    url: str = ""
    """`postgresql://USER@HOST:PORT/NAME`, with libpq's parameters where they are needed; without it, `icsight.db` in the data
    folder. The password does not belong into it."""

    password: SecretStr | None = None
    """Password of the user."""

    password_file: Path | None = None
    """File that holds the password and nothing else."""

    connect_seconds: float = Field(default=10.0, ge=2, le=120)
    """How long a connection may take."""

    organisation: str = Field(default="default", pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    """Whose rows this process sees and writes; organisations that share a database see nothing of each other."""

    partitioned: bool = True
    """Whether the tables of alerts and of audit entries are cut into partitions (PostgreSQL 13 or later). Off for openGauss,
    which has other words for it. Counts when the tables are made."""

    connections: int = Field(default=24, ge=1, le=1000)
    """Most connections that one process has at a time."""

    @model_validator(mode="after")
    def _names_a_database(self) -> Self:
        if not self.url:
            return self
        from sqlalchemy import make_url  # noqa: PLC0415  gateways know the table's names, and have no SQLAlchemy
        from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

        try:
            url = make_url(self.url)
        except (ArgumentError, ValueError):
            raise ValueError("url is none: write postgresql://USER@HOST:PORT/NAME") from None
        if url.drivername not in {"postgresql", "postgresql+psycopg"} or not url.database or not url.host:
            raise ValueError(
                "url is written postgresql://USER@HOST:PORT/NAME; without one the database is a file of the data folder"
            )
        if url.password is not None or any(name.lower().endswith("password") for name in url.query):
            raise ValueError("url holds a password, and it is shown: give password_file, or password in the environment")
        if self.password is not None and self.password_file is not None:
            raise ValueError("password and password_file are both given: give one")
        return self

    def address(self) -> URL:
        """The server and its database, without the password. Off this machine the server must show a certificate for its name."""
        from sqlalchemy import make_url  # noqa: PLC0415

        url = make_url(self.url).set(drivername="postgresql+psycopg")
        if "sslmode" not in url.query and not is_loopback(url.host or ""):
            url = url.update_query_dict({"sslmode": "verify-full"})
        if "sslrootcert" not in url.query and str(url.query.get("sslmode", "")).startswith("verify"):
            url = url.update_query_dict({"sslrootcert": "system" if self.ca_file is None else str(self.ca_file)})
        if "sslcert" not in url.query and self.certificate_file is not None:
            url = url.update_query_dict({"sslcert": str(self.certificate_file), "sslkey": str(self.key_file)})
        return url

    def secret(self) -> str | None:
        """The password. Raises ConfigurationError where its file cannot be read."""
        return secret(self.password, self.password_file, "database.password")


class ServeSettings(Section, table="serve"):
    """How the API and the console are served. The defaults are right for one plant on one machine."""

    host: str = "127.0.0.1"
    """Address to listen on. Any but a loopback address needs a certificate."""

    port: int = Field(default=8420, ge=0, le=65_535)
    """TCP port to listen on; 0 takes a free one."""

    tls_certificate: Path | None = None
    """PEM file with the server's certificate and its chain."""

    tls_key: Path | None = None
    """PEM file with the certificate's private key."""

    host_names: tuple[str, ...] = ()
    """Further names by which browsers may call this server (the Host header is checked against DNS rebinding)."""

    address: str = Field(default="", max_length=255)
    """`https://NAME` by which browsers call this server, where a proxy stands before it; without it, what the browser says."""

    session_idle_seconds: int = Field(default=8 * 3600, ge=60, le=7 * 86_400)
    """A session that has not been used for so long ends: one shift."""

    session_lifetime_seconds: int = Field(default=24 * 3600, ge=60, le=30 * 86_400)
    """A session ends after so long, used or not."""

    sessions_per_user: int = Field(default=20, ge=1, le=1000)
    """Most sessions that one account has at a time; the oldest makes room."""

    setup_link_seconds: int = Field(default=3600, ge=60, le=7 * 86_400)
    """How long the one-time link that creates the first account can be used."""

    password_link_seconds: int = Field(default=86_400, ge=300, le=7 * 86_400)
    """How long a one-time link can be used by which the owner of an account chooses its password."""

    password_characters: int = Field(default=12, ge=8, le=128)
    """Least length of a password, in characters (NIST SP 800-63B, 5.1.1.2: length instead of composition)."""

    password_words: tuple[str, ...] = ()
    """Words that no password may hold besides the product's and the account's name: of the plant, its operator, its systems."""

    sign_in_attempts: int = Field(default=5, ge=1, le=100)
    """Failed sign-ins of an account, or from an address, before each further one has to wait."""

    sign_in_wait_seconds: float = Field(default=2.0, ge=0.1, le=60)
    """First wait after too many failed sign-ins; it doubles with each further failure."""

    sign_in_wait_most_seconds: float = Field(default=900.0, ge=1, le=86_400)
    """Longest wait after failed sign-ins."""

    body_bytes: int = Field(default=64 * 1024, ge=1024, le=16 * 1024 * 1024)
    """Largest request body, in bytes."""

    import_bytes: int = Field(default=8 * 1024 * 1024, ge=1024, le=64 * 1024 * 1024)
    """Largest request body with a file of assets, in bytes."""

    evidence_bytes: int = Field(default=1024**3, ge=1024, le=2 * 1024**3)
    """Largest piece of evidence, in bytes."""

    evidence_folder: Path | None = None
    """Folder of the evidence of incidents; without it `evidence` in the data folder. Servers of one database share one."""

    query_seconds: float = Field(default=10.0, ge=0.1, le=600)
    """A query of the database or of the records that takes longer is given up."""

    requests_per_minute: int = Field(default=6000, ge=1, le=10_000_000)
    """Most requests of one account, or from one address without one, in any minute, to each server."""

    cors_origins: tuple[str, ...] = ()
    """Other origins (`https://portal.example`) whose pages may call this API, with a token and without cookies. None
    by default."""

    live_connections: int = Field(default=64, ge=1, le=10_000)
    """Most live streams at a time."""

    live_poll_seconds: float = Field(default=2.0, ge=0.05, le=60)
    """How often a live stream looks for changes that another process made, and at the sensors' health."""

    live_replay_rows: int = Field(default=500, ge=1, le=10_000)
    """Most alerts that a live stream brings at once after a break; a client that missed more is told to load the list anew."""

    @model_validator(mode="after")
    def _encrypted_beyond_this_machine(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("a certificate and its key belong together: give both --tls-certificate and --tls-key")
        if not is_loopback(self.host) and self.tls_certificate is None:
            raise ValueError(
                f"{self.host} can be reached by other machines, and plain HTTP is for this machine only: "
                "give --tls-certificate and --tls-key, or listen on 127.0.0.1"
            )
        return self

    @field_validator("address")
    @classmethod
    def _is_origin(cls, address: str) -> str:
        if address and _ORIGIN.fullmatch(address) is None:
            raise ValueError("address is no origin: write https://NAME or https://NAME:PORT")
        return address

    @field_validator("password_words")
    @classmethod
    def _are_words(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        if any(len(word.strip()) < PASSWORD_WORD_CHARACTERS for word in words):
            raise ValueError(f"each word has {PASSWORD_WORD_CHARACTERS} characters or more: shorter ones are part of many others")
        return words

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if _ORIGIN.fullmatch(origin) is None:
                raise ValueError(f"{origin[:100]!r} is no origin: write https://NAME or https://NAME:PORT, and each by itself")
        return origins

    @property
    def encrypted(self) -> bool:
        """Whether the server speaks TLS."""
        return self.tls_certificate is not None


class Settings(ServeSettings):
    """All that the parts of the API are told: its table, the database, and the folder that the command was given."""

    data: Path
    """Folder of the system's data. Made where it is missing, readable by its owner only."""

    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    """Where alerts, decisions, accounts and the audit trail are kept."""

    audit: AuditSettings = Field(default_factory=AuditSettings)
    """How the audit trail is held against those who could alter it."""

    oidc: OidcSettings = Field(default_factory=OidcSettings)
    """The OpenID provider that people sign in through, where there is one."""

    notifications: NotificationSettings = Field(default_factory=NotificationSettings)
    """The channels by which notices leave."""

    @property
    def evidence_place(self) -> Path:
        """Folder of the evidence of incidents."""
        return self.evidence_folder or self.data / "evidence"

    @property
    def database_path(self) -> Path:
        """The SQLite database in the data folder."""
        return self.data / "icsight.db"
