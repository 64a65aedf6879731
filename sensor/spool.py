"""The spool: record batches in numbered, checked, append-only segments that survive power loss.

`Spool` is the one writer, `sensor.spool_reader.SpoolReader` reads, from any thread or process; `sensor.spool_format` says how it
lies on disk.

What is acknowledged: `append` hands a batch to the system, `sync` puts everything appended on the disk (fdatasync) and only then
lets readers see it. With the policy "cut" (the default) the last batch of a cut syncs by itself, so a cut costs one disk flush
and readers see whole cuts. Because readers see only what is on the disk, nothing that a reader has worked on can be taken back
by a power cut.

After a crash at any byte a spool opens at the last whole batch. Bytes behind it that were never acknowledged are cut off; bytes
that were acknowledged and are damaged are left in place, counted, and reported to each reader that comes by.
"""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Self

from sensor.spool_files import FULL, Identity, disk_error, new_epoch, read_identity, sync_folder, take_lock, write_whole
from sensor.spool_format import (
    BatchHeader,
    DamagedFrame,
    Mark,
    Run,
    SegmentHead,
    SequenceGap,
    SpooledBatch,
    SpoolError,
    SpoolFull,
    SpoolLocked,
    encode_frame,
    encode_head,
    encode_mark,
    segment_path,
    segments,
)
from sensor.spool_reader import SpoolReader, announce, read_mark
from sensor.spool_recovery import Recovered, recover

if TYPE_CHECKING:
    from types import TracebackType

__all__ = [
    "BatchHeader", "DamagedFrame", "Identity", "SequenceGap", "Spool", "SpoolCounters", "SpoolError", "SpoolFull", "SpoolLocked",
    "SpoolReader", "SpoolSettings", "SpooledBatch",
]  # fmt: skip

SyncPolicy = Literal["cut", "batch", "explicit"]
Overflow = Literal["refuse", "drop_oldest"]


@dataclass(frozen=True, slots=True)
class SpoolSettings:
    """How a spool behaves. Raises ValueError for a value outside its bounds.

    Attributes:
        sync: when batches are put on the disk: "cut" with the last batch of each cut, "batch" with each batch, "explicit" by
            `Spool.sync` only.
        segment_bytes: a segment that has reached this size is followed by a new one; 64 KiB to 1 GiB.
        quota_bytes: most bytes of all segments; at least two segments.
        retention_bytes: segments that all consumers have released are removed, oldest first, while the spool is larger than this.
        overflow: what an append does at the quota when no segment is released: "refuse" it, so that nothing acknowledged is
            lost, or "drop_oldest", so that the newest is kept; either is counted.
    """

    sync: SyncPolicy = "cut"
    segment_bytes: int = 64 * 1024 * 1024
    quota_bytes: int = 64 * 1024 * 1024 * 1024
    retention_bytes: int = 8 * 1024 * 1024 * 1024
    overflow: Overflow = "refuse"

    def __post_init__(self) -> None:
        if not 64 * 1024 <= self.segment_bytes <= 1024**3:
            raise ValueError(f"segment_bytes is {self.segment_bytes}: it must lie between 64 KiB and 1 GiB")
        if self.quota_bytes < 2 * self.segment_bytes:
            raise ValueError(f"quota_bytes is {self.quota_bytes}: it must be at least two segments ({2 * self.segment_bytes})")


@dataclass(slots=True)
class SpoolCounters:
    """What happened since the spool was opened.

    Attributes:
        batches: batches appended.
        bytes: bytes appended, headers counted.
        repeated: batches that were already held and not appended again.
        syncs: disk flushes.
        refused: batches refused because there was no room.
        dropped_batches: batches removed unread at the quota.
        torn_bytes: bytes of an unfinished, never acknowledged end that were cut off at opening.
        damaged: places in the last segment at opening where acknowledged bytes are damaged or missing.
    """

    batches: int = 0
    bytes: int = 0
    repeated: int = 0
    syncs: int = 0
    refused: int = 0
    dropped_batches: int = 0
    torn_bytes: int = 0
    damaged: int = 0


@dataclass(slots=True)
class _State:
    """Where the writer stands: what `sync` acknowledges and a failed one falls back to."""

    number: int
    segment: int
    offset: int
    runs: dict[Run, int] = field(default_factory=dict[Run, int])


