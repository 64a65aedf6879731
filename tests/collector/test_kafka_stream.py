"""What a stream over Kafka does besides what every stream does: groups, transactions, brokers that go away, strange messages."""

# kafka-python leaves its results untyped.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import secrets
import threading
import time
from typing import TYPE_CHECKING, Any, cast

import pytest
from kafka import KafkaProducer

from collector.collect_command import FILES
from collector.dead_letters import LetterFolder
from collector.store.local import LocalRecordStore
from collector.stream import BatchHeader, DamagedBatch, Gap, NewerBatch, Outgoing, Position, StreamError
from collector.stream.kafka import METADATA_BYTES, KafkaStream, _packed, _unpacked  # pyright: ignore[reportPrivateUsage] - what brokers take is bounded
from collector.writer import CONSUMER, Writer
from sensor.kafka_message import encode
from sensor.kafka_settings import KafkaSettings
from tests import batches as record_batches
from tests.services.topics import make_topic

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from collector.stream import Consumer, Delivery
    from tests.services.kafka import Kafka


def settings_of(server: Kafka, **more: float) -> KafkaSettings:
    return KafkaSettings(bootstrap=server.bootstrap, security="plaintext", **more)  # pyright: ignore[reportArgumentType]


@pytest.fixture
def topic(kafka: Kafka) -> str:
    name = f"t{secrets.token_hex(8)}.records"
    make_topic(kafka, name, partitions=4)
    return name


def batches(site: str, sequences: Iterable[int], epoch: str = "e1") -> list[Outgoing]:
    return [
        Outgoing(BatchHeader(f"of-{site}", epoch, sequence, "modbus", 3, site, sequence), f"{site} {sequence}".encode())
        for sequence in sequences
    ]


def until(consumer: Consumer, count: int, seconds: float = 60) -> list[Delivery]:
    """So many deliveries, or what came in the time."""
    found: list[Delivery] = []
    end = time.monotonic() + seconds
    while len(found) < count and time.monotonic() < end:
        found += consumer.poll(0.2)
    return found


def names(deliveries: Iterable[Delivery]) -> list[tuple[str, int]]:
    return [(delivery.header.site, delivery.header.sequence) for delivery in deliveries]


def test_a_site_lies_in_one_partition_and_sites_are_spread(kafka: Kafka, topic: str) -> None:
    stream = KafkaStream(settings_of(kafka), topic)
    sites = [f"site {number}" for number in range(20)]
    stream.publish([batch for site in sites for batch in batches(site, range(3))])
    homes: dict[str, set[str]] = {}
    for delivery in stream.subscribe("a").poll(5):
        homes.setdefault(delivery.header.site, set()).add(delivery.offset[0])
    assert set(homes) == set(sites)
    assert all(len(partitions) == 1 for partitions in homes.values())
    assert {partition for each in homes.values() for partition in each} == {"0", "1", "2", "3"}
    stream.close()


def test_members_of_a_group_share_the_partitions_and_take_over_without_a_false_gap(kafka: Kafka, topic: str) -> None:
    sites = [f"site {number}" for number in range(20)]
    publisher = KafkaStream(settings_of(kafka), topic)
    publisher.publish([batch for site in sites for batch in batches(site, range(2))])
    one = KafkaStream(settings_of(kafka), topic, member="one").subscribe("store")
    first = until(one, 40)
    assert sorted(names(first)) == sorted((site, number) for site in sites for number in range(2))
    one.commit(one.position)
    two = KafkaStream(settings_of(kafka), topic, member="two").subscribe("store", Position({}, {("of-site 0", "e1"): 0}))
    stop = threading.Event()
    found: dict[str, list[Delivery]] = {"one": [], "two": []}

    def read(name: str, consumer: Consumer) -> None:
        while not stop.is_set():
            deliveries = consumer.poll(0.2)
            found[name] += deliveries
            if deliveries:
                consumer.commit(consumer.position)

    threads = [threading.Thread(target=read, args=item) for item in (("one", one), ("two", two))]
    for thread in threads:
        thread.start()
    try:
        end = time.monotonic() + 60
        while not two.position.offsets and time.monotonic() < end:
            time.sleep(0.1)
        publisher.publish([batch for site in sites for batch in batches(site, range(4))])
        while sum(map(len, found.values())) < 40 and time.monotonic() < end:
            time.sleep(0.1)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        one.close()
        two.close()
        publisher.close()
    everything = found["one"] + found["two"]
    assert sorted(names(everything)) == sorted((site, number) for site in sites for number in (2, 3))
    assert found["one"]
    assert found["two"]
    assert [delivery.gap for delivery in everything if delivery.gap is not None] == []


