"""What a system has learned live, as the checkpoint in its data folder holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from detection.baseline.learning import immaturity
from detection.baseline.normality import BaselineError
from detection.worker import CHECKPOINT_FILE, CheckpointError, read_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    from collector.stream import Run
    from detection.anomaly.state import AnomalyState
    from detection.baseline.detector import BaselineState


def live(data: Path, sensor: str = "") -> tuple[Run, BaselineState, AnomalyState | None]:
    """What a system has learned, of the records of which it saw the latest. Raises BaselineError.

    Args:
        data: the data folder.
        sensor: name of the sensor; "": any.
    """
    try:
        state = read_checkpoint(data / CHECKPOINT_FILE).state
    except FileNotFoundError as error:
        raise BaselineError(f"{data}: not the data folder of a system that has run: give the --data of `icsight run`") from error
    except CheckpointError as error:
        raise BaselineError(str(error)) from error
    found = [(run, each.baseline, each.anomaly) for run, each in state.runs.items() if sensor in {"", run[0]}]
    learned = [(run, baseline, models) for run, baseline, models in found if baseline is not None]
    if not learned:
        names = ", ".join(sorted({run[0] for run in state.runs})) or "none"
        raise BaselineError(f"{data}: nothing was learned there yet from {sensor or 'any sensor'}; sensors with records: {names}")
    return max(learned, key=lambda each: (each[1].mark, each[0]))


def progress(state: BaselineState) -> str:
    """How far live learning is, in a line; "" where it has ended."""
    if state.learns != "live":
        return ""
    share = immaturity(state.normal)
    return f"learning, {state.heard_hours} h with records so far; {share:.0%} of what came in the last third was new"
