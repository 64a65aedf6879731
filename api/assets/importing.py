"""Assets in files of other systems: CSV, and what NetBox's REST interface answers. Pure.

NetBox is read from what somebody fetched of it, and not asked: a plant's network has no way to it, and this server needs no
password of it. Of it `GET /api/dcim/devices/?limit=0` is enough; with `ip-addresses` and `interfaces` in one object,
`{"devices": …, "ip-addresses": …, "interfaces": …}`, assets have all their addresses.
"""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, cast

from pydantic import ValidationError

from api.assets.models import NAME_CHARACTERS
from api.assets.schemas import ADDRESSES, AssetInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ASSETS: Final = 20_000
"""Most assets of one file."""

LINES: Final = 10 * ASSETS
"""Most lines of a file: notes may have several, and empty ones may follow."""

HEADING_CHARACTERS: Final = 4_096
"""Longest first line."""

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


_MANY: Final = f"the file has more than {ASSETS:,} assets, which is what is taken at once"

_IDENTITY: Final = re.compile(r"[^\x00\ud800-\udfff]{0,64}")


class Unreadable(ValueError):  # noqa: N818 - named for what the file is
    """A file is none of its format. The text is one line."""


@dataclass(frozen=True, slots=True)
class Given:
    """An asset of a file.

    fields: what the file says of it, and nothing else. foreign_id: what the other system calls it, "" where it calls it nothing.
    reason: why it cannot be taken, "" where it can. adds: whether it may have more network addresses than the file says.
    """

    place: str
    name: str
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    foreign_id: str = ""
    reason: str = ""
    adds: bool = False


def read(form: str, content: str) -> list[Given]:
    """The assets of a file, in its order. Raises Unreadable."""
    # No more of it is read than can be taken.
    found = list(islice(_csv(content) if form == "csv" else _netbox(content), ASSETS + 1))
    if len(found) > ASSETS:
        raise Unreadable(_MANY)
    return found


def _csv(content: str) -> Iterator[Given]:
    text = content.removeprefix("\ufeff")
    if max(text.count("\n"), text.count("\r")) > LINES:
        raise Unreadable(f"the file has more than {LINES:,} lines; at most {ASSETS:,} assets are taken at once")
    heading = text[: HEADING_CHARACTERS + 1].partition("\n")[0]
    if len(heading) > HEADING_CHARACTERS:
        raise Unreadable(f"the first line is longer than {HEADING_CHARACTERS:,} characters; columns are {', '.join(COLUMNS)}")
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
    if len(devices) > ASSETS:
        raise Unreadable(_MANY)
    further: dict[str, dict[str, None]] = {}
    for address in _results(parts.get("ip-addresses", [])):
        _add(further, _at(address, "assigned_object", "device", "id"), address.get("address"))
    for interface in _results(parts.get("interfaces", [])):
        _add(further, _at(interface, "device", "id"), interface.get("mac_address"))
    # Without them a device has its primary addresses only.
    adds = "ip-addresses" not in parts
    for number, device in enumerate(devices, 1):
        yield replace(_device(f"device {number}", device, further), adds=adds)


def _add(further: dict[str, dict[str, None]], device: Any, address: Any) -> None:
    """Note an address of a device; of those that are more than an asset may have, one too many."""
    identity = _text(device)
    if identity and address and len(known := further.setdefault(identity, {})) <= ADDRESSES:
        known[_address(address)] = None


def _device(place: str, device: Mapping[str, Any], further: Mapping[str, Mapping[str, None]]) -> Given:
    identity = _text(device.get("id"))
    primary = (_at(device, name, "address") for name in ("primary_ip4", "primary_ip6", "primary_ip", "oob_ip"))
    custom = _mapping(device.get("custom_fields"))
    said: dict[str, Any] = {
        "name": device.get("name") or _at(device, "display") or f"NetBox {identity}",
        "addresses": list(dict.fromkeys([*(_address(each) for each in primary if each), *further.get(identity, ())])),
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
    # It is told again where the asset is refused, whatever it is.
    name = _text(fields.get("name"))[:NAME_CHARACTERS].encode(errors="replace").decode()
    if not _IDENTITY.fullmatch(foreign_id):
        return Given(place, name, reason="its identity is no text of at most 64 characters")
    for choice in ("criticality", "role"):
        if choice in fields:
            fields[choice] = _text(fields[choice]).strip().lower()
    if "role" in fields:
        fields["role"] = _word(fields["role"])
    try:
        read_ = AssetInput.model_validate(fields)
    except ValidationError as error:
        return Given(place, name, reason=reason_of(error))
    return Given(place, read_.name, read_.model_dump(include=set(fields)), foreign_id)


def reason_of(error: ValidationError) -> str:
    """Why an asset cannot be taken, in one line."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}"[:300]


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
    return _text(chosen.get("value")) or _text(chosen.get("label")) if chosen else _text(value)


def _text(value: Any) -> str:
    """A text or a number as text; anything else says nothing."""
    return str(value) if isinstance(value, str | int | float) else ""


def _address(value: Any) -> str:
    """An address as the file has it; what is no text is no address, and is told so with its asset."""
    return value if isinstance(value, str) else "?"


def _word(value: Any) -> str:
    """A name as words are written here: `engineering_station`."""
    return "_".join("".join(each if each.isascii() and each.isalnum() else " " for each in _text(value).lower()).split())
