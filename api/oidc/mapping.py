"""What the provider's claims give an account here: what the configuration says, and nothing else. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from pydantic import TypeAdapter, ValidationError

from api.oidc_settings import ALL_SITES
from api.problems import Problem
from api.users.schemas import NewName
from api.users.service import Rights, normalise

if TYPE_CHECKING:
    from collections.abc import Mapping

    from api.oidc_settings import OidcSettings
    from api.security.permissions import Role

_NAME: TypeAdapter[str] = TypeAdapter(NewName)


def named(settings: OidcSettings, claims: Mapping[str, Any]) -> str:
    """The name of a new account, as it is stored. Raises Problem `oidc_name_unfit`."""
    try:
        return normalise(_NAME.validate_python(value_of(claims, settings.name_claim), strict=True))
    except ValidationError:
        raise Problem("oidc_name_unfit", claim=settings.name_claim) from None


def rights(settings: OidcSettings, claims: Mapping[str, Any]) -> Rights:
    """Role and sites. Raises Problem `oidc_role_none`, `oidc_site_none`."""
    held = _values(claims, settings.role_claim)
    role: Role | None = next((role for value, role in settings.roles.items() if value in held), None)
    if role is None:
        raise Problem("oidc_role_none", claim=settings.role_claim)
    if settings.site_claim is None:
        return Rights(role)
    held = _values(claims, settings.site_claim)
    sites = {site for value, site in settings.sites.items() if value in held}
    if not sites:
        raise Problem("oidc_site_none", claim=settings.site_claim)
    return Rights(role, None if ALL_SITES in sites else frozenset(sites))


def missing(settings: OidcSettings, claims: Mapping[str, Any]) -> bool:
    """Whether a claim that is asked for here is not among these."""
    asked = (settings.name_claim, settings.role_claim, settings.site_claim)
    return any(value_of(claims, name) is None for name in asked if name is not None)


def value_of(claims: Mapping[str, Any], name: str) -> object:
    """The value of a claim: of that name, or where its dots lead to; None where there is none."""
    if name in claims:
        return claims[name]
    found: object = claims
    for part in name.split("."):
        found = cast("dict[str, object]", found).get(part) if isinstance(found, dict) else None
    return found


def _values(claims: Mapping[str, Any], name: str) -> frozenset[str]:
    """The texts of a claim that has one or many."""
    found = value_of(claims, name)
    listed = cast("list[object]", found) if isinstance(found, list) else [found]
    return frozenset(each for each in listed if isinstance(each, str))
