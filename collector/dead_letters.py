"""Batches that cannot be stored, kept whole with the reason, so that nothing is lost and nothing else waits for them.

The port `DeadLetters`, and the folder that keeps them on one machine; `collector.stream.kafka_letters` keeps them in a topic.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, Protocol, cast

from sensor.spool_files import replace_file
from sensor.spool_format import BatchHeader

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A batch that could not be stored.

    Attributes:
        name: its name among the dead letters: a hash of header and bytes, so that the same batch is kept once.
        reason: why, in one line.
        header: what is known of it; None where its header was damaged.
        data: its bytes as they came.
    """

    name: str
    reason: str
    header: BatchHeader | None
    data: bytes


class DeadLetters(Protocol):
    """Where batches go that cannot be stored."""

    def keep(self, reason: str, header: BatchHeader | None, data: bytes) -> str:
        """Keep a batch; durable once `settle` has returned. Returns its name. Raises OSError, StreamError."""
        ...

    def settle(self) -> None:
        """Wait until all that was kept is durable, before a position moves behind it. Raises OSError, StreamError."""
        ...

    def letters(self, names: Collection[str] | None = None) -> Iterator[DeadLetter]:
        """All letters, or those of these names, each as it is needed. Raises OSError, StreamError."""
        ...

    def remove(self, name: str) -> None:
        """Let go of a letter whose batch has been stored after all. Raises OSError, StreamError."""
        ...


def name_of(header: BatchHeader | None, data: bytes) -> str:
    """Name of a letter: a hash of header and bytes, so that the same batch is kept once."""
    identity = json.dumps(None if header is None else asdict(header), sort_keys=True).encode()
    return hashlib.sha256(identity + b"\n" + data).hexdigest()[:32]


class LetterFolder:
    """Dead letters in a folder: `<name>.json` with reason and header, `<name>.batch` with the bytes.

    Args:
        folder: made with the first letter.
    """

    def __init__(self, folder: Path) -> None:
        self.folder: Final = folder

    def keep(self, reason: str, header: BatchHeader | None, data: bytes) -> str:
        """Keep a batch; it is on the disk on return. Returns its name. Raises OSError."""
        about = json.dumps({"reason": reason, "header": None if header is None else asdict(header)}, ensure_ascii=False)
        name = name_of(header, data)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The description comes last: a letter counts once it is there.
        for suffix, content in ((".batch", data), (".json", about.encode())):
            replace_file(self.folder / f"{name}{suffix}", content)
        return name

    def settle(self) -> None:
        """As `DeadLetters.settle`: each was, at once."""

    def letters(self, names: Collection[str] | None = None) -> Iterator[DeadLetter]:
        """As `DeadLetters.letters`, in order of their names."""
        for name in sorted(path.stem for path in self.folder.glob("*.json")):
            if names is None or name in names:
                yield self._read(name)

    def _read(self, name: str) -> DeadLetter:
        about = cast("dict[str, object]", json.loads((self.folder / f"{name}.json").read_text()))
        data = (self.folder / f"{name}.batch").read_bytes()
        header = about["header"]
        known = None if header is None else BatchHeader(**cast("dict[str, str]", header))  # pyright: ignore[reportArgumentType] - `asdict` wrote it
        return DeadLetter(name, str(about["reason"]), known, data)

    def remove(self, name: str) -> None:
        """Let go of a letter. Raises OSError."""
        # The description goes first: without it the letter does not count.
        for suffix in (".json", ".batch"):
            (self.folder / f"{name}{suffix}").unlink(missing_ok=True)
