"""Assets in files of other systems: CSV, and what NetBox's REST interface answers. Pure.

NetBox is read from what somebody fetched of it, and not asked: a plant's network has no way to it, and this server needs no
password of it. Of it `GET /api/dcim/devices/?limit=0` is enough; with `ip-addresses` and `interfaces` in one object,
`{"devices": …, "ip-addresses": …, "interfaces": …}`, assets have all their addresses.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from pydantic import ValidationError

from api.assets.schemas import AssetInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ASSETS: Final = 20_000
"""Most assets of one file."""

COLUMNS: Final = (
    "name", "addresses", "role", "zone", "level", "criticality", "owner", "location", "vendor", "product", "serial", "firmware",
    "note", "id",
)  # fmt: skip
"""Columns of a CSV file; `name` must be there, `id` is what the file's own system calls the asset.

Several addresses have spaces or semicolons between them."""

CUSTOM: Final[Mapping[str, str]] = {
    "purdue_level": "level", "level": "level", "zone": "zone", "criticality": "criticality", "owner": "owner",
    "firmware": "firmware",
}  # fmt: skip
"""Custom fields of NetBox that are taken, and what they are here."""


class Unreadable(ValueError):  # noqa: N818 - named for what the file is
    """A file is none of its format. The text is one line."""


@dataclass(frozen=True, slots=True)
class Given:
    """An asset of a file.

    fields: what the file says of it, and nothing else. foreign_id: what the other system calls it, "" where it calls it nothing.
    reason: why it cannot be taken, "" where it can.
    """

    place: str
    name: str
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    foreign_id: str = ""
    reason: str = ""


def read(form: str, content: str) -> list[Given]:
    """The assets of a file, in its order. Raises Unreadable."""
    found = list(_csv(content) if form == "csv" else _netbox(content))
    if len(found) > ASSETS:
        raise Unreadable(f"the file has {len(found):,} assets; at most {ASSETS:,} are taken at once")
    return found


def _csv(content: str) -> Iterator[Given]:
    text = content.removeprefix("\ufeff")
    heading = text.partition("\n")[0]
    delimiter = max(",;\t", key=heading.count)
    lines = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = [name.strip().lower() for name in lines.fieldnames or ()]
        lines.fieldnames = names
        if "name" not in names:
            raise Unreadable(f"the first line has no column name; columns are {', '.join(COLUMNS)}")
        if unknown := [name for name in names if name not in COLUMNS]:
            raise Unreadable(f"there is no column {unknown[0][:40]!r}; columns are {', '.join(COLUMNS)}")
        for line in lines:
            said = {name: value.strip() for name, value in line.items() if name and value and value.strip()}
            if not said:
                continue
            fields: dict[str, Any] = {name: value for name, value in said.items() if name != "id"}
            if "addresses" in fields:
                fields["addresses"] = fields["addresses"].replace(";", " ").split()
            yield _checked(f"line {lines.line_num}", fields, said.get("id", ""))
    except csv.Error as error:
        raise Unreadable(f"line {lines.line_num}: {error}") from error


def _netbox(content: str) -> Iterator[Given]:
    try:
        told: Any = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"not JSON: {error}") from error
    parts = cast("dict[str, Any]", told) if isinstance(told, dict) else {}
    devices = _results(parts.get("devices", told))
    further: dict[str, list[str]] = {}
    for address in _results(parts.get("ip-addresses", [])):
        of = _at(address, "assigned_object", "device", "id")
        further.setdefault(str(of), []).append(str(address.get("address") or ""))
    for interface in _results(parts.get("interfaces", [])):
        of, hardware = _at(interface, "device", "id"), interface.get("mac_address")
        if hardware:
            further.setdefault(str(of), []).append(str(hardware))
    for number, device in enumerate(devices, 1):
        yield _device(f"device {number}", device, further)


def _device(place: str, device: Mapping[str, Any], further: Mapping[str, list[str]]) -> Given:
    identity = str(device.get("id") or "")
    primary = (_at(device, name, "address") for name in ("primary_ip4", "primary_ip6", "primary_ip", "oob_ip"))
    custom = _mapping(device.get("custom_fields"))
    said: dict[str, Any] = {
        "name": device.get("name") or _at(device, "display") or f"NetBox {identity}",
        "addresses": list(dict.fromkeys(filter(None, [*primary, *further.get(identity, ())]))),
        "role": _word(_at(device, "role", "slug") or _at(device, "device_role", "slug")),
        "location": _at(device, "location", "name"),
        "vendor": _at(device, "device_type", "manufacturer", "name"),
        "product": _at(device, "device_type", "model"),
        "serial": device.get("serial"),
        "owner": _at(device, "tenant", "name"),
        "note": device.get("description"),
        **{ours: _plain(custom[theirs]) for theirs, ours in CUSTOM.items() if custom.get(theirs)},
    }
    return _checked(place, {name: value for name, value in said.items() if value}, identity)


def _checked(place: str, fields: dict[str, Any], foreign_id: str) -> Given:
    """An asset of a file, with what the file says of it in the form that it has here."""
    name = str(fields.get("name", ""))[:128]
    if len(foreign_id) > 64:
        return Given(place, name, reason="its identity is longer than 64 characters")
    for choice in ("criticality", "role"):
        if choice in fields:
            fields[choice] = str(fields[choice]).strip().lower()
    if "role" in fields:
        fields["role"] = _word(fields["role"])
    try:
        read_ = AssetInput.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return Given(place, name, reason=f"{where}: {first['msg']}"[:300])
    return Given(place, read_.name, read_.model_dump(include=set(fields)), foreign_id)


def _results(answer: Any) -> list[dict[str, Any]]:
    """The objects of an answer of NetBox, whole or only its list. Raises Unreadable."""
    listed: Any = cast("dict[str, Any]", answer).get("results") if isinstance(answer, dict) else answer
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in cast("list[Any]", listed)):
        raise Unreadable("not an answer of NetBox: it has no list `results` of objects")
    if isinstance(answer, dict) and cast("dict[str, Any]", answer).get("next"):
        raise Unreadable("the answer of NetBox is one page of several: fetch it with ?limit=0")
    return cast("list[dict[str, Any]]", listed)


def _at(node: Any, *names: str) -> Any:
    """What is behind these names; None where nothing is."""
    for name in names:
        node = _mapping(node).get(name)
    return node


def _mapping(node: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", node) if isinstance(node, dict) else {}


def _plain(value: Any) -> str:
    """A value of a custom field as text; a choice is told by its value or its label, depending on the version."""
    chosen = _mapping(value)
    return str(chosen.get("value") or chosen.get("label") or "") if chosen else str(value)


def _word(value: Any) -> str:
    """A name as words are written here: `engineering_station`."""
    return "_".join("".join(each if each.isascii() and each.isalnum() else " " for each in str(value or "").lower()).split())
