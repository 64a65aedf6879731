"""What models learned, as members of a baseline's file: plain arrays in Parquet, and JSON for what holds of the whole."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any, Final, cast

import polars as pl

from detection.anomaly import keyed, naming
from detection.anomaly import members as members_of
from detection.anomaly.extremes import THINGS
from detection.anomaly.history import HEARD, History
from detection.anomaly.history import SCHEMA as HISTORY
from detection.anomaly.state import LEARNED_BEFORE, AnomalyState

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT: Final = 2
"""Version of the members: another one is not read, and has to be learned anew."""

SAID: Final = "anomaly/models.json"
_BLOCKS: Final = "anomaly/history.parquet"
_HOURS: Final = "anomaly/hours_heard.parquet"
_FOLDER: Final = "anomaly/"
_SUFFIX: Final = ".parquet"


class LearnedError(ValueError):
    """Members cannot be used. The text says why."""


def members(state: AnomalyState) -> dict[str, bytes]:
    """What was learned, by name of the member; the same content gives the same bytes."""
    said = {
        "format": FORMAT,
        "start": state.start,
        "until": state.until,
        "blocks": state.history.blocks,
        "first": state.history.first,
        "last": state.history.last,
    }
    frames = {f"{_FOLDER}{model}{_SUFFIX}": frame for model, frame in naming.named(state.learned, state.names).items()}
    return {
        SAID: json.dumps(said, indent=1).encode(),
        _BLOCKS: _written(state.history.highest),
        _HOURS: _written(state.history.heard),
        **{name: _written(frame) for name, frame in sorted(frames.items())},
    }


def state_of(members_: Mapping[str, bytes], phase: str) -> AnomalyState | None:
    """The state with which a run begins where this was learned; None where no models are in it. Raises LearnedError."""
    if SAID not in members_:
        return None
    try:
        said = cast("dict[str, Any]", json.loads(members_[SAID]))
        if (version := int(said["format"])) > FORMAT:
            raise LearnedError(f"models of a newer version (format {version}, this one reads {FORMAT}): update icsight")
        if version < FORMAT:
            raise LearnedError("models of an older version: learn the baseline anew with `icsight baseline learn`")
        told = {
            name.removeprefix(_FOLDER).removesuffix(_SUFFIX): pl.read_parquet(io.BytesIO(content))
            for name, content in members_.items()
            if name.startswith(_FOLDER) and name.endswith(_SUFFIX) and name not in {_BLOCKS, _HOURS}
        }
        known, names = naming.with_keys(told)
        highest = pl.read_parquet(io.BytesIO(members_[_BLOCKS])).select(list(HISTORY)).cast({**HISTORY})
        hours = pl.read_parquet(io.BytesIO(members_[_HOURS])).select(list(HEARD)).cast({**HEARD})
        history = History(highest, *(int(said[name]) for name in ("blocks", "first", "last")), heard=hours)
        return AnomalyState(int(said["start"]), LEARNED_BEFORE, phase, learned=known, names=names, history=history)
    except (KeyError, TypeError, ValueError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise LearnedError(f"its models cannot be read ({' '.join(str(error).split())})") from error


def joined(one: Mapping[str, bytes], other: Mapping[str, bytes]) -> dict[str, bytes]:
    """What two baselines' models learned together; members of others are those of `one`. Raises LearnedError."""
    both = [state_of(each, "proposed") for each in (one, other)]
    rest = {name: content for name, content in {**other, **one}.items() if not name.startswith(_FOLDER)}
    states = [each for each in both if each is not None]
    if not states:
        return rest
    if len(states) == 1:
        return {**rest, **members(states[0])}
    first, second = states
    known = {model: _extended(frame, second.learned[model]) for model, frame in first.learned.items()}
    names = {kind: keyed.renewed(frame, second.names[kind], ["key"], 2 * THINGS)[0] for kind, frame in first.names.items()}
    whole = AnomalyState(
        min(first.start, second.start), first.until, learned=known, names=names, history=first.history.joined(second.history)
    )
    return {**rest, **members(whole)}


def _extended(one: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    """What either knows of a thing."""
    added = {"n": pl.col("n").sum(), "first": pl.col("first").min(), "last": pl.col("last").max()}
    if "low" in one.columns:
        added |= {"low": pl.col("low").min(), "high": pl.col("high").max()}
    by = ["key", "member"] if "member" in one.columns else ["key"]
    kept = [pl.col(name).first() for name in one.columns if name not in {*by, *added}]
    whole = pl.concat([one, other]).group_by(by, maintain_order=True).agg(*kept, **added).select(one.columns)
    return members_of.bounded(whole) if "member" in one.columns else keyed.arranged(whole)


def _written(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()
