"""The checkpoint of the loop: what is remembered, and the position that it belongs to, in one file that is written whole or not.

The file is a zip archive that is not compressed, with a checksum of each member: `checkpoint.json`, and the members of
`remembered`. Whoever shows what was learned reads these parts and no others.
"""

from __future__ import annotations

import json
import os
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from collector.stream import Position
from detection import remembered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from collector.stream import Run
    from detection.pipeline import State
    from detection.remembered import Learned

CHECKPOINT_FILE: Final = Path("checkpoints", "detection.zip")
"""The checkpoint in a data folder."""

CHECKPOINT_FORMAT: Final = 20
"""Version of the checkpoint's content. One of a newer version is refused and not touched."""

OLDEST_FORMAT: Final = 19
"""Oldest version that is read. It does not say where what waited was let through, so that nothing was."""

_SAID: Final = "checkpoint.json"

_DAMAGE: Final = (
    KeyError,
    TypeError,
    ValueError,
    OverflowError,
    OSError,
    EOFError,
    RuntimeError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)
"""What reading an archive of which any bit may be another can raise: `RuntimeError` where `zipfile` does not know the way to
compress or to encrypt, or the version."""

ANEW: Final = "move it away: detection then looks at the records that are kept from their beginning, and learns from them anew"
"""What to do about a file that cannot be used."""


class CheckpointError(Exception):
    """A checkpoint cannot be used. The text is one line that says what to do."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What the loop goes on from."""

    position: Position
    state: State
    epoch: str
    """Epoch of the alerts."""
    order: Mapping[str, Any]
    """What is remembered of the order of records: clocks of runs, what was told of them, where what waited was let through."""
    ended: bool
    """Whether it was written at an orderly end at which nothing waited: then nothing behind it was looked at."""
    site: str = ""
    """Version of the site's facts."""


class CheckpointStore(Protocol):
    """The port for what the loop goes on from: one checkpoint, of which the newest counts."""

    def read(self) -> Checkpoint | None:
        """The checkpoint; None where there is none. Raises CheckpointError where it is damaged or not read."""
        ...

    def write(self, checkpoint: Checkpoint) -> None:
        """Put a checkpoint in the place of the one before, whole or not at all."""
        ...


class FileCheckpoints:
    """A checkpoint in a file, whose folder exists. What is written is durable on return."""

    def __init__(self, file: Path) -> None:
        self.file: Final = file

    def read(self) -> Checkpoint | None:
        """As `CheckpointStore.read`."""
        try:
            return read_checkpoint(self.file)
        except FileNotFoundError:
            return None

    def write(self, checkpoint: Checkpoint) -> None:
        """As `CheckpointStore.write`."""
        write_checkpoint(self.file, checkpoint)


def members_of(checkpoint: Checkpoint, but: AbstractSet[Run] = frozenset()) -> dict[str, bytes]:
    """A checkpoint as named parts, without those of some runs; equal parts have equal bytes."""
    said = {
        "format": CHECKPOINT_FORMAT,
        "epoch": checkpoint.epoch,
        "position": checkpoint.position.to_json(),
        "order": checkpoint.order,
        "site": checkpoint.site,
        "ended": checkpoint.ended,
    }
    return {_SAID: json.dumps(said).encode(), **remembered.parted(checkpoint.state, but)}


def of_members(members: Mapping[str, bytes], where: str, anew: str) -> Checkpoint:
    """The checkpoint that `members_of` took apart. Raises CheckpointError, with the place and what to do, for anything else."""
    try:
        said = _checked(members[_SAID], where, anew)
        return _whole(said, {name: content for name, content in members.items() if name != _SAID})
    except _DAMAGE as error:
        raise _damaged(where, error, anew) from error


def read_checkpoint(file: Path) -> Checkpoint:
    """What is in a checkpoint. Raises FileNotFoundError; CheckpointError for one that is damaged or of a version not read."""
    try:
        with _opened(file) as archive:
            said = _said(archive, file)
            return _whole(said, {name: archive.read(name) for name in archive.namelist() if name != _SAID})
    except FileNotFoundError:
        raise
    except _DAMAGE as error:
        raise _damaged(file, error) from error


