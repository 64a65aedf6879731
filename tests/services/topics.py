"""Topics for tests that need one and no more."""

# kafka-python leaves its results untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from kafka.admin import KafkaAdminClient, NewTopic
from kafka.record.default_records import DefaultRecordBatchBuilder

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.services.kafka import Kafka


def make_topic(server: Kafka, name: str, partitions: int = 1) -> None:
    """A topic that keeps everything and takes batches of any size that the product makes."""
    admin: Any = KafkaAdminClient(bootstrap_servers=server.bootstrap)
    try:
        configs = {"retention.ms": "-1", "max.message.bytes": str(9 * 1024**2)}
        admin.create_topics([NewTopic(name, partitions, 1, topic_configs=configs)], wait_for_metadata=True)
    finally:
        admin.close()


@contextmanager
def elsewhere(number: int, delta: int) -> Generator[None]:
    """What is sent meanwhile: message `number` of each group says that it lies so far behind the group's first."""
    append: Any = DefaultRecordBatchBuilder.append

    def strange(self: Any, offset: int, *rest: Any, **named: Any) -> Any:
        told = append(self, delta if offset == number else offset, *rest, **named)
        # Brokers look at the last place of a group, and at no other.
        self._last_offset = offset
        return told

    with patch.object(DefaultRecordBatchBuilder, "append", strange):
        yield


class Unreadable(str):
    """The name of a header that is no UTF-8, whatever it is as text: what no client sends, and brokers take."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """The bytes that are sent."""
        del encoding, errors
        return b"\xff\xfe name"
