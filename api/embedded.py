"""The whole system in one process: capture → spool → record store and detection → alerts → API.

Each part is a thread, and what lies between two parts is a spool on the disk, bounded by its quota: a part that falls behind
holds nobody up until the spool is full, and a crash at any moment leaves every part at a place that it goes on from.
"""

from __future__ import annotations

import logging
import os
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from api import system
from api.alerts.consumer import AlertConsumer
from api.alerts.upserts import position as alerts_position
from api.baseline import service as baseline
from api.capture import PART as CAPTURE
from api.capture import Capture
from api.database.turns import is_busy
from api.decisions import service as decisions
from api.evidence.pins import Pins
from api.exceptions import service as exceptions
from api.parts import Parts
from api.site import service as site_versions
from api.status import Gap
from collector import metrics as store_metrics
from collector.dead_letters import LetterFolder
from collector.stream import Position
from collector.stream.local import LocalStream
from collector.writer import CONSUMER as STORE
from collector.writer import Writer
from detection import metrics as detection_metrics
from detection.alert_batches import SENSOR as DETECTION_SENSOR
from detection.anomaly.promise import promise_of
from detection.checkpoint import CHECKPOINT_FILE
from detection.control import SENSOR as CONTROL_SENSOR
from detection.control import Control
from detection.in_force import LiveRules
from detection.inbox import Inbox
from detection.pipeline import Pipeline
from detection.ruleset import RuleFiles
from detection.worker import CONSUMER as DETECTION
from detection.worker import Worker
from sensor.control import CONTROL, Requests
from sensor.spool import Spool
from sensor.spool_files import SPOOL
from sensor.tables import LOCAL_SENSOR

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from api.services import Services
    from collector.stream import Gap as StreamGap
    from detection.loop import Counters
    from detection.remembered import Learned
    from detection.site import Site
    from detection.site_file import SiteFile
    from sensor.recorder import Listening

Facts = tuple["Site", "SiteFile | None"]
"""Facts of the site, and the file that they come from, where there is one."""

ALERTS: Final = "alerts"

PINS: Final = "pins"

RETRY_SECONDS: Final = 10.0
"""How long until a decision is left for detection again that could not be left."""

STOP_SECONDS: Final = 2.5
"""How long the parts get to end; each leaves a consistent state at any moment, so that none is waited for longer."""

_log = logging.getLogger(__name__)


