"""What an OPC UA capture says, statement by statement, as our records tell it and as tshark does."""

from __future__ import annotations

import subprocess
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from sensor._core import Reader
from tests.differential.opcua_value import node, of_row, values_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

TYPES = {
    "HEL": "hello", "ACK": "acknowledge", "ERR": "error", "RHE": "reverse_hello", "OPN": "open", "MSG": "message", "CLO": "close",
}  # fmt: skip
NODES = (
    ("node", "ReadValueId", "NodeId: NodeId"),
    ("node", "WriteValue", "NodeId: NodeId"),
    ("node", "HistoryReadValueId", "NodeId: NodeId"),
    ("node", "CallMethodRequest", "MethodId: NodeId"),
    ("object", "CallMethodRequest", "ObjectId: NodeId"),
)
"""Items of requests that name a node, and how tshark labels it: what, structure, field."""

ONE_STATUS_EACH = frozenset(
    {"Read", "Write", "Call", "CreateMonitoredItems", "AddNodes", "AddReferences", "DeleteNodes", "DeleteReferences"}
)
"""Services whose results are one row and one status each."""


VALUES = frozenset({"Read", "Write", "Publish", "Republish"})
"""Services whose values are rows one by one."""

TARGETS = frozenset({"translate"})
"""Kinds of operands whose node is the server's answer."""


class Statement(NamedTuple):
    """Something that a message says. `what`: message, result, node, object, reference, target, status, value."""

    what: str
    sender: str
    service: str | None
    request_id: int | None
    value: str | None


def of_records(capture: Path) -> tuple[int, set[int], list[Statement]]:
    """Chunks, ports of servers, and statements of a capture as our records tell them."""
    chunks, ports, statements = 0, set[int](), list[Statement]()
    for batch in Reader(str(capture)):
        if batch.table == "opcua":
            frame = pl.DataFrame(batch)
            chunks += int(frame["opcua.chunks"].sum())
            ports |= {int(port) for port in frame["server.port"].unique()}
            for row in frame.iter_rows(named=True):
                statements += _of_call(row)
        elif batch.table == "opcua_item":
            for row in pl.DataFrame(batch).iter_rows(named=True):
                statements += _of_item(row)
    return chunks, ports, statements


def _senders(row: dict[str, Any]) -> tuple[str, str]:
    return f"{row['client.ip']}:{row['client.port']}", f"{row['server.ip']}:{row['server.port']}"


def _of_call(row: dict[str, Any]) -> Iterator[Statement]:
    client, server = _senders(row)
    service, number, kind = row["opcua.service"], row["opcua.request_id"], row["opcua.message_type"]
    if row["opcua.encrypted"] and kind != "close":
        service = None
    if row["opcua.pairing"] != "response":
        yield Statement("message", client, service, number, kind)
    if row["opcua.pairing"] != "request":
        yield Statement("message", server, service, number, kind)
    if row["opcua.status"] is not None:
        yield Statement("result", server, service, number, row["opcua.status"])


def _of_item(row: dict[str, Any]) -> Iterator[Statement]:
    client, server = _senders(row)
    service, number, kind = row["opcua.service"], row["opcua.request_id"], row["opcua.kind"]
    if service in {"Read", "Write", "CreateMonitoredItems", "HistoryRead"}:
        yield Statement("node", client, service, number, row["opcua.node_id"])
    if service == "Call":
        yield Statement("node", client, service, number, row["opcua.node_id"])
        yield Statement("object", client, service, number, row["opcua.object_id"])
    if kind == "browse" and row["opcua.node_id"] is not None:
        yield Statement("reference", server, service, number, row["opcua.node_id"])
    if service in VALUES and row["opcua.data_type"] is not None:
        yield Statement(
            "value", client if service == "Write" else server, service, number, of_row(row["opcua.data_type"], row["opcua.value"])
        )
    if kind in TARGETS and row["opcua.node_id"] is not None:
        yield Statement("target", server, service, number, row["opcua.node_id"])
    if service in ONE_STATUS_EACH and row["opcua.status"] is not None:
        yield Statement("status", server, service, number, row["opcua.status"])


