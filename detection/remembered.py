"""What detection remembers as members of an archive, so that who needs a part reads that part: JSON, and frames as Arrow streams.

`runs.json` names the runs and holds what is of sites; of the n-th run `runs/n/` holds `alerts.json`, `rules/*` (rows of
correlations), `baseline.json`, `facts.arrow` and `pending.arrow`, `models.json` and `models/*`, and `promise.json` (what the
models promise, for who shows it). What a run does not have is not there.
"""

from __future__ import annotations

import io
import json
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, Final, cast

import polars as pl

from detection.anomaly import checkpoint as models
from detection.anomaly.promise import Promise, promise_of
from detection.baseline.decisions import Accepted, Scope
from detection.baseline.detector import BaselineState
from detection.baseline.normality import Normality, read_facts
from detection.budget import Spent
from detection.grouping import AlertState
from detection.outcomes import alert_fields, open_alert
from detection.pipeline import RunState, State
from detection.rules import RuleState
from detection.sitewide import SiteState
from detection.stories import Stories, Story

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from collector.stream import Run

Learned = tuple["Run", BaselineState, Promise | None]
"""What is normal in a run, and what its models promise, if they have learned."""

RUNS: Final = "runs.json"


def parted(state: State, but: AbstractSet[Run] = frozenset()) -> dict[str, bytes]:
    """The state as members by name, without those of some runs."""
    members = {
        RUNS: _json(
            {
                "runs": [list(run) for run in state.runs],
                "sites": {name: _site_fields(site) for name, site in state.sites.items()},
                "forgotten": state.forgotten,
            }
        )
    }
    for number, (name_of_run, run) in enumerate(state.runs.items()):
        if name_of_run not in but:
            members |= {f"{folder(number)}{name}": content for name, content in _run_members(run).items()}
    return members


def whole(members: Mapping[str, bytes]) -> State:
    """The state that `parted` took apart. Raises ValueError for anything else."""
    try:
        said = json.loads(members[RUNS])
        runs = {_run(names): _run_state(_inside(members, folder(number))) for number, names in enumerate(said["runs"])}
        sites = {str(name): _site_state(content) for name, content in said["sites"].items()}
        return State(runs, sites, int(said["forgotten"]))
    except _UNFIT as error:
        raise ValueError("not a state of detection") from error


def learned(names: Sequence[str], read: Callable[[str], bytes]) -> tuple[list[Run], list[Learned]]:
    """All runs, and what was learned of those of which something was, where nothing else is read. Raises ValueError.

    Args:
        names: names of the members.
        read: gives a member.
    """
    there = set(names)
    try:
        runs = [_run(each) for each in json.loads(read(RUNS))["runs"]]
        found: list[Learned] = []
        for number, run in enumerate(runs):
            begin = folder(number)
            own = {name: read(f"{begin}{name}") for name in (*_BASELINE, _PROMISE) if f"{begin}{name}" in there}
            if _BASELINE[0] in own:
                promise = Promise(**json.loads(own[_PROMISE])) if _PROMISE in own else None
                found.append((run, _baseline(own), promise))
    except _UNFIT as error:
        raise ValueError("not a state of detection") from error
    return runs, found


_UNFIT: Final = (
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
    OSError,
)
_BASELINE: Final = ("baseline.json", "facts.arrow", "pending.arrow")
_PROMISE: Final = "promise.json"
_MODELS: Final = "models.json"


def folder(number: int) -> str:
    """What the names of the n-th run's members begin with."""
    return f"runs/{number}/"


def _run(names: Sequence[str]) -> Run:
    sensor, epoch = names
    return str(sensor), str(epoch)


def _inside(members: Mapping[str, bytes], begin: str) -> dict[str, bytes]:
    return {name.removeprefix(begin): content for name, content in members.items() if name.startswith(begin)}


