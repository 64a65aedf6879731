"""Correlations as sliding windows on event time, over whole batches.

A window ends at each event and reaches back over the rule's timespan. Rows come in global order (event, sequence, row). What is
remembered between steps is just what later windows can still need: for a count of N the last N - 1 rows of each group, for
distinct values the last row of each value, for rules that come together the last row of each, for sequences all rows of the
timespan. So the answer does not depend on how the rows are grouped into steps.

A count of distinct values may ask for newcomers only: then a window fires at the rows that bring a value which their window did
not have, and these rows alone are evidence.

Distinct values in a sliding window are counted without looking into any window: the last row of a value counts from its own place
until the value comes again or the row leaves the window, so that the count is a running sum of +1 and -1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from detection.gathering import ENGINE, ORDER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detection.sigma.measure import Measure

KNOWN: Final = ("known_event", "known_sequence", "known_row")
"""Columns of evidence that say at which row it became known: that row's event, sequence and row."""

AMOUNT: Final = "amount"
"""Column of evidence with what a measure came to, at the last row at which its group fired."""

STATE_ROWS: Final = 200_000
"""Rows that one correlation remembers; beyond that the oldest are forgotten and counted."""


@dataclass(frozen=True, slots=True)
class Window:
    """A correlation, ready to run."""

    kind: str
    """event_count, value_count, temporal, temporal_ordered or one of `measure.MEASURES`."""
    rules: tuple[str, ...]
    """Names of the rules whose rows it takes, in order."""
    group: tuple[str, ...]
    field: str | None
    """Column whose distinct values are counted, or whose values are measured."""
    span_ns: int
    threshold: int
    """Least count that fires; not for measures."""
    newcomers: bool = False
    """Whether only rows fire that bring a value which their window did not have; for value_count."""
    measure: Measure | None = None
    """What is measured of the field, for kinds of `measure.MEASURES`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step of a correlation gave."""

    fired: pl.DataFrame | None
    """Rows at which a window fired, with the count in a column `count`; None where none did."""
    evidence: pl.DataFrame | None
    """All rows that belong to a window that fired and were not given before, with KNOWN; holds the fired rows too."""
    state: pl.DataFrame
    forgotten: int
    """Rows forgotten because the state was over its bound."""


def step(window: Window, state: pl.DataFrame | None, rows: pl.DataFrame) -> Outcome:
    """Take rows in: columns of ORDER, the group's, the field, `source` (the rule that a row is of); all later than the state's.

    The state's rows have `given` in addition: whether they were evidence already.
    """
    # Most traffic ends in `_quiet`: few calls there, for each costs as much as thousands of rows.
    fresh = rows.hstack([pl.Series("given", np.zeros(rows.height, np.bool_))])
    joined = fresh if state is None or state.is_empty() else _joined(state, fresh)
    if joined.is_empty():
        return Outcome(None, None, joined, 0)
    new = np.arange(joined.height) >= joined.height - fresh.height
    if not _ordered(joined):
        # A record that several rules match keeps the order in which the correlation names them.
        joined = joined.hstack([pl.Series("new", new)]).sort(ORDER, maintain_order=True)
        new = joined.drop_in_place("new").to_numpy()
    after = int(joined.item(-1, "event")) - window.span_ns
    quiet = _quiet(window, joined, new)
    if quiet is not None:
        return Outcome(None, None, *_bounded(_recent(quiet, after)))
    marks = _fire(window, joined, new)
    fired, due = marks.get_column("fired").to_numpy() & new, marks.get_column("due")
    given = joined.get_column("given") | due
    remembered = _bounded(_keep(window, _recent(joined.drop("given").hstack([given.alias("given")]), after)))
    if not fired.any():
        return Outcome(None, None, *remembered)
    marked = joined.hstack(marks.drop("fired", "due"))
    evidence = marked.filter(due)
    if len(window.rules) > 1:
        # A record that several rules match is one record.
        evidence = evidence.unique(["sequence", "row"], keep="first", maintain_order=True)
    return Outcome(marked.filter(pl.Series(fired)).drop(KNOWN), evidence, *remembered)


def _joined(state: pl.DataFrame, fresh: pl.DataFrame) -> pl.DataFrame:
    """What is remembered, and what is new behind it."""
    alike = state.schema == fresh.schema
    return pl.concat([state, fresh], how="vertical" if alike else "diagonal_relaxed", rechunk=False)


def _recent(rows: pl.DataFrame, after: int) -> pl.DataFrame:
    """The rows later than a time."""
    recent = rows.get_column("event").to_numpy() > after
    return rows if recent.all() else rows.filter(pl.Series(recent))


