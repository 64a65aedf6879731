"""Purdue levels: of an asset, of its zone, or of what it is for. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from api.assets.schemas import LevelOf
    from api.zones.plan import Level, Zone

OF_ROLE: Final[Mapping[str, Level]] = {
    "io_device": "0",
    "drive": "0",
    "plc": "1",
    "rtu": "1",
    "ied": "1",
    "gateway": "1",
    "safety_controller": "1",
    "hmi": "2",
    "opcua_server": "2",
    "opcua_client": "2",
    "control_client": "2",
    "engineering_station": "2",
    "historian": "3",
    "control_centre": "3",
    "domain_controller": "3",
}
"""The level at which devices of a role usually are."""


def level_of(registered: str, zone: Zone | None, roles: Iterable[str]) -> tuple[Level | None, LevelOf | None]:
    """The level, and where it is known from: what was registered goes before the zone's, and that before the surest role's."""
    if registered:
        return registered, "registered"  # pyright: ignore[reportReturnType]  only levels are stored
    if zone is not None and zone.level is not None:
        return zone.level, "zone"
    for role in roles:
        if role in OF_ROLE:
            return OF_ROLE[role], "role"
    return None, None
