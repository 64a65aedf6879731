"""A spool's own files besides its segments: the lock, the identity; and how bytes get to the disk."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from sensor.spool_format import FORMAT_VERSION, SpoolError, SpoolFull, SpoolLocked, SpoolUnwritable, check_version

if TYPE_CHECKING:
    from pathlib import Path

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the system calls a disk without room."""

SPOOL: Final = "spool"
"""Folder of the records' spool in a data folder."""

IDENTITY: Final = "identity.json"
"""Name of the file in a spool that says who writes it; another one in its place says that numbers may have been given anew."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who writes the spool. `epoch` numbers the live source; a capture file brings its own."""

    sensor: str
    site: str
    epoch: str


def write_whole(file: int, pieces: list[bytes | memoryview], offset: int) -> None:
    """Write all pieces one behind the other at `offset`. Raises OSError; then a part may have been written."""
    views = [memoryview(piece).cast("B") for piece in pieces if len(piece)]
    while views:
        written = os.pwritev(file, views, offset)
        if written == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        offset += written
        while views and written >= len(views[0]):
            written -= len(views.pop(0))
        if views:
            views[0] = views[0][written:]


def disk_error(folder: Path, error: OSError) -> SpoolError:
    """What a failed system call means for the spool in `folder`, in one line."""
    if error.errno in FULL:
        return SpoolFull(f"{folder}: the disk is full: free some space; the records on it are safe")
    return SpoolUnwritable(f"{folder}: the disk failed ({error.strerror}): check the device; what was acknowledged is kept")


def take_lock(folder: Path) -> int:
    """Take the lock of the one writer. Raises SpoolLocked."""
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(lock, 32, 0).decode(errors="replace").strip()
        os.close(lock)
        raise SpoolLocked(f"{folder}: process {holder or 'unknown'} writes to it already: stop that one first") from error
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def read_identity(folder: Path, sensor: str, site: str) -> Identity:
    """Read who writes the spool, or settle it where the spool is new. Raises SpoolError."""
    path = folder / IDENTITY
    try:
        content = cast("dict[str, str | int]", json.loads(path.read_bytes()))
        # What else a newer version writes is not known.
        check_version(int(content["version"]), path)
        identity = Identity(str(content["sensor"]), str(content["site"]), str(content["epoch"]))
    except FileNotFoundError:
        return _write_identity(folder, Identity(sensor, site, os.urandom(16).hex()))
    except (ValueError, KeyError, TypeError) as error:
        raise SpoolError(f"{path}: not the identity of a spool ({error}): restore it, or use a new folder") from error
    if (sensor or identity.sensor, site or identity.site) != (identity.sensor, identity.site):
        raise SpoolError(
            f"{folder}: the spool belongs to sensor {identity.sensor!r} of site {identity.site!r}, "
            f"not to {sensor!r} of {site!r}: use that name, or another folder"
        )
    return identity


def new_epoch(folder: Path, identity: Identity) -> Identity:
    """Draw another epoch for the live source and keep it. Raises OSError."""
    return _write_identity(folder, Identity(identity.sensor, identity.site, os.urandom(16).hex()))


def _write_identity(folder: Path, identity: Identity) -> Identity:
    content = {"version": FORMAT_VERSION, "sensor": identity.sensor, "site": identity.site, "epoch": identity.epoch}
    replace_file(folder / IDENTITY, json.dumps(content, ensure_ascii=False).encode())
    return identity


def replace_file(path: Path, content: bytes) -> None:
    """Put a file in place whole or not at all, on the disk on return. Raises OSError."""
    draft = path.with_suffix(".draft")
    # Who may write into the folder must not lead the write elsewhere.
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        write_whole(file, [content], 0)
        os.fsync(file)
    finally:
        os.close(file)
    draft.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Put the folder's list of names on the disk."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
