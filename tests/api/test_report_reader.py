"""Reports of sensors from their topic: what is none is counted, and those behind it are read."""

from __future__ import annotations

import secrets
import threading
import time
from typing import TYPE_CHECKING, Any

from kafka import KafkaProducer

from api.metrics import Metrics
from api.sensors.report_reader import ReportReader
from api.sensors.reports import Reports
from sensor.kafka_settings import KafkaSettings
from sensor.topics import Topics
from tests.services.topics import make_topic

if TYPE_CHECKING:
    from tests.services.kafka import Kafka


def test_messages_that_are_no_report_are_counted_for_who_watches(kafka: Kafka) -> None:
    settings = KafkaSettings(bootstrap=kafka.bootstrap, security="plaintext", prefix=f"t{secrets.token_hex(8)}")
    topic = Topics(settings.prefix).sensors
    make_topic(kafka, topic)
    producer: Any = KafkaProducer(bootstrap_servers=kafka.bootstrap)
    for key, value in ((b"north", b"{"), (None, b"rubbish"), (b"north", b'{"sensor": "south"}')):
        producer.send(topic, key=key, value=value)
    producer.close()
    metrics, stop, reports = Metrics(), threading.Event(), Reports()
    reader = ReportReader(settings, reports, refuse=metrics.refused_reports.inc)
    assert reports.unread
    thread = threading.Thread(target=reader.run, args=(stop,))
    thread.start()
    until = time.monotonic() + 60
    refused = b"icsight_refused_sensor_reports_total 3.0"
    while (refused not in metrics.exposition() or reports.unread) and time.monotonic() < until:
        stop.wait(0.1)
    stop.set()
    thread.join(timeout=30)
    assert refused in metrics.exposition()
    assert not reports.unread
