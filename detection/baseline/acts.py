"""Who did what to what, in one form for all protocols: records in, distinct acts with their first record and their number out.

Everything later works on these few rows: a poll that comes a thousand times in a batch is one act.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from collector.store import RecordBatch

KEY: Final = ("client", "server", "protocol", "unit", "operation", "access", "point")
"""What makes two records the same act. Texts; null where a protocol has no such thing."""

FIRST: Final = ("event", "sequence", "row")
"""Which record showed an act first, in the order of all records of a run."""

SCHEMA: Final = pl.Schema(
    {
        **dict.fromkeys(KEY, pl.String()),
        "learning": pl.Boolean(),
        "day": pl.Int64(),
        **dict.fromkeys(FIRST, pl.Int64()),
        "last": pl.Int64(),
        "count": pl.Int64(),
    }
)
"""Columns of acts. learning: whether it happened while normality was learned; day: days since 1970, 0 while learning; last: event
time of its latest record; count: its records."""

DAY_NS: Final = 86_400_000_000_000

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


OPCUA_OPERANDS: Final = ("read", "write", "call", "monitor", "history", "node_management")
"""Kinds of operands that name a node on which something was done."""


def acts(batches: Sequence[RecordBatch], until: int) -> pl.DataFrame:
    """The distinct acts in batches of one run, in the order of their first records.

    Args:
        batches: batches of whole cuts.
        until: event time at which learning ends, nanoseconds since 1970.
    """
    found = [
        _distinct(batch, _READERS[batch.header.table](batch.rows), until)
        for batch in batches
        if batch.header.table in _READERS and batch.rows.height
    ]
    return merged(pl.concat(found)) if found else pl.DataFrame(schema=SCHEMA)


def merged(found: pl.DataFrame, key: Sequence[str] = KEY) -> pl.DataFrame:
    """Acts of several batches, or of which less is looked at, made distinct."""
    groups = [*key, "learning", "day"]
    ordered = found.sort(FIRST)
    first = [pl.col(name).first() for name in FIRST]
    return ordered.group_by(groups, maintain_order=True).agg(*first, pl.col("last").max(), pl.col("count").sum())


def _distinct(batch: RecordBatch, told: pl.LazyFrame, until: int) -> pl.DataFrame:
    """The acts of one batch. `told` has the columns of KEY and `ts`, and a row for each of the batch's."""
    event = pl.max_horizontal(pl.col("ts").dt.epoch("ns"), pl.lit(batch.header.cut_start))
    learning = pl.col("event") < until
    at = pl.col("event").arg_min()
    return (
        told.with_columns(event=event, row=pl.lit(batch.row.cast(pl.Int64)))
        .filter(pl.col("client").is_not_null(), pl.col("server").is_not_null(), pl.col("protocol").is_not_null())
        .with_columns(learning=learning, day=pl.when(learning).then(0).otherwise(pl.col("event") // DAY_NS))
        .group_by([*KEY, "learning", "day"])
        .agg(
            pl.col("event").min(),
            pl.col("row").get(at),
            last=pl.col("event").max(),
            count=pl.len().cast(pl.Int64),
        )
        .with_columns(pl.col(KEY).cast(pl.String), sequence=pl.lit(batch.header.sequence, pl.Int64))
        .select(list(SCHEMA))
        .collect()
    )


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
        "ts",
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
    return rows.lazy().select(
        "ts",
        client=pl.when(called).then("client.ip"),
        server="server.ip",
        protocol=pl.lit("opcua"),
        unit=pl.lit(None, pl.String),
        operation=service,
        access=service.replace_strict(OPCUA_ACCESS, default="other", return_dtype=pl.String),
        point=pl.lit(None, pl.String),
    )


def _opcua_item(rows: pl.DataFrame) -> pl.LazyFrame:
    """Operands of table opcua_item that change something, or read a node's value."""
    service = pl.col("opcua.service").cast(pl.String)
    told = pl.col("opcua.kind").cast(pl.String).is_in(OPCUA_OPERANDS)
    return rows.lazy().select(
        "ts",
        client=pl.when(told).then("client.ip"),
        server="server.ip",
        protocol=pl.lit("opcua"),
        unit=pl.lit(None, pl.String),
        operation=service,
        access=service.replace_strict(OPCUA_ACCESS, default="other", return_dtype=pl.String),
        point="opcua.node_id",
    )


def _flow(rows: pl.DataFrame) -> pl.LazyFrame:
    """Conversations that were answered; one whose protocol is not known goes by transport and port of the server."""
    named = pl.col("network.application").cast(pl.String)
    port = pl.concat_str(pl.col("network.transport").cast(pl.String), pl.lit("/"), pl.col("server.port"))
    answered = (pl.col("flow.packets_in") > 0) & (pl.col("flow.packets_out") > 0)
    return rows.lazy().select(
        "ts",
        client=pl.when(answered).then("client.ip"),
        server="server.ip",
        protocol=pl.coalesce(named, port),
        unit=pl.lit(None, pl.String),
        operation=pl.lit(None, pl.String),
        access=pl.lit(None, pl.String),
        point=pl.lit(None, pl.String),
    )


_READERS: Final[Mapping[str, Callable[[pl.DataFrame], pl.LazyFrame]]] = {
    "modbus": _modbus,
    "opcua": _opcua,
    "opcua_item": _opcua_item,
    "flow": _flow,
}
"""The tables that tell of acts."""
