"""What the way into the store counts, for who watches it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sensor.metrics import GAPS, Measure, Reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from collector.writer import Writer

CONSUMER: Final = "store"

MESSAGES: Final = "messages"
"""Name of what does not work where partitions are halted, as workers of detection have it."""

BATCHES: Final = Measure("icsight_store_batches", "counter", "Record batches stored.")
ROWS: Final = Measure("icsight_store_records", "counter", "Records stored.")
REPEATED: Final = Measure("icsight_store_repeated_batches", "counter", "Batches that were stored already and passed over.")
DROPPED: Final = Measure(
    "icsight_store_dropped_records", "counter", "Records of these batches that their sensors had dropped for want of room."
)
DEAD_LETTERS: Final = Measure("icsight_store_dead_letters", "counter", "Batches that could not be stored and were kept aside.")
MISSING: Final = Measure("icsight_store_missing_batches", "counter", "Batches that are missing in all gaps.")
FAILURES: Final = Measure("icsight_store_failures", "counter", "Attempts to store or to read that failed and were made again.")
HALTED: Final = Measure(
    "icsight_store_halted_partitions",
    "gauge",
    "Partitions of which nothing more is stored: a newer version wrote what comes next, or what the broker has is damaged.",
)
LEFT_OUT: Final = Measure(
    "icsight_store_left_out_columns",
    "counter",
    "Columns of batches that were not stored because their table does not know them.",
    ("table",),
)
SECONDS: Final = Measure("icsight_store_seconds", "counter", "Time that storing took.", unit="seconds")


def readings(writer: Writer) -> Iterator[Reading]:
    """All of them, and how far the writer is."""
    counters = writer.counters
    yield Reading(BATCHES, counters.batches)
    yield Reading(ROWS, counters.rows)
    yield Reading(REPEATED, counters.repeated)
    yield Reading(DROPPED, counters.dropped)
    yield Reading(DEAD_LETTERS, counters.dead_letters)
    yield Reading(GAPS, counters.gaps, (CONSUMER,))
    yield Reading(MISSING, counters.missing)
    yield Reading(FAILURES, counters.failures)
    yield Reading(HALTED, len(writer.halted))
    for table, count in counters.left_out.items():
        yield Reading(LEFT_OUT, count, (table,))
    yield Reading(SECONDS, counters.seconds)
    yield from writer.progress.readings()


def failures(writer: Writer) -> Mapping[str, str]:
    """What does not work: the last attempt failed, nothing is done although batches wait, or partitions are halted."""
    reason = writer.trouble or writer.progress.stuck
    found = {} if reason is None else {CONSUMER: reason}
    return {**found, MESSAGES: "; ".join(writer.halted.values())} if writer.halted else found
