"""What sensors see and do not see, and how mature it is what is normal: asked of the record store and of detection."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from api.problems import Problem
from api.records.span import Span, asked, grouped, moment
from api.situation import hearing
from api.situation.schemas import BaselineState, Blindness, SensorState, Unseen
from api.times import NANOSECONDS, iso
from collector.store import Filter, Order, Query
from detection.baseline.learning import immaturity
from detection.checkpoint import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from api.services import Services

SEEN_SECONDS: Final = 30.0
"""How long what sensors see is kept."""

PAST_SECONDS: Final = 600.0
"""The same of a past time, which changes no more but for what comes late."""

REPORTS: Final = 500
"""Latest reports of sensors that are looked at."""

REPORT_SECONDS: Final = 3_600
"""A report that is older says nothing of how a sensor is."""

LAG_SECONDS: Final = 60.0
"""A sensor that is further behind is told."""

ENCRYPTED: Final = ("tls", "ssh")
"""Protocols of which nothing is seen but that they are spoken."""


def blindness(provided: Services, at: int | None, sensors: Sequence[str]) -> Blindness:
    """What sensors do not see, now (None) or at a past time."""
    moment_of = time.time_ns() if at is None else at
    try:
        found = _of_records(provided, moment_of, sensors)
    except Problem:
        found = unreadable()
    found.unheard = hearing.unheard(provided, moment_of, sensors, past=at is not None)
    if at is None:
        gaps = [gap.sensor for gap in provided.status.gaps() if not sensors or gap.sensor in sensors]
        behind = [
            each.report.sensor
            for each in provided.reports.all()
            if (not sensors or each.report.sensor in sensors)
            and (each.report.lag_seconds > LAG_SECONDS or each.report.missing + each.report.damaged + each.report.refused)
        ]
        found.gaps = provided.status.gap_count if not sensors else len(gaps)
        if not provided.reports.unread:
            found.silent = sorted({*behind, *gaps, *(each.sensor for each in found.unheard)})
    return found


def unreadable() -> Blindness:
    """What is said where the records cannot be asked: nothing is known."""
    return Blindness(sensors=[], unheard=[], silent=None, gaps=None, unseen=[], readable=False)


def baselines(provided: Services, sites: Sequence[str]) -> list[BaselineState] | None:
    """How mature it is what is normal; None where that cannot be read."""
    try:
        learned = provided.learned()
    except CheckpointError:
        return None
    return [
        BaselineState(
            site=site,
            sensor=run[0],
            phase=state.whole.phase,
            learning=bool(state.learns),
            immaturity=immaturity(state.whole),
            heard_hours=state.heard_hours,
            promise_holds=None if promise is None else promise.broken is None,
        )
        for site, known in sorted(learned.items())
        if site in sites
        for run, state, promise in known
    ]


def _of_records(provided: Services, at: int, sensors: Sequence[str]) -> Blindness:
    store, seconds = provided.records, provided.settings.query_seconds
    day = Span(max(0, at - 86_400 * NANOSECONDS), at + 1_000, seconds, sensors)
    query = Query(
        "sensor", day.filters, since=moment(max(0, at - REPORT_SECONDS * NANOSECONDS)), until=moment(at + 1_000),
        order=Order("ts", descending=True), limit=REPORTS, columns=["ts", "sensor.drops"], seconds=seconds,
    )  # fmt: skip
    reports = asked(lambda: store.query(query)).rows.with_columns(at=pl.col("ts").dt.epoch("ns")).to_dicts()
    latest: dict[str, dict[str, Any]] = {}
    for report in reports:
        latest.setdefault(report["sensor"], report)
    states: list[SensorState] = []
    for name, report in sorted(latest.items()):
        drops = Counter({counter["name"]: counter["count"] for counter in report["sensor.drops"] or () if counter["count"]})
        states.append(
            SensorState(
                sensor=name,
                at=iso(report["at"]),
                dropped=sum(drops.values()),
                causes=[cause for cause, _ in drops.most_common(5)],
            )
        )
    flows, _ = grouped(store, "flow", ["network.application", "flow.state"], day)
    calls, _ = grouped(store, "opcua", ["opcua.message_type"], day)
    hidden, _ = grouped(store, "opcua", ["opcua.message_type"], day, filters=[Filter("opcua.encrypted", "=", True)])
    unseen = _unseen(flows, calls, hidden)
    return Blindness(sensors=states, unheard=[], silent=None, gaps=None, unseen=unseen, readable=True)


def _unseen(flows: pl.DataFrame, calls: pl.DataFrame, hidden: pl.DataFrame) -> list[Unseen]:
    """What of conversations is not seen, where it is any."""
    application, state, rows = pl.col("network.application"), pl.col("flow.state"), pl.col("rows")
    whole, called = int(flows["rows"].sum()), int(calls["rows"].sum())
    counted = flows.select(
        encrypted=rows.filter(application.is_in(ENCRYPTED)).sum(),
        one_sided=rows.filter(state == "one_sided").sum(),
        midstream=rows.filter(state == "midstream").sum(),
        unknown_protocol=rows.filter(application.is_null()).sum(),
    ).row(0, named=True)
    found = [
        Unseen.model_validate({"reason": reason, "records": count, "share": count / whole})
        for reason, count in counted.items()
        if count
    ]
    if secret := int(hidden["rows"].sum()):
        found.append(Unseen(reason="encrypted", records=secret, share=secret / max(called, 1)))
    return found
