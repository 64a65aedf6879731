"""Cuts of runs on their way to detection: gathered batch by batch, then whole, with the detectors that hold at their place."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from collector.store import RecordBatch
from detection.pipeline import STEP_ROWS
from detection.sitewide import Turn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.stream import Run
    from detection.baseline.decisions import Decision
    from detection.pipeline import Pipeline, RunState
    from detection.sitewide import Looked


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
    batches: list[RecordBatch]
    pipeline: Pipeline
    decisions: Sequence[Decision] | None
    turns: Sequence[Turn] = ()
    """Where each of them stands among those that are looked at together."""

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

    def follows(self, other: Cut) -> bool:
        """Whether it can be worked on together with that before it of the same run."""
        alike = self.pipeline is other.pipeline and self.decisions == other.decisions
        return alike and self.rows + other.rows <= STEP_ROWS

    def placed(self, place: int) -> Cut:
        """The same as the one at this place."""
        return replace(self, turns=(Turn(place, self.known_until, self.batches[-1].header.sequence),))

    def step(self, before: RunState) -> tuple[RunState, Looked]:
        """What comes of it."""
        return self.pipeline.step_run(before, self.batches, self.turns, self.decisions)


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
            before = steps[place]
            steps[place] = replace(before, batches=[*before.batches, *cut.batches], turns=(*before.turns, *cut.turns))
        else:
            latest[cut.run] = len(steps)
            steps.append(cut)
    return steps
