"""The services of the distributed way for a measurement, the processes of the product beside them, and what each of them uses."""

# kafka-python ships no types for its clients.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from kafka import KafkaConsumer
from kafka.structs import TopicPartition

from collector.collect_command import FILES
from collector.writer import CONSUMER
from detection.changelog import group_of
from sensor.kafka_settings import KafkaSettings
from sensor.topics import Topics
from tests.sensor.recording import ICSIGHT
from tests.services.elasticsearch import Elasticsearch
from tests.services.kafka import Kafka

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

TICKS: Final = os.sysconf("SC_CLK_TCK")
PATIENCE_SECONDS: Final = 600.0
"""How long anything is waited for before the measurement has failed."""


def used(group: int) -> float:
    """CPU seconds that the processes of a group have used so far."""
    seconds = 0.0
    for place in Path("/proc").glob("[0-9]*"):
        try:
            fields = (place / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group:
            seconds += sum(map(int, fields[11:13])) / TICKS
    return seconds


class System:
    """Services that run, and names in them that nobody else has.

    Attributes:
        folder: for the data of processes.
        kafka: the broker.
        elasticsearch: the node.
        settings: how the broker is reached.
        environment: the same, and how the node is reached, for processes of the product.
    """

    def __init__(self, folder: Path, kafka: Kafka, elasticsearch: Elasticsearch) -> None:
        self.kafka: Final = kafka
        self.elasticsearch: Final = elasticsearch
        prefix = f"b{secrets.token_hex(4)}"
        self.folder: Final = folder / prefix
        self.folder.mkdir()
        self.settings: Final = KafkaSettings(bootstrap=kafka.bootstrap, security="plaintext", prefix=prefix)
        self.topics: Final = Topics(prefix)
        self.environment: Final = {
            **os.environ,
            "ICSIGHT_KAFKA_BOOTSTRAP": kafka.bootstrap,
            "ICSIGHT_KAFKA_SECURITY": "plaintext",
            "ICSIGHT_KAFKA_PREFIX": prefix,
            "ICSIGHT_ELASTICSEARCH_HOSTS": elasticsearch.url,
            "ICSIGHT_ELASTICSEARCH_PREFIX": prefix,
            "ICSIGHT_ELASTICSEARCH_REPLICAS": "0",
        }
        self.run("kafka", "apply", "--replication", "1", "--yes")
        self.run("elasticsearch", "apply")

    def another(self) -> System:
        """The same services under other names: nothing is there yet."""
        return System(self.folder.parent, self.kafka, self.elasticsearch)

    def run(self, *words: str) -> str:
        """What a command of the product says. Raises CalledProcessError."""
        done = subprocess.run(
            [ICSIGHT, *words], cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, words, done.stdout, done.stderr[-2000:])
        return done.stdout

    def begin(self, *words: str, **environment: str) -> Running:
        """A command of the product as a process beside this one."""
        return Running(words, self.folder, {**self.environment, **environment})

    def uplink(self, data: Path, *, paced: bool = False) -> Running:
        """An uplink of a data folder that has begun; without a pace for what has waited, unless it is to have its own."""
        unpaced = {} if paced else {"ICSIGHT_UPLINK_CATCH_UP_MIB_PER_SECOND": "10000"}
        process = self.begin("sensor", "uplink", "--data", str(data), **unpaced)
        process.wait_until(lambda: process.has_said("shipping "))
        return process

    def worker(self, name: str) -> Running:
        """A worker of detection that has begun."""
        state = {"ICSIGHT_DETECTION_STATE_FOLDER": str(self.folder / "state")}
        process = self.begin("detect", "--worker", name, **state)
        process.wait_until(lambda: process.has_said("looks at"))
        return process

    def collector(self, *, into_files: bool = False) -> Running:
        """A collector that has begun; into the node, or into files of this machine."""
        words = ("collect", "--data", str(self.folder / "files")) if into_files else ("collect",)
        process = self.begin(*words, **({"ICSIGHT_ELASTICSEARCH_HOSTS": ""} if into_files else {}))
        process.wait_until(lambda: process.has_said("storing "))
        return process

    def collectors(self, *, into_files: bool = False) -> str:
        """Group of the collectors, by which the broker knows how far they are: one that stores into files has its own."""
        return f"{self.topics.records}-{FILES if into_files else CONSUMER}"

    @property
    def workers(self) -> str:
        """Group of the workers of detection."""
        return group_of(self.settings.prefix)

    def broker_cpu(self) -> float:
        """CPU seconds of the broker so far."""
        return used(self.kafka.process.pid) if self.kafka.process else 0.0

    def node_cpu(self) -> float:
        """CPU seconds of the node so far."""
        return used(self.elasticsearch.process.pid) if self.elasticsearch.process else 0.0


class Standing:
    """How far groups of consumers are in the topic of records, as the broker knows it.

    Args:
        system: where the broker is.
        groups: names of the groups.
    """

    def __init__(self, system: System, *groups: str) -> None:
        self._clients: Final[dict[str, Any]] = {
            group: KafkaConsumer(bootstrap_servers=system.settings.bootstrap, group_id=group, enable_auto_commit=False)
            for group in groups
        }
        topic = system.topics.records
        client = next(iter(self._clients.values()))
        self._places: Final = [TopicPartition(topic, number) for number in client.partitions_for_topic(topic)]

    def done(self, group: str) -> int:
        """Batches that a group has done with."""
        return sum(self._clients[group].committed(place) or 0 for place in self._places)

    def sent(self) -> int:
        """Batches in the topic."""
        client = next(iter(self._clients.values()))
        return sum(client.end_offsets(self._places).values())

    def close(self) -> None:
        """Let go of the broker."""
        for client in self._clients.values():
            client.close(autocommit=False)


class Running:
    """A command of the product at work. What it says is in `log`."""

    def __init__(self, words: tuple[str, ...], folder: Path, environment: dict[str, str]) -> None:
        self.words: Final = words
        self.log: Final = folder / f"{'-'.join(words[:2])}-{secrets.token_hex(2)}.log"
        with self.log.open("wb") as said:
            self.process: Final = subprocess.Popen(
                [ICSIGHT, *words], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                start_new_session=True,
            )  # fmt: skip

    def wait_until(self, is_so: Callable[[], bool], pause: float = 0.2) -> float:
        """Wait until something holds; returns when, by the monotonic clock. Raises RuntimeError where the process ends before."""
        until = time.monotonic() + PATIENCE_SECONDS
        while not is_so():
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"icsight {' '.join(self.words)}: {self.stop()[-2000:]}")
            time.sleep(pause)
        return time.monotonic()

    def cpu(self) -> float:
        """CPU seconds that it has used so far."""
        return used(self.process.pid)

    def has_said(self, text: str) -> bool:
        """Whether it has said so."""
        return text in self.log.read_text()

    def stop(self) -> str:
        """End it in good order; returns what it said."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        return self.log.read_text()


@contextmanager
def services() -> Generator[System]:
    """Kafka and Elasticsearch for one measurement."""
    with TemporaryDirectory(prefix="icsight-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        kafka, node = Kafka(folder / "kafka"), Elasticsearch(folder / "elasticsearch")
        try:
            kafka.start()
            node.start()
            yield System(folder, kafka, node)
        finally:
            kafka.kill()
            node.kill()
