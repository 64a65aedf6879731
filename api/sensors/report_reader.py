"""Reads what sensors say of themselves from topic `<prefix>.sensors`, and asks how much waits in their control topics."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from kafka import errors
from kafka.structs import TopicPartition

from api.sensors.reports import Heard
from api.times import NANOSECONDS
from sensor import kafka_reading
from sensor.kafka_client import KafkaUnusable, meaning, probe
from sensor.self_report import SelfReport
from sensor.topics import Topics

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from api.sensors.reports import Reports
    from sensor.kafka_settings import KafkaSettings

POLL_SECONDS: Final = 1.0
"""How long is waited for reports before looking whether to stop."""

ASK_SECONDS: Final = 10.0
"""How often is asked how much waits for sensors."""

RETRY_SECONDS: Final = 10.0
"""How long to wait before trying again to reach the topic."""


class ReportReader:
    """Reads all reports from the beginning of the topic, which holds the newest of each sensor, and those that come.

    Args:
        kafka: how Kafka is reached.
        reports: where reports are kept.
        say: is called with one line when the topic cannot be read, and with an empty one when it can again.
        refuse: is called for each message that is no report.
    """

    def __init__(
        self, kafka: KafkaSettings, reports: Reports, say: Callable[[str], None] = lambda _: None,
        refuse: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._kafka: Final = kafka
        self._topics: Final = Topics(kafka.prefix)
        self._reports: Final = reports
        self._say: Final = say
        self._refuse: Final = refuse
        self._trouble = ""
        self._ends: dict[str, int] = {}
        reports.unread = True

    def run(self, stop: threading.Event) -> None:
        """Read until `stop` is set, whatever happens to brokers."""
        while not stop.is_set():
            try:
                probe(self._kafka, [self._topics.sensors])
                self._read(stop)
            except KafkaUnusable as error:
                self._wait(str(error), stop)
            except errors.KafkaError as error:
                self._wait(str(meaning(self._kafka, [error])), stop)
            except Exception as error:  # noqa: BLE001  anybody may write a message; what one does must not end the reading of all
                self._wait(f"{self._topics.sensors}: {type(error).__name__}: {str(error)[:200]}", stop)

    def _read(self, stop: threading.Event) -> None:
        """Read with one client. Raises KafkaError, KafkaUnusable."""
        consumer: Any = kafka_reading.consumer(
            self._kafka, client_id="icsight-serve-sensors", group_id=None, auto_offset_reset="earliest",
            allow_auto_create_topics=False,
        )  # fmt: skip
        asked_at = 0.0
        try:
            topic = self._topics.sensors
            partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
            consumer.assign(partitions)
            consumer.seek_to_beginning(*partitions)
            before: dict[TopicPartition, int] = consumer.end_offsets(partitions)
            while not stop.is_set():
                for messages in consumer.poll(timeout_ms=int(POLL_SECONDS * 1000)).values():
                    for message in messages:
                        self._take(message.key, message.value, message.timestamp)
                self._tell("")
                if self._reports.unread and all(consumer.position(partition) >= end for partition, end in before.items()):
                    self._reports.unread = False
                if time.monotonic() - asked_at >= ASK_SECONDS:
                    self._ask(consumer)
                    asked_at = time.monotonic()
        finally:
            consumer.close()

    def _take(self, key: bytes | None, value: bytes | None, timestamp_ms: int) -> None:
        try:
            report = SelfReport.from_message(key, value)
        except ValueError:
            self._refuse()
            return
        self._hear(Heard(report, timestamp_ms * (NANOSECONDS // 1000)))

    def _hear(self, heard: Heard) -> None:
        """Keep a report with what is known to wait for its sensor."""
        end = self._ends.get(heard.report.sensor)
        self._reports.hear(heard if end is None else replace(heard, in_topic=max(0, end - heard.report.control_offset)))

    def _ask(self, consumer: Any) -> None:
        """Ask how many requests no sensor has taken yet. Raises KafkaError."""
        heard = self._reports.all()
        # Of a topic that is not there nothing can be asked: the client would wait for it, and all reports with it.
        present = consumer.topics()
        control = {
            each.report.sensor: TopicPartition(topic, 0)
            for each in heard
            if (topic := self._topics.control(each.report.sensor)) in present
        }
        if not control:
            return
        ends = consumer.end_offsets(list(control.values()))
        self._ends = {sensor: int(ends[partition]) for sensor, partition in control.items() if partition in ends}
        for each in heard:
            self._hear(each)

    def _wait(self, trouble: str, stop: threading.Event) -> None:
        self._tell(trouble)
        stop.wait(RETRY_SECONDS)

    def _tell(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._say(trouble)
