"""Detection on several machines: the same loop as on one (`loop`), on Quix Streams over Kafka.

The topic of records is shared out among workers by partition; a site lies in one partition, so that what is told of it stays
whole. At each commit one transaction of Kafka holds the alerts, what is remembered of the sites (`site_loop`, to a changelog
topic) and how far the records were read: all of it, or nothing. A worker that is killed leaves nothing half done; whoever takes
its partitions over reads the changelog and goes on. There may be as many workers as the topic has partitions.

A site whose facts say that it is split has here no more than the order of its sensors' cuts: what is found in the records of each
sensor, and what is told of that, is the matter of `shares`, on whichever workers.

What a transaction holds is made when it is committed: until then whole cuts gather, and what they say is looked at together.
"""

# Quix Streams' own annotations are partial.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypedDict, cast

from confluent_kafka import KafkaException, TopicPartition

from detection.assigned import Assigned
from detection.changelog import PARTITION, SITE, SITES_MET, ChangelogCheckpoints, changelog_of, group_of, shares_changelog_of
from detection.checkpoint import CheckpointError
from detection.forgotten import restore
from detection.loop import GATHERED_BYTES
from detection.metrics import CONSUMER, failures
from detection.partition_clock import PartitionClock
from detection.pipeline import STEP_ROWS
from detection.quix import Application, ConnectionConfig, topic_of
from detection.shares import Shares
from detection.site_loop import SiteLoop
from detection.teller_loop import CUTS
from sensor import kafka_message
from sensor.kafka_client import librdkafka_arguments, probe
from sensor.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from detection.loop import Counters
    from detection.published import Published
    from detection.settings import DetectionSettings
    from sensor.kafka_settings import KafkaSettings
    from sensor.spool_format import BatchHeader

_log: Final = logging.getLogger(__name__)

SITES: Final = 1_000
"""Most sites of a partition; what comes of others is counted, and not looked at: each takes memory for ever."""

COMMIT_SHARE: Final = 10
"""After a commit at least this many times as long as it took to make goes by until the next."""

COMMIT_SECONDS: Final = 30.0
"""But no longer than this: well below the longest time of a transaction."""

SESSION_MILLISECONDS: Final = 10_000
"""How long a worker may be silent until its partitions go to others."""

TRANSACTION_MILLISECONDS: Final = 120_000
"""Longest time of a transaction: that of a worker that was killed holds up readers of alerts so long, or until a worker of its
name starts again."""

POLL_SECONDS: Final = 0.1

WAIT_SECONDS: Final = 1.0
"""How often is looked whether records of sites that are split are to wait for their shares."""

END_SECONDS: Final = 1.0
"""How long brokers may take to say where a partition ends; they are asked only where something has waited long enough."""

_CLOCK: Final = "clock"
"""Key in the store, of the partition, of what waits in it (`_Waiting`)."""


class _Waiting(TypedDict):
    """What is remembered of a partition in which something waits for other sensors."""

    next: int
    """Place behind the last message that was taken."""
    sites: dict[str, str]
    """The keys of the sites at which something waits, each with its name."""


@dataclass(slots=True)
class _Partition:
    """A partition that the worker has."""

    owner: object
    """Quix' copy of its state: another whenever it has been assigned anew."""
    clock: PartitionClock
    kept: _Waiting | None
    """What is in the store."""
    left: dict[str, str]
    """Of the sites at which something waits those that are not taken up yet."""
    sites: int
    """Sites that were met in it."""


