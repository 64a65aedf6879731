"""Markings of the traffic light protocol 2.0, as OASIS has published them for STIX 2.1 (cti-stix-common-objects)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Tlp = Literal["clear", "green", "amber", "amber+strict", "red"]
"""Who may read: anybody; the community; the organisation and its clients; the organisation; those who are named."""

EXTENSION: Final = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"

_IDS: Final[Mapping[Tlp, str]] = {
    "clear": "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487",
    "green": "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
    "amber": "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421",
    "amber+strict": "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003",
    "red": "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1",
}


def marking(tlp: Tlp) -> Mapping[str, Any]:
    """The marking as it was published: nothing of it may be otherwise."""
    return {
        "id": _IDS[tlp],
        "created": "2022-10-01T00:00:00.000Z",
        "name": f"TLP:{tlp.upper()}",
        "extensions": {EXTENSION: {"extension_type": "property-extension", "tlp_2_0": tlp}},
    }
