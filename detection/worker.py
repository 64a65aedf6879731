"""The loop on one machine: stream → detection (`loop`) → alert upserts → checkpoint.

The checkpoint (state, and the position that it belongs to) is written after the alerts are durable. After a crash the loop goes
on from the checkpoint and makes the alerts since then again, with the same identities and revisions, so that whoever applies them
sees each once.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from collector.records import Undecodable, decode
from collector.stream import DamagedBatch, Position
from detection.alert_batches import SENSOR, encoded
from detection.checkpoint import Checkpoint, FileCheckpoints
from detection.in_force import InForce
from detection.loop import GATHERED_BYTES, Loop
from detection.pipeline import State
from detection.publish import Publisher
from detection.settings import DetectionSettings
from sensor.configuration import configured
from sensor.progress import Progress

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence
    from pathlib import Path

    from collector.stream import Consumer, Stream
    from detection.alerts import Alert
    from detection.baseline.decisions import Decision
    from detection.control import Control
    from detection.in_force import LiveRules
    from detection.pipeline import Pipeline
    from detection.site import Site
    from detection.site_file import SiteFile

CONSUMER: Final = "detection"
"""Name under which the stream of records is read."""

POLL_SECONDS: Final = 0.25
"""How long to wait for batches before looking whether to stop."""

CHECKPOINT_SECONDS: Final = 2.0
"""How often a checkpoint is written while there is work; a crash repeats at most this."""

CHECKPOINT_SHARE: Final = 10
"""After a checkpoint at least this many times as long as it took goes by until the next: a large state takes long to write."""

RELOAD_SECONDS: Final = 1.0
"""How often the files of the rules and of the site are looked at; a change is taken over at the second look that finds it
settled."""


class Worker:
    """Runs detection over a stream of records and publishes alerts.

    Args:
        records: the sensors' records.
        alerts: where alerts are published.
        pipeline: the detectors.
        checkpoint: file of the checkpoint; its folder exists.
        control: where the versions of the site's facts and of the rules, and what people decide of what is normal, are written
            down, each with the place from which it holds. Without it the pipeline's own hold throughout, and nothing is learned.
        settings: how records are taken in; from the environment where none are given.
        rules: where the pipeline's rules come from; looked at while the loop runs. None: they never change.
        site_file: where the pipeline's facts come from, likewise.
        shards: runs that are worked on side by side. What comes of it does not depend on it.
    """

    def __init__(  # noqa: PLR0913 - a process wires it once
        self, records: Stream, alerts: Stream, pipeline: Pipeline, checkpoint: Path, control: Control | None = None,
        *, rules: LiveRules | None = None, site_file: SiteFile | None = None, shards: int = 1,
        settings: DetectionSettings | None = None,
    ) -> None:  # fmt: skip
        self._records = records
        self._alerts = alerts
        self._pipeline = pipeline
        self._checkpoint = FileCheckpoints(checkpoint)
        settings = settings or configured(DetectionSettings)
        self._allowance_ns = round(settings.lateness_seconds * 1_000_000_000)
        kept = self._checkpoint.read()
        before = kept or Checkpoint(Position(), State(), secrets.token_hex(16), {}, ended=False)
        self._position, self._epoch = before.position, before.epoch
        self._through_at: dict[str, int] = dict(before.order.get("through_at", {}))
        """How far each partition was taken when what waited was let through, until that is worked off or comes again."""
        self._heard = time.monotonic()
        # What lies before may have been worked on before a crash, and must come out as it did then.
        end = self._position if before.ended else records.end()
        self._repeated = end.offsets
        if before.ended or kept is None:
            # The epoch of the alerts, and that no orderly end came after them, is durable before the first of them.
            self._checkpoint.write(replace(before, ended=False, site=pipeline.site.version))
        in_force = InForce(pipeline, (self._position, end), control, rules, site_file)
        self._loop = Loop(
            before.state, before.order, in_force, self._publish, self._allowance_ns, shards, settings.waiting_bytes
        )  # fmt: skip
        self.counters = self._loop.counters
        self.progress: Final = Progress(CONSUMER)
        self._reached = dict(self._position.offsets)
        self._saved = time.monotonic()
        self._save_seconds = 0.0
        self._dirty = False
        self._looked = time.monotonic()
        if rules is not None:
            self._loop.publish(rules.told)

    @property
    def decisions(self) -> Sequence[Decision]:
        """All decisions about what is normal that were taken up, in order."""
        return self._loop.in_force.decisions

    @property
    def facts(self) -> Site:
        """The facts of the site's file that hold for what comes; the same object until others do."""
        return self._loop.in_force.facts

    @property
    def site(self) -> Site:
        """The facts that hold for what comes, the exceptions that people made among them."""
        return self._loop.in_force.site

    @property
    def state(self) -> State:
        """What detection remembers now."""
        return self._loop.state

    def _look_at_files(self) -> None:
        """Take rules and facts over whose files have changed, from the place on that is reached."""
        if self._is_repeating() or time.monotonic() - self._looked < RELOAD_SECONDS:
            return
        self._looked = time.monotonic()
        self._loop.publish(self._loop.in_force.look_at_files(self._reached))
        self.counters.reloads = self._loop.in_force.reloads

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set. Raises StreamError where a stream cannot be used."""
        with self._records.subscribe(CONSUMER, self._position) as consumer:
            # Where the end came between checkpoint and commit, nothing new might ever come to commit it with.
            consumer.commit(self._position)
            while not stop.is_set():
                self._look_at_files()
                worked = self._work(consumer, POLL_SECONDS)
                self.progress.stand(consumer.ends, consumer.position.offsets)
                if self._dirty and self._is_due(idle=not worked):
                    self._save()
                    consumer.commit(self._position)
            self._end(consumer)

    def drain(self) -> None:
        """Work off all that is in the stream now, and write the checkpoint."""
        with self._records.subscribe(CONSUMER, self._position) as consumer:
            while self._work(consumer, 0):
                pass
            self._let_through(consumer.position)
            self._take_up()
            self._end(consumer)

    def _end(self, consumer: Consumer) -> None:
        """Write the last checkpoint of an orderly end."""
        self._save(ended=not self._loop.waiting())
        consumer.commit(self._position)

    def _is_due(self, *, idle: bool) -> bool:
        """Whether a checkpoint shall be written now: at once when there is nothing to do, but never most of the time."""
        pause_seconds = max(0.0 if idle else CHECKPOINT_SECONDS, CHECKPOINT_SHARE * self._save_seconds)
        return time.monotonic() - self._saved > pause_seconds

    def _work(self, consumer: Consumer, timeout_seconds: float) -> bool:
        """Take the next batches; False where there were none."""
        self._take_up()
        try:
            deliveries = consumer.poll(timeout_seconds)
        except DamagedBatch as damage:
            self.counters.damaged += 1
            for partition, offset in damage.position.offsets.items():
                self._reach(partition, offset)
            if damage.header is not None:
                self._loop.take(damage.header, None, self._offset_before(damage.position))
            self._let_through_again()
            self._loop.detect()
            self._stand(damage.position)
            return True
        gathered = 0
        for delivery in deliveries:
            partition, offset = delivery.offset
            self._reach(partition, offset + 1)
            try:
                batch = decode(delivery.header, delivery.data)
            except Undecodable:
                self.counters.damaged += 1
                batch = None
            self._loop.take(delivery.header, batch, delivery.offset)
            self._let_through_again()
            gathered += len(delivery.data) if batch is None else batch.size
            if gathered >= GATHERED_BYTES:
                gathered = 0
                self._loop.detect()
        self._loop.detect()
        if deliveries:
            self._heard = time.monotonic()
            self._stand(deliveries[-1].position)
            self.progress.did(max(delivery.header.cut_end for delivery in deliveries))
        elif self._loop.waits_for_others and time.monotonic() - self._heard > self._allowance_ns / 1e9:
            self._let_through(consumer.position)
        return bool(deliveries)

    def _let_through(self, position: Position) -> None:
        """Work off what waits for other sensors, which have nothing to say.

        That follows from the time at which records came, not from their order: how far they had come is durable before it is
        done, so that after a crash the same is let through at the same place, whatever has come since.
        """
        if not self._loop.waits_for_others:
            return
        self._through_at = dict(self._reached)
        self._save()
        self._let_through_again()
        self._loop.detect()
        self._stand(position)

    def _let_through_again(self) -> None:
        """Let through what waits where all is taken up to the place at which that was done."""
        if self._through_at and all(self._reached.get(name, 0) >= offset for name, offset in self._through_at.items()):
            self._through_at = {}
            self._loop.let_through()

    def _take_up(self) -> None:
        """Write down from which place the decisions hold that people took since: from the next batch on."""
        if not self._is_repeating():
            self._loop.in_force.take_up(self._reached)
            self.counters.refused = self._loop.in_force.refused

    def _is_repeating(self) -> bool:
        """Whether what comes next may have been looked at before a crash, and its alerts be told: nothing new holds there."""
        return any(self._reached.get(partition, 0) < offset for partition, offset in self._repeated.items())

    def _reach(self, partition: str, offset: int) -> None:
        """Everything before this place has been taken."""
        self._reached[partition] = max(self._reached.get(partition, 0), offset)

    def _stand(self, position: Position) -> None:
        """Stand behind what has been detected, and before what waits for the rest of its cut or for other sensors."""
        offsets, seen = dict(position.offsets), dict(position.seen)
        for run, (partition, offset), sequence in self._loop.waiting():
            offsets[partition] = min(offsets.get(partition, offset), offset)
            seen[run] = min(seen.get(run, sequence), sequence - 1)
        seen = {run: sequence for run, sequence in seen.items() if sequence >= 0}
        self._position = Position(offsets, seen)
        self._dirty = True

    def _offset_before(self, position: Position) -> tuple[str, int]:
        """The place of the batch that a position lies just behind."""
        partition = next((name for name, offset in position.offsets.items() if offset != self._position.offsets.get(name)), "0")
        return partition, max(0, position.offsets.get(partition, 1) - 1)

    def _publish(self, upserts: Sequence[Alert]) -> None:
        """Put alerts on the stream; durable on return."""
        publisher = Publisher(self._alerts, SENSOR, self._epoch, "alert")
        for part, data in encoded(upserts):
            times = min(alert.first_seen for alert in part), max(alert.last_seen for alert in part)
            publisher.publish(data, len(part), self._pipeline.site.site, times)

    def _save(self, *, ended: bool = False) -> None:
        """Write the checkpoint whole or not at all."""
        start = time.monotonic()
        order = {**self._loop.order, "through_at": self._through_at}
        site = self._pipeline.site.version
        self._checkpoint.write(Checkpoint(self._position, self._loop.state, self._epoch, order, ended, site))
        self._saved = time.monotonic()
        self._save_seconds = self._saved - start
        self._dirty = False
