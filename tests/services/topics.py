"""Topics for tests that need one and no more."""

# kafka-python leaves its results untyped.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kafka.admin import KafkaAdminClient, NewTopic

if TYPE_CHECKING:
    from tests.services.kafka import Kafka


def make_topic(server: Kafka, name: str, partitions: int = 1) -> None:
    """A topic that keeps everything and takes batches of any size that the product makes."""
    admin: Any = KafkaAdminClient(bootstrap_servers=server.bootstrap)
    try:
        configs = {"retention.ms": "-1", "max.message.bytes": str(9 * 1024**2)}
        admin.create_topics([NewTopic(name, partitions, 1, topic_configs=configs)], wait_for_metadata=True)
    finally:
        admin.close()


class Unreadable(str):
    """The name of a header that is no UTF-8, whatever it is as text: what no client sends, and brokers take."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """The bytes that are sent."""
        del encoding, errors
        return b"\xff\xfe name"
