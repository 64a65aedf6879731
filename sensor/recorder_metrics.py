"""What a recorder counts, told by the uplink of the same data folder."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from sensor.metrics import Measure, Reading
from sensor.recorder_state import RecorderState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

PART: Final = "sensor"

UP: Final = Measure("icsight_sensor_up", "gauge", "1 while the recorder of this folder works.")
AGE: Final = Measure("icsight_sensor_state_age_seconds", "gauge", "Time since the recorder told how it is.", unit="seconds")
PACKETS: Final = Measure("icsight_sensor_packets", "counter", "Packets taken in.")
LOST: Final = Measure("icsight_sensor_lost", "counter", "Packets and bytes that were lost, by cause.", ("cause",))
BATCHES: Final = Measure("icsight_sensor_batches", "counter", "Record batches spooled.")
RECORDS: Final = Measure("icsight_sensor_records", "counter", "Records spooled.")
WRITTEN: Final = Measure("icsight_sensor_spool_written_bytes", "counter", "Bytes written to the spool.", unit="bytes")
DEPTH: Final = Measure("icsight_sensor_spool_depth_batches", "gauge", "Batches in the spool that no consumer has had.")
DROPPED: Final = Measure(
    "icsight_sensor_spool_dropped_records",
    "counter",
    "Records dropped from the spool for want of room or for their age.",
    ("kind",),
)
WAITS: Final = Measure("icsight_sensor_spool_waits", "counter", "Times that the spool began to take nothing.")


def readings(data: Path) -> Iterator[Reading]:
    """All of them; nothing where no recorder has ever told how it is."""
    state = RecorderState.read(data)
    if state is None:
        return
    yield Reading(UP, state.trouble is None and not state.ended)
    yield Reading(AGE, time.time() - state.at)
    yield Reading(PACKETS, state.packets)
    for cause, count in state.lost.items():
        yield Reading(LOST, count, (cause,))
    yield Reading(BATCHES, state.batches)
    yield Reading(RECORDS, state.records)
    yield Reading(WRITTEN, state.spool_written_bytes)
    yield Reading(DEPTH, state.spool_depth)
    for kind, count in state.spool_dropped.items():
        yield Reading(DROPPED, count, (kind,))
    yield Reading(WAITS, state.waits)


def failures(data: Path) -> Mapping[str, str]:
    """What does not work."""
    state = RecorderState.read(data)
    return {PART: state.trouble} if state is not None and state.trouble is not None else {}
