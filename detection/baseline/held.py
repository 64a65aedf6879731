"""What a system has learned live, as the checkpoint in its data folder holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from detection.baseline.learning import immaturity
from detection.baseline.normality import BaselineError
from detection.checkpoint import CHECKPOINT_FILE, CheckpointError, read_learned

if TYPE_CHECKING:
    from pathlib import Path

    from detection.baseline.detector import BaselineState
    from detection.remembered import Learned


def live(data: Path, sensor: str = "") -> Learned:
    """What a system has learned, of the records of which it saw the latest. Raises BaselineError.

    Args:
        data: the data folder.
        sensor: name of the sensor; "": any.
    """
    try:
        runs, learned = read_learned(data / CHECKPOINT_FILE)
    except FileNotFoundError as error:
        raise BaselineError(f"{data}: not the data folder of a system that has run: give the --data of `icsight run`") from error
    except CheckpointError as error:
        raise BaselineError(str(error)) from error
    found = [each for each in learned if sensor in {"", each[0][0]}]
    if not found:
        names = ", ".join(sorted({name for name, _ in runs})) or "none"
        raise BaselineError(f"{data}: nothing was learned there yet from {sensor or 'any sensor'}; sensors with records: {names}")
    return max(found, key=lambda each: (each[1].mark, each[0]))


def progress(state: BaselineState) -> str:
    """How far live learning is, in a line; "" where it has ended."""
    if state.learns != "live":
        return ""
    share = immaturity(state.normal)
    return f"learning, {state.heard_hours} h with records so far; {share:.0%} of what came in the last third was new"