def _run_members(state: RunState) -> dict[str, bytes]:
    alerts = state.alerts
    members = {
        "alerts.json": _json(
            {
                "open": [alert_fields(alert) for alert in alerts.open.values()],
                "forgotten": alerts.forgotten,
                "findings": alerts.findings,
                "since": alerts.since,
                "rows_forgotten": state.rules.forgotten,
                "site": state.site,
            }
        ),
        **{f"rules/{name}.arrow": _frame(rows) for name, rows in sorted(state.rules.rows.items())},
    }
    if state.baseline is not None:
        members |= _baseline_members(state.baseline)
    if state.anomaly is not None:
        said, frames = models.parted(state.anomaly)
        members |= {_MODELS: _json(said), **{f"models/{name}.arrow": _frame(rows) for name, rows in frames.items()}}
        promise = promise_of(state.anomaly)
        members |= {} if promise is None else {_PROMISE: _json(asdict(promise))}
    return members


def _run_state(members: Mapping[str, bytes]) -> RunState:
    content = cast("dict[str, Any]", json.loads(members["alerts.json"]))
    held = [open_alert(alert) for alert in content["open"]]
    counts = int(content["forgotten"]), int(content["findings"]), int(content["since"])
    alerts = AlertState({alert.id: alert for alert in held}, *counts)
    rules = RuleState(_frames(members, "rules/"), int(content["rows_forgotten"]))
    baseline = _baseline(members) if _BASELINE[0] in members else None
    anomaly = models.whole(json.loads(members[_MODELS]), _frames(members, "models/")) if _MODELS in members else None
    return RunState(rules, alerts, baseline, anomaly, str(content["site"]))


_TUPLES: Final = {"scopes": Scope, "accepted": Accepted}
"""Fields of a baseline's state that are tuples of these."""


def _baseline_members(state: BaselineState) -> dict[str, bytes]:
    rest = {each.name: getattr(state, each.name) for each in fields(state) if each.name not in {"normal", "pending", *_TUPLES}}
    tuples = {name: [asdict(each) for each in getattr(state, name)] for name in _TUPLES}
    said = _json({"normal": state.normal.said, **rest, **tuples})
    return dict(zip(_BASELINE, (said, _frame(state.normal.facts), _frame(state.pending)), strict=True))


def _baseline(members: Mapping[str, bytes]) -> BaselineState:
    said, facts, pending = (members[name] for name in _BASELINE)
    content = cast("dict[str, Any]", json.loads(said))
    tuples: dict[str, Any] = {name: tuple(kind(**each) for each in content[name]) for name, kind in _TUPLES.items()}
    rest = {name: value for name, value in content.items() if name not in {"normal", *_TUPLES}}
    normal = Normality.of(_table(facts), content["normal"])
    return BaselineState(normal=normal, pending=read_facts(_table(pending)), **tuples, **rest)


def _site_fields(state: SiteState) -> dict[str, Any]:
    return {
        "stories": [asdict(story) for story in state.stories.open.values()],
        "clocks": [[*run, clock] for run, clock in state.stories.clocks.items()],
        "stories_full": state.stories.full,
        "spent": state.spent.fields(),
    }


def _site_state(content: Mapping[str, Any]) -> SiteState:
    clocks: dict[Run, int] = {(str(sensor), str(epoch)): int(clock) for sensor, epoch, clock in content["clocks"]}
    known = {story.id: story for story in map(_story, content["stories"])}
    return SiteState(Stories(known, clocks, int(content["stories_full"])), Spent.of(content["spent"]))


def _story(content: dict[str, Any]) -> Story:
    tuples: dict[str, Any] = {name: tuple(map(str, content[name])) for name in ("actors", "targets", "alerts", "run")}
    return Story(**{**content, **tuples})


def _json(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode()


def _frame(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_ipc_stream(buffer, compression="zstd")
    return buffer.getvalue()


def _table(content: bytes) -> pl.DataFrame:
    return pl.read_ipc_stream(io.BytesIO(content))


def _frames(members: Mapping[str, bytes], begin: str) -> dict[str, pl.DataFrame]:
    named = _inside(members, begin)
    return {name.removesuffix(".arrow"): _table(content) for name, content in named.items()}
