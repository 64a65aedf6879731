"""Table `deviation`: what differs from what is normal here, one row for each thing that is new or out of its range.

Detectors that learn write it, rules turn it into alerts: how grave a deviation is, what a person reads and which technique it may
be are said by Sigma rules over this table, as for any other record. A row names the record that showed the deviation first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from detection.anomaly.table import ANOMALY
from sensor.columns import COMMON, Column, Table
from sensor.tables import TABLES as RECORD_TABLES

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS: Final = (
    "program", "writer", "server_certificate", "client_certificate", "security", "user", "application", "written_point",
    "conversation", "operation", "block", "hardware", "device", "hour", "rare_in_learning", "overflow",
)  # fmt: skip
"""What can be new, in falling order of weight: of one record only the first that holds is told.

program: a client that changes programs or states of a controller in this way. writer: a client that writes to this unit.
server_certificate, client_certificate: another certificate than this server, or client, showed. security: another policy or
mode of a secure channel than between these two. user: another user than this client had here. application: another application
than this client said that it is. written_point: a point that this client did not write. conversation: a client that talks to
this server in this protocol. operation: a function or service that this client did not ask this unit for. block: an address or
node that it did not read. hardware: another hardware address than answered for this address, or an address that nobody had.
device: a device that says something else of itself. hour: a client at an hour of the week at which it never was.

rare_in_learning: what was seen while learning and was rare against its peers; told when learning ends.
overflow: more that is new than is looked at; about ourselves.
"""

FACTS: Final = KINDS[: KINDS.index("rare_in_learning")]
"""Kinds of the facts that a deviation shows: its own kind, but for what was rare while learning."""

PHASES: Final = ("provisional", "proposed", "enforced")
"""How sure normality is: provisional: what the beginning of the same records showed; proposed: what was learned, and looked at by
nobody; enforced: what a person approved."""

ACCESSES: Final = ("read", "write", "program", "other")
"""What an operation does to the server: program changes its program, its state or its structure."""

DEVIATION: Final = Table(
    "deviation",
    "something that differs from what is normal here",
    (
        *(column for column in COMMON if column.name in {"ts", "client.ip", "server.ip"}),
        Column("deviation.kind", "choice", "what is new", nullable=False, values=KINDS),
        Column("deviation.fact", "choice", "kind of the fact that it shows; of what was rare, of what was learned", values=FACTS),
        Column("deviation.phase", "choice", "how sure normality is", nullable=False, values=PHASES),
        Column("deviation.protocol", "name", "protocol, as in column network.application", nullable=False),
        Column("modbus.unit_id", "u8", "unit identifier, where the protocol is Modbus"),
        Column("deviation.operation", "name", "function or service"),
        Column("deviation.access", "choice", "what the operation does to the server", values=ACCESSES),
        Column("deviation.point", "name", "address or node: holding:100, ns=2;s=Tank.Level"),
        Column("deviation.newcomer", "bool", "whether the client itself was never seen before", nullable=False),
        Column(
            "deviation.acquainted",
            "bool",
            "whether the client talked to this server in this protocol before; where normality is learned live, from its start"
            " or for a day, or as long as the server",
            nullable=False,
        ),
        Column(
            "deviation.answered_only",
            "bool",
            "whether the client answered others before and never asked, as a controller does (names, time and the like apart)",
            nullable=False,
        ),
        Column(
            "deviation.server_role",
            "choice",
            "what the server was before: same: it answered in this protocol; other: in others only; client: it only asked; new: "
            "never seen",
            values=("same", "other", "client", "new"),
        ),
        Column(
            "deviation.server_controls",
            "bool",
            "whether the server answered in an industrial protocol before, as controllers and their gateways do",
            nullable=False,
        ),
        Column("deviation.known", "text", "what is normal in its place, most frequent first, at most eight"),
        Column("deviation.last_normal", "timestamp", "when that was last seen"),
        Column("deviation.period", "duration", "how long normality was learned", nullable=False),
        Column(
            "deviation.rarity",
            "f64",
            "estimated share of records that were the first of their kind, had everything stayed as it was (Good and Turing)",
            nullable=False,
        ),
        Column("deviation.count", "u64", "records of what was rare while learning"),
        Column("deviation.things", "u64", "addresses, nodes or servers of what was rare while learning"),
        Column("deviation.confidence", "f64", "0 to 1: how complete normality is; a factor of the rule's own", nullable=False),
    ),
)  # fmt: skip

KIND: Final = "deviation.kind"
"""Column that says what is new."""

RARE: Final = "rare_in_learning"
"""What that column says of what was rare while learning."""

ACCEPTED: Final = (KIND, "deviation.fact", "deviation.operation", "deviation.things")
"""Columns that name what is accepted as normal with a deviation."""

IDENTITY: Final = {"event": pl.Int64(), "sequence": pl.Int64(), "row": pl.Int64()}
"""Columns that a frame of deviations has besides: which record of the run showed it, and when it could be known."""

DERIVED: Final[Mapping[str, Table]] = {table.name: table for table in (DEVIATION, ANOMALY)}
"""Tables that detectors write. Their rows bring IDENTITY, and column `confidence` of each is a factor of a rule's own."""

TABLES: Final[Mapping[str, Table]] = {**RECORD_TABLES, **DERIVED}
"""All tables that rules may look at."""
