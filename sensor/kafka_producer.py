"""Messages to Kafka in the order they were given, with a bound on what is under way.

Consumers drop what a run has had by its highest sequence, so that a batch must never come to the log before the one that was sent
before it. The library's idempotent producer keeps that order as long as nothing fails for good, and promises nothing for what is
behind a message that did (an outage longer than the delivery timeout, a producer state that the broker has lost). So with the
first failure, told in the library's own sending thread, nothing is sent any more, and whoever sends starts over with another
producer from what was acknowledged. What then comes twice is dropped by its sequence.

The library has no bound on the bytes it takes in; this one has.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, cast

from kafka import KafkaProducer, errors

from sensor import kafka_packing
from sensor.kafka_client import arguments, meaning

if TYPE_CHECKING:
    from sensor.kafka_message import Message
    from sensor.kafka_settings import KafkaSettings

GROUP_BYTES: Final = 1024 * 1024
"""Small messages that wait together go to the broker in one piece of up to so many bytes."""

GROUP_MILLISECONDS: Final = 10
"""So long the first of them waits for others: the batches of a cut come one right behind the other, and are packed together."""

FRAME_BYTES: Final = 64 * 1024
"""Room for what frames a message, under the largest that is taken."""

ABANDON_SECONDS: Final = 5.0
"""How long the end of an abandoned producer's thread is waited for; it sends nothing in that time."""


class MessageTooLarge(ValueError):  # noqa: N818 - named for what it reports
    """A message is larger than the settings let pass. Nothing of it was sent."""


class _Sent:
    """A message under way."""

    __slots__ = ("is_done", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.is_done = False


class OrderedProducer:
    """Sends messages of one thread in order. It fails once and for all: then make another.

    Args:
        settings: how Kafka is reached.
        client: what it is called in the broker's logs and quotas.
        in_flight_bytes: most bytes of messages that have been given and not acknowledged; a single larger message goes alone.

    Raises:
        KafkaUnusable: no broker could be reached in `connect_seconds`, or the settings cannot be used.
    """

    def __init__(self, settings: KafkaSettings, client: str, in_flight_bytes: int) -> None:
        self.sent = 0
        """Messages given."""
        self.acknowledged = 0
        """Of them, how many from the first on the brokers have, all of them and durably."""
        self.in_flight_bytes = 0
        """Bytes of messages that have been given and not acknowledged."""
        self._settings: Final = settings
        self._limit: Final = in_flight_bytes
        self._pending: Final[deque[_Sent]] = deque()
        self._turn: Final = threading.Condition()
        self._failure: BaseException | None = None
        self._largest: Final = settings.largest_message_bytes - FRAME_BYTES
        delivery = settings.delivery_timeout_seconds
        options: dict[str, Any] = {
            **arguments(settings),
            "client_id": client,
            "acks": "all",
            "enable_idempotence": True,
            # One request at a time: what is behind a failed one has not left yet.
            "max_in_flight_requests_per_connection": 1,
            "batch_size": GROUP_BYTES,
            "linger_ms": GROUP_MILLISECONDS,
            "compression_type": kafka_packing.KIND,
            "max_request_size": settings.largest_message_bytes,
            "delivery_timeout_ms": int(delivery * 1000),
            "request_timeout_ms": int(min(30.0, delivery / 2) * 1000),
            "max_block_ms": int(settings.connect_seconds * 1000),
            "allow_auto_create_topics": False,
            "metrics_enabled": False,
        }
        kafka_packing.use()
        try:
            self._producer: Final[Any] = KafkaProducer(**options)
        except errors.KafkaError as error:
            raise meaning(settings, [error]) from error

    def send(self, topic: str, message: Message, timeout_seconds: float) -> bool:
        """Give a message; False where there was no room for it within `timeout_seconds`, and nothing was done.

        Raises:
            MessageTooLarge: it can never be sent.
            KafkaUnusable: this producer has failed.
        """
        size = message.size
        if size > self._largest:
            raise MessageTooLarge(f"a message of {size} bytes is larger than kafka.largest_message_bytes lets pass")
        until = time.monotonic() + timeout_seconds
        with self._turn:
            while self._failure is None and self.in_flight_bytes and self.in_flight_bytes + size > self._limit:
                if not self._turn.wait(until - time.monotonic()):
                    return False
        self._check()
        entry = _Sent(size)
        with self._turn:
            self.sent += 1
            self.in_flight_bytes += size
            self._pending.append(entry)
        try:
            future: Any = self._producer.send(topic, message.value, key=message.key, headers=message.headers)
        except (errors.KafkaError, ValueError) as error:
            # The library refuses an unknown topic, and one that it lost sight of, with errors of both kinds.
            self._fail(error)
        else:
            future.add_callback(self._arrived, entry)
            future.add_errback(self._fail)
        self._check()
        return True

    def wait(self, timeout_seconds: float) -> bool:
        """Wait until all that was given is acknowledged; whether it is. Raises KafkaUnusable where this producer has failed."""
        until = time.monotonic() + timeout_seconds
        with self._turn:
            while self._failure is None and self._pending:
                left = until - time.monotonic()
                if left <= 0:
                    return False
                self._turn.wait(left)
        self._check()
        return True

    def check(self) -> None:
        """Raises KafkaUnusable where this producer has failed."""
        self._check()

    def close(self) -> None:
        """Let go of it. What is not acknowledged is given up; `wait` first."""
        with self._turn:
            if self._failure is None:
                self._failure = errors.IllegalStateError("the producer has been closed")
        self._stop_sending()
        sender = cast("threading.Thread", self._producer._sender)  # noqa: SLF001 - see _stop_sending
        if sender is not threading.current_thread():
            sender.join(ABANDON_SECONDS)
        if not sender.is_alive():
            self._producer.close(timeout=0)

    # In the library's thread

    def _arrived(self, entry: _Sent, metadata: object) -> None:
        del metadata
        with self._turn:
            entry.is_done = True
            while self._pending and self._pending[0].is_done:
                self.in_flight_bytes -= self._pending.popleft().size
                self.acknowledged += 1
            self._turn.notify_all()

    def _fail(self, error: BaseException) -> None:
        with self._turn:
            if self._failure is None:
                self._failure = error
            self._turn.notify_all()
        self._stop_sending()

    def _stop_sending(self) -> None:
        """Send nothing any more, from this moment on.

        `KafkaProducer.close(timeout=0)` is meant for this, but in 3.0 it flushes first, and raises before it has stopped.
        """
        self._producer._sender.force_close()  # noqa: SLF001

    def _check(self) -> None:
        if self._failure is not None:
            raise meaning(self._settings, [self._failure])
