"""Records of each table as acts: who did what to what, and how each showed itself. Lazy: nothing is computed here.

A reader gives the columns of `gathering.ORDER` and those of `acts.KEY`, but for `topic`; a row whose client is null is no act.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl

from detection.gathering import ORDER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DONE: Final = "done"
"""Topic of what a client did to a server, or that the two talked."""

CLIENT_CERTIFICATE: Final = "client_certificate"
"""Topic of the certificate that a client showed."""

SERVER_CERTIFICATE: Final = "server_certificate"
"""Topic of the certificate that a server showed, or a client asked it for."""

SECURITY: Final = "security"
"""Topic of the policy and mode of a secure channel."""

USER: Final = "user"
"""Topic of the user that a session was activated for."""

APPLICATION: Final = "application"
"""Topic of the application that a client says it is."""

HARDWARE: Final = "hardware"
"""Topic of the hardware address that answers for an address."""

DEVICE: Final = "device"
"""Topic of what a device says of itself."""

DIAGNOSTIC_CHANGES: Final = (1, 4, 10)
"""Sub-functions of diagnostics (FC 8) that change a device's state: restart communications, force listen only, clear counters
(Modbus Application Protocol V1.1b3, 6.8)."""

UMAS_WRITES: Final = (33, 35, 37, 41, 113)
"""UMAS functions that write variables and memory; the same as in rule umas_memory_write."""

UMAS_CHANGES: Final = (48, 49, 50, 64, 65)
"""UMAS functions that download a program, start or stop a controller; the same as in the rules for them."""

OPCUA_ACCESS: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("Read", "Browse", "BrowseNext", "TranslateBrowsePathsToNodeIds", "QueryFirst", "QueryNext", "HistoryRead", "Publish",
         "Republish", "CreateMonitoredItems"), "read"),
    **dict.fromkeys(("Write", "Call"), "write"),
    **dict.fromkeys(("HistoryUpdate", "AddNodes", "AddReferences", "DeleteNodes", "DeleteReferences"), "program"),
}  # fmt: skip
"""What OPC UA services do to a server; the rest manages connections. A method is a command, as a write is."""


REFUSED: Final = "refused"
"""Access of a conversation that did not come about: who tried it asks, and nobody else is told of it."""

DHCP_SERVER_PORT: Final = 67
EVERYBODY: Final = "255.255.255.255"

OPCUA_OPERANDS: Final = ("read", "write", "call", "monitor", "history", "node_management")
"""Kinds of operands that name a node on which something was done."""


def _modbus(rows: pl.DataFrame) -> pl.LazyFrame:
    """Requests of table modbus: the unit is a part of the server, the point its table and first address."""
    function, access = pl.col("modbus.function").cast(pl.String), pl.col("modbus.access").cast(pl.String)
    sub = pl.col("modbus.sub_function")
    changes = (
        (function == "write_file_record")
        | ((function == "umas") & sub.is_in(UMAS_CHANGES))
        | ((function == "diagnostics") & sub.is_in(DIAGNOSTIC_CHANGES))
    )
    writes = access.is_in(["write", "read_write"]) | ((function == "umas") & sub.is_in(UMAS_WRITES))
    named = pl.when(sub.is_null()).then(function).otherwise(pl.concat_str(function, pl.lit(" "), sub, ignore_nulls=True))
    done = pl.when(changes).then(pl.lit("program")).when(writes).then(pl.lit("write"))
    return rows.lazy().select(
        *ORDER,
        client="client.ip",
        server="server.ip",
        protocol=pl.lit("modbus"),
        unit="modbus.unit_id",
        operation=named,
        access=done.when(access == "read").then(pl.lit("read")).otherwise(pl.lit("other")),
        point=pl.coalesce("modbus.write_address", "modbus.address"),
    )


def _opcua(rows: pl.DataFrame) -> pl.LazyFrame:
    """Calls of table opcua; what encryption hides is one operation."""
    called = pl.col("opcua.message_type").cast(pl.String).is_in(["message", "open"])
    service = pl.when("opcua.encrypted").then(pl.lit("encrypted")).otherwise(pl.col("opcua.service").cast(pl.String))
    return _of_service(rows, called, service, pl.lit(None, pl.String))


def _opcua_item(rows: pl.DataFrame) -> pl.LazyFrame:
    """Operands of table opcua_item that change something, or read a node's value."""
    told = pl.col("opcua.kind").cast(pl.String).is_in(OPCUA_OPERANDS)
    return _of_service(rows, told, pl.col("opcua.service").cast(pl.String), pl.col("opcua.node_id"))


def _of_service(rows: pl.DataFrame, told: pl.Expr, service: pl.Expr, point: pl.Expr) -> pl.LazyFrame:
    """What a service of OPC UA does to a server; rows that are not told have no client."""
    return rows.lazy().select(
        *ORDER,
        client=pl.when(told).then("client.ip"),
        server="server.ip",
        protocol=pl.lit("opcua"),
        unit=pl.lit(None, pl.String),
        operation=service,
        access=service.replace_strict(OPCUA_ACCESS, default="other", return_dtype=pl.String),
        point=point,
    )


