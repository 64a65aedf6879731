"""Pins and requests reach sensors over Kafka, also those that were away, and evidence comes back whole."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic

from sensor.control import OUTBOX, Requests
from sensor.control_records import PIN, EvidenceRequest
from sensor.evidence import evidence
from sensor.evidence_uplink import EvidenceUplink
from sensor.kafka_client import KafkaUnusable
from sensor.kafka_control import ControlPoller, send
from sensor.kafka_settings import KafkaSettings
from sensor.packets import PACKETS, pinned
from sensor.remote_evidence import ask
from sensor.topics import Topics
from tests.sensor.kafka_log import new_topics
from tests.sensor.test_control import FRAMES, STATEMENT
from tests.sensor.test_control import PIN as STATEMENT_TO_PIN
from tests.sensor.test_packets import QUOTA, content, kept, wrote
from tests.services.topics import Unreadable, make_topic

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from tests.services.kafka import Kafka

SENSORS = ("north", "南站", "east_1")
PATIENCE_SECONDS = 60


@pytest.fixture(scope="module")
def settings(kafka: Kafka) -> KafkaSettings:
    """A system of three sensors."""
    prefix = new_topics(kafka).prefix
    topics = Topics(prefix)
    admin: Any = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    made = [NewTopic(name, 1, 1) for name in (topics.evidence, *map(topics.control, SENSORS))]
    admin.create_topics(made, wait_for_metadata=True)
    admin.close()
    return KafkaSettings(bootstrap=kafka.bootstrap, security="plaintext", prefix=prefix)


@contextmanager
def running(*parts: Any) -> Generator[None]:
    """Parts at work, each in a thread of its own."""
    stop = threading.Event()
    threads = [threading.Thread(target=part.run, args=(stop,)) for part in parts]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
    assert not any(thread.is_alive() for thread in threads)


def sensor(data: Path, settings: KafkaSettings, name: str) -> tuple[Any, ...]:
    """The parts of a sensor that follow what is asked of it; its ring holds `FRAMES`."""
    data.mkdir(exist_ok=True)
    ring = data / PACKETS
    if not ring.exists():
        kept(ring, wrote(data / "made.pcap", FRAMES))
    return Requests(data, (ring, QUOTA), name), ControlPoller(data, settings, name), EvidenceUplink(data, settings, name)


def until(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_three_sensors_answer_with_packets_and_manifest_and_forget_what_was_taken_away(
    settings: KafkaSettings, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        for name in SENSORS:
            stack.enter_context(running(*sensor(tmp_path / name, settings, name)))
        for name in SENSORS:
            parts = ask(settings, EvidenceRequest(f"r-{SENSORS.index(name)}", STATEMENT, "li", name), PATIENCE_SECONDS)
            manifest = json.loads(parts["json"])
            assert content(parts["pcapng"]) == FRAMES[10:21]
            assert manifest["sha256"] == hashlib.sha256(parts["pcapng"]).hexdigest()
            assert json.loads(parts["answer"])["sensor"] == name
            until(lambda name=name: not list((tmp_path / name / OUTBOX).glob("r-*")))


def test_what_was_asked_while_a_sensor_was_away_is_done_when_it_is_back_and_once(settings: KafkaSettings, tmp_path: Path) -> None:
    send(settings, "north", PIN, STATEMENT_TO_PIN.to_json())
    with pytest.raises(KafkaUnusable, match="has not answered yet"):
        ask(settings, EvidenceRequest("late", STATEMENT, "li", "north"), 1)
    for _ in range(2):
        requests, poller, uplink = sensor(tmp_path / "north", settings, "north")
        with running(requests, poller, uplink):
            until(lambda: pinned(tmp_path / "north" / PACKETS, "a1") == STATEMENT_TO_PIN)
            until(lambda requests=requests: requests.settled())
        if poller.records == 0:
            break
    else:
        raise AssertionError("what had been brought was brought again")
    assert len(list((tmp_path / "north" / PACKETS / "pinned" / "a1").glob("*.pcapng"))) == 1


def test_what_asks_nothing_is_passed_over_and_told(kafka: Kafka, settings: KafkaSettings, tmp_path: Path) -> None:
    topic = Topics(settings.prefix).control("east_1")
    producer: Any = KafkaProducer(bootstrap_servers=kafka.bootstrap)
    producer.send(topic, b"anything").get(30)
    producer.send(topic, b"anything", headers=[(Unreadable("strange"), b"x")]).get(30)
    producer.close()
    said: list[str] = []
    poller = ControlPoller(tmp_path, settings, "east_1", said.append)
    send(settings, "east_1", PIN, STATEMENT_TO_PIN.to_json())
    with running(poller):
        until(lambda: poller.refused == 2 and poller.records)
    assert "something else writes" in said[0]
    assert "the name of a header is no UTF-8" in said[1]


def test_a_sensor_says_that_it_cannot_be_asked_while_brokers_are_away(
    private_kafka: Kafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensor.kafka_control.ASK_SECONDS", 1.0)
    monkeypatch.setattr("sensor.kafka_control.RETRY_SECONDS", 1.0)
    settings = KafkaSettings(bootstrap=private_kafka.bootstrap, security="plaintext", connect_seconds=3.0)
    topic = Topics(settings.prefix).control("north")
    make_topic(private_kafka, topic)
    poller = ControlPoller(tmp_path, settings, "north")
    with running(poller):
        send(settings, "north", PIN, STATEMENT_TO_PIN.to_json())
        until(lambda: poller.records == 1)
        assert poller.trouble == ""
        private_kafka.kill()
        until(lambda: poller.trouble)
        # It stays so, however often nothing comes.
        for _ in range(30):
            time.sleep(0.1)
            assert poller.trouble
        private_kafka.start()
        until(lambda: not poller.trouble)
        send(settings, "north", PIN, STATEMENT_TO_PIN.to_json())
        until(lambda: poller.records == 2)


def test_the_command_writes_what_a_sensor_elsewhere_gives(
    settings: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("bootstrap", "security", "prefix"):
        monkeypatch.setenv(f"ICSIGHT_KAFKA_{name.upper()}", getattr(settings, name))
    command = ["--sensor", "east_1", "--from", "2025-11-24T16:00:10Z", "--to", "2025-11-24T16:00:20Z", "-o"]
    with running(*sensor(tmp_path / "east", settings, "east_1")):
        done = CliRunner().invoke(evidence, [*command, str(tmp_path / "e.pcapng")])
        assert done.exit_code == 0, done.output
        none = CliRunner().invoke(evidence, ["--sensor", "east_1", "--to", "2001-01-01", "-o", str(tmp_path / "n.pcapng")])
    assert (none.exit_code, "holds no packets" in none.output) == (2, True), none.output
    assert len(content((tmp_path / "e.pcapng").read_bytes())) == 11
    assert json.loads((tmp_path / "e.json").read_text())["packets"] == 11
    nobody = CliRunner().invoke(evidence, ["--sensor", "west", "--to", "2001-01-01", "-o", str(tmp_path / "n.pcapng")])
    assert (nobody.exit_code, "control.west" in nobody.output) == (2, True)
