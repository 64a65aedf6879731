"""How far workers have read, told to brokers again where these have forgotten it.

Brokers forget the places of a group that nobody was a member of for `offsets.retention.minutes` (7 days by default). What is
remembered of the sites is for ever, and says with each change how far the records were read by then: without the places it would
be passed over as if it had never been committed.
"""

# kafka-python ships no types for its consumer.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

from kafka.errors import CommitFailedError, KafkaError
from kafka.structs import OffsetAndMetadata, TopicPartition

from detection.changelog import CHUNK_BYTES, group_of
from detection.quix import CHANGELOG_PROCESSED_OFFSETS_MESSAGE_HEADER
from sensor import kafka_reading
from sensor.kafka_client import KafkaUnusable, NoSuchTopic, meaning, probe

if TYPE_CHECKING:
    from sensor.kafka_settings import KafkaSettings

POLL_MILLISECONDS: Final = 200

READ_SECONDS: Final = 60.0
"""How long nothing may come of what is to be read."""


def restore(settings: KafkaSettings, topic: str, changelog: str) -> dict[int, int]:
    """Commit how far a topic was read, by what is remembered, where brokers know nothing of it.

    Args:
        settings: how Kafka is reached.
        topic: the topic.
        changelog: the topic of what is remembered of it.

    Returns:
        The next place of each partition for which that was done.

    Raises:
        KafkaUnusable: Kafka cannot be used, or another worker has begun meanwhile.
    """
    try:
        probe(settings, [changelog])
    except NoSuchTopic:
        return {}
    consumer = kafka_reading.consumer(
        settings, group_id=group_of(settings.prefix), isolation_level="read_committed",
        max_partition_fetch_bytes=2 * CHUNK_BYTES,
    )  # fmt: skip
    try:
        found: dict[int, int] = {}
        for partition in sorted(consumer.partitions_for_topic(topic) or ()):
            if consumer.committed(TopicPartition(topic, partition)) is None:
                offset = _next(consumer, TopicPartition(changelog, partition), topic)
                found |= {} if offset is None else {partition: offset}
        if found:
            consumer.commit(
                {TopicPartition(topic, partition): OffsetAndMetadata(each, "", -1) for partition, each in found.items()}
            )
    except CommitFailedError as error:
        group = group_of(settings.prefix)
        raise KafkaUnusable(f"group {group}: another worker began just now: start this one again", is_lasting=False) from error
    except KafkaError as error:
        raise meaning(settings, [error]) from error
    finally:
        consumer.close(autocommit=False)
    return found


def _next(consumer: Any, changelog: TopicPartition, topic: str) -> int | None:
    """The place behind the last message that counts in what is remembered; None where nothing is.

    Raises KafkaError, KafkaUnusable.
    """
    consumer.assign([changelog])
    consumer.seek_to_beginning(changelog)
    end = consumer.end_offsets([changelog])[changelog]
    latest: int | None = None
    until = time.monotonic() + READ_SECONDS
    while consumer.position(changelog) < end:
        messages = consumer.poll(timeout_ms=POLL_MILLISECONDS).get(changelog, ())
        if messages:
            until = time.monotonic() + READ_SECONDS
        elif time.monotonic() > until:
            raise KafkaUnusable(f"topic {changelog.topic}: cannot be read to its end: is Kafka well?", is_lasting=False)
        for message in messages:
            said = dict(message.headers).get(CHANGELOG_PROCESSED_OFFSETS_MESSAGE_HEADER)
            places: dict[str, int] = json.loads(said) if said else {}
            if topic in places:
                latest = max(-1 if latest is None else latest, places[topic])
    return None if latest is None else latest + 1
