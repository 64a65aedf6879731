"""Batches that are missing are told as alerts about their sensor, the same on one machine and on Kafka; and none that are not."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hypothesis import given
from hypothesis import strategies as st

from collector.stream.local import LocalStream
from detection.gaps import RUNS, Gaps
from detection.own_alerts import BATCHES_MISSING, HOUR_NS
from detection.pipeline import Pipeline
from detection.published import publish_rules
from detection.ruleset import RuleFiles
from detection.site import Site
from detection.worker import Worker
from sensor.spool import Spool, SpoolSettings
from sensor.spool_format import BatchHeader, segment_path
from tests.detection.on_kafka import System
from tests.detection.test_everything import published
from tests.detection.test_grouping import mixed_rules
from tests.detection.test_sitewide import last
from tests.detection.test_worker import outgoing
from tests.detection.traffic import SECOND, START, cut, request

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from collector.stream import Outgoing
    from detection.alerts import Alert
    from tests.services.kafka import Kafka

SITE: Final = "works"
SEGMENT_BYTES: Final = 64 * 1024


def header(sequence: int, sensor: str = "north", epoch: str = "e1", second: float = 0, site: str = SITE) -> BatchHeader:
    at = START + round(second * SECOND)
    return BatchHeader(sensor, epoch, sequence, "modbus", 1, site, sequence, at, at + SECOND)


def told(gaps: Gaps, headers: Iterable[BatchHeader]) -> list[Alert]:
    for each in headers:
        gaps.take(each)
    return gaps.told()


def minutes(numbers: Iterable[int]) -> list[Outgoing]:
    """The batches of a sensor with these numbers: one each minute, with one request, each so large that it fills a segment."""
    made: list[Outgoing] = []
    for number in numbers:
        data = random.Random(number).randbytes(SEGMENT_BYTES)
        (batch,) = cut([request(60 * number, function=8, data=data)], number, START + 60 * number * SECOND)
        made.append(outgoing(replace(batch, header=replace(batch.header, site=SITE, sensor="north"))))
    return made


def looked_at(folder: Path, parts: list[list[int]]) -> list[Alert]:
    """The alerts of one machine that looks after each of these parts; what is missing before it was removed from the spool."""
    (folder / "one").mkdir()
    pipeline, _ = Pipeline.proved(RuleFiles([folder / "rules"]).read(), Site(site=SITE))
    done = 0
    for part in parts:
        with Spool(folder / "one" / "spool", settings=SpoolSettings(segment_bytes=SEGMENT_BYTES), sensor="test") as spool:
            LocalStream(folder / "one" / "spool", spool).publish(minutes(range(done, part[-1] + 1)))
        for number in range(done, part[0]):
            segment_path(folder / "one" / "spool", number).unlink()
        with Spool(folder / "one" / "alerts", sensor="detection") as spool:
            out = LocalStream(folder / "one" / "alerts", spool)
            Worker(LocalStream(folder / "one" / "spool"), out, pipeline, folder / "one" / "detection.zip").drain()
        done = part[-1] + 1
    return published(folder / "one")


def test_batches_that_are_missing_are_told_alike_on_one_machine_and_on_kafka_over_a_takeover(
    kafka: Kafka, tmp_path: Path
) -> None:
    (tmp_path / "rules").mkdir()
    mixed_rules(tmp_path / "rules")
    parts = [[0, 1, 2], [5, 6], [9, 10], [80, 81]]
    wanted = looked_at(tmp_path, parts)

    system = System(kafka, tmp_path, 2)
    publish_rules(system.kafka, system.topics, RuleFiles([tmp_path / "rules"]).read())
    system.send(minutes([*parts[0], *parts[1]]))
    gaps = system.work("one").gaps
    shutil.rmtree(system.folder)
    # Whoever takes over has what was met before from the changelog; what comes again is no gap.
    system.send(minutes([*parts[1], *parts[2], *parts[3]]))
    gaps += system.work("one").gaps
    assert gaps == 3
    assert last(system.alerts()) == last(wanted)

    missing = {alert.id: alert for alert in wanted if alert.rule == BATCHES_MISSING}
    first, second = sorted(missing.values(), key=lambda alert: alert.first_seen)
    assert (first.revision, first.count) == (2, 4), "gaps of an hour are one alert"
    assert (second.revision, second.count) == (1, 69)
    assert first.body["target"] == {"sensor.name": "north", "sensor.epoch": "0123456789abcdef0123456789abcdef"}
    assert "4 batches of records of sensor north between number 3 and 8" in first.body["texts"]["en"]["summary"]
    assert "编号 3 至 8 之间有 4 批记录未到达" in first.body["texts"]["zh-CN"]["summary"]
    assert (first.first_seen, first.last_seen) == (START + 120 * SECOND, START + 540 * SECOND)


def test_a_damaged_batch_is_told_as_missing_as_where_it_was_never_shipped(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    mixed_rules(tmp_path / "rules")
    found: dict[str, list[str]] = {}
    for name in ("damaged", "missing"):
        folder = tmp_path / name
        folder.mkdir()
        with Spool(folder / "spool", settings=SpoolSettings(segment_bytes=SEGMENT_BYTES), sensor="test") as spool:
            LocalStream(folder / "spool", spool).publish(minutes(range(6)))
        segment = segment_path(folder / "spool", 3)
        if name == "damaged":
            content = bytearray(segment.read_bytes())
            content[len(content) // 2] ^= 1
            segment.write_bytes(content)
        else:
            segment.unlink()
        pipeline, _ = Pipeline.proved(RuleFiles([tmp_path / "rules"]).read(), Site(site=SITE))
        with Spool(folder / "alerts", sensor="detection") as spool:
            out = LocalStream(folder / "alerts", spool)
            worker = Worker(LocalStream(folder / "spool"), out, pipeline, folder / "detection.zip")
            worker.drain()
        assert (worker.counters.damaged, worker.counters.gaps) == (int(name == "damaged"), 1)
        found[name] = last(published(folder))
    assert found["damaged"] == found["missing"]
    assert sum(BATCHES_MISSING in alert for alert in found["damaged"]) == 1


def test_a_start_in_the_middle_is_no_gap_and_what_is_missing_from_there_on_is_one() -> None:
    gaps = Gaps()
    assert told(gaps, [header(40), header(41)]) == []
    (alert,) = told(gaps, [header(44, second=5)])
    assert (alert.count, alert.first_seen, alert.last_seen) == (2, START + SECOND, START + 5 * SECOND)
    assert gaps.told() == [], "nothing is told twice"


def test_a_run_that_does_not_begin_with_0_is_told_only_of_a_sensor_that_was_followed() -> None:
    gaps = Gaps()
    assert told(gaps, [header(0), header(3, "south", "e7")]) == []
    (alert,) = told(gaps, [header(2, "north", "e2", second=9)])
    assert (alert.count, alert.body["target"]["sensor.epoch"]) == (2, "e2")
    assert told(gaps, [header(7, "south", "e8", site="another")]) == []


def test_what_comes_again_or_goes_on_is_no_gap_whatever_was_remembered_between() -> None:
    gaps = Gaps()
    told(gaps, [header(0), header(1), header(5)])
    again = Gaps.from_json(json.loads(json.dumps(gaps.to_json())))
    assert told(again, [header(5), header(1), header(6)]) == []
    assert [alert.revision for alert in told(again, [header(9)])] == [2]


def test_of_a_run_that_was_forgotten_no_false_gap_is_told() -> None:
    gaps = Gaps()
    assert told(gaps, [header(0, "north", f"e{number}") for number in range(RUNS + 1)]) == []
    assert told(gaps, [header(12, "north", "e0")]) == []


@given(kept=st.lists(st.booleans(), min_size=2, max_size=40), looks=st.lists(st.integers(0, 40), max_size=5), hours=st.booleans())
def test_what_is_told_last_does_not_depend_on_when_it_is_looked_at(kept: list[bool], looks: list[int], *, hours: bool) -> None:
    step = HOUR_NS // SECOND / 3 if hours else 1
    headers = [header(number, second=number * step) for number, here in enumerate([True, *kept, True]) if here]
    at_once = {alert.id: alert for alert in told(Gaps(), headers)}
    gaps = Gaps()
    revisions: dict[str, Alert] = {}
    for place, each in enumerate(headers):
        gaps.take(each)
        if place in looks:
            revisions |= {alert.id: alert for alert in gaps.told()}
            gaps = Gaps.from_json(json.loads(json.dumps(gaps.to_json())))
    revisions |= {alert.id: alert for alert in gaps.told()}
    assert revisions == at_once
    assert sum(alert.count for alert in revisions.values()) == kept.count(False)
