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
from typing import TYPE_CHECKING, Final, cast

import pytest
from click.testing import CliRunner
from kafka import KafkaProducer

from collector.stream.local import LocalStream
from detection import scaleout
from detection.baseline.decisions import Decision
from detection.changelog_topic import ChangelogTopic
from detection.cli import detect
from detection.forget import forget
from detection.own_alerts import BATCHES_MISSING
from detection.pipeline import Pipeline
from detection.published import Published, publish_rules, publish_site
from detection.ruleset import RuleFiles
from detection.scaleout import Detection
from detection.settings import DetectionSettings
from detection.shares import Shares
from detection.site import Site
from detection.worker import Worker
from sensor import kafka_message
from sensor.control_records import encode as encode_control
from sensor.kafka_message import encode
from sensor.spool import Spool
from tests.detection.on_kafka import System
from tests.detection.test_everything import published
from tests.detection.test_grouping import mixed_rules, rule, write_rules
from tests.detection.test_merging import of_sensor, shuffled, three_days
from tests.detection.test_sitewide import last
from tests.detection.test_worker import outgoing
from tests.detection.traffic import SECOND, START, cut, request
from tests.services.topics import Unreadable, elsewhere
from tests.system import both_ways

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from collector.store import RecordBatch
    from collector.stream import Outgoing
    from tests.services.kafka import Kafka

SITE: Final = Site(site="works")
ROOT: Final = Path(__file__).parents[2]

LATENESS_SECONDS: Final = 60.0
"""Longer than a test takes: no sensor is silent by the clock of a worker, but by the times of messages, which the test gives."""


def wanted(folder: Path, batches: list[Outgoing], lateness_seconds: float = LATENESS_SECONDS) -> list[str]:
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
    made = System(kafka, tmp_path, 4, lateness_seconds=LATENESS_SECONDS)
    publish_rules(made.kafka, made.topics, RuleFiles([tmp_path / "rules"]).read())
    return made


def test_three_sensors_of_a_site_give_the_alerts_of_one_machine(system: System, tmp_path: Path) -> None:
    sent = interleaving(1)
    system.send(sent)
    # What comes twice counts once.
    system.send(sent[:7])
    system.send_long_after(sent[-1])
    done = system.work(idle_seconds=2.0)
    assert (done.records, done.gaps, done.damaged) == (180, 0, 0)
    assert last(system.alerts()) == wanted(tmp_path / "one", sent)
    # A worker without a copy of what is remembered has it from the changelog, and nothing is worked on again.
    shutil.rmtree(system.folder)
    again = system.work(idle_seconds=2.0)
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


def until(what: Callable[[], bool], seconds: float = 240.0) -> None:
    """Wait for something."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.2)


KILLED: Final = """
import os, signal, sys
from quixstreams.internal_producer import InternalProducer
flush, left = InternalProducer.flush, [int(sys.argv.pop(1))]
def killed(self, *args, **named):
    missing = flush(self, *args, **named)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return missing
