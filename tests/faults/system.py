"""The distributed system as processes of this machine: what runs share, and what each run has for itself."""

# kafka-python ships no types for its clients.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import json
import secrets
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kafka import KafkaConsumer
from kafka.structs import TopicPartition

from collector.settings import ElasticsearchSettings
from collector.store.elastic_server import Server
from collector.store.elastic_setup import apply as apply_elasticsearch
from collector.store.elasticsearch import ElasticsearchRecordStore
from collector.store.local import LocalRecordStore
from collector.stream.kafka_topics import DECLARATION, Declared, apply, declared
from detection.alerts import decode_alerts
from detection.published import publish_rules
from sensor import kafka_message
from sensor.kafka_settings import KafkaSettings
from sensor.topics import Topics
from tests.detection.test_sitewide import last
from tests.faults import stream
from tests.sensor.faults import Faults
from tests.services.postgres import USER
from tests.services.process import Process

if TYPE_CHECKING:
    from collections.abc import Callable

    from collector.store import RecordStore
    from detection.alerts import Alert
    from detection.ruleset import Ruleset
    from tests.faults.ground import Ground

ICSIGHT: Final = Path(sys.executable).with_name("icsight")
ROOT: Final = Path(__file__).parents[2]

PARTITIONS: Final = 2

READY_SECONDS: Final = 300.0
"""After this a process does not start at all; it takes seconds, more where other work takes the processor."""

DELIVERY_SECONDS: Final = 10.0
"""After so long an uplink's producer gives up what brokers have not taken."""


class NotReached(AssertionError):  # noqa: N818 - named for what happened
    """Something that had to come did not."""


def until(what: Callable[[], bool], seconds: float, name: str, every_seconds: float = 0.05) -> None:
    """Wait for something. Raises NotReached."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise NotReached(f"{name}: not within {seconds:.0f} s")
        time.sleep(every_seconds)


class Command:
    """One of our processes, which can be killed and started again; what it says gathers in a file."""

    def __init__(self, command: list[str], log: Path, ready: str, environment: dict[str, str]) -> None:
        self.log: Final = log
        self._command: Final = command
        self._ready: Final = ready
        self.environment: Final = environment
        self._process: Process | None = None
        self._begun = 0

    def begin(self) -> None:
        """Start it, and do not wait."""
        self._begun = self.log.stat().st_size if self.log.exists() else 0
        # What a program prints goes beside what the guard's file has of its standard error.
        shell = ["/bin/sh", "-c", 'exec "$@" >> "$0" 2>&1', str(self.log), *self._command]
        self._process = Process(shell, self.log, cwd=ROOT, environment=self.environment)

    def start(self) -> None:
        """Start it, and wait until it says that it is ready. Raises NotReached."""
        self.begin()
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until it says that it is ready. Raises NotReached."""
        try:
            until(lambda: self._ready in self.said() or not self.runs(), READY_SECONDS, self._command[1])
        except NotReached as error:
            raise NotReached(f"{error}:\n{self.said()[-2000:]}") from error
        if self._ready not in self.said():
            raise NotReached(f"{self._command[:4]} has ended:\n{self.said()[-2000:]}")

    def said(self) -> str:
        """What it has said since it was started."""
        with self.log.open("rb") as file:
            file.seek(self._begun)
            return file.read().decode(errors="replace")

    def runs(self) -> bool:
        """Whether it has not ended."""
        assert self._process is not None
        return self._process.runs()

    def kill(self) -> None:
        """`kill -9`."""
        if self._process is not None:
            self._process.kill()

    def stop(self) -> None:
        """End it in good order."""
        if self._process is not None:
            self._process.stop()


