"""Detection on Kafka: the alerts of the loop on one machine, to the byte, whoever works on them and whenever they are killed."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from kafka import KafkaProducer

from collector.stream.local import LocalStream
from detection.pipeline import Pipeline
from detection.published import publish_rules
from detection.ruleset import RuleFiles
from detection.settings import DetectionSettings
from detection.site import Site
from detection.worker import Worker
from sensor.kafka_client import KafkaUnusable
from sensor.kafka_message import encode
from sensor.spool import Spool
from tests.detection.on_kafka import System
from tests.detection.test_everything import published
from tests.detection.test_grouping import mixed_rules, rule, write_rules
from tests.detection.test_merging import shuffled, three_days
from tests.detection.test_sitewide import last
from tests.detection.test_worker import outgoing

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from collector.store import RecordBatch
    from collector.stream import Outgoing
    from tests.services.kafka import Kafka

SITE: Final = Site(site="works")
ROOT: Final = Path(__file__).parents[2]


def wanted(folder: Path, batches: list[Outgoing], lateness_seconds: float = 10.0) -> list[str]:
    """The alerts of the loop on one machine."""
    folder.mkdir()
    with Spool(folder / "spool", sensor="test") as spool:
        LocalStream(folder / "spool", spool).publish(batches)
    with Spool(folder / "alerts", sensor="detection") as spool:
        pipeline, _ = Pipeline.proved(RuleFiles([folder.parent / "rules"]).read(), Site(site=batches[0].header.site))
        limits = DetectionSettings(lateness_seconds=lateness_seconds)
        out = LocalStream(folder / "alerts", spool)
        Worker(LocalStream(folder / "spool"), out, pipeline, folder / "detection.zip", settings=limits).drain()
    return last(published(folder))


def interleaving(seed: int, site: str = SITE.site) -> list[Outgoing]:
    """The batches of three sensors over the same hours; the first cut of each comes first."""
    days = three_days()
    firsts, rest = [day[0] for day in days], [day[1:] for day in days]
    order: list[list[RecordBatch]] = [*firsts, *shuffled(rest, random.Random(seed))]
    named = [(batch, f"{batch.header.sensor}-{site}") for batch in itertools.chain(*order)]
    return [outgoing(replace(batch, header=replace(batch.header, site=site, sensor=sensor))) for batch, sensor in named]


@pytest.fixture
def system(kafka: Kafka, tmp_path: Path) -> System:
    """Topics of four partitions, and rules for all sites."""
    (tmp_path / "rules").mkdir()
    mixed_rules(tmp_path / "rules")
    made = System(kafka, tmp_path, 4, lateness_seconds=2.0)
    publish_rules(made.kafka, made.topics, RuleFiles([tmp_path / "rules"]).read())
    return made


def test_three_sensors_of_a_site_give_the_alerts_of_one_machine(system: System, tmp_path: Path) -> None:
    system.send(interleaving(1))
    # What comes twice counts once.
    system.send(interleaving(1)[:7])
    done = system.work(idle_seconds=4.0)
    assert (done.records, done.gaps, done.damaged) == (180, 0, 0)
    assert last(system.alerts()) == wanted(tmp_path / "one", interleaving(1), 2.0)
    # A worker without a copy of what is remembered has it from the changelog, and nothing is worked on again.
    shutil.rmtree(system.folder)
    again = system.work(idle_seconds=3.0)
    assert again.records == 0


@contextmanager
def process(system: System, name: str) -> Generator[subprocess.Popen[str]]:
    """A worker as a process of its own, that looks at records."""
    command = [sys.executable, "-c", "from api.cli import main; main()", "detect", "--worker", name]
    made = subprocess.Popen(command, env={**os.environ, **system.environment()}, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert made.stderr is not None
    line = made.stderr.readline()
    while line and not line.startswith("worker:"):
        line = made.stderr.readline()
    threading.Thread(target=made.stderr.read, daemon=True).start()
    assert line, "the worker has ended"
    try:
        yield made
    finally:
        made.kill()
        made.wait()


def until(what: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for something."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.2)


@pytest.mark.full
def test_kill_9_of_either_of_two_workers_at_any_moment_changes_no_alert(system: System, tmp_path: Path) -> None:
    """Each is killed in the midst of work; batches of alerts that are doubled or missing fail in `alerts`."""
    source = random.Random(7)
    sites = [f"works-{number}" for number in range(4)]
    parts = [interleaving(number, site) for number, site in enumerate(sites)]
    sent = [batch for turn in itertools.zip_longest(*parts) for batch in turn if batch is not None]
    stop = threading.Event()

    def send() -> None:
        for begin in range(0, len(sent), 12):
            system.send(sent[begin : begin + 12])
            stop.wait(0.5)

    sender = threading.Thread(target=send)
    with ExitStack() as stack:
        first = {name: stack.enter_context(process(system, name)) for name in ("a", "b")}
        sender.start()
        for name in ("a", "b", "a"):
            time.sleep(source.uniform(0.5, 2.5))
            first[name].send_signal(signal.SIGKILL)
            first[name].wait()
            first[name] = stack.enter_context(process(system, name))
        stop.set()
        sender.join()
        alerts = {site: wanted(tmp_path / site, part, 2.0) for site, part in zip(sites, parts, strict=True)}
        whole = sorted(text for each in alerts.values() for text in each)
        assert whole
        until(lambda: sorted(last(system.alerts())) == whole, 90.0)


def test_rules_that_are_published_are_in_force_on_all_workers_within_5_seconds(system: System, tmp_path: Path) -> None:
    sites = [f"works-{number}" for number in range(6)]
    parts = {site: interleaving(1, site) for site in sites}
    (tmp_path / "other").mkdir()
    write_rules(tmp_path / "other", rule("late", "high", {"selection": {"modbus.unit_id|gte": 0}}))
    with process(system, "a"), process(system, "b"):
        for part in parts.values():
            system.send(part[:12])
        until(lambda: system.committed() == 72)
        assert "late" not in {alert.rule for _, alert in system.alerts_by_site()}
        publish_rules(system.kafka, system.topics, RuleFiles([tmp_path / "other"]).read())
        time.sleep(5.0)
        for part in parts.values():
            system.send(part[12:18])
        until(lambda: {site for site, alert in system.alerts_by_site() if alert.rule == "late"} == set(sites))


def test_a_worker_ends_at_what_a_newer_version_wrote_and_another_begins_with_it(system: System) -> None:
    first, second = interleaving(1)[:2]
    message = encode(second.header, second.data)
    ((name, told),) = message.headers
    newer = told.replace(b'"version":1', b'"version":2')
    assert newer != told
    system.send([first])
    producer = KafkaProducer(bootstrap_servers=system.kafka.bootstrap)
    producer.send(system.topics.records, message.value, message.key, headers=[(name, newer)]).get(30)  # pyright: ignore[reportUnknownMemberType]  kafka-python has no types
    producer.close()
    for _ in range(2):
        with pytest.raises(KafkaUnusable, match=r"the message is of version 2, this program reads up to 1: update it"):
            system.work()
        assert system.committed() <= 1
