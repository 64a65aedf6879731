"""Records in a cluster of three real nodes with a copy of each shard, one of which is killed while a collector writes."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from collector.settings import ElasticsearchSettings
from collector.store import Query, StoreError
from collector.store.elastic_server import Server
from collector.store.elastic_setup import apply
from collector.store.elasticsearch import ElasticsearchRecordStore
from collector.stream import BatchHeader, Outgoing
from collector.stream.kafka import KafkaStream
from collector.stream.kafka_topics import DECLARATION, declared
from collector.stream.kafka_topics import apply as apply_topics
from sensor.kafka_settings import KafkaSettings
from sensor.topics import Topics
from tests.batches import EPOCH, encode, sample
from tests.services.elasticsearch import Cluster
from tests.services.packages import Missing
from tests.services.process import ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.services.elasticsearch import Elasticsearch
    from tests.services.kafka import Kafka

pytestmark = pytest.mark.full

ICSIGHT = Path(sys.executable).with_name("icsight")

NODES, ROWS, BEFORE, AFTER = 3, 50, 20, 40
"""Nodes, rows of a batch, batches that are stored before a node is killed, and that come meanwhile and thereafter."""

PATIENCE_SECONDS = 300.0
"""How long a busy machine may take for what takes a few seconds on an idle one."""


@pytest.fixture
def nodes() -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="icsight-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        try:
            cluster = Cluster(Path(name), NODES)
        except Missing as error:
            pytest.fail(str(error))
        try:
            yield cluster.start()
        except ServiceError as error:
            pytest.fail(str(error))
        finally:
            cluster.kill()


def master(server: Server, cluster: Cluster) -> Elasticsearch:
    """The node that the others have chosen: to lose it is the worst."""
    (line,) = server.ask("GET", "/_cat/master", format="json")
    return next(node for number, node in enumerate(cluster.nodes) if line["node"] == f"node-{number}")


def publish(stream: KafkaStream, first: int, count: int, pause_seconds: float = 0.0) -> None:
    for sequence in range(first, first + count):
        header = BatchHeader("north", EPOCH, sequence, "modbus", ROWS, "plant", sequence)
        stream.publish([Outgoing(header, encode(header, sample("modbus", ROWS, seed=sequence)))])
        time.sleep(pause_seconds)


def rows(store: ElasticsearchRecordStore) -> int:
    return store.sql("SELECT count(*) FROM modbus").item()


def until(store: ElasticsearchRecordStore, wanted: int) -> list[str]:
    """Ask until so many rows are there; returns what questions failed with."""
    end = time.monotonic() + PATIENCE_SECONDS
    failed: list[str] = []
    found = -1
    while found != wanted:
        assert time.monotonic() < end, (found, wanted, failed[-3:])
        try:
            found = rows(store)
            assert len(store.query(Query("modbus", limit=5)).rows) >= min(5, found)
        except StoreError as error:
            failed.append(str(error))
        time.sleep(0.5)
    return failed


def test_a_node_that_is_killed_costs_no_record_and_doubles_none_and_questions_are_answered_by_the_others(
    nodes: Cluster, kafka: Kafka
) -> None:
    prefix = f"t{secrets.token_hex(6)}"
    settings = ElasticsearchSettings(hosts=nodes.hosts, prefix=prefix, replicas=1)
    server = Server(settings.model_copy(update={"request_seconds": PATIENCE_SECONDS}))
    apply(server)
    broker = KafkaSettings(bootstrap=kafka.bootstrap, security="plaintext", prefix=prefix)
    apply_topics(broker, declared(DECLARATION, prefix, 1))
    stream = KafkaStream(broker, Topics(prefix).records)
    environment = {
        **os.environ, "ICSIGHT_KAFKA_BOOTSTRAP": kafka.bootstrap, "ICSIGHT_KAFKA_SECURITY": "plaintext",
        "ICSIGHT_KAFKA_PREFIX": prefix, "ICSIGHT_ELASTICSEARCH_HOSTS": nodes.hosts, "ICSIGHT_ELASTICSEARCH_PREFIX": prefix,
        "ICSIGHT_ELASTICSEARCH_REPLICAS": "1", "ICSIGHT_ELASTICSEARCH_CONNECT_SECONDS": "60",
        "ICSIGHT_WRITER_GATHER_ROWS": str(2 * ROWS),
    }  # fmt: skip
    collector = subprocess.Popen(
        [ICSIGHT, "collect"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    store = ElasticsearchRecordStore(settings)
    try:
        publish(stream, 0, BEFORE)
        until(store, BEFORE * ROWS)
        # From here on each shard has its copy: a day's first seconds have one only.
        health: Any = server.ask("GET", "/_cluster/health", wait_for_status="green", timeout="200s")
        assert (health["status"], health["number_of_nodes"]) == ("green", NODES)

        publish(stream, BEFORE, AFTER // 2, 0.05)
        lost = master(server, nodes)
        lost.kill()
        killed = time.monotonic()
        publish(stream, BEFORE + AFTER // 2, AFTER // 2, 0.05)
        failed = until(store, (BEFORE + AFTER) * ROWS)
        print(f"all rows {time.monotonic() - killed:.1f} s after the kill; {len(failed)} questions failed: {failed[:3]}")

        # Other processes begin while a node that they are told of is away.
        done = subprocess.run(
            [ICSIGHT, "query", "SELECT count(*) AS n, count(DISTINCT (sequence, row)) AS d FROM modbus", "--output", "json"],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == {"n": (BEFORE + AFTER) * ROWS, "d": (BEFORE + AFTER) * ROWS}
        position = store.position("store")
        assert position is not None
        assert max(position.seen.values()) == BEFORE + AFTER - 1
    finally:
        store.close()
        server.close()
        collector.send_signal(signal.SIGINT)
        told = collector.communicate(timeout=120)[0]
    print(told)
    assert collector.returncode == 0, told
    assert "missing in 0 gaps" in told
