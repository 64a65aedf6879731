"""Decisions on their way to detection: a folder in the data folder, a file for each, written whole or not at all.

Whoever may write there decides: the folder is its owner's alone. Detection takes the files in order of their names, which begin
with the time, writes down on the stream `control` from which place each holds, and removes them. A file that is no decision is
set aside beside them, as FILE.refused, for whoever put it there to see.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from detection.baseline.decisions import Decision
from detection.exceptions import Change

if TYPE_CHECKING:
    from pathlib import Path

Entry = Decision | Change
"""What people decide: about what is normal, or about an exception."""

FOLDER: Final = "decisions"
"""Folder in the data folder."""

WAITING: Final = 1_000
"""Most decisions that wait; more are not looked at until these are done."""

REFUSED: Final = ".refused"
"""Added to the name of a file that is no decision."""

FILE_BYTES: Final = 64 * 1024
"""Most bytes of a decision; what is larger is none."""


class InboxError(Exception):
    """A decision cannot be left. The text is one line that says what to do."""


class Inbox:
    """The decisions of one data folder that wait."""

    def __init__(self, data: Path) -> None:
        self._folder: Final = data / FOLDER

    def put(self, decision: Entry) -> None:
        """Leave a decision; durable on return. Raises InboxError."""
        name = f"{decision.at:020d}-{decision.id}.json"
        part = self._folder / f".{name}.part"
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            with part.open("w", encoding="utf-8") as file:
                file.write(decision.to_json())
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._folder / name)
        except OSError as error:
            raise InboxError(
                f"{self._folder}: cannot be written ({error.strerror}): decide as the user that icsight runs as"
            ) from error

    def waiting(self) -> list[tuple[Path, Entry | None]]:
        """The decisions that wait, oldest first, with their files; None for what is no decision.

        What cannot be read at the moment comes later.
        """
        try:
            paths = sorted(path for path in self._folder.iterdir() if path.suffix == ".json")[:WAITING]
        except OSError:
            return []
        found: list[tuple[Path, Entry | None]] = []
        for path in paths:
            with suppress(OSError):
                found.append((path, _read(path)))
        return found

    def refuse(self, path: Path) -> None:
        """Set aside what is no decision. What cannot be moved comes again."""
        with suppress(OSError):
            path.rename(path.with_name(f"{path.name}{REFUSED}"))

    def done(self, path: Path) -> None:
        """Remove a decision that was taken up. What cannot be removed comes again, and is known by its id."""
        path.unlink(missing_ok=True)


def parse(text: str) -> Entry | None:
    """The decision in a text; None for any other text."""
    for kind in (Decision, Change):
        try:
            return kind.from_json(text)
        except ValueError:
            continue
    return None


def fits(decision: Entry) -> bool:
    """Whether detection reads a decision that is left as what it is: no text is too long, nor the whole."""
    said = decision.to_json()
    return len(said.encode("utf-8", "replace")) <= FILE_BYTES and parse(said) == decision


def _read(path: Path) -> Entry | None:
    """The decision in a file; None for what is none. Raises OSError."""
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode) or found.st_size > FILE_BYTES:
        return None
    try:
        return parse(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
