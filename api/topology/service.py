"""Asking the record store who talks to whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from api.assets import service as assets
from api.assets.levels import level_of
from api.assets.presentation import zone_of
from api.records.span import grouped
from api.topology.collapsed import Known
from collector.store import Filter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.orm import Session

    from api.filters import AnyOf
    from api.records.span import Span
    from api.zones.plan import Places
    from collector.store import RecordStore

CHANGING: Final = ("Write", "Call", "AddNodes", "AddReferences", "DeleteNodes", "DeleteReferences", "HistoryUpdate")
"""OPC UA services that change something."""

_SUMS: Final = ("flow.bytes_out", "flow.bytes_in", "flow.packets_in")


def flows(store: RecordStore, span: Span) -> tuple[pl.DataFrame, bool]:
    """Conversations: client, server, protocol, records, bytes, answers, first, last; and whether there are more.

    Where frames have no addresses of a network, those of hardware stand for them. Raises as `api.records.span.asked`.
    """
    ethernet = Filter("network.transport", "=", "ethernet")
    parts: list[pl.DataFrame] = []
    limited = False
    for kind, filters in (("ip", [Filter("network.transport", "!=", "ethernet")]), ("mac", [ethernet])):
        by = [f"client.{kind}", f"server.{kind}", "network.application"]
        found, more = grouped(store, "flow", by, span, filters=filters, sums=_SUMS)
        limited |= more
        parts.append(
            found.select(
                pl.col("rows").alias("records"),
                "first",
                "last",
                client=pl.col(f"client.{kind}"),
                server=pl.col(f"server.{kind}"),
                protocol=pl.col("network.application"),
                bytes=(pl.col("sum flow.bytes_out") + pl.col("sum flow.bytes_in")).cast(pl.Int64),
                answers=pl.col("sum flow.packets_in"),
            ).drop_nulls(["client", "server"])
        )
    return pl.concat(parts), limited


def operations(store: RecordStore, span: Span) -> tuple[pl.DataFrame, bool]:
    """What is done: client, server, protocol, operation, changes, records; and whether there is more. Raises as `flows`."""
    parties = ["client.ip", "server.ip"]
    modbus, more = grouped(store, "modbus", [*parties, "modbus.function", "modbus.access"], span)
    opcua, others = grouped(store, "opcua", [*parties, "opcua.service"], span, filters=[Filter("opcua.service", "is_not_null")])
    told = {
        "modbus": modbus.with_columns(
            operation=pl.col("modbus.function"), changes=pl.col("modbus.access").is_in(["write", "read_write"])
        ),
        "opcua": opcua.with_columns(operation=pl.col("opcua.service"), changes=pl.col("opcua.service").is_in(CHANGING)),
    }
    parts = [
        found.select(
            "operation",
            "changes",
            client=pl.col("client.ip"),
            server=pl.col("server.ip"),
            protocol=pl.lit(protocol),
            records=pl.col("rows"),
        ).drop_nulls(["client", "server"])
        for protocol, found in told.items()
    ]
    return pl.concat(parts), more or others


def of_protocols(rows: pl.DataFrame, asked: AnyOf | None) -> pl.DataFrame:
    """The rows of protocols that are asked for."""
    if asked is None:
        return rows
    named = pl.col("protocol").is_in(list(asked.values)).fill_null(value=False)
    return rows.filter(~named if asked.negated else named)


def known(session: Session, site: str, places: Places, addresses: Iterable[str]) -> dict[str, Known]:
    """What is known of addresses: their registered assets, zones and levels."""
    registered = {address: asset for asset in assets.of_site(session, site) for address in asset.addresses}
    found: dict[str, Known] = {}
    for address in addresses:
        asset = registered.get(address)
        zone = places.zone(address) if asset is None else zone_of(asset, places) or places.zone(address)
        level, _ = level_of("" if asset is None else asset.level, zone, [] if asset is None else [asset.role])
        found[address] = Known(
            address if asset is None else asset.name,
            None if zone is None else zone.name,
            level,
            None if asset is None else asset.criticality,
            None if asset is None else asset.id,
        )
    return found