def _flow(rows: pl.DataFrame) -> pl.LazyFrame:
    """Conversations that were answered; one whose protocol is not known goes by transport and port of the server.

    Who hands out addresses tells it to everybody, or to one who has no address yet (RFC 2131, 4.1); nobody answers that.
    """
    named = pl.col("network.application").cast(pl.String)
    port = pl.concat_str(pl.col("network.transport").cast(pl.String), pl.lit("/"), pl.col("server.port"))
    refused = pl.col("flow.state").cast(pl.String).is_in(["attempt", "refused", "half_open"])
    answered = (pl.col("flow.packets_in") > 0) & (pl.col("flow.packets_out") > 0)
    offers = (named == "dhcp") & (pl.col("client.port") == DHCP_SERVER_PORT)
    return rows.lazy().select(
        *ORDER,
        client=pl.when(answered | offers).then("client.ip"),
        server=pl.when(offers).then(pl.lit(EVERYBODY)).otherwise("server.ip"),
        protocol=pl.coalesce(named, port),
        unit=pl.lit(None, pl.String),
        operation=pl.lit(None, pl.String),
        access=pl.when(refused).then(pl.lit(REFUSED)),
        point=pl.lit(None, pl.String),
    )


def _pubsub(rows: pl.DataFrame) -> pl.LazyFrame:
    """Messages of publishers, which nobody answers."""
    return _named(rows, pl.lit(value=True), protocol=pl.lit("pubsub"))


def _named(rows: pl.DataFrame, holds: pl.Expr, **columns: pl.Expr) -> pl.LazyFrame:
    """Rows for which something holds, with columns of an act; those that are not given are null."""
    given = {"client": pl.col("client.ip"), "server": pl.col("server.ip"), "protocol": pl.lit("opcua"), **columns}
    rest = {name: pl.lit(None, pl.String) for name in ("unit", "operation", "access", "point") if name not in columns}
    return rows.lazy().filter(holds).select(*ORDER, **given, **rest)


def _client_certificate(rows: pl.DataFrame) -> pl.LazyFrame:
    return _named(rows, pl.col("opcua.certificate").is_not_null(), point=pl.col("opcua.certificate"))


def _server_certificate(rows: pl.DataFrame) -> pl.LazyFrame:
    return _named(rows, pl.col("opcua.server_certificate").is_not_null(), point=pl.col("opcua.server_certificate"))


def _security(rows: pl.DataFrame) -> pl.LazyFrame:
    """Openings of secure channels that were seen."""
    policy, mode = pl.col("opcua.security_policy").cast(pl.String), pl.col("opcua.security_mode").cast(pl.String)
    opened = (pl.col("opcua.service").cast(pl.String) == "OpenSecureChannel") & ~pl.col("opcua.inferred")
    told = pl.concat_str(policy, pl.lit(" "), mode.fill_null("?"))
    return _named(rows, opened & policy.is_not_null(), operation=told)


def _user(rows: pl.DataFrame) -> pl.LazyFrame:
    """Users that were let in, or whose answer was not seen: whoever guesses names is no user."""
    signs_in = pl.col("opcua.user_token").is_not_null()
    let_in = pl.col("opcua.status").is_null() | (pl.col("opcua.status").cast(pl.String) == "Good")
    kind, name = pl.col("opcua.user_token").cast(pl.String), pl.col("opcua.user_name").cast(pl.String)
    return _named(rows, signs_in & let_in, operation=kind, point=pl.coalesce(name, kind))


def _application(rows: pl.DataFrame) -> pl.LazyFrame:
    return _named(rows, pl.col("opcua.application_uri").is_not_null(), point=pl.col("opcua.application_uri"))


def _hardware(rows: pl.DataFrame) -> pl.LazyFrame:
    """Which hardware address says that an address is its own (ARP, NDP)."""
    said = (pl.col("device.attribute").cast(pl.String) == "address") & pl.col("device.mac").is_not_null()
    nobody = pl.lit(None, pl.String)
    return _named(
        rows, said, client=pl.col("device.value"), server=nobody, protocol=pl.col("device.source"), point=pl.col("device.mac")
    )


DEVICE_ATTRIBUTES: Final = ("vendor", "product", "version", "serial", "name")
"""What a device says of itself that stays the same unless somebody changes it."""

DEVICE_CONFIDENCE: Final = 0.8
"""Least confidence in what is said of a device: what it answers or announces, no conclusions."""


def _device(rows: pl.DataFrame) -> pl.LazyFrame:
    told = pl.col("device.attribute").cast(pl.String)
    said = told.is_in(DEVICE_ATTRIBUTES) & (pl.col("device.confidence") >= DEVICE_CONFIDENCE)
    return _named(
        rows, said, client=pl.coalesce("device.ip", "device.mac"), server=pl.lit(None, pl.String),
        protocol=pl.col("device.source"), operation=told, point=pl.col("device.value"),
    )  # fmt: skip


class Reader(NamedTuple):
    """How a table tells of a topic."""

    read: Callable[[pl.DataFrame], pl.LazyFrame]
    column: str = "event"
    """A column of the table without which there is no such act: where it is null in all rows, there is nothing to read."""

    def has(self, rows: pl.DataFrame) -> bool:
        """Whether there may be acts in these rows."""
        return rows.get_column(self.column).null_count() < rows.height


READERS: Final[Mapping[str, Mapping[str, Reader]]] = {
    "modbus": {DONE: Reader(_modbus)},
    "opcua": {
        DONE: Reader(_opcua),
        CLIENT_CERTIFICATE: Reader(_client_certificate, "opcua.certificate"),
        SERVER_CERTIFICATE: Reader(_server_certificate, "opcua.server_certificate"),
        SECURITY: Reader(_security, "opcua.security_policy"),
        USER: Reader(_user, "opcua.user_token"),
        APPLICATION: Reader(_application, "opcua.application_uri"),
    },
    "opcua_item": {DONE: Reader(_opcua_item)},
    "pubsub": {DONE: Reader(_pubsub)},
    "flow": {DONE: Reader(_flow)},
    "device": {HARDWARE: Reader(_hardware, "device.mac"), DEVICE: Reader(_device)},
}
"""The tables that tell of acts: table → topic → reader."""
