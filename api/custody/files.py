"""Files of evidence on disk: written once, with their hashes computed on the way, and compared with them at each read.

A file counts when its row is in the database, and it is whole on the disk before that. What is half-written is a draft, which
counts as nothing and is removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
import uuid
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Self

from cryptography.hazmat.primitives import hashes

from sensor.spool_files import FULL, sync_folder, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

PIECE: Final = 1024 * 1024
"""Bytes that are read at a time."""

RESERVE_BYTES: Final = 256 * 1024 * 1024
"""What stays free on the disk: evidence must not stop what else is written there."""

FILE: Final = re.compile(r"[0-9a-f]{32}")
"""Names of files of evidence."""

DRAFT_SECONDS: Final = 24 * 3600
"""A draft that is so old is nobody's any more."""


class EvidenceFileError(Exception):
    """A file of evidence cannot be written. The text is one line."""


class NoRoomError(EvidenceFileError):
    """The disk is full, or would be."""


class TooLargeError(EvidenceFileError):
    """It is longer than it may be."""


class DamagedError(Exception):
    """A file of evidence is not as it was taken.

    Attributes:
        how: whether it is gone, or another.
    """

    def __init__(self, how: Literal["missing", "changed"]) -> None:
        super().__init__(how)
        self.how: Final = how


@dataclass(frozen=True, slots=True)
class Hashes:
    """What tells a file from every other."""

    size: int
    sha256: str
    sm3: str


class Hashing:
    """Hashes what comes, piece by piece."""

    def __init__(self) -> None:
        self.size = 0
        self.crc = 0
        self._sha256 = hashlib.sha256()
        self._sm3 = hashes.Hash(hashes.SM3())

    def update(self, piece: bytes) -> None:
        """Take a piece."""
        self.size += len(piece)
        self.crc = zlib.crc32(piece, self.crc)
        self._sha256.update(piece)
        self._sm3.update(piece)

    def end(self) -> Hashes:
        """The hashes of all that came; once."""
        return Hashes(self.size, self._sha256.hexdigest(), self._sm3.finalize().hex())


class Draft:
    """A file of evidence that is being written: it is kept whole, or removed at the end of the block.

    Args:
        folder: the folder of evidence; made where it is missing.
        most: most bytes.

    Raises NoRoomError, EvidenceFileError.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self.name: Final = uuid.uuid4().hex
        self._folder = folder
        self._most = most
        self._path = folder / f".{self.name}.draft"
        self._hashing = Hashing()
        self._looked = 0
        self._is_kept = False
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _tidy(folder)
            self._check_room()
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o400)
        except OSError as error:
            raise _failed(folder, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        os.close(self._file)
        with contextlib.suppress(OSError):
            # Where it is kept, it has another name by now.
            self._path.unlink(missing_ok=True)

    def write(self, piece: bytes) -> None:
        """Add a piece. Raises TooLargeError, NoRoomError, EvidenceFileError."""
        offset = self._hashing.size
        if offset + len(piece) > self._most:
            raise TooLargeError(f"more than {self._most} bytes")
        try:
            if offset - self._looked >= 16 * PIECE:
                self._check_room()
                self._looked = offset
            write_whole(self._file, [piece], offset)
        except OSError as error:
            raise _failed(self._folder, error) from error
        self._hashing.update(piece)

    @property
    def size(self) -> int:
        """How much was written."""
        return self._hashing.size

    def end(self) -> Hashes:
        """The hashes of the whole, which is on the disk on return; once. Raises NoRoomError, EvidenceFileError."""
        try:
            os.fsync(self._file)
        except OSError as error:
            raise _failed(self._folder, error) from error
        return self._hashing.end()

    def keep(self) -> None:
        """Give it its name, for good. Raises EvidenceFileError."""
        try:
            self._path.rename(self._folder / self.name)
            sync_folder(self._folder)
        except OSError as error:
            raise _failed(self._folder, error) from error
        self._is_kept = True

    def forget(self) -> None:
        """Take it away again: nothing in the database names it."""
        if self._is_kept:
            (self._folder / self.name).unlink(missing_ok=True)

    def _check_room(self) -> None:
        room = os.statvfs(self._folder)
        if room.f_bavail * room.f_frsize < RESERVE_BYTES:
            raise NoRoomError(f"{self._folder}: less than {RESERVE_BYTES // PIECE} MiB are free: free some space")


def check(path: Path, expected: Hashes) -> int:
    """Look at every byte of a file; returns its CRC-32. Raises DamagedError, OSError where the disk fails."""
    hashing = Hashing()
    for piece in _pieces(path):
        hashing.update(piece)
    if hashing.end() != expected:
        raise DamagedError("changed")
    return hashing.crc


def content(path: Path, expected: Hashes) -> Iterator[bytes]:
    """A file, piece by piece; the last one only if the whole is as it was taken. Raises DamagedError, OSError."""
    hashing, held = Hashing(), b""
    for piece in _pieces(path):
        if hashing.size + len(piece) > expected.size:
            break
        hashing.update(piece)
        if held:
            yield held
        held = piece
    if hashing.end() != expected:
        raise DamagedError("changed")
    yield held


def put_back(folder: Path, name: str, pieces: Iterable[bytes]) -> None:
    """Put a file of a backup in its place, whole or not at all. Raises OSError, and what `pieces` raises."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = folder / f".{name}.draft"
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o400)
    try:
        offset = 0
        for piece in pieces:
            write_whole(file, [piece], offset)
            offset += len(piece)
        os.fsync(file)
        draft.rename(folder / name)
        sync_folder(folder)
    finally:
        os.close(file)
        draft.unlink(missing_ok=True)


def _pieces(path: Path) -> Iterator[bytes]:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise DamagedError("missing") from None
    except OSError as error:
        raise DamagedError("changed") from error
    with os.fdopen(file, "rb", buffering=0) as opened:
        while piece := opened.read(PIECE):
            yield piece


def _tidy(folder: Path) -> None:
    """Remove drafts that a process left which is gone."""
    for path in folder.glob(".*.draft"):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < time.time() - DRAFT_SECONDS:
                path.unlink()


def _failed(folder: Path, error: OSError) -> EvidenceFileError:
    if error.errno in FULL:
        return NoRoomError(f"{folder}: the disk is full: free some space")
    return EvidenceFileError(f"{folder}: cannot be written ({error.strerror})")
