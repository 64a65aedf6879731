"""The uplink ships a spool whole and in order, whatever happens to brokers and to itself."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sensor.kafka_client import KafkaUnusable
from sensor.kafka_message import encode
from sensor.kafka_producer import GROUP_BYTES, OrderedProducer
from sensor.kafka_settings import KafkaSettings
from sensor.recorder import next_sequence
from sensor.spool import Spool, SpoolSettings
from sensor.spool_format import BatchHeader
from sensor.spool_positions import keep_position, read_position, released
from sensor.uplink import Uplink
from sensor.uplink_pace import LIVE_SECONDS, Arrivals, Pace
from sensor.uplink_settings import UplinkSettings
from tests.batches import encode as encode_batch
from tests.batches import sample
from tests.sensor.kafka_log import new_topics, read_all, requests, taken

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from sensor.topics import Topics
    from tests.services.kafka import Kafka

PATIENCE_SECONDS = 60


def fill(spool: Spool, count: int, size: int = 2_000) -> list[tuple[BatchHeader, bytes]]:
    """Append batches to a spool; what they are."""
    identity = spool.identity
    first = next_sequence(spool)
    batches: list[tuple[BatchHeader, bytes]] = []
    for sequence in range(first, first + count):
        header = BatchHeader(identity.sensor, identity.epoch, sequence, "modbus", 10, identity.site, cut=sequence)
        batches.append((header, sequence.to_bytes(8, "big") * (size // 8)))
        spool.append(*batches[-1])
    spool.sync()
    return batches


def settings_of(kafka: Kafka, topics: Topics, **changes: Any) -> KafkaSettings:
    return KafkaSettings(bootstrap=kafka.bootstrap, security="plaintext", prefix=topics.prefix, connect_seconds=5, **changes)


FAST = UplinkSettings(catch_up_mib_per_second=1000, retry_seconds=1, position_seconds=0.1)


@contextmanager
def running(uplink: Uplink) -> Generator[threading.Event]:
    """The uplink at work; it is told to stop at the end, and what it raised is raised."""
    stop = threading.Event()
    raised: list[BaseException] = []

    def run() -> None:
        try:
            uplink.run(stop)
        except BaseException as error:  # noqa: BLE001 - told to the test
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()
    if raised:
        raise raised[0]


def wait_until(uplink: Uplink, position: int) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while uplink.position < position:
        assert time.monotonic() < until, uplink.counters
        time.sleep(0.02)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with Spool(tmp_path / "spool", sensor="s1", site="plant") as opened:
        yield opened


def test_a_spool_is_shipped_whole_in_order_and_once(kafka: Kafka, spool: Spool) -> None:
    topics = new_topics(kafka, partitions=4)
    uplink = Uplink(spool.folder, settings_of(kafka, topics), FAST)
    batches = fill(spool, 300)
    with running(uplink):
        wait_until(uplink, 300)
        batches += fill(spool, 50)
        wait_until(uplink, 350)
    assert read_all(kafka, topics.records) == batches
    counters = uplink.counters
    assert (counters.batches, counters.lag_batches, counters.in_flight_bytes, counters.repeats) == (350, 0, 0, 0)
    assert counters.bytes > 350 * 2_000


def test_small_batches_lie_packed_on_the_broker_and_large_ones_as_they_are(kafka: Kafka, spool: Spool) -> None:
    topics = new_topics(kafka)
    header = BatchHeader("s1", spool.identity.epoch, 0, "modbus", 5, "plant")
    live = [encode_batch(replace(header, sequence=sequence), sample("modbus", 5, seed=sequence)) for sequence in range(30)]
    # What is packed inside has nothing left to be packed, but for the schema in front of it.
    large = live[0] + os.urandom(500_000)
    given = [*live, large, large]
    for sequence, data in enumerate(given):
        if sequence == len(live):
            # Requests of their own: what shares one is packed together or not at all.
            uplink = Uplink(spool.folder, settings_of(kafka, topics), FAST)
            with running(uplink):
                wait_until(uplink, sequence)
        spool.append(replace(header, sequence=sequence), data)
        spool.sync()
    uplink = Uplink(spool.folder, settings_of(kafka, topics), FAST)
    with running(uplink):
        wait_until(uplink, len(given))
    assert [data for _, data in read_all(kafka, topics.records)] == given
    lying = requests(kafka, topics.records)
    small = [size for size, is_packed in lying if is_packed]
    assert 0 < sum(small) < sum(map(len, live)) / 4
    assert sum(size for size, is_packed in lying if not is_packed) > 1_000_000


def test_it_goes_on_where_it_was(kafka: Kafka, spool: Spool) -> None:
    topics = new_topics(kafka)
    batches = fill(spool, 20)
    first = Uplink(spool.folder, settings_of(kafka, topics), FAST)
    with running(first):
        wait_until(first, 20)
    batches += fill(spool, 20)
    second = Uplink(spool.folder, settings_of(kafka, topics), FAST)
    assert second.position == 20
    with running(second):
        wait_until(second, 40)
    assert read_all(kafka, topics.records) == batches
    told = json.loads((spool.folder.parent / "uplink.json").read_text())
    assert (told["position"], told["batches"], told["lag_batches"]) == (40, 20, 0)


def test_a_disk_that_takes_no_position_holds_up_nothing_and_is_told_once(
    kafka: Kafka, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = threading.Event()
    full.set()

    def keep(*place: Any) -> None:
        if full.is_set():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        keep_position(*place)

    monkeypatch.setattr("sensor.uplink.keep_position", keep)
    topics, said = new_topics(kafka), list[str]()
    batches = fill(spool, 20)
    uplink = Uplink(spool.folder, settings_of(kafka, topics), FAST, said.append)
    with running(uplink):
        wait_until(uplink, 20)
        batches += fill(spool, 20)
        wait_until(uplink, 40)
        assert read_position(spool.folder, "uplink", spool.identity.epoch) == 0
        full.clear()
        until = time.monotonic() + PATIENCE_SECONDS
        while read_position(spool.folder, "uplink", spool.identity.epoch) < 40:
            assert time.monotonic() < until
            time.sleep(0.02)
    assert [line for line in said if "position" in line] == [
        f"{spool.folder}: the position cannot be kept (No space left on device); shipping goes on"
    ]
    assert read_all(kafka, topics.records) == batches


def test_a_broker_that_is_killed_and_comes_back_has_all_in_order(private_kafka: Kafka, spool: Spool) -> None:
    topics = new_topics(private_kafka)
    said: list[str] = []
    uplink = Uplink(spool.folder, settings_of(private_kafka, topics), FAST, said.append)
    batches: list[tuple[BatchHeader, bytes]] = []
    with running(uplink):
        for round_ in range(2):
            batches += fill(spool, 400)
            wait_until(uplink, round_ * 600 + 100)
            private_kafka.kill()
            batches += fill(spool, 200)
            private_kafka.start()
            wait_until(uplink, len(batches))
    assert taken(read_all(private_kafka, topics.records)) == batches


def test_an_outage_longer_than_the_delivery_timeout_loses_nothing(private_kafka: Kafka, spool: Spool) -> None:
    topics = new_topics(private_kafka)
    said: list[str] = []
    settings = settings_of(private_kafka, topics, delivery_timeout_seconds=5)
    uplink = Uplink(spool.folder, settings, FAST, said.append)
    with running(uplink):
        batches = fill(spool, 50)
        wait_until(uplink, 50)
        private_kafka.kill()
        batches += fill(spool, 200)
        until = time.monotonic() + PATIENCE_SECONDS
        while uplink.counters.retries < 2:  # a producer has given up its batches, and another was not to be had
            assert time.monotonic() < until
            time.sleep(0.05)
        assert uplink.position == 50
        assert uplink.counters.trouble
        batches += fill(spool, 50)
        private_kafka.start()
        wait_until(uplink, 300)
    assert taken(read_all(private_kafka, topics.records)) == batches
    assert any("batches wait in the spool" in line for line in said)
    assert any("again" in line for line in said)


def test_what_is_under_way_stays_within_its_bound(private_kafka: Kafka, spool: Spool) -> None:
    topics = new_topics(private_kafka)
    settings = UplinkSettings(in_flight_mib=1, catch_up_mib_per_second=1000, retry_seconds=1)
    uplink = Uplink(spool.folder, settings_of(private_kafka, topics), settings)
    with running(uplink):
        fill(spool, 1)
        wait_until(uplink, 1)
        private_kafka.kill()
        batches = fill(spool, 60, size=100_000)
        seen = 0
        until = time.monotonic() + 3
        while time.monotonic() < until:
            seen = max(seen, uplink.counters.in_flight_bytes)
            time.sleep(0.01)
        assert 500_000 < seen <= 1024 * 1024
        private_kafka.start()
        wait_until(uplink, 61)
    assert taken(read_all(private_kafka, topics.records))[1:] == batches


def test_a_message_that_the_broker_finds_too_large_is_told_and_ends_the_producer(kafka: Kafka) -> None:
    topics = new_topics(kafka, largest=100_000)
    producer = OrderedProducer(settings_of(kafka, topics), "test", 16 * 1024**2)

    def ship() -> None:
        for sequence, size in enumerate((1_000, 2 * GROUP_BYTES, 1_000)):
            producer.send(topics.records, encode(BatchHeader("s", "e", sequence, "modbus", 1), os.urandom(size)), 10)
        producer.wait(30)

    # The broker's answer may come before the last is given, which is then refused, or after, when it is given up.
    with pytest.raises(KafkaUnusable, match="takes no message so large"):
        ship()
    producer.close()
    time.sleep(1)
    assert [header.sequence for header, _ in read_all(kafka, topics.records)] == [0]
    assert producer.acknowledged == 1
    with pytest.raises(KafkaUnusable):
        producer.send(topics.records, encode(BatchHeader("s", "e", 3, "modbus", 1), b""), 1)


def test_a_batch_that_is_too_large_is_told_and_the_rest_is_shipped(kafka: Kafka, spool: Spool) -> None:
    topics = new_topics(kafka)
    said: list[str] = []
    uplink = Uplink(spool.folder, settings_of(kafka, topics, largest_message_bytes=1024**2), FAST, said.append)
    fill(spool, 1)
    fill(spool, 1, size=2 * 1024**2)
    fill(spool, 1)
    with running(uplink):
        wait_until(uplink, 3)
    assert [header.sequence for header, _ in read_all(kafka, topics.records)] == [0, 2]
    assert uplink.counters.refused == 1
    assert any("cannot be shipped" in line for line in said)


def test_a_sensor_keeps_what_is_not_shipped_and_first_gives_up_what_is(tmp_path: Path) -> None:
    settings = SpoolSettings(
        segment_bytes=64 * 1024, quota_bytes=16 * 64 * 1024, retention_bytes=16 * 64 * 1024, overflow="least_valuable"
    )
    with Spool(tmp_path / "spool", sensor="s1", settings=settings) as spool:
        fill(spool, 150, size=4_000)
        keep_position(spool.folder, "uplink", 100, spool.identity.epoch)
        spool.release(released(spool.folder, spool.identity.epoch))
        before = spool.size_bytes
        while spool.room.values + spool.room.reads + spool.room.records == 0 and spool.next_number < 250:
            fill(spool, 10, size=4_000)
        assert before < settings.quota_bytes
        assert spool.removed_rows == 0


def test_a_position_is_that_of_its_own_spool(tmp_path: Path) -> None:
    keep_position(tmp_path, "uplink", 7, "epoch")
    assert read_position(tmp_path, "uplink", "epoch") == 7
    assert read_position(tmp_path, "uplink", "another") == 0
    assert released(tmp_path, "epoch") == 7
    assert released(tmp_path, "another") == 0
    (tmp_path / "positions" / "slow.json").write_text('{"offsets":{"0":3},"seen":[]}')
    assert released(tmp_path, "epoch") == 3
    (tmp_path / "positions" / "slow.json").write_text("{")
    assert released(tmp_path, "epoch") == 0


def test_backlog_passes_at_its_pace_and_live_batches_at_once() -> None:
    pace = Pace(100)
    assert pace.delay(100, now=0.0) == 0
    assert pace.delay(50, now=0.0) == 0.5
    assert pace.delay(100, now=1.0) == 0.5
    assert pace.delay(200, least_rate=1000, now=1.5) == 0
    arrivals = Arrivals()
    arrivals.see(10, 0.0)
    arrivals.see(20, 2.0)
    assert arrivals.is_backlog(9, 2.0)
    assert not arrivals.is_backlog(10, 2.0)
    assert not arrivals.is_backlog(10, 2.0 + LIVE_SECONDS)
    assert arrivals.is_backlog(10, 2.1 + LIVE_SECONDS)
    assert arrivals.age(10, 3.0) == 1.0
    assert arrivals.batches_per_second == 5.0


def test_backlog_is_held_back(kafka: Kafka, spool: Spool) -> None:
    topics = new_topics(kafka)
    fill(spool, 40, size=50_000)
    slow = UplinkSettings(catch_up_mib_per_second=0.5)
    uplink = Uplink(spool.folder, settings_of(kafka, topics), slow)
    begun = time.monotonic()
    with running(uplink):
        wait_until(uplink, 40)
    # However fast the machine is: two million bytes at half a MiB a second, but for the first half.
    assert time.monotonic() - begun > 2.5
    assert uplink.counters.paced_seconds > 0


def started(data: Path, **environment: str) -> subprocess.Popen[str]:
    """`icsight sensor uplink` as a process of its own."""
    program = "from api.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", program, "sensor", "uplink", "--data", str(data)],
        cwd=Path(__file__).parents[2], env={**os.environ, **environment}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_a_killed_uplink_goes_on_and_a_stopped_one_says_what_it_did(kafka: Kafka, spool: Spool) -> None:
    topics = new_topics(kafka)
    environment = {
        "ICSIGHT_KAFKA_BOOTSTRAP": kafka.bootstrap, "ICSIGHT_KAFKA_SECURITY": "plaintext", "ICSIGHT_KAFKA_PREFIX": topics.prefix,
        "ICSIGHT_UPLINK_CATCH_UP_MIB_PER_SECOND": "2", "ICSIGHT_UPLINK_POSITION_SECONDS": "0.1",
    }  # fmt: skip
    batches = fill(spool, 200, size=40_000)
    killed = started(spool.folder.parent, **environment)
    until = time.monotonic() + PATIENCE_SECONDS
    while read_position(spool.folder, "uplink", spool.identity.epoch) < 50:
        assert time.monotonic() < until
        time.sleep(0.02)
    killed.kill()
    killed.communicate()
    batches += fill(spool, 10)
    again = started(spool.folder.parent, **environment)
    while read_position(spool.folder, "uplink", spool.identity.epoch) < 210:
        assert time.monotonic() < until
        time.sleep(0.02)
    again.terminate()
    out, err = again.communicate(timeout=PATIENCE_SECONDS)
    assert again.returncode == 0, err
    assert out.splitlines()[-1].endswith("0 batches wait in the spool")
    assert taken(read_all(kafka, topics.records)) == batches


def test_what_a_person_must_put_right_ends_the_command_with_one_line(kafka: Kafka, spool: Spool) -> None:
    environment = {
        "ICSIGHT_KAFKA_BOOTSTRAP": kafka.bootstrap,
        "ICSIGHT_KAFKA_SECURITY": "plaintext",
        "ICSIGHT_KAFKA_PREFIX": "none",
    }
    process = started(spool.folder.parent, **environment)
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, out) == (2, "")
    assert err.splitlines() == [f"error: topic none.records: there is none on {kafka.bootstrap}: `icsight kafka apply` makes it"]
