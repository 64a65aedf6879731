"""How far the workers of detection on Kafka are, asked of their group from outside."""

# kafka-python ships no types for its clients.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kafka import errors
from kafka.admin import KafkaAdminClient
from kafka.structs import TopicPartition

from detection.changelog import group_of
from sensor import kafka_reading
from sensor.kafka_client import KafkaUnusable, arguments, meaning, probe
from sensor.topics import Topics

if TYPE_CHECKING:
    from sensor.kafka_settings import KafkaSettings


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the workers are.

    Attributes:
        committed: offset before which all is done, by partition; a partition of which nothing is done is left out.
        workers: name of the worker that has a partition now.
    """

    committed: dict[int, int]
    workers: dict[int, str]


def standing(settings: KafkaSettings) -> Standing:
    """Ask how far the workers are. Raises KafkaUnusable, ConfigurationError."""
    topic, group = Topics(settings.prefix).records, group_of(settings.prefix)
    count = probe(settings, [topic])[topic]
    try:
        admin: Any = KafkaAdminClient(**arguments(settings))
        with admin:
            described = admin.describe_groups([group])[group]
        consumer = kafka_reading.consumer(settings, group_id=group)
        try:
            told = {number: consumer.committed(TopicPartition(topic, number)) for number in range(count)}
        finally:
            consumer.close(autocommit=False)
    except errors.KafkaError as error:
        raise KafkaUnusable(f"group {group}: {meaning(settings, [error])}") from error
    workers: dict[int, str] = {}
    for member in described.get("members", ()):
        name = str(member.get("group_instance_id") or member.get("client_id") or "").removeprefix(f"{group}-")
        for assigned in (member.get("member_assignment") or {}).get("assigned_partitions", ()):
            if assigned.get("topic") == topic:
                workers |= {int(number): name for number in assigned["partitions"]}
    return Standing({number: int(offset) for number, offset in told.items() if offset is not None}, workers)
