"""All of it at once: sensors of one site, rules, baseline and models that learn live, decisions that hold from their places.

What comes of it must be the same to the byte after kill -9 at any moment, for any number of batches at a time and of shards.
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import pytest

from collector.stream import Position
from collector.stream.local import LocalStream
from detection import worker as loop
from detection.alerts import decode_alerts
from detection.baseline.decisions import Decision
from detection.budget import DIGEST
from detection.checkpoint import read_checkpoint
from detection.control import Control, Decided
from detection.exceptions import Change
from detection.pipeline import Pipeline
from detection.sigma.rule import load, rules_folder
from detection.site import Learning, Site
from detection.tuning import Exemption
from detection.worker import Worker
from sensor.spool import Spool
from tests.detection.test_anomaly import as_cuts, point
from tests.detection.test_live_models import outgoing
from tests.detection.test_merging import of_sensor
from tests.detection.test_sitewide import Sips, last
from tests.detection.traffic import SECOND, START, request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.store import RecordBatch
    from collector.stream import Delivery, Stream
    from detection.alerts import Alert

HOUR: Final = 3_600
END: Final = 6 * HOUR + 900
SITE: Final = Site(site="works", budget="5/day,2/10min", learning=Learning(least_hours=3, most_hours=3), false_alarms_a_day=200.0)
FOLDERS: Final = ("baseline", "anomaly", "modbus")
SHIFTED: Final = 4 * HOUR + 1_200
"""When a planned change moves the values of the second server."""


def at_sensor(place: int) -> list[dict[str, Any]]:
    """What one sensor sees: a client that polls a server and its point; a stranger while learning, and later at both servers."""
    client, server, stranger = f"10.0.0.{1 + place}", f"10.0.0.{9 - place}", "10.0.0.66"
    made: list[dict[str, Any]] = []
    for turn in range(END // 30):
        moment = 30 * turn
        number = 400 + turn % 5 + (300 if place and moment >= SHIFTED else 0)
        if moment in {4 * HOUR + 300, 5 * HOUR + 1_500}:
            number = 5_000
        made += [
            request(moment + place, client, server, address=0, quantity=1, response_time=2_000_000),
            {**point(moment + place, number, client=client), "server.ip": server},
            request(moment + place + 1, client, server, address=100, quantity=1, response_time=2_000_000),
        ]
    made += [request(HOUR + 900 + each, stranger, server, 6, address=10, values=[1]) for each in range(2)]
    for hour in (3.6, 3.9, 5.2, 5.6):
        begin = hour * HOUR + 40 * place
        made += [request(begin + each, stranger, server, 6, address=20 + each, values=[1]) for each in range(6)]
        made += [request(begin + 20 + each, stranger, server, 8, sub_function=1) for each in range(2)]
        made += [request(begin + 30 + each, stranger, server, 3, address=1_000 + 8 * each, quantity=1) for each in range(30)]
    return sorted(made, key=lambda record: record["ts"])


def steps() -> list[list[RecordBatch]]:
    """The cuts of both sensors, of about five minutes each, in the order of their ends."""
    made: list[list[RecordBatch]] = []
    for place in range(2):
        records = at_sensor(place)
        whole = [sum(1 for _ in part) for _, part in groupby(records, key=lambda each: each["ts"] // (300 * SECOND))]
        borders = [sum(whole[: each + 1]) for each in range(len(whole) - 1)]
        made += of_sensor(f"sensor-{place}", as_cuts(records, borders))
    made = [[replace(each, header=replace(each.header, site=SITE.site)) for each in step] for step in made]
    return sorted(made, key=lambda step: (step[0].header.cut_end, step[0].header.sensor))


def decisions(order: list[list[RecordBatch]]) -> tuple[list[Decided[Decision]], Decided[Change]]:
    """What people decide, each with the place in the stream from which it holds."""

    def place(seconds: float) -> Position:
        before = [step for step in order if step[0].header.cut_end < START + seconds * SECOND]
        return Position({"0": sum(map(len, before))})

    taken = [
        (3.3, Decision("approve", "Li Na")),
        (4.3, Decision("relearn", "Li Na", server="10.0.0.8", since=START + SHIFTED * SECOND, hours=1)),
        (
            4.5,
            Decision("accept", "Li Na", kind="value", client="10.0.0.1", server="10.0.0.9", point="holding:0@1", value=5_000.0),
        ),
        (4.5, Decision("accept", "Li Na", kind="conversation", client="10.0.0.66", server="10.0.0.9")),
    ]
    unwanted = Exemption.model_validate(
        {"name": "tests", "kind": "normal", "rules": ["restart_*"], "servers": ["10.0.0.9"], "reason": "a test", "by": "lin"}
    )
    except_ = Change("except", "tests", "lin", unwanted, id="f" * 16, at=START)
    named = [(hour, replace(decision, id=f"{number:016x}", at=START)) for number, (hour, decision) in enumerate(taken)]
    return [Decided(decision, place(hour * HOUR)) for hour, decision in named], Decided(except_, place(5.4 * HOUR))


def fill(folder: Path) -> int:
    """The records and the decisions in a data folder; how many batches there are."""
    order = steps()
    with Spool(folder / "spool", sensor="test") as spool:
        stream = LocalStream(folder / "spool", spool)
        stream.publish([outgoing(batch, last=batch is step[-1]) for step in order for batch in step])
    with Spool(folder / "control", sensor="control") as spool:
        control = Control(LocalStream(folder / "control", spool))
        decided, changed = decisions(order)
        for each in decided:
            control.decide(each)
        control.decide(changed)
    return sum(map(len, order))


class Telling(Sips):
    """A stream of records that tells when its reader asks for more."""

    def poll(self, timeout_seconds: float) -> Sequence[Delivery]:
        """The next batches."""
        print("more", flush=True)
        return super().poll(timeout_seconds)


def work(folder: Path, *, most: int = 256, shards: int = 1, killed: bool = False) -> Worker:
    """Detection over what is in a data folder, so many batches at a time; to the end, or until the process is killed."""
    pipeline = Pipeline.of(load([rules_folder() / name for name in FOLDERS]), SITE)
    records = cast("Stream", (Telling if killed else Sips)(LocalStream(folder / "spool"), most, threading.Event()))
    with Spool(folder / "alerts", sensor="detection") as alerts, Spool(folder / "control", sensor="control") as held:
        out, control = LocalStream(folder / "alerts", alerts), Control(LocalStream(folder / "control", held))
        worker = Worker(records, out, pipeline, folder / "detection.json", control, shards=shards)
        if killed:
            worker.run(threading.Event())
        worker.drain()
        return worker


def published(folder: Path) -> list[Alert]:
    with LocalStream(folder / "alerts").subscribe("reader") as consumer:
        found: list[Alert] = []
        while deliveries := consumer.poll(0):
            found += [alert for each in deliveries for alert in decode_alerts(each.data)]
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that was worked on from beginning to end at once."""
    folder = tmp_path_factory.mktemp("whole")
    fill(folder)
    work(folder)
    return folder


