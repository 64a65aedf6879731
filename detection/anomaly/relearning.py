"""What models learn anew after a planned change, while all else stays as it is.

Of what a person names (a server, a client, or what passes between two) the models forget what they knew. What comes of it in the
hours that were given goes to a state of its own, which learns and says nothing; the rest goes where it always went. When the time
is over, what was learned takes the place of what was forgotten.

A point belongs to its server, whoever reads it: it is learned anew with the server, and not with a client.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from detection.anomaly import detector, keyed
from detection.anomaly.extremes import THINGS
from detection.anomaly.history import FALSE_ALARMS_A_DAY
from detection.anomaly.state import ALWAYS, AnomalyState
from detection.baseline.acts import HOUR_NS
from detection.baseline.decisions import SCOPES, Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from collector.store import RecordBatch
    from detection.baseline.decisions import Decision

_OF_TALKS: Final = ("latest_requests", "latest_operations", "minutes", "open_hours")
_OF_POINTS: Final = ("latest_points", "stretches", "open_windows", "waiting")


def begin(state: AnomalyState, decision: Decision, mark: int) -> AnomalyState:
    """The state that learns a part anew from now on; the same where the time for that is over already.

    Args:
        state: the state before.
        decision: names `server` and `client` ("" for any) and the `hours`.
        mark: event time from which on it is learned, nanoseconds since 1970.
    """
    scope = Scope(decision.server, decision.client, decision.since, -(-mark // HOUR_NS) * HOUR_NS + decision.hours * HOUR_NS)
    if scope.until <= mark:
        return state
    others = [each for each in state.scopes if (each.server, each.client) != (scope.server, scope.client)]
    state = _without(state, scope)
    again = AnomalyState.learning(mark, ALWAYS) if state.again is None else _without(state.again, scope)
    state = replace(state, scopes=(*others, scope), again=again)
    for oldest in state.scopes[:-SCOPES]:
        state = _ended(state, oldest)
    return state


def step(
    state: AnomalyState,
    batches: Sequence[RecordBatch],
    false_alarms_a_day: float = FALSE_ALARMS_A_DAY,
    course: Callable[[], detector.Course] | None = None,
) -> tuple[AnomalyState, pl.DataFrame]:
    """Take the batches of whole cuts of one run in, as `detector.step` does, where a part may be learned anew."""
    again = state.again
    if again is None or not batches:
        return detector.step(state, batches, false_alarms_a_day, course)
    # Who is learned anew is heard as before: the time without a request is the same for both.
    state, records = detector.read(state, batches)
    inside, rest = _parted(records, state.scopes)
    again, _ = detector.take_in(again, inside)
    state = replace(state, again=again)
    for scope in [each for each in state.scopes if each.until <= records.until]:
        state = _ended(state, scope)
    return detector.take_in(state, rest, false_alarms_a_day, course)


def _parted(records: detector.Records, scopes: Sequence[Scope]) -> tuple[detector.Records, detector.Records]:
    """The records that are learned anew, and the others."""

    def named(*, points: bool) -> pl.Expr:
        meant = (_meant(scope, "client", "server", points=points) & (pl.col("event") < scope.until) for scope in scopes)
        return pl.any_horizontal(meant).fill_null(value=False)

    values, requests = named(points=True), named(points=False)
    return (
        replace(records, values=records.values.filter(values), requests=records.requests.filter(requests)),
        replace(records, values=records.values.filter(~values), requests=records.requests.filter(~requests)),
    )


def _meant(scope: Scope, client: str, server: str, *, points: bool) -> pl.Expr:
    """Whether a row is about what a scope names."""
    if points and scope.client:
        return pl.lit(value=False)
    by = (pl.col(client).cast(pl.String) == scope.client) if scope.client else pl.lit(value=True)
    to = (pl.col(server).cast(pl.String) == scope.server) if scope.server else pl.lit(value=True)
    return by & to


def _ended(state: AnomalyState, scope: Scope) -> AnomalyState:
    """The state once the time of a scope is over: what was learned in it holds."""
    scopes = tuple(each for each in state.scopes if each != scope)
    again = state.again
    if again is None:
        return replace(state, scopes=scopes)
    names = {kind: _chosen(rows, scope, kind) for kind, rows in again.names.items()}
    keys = pl.concat([rows.get_column("key") for rows in names.values()]) if names else pl.Series("key", [], pl.UInt64)
    whole = replace(
        state,
        learned=_with_learned(state.learned, again.learned, keys, scope),
        seen=_with_learned(state.seen, again.learned, keys, scope) if state.seen else state.seen,
        names={
            kind: keyed.renewed(state.names.get(kind, rows.clear()), rows, ["key"], 2 * THINGS)[0] for kind, rows in names.items()
        },
        forgotten=state.forgotten + again.forgotten,
        scopes=scopes,
    )
    return replace(whole, again=replace(_without(again, scope), forgotten=0) if scopes else None)


def _with_learned(
    known: Mapping[str, pl.DataFrame], learned: Mapping[str, pl.DataFrame], keys: pl.Series, scope: Scope
) -> dict[str, pl.DataFrame]:
    """What is known of things, with what was learned of some in its place."""
    whole = dict(known)
    for model, rows in learned.items():
        if model == "order":
            fresh = rows.filter(_meant(scope, "client", "server", points=False))
        else:
            fresh = rows.filter(pl.col("key").is_in(keys.implode()))
        if "member" in rows.columns:
            rest = whole[model].filter(~pl.col("key").is_in(fresh.get_column("key").implode()))
            whole[model] = pl.concat([rest, fresh]).head(THINGS)
        else:
            whole[model] = keyed.renewed(whole[model], fresh, ["first", "key"], THINGS)[0]
    return whole


def _without(state: AnomalyState, scope: Scope) -> AnomalyState:
    """The state that knows nothing of what a scope names."""
    names = {kind: _chosen(rows, scope, kind) for kind, rows in state.names.items()}
    gone = pl.concat([rows.get_column("key") for rows in names.values()]) if names else pl.Series("key", [], pl.UInt64)
    talks, points = (~_meant(scope, "client", "server", points=each) for each in (False, True))

    def left(known: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
        return {
            model: rows.filter(talks if model == "order" else ~pl.col("key").is_in(gone.implode()))
            for model, rows in known.items()
        }

    carried: dict[str, Any] = {name: getattr(state, name).filter(talks) for name in _OF_TALKS}
    carried |= {name: _no_client(getattr(state, name)).filter(points) for name in _OF_POINTS}
    return replace(
        state,
        learned=left(state.learned),
        seen=left(state.seen),
        names={
            kind: rows.filter(~pl.col("key").is_in(names[kind].get_column("key").implode())) for kind, rows in state.names.items()
        },
        **{name: rows.select(getattr(state, name).columns) for name, rows in carried.items()},
    )


def _no_client(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with a column of clients, whatever is in it: points have none that counts."""
    return rows if "client" in rows.columns else rows.with_columns(client=pl.lit(None, pl.String))


def _chosen(names: pl.DataFrame, scope: Scope, kind: str) -> pl.DataFrame:
    """Of names of a kind those that a scope names."""
    points = kind == "point"
    return (_no_client(names) if points else names).filter(_meant(scope, "client", "server", points=points)).select(names.columns)