class Detection(Assigned[SiteLoop]):
    """The detection of the partitions that this worker has.

    Quix hands over each message (`add`), and asks for what is to be in a transaction before it commits it (`flush`).
    """

    def __init__(self, settings: DetectionSettings, topics: Topics, published: Published, shares: Shares) -> None:
        super().__init__(topics.records, CONSUMER)
        self.shares: Final = shares
        """What it has of sites that are split."""
        self._topics = topics
        self._published = published
        self._allowance_ns = round(settings.lateness_seconds * 1_000_000_000)
        self._waiting_bytes = settings.waiting_bytes
        self._partitions: dict[int, _Partition] = {}
        self._gathered = 0
        self._waits = 0
        """Bytes that wait, unpacked, or more: what has gone on since all sites were looked at last is not taken off."""
        self._commit_seconds = settings.commit_seconds
        self._paused: set[int] = set()
        self._waited = 0.0

    def attach(self, frame: object) -> None:
        """As `Assigned.attach`."""
        super().attach(frame)
        self._frame.processing_context.dataframe_registry.register_periodic_task(self.tick)

    def add(  # noqa: PLR0913, PLR0917 - Quix' own
        self, value: Any, key: Any, timestamp: int, headers: Any, topic: str, partition: int, offset: int,
    ) -> None:  # fmt: skip
        """Take a message in."""
        del topic
        self._taken.hold(partition)
        if self._taken.is_halted(partition):
            return
        try:
            header = _header(key, headers)
            site = None if header is None else self._site(partition, kafka_message.key_of(header).decode(), header.site)
        except (kafka_message.NewerMessage, CheckpointError) as error:
            self._taken.halt(partition, offset, str(error))
            return
        self._clock(partition).take(offset, timestamp, time.monotonic())
        if header is None:
            self.counters.damaged += 1
            return
        if site is None:
            self.counters.turned_away += 1
            return
        waited = site.loop.waiting_bytes
        self._gathered += max(len(value or b""), site.take(header, cast("bytes", value or b""), offset, timestamp))
        self.progress.did(header.cut_end)
        self._waits += site.loop.waiting_bytes - waited
        # At each message, as on one machine: what goes on where must not hang on when a worker began.
        if self._waits > self._waiting_bytes:
            self._hold_to_bound()
        if site.loop.gathered >= STEP_ROWS or self._gathered >= GATHERED_BYTES:
            self._detect()

    def _hold_to_bound(self) -> None:
        """Let what waits go on where it is more than may, at the site that has most: who floods one changes nothing at others."""
        sites = list(self.loops)
        while (waits := sum(site.loop.waiting_bytes for site in sites)) > self._waiting_bytes:
            largest = max(sites, key=lambda site: site.loop.waiting_bytes)
            largest.loop.hold_to(max(0, largest.loop.waiting_bytes - (waits - self._waiting_bytes)))
            largest.changed = True
        self._waits = waits

    def flush(self) -> None:
        """Look at what has gathered, and put alerts and what is remembered into the transaction that is about to be committed.

        Where partitions go to others Quix waits for this in another thread, only so long, and then goes on without: what comes
        later must not get into the transaction after.

        Raises:
            KafkaUnusable: what is to be committed was taken from partitions that others have by now, or it took too long.
        """
        within = self._committing()
        self._detect()
        began = time.monotonic()
        for (partition, name), site in self._live():
            if site.changed:
                within()
                self._keep(partition, name, site)
        self.stand()
        owners = self._owners()
        for partition in [each for each, held in self._partitions.items() if owners.get(each) is held.owner]:
            within()
            self._keep_waiting(partition)
        self._pace(time.monotonic() - began + self.shares.seconds)

    def _pace(self, seconds: float) -> None:
        """Commit less often where that takes long, as `worker` does: what is remembered may be large."""
        wanted = max(self._commit_seconds, min(COMMIT_SECONDS, COMMIT_SHARE * seconds))
        self._frame.processing_context.commit_interval = wanted

    def failures(self) -> Mapping[str, str]:
        """What does not work, by name. Safe from any thread."""
        halted = [*self.halted, *self.shares.halted, *self.shares.lost]
        told = {"messages": halted, "shares": self.shares.stuck}
        return {**failures(self.progress), **{name: "; ".join(each) for name, each in told.items() if each}}

    def tick(self) -> None:
        """Let through what has waited for silent sensors long enough."""
        self._published.check()
        self.look()
        self.shares.look()
        if self._frame.processing_context.state_manager.recovery_required:
            # A partition that was assigned just now: what is remembered of it is not read yet.
            return
        for partition in self._owners():
            self._clock(partition)
        self._take_up_next()
        for (partition, name), site in self._live():
            if site.waits and self._is_past(partition, site.silent_ms):
                site.let_through()
                self._keep(partition, name, site)
        self._wait_for_shares()

    def _wait_for_shares(self) -> None:
        """Take no more records of sites that are split while more waits for their shares than may; looks once in a while."""
        if time.monotonic() - self._waited < WAIT_SECONDS:
            return
        self._waited = time.monotonic()
        split = [(partition, site) for (partition, _), site in self._live() if site.shares]
        if not split and not self._paused:
            return
        is_behind, untold = bool(split) and self.shares.is_behind, self.shares.untold
        wanted = {partition for partition, site in split if is_behind or untold.get(site.teller, 0) > CUTS}
        consumer = self._frame.processing_context.consumer
        if wanted:
            # Those, too, that were: one that came anew is not paused.
            consumer.pause([TopicPartition(self._topics.records, partition) for partition in wanted])
        if self._paused - wanted:
            assigned = {place.partition for place in consumer.assignment() if place.topic == self._topics.records}
            over = {each for each in (self._paused - wanted) & assigned if not self._taken.is_halted(each)}
            consumer.resume([TopicPartition(self._topics.records, partition) for partition in over])
        self._paused = wanted

    def _take_up_next(self) -> None:
        """Take one of the sites up at which something waits: many at once would keep the worker from its brokers too long."""
        for partition, held in self._partitions.items():
            if held.left and self._owners().get(partition) is held.owner and not self._taken.is_halted(partition):
                name, called = next(iter(held.left.items()))
                try:
                    site = self._site(partition, name, called)
                except CheckpointError as error:
                    self._taken.halt(partition, held.clock.next, str(error))
                    continue
                held.clock.came_ms = max(held.clock.came_ms, 0 if site is None else site.heard_ms)
                return

    def _detect(self) -> None:
        self._gathered = 0
        for _, site in self._live():
            if site.changed:
                if site.is_to_be_split:
                    site.split(self.shares.number)
                site.detect()

    def _keep(self, partition: int, name: str, site: SiteLoop) -> None:
        self._taken.hold(partition)
        self.shares.publish(site.take_told())
        self.shares.send(site.take_sent())
        site.write(self._checkpoints(partition, name))

    def _keep_waiting(self, partition: int) -> None:
        """Put what waits in a partition into the transaction, so that whoever takes it over looks after it at once."""
        clock, held = self._clock(partition), self._partitions[partition]
        sites = {name: site.site for (there, name), site in self._live() if there == partition and site.waits}
        sites |= held.left
        waiting = _Waiting(next=clock.next, sites=sites) if sites else None
        if waiting != held.kept:
            held.kept = waiting
            self._state(partition, PARTITION).set_bytes(_CLOCK, json.dumps(waiting).encode())

    def _clock(self, partition: int) -> PartitionClock:
        """How far a partition is taken in time. One that is new here: what waits in it is taken up soon (`_take_up_next`)."""
        owner = self._owners()[partition]
        held = self._partitions.get(partition)
        if held is None or held.owner is not owner:
            said = self._state(partition, PARTITION).get_bytes(_CLOCK)
            kept = cast("_Waiting | None", None if said is None else json.loads(said))
            clock = PartitionClock(0 if kept is None else kept["next"], 0, time.monotonic())
            sites = int(self._state(partition, PARTITION).get_bytes(SITES_MET) or 0)
            left = {} if kept is None else dict(kept["sites"])
            held = self._partitions[partition] = _Partition(owner, clock, kept, left, sites)
        return held.clock

    def _is_past(self, partition: int, moment_ms: float) -> bool:
        """Whether all that came to a partition until a moment is taken."""

        def end() -> int | None:
            place = TopicPartition(self._topics.records, partition)
            try:
                found = self._frame.processing_context.consumer.get_watermark_offsets(place, timeout=END_SECONDS)
            except KafkaException:
                # Brokers cannot be reached now: what waits goes on to wait, and they are asked again.
                return None
            return None if found is None else found[1]

        return self._clock(partition).is_past(moment_ms, time.monotonic(), end)

    def counted(self) -> Counters:
        """As `Assigned.counted`, for what it has of sites that are split, too."""
        found = super().counted()
        found.add(self.shares.counted())
        found.refused += self._published.refused
        return found

    def _is_room(self, partition: int) -> bool:
        """Whether a partition may have one more site, which is counted then."""
        self._clock(partition)
        held = self._partitions[partition]
        if held.sites >= SITES:
            return False
        held.sites += 1
        self._state(partition, PARTITION).set_bytes(SITES_MET, str(held.sites).encode())
        return True

    def _site(self, partition: int, name: str, site: str) -> SiteLoop | None:
        """A site as it was when the last transaction was committed, and what came since; None where there is no room for it."""
        held = self._held(partition, name)
        if held is not None:
            return held
        checkpoints = self._checkpoints(partition, name)
        if not checkpoints.exists and not name.encode().startswith(SITE):
            # Versions before kept a site under its bare name; what is written from here on is where it belongs.
            before = ChangelogCheckpoints(self._state(partition, name.encode()), checkpoints.name)
            checkpoints = before if before.exists else checkpoints
        if not checkpoints.exists and not self._is_room(partition):
            return None
        loop = SiteLoop(name, site, partition, checkpoints, self._published, self._allowance_ns)
        self._waits += loop.loop.waiting_bytes
        self._clock(partition)
        self._partitions[partition].left.pop(name, None)
        return self._hold(partition, name, loop)

    def _checkpoints(self, partition: int, name: str) -> ChangelogCheckpoints:
        """What is remembered of a site, within the transaction that goes on."""
        state = self._state(partition, SITE + name.encode())
        return ChangelogCheckpoints(state, f"{changelog_of(self._topics.prefix)}, site {name!r}")


