"""What open alerts mean for assets, zones, conduits, levels, points and stages. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from api.alerts.models import SEVERITIES
from api.assets.levels import level_of
from api.assets.models import CRITICALITIES
from api.assets.presentation import zone_of
from api.situation.schemas import (
    AttackedPoint,
    ConduitState,
    LevelState,
    OpenStory,
    Stage,
    TouchedAsset,
    ZoneState,
)
from api.times import iso
from api.zones.plan import LEVELS, Places, Plan
from detection import attack
from detection.phrases import phrase
from detection.stories import TACTICS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from api.assets.models import Asset
    from api.situation.collected import Looked
    from api.situation.schemas import Standing
    from api.zones.plan import Level, Zone

HIGH: Final = SEVERITIES.index("high")

ASSETS: Final = 100
"""Assets that are told."""

STORIES: Final = 20

POINTS: Final = 50

POINT_FIELDS: Final = ("point.id", "opcua.node_id", "modbus.write_address", "modbus.address")
"""Fields of what an alert is about that name a process point, the most telling first."""


@dataclass(slots=True)
class Tally:
    """Alerts about something, while they are counted."""

    alerts: int = 0
    severity: int = -1
    rank: float = 0.0

    def add(self, alert: Looked) -> None:
        """One more."""
        self.alerts += 1
        self.severity = max(self.severity, alert.severity)
        self.rank = max(self.rank, alert.rank)

    @property
    def worst(self) -> dict[str, Any]:
        """As the answer tells it."""
        return {"alerts": self.alerts, "severity": SEVERITIES[self.severity] if self.alerts else None}

    @property
    def standing(self) -> Standing:
        """What it means."""
        return "attacked" if self.severity >= HIGH else "noticed" if self.alerts else "quiet"


@dataclass(slots=True)
class _Touched(Tally):
    site: str = ""
    acts: int = 0
    suffers: int = 0


@dataclass(frozen=True, slots=True)
class Map:
    """Where addresses are: registered assets and plans of zones, by site."""

    places: Mapping[str, Places]
    assets: Mapping[tuple[str, str], Asset] = field(default_factory=dict[tuple[str, str], "Asset"])
    nowhere: Places = field(default_factory=lambda: Places(Plan()))

    def at(self, site: str) -> Places:
        """The places of a site; one without a plan has none."""
        return self.places.get(site, self.nowhere)

    def zone(self, site: str, address: str) -> Zone | None:
        """The zone of an address at a site."""
        asset = self.assets.get((site, address))
        zone = None if asset is None else zone_of(asset, self.at(site))
        return self.at(site).zone(address) if zone is None else zone

    def level(self, site: str, address: str) -> Level | None:
        """The Purdue level of an address at a site."""
        asset = self.assets.get((site, address))
        zone = self.zone(site, address)
        return level_of("" if asset is None else asset.level, zone, [] if asset is None else [asset.role])[0]


def mapped(places: Mapping[str, Places], assets: Iterable[Asset]) -> Map:
    """Where addresses are."""
    return Map(places, {(asset.site, address): asset for asset in assets for address in asset.addresses})


def touched(alerts: Sequence[Looked], where: Map) -> list[TouchedAsset]:
    """The addresses that alerts are about, those of the highest rank first."""
    found: dict[tuple[str, str], _Touched] = {}
    for alert in alerts:
        for address, acts in ((alert.client, True), (alert.server, False)):
            if address is None or (not acts and address == alert.client):
                continue
            each = found.setdefault((alert.site, address), _Touched(site=alert.site))
            each.add(alert)
            each.acts += acts
            each.suffers += not acts
    ranked = sorted(found.items(), key=lambda each: (-each[1].rank, each[0]))[:ASSETS]
    told: list[TouchedAsset] = []
    for (site, address), each in ranked:
        asset, zone = where.assets.get((site, address)), where.zone(site, address)
        told.append(
            TouchedAsset(
                **each.worst,
                address=address,
                asset=None if asset is None else asset.id,
                name=address if asset is None else asset.name,
                criticality=None if asset is None else CRITICALITIES[asset.criticality],
                zone=None if zone is None else zone.name,
                level=where.level(site, address),
                acts=each.acts,
                suffers=each.suffers,
            )
        )
    return told


def zones(alerts: Sequence[Looked], where: Map) -> list[ZoneState]:
    """All zones, and what lies in none where alerts are about it."""
    found: dict[tuple[str, str | None], Tally] = {
        (site, zone.name): Tally() for site, places in where.places.items() for zone in places.plan.zones
    }
    for alert in alerts:
        sides = {_name(where.zone(alert.site, address)) for address in (alert.client, alert.server) if address is not None}
        for name in sides:
            found.setdefault((alert.site, name), Tally()).add(alert)
    members: dict[tuple[str, str | None], set[str]] = {}
    for (site, address), asset in where.assets.items():
        members.setdefault((site, _name(where.zone(site, address))), set()).add(asset.id)
    return [
        ZoneState(
            **tally.worst,
            site=site,
            name=name,
            level=None if name is None or name not in where.at(site).by_name else where.at(site).by_name[name].level,
            assets=len(members.get((site, name), ())),
            standing=tally.standing,
        )
        for (site, name), tally in sorted(found.items(), key=lambda each: (-each[1].severity, each[0][0], str(each[0][1])))
    ]


def conduits(alerts: Sequence[Looked], where: Map) -> list[ConduitState]:
    """All conduits, and what alerts are about between zones that none joins."""
    found: dict[tuple[str, tuple[str, str]], Tally] = {
        (site, pair): Tally() for site, places in where.places.items() for pair in places.conduits
    }
    for alert in alerts:
        ends = [None if address is None else where.zone(alert.site, address) for address in (alert.client, alert.server)]
        names = sorted({zone.name for zone in ends if zone is not None})
        if len(names) == 2:
            found.setdefault((alert.site, (names[0], names[1])), Tally()).add(alert)
    told: list[ConduitState] = []
    for (site, pair), tally in sorted(found.items(), key=lambda each: (-each[1].severity, each[0])):
        conduit = where.at(site).conduits.get(pair)
        told.append(
            ConduitState(
                **tally.worst,
                site=site,
                zones=list(pair),
                declared=conduit is not None,
                protocols=[] if conduit is None else conduit.protocols,
                standing=tally.standing,
            )
        )
    return told


def levels(alerts: Sequence[Looked], where: Map) -> list[LevelState]:
    """All levels of the Purdue model, the highest first, and what is of none that is known."""
    found: dict[Level | None, Tally] = {level: Tally() for level in reversed(LEVELS)}
    for alert in alerts:
        known: set[Level | None] = {
            where.level(alert.site, address) for address in (alert.client, alert.server) if address is not None
        }
        for level in known:
            found.setdefault(level, Tally()).add(alert)
    return [LevelState(**tally.worst, level=level, standing=tally.standing) for level, tally in found.items()]


def points(alerts: Sequence[Looked], bodies: Mapping[str, Mapping[str, Any]]) -> list[AttackedPoint]:
    """The process points that alerts are about, the most severe first."""
    # Plants often share a plan of addresses: those of two sites are not one.
    found: dict[tuple[str, str | None, str], Tally] = {}
    for alert in alerts:
        target: Mapping[str, Any] = bodies.get(alert.id, {}).get("target", {})
        named = next((target[name] for name in POINT_FIELDS if target.get(name) is not None), None)
        if named is None:
            continue
        unit = target.get("modbus.unit_id")
        text = f"{named}@{unit}" if unit is not None and "@" not in str(named) else str(named)
        found.setdefault((alert.site, alert.server, text), Tally()).add(alert)
    ranked = sorted(found.items(), key=lambda each: (-each[1].rank, str(each[0])))[:POINTS]
    return [AttackedPoint(**tally.worst, site=site, server=server, point=point) for (site, server, point), tally in ranked]


def stories(alerts: Sequence[Looked], bodies: Mapping[str, Mapping[str, Any]], language: str) -> list[OpenStory]:
    """The stories that alerts belong to, by rank."""
    found: dict[str, Tally] = {}
    said: dict[str, tuple[Mapping[str, Any], int]] = {}
    sites: dict[str, str] = {}
    for alert in alerts:
        story: Mapping[str, Any] | None = bodies.get(alert.id, {}).get("story")
        if story is None:
            continue
        found.setdefault(story["id"], Tally()).add(alert)
        sites[story["id"]] = alert.site
        # What the latest of its alerts says: a story grows.
        if story["id"] not in said or alert.last_seen > said[story["id"]][1]:
            said[story["id"]] = story, alert.last_seen
    ranked = sorted(found.items(), key=lambda each: (-each[1].rank, each[0]))[:STORIES]
    return [
        OpenStory(
            id=name,
            site=sites[name],
            sentence=said[name][0]["sentence"][language],
            rank=tally.rank,
            severity=SEVERITIES[tally.severity],
            alerts=tally.alerts,
            stages=[stage["name"][language] for stage in said[name][0]["stages"]],
            actors=said[name][0]["actors"],
            targets=said[name][0]["targets"],
            last_seen=iso(said[name][1]),
        )
        for name, tally in ranked
    ]


def stages(techniques: Mapping[str, Sequence[str]], language: str) -> list[Stage]:
    """The tactics that alerts show, in the order of the matrix.

    A technique that serves several tactics counts for the first that its alert does not have already.
    """
    known = attack.techniques()
    counts: dict[str, int] = dict.fromkeys(TACTICS, 0)
    for named in techniques.values():
        reached: set[str] = set()
        for name in named:
            technique = known.get(name)
            if technique is not None:
                reached.add(next((tactic for tactic in technique.tactics if tactic not in reached), technique.tactics[0]))
        for tactic in reached:
            counts[tactic] += 1
    return [
        Stage(tactic=tactic, name=phrase(language, f"tactic.{tactic}"), alerts=count) for tactic, count in counts.items() if count
    ]


def _name(zone: Zone | None) -> str | None:
    return None if zone is None else zone.name