class System:
    """Topics and indices of a prefix, two collectors and a worker, used by many runs.

    One collector stores into files, one into Elasticsearch as a member of its group, as compose and chart have it.

    Each run is a site of its own, with one sensor. Settings of processes are those of the product but for what takes time: they
    gather and commit sooner, and an uplink's producer gives up after `DELIVERY_SECONDS`.
    """

    def __init__(self, ground: Ground, folder: Path, ruleset: Ruleset, broken: str = "") -> None:
        """Make topics and indices. What makes and looks at them goes past the proxies, the system's processes through them.

        `broken` names what is broken in the product on purpose (`broken`).
        """
        self.ground: Final = ground
        self._program: Final = [sys.executable, "-m", "tests.faults.broken", broken] if broken else [str(ICSIGHT)]
        self.folder: Final = folder
        self.ruleset: Final = ruleset
        folder.mkdir(parents=True, exist_ok=True)
        prefix = f"f{secrets.token_hex(6)}"
        self.kafka: Final = KafkaSettings(
            bootstrap=ground.kafka.bootstrap, security="plaintext", prefix=prefix, delivery_timeout_seconds=DELIVERY_SECONDS
        )
        self.topics: Final = Topics(prefix)
        apply(self.kafka, _fewer(declared(DECLARATION, prefix, 1)))
        publish_rules(self.kafka, self.topics, ruleset)
        self.elasticsearch: Final = ElasticsearchSettings(hosts=ground.elasticsearch.url, prefix=prefix, replicas=0)
        server = Server(self.elasticsearch)
        apply_elasticsearch(server)
        server.close()
        self.faults: Final = Faults(folder, folder / "none")
        self.environment: Final = {
            **self.faults.environment,
            "ICSIGHT_KAFKA_BOOTSTRAP": ground.bootstrap,
            "ICSIGHT_KAFKA_SECURITY": "plaintext",
            "ICSIGHT_KAFKA_PREFIX": prefix,
            "ICSIGHT_KAFKA_DELIVERY_TIMEOUT_SECONDS": str(DELIVERY_SECONDS),
            "ICSIGHT_UPLINK_POSITION_SECONDS": "0.1",
            "ICSIGHT_UPLINK_RETRY_SECONDS": "1",
            "ICSIGHT_WRITER_GATHER_SECONDS": "0.1",
            "ICSIGHT_WRITER_GATHER_ROWS": "200",
            "ICSIGHT_DETECTION_LATENESS_SECONDS": str(stream.LATENESS_SECONDS),
            "ICSIGHT_DETECTION_COMMIT_SECONDS": "0.2",
            "ICSIGHT_DETECTION_STATE_FOLDER": str(folder / "state"),
        }
        hosts = {
            "ICSIGHT_ELASTICSEARCH_HOSTS": ground.hosts,
            "ICSIGHT_ELASTICSEARCH_PREFIX": prefix,
            "ICSIGHT_ELASTICSEARCH_REPLICAS": "0",
        }
        self.files: Final = self._command("files", "storing", "collect", "--data", str(folder))
        self.cluster: Final = self._command("cluster", "storing", "collect", "--member", "one", more=hosts)
        self.other: Final = self._command("other", "storing", "collect", "--member", "two", more=hosts)
        """Another member of the group of `cluster`, where a run shares (`share`)."""
        self.worker: Final = self._command("worker", "worker:", "detect", "--worker", "one")
        self.shared: Final = [self.files, self.cluster, self.worker]
        self._hosts: Final = hosts
        self._api: Command | None = None
        self.dsn = ""
        """Database of the API, once there is one."""
        self.stores: Final[list[LocalRecordStore | ElasticsearchRecordStore]] = []
        """Both stores, as a reader sees them."""
        self.alerts: Final = Alerts(self.kafka, self.topics)

    def start(self) -> None:
        """Start what runs share."""
        for command in self.shared:
            command.begin()
        for command in self.shared:
            command.wait_ready()
        self.stores.extend([LocalRecordStore(self.folder / "records"), ElasticsearchRecordStore(self.elasticsearch)])

    def api(self) -> Command:
        """The API of the system, over PostgreSQL; it is started by the first run that asks for it. Raises NotReached."""
        if self._api is None:
            server = self.ground.postgres
            name = server.new_database()
            self.dsn = server.dsn(name)
            url = f"postgresql://{USER}@127.0.0.1:{server.port}/{name}"
            more = {**self._hosts, "ICSIGHT_DATABASE_URL": url, "ICSIGHT_DATABASE_PASSWORD": server.password}
            self._api = self._command("api", "http", "serve", "--data", str(self.folder / "api"), "--port", "0", more=more)
            self._api.start()
            self.shared.append(self._api)
        return self._api

    def share(self) -> None:
        """Begin another collector into Elasticsearch, which takes over half of the partitions, and do not wait."""
        self.other.begin()
        self.shared.append(self.other)

    def share_no_more(self) -> None:
        """Kill it: after its session its partitions go back."""
        self.shared.remove(self.other)
        self.other.kill()

    def close(self) -> None:
        """End what runs share."""
        for command in self.shared:
            command.stop()
        for store in self.stores:
            store.close()
        self.alerts.close()

    def uplink(self, data: Path) -> Command:
        """The uplink of a data folder."""
        return self._command(f"{data.name}-uplink", "shipping", "sensor", "uplink", "--data", str(data))

    def recorder(self, data: Path, sensor: str, site: str, pace_seconds: float, parts: list[Path]) -> Command:
        """A sensor that records parts of a capture (`recording`)."""
        command = [sys.executable, "-m", "tests.faults.recording", str(data), sensor, site, str(pace_seconds), *map(str, parts)]
        return Command(command, self.folder / f"{data.name}-sensor.log", "ready", self.environment)

    def stored_to(self, store: RecordStore) -> int:
        """How many messages a collector has behind it, as it is kept with what it has stored."""
        position = store.position("store")
        return 0 if position is None else sum(position.offsets.values())

    def _command(self, name: str, ready: str, *arguments: str, more: dict[str, str] | None = None) -> Command:
        return Command(
            [*self._program, *arguments], self.folder / f"{name}.log", ready, {**self.environment, **(more or {})}
        )  # fmt: skip


