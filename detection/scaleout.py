"""Detection on several machines: the same loop as on one (`loop`), on Quix Streams over Kafka.

The topic of records is shared out among workers by partition; a site lies in one partition, so that what is told of it stays
whole. At each commit one transaction of Kafka holds the alerts, what is remembered of the sites (`site_loop`, to a changelog
topic) and how far the records were read: all of it, or nothing. A worker that is killed leaves nothing half done; whoever takes
its partitions over reads the changelog and goes on. There may be as many workers as the topic has partitions.

What a transaction holds is made when it is committed: until then whole cuts gather, and what they say is looked at together.
"""

# Quix Streams' own annotations are partial.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

import logging
import time
import warnings
from typing import TYPE_CHECKING, Any, Final, cast

from detection.changelog import SITE, STORE, ChangelogCheckpoints, changelog_of, group_of
from detection.loop import Counters
from detection.metrics import CONSUMER
from detection.pipeline import STEP_ROWS
from detection.site_loop import SiteLoop
from sensor import kafka_message
from sensor.kafka_client import KafkaUnusable, librdkafka_arguments, probe
from sensor.progress import Progress
from sensor.topics import Topics

with warnings.catch_warnings(record=True):
    # A library that Quix rests on tells everybody that another is to take its place.
    from quixstreams import Application
    from quixstreams.exceptions import QuixException
    from quixstreams.kafka.configuration import ConnectionConfig
    from quixstreams.sinks.base import BaseSink

__all__ = ["Detection", "QuixException", "worker"]

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from detection.changelog import Store
    from detection.published import Published
    from detection.settings import DetectionSettings
    from sensor.kafka_settings import KafkaSettings

GATHERED_BYTES: Final = 64 * 1024 * 1024
"""Most bytes of messages that gather until they are looked at."""

SESSION_MILLISECONDS: Final = 10_000
"""How long a worker may be silent until its partitions go to others."""

TRANSACTION_MILLISECONDS: Final = 120_000
"""Longest time of a transaction: that of a worker that was killed holds up readers of alerts so long, or until a worker of its
name starts again."""

POLL_SECONDS: Final = 0.1

STAND_SECONDS: Final = 1.0
"""How often is noted how far a worker is."""


