"""The spool: record batches in numbered, checked, append-only segments that survive power loss.

`Spool` is the one writer, `sensor.spool_reader.SpoolReader` reads, from any thread or process; `sensor.spool_format` says how it
lies on disk.

What is acknowledged: `append` hands a batch to the system, `sync` puts everything appended on the disk (fdatasync) and only then
lets readers see it. With the policy "cut" (the default) the last batch of a cut syncs by itself, so a cut costs one disk flush
and readers see whole cuts. Because readers see only what is on the disk, nothing that a reader has worked on can be taken back
by a power cut.

What happens at the limits of size and age is `sensor.spool_room`'s.

After a crash at any byte a spool opens at the last whole batch. Bytes behind it that were never acknowledged are cut off; bytes
that were acknowledged and are damaged are left in place, counted, and reported to each reader that comes by. What an older
version has written stays as it is and is read; the first append begins a segment of this version.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Self

from sensor.spool_files import FULL, Identity, disk_error, new_epoch, read_identity, sync_folder, take_lock, write_whole
from sensor.spool_format import (
    FORMAT_VERSION,
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
    SpoolUnwritable,
    encode_frame,
    encode_head,
    encode_mark,
    segment_path,
)
from sensor.spool_packing import Packer
from sensor.spool_reader import SpoolReader, announce, read_mark
from sensor.spool_recovery import recover
from sensor.spool_room import AGE_PARTS, Room, RoomCounters, SpoolClock, boottime

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = [
    "BatchHeader", "DamagedFrame", "Identity", "SequenceGap", "Spool", "SpoolCounters", "SpoolError", "SpoolFull", "SpoolLocked",
    "SpoolReader", "SpoolSettings", "SpoolUnwritable", "SpooledBatch",
]  # fmt: skip

OVER_BYTES: Final = 128 * 1024
"""Where the spool is larger than its quota, which has been made smaller, an append pays for the work of one of so many bytes."""

BREATH_SECONDS: Final = 0.001
"""How long whoever removes many segments steps aside after each, so that one that waits to append gets its turn."""

SyncPolicy = Literal["cut", "batch", "explicit"]
Overflow = Literal["refuse", "least_valuable"]


@dataclass(frozen=True, slots=True)
class SpoolSettings:
    """How a spool behaves. Raises ValueError for a value outside its bounds.

    Attributes:
        sync: when batches are put on the disk: "cut" with the last batch of each cut, "batch" with each batch, "explicit" by
            `Spool.sync` only.
        sync_seconds: with "cut", at least so long after the time before: a power cut costs at most this, and a flash card has
            that much less to write.
        segment_bytes: a segment that has reached this size is followed by a new one; 64 KiB to 1 GiB.
        quota_bytes: most bytes of all segments; at least two of them, with "least_valuable" eight.
        retention_bytes: segments that all consumers have released are removed, oldest first, while the spool is larger than this.
        age_seconds: what is older goes, whatever it is, released or not; 0 for no bound. Time in which the spool is not open does
            not count.
        overflow: what an append does at the quota when no segment is released: "refuse" it, so that nothing acknowledged is
            lost, or drop what is "least_valuable", so that recording goes on for ever; either is counted.
    """

    sync: SyncPolicy = "cut"
    sync_seconds: float = 0
    segment_bytes: int = 64 * 1024 * 1024
    quota_bytes: int = 64 * 1024 * 1024 * 1024
    retention_bytes: int = 8 * 1024 * 1024 * 1024
    age_seconds: float = 0
    overflow: Overflow = "refuse"

    def __post_init__(self) -> None:
        if not 64 * 1024 <= self.segment_bytes <= 1024**3:
            raise ValueError(f"segment_bytes is {self.segment_bytes}: it must lie between 64 KiB and 1 GiB")
        least = self.segment_bytes * (2 if self.overflow == "refuse" else 8)
        if self.quota_bytes < least:
            raise ValueError(f"quota_bytes is {self.quota_bytes}: with these segments it must be at least {least}")
        if self.sync_seconds < 0 or self.age_seconds < 0:
            raise ValueError(f"{self.sync_seconds} and {self.age_seconds} seconds: neither may be negative")

    @property
    def short_bytes(self) -> int:
        """With so many bytes of segments the work that makes room begins."""
        return self.quota_bytes - max(2 * self.segment_bytes, self.quota_bytes // 16)


@dataclass(slots=True)
class SpoolCounters:
    """What happened since the spool was opened.

    Attributes:
        batches: batches appended.
        bytes: bytes appended, headers counted.
        repeated: batches that were already held and not appended again.
        syncs: disk flushes.
        refused: appends that came to nothing: there was no room, or the disk took nothing.
        written: bytes written to the disk, beside what `RoomCounters.written` counts.
        torn_bytes: bytes of an unfinished, never acknowledged end that were cut off at opening.
        damaged: places in the last segment at opening where acknowledged bytes are damaged or missing.
    """

    batches: int = 0
    bytes: int = 0
    repeated: int = 0
    syncs: int = 0
    refused: int = 0
    written: int = 0
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
        seconds: the clock by which ages and `sync_seconds` are told; one that nobody sets.

    Raises:
        SpoolLocked: another process, or another `Spool` of this one, writes here.
        SpoolError: the spool belongs to another sensor, is of a newer version, or cannot be opened.
    """

    def __init__(
        self, folder: Path | str, *, sensor: str = "", site: str = "", settings: SpoolSettings | None = None,
        seconds: Callable[[], float] = boottime,
    ) -> None:  # fmt: skip
        self.folder: Final = Path(folder)
        self.settings = settings or SpoolSettings()
        self.counters: Final = SpoolCounters()
        self._closed = False
        self._turn = threading.RLock()
        self._seconds: Final = seconds
        self._synced_at = seconds()
        self._packer: Final = Packer()
        self._is_broken = False
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
            SpoolUnwritable: the disk takes nothing; what was not synced is given up.
        """
        with self._turn:
            try:
                return self._append(header, data)
            except OSError as error:
                self._packer.forget()
                raise self._failed(error) from error
            except SpoolFull:
                self._packer.forget()
                raise

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
        self._repair()
        self._relieve(len(data))
        if state.offset >= self.settings.segment_bytes or self._is_old() or not self._is_of_this_version:
            self._roll()
        packed = self._packer.pack(header.table, data, state.offset)
        frame = encode_frame(state.number, self._durable.offset, self._clock.now(), header, packed)
        size = len(frame) + len(packed.data)
        self._make_room(size)
        self._write(frame, packed.data)
        number = state.number
        state.number += 1
        state.offset += size
        state.runs[header.run] = header.sequence
        self._room.bytes += size
        self.counters.batches += 1
        self.counters.bytes += size
        if self.settings.sync == "batch" or (self.settings.sync == "cut" and header.cut_last and self._is_due()):
            self.sync()
        return number

    def _is_due(self) -> bool:
        return self._seconds() - self._synced_at >= self.settings.sync_seconds

    def sync(self) -> int:
        """Put everything appended on the disk, show it to readers, and return the number of the next batch.

        Raises:
            SpoolFull: the disk is full. Everything since the last `sync` is taken back.
            SpoolUnwritable: the disk failed. Everything since the last `sync` is taken back.
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
            self.counters.refused += 1
            self._fall_back()
            raise disk_error(self.folder, error) from error
        self.counters.syncs += 1
        self._synced_at = self._seconds()
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
    def acknowledged(self) -> int:
        """Number behind the last batch that `sync` has put on the disk."""
        return self._durable.number

    @property
    def size_bytes(self) -> int:
        """Bytes of all segments."""
        return self._room.bytes

    @property
    def depth(self) -> int:
        """Batches that are held and that no consumer has released."""
        return self._state.number - max(self._room.released, self._room.firsts[0])

    @property
    def room(self) -> RoomCounters:
        """What made room since the spool was opened."""
        return self._room.counters

    @property
    def removed_rows(self) -> int:
        """Rows of all segments that were removed unreleased since the spool was created, with those dropped from them before."""
        return self._room.removed_rows

    @property
    def bytes_written(self) -> int:
        """Bytes written to the disk since the spool was opened."""
        return self.counters.written + self._room.counters.written

    @property
    def runs(self) -> dict[Run, int]:
        """Highest sequence appended by run."""
        return dict(self._state.runs)

    def adjust(self, settings: SpoolSettings) -> None:
        """Go on with other settings, but for the size of segments and what is done at the quota. Raises ValueError.

        A smaller quota is reached along with the next appends, each of which waits for no more than a piece of the work: one that
        waited for all of it would keep the recorder from its packets.
        """
        with self._turn:
            before = self.settings
            if (settings.segment_bytes, settings.overflow) != (before.segment_bytes, before.overflow):
                raise ValueError("segment_bytes and overflow hold as long as the spool is open")
            self.settings = settings
            self._quota_bytes = self._quota_in_force()

    def release(self, number: int) -> int:
        """Say that no consumer needs a batch before `number` any more; returns how many bytes that removed.

        Whole segments before it are removed while the spool is larger than `retention_bytes`, and later when there is no room.
        """
        with self._turn:
            self._check_open()
            self._room.released = max(self._room.released, min(number, self._durable.number))
        removed = 0
        while size := self._remove_released():
            removed += size
            # Appends come in between: with a quota that has been made smaller there may be hundreds of segments.
            time.sleep(BREATH_SECONDS)
        return removed

    def _remove_released(self) -> int:
        """Remove a segment that is released, where the spool is larger than it shall be; returns how many bytes that were."""
        with self._turn:
            room = self._room
            before = room.bytes
            if self._closed or before <= self.settings.retention_bytes:
                return 0
            try:
                room.remove_released()
            except OSError as error:
                raise disk_error(self.folder, error) from error
            return before - room.bytes

    def close(self) -> None:
        """Sync and let go of the spool. Calling it again does nothing."""
        with self._turn:
            if self._closed:
                return
            try:
                self.sync()
            finally:
                self._room.close()
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
        self._clock = SpoolClock(recovered.clock, self._seconds)
        self._state = _State(recovered.number, recovered.segment, recovered.offset, dict(recovered.runs))
        self._durable = _State(self._state.number, self._state.segment, self._state.offset, dict(recovered.runs))
        self._begun_at = recovered.begun
        self._is_of_this_version = recovered.version == FORMAT_VERSION
        if not recovered.fresh and not recovered.lost:
            self._reopen()
        settings = self.settings
        self._room = Room(self.folder, least_valuable=settings.overflow == "least_valuable", reserve_bytes=settings.segment_bytes)
        self._quota_bytes = self._quota_in_force()
        if recovered.lost:
            # Batches that readers have seen are gone: their sequences must not be given to other records.
            self.identity = new_epoch(self.folder, self.identity)
        if recovered.fresh or recovered.lost:
            self._create_segment()
        self._publish()

    def _reopen(self) -> None:
        """Open the last segment and cut off what is not acknowledged. Raises OSError, SpoolError."""
        path = segment_path(self.folder, self._durable.segment)
        if path.stat().st_size < self._durable.offset:
            raise SpoolError(f"{path}: acknowledged batches are missing at its end: start again")
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.ftruncate(file, self._durable.offset)
            os.fsync(file)
        except BaseException:
            os.close(file)
            raise
        if self._file >= 0:
            os.close(self._file)
        self._file = file

    def _create_segment(self) -> None:
        """Start the segment of the next number. It appears whole or not at all."""
        state = self._state
        self._begun_at = self._clock.now()
        head = encode_head(SegmentHead(state.number, state.runs, self._begun_at))
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
        self._packer.forget()
        self.counters.written += len(head)
        self._room.begun(state.number, len(head), state.offset if state.segment == state.number else 0)
        self._is_of_this_version = True
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
                if error.errno in FULL and self._room.give_way():
                    continue
                raise
            else:
                self.counters.written += len(frame) + len(data)
                return

    def _roll(self) -> None:
        """Acknowledge the segment and go on in a new one."""
        self.sync()
        while True:
            try:
                self._create_segment()
            except OSError as error:
                if error.errno in FULL and self._room.give_way():
                    continue
                raise
            else:
                break
        self._publish()

    def _is_old(self) -> bool:
        """Whether the segment spans as much time as one may, so that what is too old can go."""
        span = self.settings.age_seconds * 1000 / AGE_PARTS
        return 0 < span <= self._clock.now() - self._begun_at and self._state.number > self._state.segment

    def _publish(self) -> None:
        """Remember the state as acknowledged and let readers see up to it."""
        state = self._state
        self._durable = _State(state.number, state.segment, state.offset, dict(state.runs))
        mark = Mark(state.number, state.segment, state.offset)
        # Not flushed: an old mark after a power cut is put right when the spool is opened, and it never runs ahead of the data.
        try:
            file = os.open(self.folder / "mark", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                self.counters.written += os.pwrite(file, encode_mark(mark), 0)
            finally:
                os.close(file)
        except OSError as error:
            raise disk_error(self.folder, error) from error
        announce(self.folder)

    def _fall_back(self) -> None:
        """Take back what was appended since the last `sync`. The segment is opened anew before the next append."""
        durable = self._durable
        if self._state.segment == durable.segment:
            self._room.bytes -= self._state.offset - durable.offset
        self._state = _State(durable.number, durable.segment, durable.offset, dict(durable.runs))
        self._packer.forget()
        self._is_broken = True

    def _failed(self, error: OSError) -> SpoolError:
        """What a failed system call means; a disk that is not just full may have lost all that was not flushed."""
        self.counters.refused += 1
        meaning = disk_error(self.folder, error)
        if isinstance(meaning, SpoolUnwritable):
            self._fall_back()
        return meaning

    def _repair(self) -> None:
        """After a failure, open the segment anew: the disk may be another one, or have come back."""
        if self._is_broken:
            self._reopen()
            self._is_broken = False

    # Room

    def _relieve(self, size: int) -> None:
        """Remove what is too old, and work ahead where room is getting short. Each append pays for a piece of it."""
        room, settings = self._room, self.settings
        if settings.age_seconds:
            room.expire(self._clock.now() - int(settings.age_seconds * 1000))
        if room.used > settings.short_bytes and not room.remove_released():
            is_over = room.used > settings.quota_bytes
            has_worked = room.work(max(size, OVER_BYTES) if is_over else size)
            if is_over and not has_worked:
                room.give_way()
        self._quota_bytes = min(self._quota_bytes, self._quota_in_force())

    def _quota_in_force(self) -> int:
        """Most bytes at this moment: more than the quota where that has been made smaller than what is there.

        What is there then stays until appends have made room, and what comes has the room of a segment until the first has gone.
        """
        settings, used = self.settings, self._room.used
        if used <= settings.quota_bytes:
            return settings.quota_bytes
        return used + (settings.segment_bytes if settings.overflow == "least_valuable" else 0)

    def _make_room(self, size: int) -> None:
        """Make room until `size` more bytes fit the quota. Raises SpoolFull."""
        while self._room.used + size > self._quota_bytes:
            if not self._room.give_way():
                self.counters.refused += 1
                raise SpoolFull(
                    f"{self.folder}: the spool has reached its quota of {self.settings.quota_bytes} bytes and its consumers "
                    "still need all of it: let them catch up, or raise the quota"
                )

    def _check_open(self) -> None:
        if self._closed:
            raise SpoolError(f"{self.folder}: the spool has been closed")

    def _release_files(self) -> None:
        self._closed = True
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        os.close(self._lock)
