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
from collector.stream import BatchHeader, DamagedBatch, Outgoing, Position
from detection.alerts import encode_alerts
from detection.control import Effective, at, later
from detection.pipeline import Pipeline, State
from detection.site import Site

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence
    from pathlib import Path

    from collector.stream import Delivery, Stream
    from detection.control import Control

CONSUMER: Final = "detection"
"""Name under which the stream of records is read."""

SENSOR: Final = "detection"
"""Name under which alerts are published."""

POLL_SECONDS: Final = 0.25
"""How long to wait for batches before looking whether to stop."""

CHECKPOINT_SECONDS: Final = 2.0
"""How often a checkpoint is written while there is work; a crash repeats at most this."""

CHECKPOINT_FORMAT: Final = 1


@dataclass(slots=True)
class Counters:
    """What the worker did since its start."""

    batches: int = 0
    """Record batches looked at."""
    records: int = 0
    """Records looked at."""
    alerts: int = 0
    """Alert upserts published."""
    damaged: int = 0
    """Batches that could not be read and were passed over."""
    seconds: float = 0.0
    """Time that detection took."""
    gaps: int = 0
    """Holes in the sequences of sensors."""


@dataclass(slots=True)
class _Pending:
    """Batches of a cut that is not complete."""

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
        self._cuts: dict[tuple[str, str], _Pending] = {}
        self._saved = 0.0
        self._dirty = False
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
            while not stop.is_set():
                try:
                    deliveries = consumer.poll(POLL_SECONDS)
                except DamagedBatch as damage:
                    self.counters.damaged += 1
                    self._position = damage.position
                    continue
                self._take(deliveries)
                if self._dirty and (not deliveries or time.monotonic() - self._saved > CHECKPOINT_SECONDS):
                    self._save()
                    consumer.commit(self._position)
            if self._dirty:
                self._save()
                consumer.commit(self._position)

    def drain(self) -> None:
        """Work off all that is in the stream now, and write the checkpoint."""
        with self._records.subscribe(CONSUMER, self._position) as consumer:
            while True:
                try:
                    deliveries = consumer.poll(0)
                except DamagedBatch as damage:
                    self.counters.damaged += 1
                    self._position = damage.position
                    continue
                if not deliveries:
                    break
                self._take(deliveries)
            self._save()
            consumer.commit(self._position)

    def _take(self, deliveries: Sequence[Delivery]) -> None:
        """Hand whole cuts to the detectors; what is left of a cut waits."""
        for delivery in deliveries:
            header = delivery.header
            if delivery.gap is not None:
                self.counters.gaps += 1
            pending = self._cuts.setdefault(header.run, _Pending())
            try:
                pending.batches.append(decode(header, delivery.data))
            except Undecodable:
                self.counters.damaged += 1
            if header.cut_last:
                cut = self._cuts.pop(header.run).batches
                self._detect(cut, self._pipeline_at(*delivery.offset))
                if not self._cuts:
                    self._position = delivery.position
                    self._dirty = True

    def _detect(self, cut: list[RecordBatch], pipeline: Pipeline) -> None:
        start = time.perf_counter()
        self._state, upserts = pipeline.step(self._state, cut)
        self.counters.seconds += time.perf_counter() - start
        self.counters.batches += len(cut)
        self.counters.records += sum(batch.rows.height for batch in cut)
        if not upserts:
            return
        highest = self._alerts.highest(SENSOR, self._epoch)
        sequence = 0 if highest is None else highest + 1
        header = BatchHeader(
            sensor=SENSOR,
            epoch=self._epoch,
            sequence=sequence,
            table="alert",
            rows=len(upserts),
            site=self._pipeline.site.site,
            cut=sequence,
            cut_start=upserts[0].first_seen,
            cut_end=max(alert.last_seen for alert in upserts),
        )
        self._alerts.publish([Outgoing(header, encode_alerts(upserts))])
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
        self._dirty = False
