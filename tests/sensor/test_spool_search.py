"""A batch is found in a spool of many segments, and where it is not there that is said."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Final

from sensor.spool import Spool, SpoolSettings
from sensor.spool_format import BatchHeader, segment_path, segments
from sensor.spool_positions import keep_position
from sensor.spool_search import search

if TYPE_CHECKING:
    from pathlib import Path

SEGMENT_BYTES: Final = 64 * 1024


def filled(folder: Path, counts: dict[str, int]) -> list[tuple[str, int]]:
    """A spool of several segments with so many batches of runs of these epochs, mixed; epoch and sequence in order."""
    source = random.Random(1)
    order = [epoch for epoch, count in counts.items() for _ in range(count)]
    source.shuffle(order)
    done: dict[str, int] = {}
    made: list[tuple[str, int]] = []
    with Spool(folder, settings=SpoolSettings(segment_bytes=SEGMENT_BYTES)) as spool:
        for epoch in order:
            sequence = done.get(epoch, 0)
            spool.append(BatchHeader("north", epoch, sequence, "modbus", 7), source.randbytes(10_000))
            done[epoch] = sequence + 1
            made.append((epoch, sequence))
    return made


def test_each_batch_is_found_where_it_lies(tmp_path: Path) -> None:
    made = filled(tmp_path, {"e1": 30, "e2": 12})
    assert len(segments(tmp_path)) > 4
    for number, (epoch, sequence) in enumerate(made):
        found = search(tmp_path, ("north", epoch), sequence)
        assert found is not None
        assert found.header is not None
        assert (found.number, found.header.run, found.header.sequence) == (number, ("north", epoch), sequence)
        assert found.segment <= number
        frame = segment_path(tmp_path, found.segment).read_bytes()[found.offset :]
        assert json.dumps(epoch).encode()[1:-1] in frame[:200]


def test_what_is_not_there_is_told_apart(tmp_path: Path) -> None:
    assert search(tmp_path / "nothing", ("north", "e1"), 0) is None
    filled(tmp_path, {"e1": 30})
    unknown, later = search(tmp_path, ("south", "e1"), 0), search(tmp_path, ("north", "e1"), 30)
    assert unknown is not None
    assert (unknown.header, unknown.highest) == (None, None)
    assert later is not None
    assert (later.header, later.highest) == (None, 29)
    first, second, *_ = segments(tmp_path)
    segment_path(tmp_path, first).unlink()
    removed, kept = search(tmp_path, ("north", "e1"), second - 1), search(tmp_path, ("north", "e1"), second)
    assert removed is not None
    assert (removed.header, removed.first) == (None, second)
    assert kept is not None
    assert kept.header is not None


def test_who_has_still_to_do_with_it_is_named(tmp_path: Path) -> None:
    filled(tmp_path, {"e1": 10})
    keep_position(tmp_path, "uplink", 6, "e1")
    for sequence, waits in ((5, []), (6, ["uplink"])):
        found = search(tmp_path, ("north", "e1"), sequence)
        assert found is not None
        assert found.waits_for == waits