def test_a_writer_into_another_store_reads_beside_members_and_leaves_their_place_alone(
    kafka: Kafka, topic: str, tmp_path: Path
) -> None:
    settings = settings_of(kafka)
    publisher = KafkaStream(settings, topic)
    headers = [BatchHeader("of-a", "e1", number, "modbus", 5, "a", number) for number in range(3)]
    made = [Outgoing(header, record_batches.encode(header, record_batches.sample("modbus", 5, seed=1))) for header in headers]
    publisher.publish(made[:1])
    members = KafkaStream(settings, topic, member="one")
    store = LocalRecordStore(tmp_path / "records", writer=True)
    writer = Writer(KafkaStream(settings, topic), store, LetterFolder(tmp_path / "letters"), reader=FILES)
    with members.subscribe(CONSUMER) as member:
        deliveries = until(member, 1)
        writer.drain()
        publisher.publish(made[1:2])
        writer.drain()
        member.commit(deliveries[0].position)
    # Also while no member is there.
    publisher.publish(made[2:])
    writer.drain()
    assert writer.counters.batches == 3
    with members.subscribe(CONSUMER) as member:
        assert [delivery.header.sequence for delivery in until(member, 2)] == [1, 2]
    store.close()
    publisher.close()


def test_a_member_that_comes_back_finds_its_partitions_and_its_place(kafka: Kafka, topic: str) -> None:
    publisher = KafkaStream(settings_of(kafka), topic)
    publisher.publish(batches("x", range(4)))
    stream = KafkaStream(settings_of(kafka), topic, member="only")
    with stream.subscribe("store") as consumer:
        deliveries = until(consumer, 4)
        consumer.commit(deliveries[1].position)
    with stream.subscribe("store") as consumer:
        assert names(until(consumer, 2)) == [("x", 2), ("x", 3)]
    publisher.close()


def test_a_member_that_begins_to_join_anew_with_no_time_to_wait_has_joined_in_the_end(kafka: Kafka, topic: str) -> None:
    publisher = KafkaStream(settings_of(kafka), topic)
    publisher.publish(batches("x", range(1)))
    with KafkaStream(settings_of(kafka), topic, member="only").subscribe("store") as consumer:
        assert names(until(consumer, 1)) == [("x", 0)]
        client = consumer._client  # pyright: ignore[reportAttributeAccessIssue, reportPrivateUsage, reportUnknownVariableType]
        # As where the topic's partitions have become more, of which the leader has heard.
        client._coordinator._assignment_snapshot = {}
        client.poll(timeout_ms=0)
        time.sleep(2)
        publisher.publish(batches("x", range(2)))
        assert names(until(consumer, 1))[-1] == ("x", 1)
    publisher.close()


def test_a_member_whose_broker_goes_with_its_first_messages_loses_none_of_them(
    private_kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_topic(private_kafka, "t", partitions=2)
    settings = settings_of(private_kafka, connect_seconds=5)
    publisher = KafkaStream(settings, "t")
    publisher.publish(batches("x", range(4)))
    consumer = KafkaStream(settings, "t", member="only").subscribe("store")
    library: Any = cast("Any", consumer)._client
    poll = library.poll

    def last(**options: Any) -> Any:
        found = poll(**options)
        if found:
            private_kafka.kill()
        return found

    end = time.monotonic() + 120
    with monkeypatch.context() as patched:
        patched.setattr(library, "poll", last)
        with pytest.raises(StreamError):  # noqa: PT012 - it may wait some times for its partitions
            while time.monotonic() < end:
                consumer.poll(5)
    assert time.monotonic() < end
    private_kafka.start()
    assert names(until(consumer, 4)) == [("x", number) for number in range(4)]
    consumer.close()
    publisher.close()


def test_what_was_aborted_is_never_delivered_and_the_end_is_behind_it(kafka: Kafka, topic: str) -> None:
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=topic, enable_idempotence=True)
    producer.init_transactions()
    for commit in (False, True):
        producer.begin_transaction()
        for batch in batches("x", range(2), epoch=str(commit)):
            message = encode(batch.header, batch.data)
            producer.send(topic, message.value, key=message.key, headers=message.headers)
        if commit:
            producer.commit_transaction()
        else:
            producer.abort_transaction()
    producer.close()
    stream = KafkaStream(settings_of(kafka), topic)
    consumer = stream.subscribe("a")
    found = until(consumer, 2)
    assert [(delivery.header.epoch, delivery.header.sequence) for delivery in found] == [("True", 0), ("True", 1)]
    assert list(consumer.poll(0)) == []
    assert consumer.position.offsets == stream.end().offsets


