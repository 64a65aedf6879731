"""Answers to requests for evidence, from the outbox of a sensor's data folder to Kafka."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from sensor.control import OUTBOX
from sensor.evidence_message import PARTS, chunks
from sensor.kafka_client import probe
from sensor.kafka_producer import OrderedProducer
from sensor.packets import MIB
from sensor.persistence import Persistence
from sensor.topics import Topics, plain

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

    from sensor.kafka_settings import KafkaSettings

LOOK_SECONDS: Final = 1.0
"""How often the outbox is looked at."""

RETRY_SECONDS: Final = 10.0
"""How long to wait before trying again to reach Kafka."""

IN_FLIGHT_BYTES: Final = 2 * MIB
"""Most bytes of evidence under way: it shares the link with records."""


class EvidenceUplink:
    """Takes answers away to Kafka, and from the outbox once the brokers have all of them.

    Args:
        data: the data folder.
        kafka: how Kafka is reached.
        sensor: name of the sensor.
        say: is called with one line when they cannot be taken away.
    """

    def __init__(self, data: Path, kafka: KafkaSettings, sensor: str, say: Callable[[str], None] = lambda _: None) -> None:
        self.answers = 0
        """Answers taken away."""
        self._outbox: Final = data / OUTBOX
        self._kafka: Final = kafka
        self._sensor: Final = sensor
        self._topic: Final = Topics(kafka.prefix).evidence
        self._persistence: Final = Persistence(say, RETRY_SECONDS)

    @property
    def trouble(self) -> str:
        """Why answers cannot be taken away, in one line; empty where they can, or there are none."""
        return self._persistence.trouble

    def run(self, stop: threading.Event) -> None:
        """Take answers away until `stop` is set, whatever happens."""
        self._persistence.run(self._look, stop)

    def _look(self, stop: threading.Event) -> None:
        """Wait a little and take away what is there. Raises KafkaUnusable, MessageError, OSError."""
        if stop.wait(LOOK_SECONDS):
            return
        waiting = sorted(self._outbox.glob("*.answer"))
        if waiting:
            self._take_away(waiting, stop)
        self._persistence.went_well()

    def _take_away(self, waiting: list[Path], stop: threading.Event) -> None:
        """Send answers. Raises KafkaUnusable, MessageError, OSError; what has been sent whole is then out of the outbox."""
        probe(self._kafka, [self._topic])
        producer = OrderedProducer(self._kafka, f"icsight-evidence-{plain(self._sensor)}", IN_FLIGHT_BYTES)
        try:
            for answer in waiting:
                if not self._send(producer, answer, stop):
                    return
                self.answers += 1
        finally:
            producer.close()

    def _send(self, producer: OrderedProducer, answer: Path, stop: threading.Event) -> bool:
        """Send one answer whole; False where `stop` came before."""
        for part in PARTS:
            path = answer.with_suffix(f".{part}")
            if not path.exists():
                continue
            for message in chunks(answer.stem, self._sensor, part, path.read_bytes()):
                while not producer.send(self._topic, message, LOOK_SECONDS):
                    if stop.is_set():
                        return False
        while not producer.wait(LOOK_SECONDS):
            if stop.is_set():
                return False
        # The answer last: with it there, all of it is there, and it is sent again after a kill at this place.
        for part in PARTS:
            with contextlib.suppress(FileNotFoundError):
                answer.with_suffix(f".{part}").unlink()
        return True
