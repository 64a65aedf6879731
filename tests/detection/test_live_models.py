"""Models in `icsight run`: they learn with the baseline, say nothing until it is proposed, and come back after a restart."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from collector.stream import Outgoing
from collector.stream.local import LocalStream
from detection.alerts import decode_alerts
from detection.baseline.decisions import Decision
from detection.checkpoint import CHECKPOINT_FILE, read_checkpoint
from detection.control import Control
from detection.inbox import Inbox
from detection.pipeline import Pipeline
from detection.sigma.rule import rules_folder
from detection.site import Learning, Site
from detection.worker import Worker
from sensor.spool import Spool
from tests import batches as made_by_hand
from tests.detection.test_anomaly import as_cuts, point
from tests.detection.traffic import request

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from collector.store import RecordBatch

HOUR: Final = 3_600
STRANGE: Final = 4 * HOUR + 1_800
"""When the point has a value far outside, after three hours of learning."""


def polled(hours: int) -> list[dict[str, Any]]:
    """A client that asks for a block each minute, and its point, which is far outside once while it is learned and once later."""
    made: list[dict[str, Any]] = []
    for turn in range(60 * hours):
        far = 60 * turn in {STRANGE, HOUR}
        made += [
            request(60 * turn, address=0, quantity=1, response_time=2_000_000),
            point(60 * turn, (5_000 if 60 * turn == STRANGE else 480) if far else 400 + turn % 5),
        ]
    return made


def spooled(data: Path, records: Sequence[dict[str, Any]], borders: Sequence[int]) -> None:
    with Spool(data / "spool", sensor="test") as spool:
        stream = LocalStream(data / "spool", spool)
        stream.publish([outgoing(batch, last=batch is step[-1]) for step in as_cuts(records, borders) for batch in step])


def outgoing(batch: RecordBatch, *, last: bool) -> Outgoing:
    columns = {name: batch.rows.get_column(name).to_list() for name in batch.rows.columns}
    for name in {"ts", "modbus.response_time"} & columns.keys():
        columns[name] = batch.rows.get_column(name).to_physical().to_list()
    header = replace(batch.header, cut_last=last)
    return Outgoing(header, made_by_hand.encode(header, columns))


def detected(data: Path, name: str = "alerts") -> list[tuple[str, int, str, str]]:
    """Run detection over what is there and go on from its checkpoint; all alerts of models that it ever published there."""
    checkpoint = data / CHECKPOINT_FILE.with_stem(name)
    checkpoint.parent.mkdir(exist_ok=True)
    site = Site(learning=Learning(least_hours=3, most_hours=8), false_alarms_a_day=100)
    with Spool(data / name, sensor="detection") as held, Spool(data / "control", sensor="control") as decisions:
        alerts = LocalStream(data / name, held)
        control = Control(LocalStream(data / "control", decisions), Inbox(data))
        pipeline = Pipeline(site, [rules_folder() / "anomaly"])
        Worker(LocalStream(data / "spool"), alerts, pipeline, checkpoint, control).drain()
        with alerts.subscribe("test") as consumer:
            found = [alert for delivery in consumer.poll(0) for alert in decode_alerts(delivery.data)]
    return sorted(
        (alert.id, alert.revision, alert.rule, json.dumps(alert.body, sort_keys=True, default=str, ensure_ascii=False))
        for alert in found
    )


def test_models_learn_live_and_tell_once_the_baseline_is_proposed(tmp_path: Path) -> None:
    records = polled(5)
    spooled(tmp_path, records, range(40, len(records), 40))
    alerts = detected(tmp_path)
    assert {rule for _, _, rule, _ in alerts} >= {"point_value_out_of_range"}
    # What came while learning is a part of what is expected.
    (body,) = [body for _, _, rule, body in alerts if rule == "point_value_out_of_range"]
    assert "400 … 480" in body
    state = read_checkpoint(tmp_path / CHECKPOINT_FILE.with_stem("alerts")).state
    (run,) = state.runs.values()
    assert run.anomaly is not None
    assert run.baseline is not None
    assert not run.anomaly.live
    assert (run.anomaly.phase, run.anomaly.until) == ("proposed", run.baseline.normal.until)
    assert run.anomaly.history.blocks in range(60, 121)


def test_models_are_enforced_with_the_baseline_and_a_restart_changes_nothing(tmp_path: Path) -> None:
    records = polled(5)
    before = 2 * 60 * 2 + 1
    spooled(tmp_path, records[:before], range(40, before, 40))
    assert detected(tmp_path) == []
    spooled(tmp_path, records, [*range(40, before, 40), before, before + 150, *range(before + 160, len(records), 30)])
    alerts = detected(tmp_path)
    assert alerts
    assert detected(tmp_path, "again") == alerts
    Inbox(tmp_path).put(Decision("approve", "Li Na"))
    assert detected(tmp_path) == alerts
    more = polled(6)
    spooled(
        tmp_path, more,
        [*range(40, before, 40), before, before + 150, *range(before + 160, len(records), 30), len(records), len(records) + 30],
    )  # fmt: skip
    detected(tmp_path)
    state = read_checkpoint(tmp_path / CHECKPOINT_FILE.with_stem("alerts")).state
    (run,) = state.runs.values()
    assert run.anomaly is not None
    assert run.anomaly.phase == "enforced"
