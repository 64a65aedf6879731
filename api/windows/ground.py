"""What is known of addresses of a site: registered assets, zones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from api.assets.models import Asset, AssetAddress
from api.windows.scope import Known, addresses
from api.zones import service as zones
from api.zones.plan import Places

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.orm import Session

    from api.alerts.tuning import Seen
    from api.windows.scope import Ground

ASKED: Final = 5_000
"""Most addresses that one statement asks for."""


def ground_of(session: Session, site: str, alerts: Iterable[Seen]) -> Ground:
    """What is known of the addresses that these alerts of a site name."""
    names = sorted({address for alert in alerts for address in addresses(alert)})
    places = Places(zones.plan(zones.in_force(session, site)))
    found: Ground = {}
    for name in names:
        zone = places.zone(name)
        found[name] = Known(zone=None if zone is None else zone.name)
    for start in range(0, len(names), ASKED):
        asked = sa.select(AssetAddress.address, Asset.id, Asset.role, Asset.zone).join(
            Asset, sa.and_(Asset.id == AssetAddress.asset_id, Asset.organisation == AssetAddress.organisation)
        )
        some = names[start : start + ASKED]
        for address, asset, role, zone in session.execute(asked.where(AssetAddress.site == site, AssetAddress.address.in_(some))):
            # What people say of an asset goes before where its address lies.
            found[address] = Known(asset, role, zone or found[address].zone)
    return found
