"""The loop on one machine: stream → detection → alert upserts → checkpoint.

The checkpoint (state, and the position that it belongs to) is written after the alerts are durable. After a crash the loop goes
on from the checkpoint and makes the alerts since then again, with the same identities and revisions, so that whoever applies them
sees each once.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from collector.records import Undecodable, decode
from collector.store import RecordBatch
from collector.stream import DamagedBatch, Position
from detection.alerts import encode_alerts
from detection.control import Effective, at, later
from detection.pipeline import Pipeline, State
from detection.publish import Publisher
from detection.site import Site

if TYPE_CHECKING:
    import threading
    from pathlib import Path

    from collector.stream import BatchHeader, Consumer, Run, Stream
    from detection.control import Control

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

CHECKPOINT_FORMAT: Final = 8
"""Version of the checkpoint's content."""

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


@dataclass(slots=True)
class _Pending:
    """Batches of a cut that is not complete."""

    cut: int
    sequence: int
    """Sequence of its first batch."""
    first: tuple[str, int]
    """Place of its first batch in the stream."""
    last: tuple[str, int] = ("", 0)
    """Place of its last batch so far."""
    batches: list[RecordBatch] = field(default_factory=list[RecordBatch])


class CheckpointError(Exception):
    """A checkpoint cannot be used. The text is one line that says what to do."""


