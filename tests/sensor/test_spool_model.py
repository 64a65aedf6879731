"""Any order of appends, syncs, crashes, cuts and reads keeps what was acknowledged: a spool against a list."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sensor.spool import BatchHeader, Spool, SpoolReader, SpoolSettings
from sensor.spool_format import segment_path, segments

Batch = tuple[str, int, bytes]
SETTINGS = SpoolSettings(sync="explicit", segment_bytes=64 * 1024, quota_bytes=1 << 30)


class SpoolModel(RuleBasedStateMachine):
    """`acknowledged` must be there, in order; `pending` may be there after a crash, as a beginning of what was appended."""

    @initialize()
    def create(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="spool-"))
        self.spool = Spool(self.folder, sensor="s", site="p", settings=SETTINGS)
        self.acknowledged: list[Batch] = []
        self.pending: list[Batch] = []
        self.position = 0

    @rule(epoch=st.sampled_from(["a", "b"]), size=st.sampled_from([0, 1, 100, 30_000]), byte=st.integers(0, 255))
    def append(self, epoch: str, size: int, byte: int) -> None:
        sequence = sum(known[0] == epoch for known in self.acknowledged + self.pending)
        data = bytes([byte]) * size
        full = self.spool.size_bytes
        before = segments(self.folder)
        number = self.spool.append(BatchHeader("s", epoch, sequence, "flow", 1), data)
        assert number == len(self.acknowledged) + len(self.pending)
        if segments(self.folder) != before:  # a segment that ends is acknowledged
            self.acknowledge()
        self.pending.append((epoch, sequence, data))
        assert self.spool.size_bytes > full

    @rule(epoch=st.sampled_from(["a", "b"]))
    def append_again(self, epoch: str) -> None:
        if any(known[0] == epoch for known in self.acknowledged + self.pending):
            assert self.spool.append(BatchHeader("s", epoch, 0, "flow", 1), b"again") is None

    @rule()
    def sync(self) -> None:
        self.spool.sync()
        self.acknowledge()

    def acknowledge(self) -> None:
        self.acknowledged += self.pending
        self.pending = []

    @rule(share=st.floats(0, 1), damaged=st.booleans())
    def crash(self, share: float, damaged: bool) -> None:
        """The process dies and the disk keeps some of what was not flushed."""
        path = segment_path(self.folder, segments(self.folder)[-1])
        flushed = self.spool._durable.offset  # pyright: ignore[reportPrivateUsage] - what the disk surely has
        written = self.spool._state.offset  # pyright: ignore[reportPrivateUsage]
        os.close(self.spool._file)  # pyright: ignore[reportPrivateUsage]
        os.close(self.spool._lock)  # pyright: ignore[reportPrivateUsage]
        keep = flushed + int(share * (written - flushed))
        os.truncate(path, keep)
        if damaged:
            with path.open("ab") as file:
                file.write(b"\0" * 100)
        self.spool = Spool(self.folder, settings=SETTINGS)
        recovered = self.spool.next_number - len(self.acknowledged)
        assert 0 <= recovered <= len(self.pending)
        self.acknowledged += self.pending[:recovered]
        self.pending = []
        assert self.spool.counters.damaged == 0

    @precondition(lambda self: not self.pending)
    @rule()
    def close_and_open(self) -> None:
        identity = self.spool.identity
        self.spool.close()
        self.spool = Spool(self.folder, settings=SETTINGS)
        assert self.spool.identity == identity
        assert self.spool.counters.torn_bytes == 0

    @rule(count=st.integers(1, 5))
    def read_on(self, count: int) -> None:
        for batch in SpoolReader(self.folder).read(self.position, count):
            assert batch.number == self.position
            self.position += 1

    @invariant()
    def readers_see_what_is_acknowledged_and_no_more(self) -> None:
        found = [(batch.header.epoch, batch.header.sequence, batch.data) for batch in SpoolReader(self.folder).read(0)]
        assert found == self.acknowledged
        runs = {("s", epoch): sequence for epoch, sequence, _ in self.acknowledged}
        assert SpoolReader(self.folder).standing() == (len(found), runs)

    def teardown(self) -> None:
        self.spool.close()
        shutil.rmtree(self.folder)


SpoolModel.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestSpoolModel = SpoolModel.TestCase
