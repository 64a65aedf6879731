"""How a spool lies on disk: the header of a batch, the frame that holds it, the head of a segment, and the mark.

A spool is a folder:

    identity.json                  sensor, site, and the epoch of the live source
    lock                           held by the one writer
    mark                           how far readers may read: all before it is on the disk
    removed.json                   rows of the segments that were removed before they had been released
    reserve                        room that is kept free for thinning a segment (sensor.spool_room)
    00000000000000000000.segment   frames, the name is the number of the first; the next segment starts where this one ends

A segment starts with a head (the runs that the spool held when the segment began, so that opening a spool reads one segment only)
and goes on with frames. A frame is a header with its own checksum and the batch's bytes with theirs, so that a damaged batch is
still known by name, and the frames behind it can be found again. Small batches are packed (sensor.spool_packing).

A segment that has been thinned for room has the same frames, each with fewer rows and with the number of those that were dropped;
a frame without any rows has no bytes behind its header. So numbers, sequences and cuts stay without gaps.

Checksums are CRC-32 (ISO-HDLC) from zlib: it finds every error burst of up to 32 bits and all but one in 2^32 of the rest, as
CRC-32C does, and it is the one that the standard library computes in compiled code, without the interpreter lock.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from sensor.names import NAME_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FORMAT_VERSION: Final = 2
"""Version of the layout below, in the head of each segment. One of a newer version is refused and not touched."""

OLDEST_VERSION: Final = 1
"""Oldest version that is read. Its segments stay as they are until they are thinned or removed; an append begins a new one."""

PAYLOAD_BYTES: Final = 64 * 1024 * 1024
"""Most bytes of one batch. The packet core cuts at 8 MiB; a single huge row may pass that."""

Run = tuple[str, str]
"""A run of batches that is numbered by itself: (sensor, epoch)."""

FRAME_MAGIC: Final = b"ICSB"
_FRAME: Final = struct.Struct("<4sIHIIQQIIQQQqqIBBBBBB")
# magic, checksum of all that follows in the header, header bytes, payload bytes, payload checksum, number, sequence, rows,
# dropped, clock, synced, cut, cut_start, cut_end, base, packing, cut_last, lengths of the four names
_FRAME_1: Final = struct.Struct("<4sIHIIQQIQQqqBBBBB")
# As above in format 1: without dropped, clock, base and packing. Nothing was dropped or packed, and nothing had a clock.
_CHECKED_FROM: Final = 8
FRAME_BYTES: Final = _FRAME.size
"""Bytes of a frame's fixed part; the four names follow it, then the payload."""

_HEAD_MAGIC: Final = b"ICSPOOL\n"
_HEAD: Final = struct.Struct("<8sHII")  # magic, format version, bytes of the JSON that follows, its checksum
_MARK: Final = struct.Struct("<4sQQQI")  # magic, segment, offset, next number, checksum of what precedes
_MARK_MAGIC: Final = b"ICSM"


class SpoolError(Exception):
    """A spool cannot be used. The text is one line that says what happened, to what, and what to do next."""


class SpoolLocked(SpoolError):  # noqa: N818 - a state of the spool, named as one
    """Another process writes to the spool."""


class SpoolFull(SpoolError):  # noqa: N818 - a state of the spool, named as one
    """There is no room for the batch: the quota or the disk is used up. Nothing of the batch was kept."""


class SpoolUnwritable(SpoolError):  # noqa: N818 - a state of the spool, named as one
    """The disk takes nothing: it is read-only, or it fails. What was not synced is given up; trying again may help."""


class SequenceGap(SpoolError):  # noqa: N818 - named for what it reports
    """A batch does not follow the one before it in its run."""


@dataclass(frozen=True, slots=True)
class BatchHeader:
    """What is known of a batch without reading it. Same meaning as `sensor.tables.METADATA`.

    `dropped` rows were in the batch and have been removed for want of room; `rows` are left.
    """

    sensor: str
    epoch: str
    sequence: int
    table: str
    rows: int
    site: str = ""
    cut: int = 0
    cut_start: int = 0
    cut_end: int = 0
    cut_last: bool = True
    dropped: int = 0

    @property
    def run(self) -> Run:
        """The run that `sequence` counts in."""
        return self.sensor, self.epoch


