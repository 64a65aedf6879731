"""What is known around an alert as the API shows it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from api.alerts.models import SEVERITIES
from api.assets.levels import level_of
from api.assets.models import CRITICALITIES
from api.assets.presentation import zone_of
from api.context import service
from api.context.effects import effects
from api.context.schemas import (
    AlertContext,
    ContextAsset,
    ContextEffect,
    ContextEnd,
    ContextIncident,
    ContextPoint,
    EarlierAlert,
    Missing,
    OtherClient,
    SaidOf,
)
from api.points import presentation as points
from api.texts import text
from api.times import iso
from api.topology.collapsed import agreement

if TYPE_CHECKING:
    from typing import Any

    from api.alerts.models import Alert
    from api.assets.models import Asset
    from api.context.service import Context
    from api.zones.plan import Zone


def output(found: Context, language: str) -> AlertContext:
    """What is known around an alert."""
    alert = found.alert
    sides = [(side, address) for side, address in (("client", alert.client_ip), ("server", alert.server_ip)) if address]
    return AlertContext.model_validate(
        {
            "since": iso(found.span.since), "until": iso(found.span.until),
            "ends": [_end(found, side, address) for side, address in sides],
            "effects": _effects(found, language),
            "way": _way(found), "points": _points(found), "operations": _others(found), "more_operations": found.more,
            "earlier": [_earlier(alert, each, language) for each in found.earlier],
            "incidents": [
                ContextIncident.model_validate(
                    {
                        "number": each.number, "title": each.title, "state": each.state, "grade": each.grade,
                        "drill": each.drill, "alerts": names,
                    }
                )
                for each, names in found.incidents
            ],
            "missing": [
                Missing(part=part, code=problem.code, reason=text(language, f"problem.{problem.code}.title"))
                for part, problem in sorted(found.missing.items())
            ],
        }
    )  # fmt: skip


def _zone(found: Context, address: str) -> Zone | None:
    asset = found.assets.get(address)
    zone = None if asset is None else zone_of(asset, found.places)
    return found.places.zone(address) if zone is None else zone


def _end(found: Context, side: str, address: str) -> ContextEnd:
    asset, zone = found.assets.get(address), _zone(found, address)
    level, known_from = level_of("" if asset is None else asset.level, zone, [] if asset is None else [asset.role])
    said: list[dict[str, Any]] = []
    if found.said.height:
        said = [row for row in found.said.iter_rows(named=True) if row["device.ip"] == address][: service.SHOWN]
    seen = found.seen.get(address)
    return ContextEnd.model_validate(
        {
            "side": side, "address": address, "asset": None if asset is None else _asset(asset),
            "factor": found.facts.critical.get(address), "zone": None if zone is None else zone.name, "level": level,
            "level_of": known_from, "first_seen": None if seen is None else iso(seen[0]),
            "last_seen": None if seen is None else iso(seen[1]),
            "said": [
                SaidOf(
                    attribute=row["device.attribute"], value=row["device.value"], source=row["device.source"],
                    last=iso(row["last"]),
                )
                for row in said
            ],
        }
    )  # fmt: skip


def _asset(asset: Asset) -> ContextAsset:
    plain = {name: getattr(asset, name) for name in ("id", "name", "role", "owner", "location", "vendor", "product", "note")}
    return ContextAsset.model_validate({**plain, "criticality": CRITICALITIES[asset.criticality]})


def _effects(found: Context, language: str) -> list[ContextEffect]:
    if found.alert.body.get("posture"):
        return []  # nothing happened
    server = None if found.alert.server_ip is None else found.assets.get(found.alert.server_ip)
    return [
        ContextEffect.model_validate({**asdict(each), "text": text(language, f"effect.{each.kind}")})
        for each in effects(found.alert.body["techniques"], found.written, None if server is None else server.role)
    ]


def _way(found: Context) -> str:
    """How the two ends fit the plan of zones."""
    client, server = found.alert.client_ip, found.alert.server_ip
    if client is None or server is None:
        return "unknown"
    one, other = _zone(found, client), _zone(found, server)
    names = None if one is None else one.name, None if other is None else other.name
    way = agreement(*names, found.protocol, found.places)
    # Where the records do not tell the protocol it is none that the conduit is not for.
    return "declared" if way == "protocol" and found.protocol is None else way


def _points(found: Context) -> list[ContextPoint]:
    if found.points is None:
        return []
    told = points.page(found.alert.site, found.span, found.points, found.facts).items[: service.SHOWN]
    return [
        ContextPoint.model_validate(
            {**each.model_dump(), "critical": found.facts.critical.get(each.point), "lists": _lists(found, each.point)}
        )
        for each in told
    ]


def _lists(found: Context, point: str) -> list[str]:
    """The lists of the site's file that name a point of the alert's server."""
    named = {point, f"{found.alert.server_ip} {point}"}
    return sorted(name for name, members in found.facts.lists.items() if named & set(members))


def _others(found: Context) -> list[OtherClient]:
    told: list[OtherClient] = []
    for row in found.others.iter_rows(named=True):
        asset, zone = found.assets.get(row["client"]), _zone(found, row["client"])
        told.append(
            OtherClient(
                client=row["client"],
                name=None if asset is None else asset.name,
                zone=None if zone is None else zone.name,
                own=row["client"] == found.alert.client_ip,
                operation=row["operation"],
                records=row["rows"],
                first=iso(row["first"]),
                last=iso(row["last"]),
            )
        )
    return told


def _earlier(alert: Alert, other: Alert, language: str) -> EarlierAlert:
    same = [
        side
        for side, mine, its in (
            ("client", alert.client_ip, other.client_ip),
            ("server", alert.server_ip, other.server_ip),
        )
        if mine is not None and mine == its
    ]
    return EarlierAlert.model_validate(
        {
            "id": other.id, "title": other.body["texts"][language]["title"], "rule": other.rule,
            "severity": SEVERITIES[other.severity], "state": other.triage_state, "disposition": other.triage_disposition,
            "first_seen": iso(other.first_seen), "same": same, "incident": other.triage_incident,
        }
    )  # fmt: skip
