"""What the uplink counts, for who watches it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sensor.metrics import LAG_BATCHES, LAG_SECONDS, Measure, Reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sensor.uplink import UplinkCounters

CONSUMER: Final = "uplink"

BATCHES: Final = Measure("icsight_uplink_batches", "counter", "Batches that the brokers have acknowledged.")
SENT: Final = Measure("icsight_uplink_bytes", "counter", "Bytes of these batches, as messages.", unit="bytes")
REPEATS: Final = Measure("icsight_uplink_repeats", "counter", "Batches that were sent again after a producer had failed.")
RETRIES: Final = Measure("icsight_uplink_retries", "counter", "Times that a producer failed or could not be had.")
PACED: Final = Measure("icsight_uplink_paced_seconds", "counter", "Time that backlog was held back for the pace.", unit="seconds")
LOST: Final = Measure(
    "icsight_uplink_unshipped_batches",
    "counter",
    "Batches that could not be shipped: removed from the spool before (missing), not readable (damaged), too large (refused).",
    ("reason",),
)
IN_FLIGHT: Final = Measure("icsight_uplink_in_flight_bytes", "gauge", "Bytes sent and not acknowledged.", unit="bytes")
CONNECTED: Final = Measure("icsight_uplink_connected", "gauge", "1 while there is a producer that works.")


def readings(counters: UplinkCounters) -> Iterator[Reading]:
    """All of them; the depth of the spool is what waits in it, `icsight_lag_batches` of consumer uplink."""
    yield Reading(BATCHES, counters.batches)
    yield Reading(SENT, counters.bytes)
    yield Reading(REPEATS, counters.repeats)
    yield Reading(RETRIES, counters.retries)
    yield Reading(PACED, counters.paced_seconds)
    for reason, count in (("missing", counters.missing), ("damaged", counters.damaged), ("refused", counters.refused)):
        yield Reading(LOST, count, (reason,))
    yield Reading(IN_FLIGHT, counters.in_flight_bytes)
    yield Reading(LAG_BATCHES, counters.lag_batches, (CONSUMER,))
    yield Reading(LAG_SECONDS, counters.lag_seconds, (CONSUMER,))
    yield Reading(CONNECTED, counters.connected)


def failures(counters: UplinkCounters) -> Mapping[str, str]:
    """What does not work: the way to the brokers, where there is none."""
    return {} if counters.connected else {"kafka": counters.trouble or "not connected yet"}
