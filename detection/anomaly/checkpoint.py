"""The state of the models as JSON and frames, for checkpoints: keys are told by names, for they hold in one process only."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from detection.anomaly import naming
from detection.anomaly.drift import Drift
from detection.anomaly.history import HEARD, History
from detection.anomaly.history import SCHEMA as HISTORY
from detection.anomaly.repeats import SLOTS
from detection.anomaly.state import AnomalyState
from detection.baseline.decisions import Scope

if TYPE_CHECKING:
    from collections.abc import Mapping

_PLAIN: Final = ("start", "until", "phase", "live", "known_until", "day", "forgotten", "spoken", "decided", "promised")
_CARRIED: Final = (
    "latest_points", "latest_requests", "latest_operations", "minutes", "open_hours", "open_windows", "unusual",
    "stretches", "waiting",
)  # fmt: skip
_AGAIN: Final = "again/"
"""What begins the names of frames of what is learned anew."""

_HISTORIES: Final = ("history", "since", "told")


def parted(state: AnomalyState) -> tuple[dict[str, Any], dict[str, pl.DataFrame]]:
    """What JSON can hold, and frames by name."""
    histories = {name: getattr(state, name) for name in _HISTORIES}
    said = {
        **{name: getattr(state, name) for name in _PLAIN},
        "heard": list(state.heard),
        "assets": dict(state.assets),
        "drift": asdict(state.drift),
        "scopes": [asdict(scope) for scope in state.scopes],
        "histories": {name: [each.blocks, each.first, each.last, each.forgotten] for name, each in histories.items()},
    }
    frames = {
        **{f"learned {model}": rows for model, rows in naming.named(state.learned, state.names).items()},
        **{f"seen {model}": rows for model, rows in (naming.named(state.seen, state.names) if state.seen else {}).items()},
        **{name: getattr(state, name).drop("key", "operation", "talk", strict=False) for name in _CARRIED},
        **{f"highest {name}": each.highest for name, each in histories.items()},
        **{f"hours {name}": each.heard for name, each in histories.items()},
        "memory": pl.DataFrame({"stretch": state.memory}),
    }
    if state.again is None:
        return {**said, "again": None}, frames
    more, others = parted(state.again)
    return {**said, "again": more}, {**frames, **{f"{_AGAIN}{name}": rows for name, rows in others.items()}}


def whole(said: Mapping[str, Any], frames: Mapping[str, pl.DataFrame]) -> AnomalyState:
    """What `parted` gave, in one. Raises KeyError, TypeError or PolarsError for anything else."""
    learned, names = naming.with_keys(_of("learned ", frames))
    seen = _of("seen ", frames)
    last, deaf = said["heard"]
    state = AnomalyState(**{name: said[name] for name in _PLAIN}, learned=learned, names=names, heard=(int(last), int(deaf)))
    histories = {
        name: History(
            frames[f"highest {name}"].select(list(HISTORY)),
            *(int(number) for number in numbers),
            heard=frames[f"hours {name}"].select(list(HEARD)),
        )
        for name, numbers in said["histories"].items()
    }
    carried = {name: naming.carried(name, frames[name]) for name in _CARRIED}
    bet: dict[str, Any] = {**said["drift"], "fortune": tuple(float(held) for held in said["drift"]["fortune"])}
    memory = frames["memory"].get_column("stretch").to_numpy()
    if len(memory) != SLOTS:
        raise TypeError(f"{len(memory)} stretches")
    rest: dict[str, Any] = {
        "drift": Drift(**bet),
        "memory": memory,
        "assets": {str(name): str(phase) for name, phase in said["assets"].items()},
    }
    rest |= {"scopes": tuple(Scope(**scope) for scope in said["scopes"])}
    if said["again"] is not None:
        rest |= {"again": whole(said["again"], _of(_AGAIN, frames))}
    changes: dict[str, Any] = {**rest, "seen": naming.with_keys(seen)[0] if seen else {}, **histories, **carried}
    return replace(state, **changes)


def _of(prefix: str, frames: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    return {name.removeprefix(prefix): rows for name, rows in frames.items() if name.startswith(prefix)}
