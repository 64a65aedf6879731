"""How fast the models are and what they hold: a site with 1,000 devices and 50,000 points that is polled once a second.

    python -m tests.benchmarks.models

Records are made here, as batches of the packet core would be; time is CPU time of the models alone.
"""

from __future__ import annotations

import resource
import time
from typing import Final

import numpy as np
import polars as pl

from collector.store import RecordBatch
from collector.stream import BatchHeader
from detection.anomaly.detector import step
from detection.anomaly.state import AnomalyState
from detection.pipeline import RunState, State
from detection.remembered import parted

DEVICES: Final = 1_000
POINTS: Final = 50
"""Points of each device; one request reads them all."""

SECOND: Final = 1_000_000_000
START: Final = 1_764_000_000 * SECOND
LEARNED: Final = 300
"""Seconds that are learned."""

SHARE: Final = 0.05
"""Points that change in a second."""


def cut(second: int, seconds: int, random: np.random.Generator) -> list[RecordBatch]:
    """All records of some seconds: each device is asked once a second, a share of points changes."""
    moments = START + (second + np.repeat(np.arange(seconds), DEVICES)) * SECOND
    device = np.tile(np.arange(DEVICES), seconds)
    requests = pl.DataFrame(
        {
            "ts": pl.Series(moments).cast(pl.Datetime("ns", "UTC")),
            "client.ip": pl.repeat("10.0.0.1", len(device), eager=True).cast(pl.Categorical),
            "server.ip": pl.Series(device).cast(pl.String).cast(pl.Categorical),
            "modbus.unit_id": pl.repeat(1, len(device), dtype=pl.UInt8, eager=True),
            "modbus.function": pl.repeat("read_holding_registers", len(device), eager=True).cast(pl.Categorical),
            "modbus.write_address": pl.repeat(None, len(device), dtype=pl.UInt16, eager=True),
            "modbus.address": pl.repeat(0, len(device), dtype=pl.UInt16, eager=True),
            "modbus.response_time": pl.Series(random.integers(1_000_000, 3_000_000, len(device))).cast(pl.Duration("ns")),
        }
    )
    every = np.arange(DEVICES * POINTS)
    # Each point has a row once a minute besides those of its changes.
    shown = [
        every[(every % 60 == (second + each) % 60) | (random.random(len(every)) < SHARE) | (second + each == 0)]
        for each in range(seconds)
    ]
    point = np.concatenate(shown)
    at = START + (second + np.repeat(np.arange(seconds), [len(each) for each in shown])) * SECOND
    names = pl.Series([f"holding:{number}@1" for number in range(POINTS)])
    points = pl.DataFrame(
        {
            "ts": pl.Series(at).cast(pl.Datetime("ns", "UTC")),
            "client.ip": pl.repeat("10.0.0.1", len(point), eager=True).cast(pl.Categorical),
            "server.ip": pl.Series(point // POINTS).cast(pl.String).cast(pl.Categorical),
            "point.id": names.gather(point % POINTS).cast(pl.Categorical),
            "point.number": pl.Series(1_000.0 + random.integers(0, 50, len(point))),
        }
    )
    end = START + (second + seconds) * SECOND - 1
    header = BatchHeader("bench", "0" * 32, second, "modbus", requests.height, "", second, START + second * SECOND, end, True)
    other = BatchHeader("bench", "0" * 32, second + 1, "point", points.height, "", second, START + second * SECOND, end, True)
    return [RecordBatch(header, requests), RecordBatch(other, points)]


def main() -> None:
    """Print records a second of CPU, and what the state weighs."""
    random = np.random.default_rng(1)
    state = AnomalyState.learning(START, START + LEARNED * SECOND)
    for name, begin, end in (("learning", 0, LEARNED), ("telling", LEARNED, LEARNED + 120)):
        records, seconds = 0, 0.0
        for second in range(begin, end, 20):
            batches = cut(second, 20, random)
            records += sum(batch.rows.height for batch in batches)
            before = time.process_time()
            state, _ = step(state, batches)
            seconds += time.process_time() - before
        print(f"{name}: {records:,} records, {records / seconds:,.0f} records a CPU second")
    one = cut(LEARNED + 120, 1, random)
    before = time.process_time()
    state, _ = step(state, one)
    print(f"a step of one second, {sum(batch.rows.height for batch in one):,} records: {time.process_time() - before:.3f} s")
    frames = [*state.learned.values(), *state.seen.values(), *state.names.values()]
    frames += [state.latest_points, state.latest_requests, state.latest_operations, state.minutes, state.history.highest]
    print(f"state: {sum(frame.estimated_size() for frame in frames) / 2**20:.1f} MiB of {state.learned['value'].height:,} points")
    before = time.process_time()
    kept = parted(State({("bench", "0" * 32): RunState(anomaly=state)}))
    print(f"checkpoint: {sum(map(len, kept.values())) / 2**20:.1f} MiB, {time.process_time() - before:.2f} s")
    print(f"process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB at most, records and libraries counted")


if __name__ == "__main__":
    main()
