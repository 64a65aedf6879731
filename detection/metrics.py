"""What detection counts, for who watches a worker; the names are those that `icsight run` has for its part of detection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sensor.metrics import GAPS, Measure, Reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detection.loop import Counters

CONSUMER: Final = "detection"

BATCHES: Final = Measure("icsight_detection_batches", "counter", "Record batches that detection has looked at.")
RECORDS: Final = Measure("icsight_detection_records", "counter", "Records that detection has looked at.")
FINDINGS: Final = Measure("icsight_detection_findings", "counter", "Records that belong to what rules found.")
SECONDS: Final = Measure("icsight_detection_seconds", "counter", "Time that detection took.", unit="seconds")
DAMAGED: Final = Measure(
    "icsight_detection_damaged_batches", "counter", "Record batches that detection could not read and passed over."
)
LIMITED: Final = Measure(
    "icsight_detection_limited",
    "gauge",
    "How often a bound of detection has bitten in what it remembers: it had to forget something.",
)
ALERTS: Final = Measure("icsight_detection_alert_upserts", "counter", "Revisions of alerts published.")


def readings(counters: Counters) -> Iterator[Reading]:
    """All of them."""
    yield Reading(BATCHES, counters.batches)
    yield Reading(RECORDS, counters.records)
    yield Reading(FINDINGS, counters.findings)
    yield Reading(SECONDS, counters.seconds)
    yield Reading(DAMAGED, counters.damaged)
    yield Reading(LIMITED, counters.limited)
    yield Reading(ALERTS, counters.alerts)
    yield Reading(GAPS, counters.gaps, (CONSUMER,))
