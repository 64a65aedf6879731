"""Values of OPC UA as tshark shows them, written as our records write them: type, shape and text."""

from __future__ import annotations

import base64
import datetime as dt
import re
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xml.etree.ElementTree as ET
    from collections.abc import Iterator

VALUE_BYTES = 1_024
"""Longest text of a value in our records, in bytes."""

STRUCTURED = frozenset({"ExtensionObject", "DataValue", "Variant", "DiagnosticInfo"})
"""Types of which tshark shows a tree: type and shape are compared, not the text."""

EPOCH = dt.datetime(1601, 1, 1, tzinfo=dt.UTC)


def node(element: ET.Element) -> str | None:
    """A NodeId or ExpandedNodeId; null is None."""
    found = {field.get("name", ""): field.get("show", "") for field in element.iter("field")}
    namespace = int(found.get("opcua.nodeid.nsindex", "0"))
    uri = found.get("opcua.expandednodeid.NamespaceUri") or found.get("opcua.NamespaceUri")
    server = found.get("opcua.expandednodeid.ServerIndex")
    prefix = "" if server in {None, "0"} else f"svr={server};"
    prefix += f"nsu={uri};" if uri else "" if namespace == 0 else f"ns={namespace};"
    if "opcua.nodeid.string" in found:
        return f"{prefix}s={found['opcua.nodeid.string']}"
    if "opcua.nodeid.guid" in found:
        return f"{prefix}g={found['opcua.nodeid.guid']}"
    if "opcua.nodeid.bytestring" in found:
        return f"{prefix}b={base64.b64encode(bytes.fromhex(found['opcua.nodeid.bytestring'].replace(':', ''))).decode()}"
    number = found.get("opcua.nodeid.numeric")
    return None if number == "0" and not prefix else f"{prefix}i={number}"


def variant(element: ET.Element) -> tuple[str, str | None] | None:
    """Type with shape, and text, of what tshark calls a Variant; the text is None where it is not compared. None: no value."""
    mask = int(element[0].get("show", "0"), 16)
    kind = re.split(r"Variant Type: |Array of |Matrix of | \(0x", element[0].get("showname", ""))[-2]
    if mask & 0x3F == 0 or len(element) < 2:
        return None
    if not mask & 0x80:
        return kind, None if kind in STRUCTURED else scalar(kind, element[1], quoted=False)
    elements = [child for child in element[1] if child.get("name") != "opcua.variant.ArraySize"]
    shape = f"[{len(elements)}]"
    if mask & 0x40:
        lengths = [child.get("show", "") for child in element[2] if child.get("name") == "opcua.Int32"]
        shape = f"[{','.join(lengths)}]" if lengths else shape
    if kind in STRUCTURED:
        return kind + shape, None
    return kind + shape, f"[{', '.join(scalar(kind, child, quoted=True) for child in elements)}]"


def scalar(kind: str, element: ET.Element, *, quoted: bool) -> str:
    """One value of a simple type."""
    show, raw = element.get("show", ""), bytes.fromhex(element.get("value", ""))
    match kind:
        case "Boolean":
            return "true" if show in {"1", "True"} else "false"
        case "Float" | "Double":
            return number(struct.unpack("<f" if kind == "Float" else "<d", raw)[0], kind)
        case "String" | "XmlElement":
            return text(show, quoted=quoted, is_null="Null" in show and show.startswith("[OpcUa"))
        case "LocalizedText":
            shown = _only(element, "opcua.loctext.Text")
            return text(shown or "", quoted=quoted, is_null=shown is None)
        case "QualifiedName":
            namespace, name = _only(element, "opcua.qualname.Id"), _only(element, "opcua.qualname.Name")
            return f"{name}" if namespace == "0" else f"{namespace}:{name}"
        case "ByteString":
            return "null" if show.startswith("[OpcUa Null") else f"0x{show.replace(':', '')}"
        case "DateTime":
            return time(int.from_bytes(raw, "little"))
        case "NodeId" | "ExpandedNodeId":
            return node(element) or "i=0"
        case "StatusCode":
            return element.get("showname", "").split("[")[-1].rstrip("]")
        case _:
            return show


def number(value: float, kind: str) -> str:
    """A floating point number as its type needs it: what our text says is read back before it is compared."""
    return repr(struct.unpack("<f", struct.pack("<f", value))[0] if kind == "Float" else value)


def text(shown: str, *, quoted: bool, is_null: bool) -> str:
    if is_null:
        return "null"
    shown = "" if shown == "[OpcUa Empty String]" else shown
    return '"' + shown.replace('"', '\\"') + '"' if quoted else shown


def time(ticks: int) -> str:
    if ticks <= 0:
        return "null"
    whole = (EPOCH + dt.timedelta(seconds=ticks // 10_000_000)).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f"{ticks % 10_000_000:07}".rstrip("0")
    return f"{whole}{'.' + fraction if fraction else ''}Z"


def _only(element: ET.Element, name: str) -> str | None:
    return next((field.get("show") for field in element.iter("field") if field.get("name") == name), None)


def of_row(data_type: str, shown: str | None) -> str:
    """A value of our records, as `written` writes one of tshark."""
    kind = data_type.split("[", maxsplit=1)[0]
    if kind in STRUCTURED or shown is None:
        return data_type
    if kind in {"Float", "Double"}:
        numbers = [number(float(part), kind) for part in shown.strip("[]").split(", ") if part]
        shown = f"[{', '.join(numbers)}]" if shown.startswith("[") else numbers[0]
    return _short(f"{data_type} {shown}")


def written(told: tuple[str, str | None]) -> str:
    """A value of tshark in one text."""
    return told[0] if told[1] is None else _short(f"{told[0]} {told[1]}")


def _short(whole: str) -> str:
    """Long values are compared as far as our records keep them for certain."""
    return whole.encode()[: VALUE_BYTES // 2].decode(errors="ignore")


def values_of(message: ET.Element) -> Iterator[str]:
    """Values that a message has: of results, of what is written, of notifications; not those inside of others."""
    for field in message:
        if field.get("show") == "Value: Variant":
            told = variant(field)
            if told is not None:
                yield written(told)
        elif field.get("name") != "opcua.datavalue.mask":
            yield from values_of(field)
