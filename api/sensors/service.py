"""The health of sensors, from what they report in table `sensor` and from the parts of this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from api.problems import Problem
from api.sensors.schemas import GapOutput, Health, PartHealth, SensorHealth
from api.times import NANOSECONDS, iso
from collector.store import Order, Query, QueryTimeoutError, StoreError

if TYPE_CHECKING:
    from api.services import Services

REPORTS: Final = 500
"""Latest sensor reports looked at: with one each 10 s, enough for 250 sensors."""


def health(provided: Services) -> Health:
    """How sensors and parts are doing. Raises Problem `records_missing`, `query_too_long`."""
    try:
        query = Query("sensor", order=Order("ts", descending=True), limit=REPORTS, seconds=provided.settings.query_seconds)
        reports = provided.records.query(query).rows
    except QueryTimeoutError as error:
        raise Problem("query_too_long", headers={"Retry-After": "5"}) from error
    except StoreError as error:
        raise Problem("records_missing", reason=str(error)) from error
    latest: dict[str, list[dict[str, Any]]] = {}
    for report in reports.iter_rows(named=True):
        kept = latest.setdefault(report["sensor"], [])
        if len(kept) < 2 and (not kept or kept[0]["epoch"] == report["epoch"]):
            kept.append(report)
    return Health(
        sensors=[_sensor(*kept) for _, kept in sorted(latest.items())],
        parts=[
            PartHealth(name=part.name, state=part.state, detail=part.detail, batches=part.batches, waiting=part.waiting)
            for part in provided.status.parts()
        ],
        packets=provided.status.packets if any(part.name == "capture" for part in provided.status.parts()) else None,
        gaps=[
            GapOutput(consumer=gap.consumer, sensor=gap.sensor, epoch=gap.epoch, expected=gap.expected, found=gap.found)
            for gap in provided.status.gaps()
        ],
        gap_count=provided.status.gap_count,
    )


def _sensor(report: dict[str, Any], before: dict[str, Any] | None = None) -> SensorHealth:
    drops = {counter["name"]: counter["count"] for counter in report["sensor.drops"] if counter["count"]}
    at = _nanoseconds(report["ts"])
    rate = None
    if before is not None and (seconds := (at - _nanoseconds(before["ts"])) / NANOSECONDS) > 0:
        rate = max(0.0, (report["sensor.packets"] - before["sensor.packets"]) / seconds)
    offset = report["sensor.clock_offset"]
    return SensorHealth(
        sensor=report["sensor"],
        epoch=report["epoch"],
        at=iso(at),
        packets=report["sensor.packets"],
        packets_per_second=rate,
        bytes=report["sensor.bytes"],
        flows=report["sensor.flows"],
        dropped=sum(drops.values()),
        drops=drops,
        memory_bytes=report["sensor.memory"],
        clock_offset_seconds=None if offset is None else offset.total_seconds(),
        version=report["sensor.version"],
    )


def _nanoseconds(moment: Any) -> int:
    """A time as Polars gives it (to the microsecond) in nanoseconds."""
    return int(moment.timestamp()) * NANOSECONDS + moment.microsecond * 1000