@dataclass(frozen=True, slots=True)
class SpooledBatch:
    """A batch in a spool: its number there (from 0, in order of arrival over all runs), its header, its bytes.

    A batch all of whose rows have been dropped (`header.dropped`) has no bytes. One that has lost some has its rows' numbers in
    column `ROW`.
    """

    number: int
    header: BatchHeader
    data: bytes


class DamagedFrame(SpoolError):  # noqa: N818 - named for what it reports
    """Stored bytes are not what was written: a bit has flipped or a piece is missing. Reading goes on at `resume`.

    Attributes:
        resume: number of the batch to read on from.
        header: header of the damaged batch where that is whole, otherwise None.
        data: the damaged bytes, at most `PAYLOAD_BYTES`.
    """

    def __init__(self, text: str, *, resume: int, header: BatchHeader | None, data: bytes) -> None:
        super().__init__(text)
        self.resume = resume
        self.header = header
        self.data = data


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame's header as it was read: where the frame lies and what it holds.

    `clock` is the spool's clock when it was appended (milliseconds, `sensor.spool_room`); `packing` and `base` say how its bytes
    are packed (`sensor.spool_packing`).
    """

    offset: int
    header_bytes: int
    payload_bytes: int
    payload_checksum: int
    number: int
    synced: int
    clock: int
    packing: int
    base: int
    header: BatchHeader

    @property
    def payload(self) -> int:
        """Offset of the payload in the segment."""
        return self.offset + self.header_bytes

    @property
    def end(self) -> int:
        """Offset behind the frame."""
        return self.offset + self.header_bytes + self.payload_bytes


ROW: Final = "icsight.row"
"""Column of a batch that has lost rows: the numbers of those that are left."""


@dataclass(frozen=True, slots=True)
class Packed:
    """The bytes of a batch as they lie in a segment: `packing` says how, `base` is the offset of the frame that they lean on."""

    data: bytes | memoryview
    packing: int = 0
    base: int = 0


def encode_frame(number: int, synced: int, clock: int, header: BatchHeader, packed: Packed) -> bytes:
    """The header of a frame around packed bytes; `synced` is how far the segment was on the disk before this frame was written.

    Raises:
        SpoolError: a name or the batch is too long.
    """
    names = [name.encode() for name in (header.sensor, header.site, header.epoch, header.table)]
    if max(map(len, names)) > NAME_BYTES:
        raise SpoolError(f"a name in {header!r} is longer than {NAME_BYTES} bytes: use a shorter sensor or site name")
    size = memoryview(packed.data).nbytes
    if size > PAYLOAD_BYTES:
        raise SpoolError(f"a batch of table {header.table} has {size} bytes, more than the {PAYLOAD_BYTES} that a spool takes")
    fixed = _FRAME.pack(
        FRAME_MAGIC, 0, FRAME_BYTES + sum(map(len, names)), size, zlib.crc32(packed.data), number, header.sequence, header.rows,
        header.dropped, clock, synced, header.cut, header.cut_start, header.cut_end, packed.base, packed.packing, header.cut_last,
        *map(len, names),
    )  # fmt: skip
    checked = fixed[_CHECKED_FROM:] + b"".join(names)
    return FRAME_MAGIC + struct.pack("<I", zlib.crc32(checked)) + checked


def decode_frame(data: bytes | memoryview, offset: int, version: int) -> Frame | None:
    """The frame whose header starts `data`, at `offset` in a segment of `version`; None where there is no whole header."""
    fixed = _FRAME_1 if version == 1 else _FRAME
    if len(data) < fixed.size:
        return None
    magic, checksum, header_bytes, payload_bytes, payload_checksum, number, sequence, rows, *rest = fixed.unpack_from(data)
    whole = magic == FRAME_MAGIC and fixed.size <= header_bytes <= len(data) and payload_bytes <= PAYLOAD_BYTES
    if not whole or zlib.crc32(data[_CHECKED_FROM:header_bytes]) != checksum:
        return None
    if version == 1:
        synced, cut, start, end, last, *lengths = rest
        dropped = clock = base = packing = 0
    else:
        dropped, clock, synced, cut, start, end, base, packing, last, *lengths = rest
    names: list[str] = []
    at = fixed.size
    for length in lengths:
        names.append(bytes(data[at : at + length]).decode(errors="replace"))
        at += length
    if at != header_bytes:
        # The checksum is laid out alike in all versions: a header of another one passes it.
        return None
    sensor, site, epoch, table = names
    header = BatchHeader(sensor, epoch, sequence, table, rows, site, cut, start, end, bool(last), dropped)
    return Frame(offset, header_bytes, payload_bytes, payload_checksum, number, synced, clock, packing, base, header)


HEADER_BYTES: Final = FRAME_BYTES + 4 * NAME_BYTES
"""Most bytes of a frame's header."""


