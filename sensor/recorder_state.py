"""How a recorder is, in a file beside its spool: what captures packets listens nowhere, and others tell it for it.

The file is written anew every few seconds and when recording ends, so that one that is old says that the recorder has died.
It is not flushed: after a crash it is out of date anyway.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, Self, cast

if TYPE_CHECKING:
    from pathlib import Path

FILE: Final = "sensor.json"
"""Name of the file in a data folder."""

KEEP_SECONDS: Final = 2.0
"""How often it is written."""

STALE_SECONDS: Final = 15.0
"""A recorder that has not written it for so long does not work."""


@dataclass(frozen=True, slots=True)
class RecorderState:
    """What a recorder has done since it started, and how it is.

    Attributes:
        packets: packets taken in.
        lost: packets and bytes that were lost, by cause, as table `sensor` has them.
        batches: record batches spooled.
        records: records spooled.
        spool_depth: batches in the spool that no consumer has had.
        spool_written_bytes: bytes written to the spool.
        spool_dropped: records dropped from the spool for want of room or for their age, by what they were.
        waits: times that the spool began to take nothing.
        is_waiting: whether it takes nothing now.
        ended: whether recording ended in order.
        at: when this was written, seconds since 1970.
    """

    packets: int = 0
    lost: dict[str, int] = field(default_factory=dict[str, int])
    batches: int = 0
    records: int = 0
    spool_depth: int = 0
    spool_written_bytes: int = 0
    spool_dropped: dict[str, int] = field(default_factory=dict[str, int])
    waits: int = 0
    is_waiting: bool = False
    ended: bool = False
    at: float = 0.0

    def keep(self, data: Path) -> None:
        """Write it into a data folder, whole or not at all. Raises OSError."""
        file = data / FILE
        draft = file.with_suffix(".draft")
        draft.write_text(json.dumps(asdict(self), indent=1))
        draft.replace(file)

    @classmethod
    def read(cls, data: Path) -> Self | None:
        """What was written last in a data folder; None where nothing was, or nothing that can be read."""
        try:
            content = cast("dict[str, Any]", json.loads((data / FILE).read_text()))
            return cls(**{each.name: content[each.name] for each in fields(cls)})
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @property
    def trouble(self) -> str | None:
        """Why recording does not work, in one line; None where it does, or has ended in order."""
        age = time.time() - self.at
        if self.ended:
            return None
        if age > STALE_SECONDS:
            return f"has told nothing for {age:.0f} s: look at `icsight sensor run`"
        return "the spool takes nothing: look at the room on its disk" if self.is_waiting else None
