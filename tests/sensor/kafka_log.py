"""Topics for a test, and what lies in them, read as a consumer of records reads."""

# kafka-python leaves its results untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from kafka import KafkaConsumer
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.structs import TopicPartition

from sensor.kafka_message import decode
from sensor.topics import Topics

if TYPE_CHECKING:
    from sensor.spool_format import BatchHeader, Run
    from tests.services.kafka import Kafka


def new_topics(kafka: Kafka, *, partitions: int = 1, largest: int = 9 * 1024**2) -> Topics:
    """Topics of a new system, of which the one of records is there."""
    topics = Topics(f"t{secrets.token_hex(6)}")
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    bounds = {"max.message.bytes": str(largest), "retention.ms": "-1"}
    admin.create_topics([NewTopic(name, partitions, 1, topic_configs=bounds) for name in (topics.records,)])
    admin.close()
    return topics


def read_all(kafka: Kafka, topic: str) -> list[tuple[BatchHeader, bytes]]:
    """All batches that lie in a topic now, partition after partition."""
    consumer = KafkaConsumer(bootstrap_servers=kafka.bootstrap, enable_auto_commit=False, max_partition_fetch_bytes=16 * 1024**2)
    found: list[tuple[BatchHeader, bytes]] = []
    try:
        partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
        for partition, end in consumer.end_offsets(partitions).items():
            consumer.assign([partition])
            consumer.seek_to_beginning(partition)
            while (consumer.position(partition) or 0) < end:
                for messages in consumer.poll(1000).values():
                    found += [(decode(message.headers), message.value) for message in messages]
    finally:
        consumer.close()
    return found


def requests(kafka: Kafka, topic: str) -> list[tuple[int, bool]]:
    """What lies in a topic of one partition as the broker keeps it: bytes of each group of messages, and whether it is packed.

    A group begins with its offset (8 bytes) and the bytes behind that (4); the codec is in the lowest three bits of two bytes at
    21 (Kafka protocol guide, record batch).
    """
    found: list[tuple[int, bool]] = []
    for path in sorted((kafka.folder / "data" / f"{topic}-0").glob("*.log")):
        data = path.read_bytes()
        at = 0
        while at < len(data):
            size = 12 + int.from_bytes(data[at + 8 : at + 12], "big")
            found.append((size, data[at + 22] & 7 != 0))
            at += size
    return found


def taken(log: list[tuple[BatchHeader, bytes]]) -> list[tuple[BatchHeader, bytes]]:
    """What a consumer makes of a log: repeats dropped. Raises AssertionError where a batch comes before one that precedes it."""
    highest: dict[Run, int] = {}
    kept: list[tuple[BatchHeader, bytes]] = []
    for header, data in log:
        expected = highest.get(header.run, -1) + 1
        if header.sequence < expected:
            continue
        assert header.sequence == expected, f"{header.sequence} came before {expected}"
        highest[header.run] = header.sequence
        kept.append((header, data))
    return kept
