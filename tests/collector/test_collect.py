"""`icsight collect` and `icsight dead-letters` as a person runs them, with a real Kafka, into files and into Elasticsearch."""

# kafka-python leaves its results untyped.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from kafka import KafkaProducer

from collector.store.local import LocalRecordStore
from collector.stream import BatchHeader, Outgoing
from collector.stream.kafka import KafkaStream
from collector.stream.kafka_letters import LetterTopic
from collector.stream.kafka_topics import DECLARATION, apply, declared
from sensor.kafka_message import encode as message_of
from sensor.kafka_settings import KafkaSettings
from sensor.topics import Topics
from tests.batches import EPOCH, encode, sample

if TYPE_CHECKING:
    from tests.services.elasticsearch import Elasticsearch
    from tests.services.kafka import Kafka

ICSIGHT = Path(sys.executable).with_name("icsight")


def outgoing(sequence: int, data: bytes | None = None, site: str = "plant") -> Outgoing:
    header = BatchHeader(f"of-{site}", EPOCH, sequence, "modbus", 5, site, sequence)
    return Outgoing(header, encode(header, sample("modbus", 5, seed=sequence)) if data is None else data)


class System:
    """Topics of its own on a shared Kafka, and the command line over them."""

    def __init__(self, server: Kafka) -> None:
        self.settings = KafkaSettings(bootstrap=server.bootstrap, security="plaintext", prefix=f"t{secrets.token_hex(6)}")
        apply(self.settings, declared(DECLARATION, self.settings.prefix, 1))
        self.environment = {
            **os.environ,
            "ICSIGHT_KAFKA_BOOTSTRAP": server.bootstrap,
            "ICSIGHT_KAFKA_SECURITY": "plaintext",
            "ICSIGHT_KAFKA_PREFIX": self.settings.prefix,
        }
        self.stream = KafkaStream(self.settings, Topics(self.settings.prefix).records)

    def icsight(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [ICSIGHT, *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=120, check=False)

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        command = [ICSIGHT, *arguments]
        return subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.fixture
def system(kafka: Kafka) -> System:
    return System(kafka)


def stored(folder: Path) -> list[tuple[int, int]]:
    store = LocalRecordStore(folder / "records")
    rows = store.sql("SELECT sequence, count(*) FROM modbus GROUP BY ALL ORDER BY ALL").rows()
    store.close()
    return rows


def test_what_is_in_kafka_is_stored_once_and_a_strange_batch_can_be_stored_later(system: System, tmp_path: Path) -> None:
    system.stream.publish([outgoing(0), outgoing(1, b"strange"), outgoing(2)])
    for count in ("2 batches stored, 10 rows", "0 batches stored, 0 rows"):
        done = system.icsight("collect", "--data", tmp_path, "--exit-when-done")
        assert done.returncode == 0, done.stderr
        assert count in done.stdout
    assert stored(tmp_path) == [(0, 5), (2, 5)]
    listed = system.icsight("dead-letters", "list")
    (line,) = listed.stdout.splitlines()
    name = line.split()[0]
    assert f"of-plant/{EPOCH}/1" in line
    assert "not an Arrow stream" in line
    shown = system.icsight("dead-letters", "show", name, "--out", tmp_path / "bytes")
    assert "modbus, 5 rows" in shown.stdout
    assert (tmp_path / "bytes").read_bytes() == b"strange"
    again = system.icsight("dead-letters", "replay", "--all", "--data", tmp_path)
    assert again.returncode == 2
    assert "1 of 1 letters could not be stored" in again.stderr
    assert system.icsight("dead-letters", "list").stdout == listed.stdout


def test_a_letter_whose_batch_can_be_stored_after_all_is_stored_and_let_go(system: System, tmp_path: Path) -> None:
    batch = outgoing(4)
    letters = LetterTopic(system.settings)
    name = letters.keep("not mended yet", batch.header, bytes(batch.data))
    letters.settle()
    letters.close()
    done = system.icsight("dead-letters", "replay", name, "--data", tmp_path)
    assert (done.returncode, "5 rows stored" in done.stdout) == (0, True), done.stderr
    assert stored(tmp_path) == [(4, 5)]
    assert system.icsight("dead-letters", "list").stdout == ""


def test_what_a_newer_version_wrote_is_told_by_the_command_and_the_rest_is_stored(system: System, tmp_path: Path) -> None:
    batch = outgoing(1)
    message = message_of(batch.header, batch.data)
    ((name, told),) = message.headers
    system.stream.publish([outgoing(0), outgoing(0, site="other")])
    producer = KafkaProducer(bootstrap_servers=system.settings.bootstrap)
    topic = system.stream.topic
    producer.send(topic, message.value, message.key, headers=[(name, told.replace(b'"version":1', b'"version":2'))]).get(30)
    producer.close()
    done = system.icsight("collect", "--data", tmp_path, "--exit-when-done")
    assert done.returncode == 2
    assert f"error: {topic}/" in done.stderr.splitlines()[-1]
    assert "the message is of version 2, this program reads up to 1: update it" in done.stderr.splitlines()[-1]
    assert stored(tmp_path) == [(0, 10)]
    assert system.icsight("dead-letters", "list").stdout == ""


def test_a_collector_that_is_killed_goes_on_and_stores_nothing_twice(system: System, tmp_path: Path) -> None:
    system.stream.publish([outgoing(sequence) for sequence in range(40)])
    for wait in (0.4, 0.9, 1.4):
        process = system.start("collect", "--data", tmp_path)
        assert process.stdout is not None
        assert "storing" in process.stdout.readline()
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert system.icsight("collect", "--data", tmp_path, "--exit-when-done").returncode == 0
    assert stored(tmp_path) == [(sequence, 5) for sequence in range(40)]


def test_two_members_share_the_work_into_elasticsearch(system: System, elasticsearch_server: Elasticsearch) -> None:
    system.environment["ICSIGHT_ELASTICSEARCH_HOSTS"] = elasticsearch_server.url
    system.environment["ICSIGHT_ELASTICSEARCH_PREFIX"] = system.settings.prefix
    prepared = system.icsight("elasticsearch", "apply")
    assert prepared.returncode == 0, prepared.stderr
    sites = [f"site {number}" for number in range(8)]
    processes = [system.start("collect", "--member", name) for name in ("one", "two")]
    for process in processes:
        assert process.stdout is not None
        assert "storing" in process.stdout.readline()
    for sequence in range(15):
        system.stream.publish([outgoing(sequence, site=site) for site in sites])
        time.sleep(1)
    rows = ""
    end = time.monotonic() + 60
    while "600" not in rows and time.monotonic() < end:
        rows = system.icsight("query", "SELECT count(*) AS n FROM modbus", "--output", "json").stdout
    for process in processes:
        process.send_signal(signal.SIGINT)
    told = [process.communicate(timeout=60)[0] for process in processes]
    assert "600" in rows, (rows, told)
    counted = [int(found.group(1)) for text in told if (found := re.search(r"([0-9]+) batches stored", text))]
    # What one had under way when the other joined is stored by one of them, and may be told by neither as new.
    repeated = [int(found.group(1)) for text in told if (found := re.search(r"([0-9]+) had been stored before", text))]
    assert sum(counted) <= 15 * len(sites) <= sum(counted) + sum(repeated), told
    assert min(counted) > 0, told
    assert all("missing in 0 gaps" in text for text in told), told


@pytest.mark.parametrize(("arguments", "told"), [((), "--data DIR"), (("--data", "x", "--member", "m"), "one collector")])
def test_what_cannot_work_is_told_in_one_line(system: System, arguments: tuple[str, ...], told: str) -> None:
    done = system.icsight("collect", *arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
