"""What a share and the teller of a site that is split have in common: what comes to them, and that it is whole. Pure."""

from __future__ import annotations

import secrets
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final

from collector.stream import Position
from detection.checkpoint import Checkpoint
from detection.followed import Followed
from detection.kept import pack, unpack
from detection.loop import Counters
from detection.parcels import LostError, Pieces, no_beginning
from detection.pipeline import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detection.changelog import ChangelogCheckpoints
    from detection.parcels import Parcel

_CONTROL: Final = "control/"


class PartLoop(ABC):
    """A share or the teller of a site.

    Args:
        kept: what is remembered of it.
        beside: what is kept beside that.
        where: what it is called in errors.
    """

    def __init__(self, kept: Checkpoint, beside: Mapping[str, bytes], where: str) -> None:
        self.counters = Counters()
        """What was done here."""
        self.changed = False
        """Whether there is something that is not in the checkpoint."""
        self.lost = str(kept.order.get("lost", ""))
        """Why it does not go on until the site is forgotten; empty where it does."""
        self._epoch = kept.epoch
        self._where = where
        self._split = str(kept.order.get("split", ""))
        """Of which split of the site it is; what comes of another is none of its own."""
        self._passing = 0.0
        """Since when all that comes is passed over; 0 where it is not."""
        self._followed = Followed(unpack(beside[name]) for name in sorted(beside) if name.startswith(_CONTROL))
        self._pieces = Pieces(beside)
        self._written: State | None = None
        """The state of the checkpoint that this loop wrote last."""

    def take(self, parcel: Parcel) -> int:
        """Take a message in; nothing is changed where that raises.

        Returns:
            Bytes of records, unpacked, that are whole with it.

        Raises:
            CheckpointError: what is handed over is of a version that is not read, or of rules that this version does not know.
            LostError: what came before it is missing, here or in a share, or order and findings do not agree.
            Undecodable, KeyError, ValueError, TypeError, BadZipFile, zlib.error: it is none of a worker's.
        """
        if parcel.begins and parcel.split != self._split:
            self._begin(parcel.split)
        if parcel.split != self._split or self.lost:
            self.counters.passed_over += 1
            self._passing = self._passing or time.monotonic()
            return 0
        self._passing = 0.0
        if parcel.kind == "lost":
            raise LostError(f"share {parcel.value.decode(errors='replace')}")
        content = self._pieces.joined(parcel)
        unpacked = 0 if content is None else self._take_whole(parcel, content)
        self._pieces.take(parcel)
        self.changed = True
        return unpacked

    @abstractmethod
    def _take_whole(self, parcel: Parcel, content: bytes) -> int:
        """Take in what is whole; bytes of records, unpacked, that are whole with it."""

    @abstractmethod
    def _empty(self) -> None:
        """Keep nothing of what came and is not looked at."""

    def _begin(self, split: str) -> None:
        """Begin with what is handed over, and nothing else: the site is split, for the first time or after it was forgotten."""
        self._split, self.lost, self._followed, self._pieces = split, "", Followed(()), Pieces({})
        self._empty()

    def end(self, reason: str) -> None:
        """Go on no more: what is found or told would not be what one worker finds and tells."""
        self.lost, self.changed, self._pieces = reason, True, Pieces({})
        self._empty()

    @property
    def stuck(self) -> str:
        """Why it stands still; empty where it does not. Safe from any thread."""
        return no_beginning(time.monotonic() - self._passing if self._passing else 0.0)

    def _write(
        self, checkpoints: ChangelogCheckpoints, state: State, order: Mapping[str, Any], beside: Mapping[str, bytes]
    ) -> None:
        """Keep all that is remembered."""
        control = {f"{_CONTROL}{number:08d}": pack(batch) for number, batch in enumerate(self._followed.batches)}
        checkpoint = Checkpoint(Position(), state, self._epoch, {**order, "split": self._split, "lost": self.lost}, ended=True)
        checkpoints.write(checkpoint, {**control, **beside, **self._pieces.beside()}, self._written)
        self._written, self.changed = state, False


def kept_of(checkpoints: ChangelogCheckpoints) -> tuple[Checkpoint, Mapping[str, bytes]]:
    """What is remembered of a part and what is kept beside it. Raises CheckpointError where it cannot be used."""
    kept = checkpoints.read() or Checkpoint(Position(), State(), secrets.token_hex(16), {}, ended=True)
    return kept, checkpoints.beside()