def check(file: Path) -> None:
    """Look at the head of a checkpoint, if there is one. Raises CheckpointError where it is of a version that is not read."""
    try:
        with _opened(file) as archive:
            _said(archive, file)
    except FileNotFoundError:
        return
    except _DAMAGE as error:
        raise _damaged(file, error) from error


def learned_of(names: Sequence[str], read: Callable[[str], bytes], where: str, anew: str) -> list[Learned]:
    """What was learned of the runs in the members of a checkpoint, where nothing else is read.

    Args:
        names: names of the members.
        read: gives a member.
        where: what it is, for errors.
        anew: what to do about one that cannot be used.

    Raises:
        CheckpointError: it is damaged, or of a version that is not read.
    """
    try:
        _checked(read(_SAID), where, anew)
        return remembered.learned(names, read)[1]
    except _DAMAGE as error:
        raise _damaged(where, error, anew) from error


def read_position(file: Path) -> Position:
    """Where a checkpoint stands; nothing else of it is read. Raises as `read_checkpoint` does."""
    try:
        with _opened(file) as archive:
            return Position.from_json(_said(archive, file)["position"])
    except FileNotFoundError:
        raise
    except _DAMAGE as error:
        raise _damaged(file, error) from error


def read_learned(file: Path) -> tuple[list[Run], list[Learned]]:
    """The runs in a checkpoint, and what was learned of them. Raises as `read_checkpoint` does."""
    try:
        with _opened(file) as archive:
            _said(archive, file)
            return remembered.learned(archive.namelist(), archive.read)
    except FileNotFoundError:
        raise
    except _DAMAGE as error:
        raise _damaged(file, error) from error


def write_checkpoint(file: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint whole or not at all; durable on return."""
    part = file.with_suffix(".part")
    with part.open("wb") as raw:
        with zipfile.ZipFile(raw, "w", zipfile.ZIP_STORED) as archive:
            for name, content in members_of(checkpoint).items():
                archive.writestr(zipfile.ZipInfo(name), content)
        raw.flush()
        os.fsync(raw.fileno())
    part.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _opened(file: Path) -> zipfile.ZipFile:
    """The archive. Raises FileNotFoundError, CheckpointError."""
    before = file.with_suffix(".json")
    if before != file and before.exists() and not file.exists():
        raise CheckpointError(f"{before}: written by an older version of icsight; {ANEW}")
    try:
        return zipfile.ZipFile(file)
    except FileNotFoundError:
        raise
    except _DAMAGE as error:
        raise CheckpointError(f"{file}: cannot be read ({error}); {ANEW}") from error


def _said(archive: zipfile.ZipFile, file: Path) -> dict[str, Any]:
    """What is said of the whole. Raises CheckpointError where it is of a version that is not read."""
    return _checked(archive.read(_SAID), file, ANEW)


def _checked(content: bytes, where: Path | str, anew: str) -> dict[str, Any]:
    said = cast("dict[str, Any]", json.loads(content))
    version = int(said["format"])
    if version > CHECKPOINT_FORMAT:
        # What a newer version has learned is not to be moved away for a program that only has to be brought up.
        raise CheckpointError(
            f"{where}: written by a newer version of icsight (checkpoint {version}, this one reads {OLDEST_FORMAT} and "
            f"{CHECKPOINT_FORMAT}): update icsight"
        )
    if version < OLDEST_FORMAT:
        raise CheckpointError(
            f"{where}: written by an older version of icsight (checkpoint {version}, this one reads {OLDEST_FORMAT} and "
            f"{CHECKPOINT_FORMAT}); {anew}"
        )
    return said


def _whole(said: Mapping[str, Any], members: Mapping[str, bytes]) -> Checkpoint:
    epoch, order, ended = str(said["epoch"]), cast("dict[str, Any]", said["order"]), said["ended"] is True
    return Checkpoint(Position.from_json(said["position"]), remembered.whole(members), epoch, order, ended, str(said["site"]))


def _damaged(where: Path | str, error: Exception, anew: str = ANEW) -> CheckpointError:
    return CheckpointError(f"{where}: damaged ({' '.join(str(error).split())}); {anew}")