def _bounded(rows: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    return rows.tail(STATE_ROWS), max(0, rows.height - STATE_ROWS)


def _ordered(rows: pl.DataFrame) -> bool:
    """Whether rows are in global order already, as those of one rule mostly are."""
    event, sequence, row = (rows.get_column(name).to_numpy() for name in ORDER)
    event, sequence, row = np.diff(event), np.diff(sequence), np.diff(row)
    return bool(((event > 0) | ((event == 0) & ((sequence > 0) | ((sequence == 0) & (row >= 0))))).all())


def _groups(window: Window) -> list[pl.Expr]:
    return [pl.col(name) for name in window.group] or [pl.lit(0).alias("everything")]


def _quiet(window: Window, rows: pl.DataFrame, new: NDArray[np.bool_]) -> pl.DataFrame | None:
    """The rows that later windows can need, where no group has enough to fire; else None. Most traffic ends here."""
    if window.measure is not None:
        return None
    kept = rows if window.kind == "event_count" else _keep(window, rows)
    match window.kind:
        case "event_count" | "temporal":
            size = pl.len()
        case "value_count":
            size = pl.col(str(window.field)).count()
        case _:
            size = pl.col("source").n_unique()
    most = (
        kept.lazy().group_by(_groups(window)).agg(size.alias("size")).select(pl.col("size").max()).collect(engine=ENGINE).item()
    )
    if most < window.threshold or (window.newcomers and not _brings(window, rows, new)):
        return kept
    return None


def _brings(window: Window, rows: pl.DataFrame, new: NDArray[np.bool_]) -> bool:
    """Whether a new row has a value that its window did not have."""
    pause = pl.col("event").diff().over([*window.group, str(window.field)])
    return bool(
        rows.select((pause.fill_null(window.span_ns) >= window.span_ns).alias("brings")).to_series().to_numpy()[new].any()
    )


def _hot(window: Window, rows: pl.DataFrame) -> pl.Series:
    """Which rows are of groups that have enough to fire, were all of it in one window."""
    if window.measure is not None:
        return pl.repeat(value=True, n=rows.height, eager=True)
    match window.kind:
        case "event_count":
            size = pl.len()
        case "value_count":
            size = pl.col(str(window.field)).n_unique()
        case _:
            size = pl.col("source").n_unique()
    return rows.select((size.over(_groups(window)) >= window.threshold).alias("hot")).to_series()


def _fire(window: Window, rows: pl.DataFrame, new: NDArray[np.bool_]) -> pl.DataFrame:
    """Marks of the rows: at which windows fire, with their count, and which are evidence, known since when."""
    part = (
        rows.lazy()
        .with_columns(new=pl.Series(new))
        .with_row_index("place")
        .filter(_hot(window, rows))
        .with_columns(group=pl.struct(_groups(window)).rank("dense") if window.group else pl.lit(0))
        .sort("group", *ORDER, maintain_order=True)
        .collect(engine=ENGINE)
    )
    group = part.get_column("group").to_numpy()
    event = part.get_column("event").to_numpy()
    leaves = _leaves(group, event, window.span_ns)
    brings = np.ones(len(group), np.bool_)
    if window.kind == "value_count":
        value = part.get_column(str(window.field)).to_physical().rank("dense").fill_null(0).to_numpy()
        known = part.get_column(str(window.field)).is_not_null().to_numpy()
        again = _again(group, value)
        stays = again < leaves
        brings[again[stays]] = False
        leaves = np.minimum(leaves, again)
        leaves[~known] = np.arange(len(leaves))[~known]
    found: NDArray[np.float64] | None = None
    if window.measure is not None:
        count, fired, found = _measured(window, window.measure, part, group, event)
    elif window.kind in {"event_count", "value_count"}:
        count = _alive(leaves)
        fired = (count >= window.threshold) & (brings | (not window.newcomers))
    elif window.kind == "temporal":
        count, fired, leaves = _together(window, part, group, event)
    else:
        count, fired, leaves = _in_order(window, part, group, event)
    # A row is evidence while it counts in a window that fires: the next fired row at or behind it comes before it leaves.
    places = np.where(fired, np.arange(len(fired)), len(fired))
    following = np.minimum.accumulate(places[::-1])[::-1] if len(places) else places
    due = (following < np.maximum(leaves, np.arange(len(leaves)) + 1)) & ~part.get_column("given").to_numpy()
    if window.newcomers:
        # What is remembered has been judged already, with rows before it that are forgotten now.
        due &= fired & part.get_column("new").to_numpy()
    places = part.get_column("place").to_numpy()
    until = np.minimum(following, len(following) - 1)
    marks: dict[str, NDArray[Any]] = {"count": count.astype(np.int64), "fired": fired, "due": due}
    if found is not None:
        marks[AMOUNT] = found
    marks |= {known: part.get_column(name).to_numpy()[until] for name, known in zip(ORDER, KNOWN, strict=True)}
    return pl.DataFrame({name: _spread(values, places, rows.height) for name, values in marks.items()}, nan_to_null=True)


def _spread(values: NDArray[Any], places: NDArray[Any], height: int) -> NDArray[Any]:
    """Values at their places among so many rows; elsewhere nothing: NaN, 0 or false."""
    whole = np.full(height, np.nan if values.dtype == np.float64 else 0, values.dtype)
    whole[places] = values
    return whole


def _leaves(group: NDArray[np.uint32], event: NDArray[np.int64], span_ns: int) -> NDArray[np.int64]:
    """For each row, the first later row of its group whose window it is not in any more, or where its group ends."""
    ends = np.searchsorted(group, group, side="right")
    starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]]) if len(group) else np.empty(0, np.int64)
    leaves = np.empty(len(group), np.int64)
    for start, end in zip(starts, np.r_[starts[1:], len(group)], strict=True):
        # One search for each group that could fire; within it, over whole arrays.
        leaves[start:end] = start + np.searchsorted(event[start:end], event[start:end] + span_ns, side="left")
    return np.minimum(leaves, ends)


