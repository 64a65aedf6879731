"""What a sensor needs on a Kafka cluster, and taking it away.

A sensor may write records, evidence and how it is, and read what is asked of it, and nothing else. Its principal is the common
name of its certificate. A certificate cannot be called back from brokers, so that a sensor that is let in again after it was
revoked has another principal, of the next generation: what the old certificates name stays without rights.
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

from collector.stream.kafka_topics import DeclarationError, Declared, Right, Topic, services
from sensor.kafka_client import KafkaUnusable, arguments, probe
from sensor.topics import Topics, principal_of

if TYPE_CHECKING:
    from sensor.kafka_settings import KafkaSettings

GENERATION_DIGITS: Final = 9
"""Most digits of a generation in a principal; what has more is none of ours."""

ADMINISTRATORS: Final = frozenset({"kafka", "icsight-admin"})
"""Principals that may do all on the brokers of `deploy/compose` and of the chart: none can be a sensor's."""

WAITING_MS: Final = 30 * 24 * 60 * 60 * 1000
"""How long what is asked of a sensor waits for it, milliseconds."""


def check_name(sensor: str) -> None:
    """Look whether a sensor may have a name. Raises KafkaUnusable where it would be taken for a service or an administrator."""
    try:
        is_taken = principal_of(sensor) in services() | ADMINISTRATORS
    except DeclarationError as error:
        raise KafkaUnusable(str(error)) from error
    if is_taken:
        raise KafkaUnusable(
            f"{sensor}: a service or an administrator of the brokers has this name (deploy/kafka/topics.toml): give another"
        )


def needs(prefix: str, sensor: str, replication: int, generation: int = 1) -> Declared:
    """The topic and the rights of a sensor. Raises KafkaUnusable where it may not have its name."""
    check_name(sensor)
    topics, principal = Topics(prefix), principal_of(sensor, generation)
    configs = {
        "retention.ms": str(WAITING_MS),
        "message.timestamp.type": "LogAppendTime",
        "min.insync.replicas": str(min(2, replication)),
    }
    rights = [
        Right(principal, "topic", name, operation)
        for name, does in (
            (topics.records, "write"),
            (topics.evidence, "write"),
            (topics.sensors, "write"),
            (topics.control(sensor), "read"),
        )
        for operation in (does, "describe")
    ]
    return Declared([Topic(topics.control(sensor), 1, replication, configs)], rights)


def revoke(settings: KafkaSettings, sensor: str) -> int:
    """Take all rights of a sensor's principals away; returns how many they had. Its topic stays. Raises KafkaUnusable.

    Brokers refuse it from then on, whatever certificate it shows; what it has not shipped stays in its spool.
    """
    check_name(sensor)
    probe(settings)
    everything = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
    admin: Any = KafkaAdminClient(**arguments(settings))
    try:
        given, error = admin.describe_acls(ACLFilter(None, None, ACLOperation.ANY, ACLPermissionType.ALLOW, everything))
        if error is not errors.NoError:
            raise KafkaUnusable(f"{settings.bootstrap}: {error.__name__}")
        own = [rule for rule in given if _is_of(rule.principal.removeprefix("User:"), sensor)]
        if own:
            answers = admin.delete_acls([
                ACLFilter(principal, None, ACLOperation.ANY, ACLPermissionType.ALLOW, everything)
                for principal in sorted({rule.principal for rule in own})
            ])  # fmt: skip
            for rule, _, error in answers:
                if error is not errors.NoError:
                    raise KafkaUnusable(
                        f"{settings.bootstrap}: the rights of {rule.principal} are not taken away: {error.__name__}"
                    )
    except errors.KafkaError as error:
        raise KafkaUnusable(f"{settings.bootstrap}: {type(error).__name__}: {error}") from error
    finally:
        admin.close()
    return len(own)


def _is_of(principal: str, sensor: str) -> bool:
    """Whether a principal is one of a sensor's, of any generation."""
    _, mark, generation = principal.rpartition("_g")
    if not mark or not generation.isdecimal() or len(generation) > GENERATION_DIGITS:
        return principal == principal_of(sensor)
    return principal == principal_of(sensor, int(generation))