def of_tshark(capture: Path, ports: Iterable[int]) -> tuple[int, list[Statement]]:
    """Messages of the connection protocol and statements of a capture as tshark tells them, with OPC UA on these ports."""
    decode = [argument for port in sorted(ports) for argument in ("-d", f"tcp.port=={port},opcua")]
    command = ["tshark", "-r", str(capture), *decode, "-Y", "opcua", "-T", "pdml"]
    done = subprocess.run(command, capture_output=True, check=False)
    count, statements = 0, list[Statement]()
    asked: dict[tuple[str, int], str] = {}
    for packet in ET.fromstring(done.stdout).iter("packet"):
        shown = {field.get("name"): field.get("show", "") for field in packet.iter("field")}
        address = shown.get("ip.src") or shown.get("ipv6.src", "")
        sender = f"{address}:{shown['tcp.srcport']}"
        for message in packet.iter("proto"):
            if message.get("name") == "opcua":
                count += 1
                for statement in _of_message(message, sender):
                    statements.append(_named(statement, shown["tcp.stream"], asked))
    return count, statements


def _named(statement: Statement, stream: str, asked: dict[tuple[str, int], str]) -> Statement:
    """The same, with the service that was asked for in place of a fault: our rows tell it so."""
    if statement.service is None or statement.request_id is None:
        return statement
    if statement.service == "ServiceFault":
        return statement._replace(service=asked.get((stream, statement.request_id), "ServiceFault"))
    asked[stream, statement.request_id] = statement.service
    return statement


def _first(element: ET.Element, name: str) -> str | None:
    for field in element.iter("field"):
        if field.get("name") == name:
            return field.get("show")
    return None


def _labelled(element: ET.Element, label: str) -> Iterator[ET.Element]:
    return (field for field in element.iter("field") if field.get("show") == label)


def _of_message(message: ET.Element, sender: str) -> Iterator[Statement]:
    kind = TYPES[_first(message, "opcua.transport.type") or ""]
    if _first(message, "opcua.transport.chunk") == "C":
        return
    number = _first(message, "opcua.security.rqid")
    request_id = None if number is None else int(number)
    name = next(
        (field.get("showname", "") for field in message.iter("field") if field.get("name") == "opcua.servicenodeid.numeric"), None
    )
    full = None if name is None else name.split(": ")[1].split(" ")[0]
    service = "CloseSecureChannel" if kind == "close" else full and full.removesuffix("Request").removesuffix("Response")
    yield Statement("message", sender, service, request_id, kind)
    result = next(
        (field.get("showname", "") for field in message.iter("field") if field.get("name") == "opcua.ServiceResult"), None
    )
    if result is not None:
        yield Statement("result", sender, service, request_id, result.split("[")[1].rstrip("]"))
    for what, owner, label in NODES:
        for item in message.iter("field"):
            if (item.get("show") or "").endswith(f": {owner}"):
                named = [field for field in item if field.get("show") == label]
                yield from (Statement(what, sender, service, request_id, node(field)) for field in named)
    for element in _labelled(message, "NodeId: ExpandedNodeId"):
        if service in {"Browse", "BrowseNext"}:
            yield Statement("reference", sender, service, request_id, node(element))
    if service in VALUES:
        for value in values_of(message):
            yield Statement("value", sender, service, request_id, value)
    for element in _labelled(message, "TargetId: ExpandedNodeId"):
        yield Statement("target", sender, service, request_id, node(element))
    if service in ONE_STATUS_EACH and full and full.endswith("Response"):
        for status in _results(message):
            yield Statement("status", sender, service, request_id, status)


def _results(message: ET.Element) -> Iterator[str]:
    """The status of each result of a response."""
    for results in message.iter("field"):
        if not (results.get("show") or "").startswith("Results: Array of "):
            continue
        for result in results:
            if result.get("name") == "opcua.variant.ArraySize":
                continue
            own = [result] if result.get("name") else list(result)
            names = {"opcua.StatusCode", "opcua.Results"}
            status = next((field.get("showname", "") for field in own if field.get("name") in names), "[Good]")
            yield status.split("[")[-1].rstrip("]")
        return
