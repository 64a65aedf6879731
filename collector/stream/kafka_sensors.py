"""What a sensor needs on a Kafka cluster, and taking it away: `icsight kafka sensor add|revoke`.

A sensor may write records and evidence and read what is asked of it, and nothing else. Its principal is the common name of its
certificate, which its topic's name has, too.
"""

# kafka-python leaves its results untyped.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kafka import errors
from kafka.admin import (
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    KafkaAdminClient,
    ResourcePatternFilter,
    ResourceType,
)

from collector.stream.kafka_topics import Declared, Right, Topic
from sensor.kafka_client import KafkaUnusable, arguments, probe
from sensor.topics import Topics, plain

if TYPE_CHECKING:
    from sensor.kafka_settings import KafkaSettings

WAITING_MS: Final = 30 * 24 * 60 * 60 * 1000
"""How long what is asked of a sensor waits for it, milliseconds."""


def needs(prefix: str, sensor: str, replication: int) -> Declared:
    """The topic and the rights of a sensor."""
    topics, principal = Topics(prefix), plain(sensor)
    configs = {
        "retention.ms": str(WAITING_MS),
        "message.timestamp.type": "LogAppendTime",
        "min.insync.replicas": str(min(2, replication)),
    }
    rights = [
        Right(principal, "topic", name, operation)
        for name, does in ((topics.records, "write"), (topics.evidence, "write"), (topics.control(sensor), "read"))
        for operation in (does, "describe")
    ]
    return Declared([Topic(topics.control(sensor), 1, replication, configs)], rights)


def revoke(settings: KafkaSettings, sensor: str) -> int:
    """Take all rights of a sensor's principal away; returns how many it had. Its topic stays. Raises KafkaUnusable.

    Brokers refuse it from then on, whatever certificate it shows; what it has not shipped stays in its spool.
    """
    probe(settings)
    everything = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
    rules = ACLFilter(f"User:{plain(sensor)}", None, ACLOperation.ANY, ACLPermissionType.ALLOW, everything)
    admin: Any = KafkaAdminClient(**arguments(settings))
    try:
        given, error = admin.describe_acls(rules)
        if error is not errors.NoError:
            raise KafkaUnusable(f"{settings.bootstrap}: {error.__name__}")
        if given:
            admin.delete_acls([rules])
    except errors.KafkaError as error:
        raise KafkaUnusable(f"{settings.bootstrap}: {type(error).__name__}: {error}") from error
    finally:
        admin.close()
    return len(given)
