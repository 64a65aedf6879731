"""The core of detection's loop, without any stream, file or clock: batches go in, alert upserts come out.

Whoever runs it (`worker` on one machine, `scaleout` on several) hands over the batches of a stream in its order with their
places, says when to look at what has gathered, and keeps what is remembered together with the place that it belongs to.

Work is shared out by run, which is one sensor's records: what is found in a run depends on that run alone, so that as many as
there are shards are worked on side by side. What is told of a site rests on all its runs, in the order in which their cuts were
let through (`merging`), and is decided behind them in one thread (`sitewide`). So one shard or four publish the same alerts to
the byte and in the same order, and a site with one sensor has no use for a second shard.
"""

from __future__ import annotations

import logging
import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from detection.clock import gone_back
from detection.cuts import Cut, Pending, side_by_side, together
from detection.gaps import Gaps
from detection.merging import Merge
from detection.own_alerts import CLOCK_WENT_BACK, HOUR_NS, RECORDS_LATE, of_sensor
from detection.pipeline import RunState
from detection.timing import TELLING, added, timed
from sensor import tracing
from sensor.logs import batch_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from collector.store import RecordBatch
    from collector.stream import BatchHeader, Run
    from detection.alerts import Alert
    from detection.in_force import InForce
    from detection.pipeline import State
    from detection.sitewide import Looked

_log: Final = logging.getLogger(__name__)

GATHERED_BYTES: Final = 64 * 1024 * 1024
"""Most bytes of records, unpacked, that gather until they are looked at, and of messages."""

TOLD: Final = 2_000
"""What was told of the times of so many runs is remembered, so that it is told once an hour."""

CUT_BATCHES: Final = 64
"""Batches of one cut that wait for its last; a cut has one for each table, so more come only from a sender that is broken."""


PENDING_CUTS: Final = 256
"""Runs of which a cut may wait for its end; beyond that the cut that began first ends."""


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
    crowded: int = 0
    """Cuts that did not wait for their end or for other sensors because what waited was too large."""
    damaged: int = 0
    """Batches that could not be read and were passed over."""
    seconds: float = 0.0
    """Time that detection took."""
    detectors: dict[str, float] = field(default_factory=dict[str, float])
    """Time that each part of it took, seconds (`timing.DETECTORS`)."""
    turned_away: int = 0
    """Messages of sites for which there was no room."""
    passed_over: int = 0
    """Messages of sites that are split which are none of what goes on of them."""
    gaps: int = 0
    """Holes in the sequences of sensors."""
    late: int = 0
    """Cuts that came further behind the site's other sensors than the allowance, since the state began."""
    hurried: int = 0
    """Cuts that did not wait for the site's other sensors because too many waited, since the state began."""
    silent: int = 0
    """Times that what waited for other sensors was let through because nothing came of them."""
    forgotten: int = 0
    """Runs of sensors whose clocks or numbers were let go because there were too many."""
    set_back: int = 0
    """Records that came from a clock that was set back by more than the allowance."""
    reloads: int = 0
    """Versions of the rules and of the site that were taken over while the loop ran."""
    refused: int = 0
    """Files among the decisions that wait which are none, and were set aside; on Kafka, messages among versions and decisions."""

    def since(self, began: Counters) -> Counters:
        """What has come since it was `began`, of what is counted since the state began; the rest as it is."""
        return replace(
            self, limited=max(0, self.limited - began.limited), late=self.late - began.late, hurried=self.hurried - began.hurried
        )

    def add(self, other: Counters) -> None:
        """Count what another has counted, too."""
        for each in fields(Counters):
            mine, others = getattr(self, each.name), getattr(other, each.name)
            setattr(self, each.name, added(mine, others) if each.name == "detectors" else mine + others)


