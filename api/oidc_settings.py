"""Signing in through an OpenID provider: table `oidc` of the configuration."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  pydantic reads the annotation at run time
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, StringConstraints, model_validator

from api.security.permissions import Role
from sensor.configuration import secret
from sensor.tls_settings import TlsSettings

ALL_SITES: Final = "*"
"""Stands in `sites` for all sites of the organisation."""

Claim = Annotated[str, StringConstraints(min_length=1, max_length=200)]
"""Name of a claim; a dot leads into an object (`realm_access.roles`)."""


class OidcSettings(TlsSettings, table="oidc"):
    """An OpenID provider that people sign in through, and what its claims give them here: never more than this table says.

    The provider must know `/sign-in/oidc` of this system as redirect URI.
    """

    issuer: str = Field(default="", max_length=255)
    """`https://NAME/PATH`, as the provider writes it in its tokens; without it nobody signs in through one."""

    client_id: str = Field(default="", max_length=255)
    """What this system is called at the provider."""

    client_secret: SecretStr | None = None
    """Secret of the client; without one it is a public client, and PKCE alone holds."""

    client_secret_file: Path | None = None
    """File that holds the secret and nothing else."""

    client_authentication: str = Field(default="basic", pattern=r"^(basic|post)$")
    """How the secret is shown: `basic` or `post`, as the client is registered."""

    name: str = Field(default="", max_length=60)
    """What the provider is called on the sign-in page; without it, its host."""

    scopes: tuple[str, ...] = ("openid", "profile")
    """What is asked for; `openid` must be among them."""

    sign_in_anew: bool = True
    """Whether the provider asks who is there each time, so that at a shared screen nobody comes in as the one before him."""

    name_claim: Claim = "preferred_username"
    """Claim that names a new account."""

    role_claim: Claim = "groups"
    """Claim whose value, or values, `roles` knows."""

    roles: dict[str, Role] = Field(default_factory=dict[str, Role])
    """Value of the claim → role. Of several that match the first that is written here counts; who has none is not let in."""

    site_claim: Claim | None = None
    """Claim whose values `sites` knows; without it, whoever has a role has it at all sites."""

    sites: dict[str, str] = Field(default_factory=dict[str, str])
    """Value of the claim → site, or `*` for all. Who has none is not let in."""

    clock_seconds: int = Field(default=60, ge=0, le=300)
    """How far the provider's clock may be off."""

    timeout_seconds: float = Field(default=5.0, ge=0.1, le=60)
    """How long the provider may be silent."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.issuer and not is_https(self.issuer):
            raise ValueError("issuer is none: write https://NAME, without a query")
        if self.issuer and not (self.client_id and self.roles):
            raise ValueError("an issuer needs client_id, and roles: who may come in as what")
        if self.issuer and (self.site_claim is None) != (not self.sites):
            raise ValueError("site_claim and sites belong together: give both, or neither for all sites")
        if self.client_secret is not None and self.client_secret_file is not None:
            raise ValueError("client_secret and client_secret_file are both given: give one")
        if "openid" not in self.scopes:
            raise ValueError("scopes must hold openid")
        return self

    @property
    def shown_name(self) -> str:
        """What the provider is called on the sign-in page."""
        return self.name or urlsplit(self.issuer).hostname or self.issuer

    def secret(self) -> str | None:
        """The client's secret. Raises ConfigurationError where its file cannot be read."""
        return secret(self.client_secret, self.client_secret_file, "oidc.client_secret")


def is_https(url: object) -> bool:
    """Whether something is an `https:` address of a host, with neither user, query nor fragment."""
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc and not (parts.query or parts.fragment)
