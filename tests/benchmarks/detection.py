"""What detection costs: `python -m tests.benchmarks.detection`, a part of `make bench`.

rules: the shipped rules and generated variants of them, 200 that raise alerts, over records in memory, two sensors side by side.
detectors: capture to alerts with all detectors (rules, what is new, models), the records written to the store meanwhile.
live: the same records as a live sensor sends them, a few rows a batch, and as large batches; and a step with nothing in it.
state: what detection remembers of a site with 1,000 devices and 50,000 points.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from collector.store import RecordBatch
from collector.store.local import LocalRecordStore
from detection.anomaly.state import AnomalyState
from detection.baseline.detector import BaselineState
from detection.captures import beginning, cuts, steps
from detection.pipeline import Pipeline, RunState, State
from detection.remembered import parted
from detection.rules import RuleDetector, RuleState
from detection.sigma.rule import load, rules_folder
from detection.site import Site
from sensor._core import Reader
from tests.benchmarks.captures import generated
from tests.detection.traffic import SECOND, START, cut, request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from detection.sigma.rule import Rule


RULES: Final = 200
"""Rules that raise alerts."""

PACKETS: Final = 1_000_000
DETECTOR_PACKETS: Final = 4_000_000
"""Of the capture that all detectors look at: begin and end, where one waits for the other, are little of it."""
SENSORS: Final = 2
"""Sensors that are worked on side by side: one for each core."""

RULE_RATE: Final = 3_000_000
DETECTOR_RATE: Final = 500_000
STATE_MIB: Final = 300
"""Limits: records a second, records a second, MiB."""

LIVE_REQUESTS: Final = 25
LIVE_CUTS: Final = 101
"""Requests of a cut of a live sensor, and cuts: the first warms up."""

DEVICES: Final = 1_000
POINTS: Final = 50
"""Points of each device."""

POLLS: Final = 40
"""Times that each device is asked while normality is learned."""


def two_hundred() -> list[Rule]:
    """The shipped rules, and as many variants of those over Modbus as 200 need: other names, other thresholds."""
    folder = Path(tempfile.mkdtemp(prefix="icsight-rules-"))
    shipped = load([rules_folder()])
    missing = RULES - sum(rule.alerts for rule in shipped)
    files = sorted(rules_folder().glob("modbus/*.yml"))
    for file in files[: max(0, missing)]:
        documents = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
        own = {document["name"] for document in documents}
        for document in documents:
            document["name"] = f"{document['name']}_variant"
            document["id"] = str(uuid.uuid5(uuid.NAMESPACE_OID, document["name"]))
            correlation: dict[str, Any] = document.get("correlation", {})
            if "rules" in correlation:
                correlation["rules"] = [f"{name}_variant" if name in own else name for name in correlation["rules"]]
            if isinstance(correlation.get("condition"), dict) and "gte" in correlation["condition"]:
                correlation["condition"]["gte"] *= 2
        (folder / f"{file.stem}_variant.yml").write_text(yaml.safe_dump_all(documents, allow_unicode=True), encoding="utf-8")
    return load([rules_folder(), folder])


def batches() -> list[list[RecordBatch]]:
    """The records of the generated capture, step by step."""
    return list(steps(cuts(Reader(str(generated(PACKETS))), "")))


def rules(repeats: int = 4) -> dict[str, float]:
    """Records a second over 200 rules on all cores, each sensor's in a thread; the best of some runs."""
    records = batches()
    detector = RuleDetector(two_hundred(), Site())
    rows = SENSORS * sum(batch.rows.height for taken in records for batch in taken)

    def one(_sensor: int) -> None:
        state = RuleState()
        for taken in records:
            state, _findings = detector.step(state, taken)

    best = cpu = float("inf")
    with ThreadPoolExecutor(SENSORS) as threads:
        for _ in range(repeats):
            start, before = time.perf_counter(), time.process_time()
            list(threads.map(one, range(SENSORS)))
            best, cpu = min(best, time.perf_counter() - start), min(cpu, time.process_time() - before)
    alerting = sum(rule.alerts for rule in detector.rules.values())
    return {"rules": alerting, "records": rows, "seconds": best, "cpu_seconds": cpu, "rate": rows / best}


def detectors() -> dict[str, float]:
    """Records a second from capture to alerts with all detectors and the store's writes, on all cores."""
    pipeline = Pipeline(Site())
    capture = str(generated(DETECTOR_PACKETS))
    start, before = time.perf_counter(), time.process_time()
    reader = Reader(capture)
    state = beginning(capture, reader.epoch)
    rows = 0
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as writer, ThreadPoolExecutor(1) as source:
        store = LocalRecordStore(Path(folder), writer=True)
        waiting = None
        read = steps(cuts(reader, ""))
        ahead = source.submit(next, read, None)
        while (taken := ahead.result()) is not None:
            ahead = source.submit(next, read, None)
            rows += sum(batch.rows.height for batch in taken)
            written = writer.submit(store.append, taken)
            state, _ = pipeline.step(state, taken)
            if waiting is not None:
                waiting.result()
            waiting = written
        if waiting is not None:
            waiting.result()
        seconds, cpu = time.perf_counter() - start, time.process_time() - before
    return {"records": rows, "seconds": seconds, "cpu_seconds": cpu, "rate": rows / seconds}


