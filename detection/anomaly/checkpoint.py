"""The state of the models as JSON and frames, for checkpoints: keys are told by names, for they hold in one process only."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from detection.anomaly import naming
from detection.anomaly.history import SCHEMA as HISTORY
from detection.anomaly.history import History
from detection.anomaly.state import AnomalyState

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

_PLAIN: Final = ("start", "until", "phase", "day", "forgotten")
_CARRIED: Final = ("latest_points", "latest_requests", "latest_operations", "minutes")
_HISTORIES: Final = ("history", "since", "told")


def parted(state: AnomalyState) -> tuple[dict[str, Any], dict[str, pl.DataFrame]]:
    """What JSON can hold, and frames by name."""
    histories = {name: getattr(state, name) for name in _HISTORIES}
    said = {
        **{name: getattr(state, name) for name in _PLAIN},
        "heard": list(state.heard),
        "histories": {name: [each.blocks, each.first, each.last, each.forgotten] for name, each in histories.items()},
    }
    frames = {
        **{f"learned {model}": rows for model, rows in naming.named(state.learned, state.names).items()},
        **{f"seen {model}": rows for model, rows in (naming.named(state.seen, state.names) if state.seen else {}).items()},
        **{name: getattr(state, name).drop("key", "operation", "talk", strict=False) for name in _CARRIED},
        **{f"highest {name}": each.highest for name, each in histories.items()},
    }
    return said, frames


def whole(said: Mapping[str, Any], frames: Mapping[str, pl.DataFrame]) -> AnomalyState:
    """What `parted` gave, in one. Raises KeyError, TypeError or PolarsError for anything else."""
    learned, names = naming.with_keys(_of("learned ", frames))
    seen = _of("seen ", frames)
    last, deaf = said["heard"]
    state = AnomalyState(**{name: said[name] for name in _PLAIN}, learned=learned, names=names, heard=(int(last), int(deaf)))
    histories = {
        name: History(frames[f"highest {name}"].select(list(HISTORY)), *(int(number) for number in numbers))
        for name, numbers in said["histories"].items()
    }
    carried = {name: naming.carried(name, frames[name]) for name in _CARRIED}
    changes: dict[str, Any] = {"seen": naming.with_keys(seen)[0] if seen else {}, **histories, **carried}
    return replace(state, **changes)


def _of(prefix: str, frames: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    return {name.removeprefix(prefix): rows for name, rows in frames.items() if name.startswith(prefix)}
