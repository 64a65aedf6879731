"""Which addresses are one device's.

A hardware address is merged with the network addresses that it claims (ARP, neighbour discovery, DHCP, LLDP, CDP, PROFINET DCP)
and with the
only one that it is seen to send for. One that sends for addresses which it does not claim is a router's, or a spoofer's: those
addresses are
devices of their own. An address that two hardware addresses claim belongs to the first; the other stays apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

CLAIMS: Final = ("arp", "ndp", "dhcp", "lldp", "cdp", "profinet dcp")
"""Sources by which a device tells its own addresses on its own network."""

ROUNDS: Final = 64
"""Rounds in which names spread over addresses that belong together: the longest chain of addresses of one device."""

MAC: Final = r"^([0-9a-f]{2}:){5}[0-9a-f]{2}$"
NOBODY: Final = r"^(0\.0\.0\.0|255\.255\.255\.255|22[4-9]\..*|23[0-9]\..*|127\..*|::|::1|ff[0-9a-f]{2}:.*)$"
"""Addresses that are no device's: unspecified, loopback, groups."""

LINK_LOCAL: Final = r"^fe[89ab][0-9a-f]:"
"""Addresses that no router passes on (RFC 4291, 2.5.6): whoever sends for one has it."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Devices by their addresses.

    devices: device, macs, ips. owners: node (hardware or network address), device. routed: mac and ip of what a router passed
    on; mac is not
    that of ip's device. routers: device, carried (number of addresses).
    """

    devices: pl.DataFrame
    owners: pl.DataFrame
    routed: pl.DataFrame
    routers: pl.DataFrame

    def place(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows with column `device`, from columns `mac` and `ip`: the network address decides where there is one."""
        by_ip = self.owners.rename({"node": "ip", "device": "by_ip"})
        by_mac = self.owners.rename({"node": "mac", "device": "by_mac"})
        joined = rows.join(by_ip, on="ip", how="left").join(by_mac, on="mac", how="left")
        return joined.with_columns(device=pl.coalesce("by_ip", "by_mac")).drop("by_ip", "by_mac")


def merge(flow: pl.DataFrame, device: pl.DataFrame) -> Addresses:
    """The devices behind all addresses of tables `flow` and `device`."""
    facts = device.select(
        "ts",
        mac=pl.col("device.mac").cast(pl.String),
        ip=pl.col("device.ip").cast(pl.String),
        value=pl.col("device.value").cast(pl.String),
        is_claim=(pl.col("device.attribute").cast(pl.String) == "address")
        & pl.col("device.source").cast(pl.String).is_in(CLAIMS),
    )
    claims = facts.filter("is_claim")
    is_mac = pl.col("value").str.contains(MAC)
    told = claims.filter(~is_mac).select("ts", "mac", ip=pl.col("value"), claimed=pl.lit(value=True))
    seen = pl.concat(
        [
            facts.filter(~pl.col("is_claim")).select("ts", "mac", "ip"),
            *(_senders(flow, side, packets) for side, packets in (("client", "flow.packets_out"), ("server", "flow.packets_in"))),
        ]
    ).with_columns(claimed=pl.col("ip").str.contains(LINK_LOCAL).fill_null(value=False))
    parties = pl.concat([told, seen.select("ts", "mac", "ip", "claimed")]).with_columns(
        ip=pl.when(~pl.col("ip").str.contains(NOBODY)).then("ip")
    )
    pairs = (
        parties.drop_nulls(["mac", "ip"])
        .group_by("mac", "ip")
        .agg(pl.col("ts").min(), pl.col("claimed").any())
        .sort("ts", "mac", "ip")
    )
    pairs = _settled(pairs)
    routing = _routing(pairs)
    own = pairs.join(routing.select("mac"), on="mac", how="anti").vstack(
        pairs.join(routing.select("mac"), on="mac", how="semi").filter("claimed")
    )
    # One hardware address for each network address: who claims it, else who was first seen with it.
    own = own.sort("claimed", "ts", descending=[True, False]).unique("ip", keep="first", maintain_order=True)
    chassis = claims.filter(is_mac).select(low="mac", high="value").drop_nulls()
    edges = pl.concat([own.select(low="mac", high="ip"), chassis])
    nodes = pl.concat(
        [
            parties.select(node="mac"),
            parties.select(node="ip"),
            chassis.select(node="high"),
            claims.select(node="mac"),
        ]
    ).drop_nulls()
    owners = _joined(nodes.unique(), edges)
    is_hardware = pl.col("node").str.contains(MAC)
    devices = owners.group_by("device").agg(
        macs=pl.col("node").filter(is_hardware).sort(), ips=pl.col("node").filter(~is_hardware).sort()
    )
    names = owners.rename({"node": "mac"})
    routers = routing.join(names, on="mac").group_by("device").agg(pl.col("carried").sum())
    routed = pairs.join(own.select("mac", "ip"), on=["mac", "ip"], how="anti").select("mac", "ip")
    return Addresses(devices, owners, routed, routers)


def _senders(flow: pl.DataFrame, side: str, packets: str) -> pl.DataFrame:
    """Hardware and network addresses of one side of the conversations in which it sent anything.

    Who is only asked need not be there.
    """
    mac = pl.col(f"{side}.mac").cast(pl.String)
    is_group = mac.str.contains("^.[13579bdf]:").fill_null(value=False)
    is_zero = (mac == "00:00:00:00:00:00").fill_null(value=False)
    sent = flow.filter(pl.col(packets) > 0)
    return sent.select("ts", mac=pl.when(~(is_group | is_zero)).then(mac), ip=pl.col(f"{side}.ip").cast(pl.String))


def _settled(pairs: pl.DataFrame) -> pl.DataFrame:
    """The pairs, in which an address is claimed by the first of those only that claim it."""
    first = pairs.filter("claimed").unique("ip", keep="first", maintain_order=True).select("ip", claimant="mac")
    joined = pairs.join(first, on="ip", how="left")
    return joined.with_columns(claimed=(pl.col("claimed") & (pl.col("mac") == pl.col("claimant"))).fill_null(value=False)).drop(
        "claimant"
    )


def _routing(pairs: pl.DataFrame) -> pl.DataFrame:
    """Hardware addresses that send for others: mac, carried.

    That is more than one address that it does not claim, or one beside one that it does.
    """
    is_local = pl.col("ip").str.contains(LINK_LOCAL)
    by_family = (
        pairs.filter(~is_local)
        .with_columns(is_six=pl.col("ip").str.contains(":", literal=True))
        .group_by("mac", "is_six")
        .agg(carried=(~pl.col("claimed")).sum(), own=pl.col("claimed").sum())
        .filter((pl.col("carried") >= 2) | (pl.col("carried") >= 1) & (pl.col("own") >= 1))
    )
    return by_family.group_by("mac").agg(pl.col("carried").sum())


def _joined(nodes: pl.DataFrame, edges: pl.DataFrame) -> pl.DataFrame:
    """Node and device: nodes that edges join, however far, have one name.

    It is that of the lowest hardware address, else of the lowest network address.
    """
    # Hardware addresses before the others.
    rank = pl.when(pl.col("node").str.contains(MAC)).then(pl.lit("0")).otherwise(pl.lit("1")) + pl.col("node")
    named = nodes.select("node", name=rank)
    both = pl.concat([edges.select("low", "high"), edges.select(low="high", high="low")])
    for _ in range(ROUNDS):
        spread = both.join(named, left_on="low", right_on="node").group_by("high").agg(heard=pl.col("name").min())
        after = named.join(spread, left_on="node", right_on="high", how="left").select(
            "node", name=pl.min_horizontal("name", "heard")
        )
        if after.equals(named):
            break
        named = after
    return named.select("node", device=pl.col("name").str.slice(1))
