"""Conversations of addresses as edges of few nodes. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import polars as pl

from api.topology.schemas import EDGES_MOST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from api.zones.plan import Places

Grain = Literal["device", "network", "zone", "level"]

SILENT: Final = "silent"
"""Name of the node of all addresses that never said a word."""

OTHERS: Final = "others"
"""Name of the node of what does not fit into the answer."""

PREFIXES: Final[Mapping[int, int]] = {4: 24, 6: 64}
"""Length of the networks that addresses are put together in, by version."""

AGREEMENTS: Final = ("inside", "declared", "unknown", "protocol", "undeclared")
"""How talk fits the plan, the best first."""

OPERATIONS: Final = 20
"""Operations of a protocol that are told."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an address besides its talk.

    Attributes:
        label: name of its registered asset, or itself.
        zone: name of its zone.
        level: Purdue level.
        criticality: that of its registered asset, position in `CRITICALITIES`.
        asset: identity of its registered asset.
    """

    label: str
    zone: str | None = None
    level: str | None = None
    criticality: int | None = None
    asset: str | None = None


@dataclass(frozen=True, slots=True)
class Collapsed:
    """Nodes and edges.

    grain: what nodes stand for. nodes: name, kind, devices, registered, criticality, zone, level. edges: client, server, records,
    bytes, pairs, first, last, agreement (place in `AGREEMENTS`); what has most records first. talk: client, server, protocol,
    records, bytes. operations: client, server, protocol, operation, changes, records. more_edges: how many are left out.
    """

    grain: Grain
    nodes: pl.DataFrame
    edges: pl.DataFrame
    talk: pl.DataFrame
    operations: pl.DataFrame
    more_edges: int


def collapse(  # noqa: PLR0913, PLR0917 - the talk, what is known of the addresses, and three wishes
    flows: pl.DataFrame,
    operations: pl.DataFrame,
    known: Mapping[str, Known],
    places: Places,
    by: str = "auto",
    opened: str | None = None,
    most: int = 60,
) -> Collapsed:
    """Few nodes of many addresses.

    Args:
        flows: client, server, protocol, records, bytes, answers (packets from the server), first, last.
        operations: client, server, protocol, operation, changes, records.
        known: what is known of each address.
        places: the plan of zones.
        by: what nodes stand for; "auto": as much as fits.
        opened: a node that is shown as its devices.
        most: most nodes.
    """
    speaking = pl.concat([flows.select(address="client"), flows.filter(pl.col("answers") > 0).select(address="server")]).unique()
    grain, names = _names(speaking["address"].to_list(), known, places, by, most)
    if opened is not None:
        names = {address: address if name == opened else name for address, name in names.items()}
    named = pl.DataFrame(
        {"address": list(names), "name": list(names.values())}, schema={"address": pl.String(), "name": pl.String()}
    )
    renamed = {"flows": _placed(flows, named), "operations": _placed(operations, named)}
    kept = _busiest(renamed["flows"], named, most)
    fold = [
        pl.when(pl.col(side).is_in([*kept, SILENT])).then(pl.col(side)).otherwise(pl.lit(OTHERS)).alias(side)
        for side in ("to", "from")
    ]
    folded = {name: frame.with_columns(fold) for name, frame in renamed.items()}
    edges, talk = _edges(folded["flows"], known, places)
    shown = edges.head(EDGES_MOST)
    nodes = _nodes(folded["flows"], named, kept, known, grain)
    done = (
        folded["operations"]
        .group_by("from", "to", "protocol", "operation")
        .agg(pl.col("changes").any(), pl.col("records").sum())
        .sort("records", "operation", descending=[True, False])
    )
    return Collapsed(grain, nodes, shown, talk, done, edges.height - shown.height)


def _names(
    addresses: Sequence[str], known: Mapping[str, Known], places: Places, by: str, most: int
) -> tuple[Grain, dict[str, str]]:
    """The name of each address' node."""
    named: dict[Grain, dict[str, str]] = {
        "device": {address: address for address in addresses},
        "zone": {address: _of(known, address).zone or network_of(address) for address in addresses},
        "network": {address: network_of(address) for address in addresses},
        "level": {address: f"level {_of(known, address).level or '?'}" for address in addresses},
    }
    if by != "auto":
        return by, named[by]  # pyright: ignore[reportReturnType,reportArgumentType]  one of the four
    order: list[Grain] = ["device", *(["zone"] if places.plan.zones else []), "network", "level"]
    for grain in order:
        if len(set(named[grain].values())) <= most - 2:
            return grain, named[grain]
    return "level", named["level"]


