"""The loop on one machine: stream → detection → alert upserts → checkpoint.

The checkpoint (state, and the position that it belongs to) is written after the alerts are durable. After a crash the loop goes
on from the checkpoint and makes the alerts since then again, with the same identities and revisions, so that whoever applies them
sees each once.

Work is shared out by run, which is one sensor's records: what is found in a run depends on that run alone, so that as many as
there are shards are worked on side by side. What is told of a site rests on all its runs, in the order in which their cuts were
let through (`merging`), and is decided behind them in one thread (`sitewide`). So one shard or four publish the same alerts to
the byte and in the same order, and a site with one sensor has no use for a second shard.
"""

from __future__ import annotations

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from collector.records import Undecodable, decode
from collector.stream import DamagedBatch, Position
from detection.alerts import encode_alerts
from detection.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from detection.clock import gone_back
from detection.cuts import Cut, Pending, side_by_side, together
from detection.in_force import InForce
from detection.merging import Merge
from detection.own_alerts import CLOCK_WENT_BACK, HOUR_NS, RECORDS_LATE, of_sensor
from detection.pipeline import RunState, State
from detection.publish import Publisher
from detection.settings import DetectionSettings

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from collector.store import RecordBatch
    from collector.stream import BatchHeader, Consumer, Run, Stream
    from detection.alerts import Alert
    from detection.baseline.decisions import Decision
    from detection.control import Control
    from detection.in_force import LiveRules
    from detection.pipeline import Pipeline
    from detection.site import Site
    from detection.site_file import SiteFile
    from detection.sitewide import Looked

CONSUMER: Final = "detection"
"""Name under which the stream of records is read."""

SENSOR: Final = "detection"
"""Name under which alerts are published."""

POLL_SECONDS: Final = 0.25
"""How long to wait for batches before looking whether to stop."""

CHECKPOINT_SECONDS: Final = 2.0
"""How often a checkpoint is written while there is work; a crash repeats at most this."""

CHECKPOINT_SHARE: Final = 10
"""After a checkpoint at least this many times as long as it took goes by until the next: a large state takes long to write."""

RELOAD_SECONDS: Final = 1.0
"""How often the files of the rules and of the site are looked at; a change is taken over at the second look that finds it
settled."""

TOLD: Final = 2_000
"""What was told of the times of so many runs is remembered, so that it is told once an hour."""

CUT_BATCHES: Final = 64
"""Batches of one cut that wait for its last; a cut has one for each table, so more come only from a sender that is broken."""


