"""Dead letters in a topic: what one of several collectors cannot store is found by all.

key      name of the letter
value    the batch's bytes, the first of them where they do not fit; nothing where the letter has been let go of
headers  `reason`, and the batch's own (`sensor.kafka_message`) where it is known
"""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any, Final

from kafka import errors

from collector.dead_letters import DeadLetter, name_of
from collector.stream import StreamError
from collector.stream.kafka import KafkaStream
from sensor.configuration import ConfigurationError
from sensor.kafka_client import KafkaUnusable, meaning
from sensor.kafka_message import Message, MessageError, decode, encode
from sensor.kafka_producer import FRAME_BYTES, MessageTooLarge, OrderedProducer
from sensor.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from sensor.kafka_settings import KafkaSettings
    from sensor.spool_format import BatchHeader

REASON: Final = "reason"
"""Name of the header that says why."""

IN_FLIGHT_BYTES: Final = 16 * 1024 * 1024

REASON_BYTES: Final = 1_000
"""Most bytes of a reason."""

CUT_BYTES: Final = 64 * 1024
"""So many bytes are kept of a batch that does not fit into a message."""


class LetterTopic:
    """Dead letters of a system as `collector.dead_letters.DeadLetters`. Used by one thread at a time."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._stream: Final = KafkaStream(settings, Topics(settings.prefix).dead_letters)
        self._producer: OrderedProducer | None = None

    def keep(self, reason: str, header: BatchHeader | None, data: bytes) -> str:
        """As `DeadLetters.keep`: whatever came can be kept, else it would come again for ever. Raises StreamError.

        A batch that fitted compressed may be too large here: then its first bytes are kept, and the reason says how many there
        were and what they hash to.
        """
        name = name_of(header, data)
        told: list[tuple[str, bytes]] = []
        if header is not None:
            try:
                told = encode(header, b"").headers
            except MessageError as error:
                reason = f"{reason} ({error})"
        settings = self._stream.settings
        if len(data) > settings.largest_message_bytes - 2 * FRAME_BYTES:
            digest = hashlib.sha256(data).hexdigest()
            reason = f"only the first {CUT_BYTES:,} of its {len(data):,} bytes are kept (SHA-256 of all: {digest}): {reason}"
            data = data[:CUT_BYTES]
        self._send(Message(name.encode(), data, [(REASON, reason.encode(errors="replace")[:REASON_BYTES]), *told]))
        return name

    def settle(self) -> None:
        """As `DeadLetters.settle`, waiting once for all: a sensor may send thousands a second. Raises StreamError."""
        if self._producer is None:
            return
        seconds = self._stream.settings.delivery_timeout_seconds
        try:
            is_kept = self._producer.wait(seconds)
        except KafkaUnusable as error:
            raise self._failed(str(error)) from error
        if not is_kept:
            raise self._failed(f"acknowledges nothing for {seconds:.0f} s")

    def letters(self, names: Collection[str] | None = None) -> Iterator[DeadLetter]:
        """As `DeadLetters.letters`, in the order in which they came. Reads the topic twice: what was let go of is told last."""
        last = {record.key: record.offset for record in self._records()}
        for record in self._records():
            if record.key is None:
                # No letter: whatever it is, it cannot be named.
                continue
            name = record.key.decode(errors="replace")
            if record.value is None or last.get(record.key) != record.offset or not (names is None or name in names):
                continue
            try:
                header = decode(record.headers)
            except MessageError:
                header = None
            reason = dict(record.headers).get(REASON) or b""
            yield DeadLetter(name, reason.decode(errors="replace"), header, record.value)

    def remove(self, name: str) -> None:
        """As `DeadLetters.remove`. Raises StreamError."""
        self._send(Message(name.encode(), None, [(REASON, b"stored")]))
        self.settle()

    def close(self) -> None:
        """Let go of Kafka."""
        if self._producer is not None:
            self._producer.close()
            self._producer = None

    def _send(self, message: Message) -> None:
        settings = self._stream.settings
        try:
            if self._producer is None:
                self._producer = OrderedProducer(settings, "icsight-dead-letters", IN_FLIGHT_BYTES)
            is_sent = self._producer.send(self._stream.topic, message, settings.delivery_timeout_seconds)
        except (KafkaUnusable, ConfigurationError, MessageTooLarge) as error:
            raise self._failed(str(error)) from error
        if not is_sent:
            raise self._failed(f"acknowledges nothing for {settings.delivery_timeout_seconds:.0f} s")

    def _failed(self, reason: str) -> StreamError:
        """Let go of a producer that takes no more; whoever tries again gets another."""
        self.close()
        return StreamError(f"{self._stream.topic}: a dead letter cannot be kept: {reason}")

    def _records(self) -> Iterator[Any]:
        """All messages that are in the topic now, in the order of each partition. Raises StreamError."""
        client = self._stream.client()
        try:
            places, ends = self._stream.partitions(client), self._stream.ends(client)
            client.assign(places)
            client.seek_to_beginning(*places)
            until = time.monotonic() + self._stream.settings.delivery_timeout_seconds
            while any(client.position(place) < ends[place.partition] for place in places):
                if time.monotonic() > until:
                    raise StreamError(f"topic {self._stream.topic}: cannot be read to its end: is Kafka well?")
                for records in client.poll(timeout_ms=200).values():
                    yield from records
                    # Who is given them may take long: that is not Kafka's doing.
                    until = time.monotonic() + self._stream.settings.delivery_timeout_seconds
        except errors.KafkaError as error:
            raise StreamError(
                f"topic {self._stream.topic}: cannot be read ({meaning(self._stream.settings, [error])})"
            ) from error
        finally:
            client.close(autocommit=False)
