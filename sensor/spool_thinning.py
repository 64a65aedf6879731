"""A segment written anew without the rows of one class of value.

Each frame keeps its number, header and place in its run and in its cut; its rows become fewer, and the header says how many
were dropped. The new file takes the old one's name once it is on the disk: a kill at any moment leaves the one or the other. A
reader that has the old file open reads it to its end.

What is damaged is copied as it is, so that readers still come by it and say so. A segment of an
older version becomes one of this.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sensor.spool_files import sync_folder, write_whole
from sensor.spool_format import (
    HEADER_BYTES,
    BatchHeader,
    Frame,
    Packed,
    decode_frame,
    encode_frame,
    encode_head,
    segment_path,
)
from sensor.spool_packing import Packer, Unpacker
from sensor.spool_reader import frame_from, read_base, read_head, read_stored
from sensor.spool_recovery import find_frame
from sensor.value import ORDER, Value

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WRITE_BYTES: Final = 256 * 1024
"""How much is gathered before it is written."""


def frames(folder: Path, first: int) -> Iterator[Frame]:
    """The headers of a segment's frames; damaged ones are left out. Raises OSError, SpoolError."""
    path = segment_path(folder, first)
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        head, offset = read_head(file, path)
        end = os.fstat(file).st_size
        while offset < end:
            frame = frame_from(file, offset, end, head.version)
            if frame is None:
                return
            yield frame
            offset = frame.end
    finally:
        os.close(file)


def holds(folder: Path, first: int, value: Value) -> bool:
    """Whether a segment has batches in which there may be rows of the class. Raises OSError, SpoolError."""
    return any(frame.header.table in value.tables and frame.header.rows for frame in frames(folder, first))


class Thinning:
    """A segment on its way to having fewer rows.

    Args:
        folder: folder of the spool.
        first: number of the segment's first batch; it is not the last segment.
        level: which class of value is dropped: its place in `sensor.value.ORDER`.

    Raises:
        OSError: the disk takes no new file.
        SpoolError: the head of the segment is damaged.
    """

    def __init__(self, folder: Path, first: int, level: int) -> None:
        self.first: Final = first
        self.level: Final = level
        self.dropped = 0
        """Rows dropped so far."""
        self.written = 0
        """Bytes written so far."""
        self._path: Final = segment_path(folder, first)
        self._draft: Final = self._path.with_suffix(".draft")
        self._source = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        self._target = -1
        try:
            head, self._offset = read_head(self._source, self._path)
            self._version: Final = head.version
            self._end: Final = os.fstat(self._source).st_size
            self._target = os.open(self._draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        except BaseException:
            self.abandon()
            raise
        self._packer = Packer()
        self._unpacker = Unpacker(lambda offset: read_base(self._source, offset))
        self._pieces: list[bytes | memoryview] = []
        self._gathered = 0
        self._put(encode_head(replace(head, thinned=level + 1)))

    @property
    def done(self) -> bool:
        """Whether all of the segment has been worked through."""
        return self._offset >= self._end

    def step(self, budget: int) -> int:
        """Work on for at most `budget` bytes of the segment, and a batch; returns how many they were. Raises OSError."""
        start = self._offset
        while not self.done and self._offset - start < budget:
            frame = decode_frame(os.pread(self._source, HEADER_BYTES, self._offset), self._offset, self._version)
            if frame is None or frame.end > self._end:
                found = find_frame(self._source, self._offset + 1, self._end, self._version)
                self._copy(self._offset, found.offset if found else self._end)
            else:
                self._thin(frame)
        self._write()
        return self._offset - start

    def finish(self) -> int:
        """Put the new file in the old one's place; returns how many bytes it is larger. Raises OSError."""
        os.fsync(self._target)
        self._draft.replace(self._path)
        sync_folder(self._path.parent)
        self._close()
        return self.written - self._end

    def abandon(self) -> None:
        """Leave the segment as it was."""
        self._close()
        with contextlib.suppress(OSError):
            self._draft.unlink(missing_ok=True)

    def _thin(self, frame: Frame) -> None:
        try:
            data = self._unpacker.unpack(frame, read_stored(self._source, frame))
        except ValueError:
            self._copy(frame.offset, frame.end)
            return
        header, data = self._without(frame.header, data)
        packed = self._packer.pack(header.table, data, self.written + self._gathered) if data else Packed(b"")
        self._put(encode_frame(frame.number, 0, frame.clock, header, packed))
        self._put(packed.data)
        self._offset = frame.end

    def _without(self, header: BatchHeader, data: bytes) -> tuple[BatchHeader, bytes]:
        value = ORDER[self.level]
        if header.table not in value.tables or not header.rows:
            return header, data
        try:
            thinned, rows = value.dropped_from(header.table, data)
        except ValueError:
            # Not what its table says: whoever decodes it will keep it as it is.
            return header, data
        if rows == header.rows:
            return header, data
        dropped = header.rows - rows
        self.dropped += dropped
        return replace(header, rows=rows, dropped=header.dropped + dropped), thinned

    def _copy(self, start: int, end: int) -> None:
        while start < end:
            piece = os.pread(self._source, min(end - start, WRITE_BYTES), start)
            if not piece:
                break
            self._put(piece)
            start += len(piece)
        self._offset = end

    def _put(self, piece: bytes | memoryview) -> None:
        self._pieces.append(piece)
        self._gathered += len(piece)
        if self._gathered >= WRITE_BYTES:
            self._write()

    def _write(self) -> None:
        write_whole(self._target, [b"".join(self._pieces)], self.written)
        self.written += self._gathered
        self._pieces, self._gathered = [], 0

    def _close(self) -> None:
        for file in (self._source, self._target):
            if file >= 0:
                os.close(file)
        self._source = self._target = -1
