"""Assets and devices as the API shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from api.assets.levels import level_of
from api.assets.models import CRITICALITIES
from api.assets.schemas import AssetOutput, Changed, Comparison, ImportOutput, Inventory, ObservedDevice
from api.times import iso

if TYPE_CHECKING:
    from collections.abc import Sequence

    from api.assets.comparison import Compared
    from api.assets.models import Asset
    from api.assets.observed import Observed
    from api.assets.schemas import ImportedItem
    from api.records.span import Span
    from api.zones.plan import Places, Zone

ATTRIBUTES: Final = 50
"""Of what was said of a device, how much is shown."""

ONLY_ADDRESSES: Final = 0.3
"""How sure a device is of which nothing but addresses is seen."""


def zone_of(asset: Asset, places: Places) -> Zone | None:
    """The zone of an asset: that which was registered, else that in which the first of its addresses lies that lies in one."""
    if asset.zone:
        return places.by_name.get(asset.zone)
    return next((zone for address in asset.addresses if (zone := places.zone(address)) is not None), None)


def output(asset: Asset, places: Places) -> AssetOutput:
    """A registered asset."""
    zone = zone_of(asset, places)
    level, known_from = level_of(asset.level, zone, [asset.role])
    plain = {
        name: getattr(asset, name)
        for name in (
            "id", "version", "site", "name", "addresses", "role", "owner", "location", "vendor", "product", "serial", "firmware",
            "note", "source", "foreign_id", "changed_by",
        )
    }  # fmt: skip
    return AssetOutput.model_validate(
        {
            **plain, "zone": zone.name if zone else asset.zone or None, "registered_zone": asset.zone, "level": level,
            "level_of": known_from, "registered_level": asset.level or None, "criticality": CRITICALITIES[asset.criticality],
            "made_at": iso(asset.made_at), "changed_at": iso(asset.changed_at),
        }
    )  # fmt: skip


def devices(observed: Observed, assets: Sequence[Asset], places: Places) -> list[ObservedDevice]:
    """What traffic shows, with what is registered of it."""
    of_address = {address: asset for asset in assets for address in asset.addresses}
    return [_device(row, of_address, places) for row in observed.devices.iter_rows(named=True)]


def _device(row: dict[str, Any], of_address: dict[str, Asset], places: Places) -> ObservedDevice:
    addresses = [*row["macs"], *row["ips"]]
    asset = next((of_address[address] for address in addresses if address in of_address), None)
    zone = None if asset is None else zone_of(asset, places)
    if zone is None:
        zone = next((found for address in row["ips"] if (found := places.zone(address)) is not None), None)
    roles: list[dict[str, Any]] = row["roles"] or []
    said: list[dict[str, Any]] = row["attributes"] or []
    names = [each["role"] for each in roles]
    level, known_from = level_of("" if asset is None else asset.level, zone, [asset.role, *names] if asset else names)
    sure = [each["confidence"] for each in (*roles, *said) if each["confidence"] is not None]
    registered = {} if asset is None else {
        "criticality": CRITICALITIES[asset.criticality], "owner": asset.owner or None, "asset": asset.id,
    }  # fmt: skip
    return ObservedDevice.model_validate(
        {
            **{name: row[name] for name in ("device", "macs", "ips", "name", "vendor", "product", "version", "serial", "os")},
            "roles": roles,
            "attributes": said[:ATTRIBUTES],
            "confidence": max(sure, default=ONLY_ADDRESSES),
            "first_seen": None if row["first_seen"] is None else iso(row["first_seen"]),
            "last_seen": None if row["last_seen"] is None else iso(row["last_seen"]),
            "zone": None if zone is None else zone.name,
            "level": level,
            "level_of": known_from,
            **registered,
        }
    )


def inventory(site: str, span: Span, observed: Observed, shown: list[ObservedDevice]) -> Inventory:
    """The devices of a site."""
    return Inventory(site=site, since=iso(span.since), until=iso(span.until), devices=shown, limited=observed.limited)


def comparison(site: str, span: Span, compared: Compared, places: Places, *, limited: bool) -> Comparison:
    """What traffic shows against what is registered."""
    changed = [
        Changed(asset=output(asset, places), device=device.device, differences=list(differ))
        for asset, device, differ in compared.pairs
        if differ
    ]
    differing = {each.asset.id for each in changed}
    return Comparison(
        site=site,
        since=iso(span.since),
        until=iso(span.until),
        new=list(compared.new),
        missing=[output(asset, places) for asset in compared.missing],
        changed=changed,
        alike=len({asset.id for asset, _, _ in compared.pairs} - differing),
        silent=len(compared.silent),
        limited=limited,
    )


def imported(items: list[ImportedItem], *, dry_run: bool) -> ImportOutput:
    """What an import did, or would do."""
    if dry_run:
        # What was made is no more.
        items = [item.model_copy(update={"asset": None}) if item.outcome == "made" else item for item in items]
    counts = {outcome: sum(item.outcome == outcome for item in items) for outcome in ("made", "changed", "unchanged", "refused")}
    return ImportOutput(dry_run=dry_run, items=items, **counts)