def _header(key: object, headers: Any) -> BatchHeader | None:
    """What a message says of its batch; None where it has none, or its key is that of another site. Raises NewerMessage."""
    try:
        header = kafka_message.decode(headers or ())
    except kafka_message.NewerMessage:
        raise
    except kafka_message.MessageError:
        return None
    return header if key == kafka_message.key_of(header) else None


def _goes_on(record: logging.LogRecord) -> bool:
    """Whether what the consumer logs is no end of the worker: that is told by who runs it, with what to do."""
    return record.levelno < logging.CRITICAL


def _untold(error: Exception, message: object, logger: logging.Logger) -> bool:
    """Let an error of the consumer end the worker without the library's own account of it, a stack of calls."""
    del error, message, logger
    return False


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
    partitions = probe(kafka, [topics.records, topics.alerts, topics.versions, topics.decisions, topics.shares])
    for topic, changelog in ((topics.records, changelog_of(kafka.prefix)), (topics.shares, shares_changelog_of(kafka.prefix))):
        for partition, offset in restore(kafka, topic, changelog).items():
            _log.warning("%s/%s: brokers had forgotten how far it was read: goes on at %s", topic, partition, offset)
    logging.getLogger("quixstreams").setLevel(logging.WARNING)
    logging.getLogger("quixstreams.kafka.consumer").addFilter(_goes_on)
    application = Application(
        ConnectionConfig.from_librdkafka_dict(librdkafka_arguments(kafka)),
        consumer_group=group_of(kafka.prefix),
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        commit_interval=settings.commit_seconds,
        consumer_poll_timeout=min(POLL_SECONDS, settings.commit_seconds),
        state_dir=folder / name,
        loglevel=None,
        on_consumer_error=_untold,
        # Nothing but the changelog is missing by now.
        auto_create_topics=True,
        # Who was away longer than records are kept goes on with those that there are, and what is gone is told. The copy of what
        # is remembered is made anew from the changelog, all of which was committed.
        auto_recover_from_source_offset_out_of_range=True,
        state_recovery_offset_reset="earliest",
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
    shares = Shares(topics, partitions[topics.shares])
    detection = Detection(settings, topics, published, shares)
    for sink, topic in ((detection, topics.records), (shares, topics.shares)):
        sink.attach(application.dataframe(topic_of(application, topic)))
    return application, detection