class Embedded:
    """The parts that work on one data folder.

    Raises:
        CaptureError: the capture cannot be read.
        CheckpointError: detection's memory cannot be read.
        RuleError: a rule cannot be loaded.
        SpoolError, StreamError: a spool cannot be opened.
    """

    def __init__(
        self, services: Services, spools: tuple[Spool, Spool, Spool], capture: str | Listening,
        detectors: tuple[Pipeline, LiveRules, SiteFile | None], packets: tuple[str, int] | None = None,
    ) -> None:  # fmt: skip
        self._services = services
        folder = services.settings.data
        self._records = LocalStream(folder / SPOOL, spools[0])
        self._alerts = LocalStream(folder / system.ALERTS, spools[1])
        self._capture = Capture(capture, spools[0], services, packets)
        self._writer = Writer(
            self._records,
            services.records,
            LetterFolder(folder / system.DEAD_LETTERS),
            on_gap=self._gap,
            on_failure=self._failure,
        )
        downwards = LocalStream(folder / CONTROL, spools[2])
        control = Control(downwards, Inbox(folder))
        self._control = control
        self._followed = Position()
        self._retried = 0.0
        pipeline, rules, site_file = detectors
        shards = len(os.sched_getaffinity(0))
        self._worker = Worker(
            self._records, self._alerts, pipeline, folder / CHECKPOINT_FILE, control,
            rules=rules, site_file=site_file, shards=shards,
        )  # fmt: skip
        services.site, services.learned = pipeline.site.site, self._learned
        self._facts: Site | None = None
        self._adopted = 0
        self._lines: list[str] = []
        ring = None if packets is None else (Path(packets[0]), packets[1])
        self._requests = None if ring is None else Requests(folder, ring, spools[0].identity.sensor)
        pins = None if packets is None else Pins(lambda statement, _: control.pin(statement))
        self._consumer = AlertConsumer(self._alerts, services, pins)
        self._parts = Parts(services.status)
        self._refused = self._worker.counters.refused
        readings = services.metrics.readings
        readings.add(lambda: store_metrics.readings(self._writer))
        readings.add(lambda: detection_metrics.readings(self._worker.counters))
        readings.add(self._worker.progress.readings)
        services.watched.append(lambda: store_metrics.failures(self._writer))
        services.watched.append(lambda: detection_metrics.failures(self._worker.progress))

    @property
    def counters(self) -> Counters:
        """What detection did since the start."""
        return self._worker.counters

    def take_warnings(self) -> list[str]:
        """One line for each thing of the capture that could not be read, since the last look."""
        return self._capture.take_warnings()

    def take_lines(self) -> list[str]:
        """One line for each thing that was taken over, since the last look."""
        lines, self._lines = self._lines, []
        return lines

    def start(self) -> None:
        """Begin: those that use first, so that what comes is used at once."""
        self._take_over()
        decisions.send(self._services)
        self._parts.start(ALERTS, self._consumer.run)
        self._parts.start(DETECTION, self._worker.run)
        self._parts.start(STORE, self._writer.run)
        if self._requests is not None:
            self._parts.start(PINS, self._requests.run)
        self._parts.start(CAPTURE, self._capture.run)

    def wait(self, timeout_seconds: float) -> None:
        """Return when a part has failed, or after the timeout; tell how far each part is."""
        self._parts.woken.wait(timeout_seconds)
        self._observe()

    def done(self) -> bool:
        """Whether the capture has ended and all of it has been stored, looked at, and its alerts are in the database."""
        if not self._parts.done(CAPTURE):
            return False
        # What was seen before the capture ended says nothing of its last batches.
        self._observe()
        waiting = {part.name: part.waiting for part in self._services.status.parts()}
        if waiting.get(STORE) or waiting.get(DETECTION):
            return False
        # Detection is done with the records only now: what it said before is in the stream of alerts.
        if _behind(self._alerts.end(), self._alerts_position()):
            return False
        # Nothing more will come into the ring: what is to be pinned can be pinned now.
        return self._requests is None or self._requests.settled()

    def end(self) -> None:
        """Ask all parts to end."""
        self._parts.end()

    def stop(self) -> list[str]:
        """End all parts; returns those that did not end in time."""
        return self._parts.stop(STOP_SECONDS)

    def _learned(self) -> dict[str, list[Learned]]:
        """What detection has learned so far."""
        runs = self._worker.state.runs.items()
        found = [(run, each.baseline, promise_of(each.anomaly)) for run, each in runs if each.baseline is not None]
        return {self._worker.facts.site: found}

    def _take_over(self) -> None:
        """Write down what detection has taken up: decisions not known here, and a new version of the site's file, told."""
        taken = self._worker.decisions
        if len(taken) != self._adopted:
            with self._services.database.write() as session:
                baseline.adopt(session, taken, self._worker.facts.site)
            self._adopted = len(taken)
        changes, followed = self._control.changes_since(self._followed)
        if changes:
            with self._services.database.write() as session:
                exceptions.adopt(session, changes, self._worker.facts.site)
        self._followed = followed
        facts = self._worker.facts
        if facts is self._facts:
            return
        with self._services.database.write() as session:
            site_versions.take_over(session, facts)
        if self._facts is not None:
            self._lines.append(f"The site's file has changed: its version {facts.version[:8]} is in force.")
        self._facts = facts

    def _observe(self) -> None:
        try:
            self._take_over()
            if time.monotonic() - self._retried >= RETRY_SECONDS:
                self._retried = time.monotonic()
                decisions.send_unsent(self._services)
        except (OperationalError, PoolTimeoutError) as error:
            if not is_busy(error):
                raise
            # At the next look.
            _log.warning("what detection has taken up is written down later: the database is busy")
        status = self._services.status
        self._capture.observe()
        end = self._records.end()
        status.tell(STORE, batches=self._writer.counters.batches, waiting=_behind(end, self._services.records.position(STORE)))
        counters = self._worker.counters
        with self._records.subscribe(DETECTION) as standing:
            status.tell(DETECTION, batches=counters.batches, waiting=_behind(end, standing.position))
        status.tell(ALERTS, waiting=_behind(self._alerts.end(), self._alerts_position()))
        if counters.refused > self._refused:
            self._lines.append("A file among the decisions is none and was set aside: look for *.refused in the data folder.")
        self._refused = counters.refused

    def _alerts_position(self) -> Position:
        with self._services.database.read() as session:
            return alerts_position(session)

    def _gap(self, gap: StreamGap) -> None:
        sensor, epoch = gap.run
        self._services.status.gap(Gap(STORE, sensor, epoch, gap.expected, gap.found))

    def _failure(self, line: str) -> None:
        self._services.status.tell(STORE, detail=line)


@contextmanager
def embedded(
    services: Services, capture: str | Listening, facts: Facts, rules: Sequence[Path], packets: tuple[str, int] | None = None
) -> Generator[Embedded]:
    """The parts of a system on its data folder, not started yet. Raises as `Embedded` does."""
    folder = services.settings.data
    site, site_file = facts
    with ExitStack() as stack:
        (folder / CHECKPOINT_FILE).parent.mkdir(mode=0o700, exist_ok=True)
        records = stack.enter_context(Spool(folder / SPOOL, sensor=LOCAL_SENSOR, site=site.site))
        alerts = stack.enter_context(Spool(folder / system.ALERTS, sensor=DETECTION_SENSOR, site=site.site))
        control = stack.enter_context(Spool(folder / CONTROL, sensor=CONTROL_SENSOR, site=site.site))
        files = RuleFiles(rules)
        ruleset = files.read()
        pipeline, told = Pipeline.proved(ruleset, site)
        services.ruleset = lambda _: RuleFiles(rules).read()
        yield Embedded(
            services, (records, alerts, control), capture, (pipeline, LiveRules(files, ruleset, told), site_file), packets
        )


def _behind(end: Position, at: Position | None) -> int:
    """How many batches lie between a place in a stream and its end."""
    return sum(offset - (0 if at is None else at.offsets.get(partition, 0)) for partition, offset in end.offsets.items())
