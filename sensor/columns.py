"""What a record table is made of: columns, their kinds, and the columns that every table starts with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

Kind = Literal[
    "timestamp",  # nanoseconds since 1970, UTC
    "duration",  # nanoseconds
    "choice",  # one of `Column.values`: dictionary<uint8, utf8>
    "name",  # text that repeats: dictionary<int32, utf8>
    "text",  # text that rarely repeats: utf8
    "bool",
    "u8",
    "u16",
    "u32",
    "u64",
    "f64",
    "binary",
    "list<u16>",
    "list<text>",
    "list<file_record>",
    "list<device_object>",
    "list<counter>",
]
"""What a column holds. Arrow types are those of the comments; structures are declared in `STRUCTURES`."""

STRUCTURES: Final[Mapping[str, Mapping[str, Kind]]] = {
    "file_record": {"file": "u16", "record": "u16", "length": "u16", "data": "binary"},
    "device_object": {"object": "u8", "value": "text"},
    "counter": {"name": "text", "count": "u64"},
}
"""Element types of the list columns, by name: field → kind."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    name: str
    kind: Kind
    meaning: str
    nullable: bool = True
    values: tuple[str, ...] = ()
    """All values that a column of kind `choice` may hold; the dictionary key is the position."""


@dataclass(frozen=True, slots=True)
class Table:
    """One record table."""

    name: str
    meaning: str
    columns: tuple[Column, ...]

    def column(self, name: str) -> Column:
        """The column of that name. Raises KeyError if the table has none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @property
    def schema(self) -> dict[str, pl.DataType]:
        """The table's columns with their Polars types, in order."""
        return {column.name: polars_type(column.kind) for column in self.columns}


def polars_type(kind: Kind) -> pl.DataType:
    """The Polars type that a column of this kind has once a batch has been loaded."""
    import polars as pl  # noqa: PLC0415  a sensor that only records never asks: without Polars it holds 40 MiB less

    if kind.startswith("list<"):
        element = kind[5:-1]
        if element in STRUCTURES:
            return pl.List(pl.Struct({name: polars_type(field) for name, field in STRUCTURES[element].items()}))
        return pl.List(pl.String() if element == "text" else pl.UInt16())
    scalars: dict[str, pl.DataType] = {
        "timestamp": pl.Datetime("ns", "UTC"),
        "duration": pl.Duration("ns"),
        "choice": pl.Categorical(),
        "name": pl.Categorical(),
        "text": pl.String(),
        "bool": pl.Boolean(),
        "u8": pl.UInt8(),
        "u16": pl.UInt16(),
        "u32": pl.UInt32(),
        "u64": pl.UInt64(),
        "f64": pl.Float64(),
        "binary": pl.Binary(),
    }
    return scalars[kind]


COMMON: Final = (
    Column("ts", "timestamp", "first packet of the request, or of the message where it stands alone", nullable=False),
    Column("client.ip", "name", "address of the client, canonical text (RFC 5952 for IPv6)"),
    Column("server.ip", "name", "address of the server, canonical text"),
    Column("client.port", "u16", "transport port of the client"),
    Column("server.port", "u16", "transport port of the server"),
    Column("client.mac", "name", "hardware address of the client as the sensor saw it, lower case with colons"),
    Column("server.mac", "name", "hardware address of the server as the sensor saw it"),
    Column("vlan", "u16", "outermost VLAN identifier (IEEE 802.1Q)"),
    Column("network.community_id", "name", "Community ID v1, seed 0: the pivot to Zeek, Suricata and Arkime"),
)
"""The columns that every table starts with."""
