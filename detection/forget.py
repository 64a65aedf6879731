"""What workers on Kafka remember of a site, thrown away: for what no version can read any more.

Whoever takes the site up then begins with what lies in the topic from there on, and learns anew what is normal.
"""

# kafka-python ships no types for its clients.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError
from kafka.structs import TopicPartition

from detection.changelog import CHUNK_BYTES, INDEX, PARTITION, SITE, SITES_MET, changelog_of, group_of, shares_changelog_of
from detection.parcels import SHARE, TELLER
from detection.quix import CHANGELOG_CF_MESSAGE_HEADER
from sensor import kafka_reading
from sensor.kafka_client import KafkaUnusable, NoSuchTopic, arguments, meaning, probe

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

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
    changelog, of_shares = changelog_of(settings.prefix), shares_changelog_of(settings.prefix)
    probe(settings, [changelog])
    name = site.encode()
    # Versions before kept a site under its bare name.
    owners = {SITE + name, *([] if name.startswith(SITE) or name == PARTITION else [name])}
    try:
        _refuse_workers(settings)
        removed = _remove(settings, changelog, owners)
        # What was on its way to shares is none of theirs any more: a site that begins anew is split anew.
        return removed + (_remove(settings, of_shares, {SHARE + name, TELLER + name}) if _is_there(settings, of_shares) else 0)
    except KafkaError as error:
        raise meaning(settings, [error]) from error


def _is_there(settings: KafkaSettings, topic: str) -> bool:
    """Whether there is a topic: the first worker that knows of shares makes that of what is remembered of them."""
    try:
        probe(settings, [topic])
    except NoSuchTopic:
        return False
    return True


def _remove(settings: KafkaSettings, changelog: str, owners: AbstractSet[bytes]) -> int:
    """Remove all that is remembered under these prefixes; how many parts there were. Raises KafkaError, KafkaUnusable."""
    held = _held(settings, changelog, owners)
    parts = [each for each in held if each.owner in owners]
    indexes = [each for each in held if each.is_index]
    last = [each for each in parts if each.is_index]
    left = {each.partition: 0 for each in last} | Counter(each.partition for each in indexes if each.owner not in owners)
    room = [(each, str(left[each.partition]).encode()) for each in held if each.is_room and each.partition in left]
    producer: Any = KafkaProducer(**arguments(settings), acks="all")
    try:
        _send(settings, producer, changelog, [(each, None) for each in parts if not each.is_index])
        # A site is there as long as its index is: who is ended before this does all of it again.
        _send(settings, producer, changelog, [*room, *((each, None) for each in last)])
    finally:
        producer.close()
    return len(parts)


def _send(settings: KafkaSettings, producer: Any, changelog: str, changes: Iterable[tuple[_Part, bytes | None]]) -> None:
    # Without the place of a record each worker applies it, wherever it is.
    headers = [(CHANGELOG_CF_MESSAGE_HEADER, b"default")]
    sent = [producer.send(changelog, value, each.key, partition=each.partition, headers=headers) for each, value in changes]
    for each in sent:
        each.get(settings.delivery_timeout_seconds)


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


def _held(settings: KafkaSettings, changelog: str, owners: AbstractSet[bytes]) -> list[_Part]:
    """What is remembered under these prefixes, all indexes, and the counts of sites. Raises KafkaError, KafkaUnusable."""
    consumer = kafka_reading.consumer(
        settings, group_id=None, isolation_level="read_committed", max_partition_fetch_bytes=2 * CHUNK_BYTES
    )
    try:
        places = [TopicPartition(changelog, partition) for partition in sorted(consumer.partitions_for_topic(changelog) or ())]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        ends = consumer.end_offsets(places)
        held: set[_Part] = set()
        until = time.monotonic() + READ_SECONDS
        while any(consumer.position(place) < ends[place] for place in places):
            found = consumer.poll(timeout_ms=POLL_MILLISECONDS)
            if found:
                until = time.monotonic() + READ_SECONDS
            elif time.monotonic() > until:
                raise KafkaUnusable(f"topic {changelog}: cannot be read to its end: is Kafka well?", is_lasting=False)
            for messages in found.values():
                for message in messages:
                    part = _Part(message.partition, message.key or b"")
                    if message.value is None:
                        held.discard(part)
                    elif part.owner in owners or part.is_index or part.is_room:
                        held.add(part)
        return sorted(held, key=lambda part: (part.partition, part.key))
    finally:
        consumer.close(autocommit=False)


@dataclass(frozen=True, slots=True)
class _Part:
    """Where a value of the store of a partition lies."""

    partition: int
    key: bytes

    @property
    def owner(self) -> bytes:
        """Whose it is."""
        return self.key.rpartition(b"|")[0]

    @property
    def name(self) -> str:
        """What it is called there; Quix writes texts as JSON."""
        return self.key.rpartition(b"|")[2].decode(errors="replace").strip('"')

    @property
    def is_room(self) -> bool:
        """Whether it is how many sites a partition has."""
        return self.owner == PARTITION and self.name == SITES_MET

    @property
    def is_index(self) -> bool:
        """Whether it is what says that there is anything."""
        return self.name == INDEX
