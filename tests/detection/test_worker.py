"""The loop: killed at any moment it makes the same alerts, and stands where nothing is lost or done twice."""

# What is looked at when shows nowhere else.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import contextlib
import json
import random
import signal
import subprocess
import sys
import threading
from dataclasses import asdict, replace
from typing import TYPE_CHECKING
from unittest.mock import Mock

from collector.stream import Outgoing
from collector.stream.local import LocalStream
from detection.alerts import decode_alerts
from detection.checkpoint import read_checkpoint
from detection.loop import GATHERED_BYTES
from detection.pipeline import Pipeline
from detection.sigma.rule import load
from detection.site import Site
from detection.worker import Worker
from sensor.spool import Spool
from tests import batches as made_by_hand
from tests.detection.test_grouping import mixed_rules
from tests.detection.traffic import busy_day, cuts

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from collector.store import RecordBatch

WORKER = """
import sys
from pathlib import Path
from collector.stream.local import LocalStream
from detection import worker
from detection.pipeline import Pipeline
from detection.site import Site
from sensor.spool import Spool

folder = Path(sys.argv[1])
worker.CHECKPOINT_SECONDS = 0.0
with Spool(folder / "alerts", sensor="detection") as alerts:
    records, out = LocalStream(folder / "spool"), LocalStream(folder / "alerts", alerts)
    loop = worker.Worker(records, out, Pipeline(Site(), [folder / "rules"]), folder / "detection.json")
    print("ready", flush=True)
    loop.drain()
    print("done", flush=True)
"""
"""A process that detects what is in a spool; `drain` writes the checkpoint only at its end, `run` would at once."""

RUNNING = WORKER.replace(
    "    loop.drain()\n",
    """    import threading
    stop = threading.Event()
    def until_done():
        while loop.counters.batches < int(sys.argv[2]):
            stop.wait(0.01)
        stop.set()
    threading.Thread(target=until_done, daemon=True).start()
    loop.run(stop)
""",
)


def outgoing(batch: RecordBatch) -> Outgoing:
    columns = {name: batch.rows.get_column(name).to_list() for name in batch.rows.columns}
    for name in ("ts", "modbus.response_time"):
        columns[name] = batch.rows.get_column(name).to_physical().to_list()
    columns["modbus.exception"] = [None] * batch.rows.height
    return Outgoing(batch.header, made_by_hand.encode(batch.header, columns))


def fill(folder: Path, steps: list[list[RecordBatch]]) -> None:
    with Spool(folder / "spool", sensor="test") as spool:
        LocalStream(folder / "spool", spool).publish([outgoing(batch) for step in steps for batch in step])


def alerts_of(folder: Path) -> dict[str, str]:
    """The last revision of each alert, as text; two texts of one revision must be equal."""
    revisions: dict[tuple[str, int], str] = {}
    with LocalStream(folder / "alerts").subscribe("reader") as consumer:
        while deliveries := consumer.poll(0):
            for delivery in deliveries:
                for alert in decode_alerts(delivery.data):
                    text = json.dumps(asdict(alert), sort_keys=True)
                    assert revisions.setdefault((alert.id, alert.revision), text) == text, "one revision says two things"
    return {name: revisions[name, revision] for name, revision in sorted(revisions)}


def prepared(folder: Path, seed: int) -> int:
    (folder / "rules").mkdir(parents=True)
    mixed_rules(folder / "rules")
    steps = cuts(busy_day(seed), list(range(5, 150, 5)))
    fill(folder, steps)
    return sum(map(len, steps))


