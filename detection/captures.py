"""Captures straight into detection, without a spool: for `icsight detect` and for rule tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from collector.store import RecordBatch
from collector.stream import BatchHeader
from detection.anomaly.detector import step as model
from detection.anomaly.extremes import WINDOW_NS
from detection.anomaly.learned import members, state_of
from detection.anomaly.state import AnomalyState
from detection.baseline.detector import BaselineState, step
from detection.baseline.normality import Normality
from detection.pipeline import STEP_ROWS, RunState, State
from sensor._core import Reader, capture_span
from sensor.tables import LOCAL_SENSOR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from detection.alerts import Alert
    from detection.pipeline import Pipeline
    from sensor._core import Batch


STANDARD_INPUT: Final = "-"
"""Name of a capture that can be read once only."""


def cuts(reader: Reader, site: str) -> Iterator[list[RecordBatch]]:
    """The batches of a capture, cut by cut."""
    cut: list[RecordBatch] = []
    for batch in reader:
        cut.append(record_batch(batch, reader.epoch, site))
        if batch.cut_last:
            yield cut
            cut = []
    if cut:
        yield cut


def steps(parts: Iterable[list[RecordBatch]], most_rows: int = STEP_ROWS) -> Iterator[list[RecordBatch]]:
    """Whole cuts together, as many as detection takes in at once."""
    gathered: list[RecordBatch] = []
    rows = 0
    for cut in parts:
        more = sum(batch.rows.height for batch in cut)
        if gathered and rows + more > most_rows:
            yield gathered
            gathered, rows = [], 0
        gathered += cut
        rows += more
    if gathered:
        yield gathered


def record_batch(batch: Batch, epoch: str, site: str) -> RecordBatch:
    """A batch of the packet core with its header, without a copy."""
    header = BatchHeader(
        sensor=LOCAL_SENSOR,
        epoch=epoch,
        sequence=batch.sequence,
        table=batch.table,
        rows=batch.rows,
        site=site,
        cut=batch.cut,
        cut_start=batch.cut_start,
        cut_end=batch.cut_end,
        cut_last=batch.cut_last,
    )
    return RecordBatch(header, pl.DataFrame(batch))


ALWAYS: Final = 2**63 - 1
"""A time after all."""

LEARNED_SHARE: Final = 5
"""A capture's first fifth serves as normal for the rest."""

LEARNED_NS: Final = 600 * 1_000_000_000
"""At most so long."""

LEARNING_NS: Final = 60 * 1_000_000_000
"""A capture that is shorter teaches nothing."""


def beginning(capture: str, epoch: str) -> State:
    """The state before a capture: a provisional baseline is learned from its beginning, where it is a file and long enough."""
    span = None if capture == STANDARD_INPUT else capture_span(capture)
    if span is None:
        return State()
    start, end = span
    if end - start < LEARNING_NS:
        return State()
    learned = min((end - start) // LEARNED_SHARE, LEARNED_NS)
    until = start + learned
    beginning = RunState(baseline=BaselineState.learning(start, until), anomaly=AnomalyState.learning(start, until))
    return State({(LOCAL_SENSOR, epoch): beginning})


def known(normal: Normality) -> RunState:
    """The state before a run of which it is known what is normal. Raises LearnedError where its models cannot be read."""
    return RunState(baseline=BaselineState(normal), anomaly=state_of(normal.extras, normal.phase))


def learn(capture: str, site: str, progress: Callable[[Reader], None] = lambda _: None) -> tuple[Normality, list[str]]:
    """What a capture says is normal, to be approved, and what could not be read. Raises CaptureError where nothing can."""
    reader = Reader(capture, site=site, sensor=LOCAL_SENSOR)
    start, until = (None if capture == STANDARD_INPUT else capture_span(capture)) or (0, 0)
    state = BaselineState.learning(start, ALWAYS)
    # Of what has no known end the models learn ranges, and nothing of how often they are left.
    models = AnomalyState.learning(start, until + WINDOW_NS if until else ALWAYS)
    for cut in cuts(reader, site):
        progress(reader)
        state, _ = step(state, cut)
        models, _ = model(models, cut)
    facts = state.whole.facts
    if capture == STANDARD_INPUT and facts.height:
        start, until = (int(getattr(facts.get_column(name), end)()) for name, end in (("event", "min"), ("seen", "max")))
    learned = Normality(
        facts, start, until, until - start, "proposed", site, (capture,), extras=members(models)
    ).with_rare_apart()
    return learned, reader.warnings


def detect(
    capture: str, pipeline: Pipeline, progress: Callable[[Reader], None] = lambda _: None, normal: Normality | None = None
) -> tuple[list[Alert], list[str]]:
    """All alerts of a capture, strongest first, and what could not be read. Raises CaptureError where nothing can.

    What is normal is learned from the capture's own beginning where it is not given.
    """
    reader = Reader(capture, site=pipeline.site.site, sensor=LOCAL_SENSOR)
    state = beginning(capture, reader.epoch) if normal is None else State({(LOCAL_SENSOR, reader.epoch): known(normal)})
    latest: dict[str, Alert] = {}
    for taken in steps(cuts(reader, pipeline.site.site)):
        progress(reader)
        state, upserts = pipeline.step(state, taken)
        latest.update((alert.id, alert) for alert in upserts)
    ranked = sorted(latest.values(), key=lambda alert: (-alert.rank, alert.first_seen, alert.id))
    return ranked, reader.warnings