class Loop:
    """Detection over the batches of one stream.

    Args:
        state: what is remembered.
        order: what is remembered of the order of records (`Loop.order`); empty at the beginning.
        in_force: what holds at each place.
        publish: takes the alert upserts.
        allowance_ns: how far a sensor may be behind the others of its site to be waited for.
        waiting_bytes: most bytes, unpacked, that wait in it; who has several loops holds all of them to a bound (`hold_to`).
        shards: runs that are worked on side by side. What comes of it does not depend on it.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - two callers wire it
        self, state: State, order: Mapping[str, Any], in_force: InForce, publish: Callable[[Sequence[Alert]], None],
        allowance_ns: int, shards: int = 1, waiting_bytes: float = math.inf,
    ) -> None:  # fmt: skip
        self.counters = Counters()
        self.state = state
        self.in_force = in_force
        self._publish = publish
        self._allowance_ns = allowance_ns
        self._threads = ThreadPoolExecutor(shards, thread_name_prefix="detection") if shards > 1 else None
        self._merge = Merge[Cut].from_json(allowance_ns, order) if order else Merge[Cut](allowance_ns)
        self._told: dict[str, int] = dict(order.get("told", {}))
        self._gaps = Gaps.from_json(order.get("gaps", {}))
        self.counters.limited = state.limited
        self.counters.late, self.counters.hurried = self._merge.counted.late, self._merge.counted.hurried
        self._began = replace(self.counters)
        self._cuts: dict[Run, Pending] = {}
        self._most_bytes = waiting_bytes
        self.waiting_bytes = 0
        """Bytes, unpacked, of what waits for the end of its cut or for other sensors."""
        self._done: list[Cut] = []
        self.gathered = 0
        """Records that `detect` would look at."""

    @property
    def order(self) -> dict[str, Any]:
        """What must be remembered of the order of records, beside what waits, which is taken again."""
        return {**self._merge.to_json(), "told": self._told, "gaps": self._gaps.to_json()}

    @property
    def done(self) -> Counters:
        """What was done here since this loop began, also of what is counted since the state began. Safe from any thread."""
        return self.counters.since(self._began)

    def begin(self, state: State) -> None:
        """Go on with another state, as who had it before left it: what had been counted then was not done here."""
        self._began.limited += state.limited - self.counters.limited
        self.counters.limited = state.limited
        self.state = state

    @property
    def waits_for_others(self) -> bool:
        """Whether something waits for what other sensors of its site bring."""
        return self._merge.is_waiting

    def waiting(self) -> list[tuple[Run, tuple[str, int], int]]:
        """What waits: run, and place and sequence of its first batch. All of the run from there on waits too."""
        waiting = [(run, pending.first, pending.sequence) for run, pending in self._cuts.items()]
        return waiting + [(cut.run, cut.first, cut.sequence) for cut in self._merge.waiting]

    def let_through(self) -> None:
        """Let through all that waits for other sensors: they have nothing to say."""
        self.counters.silent += self.waits_for_others
        self._release(self._merge.all())

    def hold_to(self, most_bytes: float) -> None:
        """Let what waits go on until it is no more than this: first whole cuts in their order, then the cut that began first."""
        while self.waiting_bytes > most_bytes and (self._merge.is_waiting or self._cuts):
            self.counters.crowded += 1
            if self._merge.is_waiting:
                self._release(self._merge.first())
            else:
                self._finish(next(iter(self._cuts)))

    def _release(self, cuts: Sequence[Cut]) -> None:
        self.waiting_bytes -= sum(cut.size for cut in cuts)
        self.hand(cuts)

    def hand(self, cuts: Sequence[Cut]) -> None:
        """Hand whole cuts over that need not wait any more, in the order of all."""
        self._done += cuts
        self.gathered += sum(cut.rows for cut in cuts)

    def released(self) -> list[Cut]:
        """The cuts that `detect` would look at, in their order, where others do so; what is missing is told."""
        done, self._done, self.gathered = self._done, [], 0
        self.publish(self._gaps.told())
        return done

    def take(self, header: BatchHeader, batch: RecordBatch | None, offset: tuple[str, int]) -> None:
        """Hand whole cuts to the detectors; what is left of a cut waits."""
        if batch is not None:
            # What is damaged is as good as missing, and an uplink does not ship it: the batch behind it tells so.
            self.counters.gaps += self._gaps.take(header)
        pending = self._cuts.get(header.run)
        if pending is not None and pending.cut != header.cut:
            # The end of the cut before is lost: what there is of it is all there will be.
            self._finish(header.run)
            pending = None
        if pending is None:
            self._end_before(header)
            pending = self._cuts[header.run] = Pending(header.cut, header.site, header.sequence, offset)
        pending.last = offset
        if batch is not None:
            pending.batches.append(batch)
            self.waiting_bytes += batch.size
        if header.cut_last or len(pending.batches) >= CUT_BATCHES:
            self._finish(header.run)
        self.hold_to(self._most_bytes)

    def _end_before(self, header: BatchHeader) -> None:
        """A run ends the one before it of its sensor: what there is of that one's cut is all there will be.

        Of too many cuts that wait for their ends the oldest ends, too.
        """
        ended = [run for run, held in self._cuts.items() if run[0] == header.sensor and held.site == header.site]
        for run in ended or [*self._cuts][: max(0, len(self._cuts) - PENDING_CUTS + 1)]:
            self._finish(run)

    def _finish(self, run: Run) -> None:
        pending = self._cuts.pop(run)
        if pending.batches:
            cut = Cut(run, pending.sequence, pending.first, pending.last, pending.batches, *self.in_force.at(*pending.last))
            self._release(self._merge.take(cut))
            self._look_at_times(cut)

    def _look_at_times(self, cut: Cut) -> None:
        """Count and tell what is out of time: once an hour for each run."""
        self.counters.late, self.counters.hurried = self._merge.counted.late, self._merge.counted.hurried
        self.counters.forgotten = self._merge.counted.forgotten + self._gaps.forgotten
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
                self.publish([of_sensor(kind, cut.run, cut.known_until, behind_ns, self._allowance_ns)])

    def detect(self) -> None:
        """Work whole cuts off, in the order in which they were let through; those of different runs side by side."""
        done = self.released()
        start = time.perf_counter()
        before = self.state.findings
        # What is told rests on one version of rules and facts.
        for _, group in groupby(done, key=lambda cut: id(cut.pipeline)):
            alike = list(group)
            while alike:
                count = self.state.together([cut.batches[-1].header for cut in alike])
                self._tell(together([cut.placed(place) for place, cut in enumerate(alike[:count])]))
                alike = alike[count:]
        self.counters.seconds += time.perf_counter() - start
        self.counters.findings += max(0, self.state.findings - before)
        self.counters.limited = self.state.limited

    def _tell(self, waiting: Sequence[Cut]) -> None:
        """Work cuts off that have the same rules and facts and are told together, and publish what is to be told of them."""
        pipeline, began_ns = waiting[0].pipeline, time.time_ns()
        headers = [header for cut in waiting for header in cut.headers]
        looked: list[Looked] = []
        while waiting:
            wave = side_by_side(waiting)
            waiting = waiting[len(wave) :]
            held = [self.state.runs.get(cut.run) or RunState() for cut in wave]
            outcomes: Iterable[tuple[RunState, Looked]]
            if self._threads is None or len(wave) == 1:
                outcomes = map(_stepped, wave, held)
            else:
                outcomes = self._threads.map(_stepped, wave, held)
            for cut, (after, found) in zip(wave, outcomes, strict=True):
                self.state = self.state.with_run(cut.run, after)
                self.counters.batches += len(cut.headers)
                self.counters.records += cut.rows
                looked.append(found)
        seconds: dict[str, float] = {}
        self.state, upserts = timed(seconds, TELLING, self.state.told, looked, pipeline.detector.rules, pipeline.site)
        for each in (*(found.seconds for found in looked), seconds):
            # Another thread may read them: they are replaced, not changed.
            self.counters.detectors = added(self.counters.detectors, each)
        tracing.record("detect", headers, began_ns)
        self.publish(upserts)

    def publish(self, upserts: Sequence[Alert]) -> None:
        """Hand alerts on, if there are any, count them and say which batch each began with."""
        if not upserts:
            return
        began_ns = time.time_ns()
        self._publish(upserts)
        self.counters.alerts += len(upserts)
        for alert in upserts:
            batch = next(map(batch_of, alert.body.get("records", ())), "")
            _log.info("%s", alert.rule, extra={"batch": batch, "alert": alert.id})
            if batch:
                tracing.record_of("alert", batch, began_ns, **{"icsight.alert": alert.id, "icsight.rule": alert.rule})


def _stepped(cut: Cut, before: RunState) -> tuple[RunState, Looked]:
    return cut.step(before)
