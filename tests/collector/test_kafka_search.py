"""A batch is found in a topic by few looks, wherever it lies, and what is not there is told with its neighbours."""

# kafka-python ships no types for its clients.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportPrivateUsage=false

from __future__ import annotations

import random
import secrets
from typing import TYPE_CHECKING, Any, Final

import pytest
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.structs import TopicPartition

from collector.stream import BatchHeader
from collector.stream import kafka_search as searching
from collector.stream.kafka import KafkaStream
from sensor.kafka_message import encode
from sensor.kafka_settings import KafkaSettings
from tests.services.topics import make_topic

if TYPE_CHECKING:
    from tests.services.kafka import Kafka

MISSING: Final = 1_500
RUNS: Final = {"live": 6_000, "short": 40, "long ago": 2_000}
SECONDS: Final = 60.0


@pytest.fixture(scope="module")
def stream(kafka: Kafka) -> KafkaStream:
    """A topic of two partitions: in one a run that ended long ago, then one that goes on, and amidst it a short one."""
    topic = f"t{secrets.token_hex(8)}.records"
    make_topic(kafka, topic, partitions=2)
    middle = [("live", number) for number in range(RUNS["live"])]
    middle[3_000:3_000] = [("short", number) for number in range(RUNS["short"])]
    order = [("long ago", number) for number in range(RUNS["long ago"])] + middle
    producer: Any = KafkaProducer(bootstrap_servers=kafka.bootstrap, linger_ms=20, batch_size=4_096)
    for epoch, sequence in order:
        if (epoch, sequence) != ("live", MISSING):
            message = encode(BatchHeader("north", epoch, sequence, "modbus", 3, "plant", sequence), b"x" * 64)
            producer.send(topic, message.value, key=message.key, headers=message.headers, partition=1)
    producer.flush()
    producer.close()
    return KafkaStream(KafkaSettings(bootstrap=kafka.bootstrap, security="plaintext"), topic)


def test_a_batch_is_found_by_few_looks(stream: KafkaStream, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    look = searching._Search._look

    def counted(self: searching._Search, place: TopicPartition, offset: int, end: int) -> tuple[int, list[tuple[int, int]]]:
        looks.append(offset)
        return look(self, place, offset, end)

    monkeypatch.setattr(searching._Search, "_look", counted)
    source = random.Random(5)
    wanted = [(epoch, sequence) for epoch, count in RUNS.items() for sequence in (0, count - 1, source.randrange(1, count - 1))]
    for epoch, sequence in wanted:
        looks.clear()
        held = searching.search(stream, ("north", epoch), sequence, SECONDS)
        assert held.header is not None, (epoch, sequence)
        assert (held.header.run, held.header.sequence, held.partition) == (("north", epoch), sequence, 1)
        assert len(looks) <= 18, "all has been read"


def test_what_is_not_there_is_told_with_its_neighbours(stream: KafkaStream) -> None:
    between = searching.search(stream, ("north", "live"), MISSING, SECONDS)
    assert (between.header, between.is_whole) == (None, True)
    assert (between.below, between.above) == (MISSING - 1, MISSING + 1)
    later = searching.search(stream, ("north", "live"), RUNS["live"], SECONDS)
    assert (later.header, later.is_whole, later.below, later.above) == (None, True, RUNS["live"] - 1, None)
    unknown = searching.search(stream, ("south", "live"), 1, SECONDS)
    assert (unknown.header, unknown.is_whole, unknown.below, unknown.above) == (None, True, None, None)


def test_a_search_ends_with_its_time_and_says_that_not_all_was_looked_at(stream: KafkaStream) -> None:
    held = searching.search(stream, ("south", "live"), 1, 0.0)
    assert (held.header, held.is_whole) == (None, False)


def test_what_retention_has_removed_is_told_as_such(stream: KafkaStream) -> None:
    place = TopicPartition(stream.topic, 1)
    admin: Any = KafkaAdminClient(bootstrap_servers=stream.settings.bootstrap)
    with admin:
        admin.delete_records({place: 500})
    held = searching.search(stream, ("north", "long ago"), 100, SECONDS)
    assert (held.header, held.is_whole, held.below, held.above) == (None, True, None, 500)
    assert held.begins == {0: 0, 1: 500}