InternalProducer.flush = killed
from api.cli import main
main()
"""
"""A worker that is killed when brokers have alerts, and all else of a commit, and before that is committed."""


@contextmanager
def killed_before_commit(system: System, name: str, commit: int) -> Generator[subprocess.Popen[bytes]]:
    """A worker as a process of its own that kills itself just before its n-th commit."""
    command = [sys.executable, "-c", KILLED, str(commit), "detect", "--worker", name]
    made = subprocess.Popen(command, env={**os.environ, **system.environment()}, stderr=subprocess.DEVNULL, cwd=ROOT)
    try:
        yield made
    finally:
        made.kill()
        made.wait()


def test_what_the_version_before_remembered_of_a_site_is_read(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = interleaving(1)
    system.send(sent[:12])
    with monkeypatch.context() as before:
        # It kept a site under its bare name.
        before.setattr("detection.scaleout.SITE", b"")
        system.work(idle_seconds=2.0)
    system.send(sent[12:])
    system.send_long_after(sent[-1])
    system.work(idle_seconds=2.0)
    assert last(system.alerts()) == wanted(tmp_path / "one", sent)


def test_kill_9_just_before_what_was_done_is_committed_loses_and_doubles_nothing(system: System, tmp_path: Path) -> None:
    sent = interleaving(3)
    for end, commit in ((8, 1), (16, 1), (24, 2)):
        system.send(sent[end - 8 : end])
        before = system.committed()
        with killed_before_commit(system, "a", commit) as worker:
            if commit == 2:
                until(lambda worker=worker, before=before: system.committed() > before or worker.poll() is not None)
                system.send(sent[24:28])
            assert worker.wait(240) == -signal.SIGKILL
    system.send(sent[28:])
    system.send_long_after(sent[-1])
    system.work("a", idle_seconds=2.0)
    assert last(system.alerts()) == wanted(tmp_path / "one", sent)


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(5))
def test_kills_of_two_workers_before_any_of_their_commits_lose_and_double_nothing(
    system: System, tmp_path: Path, seed: int
) -> None:
    """Alerts that are doubled or missing fail in `alerts`: so does a worker that commits what it has published afterwards."""
    source = random.Random(seed)
    sites = [f"works-{number}" for number in range(4)]
    parts = {site: interleaving(10 * seed + number, site) for number, site in enumerate(sites)}
    sent = [batch for turn in itertools.zip_longest(*parts.values()) for batch in turn if batch is not None]
    ends = sorted(source.sample(range(1, len(sent)), 8))
    killed = 0
    with ExitStack() as stack:
        running: dict[str, subprocess.Popen[bytes]] = {}
        for begin, end in itertools.pairwise((0, *ends)):
            system.send(sent[begin:end])
            for name in ("a", "b"):
                if name not in running or running[name].poll() is not None:
                    killed += name in running
                    running[name] = stack.enter_context(killed_before_commit(system, name, source.randint(1, 3)))
            until(lambda end=end: system.committed() >= end or any(each.poll() is not None for each in running.values()))
    assert killed >= 2
    system.send(sent[ends[-1] :])
    for part in parts.values():
        system.send_long_after(part[-1])
    for name in ("a", "b"):
        system.work(name, idle_seconds=2.0)
    whole = sorted(text for site, part in parts.items() for text in wanted(tmp_path / site, part))
    assert sorted(last(system.alerts())) == whole


def test_what_waits_for_a_silent_sensor_is_told_by_whoever_takes_the_site_over(system: System, tmp_path: Path) -> None:
    system.settings = system.settings.model_copy(update={"lateness_seconds": 10.0})
    ahead, behind = (
        of_sensor(name, [cut([request(time, function=8)], number, START + time * SECOND) for number, time in enumerate(times)])
        for name, times in (("ahead", [0, 1, 3]), ("behind", [0, 1]))
    )
    order = itertools.chain(ahead[0], behind[0], ahead[1], behind[1], ahead[2])
    sent = [outgoing(replace(batch, header=replace(batch.header, site=SITE.site))) for batch in order]
    expected = wanted(tmp_path / "one", sent, 10.0)
    system.send(sent)
    with process(system, "a"):
        until(lambda: system.committed() == len(sent))
    assert last(system.alerts()) != expected, "nothing waited"
    shutil.rmtree(system.folder)
    with process(system, "b"):
        until(lambda: last(system.alerts()) == expected)


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


def test_a_worker_stops_before_what_a_newer_version_wrote_and_another_begins_with_it(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = interleaving(1)[:3]
    message = encode(second.header, second.data)
    ((name, told),) = message.headers
    newer = told.replace(b'"version":1', b'"version":2')
    assert newer != told
    system.send([first])
    producer = KafkaProducer(bootstrap_servers=system.kafka.bootstrap)
    producer.send(system.topics.records, message.value, message.key, headers=[(name, newer)]).get(30)  # pyright: ignore[reportUnknownMemberType]  kafka-python has no types
    producer.close()
    system.send([third])
    system.work(idle_seconds=2.0)
    assert system.committed() == 1
    monkeypatch.setattr(kafka_message, "VERSION", 2)
    system.work("two", idle_seconds=2.0)
    assert system.committed() == 3


def test_a_worker_passes_over_a_message_whose_headers_cannot_be_read_and_counts_it(system: System) -> None:
    # So many before it that the interpreter has made its code for the usual case.
    *before, strange, after = interleaving(1)
    message = encode(strange.header, strange.data)
    for _ in range(8):
        system.send(before)
    # Packed as brokers pack it: what they pack themselves they read before, and put its name right.
    producer = KafkaProducer(bootstrap_servers=system.kafka.bootstrap, compression_type="gzip")
    headers = [(Unreadable("strange"), b"x"), *message.headers]
    producer.send(system.topics.records, message.value, message.key, headers=headers).get(30)  # pyright: ignore[reportUnknownMemberType]  kafka-python has no types
    producer.close()
    system.send([after])
    assert system.work(idle_seconds=2.0).damaged == 1
    assert system.committed() == 8 * len(before) + 2


def test_a_decision_that_cannot_be_read_ends_no_worker_and_those_behind_it_are_known(system: System) -> None:
    decision = encode_control(1, "normal", Decision("accept", "ann").to_json())
    producer = KafkaProducer(bootstrap_servers=system.kafka.bootstrap)
    for headers in ([(Unreadable("strange"), b"x")], []):
        producer.send(system.topics.decisions, decision, SITE.site.encode(), headers=headers).get(30)  # pyright: ignore[reportUnknownMemberType]  kafka-python has no types
    producer.close()
    for _ in range(2):
        # It is there at each start, too.
        published = Published(system.kafka, system.topics)
        published.check()
        published.close()
        assert (published.refused, len(published.decisions(SITE.site))) == (1, 1)
    sent = interleaving(1)
    system.send(sent[:6])
    system.work(idle_seconds=2.0)
    assert system.committed() == 6


def test_workers_that_were_away_longer_than_records_are_kept_go_on_and_tell_what_is_missing(system: System) -> None:
    sent = [batch for batch in interleaving(1) if batch.header.sensor == interleaving(1)[0].header.sensor]
    system.send(sent[:2])
    system.work(idle_seconds=2.0)
    system.send(sent[2:4])
    system.drop_records()
    system.send(sent[4:6])
    for idle in (2.0, 1.0):
        system.work(idle_seconds=idle)
    # What was remembered of the sensor is: else nobody knew that something is missing.
    (told,) = (alert for alert in system.alerts() if alert.rule == BATCHES_MISSING)
    assert (told.body["missing"]["first"], told.body["missing"]["last"]) == (2, 3)


def works_to(system: System, expected: list[str], name: str = "one") -> None:
    """One worker works until the alerts are there; what comes of the rest changes none of them."""
    system.work(name, until=lambda: last(system.alerts()) == expected)
    assert last(system.alerts()) == expected
    system.work(name, idle_seconds=2.0)
    assert last(system.alerts()) == expected


def test_a_message_that_says_another_place_than_its_own_moves_no_worker(system: System, tmp_path: Path) -> None:
    sent = interleaving(1)
    system.send(sent[:3])
    for number, delta in ((3, 500), (4, -1_000)):
        with elsewhere(0, delta):
            system.send(sent[number : number + 1])
    system.send(sent[5:])
    system.send_long_after(sent[-1])
    works_to(system, wanted(tmp_path / "one", sent))
    assert system.committed() == len(sent) + 1


@pytest.mark.parametrize("split", [False, True])
def test_workers_go_on_where_they_were_when_brokers_have_forgotten_it(system: System, tmp_path: Path, *, split: bool) -> None:
    if split:
        publish_site(system.kafka, system.topics, Site(site=SITE.site, split=True))
    sent = interleaving(1)
    system.send(sent[:12])
    system.work(idle_seconds=6.0 if split else 2.0)
    system.forget_places()
    shutil.rmtree(system.folder)
    system.send(sent[12:])
    system.send_long_after(sent[-1])
    works_to(system, wanted(tmp_path / "one", sent))
    # Nothing was begun anew, and nothing looked at twice: of a site that is split its teller tells, too.
    assert len(system.epochs()) == 1 + split


@pytest.mark.parametrize("split", [False, True])
def test_a_site_that_is_forgotten_begins_anew_and_others_go_on(
    system: System, monkeypatch: pytest.MonkeyPatch, *, split: bool
) -> None:
    if split:
        publish_site(system.kafka, system.topics, Site(site="works", split=True))
    for name in ("works", "others"):
        system.send(interleaving(1, name)[:3])
    system.work(idle_seconds=6.0 if split else 2.0)
    for name, value in system.environment().items():
        monkeypatch.setenv(name, value)
    before = system.epochs()
    system.wait_until_missed()
    ran = CliRunner().invoke(detect, ["--forget", "works"], input="y\n")
    assert ran.exit_code == 0, ran.output
    assert "of site 'works' are removed" in ran.output
    assert CliRunner().invoke(detect, ["--forget", "works"], input="y\n").exit_code == 2
    for name in ("works", "others"):
        system.send(interleaving(1, name)[3:6])
    # It has a copy of what was remembered.
    system.work(idle_seconds=6.0 if split else 2.0)
    if split:
        # The first records after a beginning are looked at before the site is split.
        for name in ("works", "others"):
            system.send(interleaving(1, name)[6:9])
        system.work(idle_seconds=6.0)
        system.work(idle_seconds=6.0)
    after = system.epochs() - before
    assert {site for site, _ in after} == {"works"}
    assert len(after) == 1 + split


def test_a_site_that_is_forgotten_gives_its_room_to_another(
    kafka: Kafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scaleout, "SITES", 2)
    (tmp_path / "rules").mkdir()
    mixed_rules(tmp_path / "rules")
    system = System(kafka, tmp_path, 1, lateness_seconds=LATENESS_SECONDS)
    publish_rules(system.kafka, system.topics, RuleFiles([tmp_path / "rules"]).read())
    for name in ("works", "others", "more"):
        system.send(interleaving(1, name)[:3])
    system.work(idle_seconds=2.0)
    # One is turned away.
    assert len(system.epochs()) == 2
    system.wait_until_missed()
    kept, _ = next(iter(system.epochs()))
    assert forget(system.kafka, kept) > 0
    assert forget(system.kafka, kept) == 0
    for name in ("new", "newer"):
        system.send(interleaving(1, name)[:3])
    system.work(idle_seconds=2.0)
    assert {site for site, _ in system.epochs()} >= {"new"}
    assert len(system.epochs()) == 3


SPLIT: Final = "modbus/resilmesh2+MONT-Dataset-OT-ICS-attacks/Scenario-2/6-Impact/impact_traffic.pcap"
"""A capture in which rules of the product fire, and what is normal is learned."""


def split_over_three(system: System, captures: Path, folder: Path) -> tuple[list[Outgoing], list[str]]:
    """The rules of the product and a site that is split are published; what its sensors send, and the alerts of one machine."""
    ruleset = both_ways.rules(folder / "all-rules")
    publish_rules(system.kafka, system.topics, ruleset)
    publish_site(system.kafka, system.topics, Site(site=SITE.site, split=True))
    sent = both_ways.of_three(captures / SPLIT, folder / "sensors", SITE.site, 0)
    return sent, both_ways.on_one_machine(folder / "one", ruleset, sent)


@pytest.mark.timeout(600)
def test_a_site_that_is_split_over_two_workers_of_which_one_is_killed_gives_the_alerts_of_one_machine(
    system: System, captures: Path, tmp_path: Path
) -> None:
    sent, expected = split_over_three(system, captures, tmp_path)
    half = len(sent) // 2
    with process(system, "a") as first, process(system, "b") as second:
        system.send(sent[:half])
        until(lambda: system.committed() >= half and system.shared() > 0)
        first.send_signal(signal.SIGKILL)
        first.wait()
        system.send(sent[half:])
        system.send_long_after(sent[-1])
        # Who is left takes over what the other had, once it is missed.
        until(lambda: last(system.alerts()) == expected)
        assert second.poll() is None
    assert expected
    assert len(system.share_partitions()) > 1
    # What is normal is shown of all sensors, wherever it was learned.
    changelog = ChangelogTopic(system.kafka)
    found = changelog.learned()[SITE.site]
    changelog.close()
    assert {run for run, _, _ in found} == {batch.header.run for batch in sent}


@pytest.mark.timeout(600)
def test_a_worker_that_is_killed_before_it_commits_what_shares_found_loses_and_doubles_nothing(
    system: System, tmp_path: Path
) -> None:
    publish_site(system.kafka, system.topics, Site(site=SITE.site, split=True))
    sent = interleaving(2)
    system.send(sent)
    system.send_long_after(sent[-1])
    # The first commit has the site's records, the next what came of them in shares.
    for commit in (1, 2):
        with killed_before_commit(system, "a", commit) as worker:
            assert worker.wait(240) == -signal.SIGKILL
    works_to(system, wanted(tmp_path / "one", sent), "a")


def test_messages_of_a_site_that_is_split_fit_where_its_records_were_larger(system: System, tmp_path: Path) -> None:
    publish_site(system.kafka, system.topics, Site(site=SITE.site, split=True))
    # As if it had been packed on its way: by then it is larger than what a worker may send.
    system.kafka = system.kafka.model_copy(update={"largest_message_bytes": 1024**2})
    noise = random.Random(0).randbytes(1_500_000)
    made = [batch for number in range(3) for batch in cut([request(number, function=8, data=noise)], number)]
    sent = [outgoing(replace(batch, header=replace(batch.header, site=SITE.site))) for batch in made]
    assert all(len(batch.data) > system.kafka.largest_message_bytes for batch in sent)
    system.send(sent)
    works_to(system, expected := wanted(tmp_path / "one", sent))
    assert expected


def test_records_of_a_site_that_is_split_wait_while_much_waits_for_its_shares(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_site(system.kafka, system.topics, Site(site=SITE.site, split=True))
    monkeypatch.setattr("detection.shares.AHEAD", 0)
    monkeypatch.setattr("detection.shares.ASKED_SECONDS", 0.2)
    monkeypatch.setattr("detection.shares.ANSWER_SECONDS", 10.0)
    monkeypatch.setattr("detection.shares.STILL_SECONDS", 1.0)
    monkeypatch.setattr("detection.scaleout.WAIT_SECONDS", 0.2)
    said, paused, taken, is_held = list[bool](), list[bool](), list[int](), [True]
    is_behind, wait = cast("property", Shares.is_behind).fget, Detection._wait_for_shares  # pyright: ignore[reportPrivateUsage]  what a worker lets wait shows nowhere else
    assert is_behind is not None

    def asked(shares: Shares) -> bool:
        said.append(is_behind(shares))
        return said[-1] or is_held[0]

    def waits(detection: Detection) -> None:
        wait(detection)
        paused.append(bool(detection._paused))  # pyright: ignore[reportPrivateUsage]  the same

    monkeypatch.setattr(Shares, "is_behind", property(asked))
    monkeypatch.setattr(Detection, "_wait_for_shares", waits)
    sent = interleaving(1)
    expected = wanted(tmp_path / "one", sent)
    system.send(sent[:10])

    def is_done() -> bool:
        if taken:
            return last(system.alerts()) == expected
        if any(paused):
            system.send(sent[10:])
            system.send_long_after(sent[-1])
            time.sleep(3.0)
            taken.append(system.committed())
            is_held[0] = False
        return False

    # One and the same worker goes on with what it let wait: another would begin with it anyhow.
    done = system.work(until=is_done)
    assert last(system.alerts()) == expected
    works_to(system, expected)
    assert taken[0] <= 10
    assert done.damaged == 0
    assert {*said} == {True, False}
