"""What people accept as normal, in the models: what was learned of the one thing that an alert is about takes in what was seen.

Nothing is learned that the alert does not tell, and of no other thing: a range reaches as far as the value that was told, a set
has one member more, an operation may follow one more. No range reaches so far that the model would say nothing of the thing any
more. What has no room is not taken in, as in learning.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from detection.anomaly import hours, keyed, members, naming, order, relearning
from detection.anomaly.conversations import REQUEST
from detection.anomaly.extremes import THINGS
from detection.anomaly.state import SCALES
from detection.anomaly.told import DAYS, hour, operation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collector.stream import Run
    from detection.anomaly.state import AnomalyState
    from detection.baseline.decisions import Decision

ACCEPTABLE: Final = frozenset({*SCALES, *members.MODELS, "order"})
"""Models whose anomalies can be accepted. What all together say of a minute is not learned, and so cannot be."""

_PLACE: Final = re.compile(r"(?P<function>.*?)(?: (?P<address>\d+))?(?: @(?P<unit>\d+))?", re.DOTALL)
"""An operation as it is told."""


def decided(state: AnomalyState, decisions: Sequence[Decision], run: Run, mark: int) -> AnomalyState:
    """The state after decisions.

    Args:
        state: the state before.
        decisions: all that hold, in order; those taken in before are passed over.
        run: whose state it is.
        mark: event time up to which the baseline has taken in what was seen, nanoseconds since 1970.
    """
    for decision in decisions[state.decided :]:
        if decision.run and decision.run != run:
            continue
        if decision.choice == "relearn":
            state = relearning.begin(state, decision, mark)
        elif decision.choice == "accept" and decision.kind in ACCEPTABLE:
            state = accept(state, decision)
    return replace(state, decided=max(state.decided, len(decisions)))


def accept(state: AnomalyState, decision: Decision) -> AnomalyState:
    """The state in which what an alert told of one thing is normal; the same where nothing was learned of that thing.

    Of a decision count `kind` (the model), `client`, `server`, `point` (subject of the anomaly), `observed` (what was seen, as
    text) and `value` (as a number).
    """
    learned = {**state.learned, decision.kind: _taken_in(state.learned[decision.kind], state.names, decision)}
    seen = state.seen
    if decision.kind in seen:
        seen = {**seen, decision.kind: _taken_in(seen[decision.kind], state.names, decision)}
    return replace(state, learned=learned, seen=seen)


def _taken_in(known: pl.DataFrame, names: Mapping[str, pl.DataFrame], decision: Decision) -> pl.DataFrame:
    if decision.kind == "order":
        return _with_transition(known, decision)
    meant = known.get_column("key").is_in(_keys(names, decision).implode())
    if decision.value is None or not meant.any():
        return known
    if decision.kind in members.MODELS:
        return _with_member(known, meant, decision.value)
    scale = SCALES[decision.kind]
    # Of a thing that reaches beyond `most` nothing would be said any more, whatever it does.
    wider = {
        "low": pl.min_horizontal("low", pl.lit(decision.value)),
        "high": pl.max_horizontal("high", pl.lit(min(decision.value, scale.most))),
    }
    if scale.sides == "upper":
        del wider["low"]
    return known.with_columns(pl.when(meant).then(value).otherwise(name).alias(name) for name, value in wider.items())


def _with_member(known: pl.DataFrame, meant: pl.Series, member: float) -> pl.DataFrame:
    """Members with one more of a point whose set is not full."""
    own = known.filter(meant)
    if own.get_column("member").null_count() or member in own.get_column("member") or known.height >= THINGS:
        return known
    row = own.head(1).with_columns(
        member=pl.lit(member), n=pl.lit(1, pl.Int64), first=pl.lit(own.get_column("last").max(), pl.Int64)
    )
    return pl.concat([known.filter(~meant), members.bounded(pl.concat([own, row.with_columns(last="first")]))])


def _with_transition(known: pl.DataFrame, decision: Decision) -> pl.DataFrame:
    """Transitions with one more from an operation that was left in another way before."""
    before, after = _place(decision.point), _place(decision.observed)
    left = known.filter(
        _text("client") == decision.client,
        _text("server") == decision.server,
        *(_text(f"{name} before").eq_missing(pl.lit(value, pl.String)) for name, value in before.items()),
    )
    if left.is_empty():
        return known
    typed = {name: pl.lit(value, pl.String).cast(REQUEST[name]) for name, value in after.items()}
    latest = pl.lit(left.get_column("last").max(), pl.Int64)
    row = order.with_keys(left.head(1).with_columns(**typed, n=pl.lit(1, pl.Int64), first=latest, last=latest))
    if keyed.places(known, row.get_column("key"))[1].any():
        return known
    return keyed.renewed(known, row.select(known.columns), ["first", "key"], THINGS)[0]


def _place(told: str) -> dict[str, str | None]:
    found = _PLACE.fullmatch(told)
    return {name: None if found is None else found[name] for name in ("unit", "function", "address")}


def _keys(names: Mapping[str, pl.DataFrame], decision: Decision) -> pl.Series:
    """Keys of the thing that an anomaly is about."""
    kind = naming.KIND_OF[decision.kind]
    rows = names.get(kind)
    if rows is None:
        return pl.Series("key", [], pl.UInt64)
    conditions = [_text("server") == decision.server]
    if kind == "point":
        conditions.append(_text("point") == decision.point)
    else:
        conditions.append(_text("client") == decision.client)
    if kind == "operation":
        conditions.append(operation("{}") == decision.point)
    if kind == "hour":
        conditions.append(hour(pl.col("slot")).is_in(reached(decision.kind, decision.point)))
    return rows.filter(*conditions).get_column("key")


def reached(model: str, point: str) -> list[str]:
    """Subjects of a model's anomalies that accepting one of them reaches: the same, and with an hour of the week that of the day.

    What is as much as on Mondays at nine is no news at nine either; that it is so at nine of some day says nothing of Mondays.
    """
    return [point, point.split(" ", 1)[1]] if model in hours.SCALES and point[:3] in DAYS else [point]


def _text(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.String)


def fields_of(sample: Mapping[str, Any], client: str | None, server: str | None) -> dict[str, Any] | None:
    """What a person would accept as normal who accepts an anomaly, as a decision names it; None where that cannot be accepted.

    Args:
        sample: fields of the anomaly by column.
        client: client of the alert.
        server: server of the alert.
    """
    model, value = sample.get("anomaly.model"), sample.get("anomaly.value")
    if model not in ACCEPTABLE or not client or not server or (value is None and model != "order"):
        return None
    point, observed = str(sample.get("anomaly.subject") or ""), str(sample.get("anomaly.observed") or "")
    return {"kind": model, "client": client, "server": server, "point": point, "observed": observed, "value": value}