def copied(whole: Path, folder: Path) -> Path:
    """The records and decisions of a data folder, with nothing that detection made of them."""
    for name in ("spool", "control"):
        shutil.copytree(whole / name, folder / name)
    shutil.rmtree(folder / "spool" / "positions", ignore_errors=True)
    return folder


def test_the_traffic_has_alerts_of_all_kinds_and_every_decision_holds(whole: Path) -> None:
    found = {alert.id: alert for alert in published(whole)}
    rules = {alert.rule for alert in found.values()}
    assert rules >= {DIGEST, "new_writer", "point_value_out_of_range", "restart_communications"}, rules
    assert any(alert.exception for alert in found.values())
    strange = [alert.body["accept"] for alert in found.values() if alert.rule == "point_value_out_of_range"]
    hosts = {"client": "10.0.0.1", "server": "10.0.0.9", "point": "holding:0@1"}
    assert {"kind": "value", **hosts, "observed": "5000", "value": 5_000.0} in strange, "what a person would accept is named"
    sensors = {name: alert.body["records"][0].split("/")[0] for name, alert in found.items() if alert.body["records"]}
    stories = [alert.body["story"]["alerts"] for alert in found.values() if alert.body["story"]]
    assert max(len({sensors[name] for name in story}) for story in stories) == 2
    runs = read_checkpoint(whole / "detection.json").state.runs.values()
    for run in runs:
        assert run.baseline is not None
        assert run.anomaly is not None
        assert (run.baseline.normal.phase, run.anomaly.phase) == ("enforced", "enforced")
        assert (run.baseline.decided, run.anomaly.decided) == (4, 4)
        assert (run.baseline.scopes, run.anomaly.again) == ((), None), "the time of the planned change is over"


@pytest.mark.parametrize(("most", "shards"), [(256, 4), (7, 1), (40, 4)])
def test_any_number_of_batches_and_shards_gives_the_same_alerts_to_the_byte(
    whole: Path, tmp_path: Path, most: int, shards: int
) -> None:
    work(copied(whole, tmp_path), most=most, shards=shards)
    mine, others = published(tmp_path), published(whole)
    assert last(mine) == last(others)
    assert last([*mine, *others]) == last(others), "one revision says one thing, whoever tells it"
    if most == 256:
        assert mine == others


@pytest.mark.parametrize("seed", [9, 10])
def test_kill_9_at_any_moment_gives_the_same_alerts_to_the_byte(whole: Path, tmp_path: Path, seed: int) -> None:
    folder, source = copied(whole, tmp_path), random.Random(seed)
    script = "import sys; from pathlib import Path; from tests.detection import test_everything as t; t.killed(Path(sys.argv[1]))"
    for _ in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
        )
        assert process.stdout is not None
        for _ in range(source.randint(3, 5)):
            assert process.stdout.readline().strip() == "more"
        time.sleep(source.uniform(0.0, 0.4))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert last(published(folder)) != last(published(whole)), "the work was done before the last kill"
    decided = [run.anomaly.decided for run in read_checkpoint(folder / "detection.json").state.runs.values() if run.anomaly]
    assert max(decided) > 1, "the last kill came before the decisions"
    work(folder, most=16, shards=2)
    mine, others = published(folder), published(whole)
    assert last([*mine, *others]) == last(others)
    assert last(mine) == last(others)


def killed(folder: Path) -> None:
    """Detection that writes its checkpoint again and again, until it is killed."""
    loop.CHECKPOINT_SECONDS = 0.0  # pyright: ignore[reportConstantRedefinition, reportAttributeAccessIssue] - of this process alone
    loop.CHECKPOINT_SHARE = 0  # pyright: ignore[reportConstantRedefinition, reportAttributeAccessIssue] - as above
    work(folder, most=16, shards=2, killed=True)
