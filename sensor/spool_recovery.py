"""Opening a spool after a crash: the last whole batch, what lies torn behind it, and what was acknowledged and is gone."""

from __future__ import annotations

import mmap
import os
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sensor.spool_format import (
    FORMAT_VERSION,
    FRAME_MAGIC,
    HEADER_BYTES,
    Frame,
    Mark,
    Run,
    SpoolError,
    decode_frame,
    decode_head,
    segment_path,
    segments,
)

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(slots=True)
class Recovered:
    """Where the writer goes on.

    Attributes:
        number: number of the next batch.
        segment: first number of the last segment.
        offset: end of its last whole frame.
        runs: highest sequence by run.
        clock: the spool's clock at the last batch, milliseconds.
        begun: the spool's clock when the last segment began.
        torn_bytes: bytes behind `offset` that were never acknowledged.
        damaged: places where acknowledged bytes are damaged or missing.
        lost: acknowledged batches at the end are gone, so that their numbers and sequences must not be given out again.
        fresh: there is no segment yet.
        version: how the last segment is laid out.
    """

    number: int
    segment: int
    offset: int
    runs: dict[Run, int]
    clock: int = 0
    begun: int = 0
    torn_bytes: int = 0
    damaged: int = 0
    lost: bool = False
    fresh: bool = False
    version: int = FORMAT_VERSION


def recover(folder: Path, mark: Mark | None) -> Recovered:
    """Read the last segment and find where it ends. Changes nothing but removing a first segment that was never finished.

    Raises:
        SpoolError: the head of the last segment is damaged, or of a newer version.
    """
    firsts = segments(folder)
    if not firsts:
        _remove_drafts(folder)
        number = mark.number if mark else 0
        return Recovered(number, number, 0, {}, fresh=True, lost=number > 0, damaged=int(number > 0))
    segment = firsts[-1]
    path = segment_path(folder, segment)
    content = path.read_bytes()
    decoded = decode_head(content, path)
    _remove_drafts(folder)
    if decoded is None:
        # A segment appears whole, so only a disk that lies about flushes leaves half a head. The first one held nothing before.
        if segment == 0 and (mark is None or mark.number == 0):
            path.unlink()
            return Recovered(0, 0, 0, {}, torn_bytes=len(content), fresh=True)
        raise SpoolError(f"{path}: the head of the segment is damaged: restore it from a copy, or move the file away")
    head, offset = decoded
    recovered = Recovered(head.first, segment, offset, dict(head.runs), head.clock, head.clock, version=head.version)
    _read_frames(content, recovered)
    recovered.torn_bytes = len(content) - recovered.offset
    if mark is not None and mark.number > recovered.number:
        recovered.lost = True
        recovered.damaged += 1
        recovered.number = mark.number
    return recovered


def _remove_drafts(folder: Path) -> None:
    """Remove what was being written when the machine stopped."""
    for draft in folder.glob("*.draft"):
        draft.unlink()


def _read_frames(content: bytes, recovered: Recovered) -> None:
    """Go over the frames of a segment and stand behind the last that counts."""
    view = memoryview(content)
    while recovered.offset < len(content):
        start = recovered.offset
        frame = _whole(view, start, recovered.version)
        if frame is None:
            frame = _acknowledged_behind(view, start, recovered.version)
            if frame is None:
                return
            recovered.damaged += 1
        recovered.offset = frame.end
        recovered.number = frame.number + 1
        recovered.runs[frame.header.run] = frame.header.sequence
        recovered.clock = max(recovered.clock, frame.clock)


def _whole(view: memoryview, offset: int, version: int) -> Frame | None:
    """The frame at `offset` if all of it is there and right."""
    frame = decode_frame(view[offset : offset + HEADER_BYTES], offset, version)
    if frame is None or frame.end > len(view) or zlib.crc32(view[frame.payload : frame.end]) != frame.payload_checksum:
        return None
    return frame


def _acknowledged_behind(view: memoryview, start: int, version: int) -> Frame | None:
    """The next whole frame behind damage at `start`, if the damage was acknowledged; None where the damage is a torn end.

    A frame says how far the segment was on the disk before it was written. Only one that says "further than `start`" proves that
    the bytes at `start` were once right; others were in flight together with them, and a power cut may keep any of those and
    lose any.
    """
    content = view.obj
    assert isinstance(content, bytes)  # noqa: S101 - `recover` made it so
    candidate: Frame | None = None
    at = content.find(FRAME_MAGIC, start + 1)
    while at >= 0:
        frame = _whole(view, at, version)
        if frame is None:
            at = content.find(FRAME_MAGIC, at + 1)
            continue
        candidate = candidate or frame
        if frame.synced > start:
            return candidate
        at = content.find(FRAME_MAGIC, frame.end)
    return None


def find_frame(file: int, start: int, end: int, version: int) -> Frame | None:
    """The first frame with a whole header in the bytes [start, end) of a segment of `version`."""
    if start >= end or os.fstat(file).st_size == 0:
        return None
    with mmap.mmap(file, 0, access=mmap.ACCESS_READ) as content:
        end = min(end, len(content))
        at = content.find(FRAME_MAGIC, start, end)
        while at >= 0:
            frame = decode_frame(content[at : at + HEADER_BYTES], at, version)
            if frame is not None and frame.end <= end:
                return frame
            at = content.find(FRAME_MAGIC, at + 1, end)
    return None