class Worker:
    """Runs detection over a stream of records and publishes alerts.

    Args:
        records: the sensors' records.
        alerts: where alerts are published.
        pipeline: the detectors.
        checkpoint: file of the checkpoint; its folder exists.
        control: where the versions of the site's facts are written down, each with the place from which it holds. Without it the
            pipeline's site holds throughout.
    """

    def __init__(
        self, records: Stream, alerts: Stream, pipeline: Pipeline, checkpoint: Path, control: Control | None = None
    ) -> None:
        self.counters = Counters()
        self._records = records
        self._alerts = alerts
        self._pipeline = pipeline
        self._checkpoint = checkpoint
        self._position, self._state, self._epoch = self._restore()
        self._cuts: dict[Run, _Pending] = {}
        self._saved = 0.0
        self._save_seconds = 0.0
        self._dirty = False
        if not checkpoint.exists():
            # The epoch of the alerts is durable before the first of them.
            self._save()
        self._schedule = self._scheduled(control)
        self._pipelines = {pipeline.site.version: pipeline}

    def _scheduled(self, control: Control | None) -> list[Effective]:
        """The versions of the site's facts; the pipeline's own is written down where it is new."""
        if control is None:
            return []
        schedule = control.sites()
        last = schedule[-1] if schedule else Effective(Site(), Position())
        if not schedule or last.site.version != self._pipeline.site.version:
            schedule.append(Effective(self._pipeline.site, later(self._position, last.position)))
            control.publish(schedule[-1])
        return schedule

    def _pipeline_at(self, partition: str, offset: int) -> Pipeline:
        """The detectors with the facts that hold at this place."""
        site = at(self._schedule, partition, offset) or self._pipeline.site
        if site.version not in self._pipelines:
            self._pipelines[site.version] = Pipeline.of(list(self._pipeline.detector.rules.values()), site)
        return self._pipelines[site.version]

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set. Raises StreamError where a stream cannot be used."""
        with self._records.subscribe(CONSUMER, self._position) as consumer:
            # Where the end came between checkpoint and commit, nothing new might ever come to commit it with.
            consumer.commit(self._position)
            while not stop.is_set():
                worked = self._work(consumer, POLL_SECONDS)
                if self._dirty and self._is_due(idle=not worked):
                    self._save()
                    consumer.commit(self._position)
            if self._dirty:
                self._save()
                consumer.commit(self._position)

    def drain(self) -> None:
        """Work off all that is in the stream now, and write the checkpoint."""
        with self._records.subscribe(CONSUMER, self._position) as consumer:
            while self._work(consumer, 0):
                pass
            self._save()
            consumer.commit(self._position)

    def _is_due(self, *, idle: bool) -> bool:
        """Whether a checkpoint shall be written now: at once when there is nothing to do, but never most of the time."""
        pause_seconds = max(0.0 if idle else CHECKPOINT_SECONDS, CHECKPOINT_SHARE * self._save_seconds)
        return time.monotonic() - self._saved > pause_seconds

    def _work(self, consumer: Consumer, timeout_seconds: float) -> bool:
        """Take the next batches; False where there were none."""
        try:
            deliveries = consumer.poll(timeout_seconds)
        except DamagedBatch as damage:
            self.counters.damaged += 1
            if damage.header is not None:
                self._take(damage.header, None, self._offset_before(damage.position))
            self._stand(damage.position)
            return True
        for delivery in deliveries:
            self.counters.gaps += delivery.gap is not None
            try:
                batch = decode(delivery.header, delivery.data)
            except Undecodable:
                self.counters.damaged += 1
                batch = None
            self._take(delivery.header, batch, delivery.offset)
            self._stand(delivery.position)
        return bool(deliveries)

    def _take(self, header: BatchHeader, batch: RecordBatch | None, offset: tuple[str, int]) -> None:
        """Hand whole cuts to the detectors; what is left of a cut waits."""
        pending = self._cuts.get(header.run)
        if pending is not None and pending.cut != header.cut:
            # The end of the cut before is lost: what there is of it is all there will be.
            self._finish(header.run)
            pending = None
        if pending is None:
            pending = self._cuts[header.run] = _Pending(header.cut, header.sequence, offset)
        pending.last = offset
        if batch is not None:
            pending.batches.append(batch)
        if header.cut_last or len(pending.batches) >= CUT_BATCHES:
            self._finish(header.run)

    def _finish(self, run: Run) -> None:
        pending = self._cuts.pop(run)
        if pending.batches:
            self._detect(pending.batches, self._pipeline_at(*pending.last))

    def _stand(self, position: Position) -> None:
        """Stand behind what has been detected, and before what waits for the rest of its cut."""
        offsets, seen = dict(position.offsets), dict(position.seen)
        for run, pending in self._cuts.items():
            partition, offset = pending.first
            offsets[partition] = min(offsets.get(partition, offset), offset)
            seen.pop(run, None)
            if pending.sequence > 0:
                seen[run] = pending.sequence - 1
        self._position = Position(offsets, seen)
        self._dirty = True

    def _offset_before(self, position: Position) -> tuple[str, int]:
        """The place of the batch that a position lies just behind."""
        partition = next((name for name, offset in position.offsets.items() if offset != self._position.offsets.get(name)), "0")
        return partition, max(0, position.offsets.get(partition, 1) - 1)

    def _detect(self, cut: list[RecordBatch], pipeline: Pipeline) -> None:
        start = time.perf_counter()
        before = self._state.findings
        self._state, upserts = pipeline.step(self._state, cut)
        self.counters.seconds += time.perf_counter() - start
        self.counters.batches += len(cut)
        self.counters.records += sum(batch.rows.height for batch in cut)
        self.counters.findings += max(0, self._state.findings - before)
        self.counters.limited = self._state.limited
        if not upserts:
            return
        times = upserts[0].first_seen, max(alert.last_seen for alert in upserts)
        publisher = Publisher(self._alerts, SENSOR, self._epoch, "alert")
        publisher.publish(encode_alerts(upserts), len(upserts), self._pipeline.site.site, times)
        self.counters.alerts += len(upserts)

    def _restore(self) -> tuple[Position, State, str]:
        try:
            content = json.loads(self._checkpoint.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return Position(), State(), secrets.token_hex(16)
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"{self._checkpoint}: cannot be read ({error}); move it away to detect anew from the records"
            ) from error
        try:
            if content["format"] != CHECKPOINT_FORMAT:
                raise CheckpointError(f"{self._checkpoint}: of another version; move it away to detect anew from the records")
            return Position.from_json(content["position"]), State.from_json(content["state"]), str(content["epoch"])
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{self._checkpoint}: damaged ({error}); move it away to detect anew from the records"
            ) from error

    def _save(self) -> None:
        """Write the checkpoint whole or not at all."""
        start = time.monotonic()
        content = {
            "format": CHECKPOINT_FORMAT,
            "epoch": self._epoch,
            "position": self._position.to_json(),
            "state": self._state.to_json(),
            "site": self._pipeline.site.version,
        }
        part = self._checkpoint.with_suffix(".part")
        with part.open("w", encoding="utf-8") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._checkpoint)
        folder = os.open(self._checkpoint.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._saved = time.monotonic()
        self._save_seconds = self._saved - start
        self._dirty = False
