"""Reading a spool: from a number on, to the end or along with its writer, in any thread or process."""

from __future__ import annotations

import os
import threading
import time
import weakref
import zlib
from typing import TYPE_CHECKING, Final, Self

from sensor.spool_format import (
    FORMAT_VERSION,
    HEADER_BYTES,
    PAYLOAD_BYTES,
    DamagedFrame,
    Frame,
    Mark,
    Run,
    SegmentHead,
    SpooledBatch,
    SpoolError,
    decode_frame,
    decode_head,
    decode_mark,
    head_bytes,
    segment_path,
    segments,
)
from sensor.spool_packing import Unpacker
from sensor.spool_recovery import find_frame

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

POLL_SECONDS: Final = 0.1
"""How often a reader that follows the tail looks for batches of a writer in another process; one in the same process wakes it."""


class SpoolReader:
    """Reads batches in order of their number. Each thread uses its own; it needs no lock and never changes the spool.

    Args:
        folder: folder of the spool. It may still be missing or empty.
    """

    def __init__(self, folder: Path) -> None:
        self.folder: Final = folder
        self._file = -1
        self._segment = -1
        self._thinned = False
        self._version = FORMAT_VERSION
        self._unpacker = Unpacker(self._base)
        self._number = 0
        self._offset = 0

    @property
    def end(self) -> int:
        """Number of the batch that will come next: all before it can be read, as far as they are kept."""
        mark = read_mark(self.folder)
        return mark.number if mark else 0

    @property
    def first(self) -> int:
        """Number of the oldest batch that is kept."""
        firsts = segments(self.folder)
        return firsts[0] if firsts else 0

    def read(self, number: int, count: int | None = None) -> Iterator[SpooledBatch]:
        """Yield the batches from `number` on that are there now, at most `count`. Starts at the oldest kept where that is later.

        Raises:
            DamagedFrame: the next batch is damaged. Go on with `read(error.resume)`.
            SpoolError: a segment is missing or of a newer version.
        """
        mark = read_mark(self.folder)
        while mark is not None and number < mark.number and (count is None or count > 0):
            batch = self._next(number, mark)
            if batch is None:
                return
            yield batch
            number = batch.number + 1
            count = None if count is None else count - 1

    def wait(self, number: int, timeout_seconds: float) -> bool:
        """Wait until batch `number` can be read, at most `timeout_seconds`; True when it can."""
        return wait_for(self.folder, number, timeout_seconds)

    def follow(self, number: int, stop: threading.Event) -> Iterator[SpooledBatch]:
        """Yield the batches from `number` on, and wait for more until `stop` is set. Raises as `read` does."""
        while not stop.is_set():
            for batch in self.read(number):
                yield batch
                number = batch.number + 1
                if stop.is_set():
                    return
            self.wait(number, POLL_SECONDS)

    def standing(self) -> tuple[int, dict[Run, int]]:
        """`end`, and the highest sequence before it by run, over all that the spool has ever held."""
        while True:
            mark = read_mark(self.folder)
            if mark is None:
                return 0, {}
            runs = self._runs(mark)
            if runs is not None:
                return mark.number, runs

    def _runs(self, mark: Mark) -> dict[Run, int] | None:
        """The runs before a mark; None where its segment has been thinned or removed since, so that there is a newer mark."""
        path = segment_path(self.folder, mark.segment)
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            if read_mark(self.folder) == mark:
                raise
            return None
        try:
            head, offset = read_head(file, path)
            if head.thinned:
                return None
            runs = dict(head.runs)
            while offset < mark.offset:
                frame = frame_from(file, offset, mark.offset, head.version)
                if frame is None:
                    break
                runs[frame.header.run] = frame.header.sequence
                offset = frame.end
        finally:
            os.close(file)
        return runs

    def close(self) -> None:
        """Let go of the open segment. The reader can still be used."""
        if self._file >= 0:
            os.close(self._file)
        self._file = self._segment = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def _next(self, number: int, mark: Mark) -> SpooledBatch | None:
        """The batch `number`, or the first kept behind it. Raises DamagedFrame."""
        if self._file < 0 or number != self._number:
            self._seek(number, mark)
        while True:
            # A mark that was read before its segment was thinned tells an offset in the file that was there before.
            is_last = self._segment == mark.segment and not self._thinned
            end = mark.offset if is_last else os.fstat(self._file).st_size
            if self._offset >= end:
                if self._segment == mark.segment or not self._next_segment(mark):
                    return None
                continue
            frame = decode_frame(os.pread(self._file, HEADER_BYTES, self._offset), self._offset, self._version)
            if frame is None or frame.end > end:
                raise self._damage(end, mark)
            self._offset, self._number = frame.end, frame.number + 1
            if frame.number < number:
                continue
            return SpooledBatch(frame.number, frame.header, self._payload(frame))

    def _payload(self, frame: Frame) -> bytes:
        """The batch of a frame. Raises DamagedFrame."""
        stored = b""
        try:
            stored = read_stored(self._file, frame)
            return self._unpacker.unpack(frame, stored)
        except ValueError as error:
            header = frame.header
            raise DamagedFrame(
                f"{segment_path(self.folder, self._segment)}: batch {frame.number} "
                f"({header.sensor}/{header.epoch}/{header.sequence}) is damaged ({error}): check the disk",
                resume=frame.number + 1,
                header=header,
                data=stored or os.pread(self._file, frame.payload_bytes, frame.payload),
            ) from error

    def _base(self, offset: int) -> bytes:
        return read_base(self._file, offset)

    def _damage(self, end: int, mark: Mark) -> DamagedFrame:
        """Report bytes at the current offset that are no frame, and stand behind them."""
        start = self._offset
        found = find_frame(self._file, start + 1, end, self._version)
        self._offset = found.offset if found else end
        later = [first for first in segments(self.folder) if first > self._segment]
        resume = found.number if found else min([*later, mark.number])
        self._number = resume
        return DamagedFrame(
            f"{segment_path(self.folder, self._segment)}: {self._offset - start} bytes at {start} are no batch: check the disk",
            resume=resume,
            header=None,
            data=os.pread(self._file, min(self._offset - start, PAYLOAD_BYTES), start),
        )

    def _seek(self, number: int, mark: Mark) -> None:
        """Stand at the start of the segment that holds `number`, or of the oldest; frames before it are passed over by header."""
        while True:
            firsts = [first for first in segments(self.folder) if first <= mark.segment]
            if not firsts:
                raise SpoolError(f"{self.folder}: segment {mark.segment} is missing: restore it, or move the folder away")
            held = [first for first in firsts if first <= number]
            first = held[-1] if held else firsts[0]
            if self._open(first):
                return

    def _next_segment(self, mark: Mark) -> bool:
        later = [first for first in segments(self.folder) if self._segment < first <= mark.segment]
        return any(self._open(first) for first in later)

    def _open(self, first: int) -> bool:
        """Open a segment and stand at its first frame; False where it has just been removed."""
        path = segment_path(self.folder, first)
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        self.close()
        self._file, self._segment, self._number = file, first, first
        self._unpacker = Unpacker(self._base)
        head, self._offset = read_head(file, path)
        self._thinned = head.thinned > 0
        self._version = head.version
        return True


