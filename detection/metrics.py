"""What detection counts, for who watches it, on one machine and on Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from detection.timing import DETECTORS
from sensor.metrics import GAPS, Measure, Reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from detection.loop import Counters
    from sensor.progress import Progress

CONSUMER: Final = "detection"

BATCHES: Final = Measure("icsight_detection_batches", "counter", "Record batches that detection has looked at.")
RECORDS: Final = Measure("icsight_detection_records", "counter", "Records that detection has looked at.")
FINDINGS: Final = Measure("icsight_detection_findings", "counter", "Records that belong to what rules found.")
SECONDS: Final = Measure("icsight_detection_seconds", "counter", "Time that detection took.", unit="seconds")
DAMAGED: Final = Measure(
    "icsight_detection_damaged_batches", "counter", "Record batches that detection could not read and passed over."
)
TURNED_AWAY: Final = Measure(
    "icsight_detection_turned_away_messages",
    "counter",
    "Messages of sites for which their partition had no room; they were not looked at.",
)
PASSED_OVER: Final = Measure(
    "icsight_detection_passed_over_messages",
    "counter",
    "Messages to shares and tellers that were passed over: their beginning did not come, or something else is gone.",
)
UNTOLD_CUTS: Final = Measure(
    "icsight_detection_untold_cuts", "gauge", "Cuts of sites that are split of which shares are still to say what they found."
)
UNTOLD_SECONDS: Final = Measure(
    "icsight_detection_untold_seconds",
    "gauge",
    "How long cuts of a site that is split have waited and nothing was told of it, of the site that waits longest.",
    unit="seconds",
)
LIMITED: Final = Measure(
    "icsight_detection_limited",
    "gauge",
    "How often a bound of detection has bitten in what it remembers: it had to forget something.",
)
DETECTOR_SECONDS: Final = Measure(
    "icsight_detector_seconds",
    "counter",
    "Time that each part of detection took; rules, baseline and models work side by side.",
    ("detector",),
    "seconds",
)
LATE: Final = Measure(
    "icsight_detection_late_cuts", "counter", "Cuts that came when later ones of the site's other sensors were through."
)
HURRIED: Final = Measure(
    "icsight_detection_hurried_cuts",
    "counter",
    "Cuts that did not wait for the site's other sensors because too many waited.",
)
CROWDED: Final = Measure(
    "icsight_detection_crowded_cuts",
    "counter",
    "Cuts that waited no longer because the records that waited were too many bytes.",
)
SILENT: Final = Measure(
    "icsight_detection_silent_waits",
    "counter",
    "Times that what waited for other sensors of a site was let through because nothing came of them.",
)
FORGOTTEN: Final = Measure(
    "icsight_detection_forgotten_runs",
    "counter",
    "Runs of sensors whose clocks or numbers detection let go because there were too many.",
)
SET_BACK: Final = Measure(
    "icsight_detection_set_back_records", "counter", "Records from a clock that was set back by more than the allowance."
)
RELOADS: Final = Measure("icsight_detection_reloads", "counter", "Versions of rules and of sites that were taken over.")
REFUSED: Final = Measure(
    "icsight_detection_refused_decisions",
    "counter",
    "What is no decision, and was set aside or passed over: files among those that wait, messages among versions and decisions.",
)
ALERTS: Final = Measure("icsight_detection_alert_upserts", "counter", "Revisions of alerts published.")


def readings(counters: Counters) -> Iterator[Reading]:
    """All of them; how far a worker is, its `Progress` tells."""
    yield Reading(BATCHES, counters.batches)
    yield Reading(RECORDS, counters.records)
    yield Reading(FINDINGS, counters.findings)
    yield Reading(SECONDS, counters.seconds)
    for name in DETECTORS:
        yield Reading(DETECTOR_SECONDS, counters.detectors.get(name, 0.0), (name,))
    yield Reading(DAMAGED, counters.damaged)
    yield Reading(TURNED_AWAY, counters.turned_away)
    yield Reading(PASSED_OVER, counters.passed_over)
    yield Reading(LIMITED, counters.limited)
    yield Reading(LATE, counters.late)
    yield Reading(HURRIED, counters.hurried)
    yield Reading(CROWDED, counters.crowded)
    yield Reading(SILENT, counters.silent)
    yield Reading(FORGOTTEN, counters.forgotten)
    yield Reading(SET_BACK, counters.set_back)
    yield Reading(RELOADS, counters.reloads)
    yield Reading(REFUSED, counters.refused)
    yield Reading(ALERTS, counters.alerts)
    yield Reading(GAPS, counters.gaps, (CONSUMER,))


def failures(progress: Progress) -> Mapping[str, str]:
    """What does not work: nothing is done although batches wait."""
    return {} if progress.stuck is None else {CONSUMER: progress.stuck}
