"""Evidence of a sensor elsewhere: asked for over Kafka, and waited for."""

from __future__ import annotations

import json
import time
from typing import Any

from kafka import errors
from kafka.structs import TopicPartition

from sensor import kafka_reading
from sensor.configuration import ConfigurationError, configured
from sensor.control_records import EVIDENCE, EvidenceRequest
from sensor.evidence_message import Assembly, decode
from sensor.kafka_client import KafkaUnusable, meaning, probe
from sensor.kafka_control import send
from sensor.kafka_message import MessageError
from sensor.kafka_settings import KafkaSettings
from sensor.packets import Evidence, EvidenceError, NoPackets
from sensor.terminal import CommandError
from sensor.topics import Topics


class NotAnswered(KafkaUnusable):
    """A sensor has not answered in time."""


def ask(kafka: KafkaSettings, request: EvidenceRequest, timeout_seconds: float) -> dict[str, bytes]:
    """Ask a sensor for packets and wait for its answer.

    Returns:
        The files of the answer by `sensor.evidence_message.PARTS`; without packets there is only `answer`, which tells why.

    Raises:
        KafkaUnusable: Kafka cannot be used.
        NotAnswered: no answer came in time: the request still waits for the sensor.
    """
    topics = Topics(kafka.prefix)
    counts = probe(kafka, [topics.evidence, topics.control(request.sensor)])
    consumer: Any = kafka_reading.consumer(kafka, client_id="icsight-evidence", group_id=None)
    try:
        partitions = [TopicPartition(topics.evidence, number) for number in range(counts[topics.evidence])]
        consumer.assign(partitions)
        # Where it ends before the request is sent: the answer can only come behind it.
        for partition, end in consumer.end_offsets(partitions).items():
            consumer.seek(partition, end)
        send(kafka, request.sensor, EVIDENCE, request.to_json())
        return _answer(consumer, request, time.monotonic() + timeout_seconds)
    except errors.KafkaError as error:
        raise meaning(kafka, [error]) from error
    finally:
        consumer.close()


def take(kafka: KafkaSettings, request: EvidenceRequest, timeout_seconds: float) -> Evidence:
    """The packets that a sensor answers with.

    Raises:
        KafkaUnusable, ConfigurationError: Kafka cannot be used.
        NotAnswered: no answer came in time: the request still waits for the sensor.
        NoPackets: the sensor holds none.
        EvidenceError: it cannot read them, or its answer is not whole.
    """
    parts = ask(kafka, request, timeout_seconds)
    try:
        answer = json.loads(parts["answer"])
        if answer["status"] != "answered":
            kind = NoPackets if answer["status"] == "no_packets" else EvidenceError
            raise kind(f"sensor {request.sensor}: {answer['reason']}")
        return Evidence(parts["pcapng"], json.loads(parts["json"]))
    except (KeyError, TypeError, ValueError) as error:
        raise EvidenceError(f"sensor {request.sensor}: its answer is not whole: ask again") from error


def evidence(request: EvidenceRequest, timeout_seconds: float) -> Evidence:
    """The packets that a sensor answers with, by the settings of this process. Raises CommandError, EvidenceError."""
    try:
        return take(configured(KafkaSettings), request, timeout_seconds)
    except (KafkaUnusable, ConfigurationError) as error:
        raise CommandError(str(error)) from error


def _answer(consumer: Any, request: EvidenceRequest, until: float) -> dict[str, bytes]:
    """What comes back for a request. Raises NotAnswered."""
    assembly = Assembly(request.id, request.sensor)
    while (left := until - time.monotonic()) > 0:
        for messages in consumer.poll(timeout_ms=int(min(left, 1.0) * 1000)).values():
            for message in messages:
                try:
                    is_whole = assembly.add(*decode(message.headers, message.value))
                except MessageError:
                    # Somebody else's, or damaged: then the answer does not become whole.
                    continue
                if is_whole:
                    return assembly.parts
    raise NotAnswered(
        f"sensor {request.sensor} has not answered yet: it does when it is back; wait longer, or ask again then",
        is_lasting=False,
    )