def live() -> dict[str, float]:
    """CPU seconds of live batches, of the same taken in at once, and of steps with no records; normality is learned meanwhile."""
    cut_by_cut = list(_live_cuts())
    pipeline = Pipeline(Site())
    run = cut_by_cut[0][0].header.run

    def cost(taken: Iterable[list[RecordBatch]]) -> float:
        held = State({run: RunState(baseline=BaselineState.live(), anomaly=AnomalyState.learning_live())})
        held, _ = pipeline.step(held, cut_by_cut[0])
        before = time.process_time()
        for batches_ in taken:
            held, _ = pipeline.step(held, batches_)
        return time.process_time() - before

    rest = cut_by_cut[1:]
    pairs = [first + second for first, second in zip(rest[::2], rest[1::2], strict=True)]
    nothing = [[replace(batch, rows=batch.rows.clear()) for batch in cut_] for cut_ in rest[::2]]
    return {
        "batches": sum(map(len, rest)),
        "records": sum(batch.rows.height for cut_ in rest for batch in cut_),
        "steps": len(pairs),
        "live": cost(pairs),
        "large": cost([[batch for cut_ in rest for batch in cut_]]),
        "nothing": cost(nothing),
    }


def _live_cuts() -> Iterator[list[RecordBatch]]:
    """The begin of the generated capture as cuts of as many requests as a large plant has in half a second."""
    whole = next(cuts(Reader(str(generated(PACKETS))), ""))
    times = next(batch.rows for batch in whole if batch.header.table == "modbus").get_column("ts").to_physical().sort()
    edges = times.gather_every(LIVE_REQUESTS).unique(maintain_order=True).head(LIVE_CUTS + 1).to_list()
    sequence = 0
    for number, (start, end) in enumerate(pairwise(edges)):
        taken: list[RecordBatch] = []
        for batch in whole:
            at = batch.rows.get_column("ts").to_physical()
            rows = batch.rows.filter((at >= start) & (at < end))
            if rows.height:
                header = replace(batch.header, rows=rows.height, sequence=sequence, cut=number, cut_start=start, cut_end=end)
                taken.append(RecordBatch(header, rows))
                sequence += 1
        taken[-1] = replace(taken[-1], header=replace(taken[-1].header, cut_last=True))
        yield taken


def state() -> dict[str, float]:
    """What is remembered of a large site after it was learned and watched: memory, and bytes of a checkpoint."""
    pipeline = Pipeline(Site())
    run = ("test", "0123456789abcdef0123456789abcdef")
    end = START + POLLS // 2 * 60 * SECOND
    learning = RunState(baseline=BaselineState.learning(START, end), anomaly=AnomalyState.learning(START, end))
    held = State({run: learning})
    before = _resident()
    for poll in range(POLLS):
        rows = [
            request(
                60 * poll + 0.05 * device,
                server=f"10.{device >> 8}.{device & 255}.9",
                address=10 * group,
                quantity=10,
                values=[(poll * 7 + device + place) % 500 for place in range(10)],
            )
            for device in range(DEVICES)
            for group in range(POINTS // 10)
        ]
        held, _ = pipeline.step(held, cut(rows, 2 * poll, START + 60 * poll * SECOND))
        points = [
            {
                "ts": START + round((60 * poll + 0.05 * device) * SECOND),
                "client.ip": "10.0.0.1",
                "server.ip": f"10.{device >> 8}.{device & 255}.9",
                "point.id": f"holding:{place}@1",
                "point.number": float((poll * 7 + device + place) % 500),
                "point.access": "read",
                "point.quality": "good",
                "network.protocol": "modbus",
            }
            for device in range(DEVICES)
            for place in range(POINTS)
        ]
        held, _ = pipeline.step(held, cut(points, 2 * poll + 1, START + 60 * poll * SECOND, table="point"))
        del rows, points
    gc.collect()
    return {"checkpoint_mib": sum(map(len, parted(held).values())) / 2**20, "grown_mib": (_resident() - before) / 2**20}


def _resident() -> int:
    """Bytes of memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def _rates(of: dict[str, float]) -> str:
    """What a part came to; CPU seconds say what it would be on cores that nobody else uses."""
    return f"{of['rate']:,.0f} records/s, {of['records'] / of['cpu_seconds']:,.0f} a CPU second"


PARTS: Final[dict[str, Callable[[], dict[str, float]]]] = {"rules": rules, "detectors": detectors, "live": live, "state": state}


def measured(part: str) -> dict[str, float]:
    """A part, in a process of its own."""
    environment = {**os.environ, "POLARS_MAX_THREADS": "1"} if part != "state" else dict(os.environ)
    command = [sys.executable, "-m", "tests.benchmarks.detection", part]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def lines() -> list[str]:
    """All parts, each with its limit."""
    by_rules, by_all, by_batch, held = measured("rules"), measured("detectors"), measured("live"), measured("state")
    return [
        f"{by_rules['rules']:.0f} rules on records: {_rates(by_rules)} (limit {RULE_RATE:,} records/s on two cores)",
        f"all detectors, store written: {_rates(by_all)} (limit {DETECTOR_RATE:,} records/s on two cores)",
        f"live batches of {by_batch['records'] / by_batch['batches']:.0f} records, two cuts a step: "
        f"{by_batch['live'] / by_batch['batches'] * 1_000:.2f} ms of CPU a batch, "
        f"{by_batch['live'] / by_batch['large']:.0f} times what they take in one step; "
        f"{by_batch['nothing'] / by_batch['steps'] * 1_000:.1f} ms a step with nothing in it",
        f"state of {DEVICES:,} devices and {DEVICES * POINTS:,} points: checkpoint {held['checkpoint_mib']:.0f} MiB, "
        f"process {held['grown_mib']:.0f} MiB more (limit {STATE_MIB})",
    ]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(PARTS[sys.argv[1]]()))
    else:
        print("\n".join(lines()))
