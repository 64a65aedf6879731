"""The inventory of a site from its stored records: counted together by the store, so that many records are few rows here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from api.records.span import grouped
from collector.store import Filter
from detection.inventory import inventory
from detection.inventory.roles import CYCLIC_PORT, POLLS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from api.records.span import Span
    from collector.store import RecordStore

_PARTIES: Final = ("client.ip", "server.ip", "client.mac", "server.mac")

_TALK: Final = (*_PARTIES, "network.transport", "network.application")

_AMOUNTS: Final = ("flow.packets_out", "flow.packets_in", "flow.bytes_in")

_OTHERS: Final[Mapping[str, tuple[str, ...]]] = {
    "modbus": (
        *_PARTIES, "modbus.unit_id", "modbus.function_code", "modbus.access", "modbus.address", "modbus.exception_code",
        "modbus.pairing",
    ),
    "opcua": (*_PARTIES, "opcua.service"),
    "device": ("device.mac", "device.ip", "device.attribute", "device.value", "device.source"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Observed:
    """The devices of a span as `detection.inventory` tells them, when each was seen first and last, and whether that is all."""

    devices: pl.DataFrame
    limited: bool


def observed(store: RecordStore, span: Span, language: str) -> Observed:
    """The devices that the records of a span show. Raises as `api.records.span.asked`."""
    cyclic = {"server": Filter("server.port", "=", CYCLIC_PORT), "client": Filter("client.port", "=", CYCLIC_PORT)}
    others = [Filter("server.port", "!=", CYCLIC_PORT), Filter("client.port", "!=", CYCLIC_PORT)]
    udp, no_udp = Filter("network.transport", "=", "udp"), Filter("network.transport", "!=", "udp")
    limited = False
    flows: list[pl.DataFrame] = []
    # Ports are left out: there are too many. What is cyclic data is known by one port, on either side.
    for filters, client, server in (
        ([no_udp], None, None),
        ([udp, *others], None, None),
        ([udp, cyclic["server"]], None, CYCLIC_PORT),
        ([udp, cyclic["client"], others[0]], CYCLIC_PORT, None),
    ):
        found, more = grouped(store, "flow", _TALK, span, filters=filters, sums=_AMOUNTS)
        limited |= more
        flows.append(
            found.with_columns(
                pl.lit(client, pl.Int64).alias("client.port"), pl.lit(server, pl.Int64).alias("server.port")
            ).rename({f"sum {name}": name for name in _AMOUNTS})
        )
    records = {"flow": _timed(pl.concat(flows))}
    for table, by in _OTHERS.items():
        ranges = ("device.confidence",) if table == "device" else ()
        found, more = grouped(store, table, by, span, ranges=ranges)
        limited |= more
        records[table] = _timed(found) if table == "device" else _repeated(found)
    records["device"] = records["device"].rename({"latest device.confidence": "device.confidence"})
    devices = inventory(records, language)
    return Observed(devices.join(_seen(records, devices), on="device", how="left"), limited)


def _timed(groups: pl.DataFrame) -> pl.DataFrame:
    """Groups as rows of their tables, each at the time of its first record."""
    return groups.with_columns(ts=pl.from_epoch("first", "ns").dt.replace_time_zone("UTC"))


def _repeated(groups: pl.DataFrame) -> pl.DataFrame:
    """Groups as so many rows as tell whether something is done regularly, at most, as far apart as the records are on average."""
    step = (pl.col("last") - pl.col("first")) // pl.max_horizontal(pl.col("rows") - 1, 1)
    return _timed(
        groups.with_columns(step=step, turn=pl.int_ranges(0, pl.min_horizontal("rows", pl.lit(POLLS))))
        .explode("turn")
        .with_columns(first=pl.col("first") + pl.col("turn") * pl.col("step"))
        .drop("step", "turn")
    )


def _seen(records: Mapping[str, pl.DataFrame], devices: pl.DataFrame) -> pl.DataFrame:
    """When each device was seen sending or answering: device, first_seen, last_seen (nanoseconds since 1970)."""
    flow, said = records["flow"], records["device"]
    sides = [
        flow.filter(pl.col(packets) > 0).select("first", "last", node=pl.col(f"{side}.{kind}"))
        for side, packets in (("client", "flow.packets_out"), ("server", "flow.packets_in"))
        for kind in ("ip", "mac")
    ]
    told = [said.select("first", "last", node=pl.col(f"device.{kind}")) for kind in ("ip", "mac")]
    owners = pl.concat([devices.select("device", node=pl.col(kind)).explode("node") for kind in ("ips", "macs")])
    seen = pl.concat([*sides, *told]).drop_nulls("node").join(owners.drop_nulls(), on="node")
    return seen.group_by("device").agg(first_seen=pl.col("first").min(), last_seen=pl.col("last").max())