class Alerts:
    """The alerts that are committed, by site, as far as they were read; each batch must be there once, and follow its last."""

    def __init__(self, kafka: KafkaSettings, topics: Topics) -> None:
        self._kafka = kafka
        self._topics = topics
        self._found: dict[str, list[Alert]] = {}
        self._next: dict[tuple[str, str], int] = {}
        self.faulty = 0
        """Batches of alerts that were there twice, or not at all."""
        self._consumer: Any = None

    def of(self, site: str) -> list[str]:
        """The last revision of each alert of a site, as text."""
        self._read()
        return last(self._found.get(site, []))

    def end(self, topic: str) -> int:
        """Messages in a topic, those of transactions included."""
        consumer = self._connected()
        return sum(consumer.end_offsets([TopicPartition(topic, number) for number in range(PARTITIONS)]).values())

    def close(self) -> None:
        """Let go of the broker."""
        if self._consumer is not None:
            self._consumer.close(autocommit=False)

    def _connected(self) -> Any:
        if self._consumer is None:
            self._found, self._next = {}, {}
            self._consumer = KafkaConsumer(
                bootstrap_servers=self._kafka.bootstrap, group_id=None, enable_auto_commit=False,
                isolation_level="read_committed", max_partition_fetch_bytes=9 * 1024**2,
            )  # fmt: skip
            places = [TopicPartition(self._topics.alerts, number) for number in range(PARTITIONS)]
            self._consumer.assign(places)
            self._consumer.seek_to_beginning(*places)
        return self._consumer

    def _read(self) -> None:
        while found := self._connected().poll(timeout_ms=100):
            for messages in found.values():
                for message in messages:
                    self._take(message)

    def _take(self, message: Any) -> None:
        header = kafka_message.decode(message.headers)
        expected = self._next.get(header.run, 0)
        self.faulty += header.sequence < expected
        self.faulty += max(0, header.sequence - expected)
        self._next[header.run] = max(expected, header.sequence + 1)
        # Workers also tell what people's decisions did there, which are no alerts.
        if header.table == "alert":
            self._found.setdefault(header.site, []).extend(decode_alerts(message.value))


def _fewer(declaration: Declared) -> Declared:
    """The declaration with few partitions: a worker that starts looks at each."""
    topics = [replace(topic, partitions=min(PARTITIONS, topic.partitions)) for topic in declaration.topics]
    return replace(declaration, topics=topics)


def shipped(data: Path) -> tuple[int, int]:
    """Batches that the brokers have acknowledged, as the uplink keeps it, and those that wait."""
    try:
        told = json.loads((data / "uplink.json").read_text())
    except (OSError, ValueError):
        return 0, 0
    return int(told["position"]), int(told["lag_batches"])
