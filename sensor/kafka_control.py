"""What is asked of a sensor, over Kafka: a topic for each sensor, in which only it reads, and always from its own side.

Records of table `control` (`sensor.control_records`) are put into the topic whether the sensor is there or not. The sensor polls
it and puts what comes into the spool that `sensor.control` follows; how far it has come is kept beside that spool. A record that
comes twice asks for what has been done already.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from typing import TYPE_CHECKING, Any, Final

from kafka import errors
from kafka.structs import TopicPartition

from sensor import kafka_reading
from sensor.control import CONTROL, OUTBOX
from sensor.control_records import SENSOR, SETTINGS, encode, rows_of
from sensor.kafka_client import KafkaUnusable, meaning, probe, shown
from sensor.kafka_message import MessageError, decode
from sensor.kafka_message import encode as message_of
from sensor.kafka_producer import OrderedProducer
from sensor.persistence import Persistence
from sensor.recorder import MIB
from sensor.spool import Spool, SpoolSettings
from sensor.spool_files import replace_file
from sensor.spool_format import BatchHeader
from sensor.topics import Topics, plain

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

    from sensor.kafka_settings import KafkaSettings

POLL_SECONDS: Final = 1.0
"""How long is waited for records before looking whether to stop."""

RETRY_SECONDS: Final = 10.0
"""How long to wait before trying again to reach the topic."""

ASK_SECONDS: Final = 10.0
"""After so long without a message the brokers are asked for something: that they are gone looks like that there is nothing."""

RECORD_BYTES: Final = MIB
"""Most bytes of a batch of control records; a larger one is passed over."""

SPOOLED: Final = SpoolSettings(segment_bytes=MIB, quota_bytes=16 * MIB, retention_bytes=2 * MIB)
"""How what is asked waits on the sensor. When it is full nothing more is taken from the topic, where it then waits."""


def send(kafka: KafkaSettings, sensor: str, kind: str, content: str) -> None:
    """Put a record into the topic of a sensor, whether that is there or not; durable on return. Raises KafkaUnusable."""
    with contextlib.closing(ControlSender(kafka)) as sender:
        sender.send(sensor, kind, content)


class ControlSender:
    """Asks sensors for things, for as long as it is open. Used by one thread.

    Args:
        kafka: how Kafka is reached.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka: Final = kafka
        self._topics: Final = Topics(kafka.prefix)
        self._known: Final[set[str]] = set()
        self._producer: OrderedProducer | None = None

    def send(self, sensor: str, kind: str, content: str) -> None:
        """Put a record into the topic of a sensor, whether that is there or not; durable on return. Raises KafkaUnusable."""
        topic = self._topics.control(sensor)
        if topic not in self._known:
            probe(self._kafka, [topic])
        header = BatchHeader(SENSOR, secrets.token_hex(16), 0, "control", 1)
        message, seconds = message_of(header, encode(time.time_ns(), kind, content)), self._kafka.connect_seconds
        is_taken = False
        try:
            if self._producer is None:
                self._producer = OrderedProducer(self._kafka, "icsight-control", MIB)
            is_taken = self._producer.send(topic, message, seconds) and self._producer.wait(seconds)
        finally:
            if not is_taken:
                self.close()
        if not is_taken:
            raise KafkaUnusable(f"{self._kafka.bootstrap}: the brokers did not take the request: try again", is_lasting=False)
        self._known.add(topic)

    def close(self) -> None:
        """Let go of Kafka; the next request takes it up again."""
        self._known.clear()
        if self._producer is not None:
            self._producer.close()
            self._producer = None


