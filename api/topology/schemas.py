"""The topology in JSON."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.assets.models import Criticality
from api.filters import AnyOf, OneOf
from api.records.span import SpanQuery
from api.zones.plan import Level

Kind = Literal["device", "network", "zone", "level", "others", "silent"]
"""What a node stands for. others: what does not fit into the answer. silent: addresses that were asked and never said a word."""

By = Literal["auto", "device", "network", "zone", "level"]

Agreement = Literal["inside", "declared", "protocol", "undeclared", "unknown"]
"""How talk fits the plan of zones.

inside: both ends are in one zone. declared: a conduit joins their zones. protocol: one does, but not for a protocol that was
spoken. undeclared: none does. unknown: an end lies in no zone."""

NODES: int = 60
"""Nodes of an answer where nobody says."""

NODES_MOST: int = 300

EDGES_MOST: int = 2_000


class TopologyQuery(SpanQuery):
    """What is shown, and how much of it."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    by: By = Field(default="auto", examples=["zone"])
    """What nodes stand for; auto: devices where they fit, else zones, networks or levels."""
    open: Annotated[str, StringConstraints(max_length=64, pattern=r"^[^\x00]*$")] | None = Field(
        default=None, examples=["Cell 1"]
    )
    """A node that is shown as its devices: its name."""
    protocol: Annotated[AnyOf | None, OneOf((), "modbus,opcua")] = None
    """Protocols."""
    nodes: int = Field(default=NODES, ge=3, le=NODES_MOST)
    """Most nodes; beyond them those with the fewest records are one."""


class Operation(BaseModel):
    """Something that is done."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    operation: str = Field(examples=["read_holding_registers"])
    changes: bool = Field(examples=[False])
    """Whether it changes something: a write, a call of a method, a change of nodes."""
    records: int = Field(examples=[17_280])


class Talk(BaseModel):
    """What is spoken from one node to another."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    protocol: str | None = Field(examples=["modbus"])
    """Null: not known."""
    records: int = Field(examples=[1_440])
    """Rows of table `flow`: each conversation has one at its end and one a minute."""
    bytes: int = Field(examples=[2_304_000])
    operations: list[Operation]
    """What is done, most often first, at most 20; where the protocol is read and not encrypted."""


class Node(BaseModel):
    """A device, or several that are shown as one."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: str = Field(examples=["Cell 1"])
    """One among all nodes of the answer."""
    kind: Kind = Field(examples=["zone"])
    label: str = Field(examples=["Cell 1"])
    """What to write beside it: the registered name of a device, where it has one."""
    devices: int = Field(examples=[24])
    """Addresses that it stands for."""
    zone: str | None = Field(default=None, examples=["Cell 1"])
    level: Level | None = Field(default=None, examples=["1"])
    criticality: Criticality | None = Field(default=None, examples=["high"])
    """The highest of its registered assets."""
    registered: int = Field(examples=[20])
    """Addresses that are registered."""


class Edge(BaseModel):
    """Talk from a client to a server."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    client: str = Field(examples=["Supervision"])
    """Name of the node that asks."""
    server: str = Field(examples=["Cell 1"])
    """Name of the node that is asked; the same as `client` for talk inside of it."""
    talk: list[Talk]
    """By protocol, what is most first."""
    records: int = Field(examples=[1_440])
    bytes: int = Field(examples=[2_304_000])
    pairs: int = Field(examples=[24])
    """Pairs of addresses that it stands for."""
    first: str = Field(examples=["2026-11-23T08:00:00.000000000Z"])
    last: str = Field(examples=["2026-11-30T07:59:59.000000000Z"])
    agreement: Agreement = Field(examples=["declared"])
    """How it fits the plan of zones: of what it stands for the worst."""


class Topology(BaseModel):
    """Who talks to whom."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    site: str = Field(examples=["waterworks"])
    since: str = Field(examples=["2026-11-23T08:00:00.000000000Z"])
    until: str = Field(examples=["2026-11-30T08:00:00.000000000Z"])
    by: Literal["device", "network", "zone", "level"] = Field(examples=["zone"])
    """What nodes stand for."""
    nodes: list[Node]
    edges: list[Edge]
    """What has most records first."""
    more_edges: int = Field(examples=[0])
    """Edges with fewer records that are left out."""
    limited: bool = Field(examples=[False])
    """Whether there is more than is looked at: ask for less time then."""
