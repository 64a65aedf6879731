"""Cuts of runs on their way to detection: gathered batch by batch, then whole, with the detectors that hold at their place."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from collector.store import RecordBatch
from detection.grouping import Grouped
from detection.pipeline import STEP_ROWS
from detection.sitewide import Looked, Turn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.stream import BatchHeader, Run
    from detection.baseline.decisions import Decision
    from detection.outcomes import Outcome
    from detection.pipeline import Pipeline, RunState


@dataclass(slots=True)
class Pending:
    """Batches of a cut that is not complete."""

    cut: int
    site: str
    """The site of its sensor."""
    sequence: int
    """Sequence of its first batch."""
    first: tuple[str, int]
    """Place of its first batch in the stream."""
    last: tuple[str, int] = ("", 0)
    """Place of its last batch so far."""
    batches: list[RecordBatch] = field(default_factory=list[RecordBatch])


@dataclass(frozen=True, slots=True)
class Cut:
    """Whole cuts of a run that wait for the detectors, and the detectors with what holds at their place."""

    run: Run
    sequence: int
    """Sequence of the first batch."""
    first: tuple[str, int]
    """Place of the first batch in the stream."""
    last: tuple[str, int]
    """Place of the last: what holds there holds for it."""
    batches: list[RecordBatch]
    pipeline: Pipeline
    decisions: Sequence[Decision] | None
    turns: Sequence[Turn] = ()
    """Where each of them stands among those that are looked at together."""

    @property
    def headers(self) -> Sequence[BatchHeader]:
        """What is known of the batches that are looked at."""
        return [batch.header for batch in self.batches]

    @property
    def site(self) -> str:
        """The site of its sensor."""
        return self.batches[-1].header.site

    @property
    def known_until(self) -> int:
        """Event time at which its last cut ends."""
        return self.batches[-1].header.cut_end

    @property
    def rows(self) -> int:
        """Its records."""
        return sum(batch.rows.height for batch in self.batches)

    @property
    def size(self) -> int:
        """Bytes of its batches, unpacked."""
        return sum(batch.size for batch in self.batches)

    def follows(self, other: Cut) -> bool:
        """Whether it can be worked on together with that before it of the same run."""
        alike = self.pipeline is other.pipeline and self.decisions == other.decisions
        return alike and self.rows + other.rows <= STEP_ROWS

    def joined(self, later: Cut) -> Self:
        """Both as one, in the place of the first."""
        return replace(self, batches=[*self.batches, *later.batches], turns=(*self.turns, *later.turns))

    def placed(self, place: int) -> Self:
        """The same as the one at this place."""
        return replace(self, turns=(Turn(place, self.known_until, self.batches[-1].header.sequence),))

    def step(self, before: RunState) -> tuple[RunState, Looked]:
        """What comes of it."""
        return self.pipeline.step_run(before, self.batches, self.turns, self.decisions)


@dataclass(frozen=True, slots=True)
class FoundCut(Cut):
    """Cuts of which is known what was found in them, by whoever looked at their records; their batches have none."""

    outcomes: Sequence[Outcome | None] = ()
    """What became of each."""

    @property
    def headers(self) -> Sequence[BatchHeader]:
        """As `Cut.headers`: nothing is looked at here."""
        return ()

    def follows(self, other: Cut) -> bool:
        """As `Cut.follows`."""
        return self.pipeline is other.pipeline

    def joined(self, later: Cut) -> Self:
        """As `Cut.joined`."""
        outcomes = later.outcomes if isinstance(later, FoundCut) else ()
        return replace(
            self,
            batches=[*self.batches, *later.batches],
            turns=(*self.turns, *later.turns),
            outcomes=(*self.outcomes, *outcomes),
        )

    def step(self, before: RunState) -> tuple[RunState, Looked]:
        """As `Cut.step`."""
        alerts, found = before.alerts, [outcome for outcome in self.outcomes if outcome is not None]
        for outcome in found:
            alerts = outcome.over(alerts, self.pipeline.detector.rules)
        grouped = Grouped(
            [begun for outcome in found for begun in outcome.grouped.begun],
            {name: None for outcome in found for name in outcome.grouped.changed},
        )
        return replace(before, alerts=alerts, site=self.site), Looked(self.run, self.site, self.turns, grouped)


def side_by_side(waiting: Sequence[Cut]) -> list[Cut]:
    """The first cuts of which none needs what comes of another: of different runs."""
    runs: set[Run] = set()
    for cut in waiting:
        if cut.run in runs:
            break
        runs.add(cut.run)
    return list(waiting[: len(runs)])


def together(waiting: Sequence[Cut]) -> list[Cut]:
    """Cuts that wait, those of a run that may be worked on at once as one, each in the place of its first."""
    steps: list[Cut] = []
    latest: dict[Run, int] = {}
    for cut in waiting:
        place = latest.get(cut.run)
        if place is not None and cut.follows(steps[place]):
            steps[place] = steps[place].joined(cut)
        else:
            latest[cut.run] = len(steps)
            steps.append(cut)
    return steps