def _again(group: NDArray[np.uint32], value: NDArray[np.uint32]) -> NDArray[np.int64]:
    """For each row, the next row of its group with the same value; the number of rows where there is none."""
    order = np.lexsort((np.arange(len(group)), value, group))
    following = np.full(len(group), len(group), np.int64)
    same = (group[order][1:] == group[order][:-1]) & (value[order][1:] == value[order][:-1])
    following[order[:-1][same]] = order[1:][same]
    return following


def _measured(
    window: Window, measure: Measure, part: pl.DataFrame, group: NDArray[np.uint32], event: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.float64]]:
    """Rows in each row's window, whether their measure passes, and the measure where it does for the last time in a group."""
    starts = np.empty(len(group), np.int64)
    begins = np.unique(group, return_index=True)[1]
    for start, end in zip(begins, np.r_[begins[1:], len(group)], strict=True):
        starts[start:end] = start + np.searchsorted(event[start:end], event[start:end] - window.span_ns, side="right")
    values = part.get_column(str(window.field)).to_physical().cast(pl.Float64).fill_null(np.nan).to_numpy()
    # What is remembered was judged when its whole window was there.
    fired = measure.passes(values, starts) & part.get_column("new").to_numpy()
    found = np.full(len(group), np.nan)
    places = np.flatnonzero(fired)
    last_of_group = np.r_[np.diff(group[places]) != 0, True] if len(places) else np.empty(0, np.bool_)
    for last in places[last_of_group]:
        found[last] = measure.of(values[starts[last] : last + 1])
    return np.arange(len(group)) - starts + 1, fired, found


def _alive(leaves: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many rows count at each row, itself included: each counts from its place until it leaves."""
    change = np.zeros(len(leaves) + 1, np.int64)
    np.add.at(change, np.arange(len(leaves)), leaves > np.arange(len(leaves)))
    np.add.at(change, np.maximum(leaves, np.arange(len(leaves))), -(leaves > np.arange(len(leaves))).astype(np.int64))
    return np.cumsum(change[:-1])


def _latest(group: NDArray[np.uint32], at: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each row, the last row of its group up to here that is marked; -1 where there is none."""
    marked = np.where(at, np.arange(len(at)), -1)
    latest = np.maximum.accumulate(marked) if len(marked) else marked
    return np.where((latest >= 0) & (group[latest] == group), latest, -1)


def _together(
    window: Window, part: pl.DataFrame, group: NDArray[np.uint32], event: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]]:
    """Each rule's last row must lie in the window: fires at every row that completes the set."""
    source = part.get_column("source").cast(pl.String)
    seen = np.zeros(len(group), np.int64)
    for name in window.rules:
        latest = _latest(group, (source == name).to_numpy())
        seen += (latest >= 0) & (event - event[latest] < window.span_ns)
    fired = seen == len(window.rules)
    again = _again(group, source.rank("dense").to_numpy())
    return seen, fired, np.minimum(_leaves(group, event, window.span_ns), again)


def _in_order(
    window: Window, part: pl.DataFrame, group: NDArray[np.uint32], event: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]]:
    """The rules' rows must follow one another in the window: the latest start that leads to a row decides."""
    source = part.get_column("source").cast(pl.String)
    never = np.iinfo(np.int64).min
    chain = np.full(len(group), never, np.int64)
    for number, name in enumerate(window.rules):
        at = (source == name).to_numpy()
        if number == 0:
            chain[at] = event[at]
            continue
        before = _latest(group, (source == window.rules[number - 1]).to_numpy() & (chain != never))
        start = np.where(before >= 0, chain[before], never)
        within = at & (start > event - window.span_ns)
        chain[within] = start[within]
    fired = (source == window.rules[-1]).to_numpy() & (chain != never)
    return np.where(fired, len(window.rules), 0), fired, _leaves(group, event, window.span_ns)


def _keep(window: Window, rows: pl.DataFrame) -> pl.DataFrame:
    """Of rows in order, those that later windows can need."""
    groups = [*window.group]
    match window.kind:
        case "event_count":
            rank = pl.int_range(pl.len(), 0, -1)
            return rows.filter((rank.over(groups) if groups else rank) < window.threshold)
        case "value_count":
            return rows.unique([*groups, str(window.field)], keep="last", maintain_order=True)
        case "temporal":
            return rows.unique([*groups, "source"], keep="last", maintain_order=True)
        case _:
            return rows