@dataclass(slots=True)
class Counters:
    """What the worker did since its start."""

    batches: int = 0
    """Record batches looked at."""
    records: int = 0
    """Records looked at."""
    findings: int = 0
    """Records that belong to what rules found."""
    alerts: int = 0
    """Alert upserts published."""
    limited: int = 0
    """How often a bound has bitten since the state began: what detection had to forget."""
    damaged: int = 0
    """Batches that could not be read and were passed over."""
    seconds: float = 0.0
    """Time that detection took."""
    gaps: int = 0
    """Holes in the sequences of sensors."""
    late: int = 0
    """Cuts that came further behind the site's other sensors than the allowance, since the state began."""
    hurried: int = 0
    """Cuts that did not wait for the site's other sensors because too many waited, since the state began."""
    set_back: int = 0
    """Records that came from a clock that was set back by more than the allowance."""
    reloads: int = 0
    """Versions of the rules and of the site that were taken over while the loop ran."""
    refused: int = 0
    """Files among the decisions that wait which are none, and were set aside."""


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
        self.counters = Counters()
        self._shards = shards
        self._threads = ThreadPoolExecutor(shards, thread_name_prefix="detection") if shards > 1 else None
        self._records = records
        self._alerts = alerts
        self._pipeline = pipeline
        self._checkpoint = checkpoint
        self._allowance_ns = round((settings or DetectionSettings()).lateness_seconds * 1_000_000_000)
        before = self._restore()
        self._position, self._state, self._epoch = before.position, before.state, before.epoch
        self._merge = Merge[Cut].from_json(self._allowance_ns, before.order)
        self.counters.limited = self._state.limited
        self.counters.late, self.counters.hurried = self._merge.counted.late, self._merge.counted.hurried
        self._told: dict[str, int] = dict(before.order["told"])
        self._through_at: dict[str, int] = dict(before.order["through_at"])
        """How far each partition was taken when what waited was let through, until that is worked off or comes again."""
        self._heard = time.monotonic()
        self._cuts: dict[Run, Pending] = {}
        self._saved = 0.0
        self._save_seconds = 0.0
        self._dirty = False
        if before.ended or not checkpoint.exists():
            # The epoch of the alerts, and that no orderly end came after them, is durable before the first of them.
            self._save()
        # What lies before may have been worked on before a crash, and must come out as it did then.
        end = self._position if before.ended else records.end()
        self._repeated = end.offsets
        self._in_force = InForce(pipeline, (self._position, end), control, rules, site_file)
        self._reached = dict(self._position.offsets)
        self._done: list[Cut] = []
        self._looked = time.monotonic()
        if rules is not None:
            self._publish(rules.told)

    @property
    def decisions(self) -> Sequence[Decision]:
        """All decisions about what is normal that were taken up, in order."""
        return self._in_force.decisions

    @property
    def facts(self) -> Site:
        """The facts of the site's file that hold for what comes; the same object until others do."""
        return self._in_force.facts

    @property
    def site(self) -> Site:
        """The facts that hold for what comes, the exceptions that people made among them."""
        return self._in_force.site

    @property
    def state(self) -> State:
        """What detection remembers now."""
        return self._state

    def _look_at_files(self) -> None:
        """Take rules and facts over whose files have changed, from the place on that is reached."""
        if self._is_repeating() or time.monotonic() - self._looked < RELOAD_SECONDS:
            return
        self._looked = time.monotonic()
        self._publish(self._in_force.look_at_files(self._reached))
        self.counters.reloads = self._in_force.reloads

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set. Raises StreamError where a stream cannot be used."""
        with self._records.subscribe(CONSUMER, self._position) as consumer:
            # Where the end came between checkpoint and commit, nothing new might ever come to commit it with.
            consumer.commit(self._position)
            while not stop.is_set():
                self._look_at_files()
                worked = self._work(consumer, POLL_SECONDS)
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
        self._save(ended=not self._cuts and not self._merge.waiting)
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
                self._take(damage.header, None, self._offset_before(damage.position))
            self._let_through_again()
            self._detect()
            self._stand(damage.position)
            return True
        for delivery in deliveries:
            partition, offset = delivery.offset
            self._reach(partition, offset + 1)
            self.counters.gaps += delivery.gap is not None
            try:
                batch = decode(delivery.header, delivery.data)
            except Undecodable:
                self.counters.damaged += 1
                batch = None
            self._take(delivery.header, batch, delivery.offset)
            self._let_through_again()
        self._detect()
        if deliveries:
            self._heard = time.monotonic()
            self._stand(deliveries[-1].position)
        elif self._merge.waiting and time.monotonic() - self._heard > self._allowance_ns / 1e9:
            self._let_through(consumer.position)
        return bool(deliveries)

    def _let_through(self, position: Position) -> None:
        """Work off what waits for other sensors, which have nothing to say.

        That follows from the time at which records came, not from their order: how far they had come is durable before it is
        done, so that after a crash the same is let through at the same place, whatever has come since.
        """
        if not self._merge.waiting:
            return
        self._through_at = dict(self._reached)
        self._save()
        self._let_through_again()
        self._detect()
        self._stand(position)

    def _let_through_again(self) -> None:
        """Let through what waits where all is taken up to the place at which that was done."""
        if self._through_at and all(self._reached.get(name, 0) >= offset for name, offset in self._through_at.items()):
            self._through_at = {}
            self._done += self._merge.all()

    def _take_up(self) -> None:
        """Write down from which place the decisions hold that people took since: from the next batch on."""
        if not self._is_repeating():
            self._in_force.take_up(self._reached)
            self.counters.refused = self._in_force.refused

    def _is_repeating(self) -> bool:
        """Whether what comes next may have been looked at before a crash, and its alerts be told: nothing new holds there."""
        return any(self._reached.get(partition, 0) < offset for partition, offset in self._repeated.items())

    def _reach(self, partition: str, offset: int) -> None:
        """Everything before this place has been taken."""
        self._reached[partition] = max(self._reached.get(partition, 0), offset)

    def _take(self, header: BatchHeader, batch: RecordBatch | None, offset: tuple[str, int]) -> None:
        """Hand whole cuts to the detectors; what is left of a cut waits."""
        pending = self._cuts.get(header.run)
        if pending is not None and pending.cut != header.cut:
            # The end of the cut before is lost: what there is of it is all there will be.
            self._finish(header.run)
            pending = None
        if pending is None:
            pending = self._cuts[header.run] = Pending(header.cut, header.sequence, offset)
        pending.last = offset
        if batch is not None:
            pending.batches.append(batch)
        if header.cut_last or len(pending.batches) >= CUT_BATCHES:
            self._finish(header.run)

    def _finish(self, run: Run) -> None:
        pending = self._cuts.pop(run)
        if pending.batches:
            cut = Cut(run, pending.sequence, pending.first, pending.batches, *self._in_force.at(*pending.last))
            self._done += self._merge.take(cut)
            self._look_at_times(cut)

    def _look_at_times(self, cut: Cut) -> None:
        """Count and tell what is out of time: once an hour for each run."""
        self.counters.late, self.counters.hurried = self._merge.counted.late, self._merge.counted.hurried
        records, back_ns = gone_back(cut.batches, self._allowance_ns)
        self.counters.set_back += records
        found = {RECORDS_LATE: self._merge.behind.pop(cut.run, 0), CLOCK_WENT_BACK: back_ns if records else 0}
        for kind, behind_ns in found.items():
            name, hour = "\x1f".join((kind, *cut.run)), cut.known_until // HOUR_NS
            if behind_ns and self._told.get(name) != hour:
                self._told.pop(name, None)
                self._told[name] = hour
                if len(self._told) > TOLD:
                    del self._told[next(iter(self._told))]
                self._publish([of_sensor(kind, cut.run, cut.known_until, behind_ns, self._allowance_ns)])

    def _stand(self, position: Position) -> None:
        """Stand behind what has been detected, and before what waits for the rest of its cut or for other sensors."""
        offsets, seen = dict(position.offsets), dict(position.seen)
        waiting = [(run, pending.first, pending.sequence) for run, pending in self._cuts.items()]
        waiting += [(cut.run, cut.first, cut.sequence) for cut in self._merge.waiting]
        for run, (partition, offset), sequence in waiting:
            offsets[partition] = min(offsets.get(partition, offset), offset)
            seen[run] = min(seen.get(run, sequence), sequence - 1)
        seen = {run: sequence for run, sequence in seen.items() if sequence >= 0}
        self._position = Position(offsets, seen)
        self._dirty = True

    def _offset_before(self, position: Position) -> tuple[str, int]:
        """The place of the batch that a position lies just behind."""
        partition = next((name for name, offset in position.offsets.items() if offset != self._position.offsets.get(name)), "0")
        return partition, max(0, position.offsets.get(partition, 1) - 1)

    def _detect(self) -> None:
        """Work whole cuts off, in the order in which they were let through; those of different runs side by side."""
        done, self._done = self._done, []
        start = time.perf_counter()
        before = self._state.findings
        # What is told rests on one version of rules and facts.
        for _, group in groupby(done, key=lambda cut: id(cut.pipeline)):
            alike = list(group)
            while alike:
                count = self._state.together([cut.batches[-1].header for cut in alike])
                self._tell(together([cut.placed(place) for place, cut in enumerate(alike[:count])]))
                alike = alike[count:]
        self.counters.seconds += time.perf_counter() - start
        self.counters.findings += max(0, self._state.findings - before)
        self.counters.limited = self._state.limited

    def _tell(self, waiting: Sequence[Cut]) -> None:
        """Work cuts off that have the same rules and facts and are told together, and publish what is to be told of them."""
        pipeline = waiting[0].pipeline
        looked: list[Looked] = []
        while waiting:
            wave = side_by_side(waiting)
            waiting = waiting[len(wave) :]
            held = [self._state.runs.get(cut.run) or RunState() for cut in wave]
            outcomes: Iterable[tuple[RunState, Looked]]
            if self._threads is None or len(wave) == 1:
                outcomes = map(Cut.step, wave, held)
            else:
                outcomes = self._threads.map(Cut.step, wave, held)
            for cut, (after, found) in zip(wave, outcomes, strict=True):
                self._state = self._state.with_run(cut.run, after)
                self.counters.batches += len(cut.batches)
                self.counters.records += cut.rows
                looked.append(found)
        self._state, upserts = self._state.told(looked, pipeline.detector.rules, pipeline.site)
        self._publish(upserts)

    def _publish(self, upserts: Sequence[Alert]) -> None:
        """Put alerts on the stream; durable on return."""
        if not upserts:
            return
        times = min(alert.first_seen for alert in upserts), max(alert.last_seen for alert in upserts)
        publisher = Publisher(self._alerts, SENSOR, self._epoch, "alert")
        publisher.publish(encode_alerts(upserts), len(upserts), self._pipeline.site.site, times)
        self.counters.alerts += len(upserts)

    def _restore(self) -> Checkpoint:
        try:
            return read_checkpoint(self._checkpoint)
        except FileNotFoundError:
            order: dict[str, Any] = {**Merge[Cut](self._allowance_ns).to_json(), "told": {}, "through_at": {}}
            return Checkpoint(Position(), State(), secrets.token_hex(16), order, ended=False)

    def _save(self, *, ended: bool = False) -> None:
        """Write the checkpoint whole or not at all."""
        start = time.monotonic()
        order = {**self._merge.to_json(), "told": self._told, "through_at": self._through_at}
        site = self._pipeline.site.version
        write_checkpoint(self._checkpoint, Checkpoint(self._position, self._state, self._epoch, order, ended, site))
        self._saved = time.monotonic()
        self._save_seconds = self._saved - start
        self._dirty = False
