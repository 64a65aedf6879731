"""Where a batch lies in a spool, or why it is not there: one segment is looked through, found by what the heads of all say."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sensor.spool_format import SpoolError, segment_path, segments
from sensor.spool_positions import POSITIONS
from sensor.spool_reader import SpoolReader, read_head
from sensor.spool_thinning import frames

if TYPE_CHECKING:
    from pathlib import Path

    from sensor.spool_format import BatchHeader, Run


@dataclass(frozen=True, slots=True)
class Standing:
    """What a spool says of a batch.

    Attributes:
        end: number of the batch that will come next.
        highest: highest sequence of its run that the spool has ever held; None where it has held none.
        first: lowest sequence of its run that may still be there; what comes before has been removed.
        consumers: number before which each consumer has done with all, by name.
        header: header of the batch; None where it is not there.
        number: its number in the spool.
        segment: number of the first batch of its segment, which names the file.
        offset: where its frame begins in the segment.
    """

    end: int
    highest: int | None
    first: int
    consumers: dict[str, int]
    header: BatchHeader | None = None
    number: int = 0
    segment: int = 0
    offset: int = 0

    @property
    def waits_for(self) -> list[str]:
        """Consumers that have not done with it."""
        return sorted(name for name, number in self.consumers.items() if number <= self.number)


def search(folder: Path, run: Run, sequence: int) -> Standing | None:
    """Look for a batch in the spool of a folder; None where there is no spool. Raises OSError, SpoolError."""
    if not (folder / "mark").exists():
        return None
    end, runs = SpoolReader(folder).standing()
    kept = [(first, _runs_before(folder, first)) for first in segments(folder)]
    lowest = kept[0][1].get(run, -1) + 1 if kept else 0
    standing = Standing(end, runs.get(run), lowest, _consumers(folder))
    # The last segment before which the run had not come so far.
    place = next((first for first, before in reversed(kept) if before.get(run, -1) < sequence), None)
    if place is None or standing.highest is None or sequence > standing.highest:
        return standing
    for frame in frames(folder, place):
        if frame.header.run == run and frame.header.sequence == sequence:
            return Standing(
                end, standing.highest, lowest, standing.consumers, frame.header, frame.number, place, frame.offset
            )  # fmt: skip
    return standing


def _runs_before(folder: Path, first: int) -> dict[Run, int]:
    """Highest sequence of each run before a segment; of one that was removed meanwhile, nothing."""
    path = segment_path(folder, first)
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return {}
    try:
        return dict(read_head(file, path)[0].runs)
    finally:
        os.close(file)


def _consumers(folder: Path) -> dict[str, int]:
    """How far the consumers are that keep their position with the spool. Raises SpoolError."""
    found: dict[str, int] = {}
    for path in sorted((folder / POSITIONS).glob("*.json")):
        try:
            found[path.stem] = int(json.loads(path.read_text())["offsets"].get("0", 0))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SpoolError(f"{path}: no position of a consumer") from error
    return found
