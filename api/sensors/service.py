"""The health of sensors, from what they report in table `sensor` and from the parts of this process."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from api.enrolment.models import EnrolledSensor, SensorCertificate
from api.problems import Problem
from api.sensors.schemas import GapOutput, Health, PartHealth, SensorHealth, UplinkHealth
from api.sensors.sites import seen
from api.times import NANOSECONDS, iso
from collector.store import Filter, Order, Query, QueryTimeoutError, StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from api.sensors.reports import Heard
    from api.services import Services

REPORTS: Final = 500
"""Latest sensor reports looked at: with one each 10 s, enough for 250 sensors."""


def health(provided: Services) -> Health:
    """How the sensors that the caller may see and the parts are doing. Raises Problem `records_missing`, `query_too_long`."""
    known = seen(provided)
    limits = [] if known is None else [Filter("sensor", "in", sorted(known) or [""])]
    try:
        query = Query(
            "sensor", limits, order=Order("ts", descending=True), limit=REPORTS, seconds=provided.settings.query_seconds
        )
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
    gaps = [gap for gap in provided.status.gaps() if known is None or gap.sensor in known]
    return Health(
        sensors=[_sensor(*kept) for _, kept in sorted(latest.items())],
        uplinks=_uplinks(provided, {name: kept[0] for name, kept in latest.items()}),
        parts=[
            PartHealth(name=part.name, state=part.state, detail=part.detail, batches=part.batches, waiting=part.waiting)
            for part in provided.status.parts()
        ],
        packets=provided.status.packets if any(part.name == "capture" for part in provided.status.parts()) else None,
        gaps=[
            GapOutput(consumer=gap.consumer, sensor=gap.sensor, epoch=gap.epoch, expected=gap.expected, found=gap.found)
            for gap in gaps
        ],
        gap_count=provided.status.gap_count if known is None else len(gaps),
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


def _uplinks(provided: Services, latest: Mapping[str, Mapping[str, Any]]) -> list[UplinkHealth]:
    """Sensors elsewhere, by name."""
    with provided.database.read() as session:
        rows = {row.name: row for row in session.scalars(sa.select(EnrolledSensor))}
        issued = sa.select(SensorCertificate.sensor, SensorCertificate.serial, SensorCertificate.expires_at)
        # The newest of each is what stays.
        certificates = {each.sensor: each for each in session.execute(issued.order_by(SensorCertificate.issued_at))}
    heard = {each.report.sensor: each for each in provided.reports.all()}
    gaps = Counter(gap.sensor for gap in provided.status.gaps())
    known = seen(provided)
    names = sorted(name for name in {*rows, *heard} if known is None or name in known)
    return [
        _uplink(name, rows.get(name), certificates.get(name), heard.get(name), latest.get(name), gaps[name]) for name in names
    ]


def _uplink(  # noqa: PLR0913, PLR0917 - what there is to say of a sensor comes from so many places
    name: str,
    row: EnrolledSensor | None,
    certificate: sa.Row[str, str, int] | None,
    heard: Heard | None,
    last: Mapping[str, Any] | None,
    gaps: int,
) -> UplinkHealth:
    report = heard and heard.report
    health = UplinkHealth(
        sensor=name,
        site=row.site if row and row.site else report.site if report else "",
        state="not_enrolled" if row is None or (row.enrolled_at is None and row.revoked_at is None)
        else "revoked" if row.revoked_at is not None else "enrolled",
        gaps=gaps,
    )  # fmt: skip
    if row is not None:
        health.enrolled_at, health.revoked_at = _iso(row.enrolled_at), _iso(row.revoked_at)
        health.settings, health.settings_version = row.settings, row.settings_version
    if certificate is not None:
        health.certificate_serial, health.certificate_expires = certificate.serial, iso(certificate.expires_at)
    if last is not None:
        health.last_epoch, health.last_sequence = last["epoch"], last["sequence"]
        health.last_at = iso(_nanoseconds(last["ts"]))
    if heard is not None and report is not None:
        health.heard_at, health.version, health.epoch = iso(heard.at), report.version, report.epoch
        health.lag_batches, health.lag_seconds = report.lag_batches, report.lag_seconds
        health.lost_batches = report.missing + report.damaged + report.refused
        health.renewal_trouble, health.settings_refused = report.renewal_trouble, report.settings_refused
        health.settings_uplink, health.settings_recorder = report.settings_uplink, report.settings_recorder
        health.requests_waiting = None if heard.in_topic is None else heard.in_topic + report.control_waiting
        health.answers_waiting = report.answers_waiting
    return health


def _iso(at: int | None) -> str | None:
    return None if at is None else iso(at)


def _nanoseconds(moment: Any) -> int:
    """A time as Polars gives it (to the microsecond) in nanoseconds."""
    return int(moment.timestamp()) * NANOSECONDS + moment.microsecond * 1000