def test_a_strange_message_is_told_with_its_bytes_and_passed(kafka: Kafka, topic: str) -> None:
    stream = KafkaStream(settings_of(kafka), topic)
    stream.publish(batches("x", [0]))
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap)
    producer.send(topic, b"strange", key=b"x").get(30)
    producer.close()
    stream.publish(batches("x", [1]))
    consumer = stream.subscribe("a")
    assert names(consumer.poll(5)) == [("x", 0)]
    with pytest.raises(DamagedBatch, match="no header") as damage:
        consumer.poll(5)
    assert damage.value.data == b"strange"
    assert damage.value.position == consumer.position
    assert names(consumer.poll(5)) == [("x", 1)]
    stream.close()


def test_what_the_topic_no_longer_has_is_a_gap(kafka: Kafka, topic: str) -> None:
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap)
    for batch in [*batches("x", [0]), *batches("x", [3])]:
        message = encode(batch.header, batch.data)
        producer.send(topic, message.value, key=message.key, headers=message.headers).get(30)
    producer.close()
    found = until(KafkaStream(settings_of(kafka), topic).subscribe("a"), 2)
    assert [delivery.gap for delivery in found] == [None, Gap(("of-x", "e1"), 1, 3)]


def test_what_cannot_be_reached_or_is_not_there_is_told_at_once(kafka: Kafka) -> None:
    begin = time.monotonic()
    with pytest.raises(StreamError, match="kafka apply"):
        KafkaStream(settings_of(kafka), "no-such-topic").subscribe("a")
    nowhere = KafkaSettings(bootstrap="127.0.0.1:9", security="plaintext")
    with pytest.raises(StreamError, match="no broker answers"):
        KafkaStream(nowhere, "t").publish(batches("x", [0]))
    assert time.monotonic() - begin < 20


def test_a_publisher_whose_broker_is_killed_starts_over_and_nothing_is_lost_or_doubled(private_kafka: Kafka) -> None:
    make_topic(private_kafka, "t", partitions=2)
    settings = settings_of(private_kafka, delivery_timeout_seconds=5)
    stream = KafkaStream(settings, "t")
    stream.publish(batches("x", range(3)))
    private_kafka.kill()
    with pytest.raises(StreamError):
        stream.publish(batches("x", range(6)))
    private_kafka.start()
    stream.publish(batches("x", range(6)))
    assert names(until(KafkaStream(settings, "t").subscribe("a"), 6)) == [("x", number) for number in range(6)]
    stream.close()


def test_what_is_kept_with_the_offsets_is_of_the_runs_met_last_and_always_has_room() -> None:
    for count in (0, 1, 100, 1_000):
        runs = {(f"sensor-{number:06}", secrets.token_hex(16)): number * 1_000 for number in range(count)}
        text = _packed(runs)
        assert len(text) <= METADATA_BYTES
        found = _unpacked(text)
        assert found == dict(list(runs.items())[count - len(found) :])
        assert len(found) >= min(count, 90)


def test_nobody_publishes_behind_what_a_newer_version_wrote(kafka: Kafka, topic: str) -> None:
    (batch,) = batches("x", [0])
    message = encode(batch.header, batch.data)
    ((name, told),) = message.headers
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap)
    producer.send(topic, message.value, message.key, headers=[(name, told.replace(b'"version":1', b'"version":2'))]).get(30)
    producer.close()
    with pytest.raises(NewerBatch, match=r"/0: the message is of version 2, this program reads up to 1: update it"):
        KafkaStream(settings_of(kafka), topic).highest("of-x", "e1")