class Detection(BaseSink):
    """The detection of the partitions that this worker has.

    Quix hands over each message (`add`), and asks for what is to be in a transaction before it commits it (`flush`).
    """

    def __init__(self, settings: DetectionSettings, topics: Topics, published: Published) -> None:
        super().__init__()
        self.counters = Counters()
        """What was done by sites that this worker has no more, and messages that are no batches."""
        self._topics = topics
        self._published = published
        self._allowance_ns = round(settings.lateness_seconds * 1_000_000_000)
        self.progress = Progress(CONSUMER)
        """How far it is in the partitions that it has."""
        self._stood = 0.0
        self._sites: dict[tuple[int, str], tuple[object, SiteLoop]] = {}
        self._gathered = 0
        self._frame: Any = None

    def attach(self, frame: object) -> None:
        """Take the messages of a data frame of Quix, in exactly one application."""
        self._frame = frame
        self._frame.register_store()
        self._frame.sink(self)
        self._frame.processing_context.dataframe_registry.register_periodic_task(self.tick)

    @property
    def sites(self) -> Iterable[SiteLoop]:
        """The sites that it has."""
        return [site for _, site in self._sites.values()]

    def add(  # noqa: PLR0913, PLR0917 - Quix' own
        self, value: Any, key: Any, timestamp: int, headers: Any, topic: str, partition: int, offset: int,
    ) -> None:  # fmt: skip
        """Take a message in."""
        del timestamp
        try:
            header = kafka_message.decode(headers or ())
        except kafka_message.NewerMessage as error:
            # Its transaction is never committed: a worker that can read it begins before it.
            raise KafkaUnusable(f"{topic}/{partition}/{offset}: {error}") from error
        except kafka_message.MessageError:
            self.counters.damaged += 1
            return
        name = cast("bytes", key or b"").decode(errors="replace")
        site = self._site(partition, name, header.site)
        site.take(header, cast("bytes", value or b""), offset)
        self.progress.did(header.cut_end)
        self._gathered += len(value or b"")
        if site.loop.gathered >= STEP_ROWS or self._gathered >= GATHERED_BYTES:
            self._detect()

    def flush(self) -> None:
        """Look at what has gathered, and put alerts and what is remembered into the transaction that is about to be committed."""
        self._detect()
        for (partition, name), (_, site) in self._live():
            if site.changed:
                self._keep(partition, name, site)
        self._stand()

    def tick(self) -> None:
        """Let through what has waited for silent sensors long enough."""
        self._published.check()
        self._stand()
        for (partition, name), (_, site) in self._live():
            if site.let_through():
                self._keep(partition, name, site)

    def _detect(self) -> None:
        self._gathered = 0
        for _, (_, site) in self._live():
            if site.changed:
                site.detect()

    def _stand(self) -> None:
        """Note once a second how far it is, as far as that is known without asking a broker."""
        if time.monotonic() - self._stood < STAND_SECONDS:
            return
        self._stood = time.monotonic()
        consumer = self._frame.processing_context.consumer
        ends: dict[str, int] = {}
        offsets: dict[str, int] = {}
        for place in consumer.assignment():
            if place.topic != self._topics.records:
                continue
            _, end = consumer.get_watermark_offsets(place, cached=True)
            (at,) = consumer.position([place])
            # Both are negative until the first message has come.
            name = str(place.partition)
            offsets[name] = at.offset if at.offset >= 0 else max(end, 0)
            ends[name] = max(end, offsets[name])
        self.progress.stand(ends, offsets)

    def _keep(self, partition: int, name: str, site: SiteLoop) -> None:
        producer = self._frame.processing_context.producer
        for batch in site.take_told():
            message = kafka_message.encode(batch.header, batch.data)
            producer.produce(topic=self._topics.alerts, key=message.key, value=message.value, headers=message.headers)
        site.write(self._checkpoints(partition, name))

    def _live(self) -> list[tuple[tuple[int, str], tuple[object, SiteLoop]]]:
        """The sites of the partitions that the worker has; what it remembers of others is forgotten."""
        owners = self._owners()
        gone = [place for place, held in self._sites.items() if owners.get(place[0]) is not held[0]]
        for place in gone:
            self._forget(place)
        return list(self._sites.items())

    def _forget(self, place: tuple[int, str]) -> None:
        """Let a site go; what was done for it stays counted."""
        _, site = self._sites.pop(place)
        self.counters.add(site.loop.counters)

    def counted(self) -> Counters:
        """What this worker has done since its start, for all sites that it has or had. Safe from any thread."""
        found = Counters()
        found.add(self.counters)
        for _, site in list(self._sites.values()):
            found.add(site.loop.counters)
        return found

    def _site(self, partition: int, name: str, site: str) -> SiteLoop:
        """A site as it was when the last transaction was committed, and what came since."""
        owner = self._owners()[partition]
        held = self._sites.get((partition, name))
        if held is None or held[0] is not owner:
            if held is not None:
                self._forget((partition, name))
            checkpoints = self._checkpoints(partition, name)
            loop = SiteLoop(name, site, partition, checkpoints, self._published, self._allowance_ns)
            held = self._sites[partition, name] = owner, loop
        return held[1]

    def _owners(self) -> dict[int, object]:
        """Quix' copy of each partition's state; another whenever the partition has been assigned anew."""
        context = self._frame.processing_context
        return context.state_manager.get_store(self._frame.stream_id, STORE).partitions

    def _checkpoints(self, partition: int, name: str) -> ChangelogCheckpoints:
        """What is remembered of a site, within the transaction that goes on."""
        checkpoint = self._frame.processing_context.checkpoint
        state = checkpoint.get_store_transaction(self._frame.stream_id, partition, STORE).as_state(prefix=SITE + name.encode())
        return ChangelogCheckpoints(cast("Store", state), f"{changelog_of(self._topics.prefix)}, site {name!r}")


def worker(
    kafka: KafkaSettings, settings: DetectionSettings, name: str, published: Published, folder: Path
) -> tuple[Application, Detection]:
    """A worker that is ready to run: `Application.run()` returns when the process is asked to end.

    Args:
        kafka: how Kafka is reached.
        settings: settings of detection.
        name: the worker's name: a worker of the same name that still runs is shut out.
        published: versions and decisions.
        folder: where a copy of what is remembered is kept.

    Raises:
        KafkaUnusable: Kafka cannot be used, or a topic is missing.
        QuixException: the changelog, which is made where it is missing, has not as many partitions as the records.
    """
    topics = Topics(kafka.prefix)
    probe(kafka, [topics.records, topics.alerts, topics.versions, topics.decisions])
    logging.getLogger("quixstreams").setLevel(logging.WARNING)
    application = Application(
        ConnectionConfig.from_librdkafka_dict(librdkafka_arguments(kafka)),
        consumer_group=group_of(kafka.prefix),
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        commit_interval=settings.commit_seconds,
        consumer_poll_timeout=min(POLL_SECONDS, settings.commit_seconds),
        state_dir=folder / name,
        loglevel=None,
        # Nothing but the changelog is missing by now.
        auto_create_topics=True,
        # What is gone from the topic before it was looked at is told, and no reason to forget what is remembered.
        auto_recover_from_source_offset_out_of_range=False,
        consumer_extra_config={
            "session.timeout.ms": SESSION_MILLISECONDS,
            "group.instance.id": f"{group_of(kafka.prefix)}-{name}",
            "message.max.bytes": kafka.largest_message_bytes,
            "fetch.message.max.bytes": kafka.largest_message_bytes,
        },
        producer_extra_config={
            "transactional.id": f"{group_of(kafka.prefix)}-{name}",
            "transaction.timeout.ms": TRANSACTION_MILLISECONDS,
            "message.max.bytes": kafka.largest_message_bytes,
            "partitioner": "murmur2_random",
        },
    )
    detection = Detection(settings, topics, published)
    records = application.topic(topics.records, key_deserializer="bytes", value_deserializer="bytes")
    detection.attach(application.dataframe(records))
    return application, detection
