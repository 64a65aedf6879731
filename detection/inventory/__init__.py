"""The inventory: what devices there are, as far as traffic tells. A pure function of records.

    found = inventory({"flow": flows, "modbus": requests, "opcua": calls, "device": facts})

Addresses of one device are merged (`addresses`), what it said of itself is kept with its source (`attributes`), and what it is
for is inferred from what it does, with the reason (`roles`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from detection.inventory.addresses import Addresses, merge
from detection.inventory.roles import roles

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["COLUMNS", "inventory"]

PARTIES: Final = ("ts", "client.ip", "server.ip", "client.mac", "server.mac")

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "flow": (
        *PARTIES,
        "client.port",
        "server.port",
        "network.transport",
        "network.application",
        "flow.packets_out",
        "flow.packets_in",
        "flow.bytes_in",
    ),
    "modbus": (
        *PARTIES,
        "modbus.unit_id",
        "modbus.function_code",
        "modbus.access",
        "modbus.address",
        "modbus.exception_code",
        "modbus.pairing",
    ),
    "opcua": (*PARTIES, "opcua.service"),
    "device": (
        "ts",
        "device.mac",
        "device.ip",
        "device.attribute",
        "device.value",
        "device.source",
        "device.confidence",
    ),
}
"""What the inventory needs of each record table."""

SHOWN: Final = ("name", "vendor", "product", "version", "serial", "os")
"""Attributes of which the best value stands in a column of its own."""


def inventory(records: Mapping[str, pl.DataFrame], language: str = "en") -> pl.DataFrame:
    """One row for each device, in order of its name.

    `device` is its lowest hardware address, or its address where no hardware address is its own; `macs`, `ips`; the best value of
    each of `SHOWN`: the most trusted source's, of these the latest; `roles`: role, confidence and reason, the surest first;
    `attributes`: everything that was said, with source and confidence, and whether it differs from the best value.
    """
    addresses = merge(records["flow"], records["device"])
    facts = _facts(records["device"], addresses)
    frame = addresses.devices
    for name in SHOWN:
        best = facts.filter(pl.col("attribute") == name).group_by("device").agg(pl.col("value").first().alias(name))
        frame = frame.join(best, on="device", how="left")
    told = facts.group_by("device", maintain_order=True).agg(
        pl.struct("attribute", "value", "source", "confidence", "differs").alias("attributes")
    )
    inferred = roles(records, facts, addresses, language)
    ranked = inferred.sort("confidence", "role", descending=[True, False]).group_by("device", maintain_order=True)
    by_device = ranked.agg(pl.struct("role", "confidence", "reason").alias("roles"))
    return frame.join(by_device, on="device", how="left").join(told, on="device", how="left").sort("device")


def _facts(device: pl.DataFrame, addresses: Addresses) -> pl.DataFrame:
    """What was said of each device: device, attribute, value, source, confidence, differs; the most trusted and latest first."""
    facts = device.select(
        "ts",
        attribute=pl.col("device.attribute").cast(pl.String),
        value=pl.col("device.value").cast(pl.String),
        source=pl.col("device.source").cast(pl.String),
        confidence="device.confidence",
        mac=pl.col("device.mac").cast(pl.String),
        ip=pl.col("device.ip").cast(pl.String),
    )
    placed = addresses.place(facts).filter(pl.col("device").is_not_null())
    ranked = placed.sort("confidence", "ts", descending=True).unique(
        ["device", "attribute", "value", "source"], keep="first", maintain_order=True
    )
    best = pl.col("value").first().over("device", "attribute")
    return ranked.with_columns(differs=pl.col("value").str.to_lowercase() != best.str.to_lowercase()).select(
        "device", "attribute", "value", "source", "confidence", "differs"
    )
