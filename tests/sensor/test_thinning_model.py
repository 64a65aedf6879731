"""A spool with too little room, against a list of all that was ever appended: any order of cuts, crashes, releases and reads.

What must hold at any moment: each batch that is held has the rows of some number of classes gone and no others; newer ones have
never lost more than older ones; and what is not there is counted.
"""

from __future__ import annotations

import io
import os
import random
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sensor.spool import BatchHeader, Spool, SpoolReader, SpoolSettings
from sensor.spool_format import ROW, segments
from tests.batches import EPOCH, encode, sample

if TYPE_CHECKING:
    from collections.abc import Sequence

SETTINGS = SpoolSettings(sync="explicit", segment_bytes=64 * 1024, quota_bytes=12 * 64 * 1024, overflow="least_valuable")
CLASSES = {"point": (0,), "modbus": (1, 2), "violation": (2,)}
"""Table → class of value of its rows, in turn: 0 bulk values, 1 reads, 2 the rest."""

Batch = tuple[str, int]
"""Table and rows."""


class ThinningModel(RuleBasedStateMachine):
    """`made` is all that was acknowledged; what was appended since the last sync is `pending`."""

    @initialize(seed=st.integers(0, 1000))
    def create(self, seed: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="spool-"))
        self.source = random.Random(seed)
        self.spool = Spool(self.folder, sensor="s", site="p", settings=SETTINGS)
        self.made: list[Batch] = []
        self.pending: list[Batch] = []
        self.released = 0

    @rule(table=st.sampled_from(sorted(CLASSES)), rows=st.integers(1, 200), times=st.integers(1, 12))
    def append(self, table: str, rows: int, times: int) -> None:
        for _ in range(times):
            number = len(self.made) + len(self.pending)
            header = BatchHeader("s", EPOCH, number, table, rows, "p")
            columns = sample(table, rows, seed=number)
            if table == "modbus":
                columns["modbus.access"] = ["read" if self.kind(table, row) == 1 else "write" for row in range(rows)]
                columns["modbus.data"] = [self.source.randbytes(80) for _ in range(rows)]
            elif table == "violation":
                columns["violation.bytes"] = [self.source.randbytes(64) for _ in range(rows)]
            else:
                columns["point.number"] = [self.source.random() for _ in range(rows)]
            before = segments(self.folder)[-1]
            assert self.spool.append(header, encode(header, columns)) == number
            if segments(self.folder)[-1] != before:  # a segment that ends is acknowledged
                self.acknowledge()
            self.pending.append((table, rows))

    @staticmethod
    def kind(table: str, row: int) -> int:
        kinds = CLASSES[table]
        return kinds[row % len(kinds)]

    @rule()
    def sync(self) -> None:
        self.spool.sync()
        self.acknowledge()

    def acknowledge(self) -> None:
        self.made += self.pending
        self.pending = []

    @rule()
    def crash(self) -> None:
        """The process dies; what was written is on the disk, a segment that was being thinned is not."""
        self.acknowledge()
        removed = self.spool.removed_rows
        os.close(self.spool._file)  # pyright: ignore[reportPrivateUsage]
        os.close(self.spool._lock)  # pyright: ignore[reportPrivateUsage]
        self.spool = Spool(self.folder, settings=SETTINGS)
        assert self.spool.next_number == len(self.made)
        assert self.spool.removed_rows == removed

    @rule(share=st.floats(0, 1))
    def release(self, share: float) -> None:
        self.released = max(self.released, int(share * len(self.made) / 3))
        self.spool.release(self.released)

    @invariant()
    def what_is_held_is_right_and_the_rest_is_counted(self) -> None:
        found = list(SpoolReader(self.folder).read(0))
        first = segments(self.folder)[0]
        assert [each.number for each in found] == list(range(first, len(self.made)))
        assert self.spool.size_bytes + SETTINGS.segment_bytes <= SETTINGS.quota_bytes
        levels = [self.level(each.header, each.data, self.made[each.number]) for each in found]
        lost = [low for low, _ in levels]
        assert all(lost[place] >= highest or highest <= levels[place][1] for place, highest in enumerate(_later(lost)))
        missing = sum(rows for _, rows in self.made[:first])
        # What was released before its removal is not missed; a segment may hold both.
        assert self.spool.removed_rows <= missing
        if not self.released:
            assert self.spool.removed_rows == missing

    def level(self, header: BatchHeader, data: bytes, made: Batch) -> tuple[int, int]:
        """How many classes have gone from a batch: at least, and at most, as not every batch has rows of each."""
        table, rows = made
        assert header.rows + header.dropped == rows
        left: list[int] = []
        if header.rows:
            frame = pl.read_ipc_stream(io.BytesIO(data))
            left = frame[ROW].to_list() if header.dropped else list(range(rows))
        possible = [level for level in range(3) if [row for row in range(rows) if self.kind(table, row) >= level] == left]
        assert possible
        return possible[0], possible[-1]

    def teardown(self) -> None:
        self.spool.close()
        shutil.rmtree(self.folder)


def _later(lost: Sequence[int]) -> list[int]:
    """For each batch, how many classes have surely gone from any batch behind it."""
    highest, found = 0, list[int]()
    for level in reversed(lost):
        found.append(highest)
        highest = max(highest, level)
    return found[::-1]


ThinningModel.TestCase.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestThinningModel = ThinningModel.TestCase
