"""What of a plant a drill is about: a controller that is there, who reads it and what, and a stranger who is not there."""

from __future__ import annotations

import ipaddress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from api.assets import service as assets
from api.assets.addresses import is_hardware
from api.drills.frames import Host
from api.problems import Problem
from api.records import span as spans
from api.sensors.sites import sensors_of
from collector.store import Filter

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from api.assets.models import Asset
    from api.records.span import Span
    from api.services import Services

LOOKED_BACK_SECONDS: Final = 86_400
"""How far before the latest record is looked for what is read of controllers."""

REGISTERS: Final = 64
"""Holding registers that are made use of, of those that were read."""

CONTROLLER_ROLES: Final = ("plc", "rtu", "safety_controller", "gateway")
"""Roles of registered assets that a drill may be about where no traffic of a controller was seen."""

MODBUS_PORT: Final = 502

STRANGERS: Final = range(200, 254)
"""Last parts of addresses, beside the controller's in its network of 256, of which a stranger has the first that nobody has."""

STRANGER_ELSEWHERE: Final = "192.0.2.66"
"""His address where all of these are known: one for documentation (RFC 5737), which rules take for one from outside."""

MACS: Final = {"stranger": "00:00:5e:00:53:66", "controller": "00:00:5e:00:53:01", "station": "00:00:5e:00:53:02"}
"""Hardware addresses for documentation (RFC 9542, 2.1.2): the stranger's, and those of machines whose own was not seen."""


@dataclass(frozen=True, slots=True)
class Plant:
    """What a drill's traffic is made of.

    Attributes:
        controller: the controller.
        name: what it is registered as; empty where it is not.
        port: where it listens.
        unit: the unit identifier that it is asked for.
        registers: holding registers that were read, in order.
        station: who reads it; None where nobody was seen.
        stranger: who must not be there.
    """

    controller: Host
    name: str
    port: int
    unit: int
    registers: tuple[int, ...]
    station: Host | None
    stranger: Host

    def told(self) -> dict[str, Any]:
        """As it is kept with the drill."""
        return asdict(self)


def of(provided: Services, site: str) -> Plant:
    """What a drill at a site is about: of the controllers that answer Modbus the most critical, of these the one asked most.

    Raises Problem `drill_plant_unknown` where none is known, and as `api.records.span.asked`.
    """
    with provided.database.read() as session:
        registered = assets.of_site(session, site)
    span = _span(provided, site)
    found = _asked_most(_talks(provided, span), _criticalities(registered))
    seen = {str(each) for talk in found for each in (talk["client.ip"], talk["server.ip"])}
    taken = {*seen, *(address for asset in registered for address in asset.addresses)}

    def stranger(controller: str) -> Host:
        return _stranger(controller, taken | _heard(provided, span, controller))

    if not found:
        return _registered(registered, stranger, site)
    chosen = found[0]
    return Plant(
        Host(str(chosen["server.ip"]), str(chosen["server.mac"] or MACS["controller"])),
        _name_of(registered, str(chosen["server.ip"])), int(chosen["server.port"] or MODBUS_PORT), int(chosen["modbus.unit_id"]),
        _registers(provided, span, chosen), Host(str(chosen["client.ip"]), str(chosen["client.mac"] or MACS["station"])),
        stranger(str(chosen["server.ip"])),
    )  # fmt: skip


def _span(provided: Services, site: str) -> Span:
    """The latest day of records of the site's sensors."""
    whole = spans.span(provided.records, 0, None, provided.settings.query_seconds, sensors_of(provided, site))
    return replace(whole, since=max(0, whole.until - LOOKED_BACK_SECONDS * 1_000_000_000))


def _talks(provided: Services, span: Span) -> list[dict[str, Any]]:
    """Who asks whom, with how many requests that were answered."""
    by = ["client.ip", "client.mac", "server.ip", "server.mac", "server.port", "modbus.unit_id"]
    answered = [Filter("modbus.pairing", "=", "both"), Filter("modbus.access", "=", "read")]
    rows, _ = spans.grouped(provided.records, "modbus", by, span, filters=answered)
    return rows.drop_nulls(["client.ip", "server.ip", "modbus.unit_id"]).to_dicts()


def _asked_most(talks: Iterable[Mapping[str, Any]], criticalities: Mapping[str, int]) -> list[Mapping[str, Any]]:
    """Talks that a drill can be about, the best first. Frames are made for IPv4."""
    fit = [each for each in talks if _is_ipv4(each["client.ip"]) and _is_ipv4(each["server.ip"])]
    return sorted(
        fit,
        key=lambda each: (-criticalities.get(each["server.ip"], 0), -each["rows"], each["server.ip"], each["client.ip"]),
    )


def _registers(provided: Services, span: Span, talk: Mapping[str, Any]) -> tuple[int, ...]:
    """The holding registers at which reads of the controller's unit began."""
    conditions = [
        Filter("server.ip", "=", talk["server.ip"]), Filter("modbus.unit_id", "=", talk["modbus.unit_id"]),
        Filter("modbus.function_code", "=", 3),
    ]  # fmt: skip
    rows, _ = spans.grouped(provided.records, "modbus", ["modbus.address"], span, filters=conditions)
    return tuple(int(each) for each in rows["modbus.address"].drop_nulls().sort().head(REGISTERS).cast(pl.Int64))


def _registered(registered: Sequence[Asset], stranger: Callable[[str], Host], site: str) -> Plant:
    """A controller that people registered, of which nothing was seen. Raises Problem `drill_plant_unknown`."""
    for asset in sorted(registered, key=lambda each: (-each.criticality, each.name)):
        address = next((each for each in asset.addresses if _is_ipv4(each)), None)
        if asset.role in CONTROLLER_ROLES and address is not None:
            mac = next((each for each in asset.addresses if is_hardware(each)), MACS["controller"])
            return Plant(Host(address, mac), asset.name, MODBUS_PORT, 1, (), None, stranger(address))
    raise Problem("drill_plant_unknown", site=site or "–")


def _criticalities(registered: Iterable[Asset]) -> dict[str, int]:
    """How critical assets are, by address; one that is registered goes before one that is not."""
    return {address: asset.criticality + 1 for asset in registered for address in asset.addresses}


def _name_of(registered: Iterable[Asset], address: str) -> str:
    return next((asset.name for asset in registered if address in asset.addresses), "")


def _stranger(controller: str, taken: Collection[str]) -> Host:
    """Somebody beside a controller whom nobody knows."""
    free = (address for address in _beside(controller) if address not in taken)
    return Host(next(free, STRANGER_ELSEWHERE), MACS["stranger"])


def _beside(controller: str) -> list[str]:
    """The addresses that a stranger may have."""
    return [f"{controller.rpartition('.')[0]}.{last}" for last in STRANGERS]


def _heard(provided: Services, span: Span, controller: str) -> set[str]:
    """Those of them that somebody has, whatever he speaks: a drill names no machine that is there as the intruder."""
    found: set[str] = set()
    for side in ("client.ip", "server.ip"):
        rows, _ = spans.grouped(provided.records, "flow", [side], span, filters=[Filter(side, "in", _beside(controller))])
        found |= {str(address) for address in rows[side]}
    return found


def _is_ipv4(text: object) -> bool:
    try:
        return isinstance(text, str) and bool(ipaddress.IPv4Address(text))
    except ValueError:
        return False
