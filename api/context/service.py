"""What is known around an alert: from the database, and from records as far as these can be read in time.

All questions to the records together may take about as long as one: what is not told by then is missing, and says so.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

import polars as pl
import sqlalchemy as sa

from api.alerts import service as alerts
from api.alerts.models import Alert
from api.assets.models import Asset, AssetAddress
from api.baseline import service as baseline
from api.incidents.models import Incident, IncidentAlert
from api.points import service as points
from api.problems import Problem
from api.records import service as records
from api.records.span import Span, grouped
from api.sensors.sites import sensors_of
from api.site import service as sites
from api.situation.drawn import POINT_FIELDS
from api.times import NANOSECONDS
from api.zones import service as zones
from collector.store import Filter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy.orm import Session

    from api.context.schemas import Part
    from api.points.service import Found
    from api.security.permissions import Permission
    from api.services import Services
    from api.zones.plan import Places
    from detection.site import Site

T = TypeVar("T")

DAYS: Final = 30
"""How far back is looked."""

SHOWN: Final = 20
"""Most points, others, earlier alerts, incidents, and things said of a device."""

SAMPLE: Final = 20
"""Records behind the alert of which is looked what was done."""

SAFE_SECONDS: Final = 0.1
"""Time that the last question gets at least."""

OPERATION: Final[Mapping[str, str]] = {"modbus": "modbus.function", "opcua": "opcua.service", "flow": "network.application"}
"""The column that says what was done, by table."""


@dataclass(slots=True)
class Context:
    """What is known around an alert.

    seen: first and last time of each address in conversations. said: rows of table `device`. others: client, operation, rows,
    first, last. written: process points that the client wrote. missing: problems, by part.
    """

    alert: Alert
    span: Span
    facts: Site
    places: Places
    assets: Mapping[str, Asset]
    earlier: Sequence[Alert]
    incidents: Sequence[tuple[Incident, Sequence[str]]]
    seen: Mapping[str, tuple[int, int]] = field(default_factory=dict[str, "tuple[int, int]"])
    said: pl.DataFrame = field(default_factory=pl.DataFrame)
    others: pl.DataFrame = field(default_factory=pl.DataFrame)
    more: int = 0
    protocol: str | None = None
    points: Found | None = None
    written: frozenset[str] = frozenset()
    missing: dict[Part, Problem] = field(default_factory=dict["Part", Problem])


NEEDED: Final[Mapping[Part, Permission]] = {
    "devices": "asset.read",
    "incidents": "incident.read",
    "operations": "asset.read",
    "points": "point.read",
}
"""What a part of a context needs beside seeing the alert: what the resource needs that tells it by itself."""


def around(services: Services, alert_id: str, may: Callable[[Permission], bool]) -> Context:
    """What is known around an alert, of what its reader may see. Raises Problem `alert_unknown`."""
    with services.database.read() as session:
        found = _stored(session, services, alerts.get(session, alert_id))
    deadline = time.monotonic() + services.settings.query_seconds
    refused: dict[Part, Problem] = {
        part: Problem("forbidden", permission=permission) for part, permission in NEEDED.items() if not may(permission)
    }
    if "devices" in refused:
        found.assets = {}
    if "incidents" in refused:
        found.incidents = []
    try:
        sensors = sensors_of(services, found.alert.site)
    except Problem as problem:
        found.missing = {"devices": problem, "operations": problem, "points": problem, **refused}
        return found
    found.missing |= refused
    found.span = replace(found.span, sensors=sensors)

    def asked(part: Part, questions: int, put: Callable[[Span], T]) -> T | None:
        left = max(SAFE_SECONDS, deadline - time.monotonic())
        try:
            return put(replace(found.span, seconds=left / questions))
        except Problem as problem:
            found.missing[part] = problem
            return None

    if "operations" not in refused:
        told = asked("operations", 2, lambda span: _others(services, found.alert, span))
        if told is not None:
            found.others, found.more, found.protocol = told
    if "points" not in refused and found.alert.server_ip is not None:
        touched = asked("points", 5 + len(sensors), lambda span: _points(services, found.alert, span))
        if touched is not None:
            found.points, found.written = touched
    if "devices" not in refused:
        known = asked("devices", 3, lambda span: _devices(services, found.alert, span))
        if known is not None:
            found.seen, found.said = known
    if found.others.height:
        with services.database.read() as session:
            clients = [str(each) for each in found.others["client"].unique()]
            found.assets = {**assets_of(session, found.alert.site, clients), **found.assets}
    return found


def _stored(session: Session, services: Services, alert: Alert) -> Context:
    """What the database knows."""
    until = alert.last_seen + 1_000
    span = Span(max(0, until - DAYS * 86_400 * NANOSECONDS), until, services.settings.query_seconds)
    earlier = _earlier(session, alert)
    return Context(
        alert, span, sites.in_force(session, alert.site), zones.places(session, services.kept, alert.site),
        assets_of(session, alert.site, ends(alert)), earlier, _incidents(session, alert, earlier),
    )  # fmt: skip


def ends(alert: Alert) -> list[str]:
    """The addresses of an alert."""
    return [address for address in (alert.client_ip, alert.server_ip) if address is not None]


def assets_of(session: Session, site: str, addresses: Sequence[str]) -> dict[str, Asset]:
    """Registered assets of a site by these addresses."""
    owners = sa.select(AssetAddress.address, Asset).join(
        Asset, sa.and_(Asset.id == AssetAddress.asset_id, Asset.organisation == AssetAddress.organisation)
    )
    asked = owners.where(AssetAddress.site == site, AssetAddress.address.in_(list(addresses)))
    return {row.address: row.Asset for row in session.execute(asked)}


def _earlier(session: Session, alert: Alert) -> list[Alert]:
    """The latest alerts of before with the same client or server."""
    found: dict[str, Alert] = {}
    for column, address in ((Alert.client_ip, alert.client_ip), (Alert.server_ip, alert.server_ip)):
        if address is None:
            continue
        before = sa.select(Alert).where(
            column == address, Alert.site == alert.site, Alert.first_seen < alert.first_seen, Alert.id != alert.id,
            alerts.told_by_itself(hidden=True, laid=True), Alert.drill.is_(None),
        )  # fmt: skip
        found |= {each.id: each for each in session.scalars(before.order_by(Alert.first_seen.desc(), Alert.id).limit(SHOWN))}
    return sorted(found.values(), key=lambda each: (-each.first_seen, each.id))[:SHOWN]


def _incidents(session: Session, alert: Alert, earlier: Sequence[Alert]) -> list[tuple[Incident, list[str]]]:
    """Incidents that these alerts belong to, the latest first."""
    links = sa.select(IncidentAlert.incident, IncidentAlert.alert_id).where(
        IncidentAlert.alert_id.in_([alert.id, *(each.id for each in earlier)]), IncidentAlert.removed_at.is_(None)
    )
    members: dict[int, list[str]] = {}
    for number, name in session.execute(links.order_by(IncidentAlert.alert_id)):
        members.setdefault(number, []).append(name)
    mine = sa.select(Incident).where(Incident.number.in_(list(members))).order_by(Incident.number.desc()).limit(SHOWN)
    return [(each, members[each.number]) for each in session.scalars(mine)] if members else []


def _others(services: Services, alert: Alert, span: Span) -> tuple[pl.DataFrame, int, str | None]:
    """Who did what the alert is about to its server: the clients, how many more there are, and the protocol."""
    if alert.server_ip is None:
        return pl.DataFrame(), 0, None
    done: Counter[tuple[str, str]] = Counter()
    for table in records.of_identities(services.records, alerts.records(alert)[:SAMPLE]).tables:
        kind = "opcua" if table.table.startswith("opcua") else table.table
        column = OPERATION.get(kind)
        done.update((kind, str(row[column])) for row in table.items if column is not None and row.get(column) is not None)
    parts: list[pl.DataFrame] = []
    for table in sorted({table for table, _ in done}) or ["flow"]:
        column = OPERATION[table]
        named = sorted(name for kind, name in done if kind == table)
        conditions = [Filter("server.ip", "=", alert.server_ip), *([Filter(column, "in", named)] if named else [])]
        found, _ = grouped(services.records, table, ["client.ip", column], span, filters=conditions)
        parts.append(found.select("rows", "first", "last", client=pl.col("client.ip"), operation=pl.col(column)))
    whole = (
        pl.concat(parts).drop_nulls(["client", "operation"]).sort("rows", "client", "operation", descending=[True, False, False])
    )
    protocols = {table for table, _ in done} & {"modbus", "opcua"}
    return whole.head(SHOWN), max(0, whole.height - SHOWN), min(protocols, default=None)


def _points(services: Services, alert: Alert, span: Span) -> tuple[Found | None, frozenset[str]]:
    """The process points that the alert is about, or that its client wrote, else read, on its server while it went on.

    Which of them it wrote is told besides.
    """
    target: Mapping[str, Any] = alert.body.get("target") or {}
    names = {str(target[name]) for name in POINT_FIELDS if target.get(name) is not None}
    server = [Filter("server.ip", "=", str(alert.server_ip))]
    client = [] if alert.client_ip is None else [Filter("client.ip", "=", alert.client_ip)]
    then = replace(span, since=alert.first_seen)
    touched, _ = grouped(services.records, "point", ["point.id", "point.access"], then, filters=[*server, *client])
    writes = touched.filter(pl.col("point.access") == "write")
    busiest = (writes if writes.height else touched).drop_nulls("point.id").sort("rows", "point.id", descending=[True, False])
    names |= set(busiest["point.id"].head(SHOWN).to_list())
    learned = [each for name, each in baseline.learned(services) if name == alert.site]
    shown = sorted(names)[:SHOWN]
    written = frozenset(shown) & frozenset(writes.drop_nulls("point.id")["point.id"].to_list())
    return points.named(services.records, span, str(alert.server_ip), shown, learned) if names else None, written


def _devices(services: Services, alert: Alert, span: Span) -> tuple[dict[str, tuple[int, int]], pl.DataFrame]:
    """When each end had part in conversations, and what was said of it."""
    asked = ends(alert)
    if not asked:
        return {}, pl.DataFrame()
    seen: dict[str, tuple[int, int]] = {}
    for column in ("client.ip", "server.ip"):
        found, _ = grouped(services.records, "flow", [column], span, filters=[Filter(column, "in", asked)])
        for address, first, last in found.select(column, "first", "last").iter_rows():
            before = seen.get(address, (first, last))
            seen[address] = min(first, before[0]), max(last, before[1])
    by = ["device.ip", "device.attribute", "device.value", "device.source"]
    said, _ = grouped(services.records, "device", by, span, filters=[Filter("device.ip", "in", asked)])
    return seen, said.drop_nulls(by).sort("last", *by, descending=[True, False, False, False, False])