def test_a_worker_killed_at_any_moment_makes_the_same_alerts(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    count = prepared(whole, 5)
    prepared(killed, 5)
    assert subprocess.run([sys.executable, "-c", WORKER, str(whole)], check=True, capture_output=True).stdout
    wanted = alerts_of(whole)
    assert wanted
    source = random.Random(1)
    interrupted = 0
    for _ in range(12):
        process = subprocess.Popen([sys.executable, "-c", RUNNING, str(killed), str(count)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "ready"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(source.uniform(0.0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if alerts_of(killed) == wanted:
            break
        interrupted += 1
    assert interrupted > 1, "the work was done before a second kill"
    subprocess.run([sys.executable, "-c", WORKER, str(killed)], check=True, capture_output=True)
    assert alerts_of(killed) == wanted


def worker(folder: Path, alerts: Spool) -> Worker:
    pipeline = Pipeline.of(load([folder / "rules"]), Site())
    return Worker(LocalStream(folder / "spool"), LocalStream(folder / "alerts", alerts), pipeline, folder / "detection.json")


def published(folder: Path) -> list[str]:
    """All that was published, in order."""
    with LocalStream(folder / "alerts").subscribe("reader") as consumer:
        texts: list[str] = []
        while deliveries := consumer.poll(0):
            texts += [json.dumps(asdict(alert), sort_keys=True) for each in deliveries for alert in decode_alerts(each.data)]
    return texts


def test_four_shards_publish_what_one_does_to_the_byte_and_in_the_same_order(tmp_path: Path) -> None:
    days = [
        [
            [replace(batch, header=replace(batch.header, sensor=f"sensor-{seed}")) for batch in step]
            for step in cuts(busy_day(seed), list(range(10, 150, 10)))
        ]
        for seed in range(7)
    ]
    outcomes: list[list[str]] = []
    for shards in (1, 4):
        folder = tmp_path / str(shards)
        (folder / "rules").mkdir(parents=True)
        mixed_rules(folder / "rules")
        # Cut by cut, one sensor after the other, as sensors side by side send them.
        fill(folder, [batch for together in zip(*days, strict=True) for batch in together])
        with Spool(folder / "alerts", sensor="detection") as alerts:
            pipeline = Pipeline.of(load([folder / "rules"]), Site())
            records, out = LocalStream(folder / "spool"), LocalStream(folder / "alerts", alerts)
            loop = Worker(records, out, pipeline, folder / "detection.json", shards=shards)
            loop.drain()
            assert loop.counters.records == 150 * len(days)
        outcomes.append(published(folder))
    assert outcomes[0]
    assert outcomes[1] == outcomes[0]


def test_what_waits_for_the_rest_of_its_cut_is_read_again_after_a_restart(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    mixed_rules(tmp_path / "rules")
    one = cuts(busy_day(1), [75])
    other = cuts(busy_day(2), [75], epoch="f" * 32)
    unfinished = outgoing(one[1][0])
    halves = [
        Outgoing(replace(unfinished.header, cut_last=False), unfinished.data),
        # A run of another sensor: a newer one of the same would end what there is of the cut.
        *(outgoing(replace(batch, header=replace(batch.header, sensor="other"))) for step in other for batch in step),
    ]
    fill(tmp_path, one[:1])
    with Spool(tmp_path / "spool", sensor="test") as spool:
        LocalStream(tmp_path / "spool", spool).publish(halves)
    with Spool(tmp_path / "alerts", sensor="detection") as alerts:
        worker(tmp_path, alerts).drain()
        loop = worker(tmp_path, alerts)
        loop.drain()
    assert read_checkpoint(tmp_path / "detection.json").position.offsets == {"0": 1}, (
        "the batch whose cut is not complete comes again"
    )
    assert loop.counters.batches == 0, "what was complete does not"


def test_an_end_between_checkpoint_and_commit_is_made_good(tmp_path: Path) -> None:
    prepared(tmp_path, 1)
    with Spool(tmp_path / "alerts", sensor="detection") as alerts:
        worker(tmp_path, alerts).drain()
        (tmp_path / "spool" / "positions" / "detection.json").unlink()
        stopped = threading.Event()
        stopped.set()
        worker(tmp_path, alerts).run(stopped)
        records = LocalStream(tmp_path / "spool")
        with records.subscribe("detection") as standing:
            assert standing.position is not None
            assert standing.position.offsets == records.end().offsets


def test_a_new_checkpoint_is_durable_before_the_first_alert(tmp_path: Path) -> None:
    prepared(tmp_path, 1)
    with Spool(tmp_path / "alerts", sensor="detection") as alerts:
        worker(tmp_path, alerts)
        epoch = read_checkpoint(tmp_path / "detection.json").epoch
        loop = worker(tmp_path, alerts)
        loop.drain()
    assert read_checkpoint(tmp_path / "detection.json").epoch == epoch
    assert loop.counters.records == 150
    assert loop.counters.findings > 0


def test_records_of_one_poll_are_looked_at_whenever_so_many_bytes_have_gathered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = prepared(tmp_path, 5)
    wanted: dict[str, str] = {}
    for bound in (GATHERED_BYTES, 1):
        monkeypatch.setattr("detection.worker.GATHERED_BYTES", bound)
        with Spool(tmp_path / f"alerts-{bound}" / "alerts", sensor="detection") as spool:
            records, out = LocalStream(tmp_path / "spool"), LocalStream(tmp_path / f"alerts-{bound}" / "alerts", spool)
            made = Worker(records, out, Pipeline(Site(), [tmp_path / "rules"]), tmp_path / f"{bound}.json")
            looks = Mock(side_effect=made._loop.detect)
            monkeypatch.setattr(made._loop, "detect", looks)
            made.drain()
        wanted = wanted or alerts_of(tmp_path / f"alerts-{bound}")
        assert alerts_of(tmp_path / f"alerts-{bound}") == wanted != {}
        assert (looks.call_count > count) == (bound == 1)
