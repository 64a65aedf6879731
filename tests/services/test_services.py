"""The services are real, shared by name, end with whoever started them, and survive being killed."""

# kafka-python leaves its results untyped.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from elasticsearch import Elasticsearch as Client
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic

from tests.services.process import Process

if TYPE_CHECKING:
    from tests.services.elasticsearch import Elasticsearch
    from tests.services.kafka import Kafka
    from tests.services.postgres import Postgres


def test_what_kafka_has_acknowledged_is_there_after_it_was_killed(private_kafka: Kafka) -> None:
    admin = KafkaAdminClient(bootstrap_servers=private_kafka.bootstrap)
    admin.create_topics([NewTopic("t", 1, 1)])
    admin.close()
    producer = KafkaProducer(bootstrap_servers=private_kafka.bootstrap)
    producer.send("t", b"x").get(30)
    producer.close()
    private_kafka.kill()
    private_kafka.start()
    consumer = KafkaConsumer(
        "t", bootstrap_servers=private_kafka.bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=20_000
    )
    assert next(iter(consumer)).value == b"x"
    consumer.close()


def test_a_database_is_empty_and_outlives_its_server(private_postgres: Postgres) -> None:
    name = private_postgres.new_database()
    with psycopg.connect(private_postgres.dsn(name)) as connection:
        connection.execute("CREATE TABLE t (x int)")
    private_postgres.kill()
    private_postgres.start()
    with psycopg.connect(private_postgres.dsn(name)) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchall() == [(0,)]
    assert private_postgres.new_database() != name


def test_elasticsearch_keeps_what_it_has_acknowledged(elasticsearch_server: Elasticsearch) -> None:
    with Client(elasticsearch_server.url) as client:
        client.index(index="test-services", id="1", document={"x": 1}, refresh=True)
        assert client.count(index="test-services")["count"] == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_service_ends_with_its_owner_however_that_ends(tmp_path: Path, number: int) -> None:
    program = (
        "import time; from pathlib import Path; from tests.services.process import Process; "
        f"print(Process(['sleep', '600'], Path('{tmp_path}/log')).pid, flush=True); time.sleep(600)"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=root, text=True) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        os.kill(owner.pid, number)
    until = time.monotonic() + 30
    while _runs(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _runs(pid)


@pytest.mark.parametrize("begun", ["sleep 600", "setsid sleep 600"])
def test_a_killed_process_takes_along_what_it_has_begun(tmp_path: Path, begun: str) -> None:
    process = Process(["sh", "-c", f"{begun} & echo $! >&2; wait"], tmp_path / "log")
    while not process.tail():
        time.sleep(0.01)
    child = int(process.tail())
    process.kill()
    until = time.monotonic() + 30
    while _runs(child) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _runs(child)


def test_who_has_the_number_of_a_process_that_has_ended_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = Process(["true"], tmp_path / "log")
    assert process.wait() == 0
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as other:
        try:
            monkeypatch.setattr(process, "pid", other.pid)
            process.send(signal.SIGTERM)
            process.kill()
            time.sleep(0.2)
            assert other.poll() is None
        finally:
            other.kill()


def test_a_service_may_print_as_much_as_it_likes(tmp_path: Path) -> None:
    process = Process(["sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x"], tmp_path / "log")
    until = time.monotonic() + 30
    while process.runs() and time.monotonic() < until:
        time.sleep(0.05)
    assert not process.runs()
    assert (tmp_path / "log").stat().st_size == 1_000_000


def _runs(pid: int) -> bool:
    """Whether a process is there and not dead."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
