"""Registered assets against what traffic shows: new, missing, changed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from api.assets.addresses import is_hardware
from api.assets.schemas import Difference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from api.assets.models import Asset
    from api.assets.schemas import ObservedDevice

SURE: Final = 0.6
"""How sure a role must be to stand against one that is registered."""

OBSERVED: Final[Mapping[str, str]] = {"vendor": "vendor", "product": "product", "serial": "serial", "firmware": "version"}
"""Fields of an asset, and the attribute that a device says of the same."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What was found.

    new: devices without an asset. missing: assets of which nothing was seen. pairs: assets with their devices and what differs.
    silent: assets without an address.
    """

    new: Sequence[ObservedDevice]
    missing: Sequence[Asset]
    pairs: Sequence[tuple[Asset, ObservedDevice, Sequence[Difference]]]
    silent: Sequence[Asset]


def compare(assets: Sequence[Asset], devices: Sequence[ObservedDevice]) -> Compared:
    """What differs. An asset and a device belong together where they share an address."""
    of_address = {address: asset for asset in assets for address in asset.addresses}
    new: list[ObservedDevice] = []
    found: dict[str, list[ObservedDevice]] = {}
    for device in devices:
        owners = {asset.id for address in (*device.macs, *device.ips) if (asset := of_address.get(address)) is not None}
        if not owners:
            new.append(device)
        for owner in owners:
            found.setdefault(owner, []).append(device)
    pairs = [(asset, device, differences(asset, device)) for asset in assets for device in found.get(asset.id, ())]
    return Compared(
        new=new,
        missing=[asset for asset in assets if asset.addresses and asset.id not in found],
        pairs=pairs,
        silent=[asset for asset in assets if not asset.addresses],
    )


def differences(asset: Asset, device: ObservedDevice) -> list[Difference]:
    """What a device shows otherwise than it was registered. What was not registered, or is not seen, differs in nothing."""
    found: list[Difference] = []
    for kind, seen in ((True, device.macs), (False, device.ips)):
        registered = [address for address in asset.addresses if is_hardware(address) is kind]
        # Devices have addresses of their own making (fe80::…), which nobody registers.
        strange = [address for address in seen if address not in registered and not address.startswith("fe80:")]
        if registered and strange:
            found.append(_difference("addresses", " ".join(registered), " ".join(seen), 0.9, "flow, arp"))
    role = device.roles[0] if device.roles else None
    if asset.role and role is not None and role.confidence >= SURE and asset.role not in {each.role for each in device.roles}:
        found.append(_difference("role", asset.role, role.role, role.confidence, role.reason))
    for name, attribute in OBSERVED.items():
        registered, seen = str(getattr(asset, name)), getattr(device, attribute)
        if registered and seen and not _alike(registered, seen):
            said = next((each for each in device.attributes if each.attribute == attribute and each.value == seen), None)
            confidence, source = (0.5, "") if said is None else (said.confidence, said.source)
            found.append(_difference(name, registered, seen, confidence, source))
    return found


def _alike(registered: str, seen: str) -> bool:
    """Whether two names mean the same thing: a device often says more of itself than people write down, or less."""
    one, other = ("".join(filter(str.isalnum, text.lower())) for text in (registered, seen))
    return one == other or (min(len(one), len(other)) >= 3 and (one in other or other in one))


def _difference(field: str, registered: str, observed: str, confidence: float, source: str) -> Difference:
    return Difference.model_validate(
        {"field": field, "registered": registered, "observed": observed, "confidence": confidence, "source": source}
    )