class Spool:
    """The writer of a spool. One at a time, safe to call from several threads; the folder is made where it is missing.

    Args:
        folder: folder of the spool.
        sensor: name of the sensor; "" takes the one that the spool was created with.
        site: name of the site; "" takes the one that the spool was created with.
        settings: policies and bounds.

    Raises:
        SpoolLocked: another process, or another `Spool` of this one, writes here.
        SpoolError: the spool belongs to another sensor, is of a newer version, or cannot be opened.
    """

    def __init__(self, folder: Path | str, *, sensor: str = "", site: str = "", settings: SpoolSettings | None = None) -> None:
        self.folder: Final = Path(folder)
        self.settings: Final = settings or SpoolSettings()
        self.counters: Final = SpoolCounters()
        self._closed = False
        self._turn = threading.RLock()
        self._released = 0
        self._file = -1
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = take_lock(self.folder)
        except OSError as error:
            raise SpoolError(f"{self.folder}: cannot be written ({error.strerror}): give a folder that this user owns") from error
        try:
            self.identity: Identity = read_identity(self.folder, sensor, site)
            self._open()
        except BaseException:
            self._release_files()
            raise

    def append(self, header: BatchHeader, data: bytes | memoryview) -> int | None:
        """Append a batch and return its number in the spool; None where its run has had this sequence already.

        It is acknowledged by the next `sync`, which the policy may call here.

        Raises:
            SequenceGap: the run's next batch is another one (a new run starts with 0). Nothing was appended.
            SpoolFull: no room. Nothing of the batch was kept, what came before stays, and the spool can be used on.
            SpoolError: the disk failed; what was not synced is given up.
        """
        with self._turn:
            return self._append(header, data)

    def _append(self, header: BatchHeader, data: bytes | memoryview) -> int | None:
        self._check_open()
        state = self._state
        expected = state.runs.get(header.run, -1) + 1
        if header.sequence < expected:
            self.counters.repeated += 1
            return None
        if header.sequence > expected:
            raise SequenceGap(
                f"{self.folder}: batch {header.sequence} of {header.sensor}/{header.epoch} does not follow: {expected} comes next"
            )
        if state.offset >= self.settings.segment_bytes:
            self._roll()
        frame = encode_frame(state.number, self._durable.offset, header, data)
        size = len(frame) + memoryview(data).nbytes
        self._make_room(size)
        self._write(frame, data)
        number = state.number
        state.number += 1
        state.offset += size
        state.runs[header.run] = header.sequence
        self._bytes += size
        self.counters.batches += 1
        self.counters.bytes += size
        if self.settings.sync == "batch" or (self.settings.sync == "cut" and header.cut_last):
            self.sync()
        return number

    def sync(self) -> int:
        """Put everything appended on the disk, show it to readers, and return the number of the next batch.

        Raises:
            SpoolFull: the disk is full. Everything since the last `sync` is taken back.
            SpoolError: the disk failed. Everything since the last `sync` is taken back.
        """
        with self._turn:
            return self._sync()

    def _sync(self) -> int:
        self._check_open()
        state = self._state
        if state.number == self._durable.number:
            return state.number
        try:
            os.fdatasync(self._file)
        except OSError as error:
            # The kernel may have dropped the pages that it could not write, and a second call would then succeed without them.
            self._fall_back()
            raise disk_error(self.folder, error) from error
        self.counters.syncs += 1
        self._publish()
        return state.number

    def highest(self, sensor: str, epoch: str) -> int | None:
        """The highest sequence appended of a run, None where the spool has none of it. Removed segments count."""
        return self._state.runs.get((sensor, epoch))

    @property
    def next_number(self) -> int:
        """Number that the next batch will get."""
        return self._state.number

    @property
    def size_bytes(self) -> int:
        """Bytes of all segments."""
        return self._bytes

    @property
    def runs(self) -> dict[Run, int]:
        """Highest sequence appended by run."""
        return dict(self._state.runs)

    def release(self, number: int) -> int:
        """Say that no consumer needs a batch before `number` any more; returns how many bytes that removed.

        Whole segments before it are removed while the spool is larger than `retention_bytes`, and later when there is no room.
        """
        with self._turn:
            self._check_open()
            self._released = max(self._released, min(number, self._durable.number))
            before = self._bytes
            while self._bytes > self.settings.retention_bytes and self._remove_oldest(self._released):
                pass
            return before - self._bytes

    def close(self) -> None:
        """Sync and let go of the spool. Calling it again does nothing."""
        with self._turn:
            if self._closed:
                return
            try:
                self.sync()
            finally:
                self._release_files()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # Opening

    def _open(self) -> None:
        """Find the last whole batch, cut off what lies torn behind it, and stand there."""
        recovered = recover(self.folder, read_mark(self.folder))
        self.counters.torn_bytes = recovered.torn_bytes
        self.counters.damaged = recovered.damaged
        self._state = _State(recovered.number, recovered.segment, recovered.offset, dict(recovered.runs))
        self._durable = _State(self._state.number, self._state.segment, self._state.offset)
        if recovered.lost:
            # Batches that readers have seen are gone: their sequences must not be given to other records.
            self.identity = new_epoch(self.folder, self.identity)
        if recovered.fresh or recovered.lost:
            self._create_segment()
        else:
            self._file = os.open(segment_path(self.folder, recovered.segment), os.O_RDWR | os.O_CLOEXEC)
            self._cut_tail(recovered)
        self._bytes = sum(segment_path(self.folder, first).stat().st_size for first in segments(self.folder))
        self._publish()

    def _cut_tail(self, recovered: Recovered) -> None:
        os.ftruncate(self._file, recovered.offset)
        os.fsync(self._file)

    def _create_segment(self) -> None:
        """Start the segment of the next number. It appears whole or not at all."""
        state = self._state
        head = encode_head(SegmentHead(state.number, state.runs))
        path = segment_path(self.folder, state.number)
        draft = path.with_suffix(".draft")
        file = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            write_whole(file, [head], 0)
            os.fsync(file)
            draft.replace(path)
        except BaseException:
            os.close(file)
            with contextlib.suppress(OSError):
                draft.unlink()
            raise
        sync_folder(self.folder)
        if self._file >= 0:
            os.close(self._file)
        self._file = file
        state.segment, state.offset = state.number, len(head)

    # Writing

    def _write(self, frame: bytes, data: bytes | memoryview) -> None:
        while True:
            try:
                write_whole(self._file, [frame, data], self._state.offset)
            except OSError as error:
                # A piece of the frame may stand behind the end: readers stop before it, the next append overwrites it, opening
                # cuts it off.
                with contextlib.suppress(OSError):
                    os.ftruncate(self._file, self._state.offset)
                if error.errno in FULL and self._give_way():
                    continue
                self.counters.refused += 1
                raise disk_error(self.folder, error) from error
            else:
                return

    def _roll(self) -> None:
        """Acknowledge the segment and go on in a new one."""
        self.sync()
        before = self._bytes
        try:
            self._create_segment()
        except OSError as error:
            self.counters.refused += 1
            raise disk_error(self.folder, error) from error
        self._bytes = before + self._state.offset
        self._publish()

    def _publish(self) -> None:
        """Remember the state as acknowledged and let readers see up to it."""
        state = self._state
        self._durable = _State(state.number, state.segment, state.offset, dict(state.runs))
        mark = Mark(state.number, state.segment, state.offset)
        # Not flushed: an old mark after a power cut is put right when the spool is opened, and it never runs ahead of the data.
        try:
            file = os.open(self.folder / "mark", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.pwrite(file, encode_mark(mark), 0)
            finally:
                os.close(file)
        except OSError as error:
            raise disk_error(self.folder, error) from error
        announce(self.folder)

    def _fall_back(self) -> None:
        """Take back what was appended since the last `sync`."""
        durable = self._durable
        self._bytes -= self._state.offset - durable.offset
        self._state = _State(durable.number, durable.segment, durable.offset, dict(durable.runs))
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, durable.offset)

    # Room

    def _make_room(self, size: int) -> None:
        """Remove segments until `size` more bytes fit the quota. Raises SpoolFull."""
        while self._bytes + size > self.settings.quota_bytes:
            if not self._give_way():
                self.counters.refused += 1
                raise SpoolFull(
                    f"{self.folder}: the spool has reached its quota of {self.settings.quota_bytes} bytes and its consumers "
                    "still need all of it: let them catch up, or raise the quota"
                )

    def _give_way(self) -> bool:
        """Remove the oldest segment that the policy lets go; False where there is none."""
        if self._remove_oldest(self._released):
            return True
        if self.settings.overflow != "drop_oldest":
            return False
        dropped = self._remove_oldest(self._durable.number)
        self.counters.dropped_batches += dropped
        return dropped > 0

    def _remove_oldest(self, before: int) -> int:
        """Remove the oldest segment if all its batches lie before `before`; returns how many they were, 0 where it stays."""
        firsts = segments(self.folder)
        if len(firsts) < 2 or firsts[1] > before:
            return 0
        path = segment_path(self.folder, firsts[0])
        size = path.stat().st_size
        path.unlink()
        sync_folder(self.folder)
        self._bytes -= size
        return firsts[1] - firsts[0]

    def _check_open(self) -> None:
        if self._closed:
            raise SpoolError(f"{self.folder}: the spool has been closed")

    def _release_files(self) -> None:
        self._closed = True
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        os.close(self._lock)
