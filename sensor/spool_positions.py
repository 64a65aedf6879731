"""Where the consumers of a spool stand, a file each in its folder `positions/`: `{"offsets": {"0": NUMBER}, "seen": ...}`.

All before NUMBER is done with. A consumer in another process keeps its position here, and the spool's writer looks what all have
passed: that goes first when room is needed, and what they have not passed stays as long as the quota allows.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, cast

from sensor.spool_files import replace_file

if TYPE_CHECKING:
    from pathlib import Path

POSITIONS: Final = "positions"
"""Folder of the positions in a spool."""


def keep_position(folder: Path, name: str, number: int, epoch: str) -> None:
    """Keep that consumer `name` of the spool in `folder` is done with all before `number`; durable on return. Raises OSError.

    The epoch is that of the spool's identity: another one means that numbers were given anew.
    """
    positions = folder / POSITIONS
    positions.mkdir(mode=0o700, exist_ok=True)
    content: dict[str, object] = {"offsets": {"0": number}, "seen": [], "epoch": epoch}
    replace_file(positions / f"{name}.json", json.dumps(content, separators=(",", ":")).encode())


def read_position(folder: Path, name: str, epoch: str) -> int:
    """Where a consumer goes on: 0 where it has no position, or one of another epoch. Raises OSError, ValueError."""
    try:
        content = cast("dict[str, object]", json.loads((folder / POSITIONS / f"{name}.json").read_bytes()))
        number = int(cast("dict[str, int]", content["offsets"]).get("0", 0))
        kept: object = content.get("epoch", epoch)
    except FileNotFoundError:
        return 0
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no position of a consumer ({error})") from error
    return number if kept == epoch else 0


def released(folder: Path, epoch: str) -> int:
    """Number before which no consumer needs a batch any more; 0 where there is no consumer, or one cannot be read."""
    try:
        names = [path.stem for path in (folder / POSITIONS).glob("*.json")]
        return min((read_position(folder, name, epoch) for name in names), default=0)
    except (OSError, ValueError):
        return 0