def frame_from(file: int, offset: int, end: int, version: int) -> Frame | None:
    """The frame at an offset of an open segment, or where that is damaged the next before `end`; None where there is none."""
    return decode_frame(os.pread(file, HEADER_BYTES, offset), offset, version) or find_frame(file, offset + 1, end, version)


def read_stored(file: int, frame: Frame) -> bytes:
    """A frame's bytes as they lie in an open segment. Raises ValueError where they are damaged."""
    stored = os.pread(file, frame.payload_bytes, frame.payload)
    if len(stored) < frame.payload_bytes or zlib.crc32(stored) != frame.payload_checksum:
        raise ValueError(f"checksum of {frame.payload_bytes} bytes at {frame.payload}")
    return stored


def read_base(file: int, offset: int) -> bytes:
    """The batch at an offset of an open segment that others lean on. Raises ValueError where it is damaged."""
    frame = decode_frame(os.pread(file, HEADER_BYTES, offset), offset, FORMAT_VERSION)
    if frame is None:
        raise ValueError(f"it leans on a batch at {offset} that is damaged")
    return Unpacker(_leans_on_none).unpack(frame, read_stored(file, frame))


def _leans_on_none(offset: int) -> bytes:
    raise ValueError(f"it leans on a batch that leans on another at {offset}")


def read_head(file: int, path: Path) -> tuple[SegmentHead, int]:
    """The head of an open segment and where its frames start. Raises SpoolError."""
    start = os.pread(file, HEADER_BYTES, 0)
    decoded = decode_head(os.pread(file, head_bytes(start), 0), path)
    if decoded is None:
        raise SpoolError(f"{path}: the head of the segment is damaged: restore it from a copy, or move the file away")
    return decoded


def read_mark(folder: Path) -> Mark | None:
    """How far the spool may be read; None where nothing has been acknowledged yet."""
    for _ in range(3):  # a mark that is being written at this moment may be seen half
        try:
            file = os.open(folder / "mark", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            mark = decode_mark(os.pread(file, 64, 0))
        finally:
            os.close(file)
        if mark is not None:
            return mark
    return None


class _Bell:
    """Wakes the readers of one folder that live in this process."""

    def __init__(self) -> None:
        self.condition = threading.Condition()


_bells: Final[weakref.WeakValueDictionary[str, _Bell]] = weakref.WeakValueDictionary()
_bells_lock: Final = threading.Lock()


def _bell(folder: Path) -> _Bell:
    key = os.path.realpath(folder)
    with _bells_lock:
        bell = _bells.get(key)
        if bell is None:
            bell = _bells[key] = _Bell()
        return bell


def announce(folder: Path) -> None:
    """Wake the readers in this process that wait for batches of the folder."""
    bell = _bell(folder)
    with bell.condition:
        bell.condition.notify_all()


def wait_for(folder: Path, number: int, timeout_seconds: float) -> bool:
    """Wait until batch `number` of the folder can be read, at most `timeout_seconds`; True when it can."""
    bell = _bell(folder)
    until = time.monotonic() + timeout_seconds
    with bell.condition:
        while True:
            mark = read_mark(folder)
            if mark is not None and number < mark.number:
                return True
            remaining = until - time.monotonic()
            if remaining <= 0:
                return False
            bell.condition.wait(min(remaining, POLL_SECONDS))