class ControlPoller:
    """Brings what is asked of a sensor from its topic into its data folder.

    Args:
        data: the data folder.
        kafka: how Kafka is reached.
        sensor: name of the sensor.
        say: is called with one line when the topic cannot be read, and for each record that is passed over.
        set_: is called with the content of each record of settings.
    """

    def __init__(
        self, data: Path, kafka: KafkaSettings, sensor: str, say: Callable[[str], None] = lambda _: None,
        set_: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self.records = 0
        """Batches of records taken from the topic."""
        self.refused = 0
        """Messages that are no such batch."""
        self._data: Final = data
        self._kafka: Final = kafka
        self._topic: Final = Topics(kafka.prefix).control(sensor)
        self._client: Final = f"icsight-control-{plain(sensor)}"
        self._say: Final = say
        self._set: Final = set_
        self._persistence: Final = Persistence(say, RETRY_SECONDS)
        self._taken = 0

    @property
    def offset(self) -> int:
        """Place in the topic before which all has been taken."""
        return self._position()

    @property
    def waiting(self) -> int:
        """Batches of records that were taken and that the recorder has not followed yet."""
        return max(0, self._taken - self._followed())

    @property
    def trouble(self) -> str:
        """Why nothing can be brought, in one line; empty where it can."""
        return self._persistence.trouble

    def run(self, stop: threading.Event) -> None:
        """Bring until `stop` is set, whatever happens."""
        self._persistence.run(self._work, stop)

    def _work(self, stop: threading.Event) -> None:
        """Reach the topic and bring what is there. Raises KafkaUnusable, SpoolError, OSError."""
        probe(self._kafka, [self._topic])
        try:
            with Spool(self._data / CONTROL, sensor=SENSOR, settings=SPOOLED) as spool:
                self._bring(spool, stop)
        except errors.KafkaError as error:
            raise meaning(self._kafka, [error]) from error

    def _bring(self, spool: Spool, stop: threading.Event) -> None:
        """Take what comes, until the certificate is replaced or `stop` is set. Raises KafkaError, SpoolError, OSError."""
        # Before it is read: one that is replaced meanwhile is then seen.
        certificate = shown(self._kafka)
        consumer: Any = kafka_reading.consumer(
            self._kafka, client_id=self._client, group_id=None, auto_offset_reset="earliest", max_poll_records=100
        )
        partition = TopicPartition(self._topic, 0)
        try:
            consumer.assign([partition])
            consumer.seek(partition, self._position())
            ask_at = 0.0
            while not stop.is_set() and shown(self._kafka) == certificate:
                messages = consumer.poll(timeout_ms=int(POLL_SECONDS * 1000)).get(partition, ())
                for message in messages:
                    self._take(spool, message.headers, message.value)
                    self._keep(message.offset + 1)
                if messages or time.monotonic() >= ask_at:
                    if not messages:
                        consumer.end_offsets([partition], timeout_ms=int(self._kafka.connect_seconds * 1000))
                    ask_at = time.monotonic() + ASK_SECONDS
                    self._persistence.went_well()
                self._taken = spool.next_number
                spool.release(self._followed())
        finally:
            consumer.close()

    def _take(self, spool: Spool, headers: list[tuple[str, bytes | None]], value: bytes | None) -> None:
        """Put a message's records into the spool; they are on the disk on return. Raises SpoolError."""
        try:
            told = decode(headers)
        except MessageError as error:
            self._pass_over(str(error))
            return
        if told.table != "control" or not value or len(value) > RECORD_BYTES:
            self._pass_over(f"a message of {len(value or b'')} bytes of table {told.table} asks nothing of a sensor")
            return
        identity = spool.identity
        highest = spool.highest(SENSOR, identity.epoch)
        sequence = 0 if highest is None else highest + 1
        spool.append(BatchHeader(SENSOR, identity.epoch, sequence, "control", told.rows), value)
        spool.sync()
        self.records += 1
        try:
            for row in rows_of(value):
                if row["kind"] == SETTINGS:
                    self._set(str(row["content"]))
        except ValueError as error:
            self._pass_over(str(error))

    def _pass_over(self, reason: str) -> None:
        self.refused += 1
        self._say(f"{self._topic}: {reason}")

    # Where it stands

    def _position(self) -> int:
        """Offset of the next message; the beginning where it is not known, or is that of another topic."""
        try:
            content = json.loads((self._data / CONTROL / "kafka.json").read_bytes())
            return int(content["offset"]) if content["topic"] == self._topic else 0
        except (OSError, ValueError, KeyError, TypeError):
            return 0

    def _keep(self, offset: int) -> None:
        content = json.dumps({"topic": self._topic, "offset": offset})
        replace_file(self._data / CONTROL / "kafka.json", content.encode())

    def _followed(self) -> int:
        """Number before which the sensor has followed all that was asked."""
        try:
            return int(json.loads((self._data / OUTBOX / "position.json").read_bytes())["number"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0
