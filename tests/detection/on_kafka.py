"""Detection on Kafka for tests: topics, records that are sent, workers of this process, and the alerts that come of it."""

# kafka-python ships no types for its clients.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import secrets
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.structs import TopicPartition

from detection.alerts import decode_alerts
from detection.changelog import group_of
from detection.published import Published
from detection.scaleout import worker
from detection.settings import DetectionSettings
from sensor import kafka_message
from sensor.kafka_settings import KafkaSettings
from sensor.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from pathlib import Path

    from collector.stream import Outgoing
    from detection.alerts import Alert
    from detection.loop import Counters
    from tests.services.kafka import Kafka

UNTIL_SECONDS: Final = 240.0
"""How long a worker works at most until something holds."""

FOREVER: Final = {"retention.ms": "-1", "max.message.bytes": str(9 * 1024**2)}
PACKED: Final = {**FOREVER, "compression.type": "gzip", "compression.gzip.level": "1"}
COMPACTED: Final = {**FOREVER, "cleanup.policy": "compact"}


class System:
    """The topics of one test on a broker, and who uses them."""

    def __init__(self, kafka: Kafka, folder: Path, partitions: int = 2, *, lateness_seconds: float = 10.0) -> None:
        self.kafka = KafkaSettings(bootstrap=kafka.bootstrap, security="plaintext", prefix=f"t{secrets.token_hex(6)}")
        self.topics = Topics(self.kafka.prefix)
        self.folder = folder / "state"
        self.settings = DetectionSettings(
            lateness_seconds=lateness_seconds, commit_seconds=0.3, state_folder=self.folder
        )  # fmt: skip
        self.partitions = partitions
        self.came_ms = 1_700_000_000_000
        """When the last message came to the topic: the tests say so, not the clock."""
        bounds = {
            self.topics.records: PACKED,
            self.topics.alerts: FOREVER,
            self.topics.shares: FOREVER,
            self.topics.decisions: FOREVER,
            self.topics.versions: COMPACTED,
        }
        made = {name: {"num_partitions": partitions, "replication_factor": 1, "configs": each} for name, each in bounds.items()}
        admin: Any = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
        admin.create_topics(made, wait_for_metadata=True)
        admin.close()

    def environment(self) -> dict[str, str]:
        """The settings for another process."""
        return {
            "ICSIGHT_KAFKA_BOOTSTRAP": self.kafka.bootstrap,
            "ICSIGHT_KAFKA_SECURITY": "plaintext",
            "ICSIGHT_KAFKA_PREFIX": self.kafka.prefix,
            "ICSIGHT_DETECTION_LATENESS_SECONDS": str(self.settings.lateness_seconds),
            "ICSIGHT_DETECTION_COMMIT_SECONDS": str(self.settings.commit_seconds),
            "ICSIGHT_DETECTION_STATE_FOLDER": str(self.folder),
        }

    def send(self, batches: Iterable[Outgoing]) -> None:
        """Put record batches on the topic, in order, each a millisecond later than the one before; durable on return."""
        producer: Any = KafkaProducer(bootstrap_servers=self.kafka.bootstrap, max_request_size=9 * 1024**2, linger_ms=5)
        for batch in batches:
            message = kafka_message.encode(batch.header, batch.data)
            self.came_ms += 1
            producer.send(
                self.topics.records, key=message.key, value=message.value, headers=message.headers, timestamp_ms=self.came_ms
            )
        producer.flush()
        producer.close()

    def send_long_after(self, last: Outgoing) -> None:
        """A site's last batch comes once more, an hour later: by then nothing waits for silent sensors."""
        self.came_ms += 3_600_000
        self.send([last])

    def work(self, name: str = "one", idle_seconds: float = 3.0, until: Callable[[], bool] | None = None) -> Counters:
        """Run a worker in this process until no message has come for a time; what it did at the sites that it had.

        With `until` the same worker works until that holds, or for `UNTIL_SECONDS`: who looks then sees that it does not.
        """
        published = Published(self.kafka, self.topics)
        try:
            application, detection = worker(self.kafka, self.settings, name, published, self.folder)
            told: list[Counters] = []
            flush = detection.flush

            def flushing() -> None:
                flush()
                told[:] = [loop.counters for loop in (*detection.loops, *detection.shares.loops)]

            detection.flush = flushing
            if until is None:
                application.run(timeout=idle_seconds)
            else:
                with stopped(application, until):
                    application.run()
        finally:
            published.close()
        whole = detection.counters
        for counters in told:
            for field in ("batches", "records", "alerts", "damaged", "gaps", "late", "reloads"):
                setattr(whole, field, getattr(whole, field) + getattr(counters, field))
        return whole

    def alerts(self) -> list[Alert]:
        """All alerts that are committed, in the order of each site; each batch must be there once."""
        found: list[Alert] = []
        seen: set[tuple[str, str, int]] = set()
        for headers, value in self._messages(self.topics.alerts):
            header = kafka_message.decode(headers)
            place = (header.sensor, header.epoch, header.sequence)
            assert place not in seen, "a batch of alerts was published twice"
            seen.add(place)
            found += decode_alerts(value) if header.table == "alert" else []
        for sender, epoch, sequence in seen:
            assert sequence == 0 or (sender, epoch, sequence - 1) in seen, "a batch is missing"
        return found

    def alerts_by_site(self) -> list[tuple[str, Alert]]:
        """All alerts that are committed, each with its site."""
        batches = [(kafka_message.decode(headers), value) for headers, value in self._messages(self.topics.alerts)]
        return [(header.site, alert) for header, value in batches if header.table == "alert" for alert in decode_alerts(value)]

    def epochs(self) -> set[tuple[str, str]]:
        """Sites with the epochs of their alerts: one for each time that a site began."""
        headers = [kafka_message.decode(headers) for headers, _ in self._messages(self.topics.alerts)]
        return {(header.site, header.epoch) for header in headers}

    def drop_records(self) -> None:
        """The records that are there are older than they are kept."""
        consumer: Any = KafkaConsumer(bootstrap_servers=self.kafka.bootstrap, group_id=None)
        ends = consumer.end_offsets([TopicPartition(self.topics.records, number) for number in range(self.partitions)])
        consumer.close()
        admin: Any = KafkaAdminClient(bootstrap_servers=self.kafka.bootstrap)
        admin.delete_records(ends)
        admin.close()

    def forget_places(self) -> None:
        """Nobody was a member of the workers' group for so long that brokers have forgotten it."""
        admin: Any = KafkaAdminClient(bootstrap_servers=self.kafka.bootstrap)
        self.wait_until_missed()
        admin.delete_groups([group_of(self.kafka.prefix)])
        admin.close()
        assert self.committed() == 0

    def wait_until_missed(self) -> None:
        """Wait until brokers know that no worker runs: each keeps its place for a while after its end."""
        admin: Any = KafkaAdminClient(bootstrap_servers=self.kafka.bootstrap)
        end = time.monotonic() + 60
        while any(each["members"] for each in admin.describe_groups([group_of(self.kafka.prefix)]).values()):
            assert time.monotonic() < end
            time.sleep(0.5)
        admin.close()

    def committed(self) -> int:
        """Messages that workers have done with."""
        return sum(self._done(self.topics.records).values())

    def shared(self) -> int:
        """Messages of shares that workers have done with."""
        return sum(self._done(self.topics.shares).values())

    def share_partitions(self) -> set[int]:
        """The partitions of shares whose messages workers have done with."""
        return {number for number, done in self._done(self.topics.shares).items() if done}

    def _done(self, topic: str) -> dict[int, int]:
        consumer: Any = KafkaConsumer(bootstrap_servers=self.kafka.bootstrap, group_id=group_of(self.kafka.prefix))
        done = {number: consumer.committed(TopicPartition(topic, number)) or 0 for number in range(self.partitions)}
        consumer.close()
        return done

    def _messages(self, topic: str) -> list[tuple[list[tuple[str, bytes]], bytes]]:
        consumer: Any = KafkaConsumer(
            bootstrap_servers=self.kafka.bootstrap, group_id=None, enable_auto_commit=False, isolation_level="read_committed",
            max_partition_fetch_bytes=9 * 1024**2,
        )  # fmt: skip
        places = [TopicPartition(topic, number) for number in range(self.partitions)]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        end = consumer.end_offsets(places)
        found: list[tuple[list[tuple[str, bytes]], bytes]] = []
        while any(consumer.position(place) < end[place] for place in places):
            for messages in consumer.poll(timeout_ms=200).values():
                found += [(list(message.headers), message.value) for message in messages]
        consumer.close()
        return found


@contextmanager
def stopped(application: Any, until: Callable[[], bool]) -> Generator[None]:
    """Stop an application of Quix once something holds, or after `UNTIL_SECONDS`."""
    ended = threading.Event()

    def watch() -> None:
        end = time.monotonic() + UNTIL_SECONDS
        try:
            while not ended.wait(1.0) and not until() and time.monotonic() < end:
                pass
        finally:
            application.stop()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