@dataclass(frozen=True, slots=True)
class SegmentHead:
    """The start of a segment.

    Attributes:
        first: number of its first batch.
        runs: highest sequence of each run in all segments before it.
        clock: the spool's clock when it began, milliseconds.
        thinned: how many classes of value have been dropped from it (`sensor.value`).
        version: how it is laid out.
    """

    first: int
    runs: Mapping[Run, int]
    clock: int = 0
    thinned: int = 0
    version: int = FORMAT_VERSION


def encode_head(head: SegmentHead) -> bytes:
    """The bytes that a segment of this version starts with."""
    runs = [[*run, highest] for run, highest in head.runs.items()]
    body = json.dumps({"first": head.first, "runs": runs, "clock": head.clock, "thinned": head.thinned}).encode()
    return _HEAD.pack(_HEAD_MAGIC, FORMAT_VERSION, len(body), zlib.crc32(body)) + body


def decode_head(data: bytes, path: Path) -> tuple[SegmentHead, int] | None:
    """The head that starts `data` and its length, or None where it is not whole.

    Raises:
        SpoolError: the segment was written by a newer version, or by one that is not read any more.
    """
    if len(data) < _HEAD.size:
        return None
    magic, version, size, checksum = _HEAD.unpack_from(data)
    body = data[_HEAD.size : _HEAD.size + size]
    if magic != _HEAD_MAGIC:
        return None
    check_version(version, path)
    if len(body) < size or zlib.crc32(body) != checksum:
        return None
    content = cast("dict[str, object]", json.loads(body))
    runs = {(sensor, epoch): highest for sensor, epoch, highest in cast("list[tuple[str, str, int]]", content["runs"])}
    clock, thinned = (cast("int", content.get(name, 0)) for name in ("clock", "thinned"))  # format 1 has neither
    return SegmentHead(cast("int", content["first"]), runs, clock, thinned, version), _HEAD.size + size


def check_version(version: int, path: Path) -> None:
    """Raises SpoolError where what lies at `path` is of a version that this program does not read."""
    if version > FORMAT_VERSION:
        raise SpoolError(
            f"{path}: written by a newer version (format {version}, this one reads {FORMAT_VERSION}): update icsight"
        )
    if version < OLDEST_VERSION:
        raise SpoolError(
            f"{path}: written by an older version (format {version}, this one reads {OLDEST_VERSION} to {FORMAT_VERSION}): "
            "use a new folder"
        )


def head_bytes(data: bytes) -> int:
    """How many bytes the head is long that starts with `data`; 0 where that cannot be told."""
    if len(data) < _HEAD.size:
        return 0
    return _HEAD.size + cast("int", _HEAD.unpack_from(data)[2])


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """How far a spool may be read: up to `offset` of the segment that starts with batch `segment`; `number` comes next."""

    number: int
    segment: int
    offset: int


def encode_mark(mark: Mark) -> bytes:
    """The content of the file `mark`."""
    body = _MARK.pack(_MARK_MAGIC, mark.segment, mark.offset, mark.number, 0)[:-4]
    return body + struct.pack("<I", zlib.crc32(body))


def decode_mark(data: bytes) -> Mark | None:
    """The mark in `data`, or None where it is not whole."""
    if len(data) < _MARK.size:
        return None
    magic, segment, offset, number, checksum = _MARK.unpack_from(data)
    if magic != _MARK_MAGIC or zlib.crc32(data[: _MARK.size - 4]) != checksum:
        return None
    return Mark(number, segment, offset)


def segment_path(folder: Path, first: int) -> Path:
    """The file of the segment that starts with batch `first`."""
    return folder / f"{first:020d}.segment"


def segments(folder: Path) -> list[int]:
    """First numbers of all segments in the folder, in order."""
    return sorted(int(path.stem) for path in folder.glob("*.segment") if path.stem.isdigit())
