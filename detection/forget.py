"""What workers on Kafka remember of a site, thrown away: for what no version can read any more.

Whoever takes the site up then begins with what lies in the topic from there on, and learns anew what is normal.
"""

# kafka-python ships no types for its clients.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError
from kafka.structs import TopicPartition

from detection.changelog import CHUNK_BYTES, SITE, changelog_of, group_of
from detection.quix import CHANGELOG_CF_MESSAGE_HEADER
from sensor.kafka_client import KafkaUnusable, arguments, meaning, probe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensor.kafka_settings import KafkaSettings

POLL_MILLISECONDS: Final = 200

READ_SECONDS: Final = 60.0
"""How long nothing may come of what is to be read."""


def forget(settings: KafkaSettings, site: str) -> int:
    """Remove all that is remembered of a site; durable on return.

    Args:
        settings: how Kafka is reached.
        site: key of its messages: its name, or its sensor's where it has none.

    Returns:
        How many parts there were.

    Raises:
        KafkaUnusable: Kafka cannot be used, or workers run, which have it in their own copies.
    """
    changelog = changelog_of(settings.prefix)
    probe(settings, [changelog])
    try:
        _refuse_workers(settings)
        parts = list(_parts(settings, changelog, site.encode()))
        producer: Any = KafkaProducer(**arguments(settings), acks="all")
        try:
            # Without the place of a record each worker applies it, wherever it is.
            headers = [(CHANGELOG_CF_MESSAGE_HEADER, b"default")]
            sent = [producer.send(changelog, key=key, partition=partition, headers=headers) for partition, key in parts]
            for each in sent:
                each.get(settings.delivery_timeout_seconds)
        finally:
            producer.close()
    except KafkaError as error:
        raise meaning(settings, [error]) from error
    return len(parts)


def _refuse_workers(settings: KafkaSettings) -> None:
    """Raises KafkaError; KafkaUnusable where workers run."""
    group = group_of(settings.prefix)
    admin: Any = KafkaAdminClient(**arguments(settings))
    try:
        found = admin.describe_groups([group])
    finally:
        admin.close()
    if any(each["members"] for each in found.values()):
        raise KafkaUnusable(f"group {group}: workers run: stop them all, and try again after a quarter of a minute")


def _parts(settings: KafkaSettings, changelog: str, site: bytes) -> Iterator[tuple[int, bytes]]:
    """Partition and key of all that is remembered of a site. Raises KafkaError, KafkaUnusable."""
    consumer: Any = KafkaConsumer(
        **arguments(settings), group_id=None, enable_auto_commit=False, isolation_level="read_committed",
        max_partition_fetch_bytes=2 * CHUNK_BYTES, metrics_enabled=False,
    )  # fmt: skip
    # Versions before kept a site under its bare name.
    owners = {SITE + site, *([] if site.startswith(SITE) else [site])}
    try:
        places = [TopicPartition(changelog, partition) for partition in sorted(consumer.partitions_for_topic(changelog) or ())]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        ends = consumer.end_offsets(places)
        held: dict[tuple[int, bytes], bool] = {}
        until = time.monotonic() + READ_SECONDS
        while any(consumer.position(place) < ends[place] for place in places):
            found = consumer.poll(timeout_ms=POLL_MILLISECONDS)
            if found:
                until = time.monotonic() + READ_SECONDS
            elif time.monotonic() > until:
                raise KafkaUnusable(f"topic {changelog}: cannot be read to its end: is Kafka well?", is_lasting=False)
            for messages in found.values():
                for message in messages:
                    if message.key and message.key.rpartition(b"|")[0] in owners:
                        held[message.partition, message.key] = message.value is not None
        yield from (each for each, is_held in held.items() if is_held)
    finally:
        consumer.close(autocommit=False)