def network_of(address: str) -> str:
    """The network that an address is put into; addresses of hardware are together."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return "ethernet"
    return str(ipaddress.ip_network((address, PREFIXES[found.version]), strict=False))


def _of(known: Mapping[str, Known], address: str) -> Known:
    return known.get(address) or Known(address)


def _placed(rows: pl.DataFrame, named: pl.DataFrame) -> pl.DataFrame:
    """The rows with columns `from` and `to`: the names of their nodes."""
    return (
        rows.join(named.rename({"address": "client", "name": "from"}), on="client", how="left")
        .join(named.rename({"address": "server", "name": "to"}), on="server", how="left")
        .with_columns(pl.col("from", "to").fill_null(SILENT))
    )


def _busiest(flows: pl.DataFrame, named: pl.DataFrame, most: int) -> list[str]:
    """Names of the nodes that are shown by themselves: those with most records, where they do not all fit."""
    names = named["name"].unique().sort().to_list()
    if len(names) <= most - 1:
        return names
    sides = pl.concat([flows.select("records", name=side) for side in ("from", "to")]).filter(pl.col("name") != SILENT)
    ranked = sides.group_by("name").agg(pl.col("records").sum()).sort("records", "name", descending=[True, False])
    return ranked["name"].head(most - 2).to_list()


def _edges(flows: pl.DataFrame, known: Mapping[str, Known], places: Places) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Edges, what has most records first, and what is spoken on each."""
    pairs = flows.select("client", "server", "protocol").unique()
    agreed = [
        agreement(_of(known, client).zone, _of(known, server).zone, protocol, places) for client, server, protocol in pairs.rows()
    ]
    judged = flows.join(
        pairs.with_columns(pl.Series("agreement", [AGREEMENTS.index(each) for each in agreed], dtype=pl.Int64())),
        on=["client", "server", "protocol"],
        how="left",
        nulls_equal=True,
    )
    edges = (
        judged.group_by("from", "to")
        .agg(
            pl.col("records", "bytes").sum(),
            pl.struct("client", "server").n_unique().alias("pairs"),
            pl.col("first").min(),
            pl.col("last").max(),
            pl.col("agreement").max(),
        )
        .sort("records", "from", "to", descending=[True, False, False])
    )
    talk = (
        flows.group_by("from", "to", "protocol")
        .agg(pl.col("records", "bytes").sum())
        .sort("records", "protocol", descending=[True, False], nulls_last=True)
    )
    return edges, talk


def agreement(one: str | None, other: str | None, protocol: str | None, places: Places) -> str:
    """How talk between two zones fits the plan: one of `AGREEMENTS`."""
    if one is None or other is None:
        return "unknown"
    if one == other:
        return "inside"
    conduit = places.conduits.get((min(one, other), max(one, other)))
    if conduit is None:
        return "undeclared"
    return "declared" if not conduit.protocols or protocol in conduit.protocols else "protocol"


def _nodes(
    flows: pl.DataFrame, named: pl.DataFrame, kept: Sequence[str], known: Mapping[str, Known], grain: Grain
) -> pl.DataFrame:
    """The nodes with what is known of them together."""
    silent = flows.filter(pl.col("to") == SILENT)["server"].n_unique()
    members: dict[str, list[str]] = {}
    shown = set(kept)
    for address, name in named.rows():
        members.setdefault(name if name in shown else OTHERS, []).append(address)
    rows: list[dict[str, Any]] = []
    for name, addresses in sorted(members.items()):
        found = [_of(known, address) for address in addresses]
        kind = OTHERS if name == OTHERS else "device" if addresses == [name] else _kind(name, found, grain)
        rows.append(
            {
                "name": name,
                "kind": kind,
                "label": found[0].label if kind == "device" else name,
                "devices": len(addresses),
                "registered": sum(each.asset is not None for each in found),
                "criticality": max((each.criticality for each in found if each.criticality is not None), default=None),
                "zone": _same([each.zone for each in found]),
                "level": _same([each.level for each in found]),
            }
        )
    if silent:
        rows.append({"name": SILENT, "kind": SILENT, "label": SILENT, "devices": silent, "registered": 0})
    return pl.DataFrame(
        rows,
        schema={
            "name": pl.String(), "kind": pl.String(), "label": pl.String(), "devices": pl.Int64(), "registered": pl.Int64(),
            "criticality": pl.Int64(), "zone": pl.String(), "level": pl.String(),
        },
    )  # fmt: skip


def _kind(name: str, found: Sequence[Known], grain: Grain) -> str:
    return "network" if grain == "zone" and found[0].zone != name else grain


def _same(values: Sequence[str | None]) -> str | None:
    """What all of them say; None where they differ."""
    return values[0] if len(set(values)) == 1 else None
