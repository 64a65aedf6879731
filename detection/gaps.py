"""Batches that are missing: where the numbers of a sensor's run jump, what lay between was not looked at, and that is told.

A run counts from 0 without gaps (`collector.stream`), so a jump in a run that was met before is a gap, and so is a run that does
not begin at 0 of a sensor that was followed before. What came before the first batch that was ever met of a sensor is none: who
begins in the middle of a stream, or where its front is gone already, cannot know what there was.

What is told follows from the headers alone, so that it is the same however the stream is read, and wherever it is told again. It
is remembered with the place that it belongs to, so that who takes over knows what was met before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from detection.own_alerts import HOUR_NS, Hole, batches_missing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collector.stream import BatchHeader, Run
    from detection.alerts import Alert

RUNS: Final = 2_000
"""Runs whose numbers are remembered; beyond that those that were quiet longest are forgotten, and of a run that is met anew then
only jumps are told, not where it begins."""


@dataclass(slots=True)
class _Met:
    """How far a run was met."""

    site: str
    sequence: int
    """Its highest number."""
    until: int
    """Event time at which that batch's cut ends."""
    hole: Hole | None = None
    """What is missing within the last hour in which something was."""


class Gaps:
    """What is missing of each run. Bounded; deterministic."""

    def __init__(self) -> None:
        self._met: dict[Run, _Met] = {}
        self._forgot = False
        self.forgotten = 0
        """Runs that were forgotten because there were more than `RUNS`, since this was made."""
        self._changed: dict[tuple[Run, int], Hole] = {}

    def take(self, header: BatchHeader) -> bool:
        """Note that this batch is here and whole; whether batches are missing before it.

        A number that is not higher than one met before says nothing: the batch comes again.
        """
        run, met = header.run, self._met.pop(header.run, None)
        if met is not None and header.sequence <= met.sequence:
            self._met[run] = met
            return False
        expected, since = self._expected(header) if met is None else (met.sequence + 1, met.until)
        met = met or _Met(header.site, header.sequence, header.cut_end)
        if is_gap := header.sequence > expected:
            met.hole = _grown(met.hole, expected, header, since)
            self._changed[run, met.hole.hour] = met.hole
        met.site, met.sequence, met.until = header.site, header.sequence, max(met.until, header.cut_end)
        self._met[run] = met
        if len(self._met) > RUNS:
            del self._met[next(iter(self._met))]
            self._forgot = True
            self.forgotten += 1
        return is_gap

    def told(self) -> list[Alert]:
        """An alert for each run and hour of which more is missing than when this was asked last."""
        changed, self._changed = self._changed, {}
        return [batches_missing(run, hole) for (run, _), hole in changed.items()]

    def _expected(self, header: BatchHeader) -> tuple[int, int]:
        """The number with which a run that was not met before must begin, and up to when its sensor is known."""
        followed = [met.until for run, met in self._met.items() if run[0] == header.sensor and met.site == header.site]
        return (header.sequence, 0) if self._forgot or not followed else (0, max(followed))

    def to_json(self) -> dict[str, Any]:
        """What must be remembered with the place that it belongs to, once all was told."""
        rows = [
            [*run, met.site, met.sequence, met.until, None if met.hole is None else list(met.hole)]
            for run, met in self._met.items()
        ]
        return {"met": rows, "forgot": self._forgot}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Gaps:
        """What `to_json` gave; of no content, with nothing met. Raises KeyError, TypeError or ValueError for anything else."""
        gaps = cls()
        if content:
            gaps._forgot = bool(content["forgot"])
            for sensor, epoch, site, sequence, until, hole in content["met"]:
                held = None if hole is None else Hole(*map(int, hole))
                gaps._met[str(sensor), str(epoch)] = _Met(str(site), int(sequence), int(until), held)
        return gaps


def _grown(hole: Hole | None, expected: int, header: BatchHeader, since: int) -> Hole:
    """What is missing within the hour of this batch, with what is missing before it."""
    missing, at = header.sequence - expected, header.cut_start
    since = min(since, at)
    hour = at // HOUR_NS
    if hole is None or hour > hole.hour:
        return Hole(hour, 1, missing, expected, header.sequence - 1, since, at)
    return hole._replace(gaps=hole.gaps + 1, batches=hole.batches + missing, last=header.sequence - 1, until=max(hole.until, at))
