"""The anomaly detector: what is outside of all that was seen, by more than the site's history makes probable. Pure.

While learning, models grow with what they see. In its second half each minute is scored first and learned from then: what a score
is worth is told by the scores of that half. Afterwards a day begins with what was learned; what goes beyond is told if it is rare
enough, and counts as seen for the rest of that day (UTC): a value that rises is told when it jumps and not with each step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from detection.anomaly import (
    conversations,
    drift,
    hours,
    keyed,
    members,
    naming,
    order,
    points,
    repeats,
    silence,
    together,
    told,
    windows,
)  # fmt: skip
from detection.anomaly.extremes import THINGS, WINDOW_NS, beyond
from detection.anomaly.history import FALSE_ALARMS_A_DAY, allowed
from detection.anomaly.history import SCHEMA as HISTORY
from detection.anomaly.state import ALWAYS, AT_END, DAY_NS, SCALES, AnomalyState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from collector.store import RecordBatch


@dataclass(frozen=True, slots=True)
class Records:
    """What models look at of one step.

    Attributes:
        values: rows of points, as `points.rows_of` gives them.
        requests: requests, as `conversations.rows_of` gives them.
        heard: all requests that were heard, in order; those that these models do not look at show the time, too.
        until: event time up to which all of it is known, nanoseconds since 1970.
    """

    values: pl.DataFrame
    requests: pl.DataFrame
    heard: pl.DataFrame
    until: int


def read(state: AnomalyState, batches: Sequence[RecordBatch]) -> tuple[AnomalyState, Records]:
    """What models look at of batches of one run, and the state that has heard them."""
    requests = conversations.rows_of(batches, *state.heard)
    if requests.height:
        last, deaf = requests.select("event", "deaf").row(-1)
        state = replace(state, heard=(int(last), int(deaf)))
    until = max((batch.header.cut_end for batch in batches), default=0)
    return state, Records(points.rows_of(batches), requests, requests, until)


def step(
    state: AnomalyState,
    batches: Sequence[RecordBatch],
    false_alarms_a_day: float = FALSE_ALARMS_A_DAY,
    course: Callable[[], Course] | None = None,
) -> tuple[AnomalyState, pl.DataFrame]:
    """Take the batches of whole cuts of one run in; the anomalies in order of their records, as rows of table `anomaly`.

    Args:
        state: the state before.
        batches: batches of one run.
        false_alarms_a_day: minutes with a false alarm that the site allows.
        course: how far learning is after these batches, where that is decided live.
    """
    return take_in(*read(state, batches), false_alarms_a_day, course)


def take_in(
    state: AnomalyState,
    records: Records,
    false_alarms_a_day: float = FALSE_ALARMS_A_DAY,
    course: Callable[[], Course] | None = None,
) -> tuple[AnomalyState, pl.DataFrame]:
    """What `step` does, with what was read of the batches before."""
    state = replace(state, promised=false_alarms_a_day)
    values, until = records.values, records.until
    if course is not None and state.live:
        state, values = _on_course(state, course(), values)
        until = min(until, state.known_until) if state.until == ALWAYS else until
    frames = [values, records.requests, records.heard]
    part_of = [state.part_of(rows.get_column("event").to_numpy()) for rows in frames]
    ends = np.concatenate([(held.to_numpy() + 1) * length for held, length in _not_over(state)])
    found: list[pl.DataFrame] = []
    for part in np.unique(np.concatenate([*part_of, state.part_of(ends[ends <= until] - 1)])).tolist():
        end = state.scored_from if part == -2 else state.until if part == -1 else (part + 1) * DAY_NS
        here = [parts == part for parts in part_of]
        inside = [rows if own.all() else rows.filter(pl.Series(own)) for rows, own in zip(frames, here, strict=True)]
        if part >= 0:
            state = _with_history(state)
        state, rows = _part(state, int(part), inside, min(until, end), false_alarms_a_day)
        found += rows
    if course is not None:
        state = replace(state, phase=course().phase, assets=course().assets)
    return state, told.rows(found, state)


def _not_over(state: AnomalyState) -> Iterator[tuple[pl.Series, int]]:
    """Numbers of the windows that were not over, and how long each of these is, nanoseconds."""
    yield state.minutes.get_column("window"), WINDOW_NS
    yield state.open_windows.get_column("window"), windows.PERIOD_NS
    yield state.open_hours.get_column("hour"), hours.HOUR_NS
    yield state.unusual.get_column("window"), WINDOW_NS


@dataclass(frozen=True, slots=True)
class Course:
    """How far live learning is.

    Attributes:
        phase: how sure normality is, as in column anomaly.phase.
        assets: servers of which another phase holds.
        start: when learning began, nanoseconds since 1970.
        mark: event time up to which it is decided that it goes on.
        ended: whether it has ended, at `until`.
        until: when it ended.
    """

    phase: str
    assets: Mapping[str, str]
    start: int
    mark: int
    ended: bool
    until: int


def _on_course(state: AnomalyState, course: Course, values: pl.DataFrame) -> tuple[AnomalyState, pl.DataFrame]:
    """The state as learning is decided to go on, and the rows of points of which it is known whether they are learned from.

    Learning ends at a full hour, which is known when something is done after it. A value may come first; it waits.
    """
    values = pl.concat([state.waiting, values])
    if course.ended:
        until = course.until // WINDOW_NS * WINDOW_NS
        return replace(state, start=course.start, until=until, waiting=points.ROWS), values
    known = pl.col("event") < course.mark
    waits = values.filter(~known)
    forgotten = state.forgotten + max(0, waits.height - THINGS)
    held = replace(state, start=course.start, known_until=course.mark, waiting=waits.head(THINGS), forgotten=forgotten)
    return held, values.filter(known)


def _with_history(state: AnomalyState) -> AnomalyState:
    """After live learning: the second half of its minutes is the history, for the first had little to compare with."""
    if not state.live:
        return state
    half = -(-(state.start + (state.until - state.start) // 2) // hours.HOUR_NS)
    return replace(state, live=False, history=state.history.after(half))


def _part(  # noqa: PLR0915 - each model has its turn
    state: AnomalyState, part: int, records: Sequence[pl.DataFrame], until: int, false_alarms_a_day: float
) -> tuple[AnomalyState, list[pl.DataFrame]]:
    """Take in the values and requests of one part of a run."""
    values, requests, heard_requests = records
    learns = part < 0
    most = allowed(false_alarms_a_day)
    least = 0.0 if learns else state.history.least(silence.MODEL, most)
    if not learns and part != state.day:
        latest = silence.with_due(state.latest_requests, state.learned[silence.MODEL], least)
        state = replace(state, seen=state.learned, day=part, latest_requests=latest)
    known = dict(state.learned if learns else state.seen)
    if not learns:
        values = keyed.only_known(values, "key", known["value"])
        requests = keyed.only_known(requests, "talk", known["volume"])
    # What the first half of learning scores is of no use.
    scores = part != -2
    looked_at, latest_points, valued = points.features(state.latest_points, values)
    over_windows, open_windows = windows.counted(state.open_windows, valued, until)
    looked_at |= windows.features(over_windows)
    again, memory, stretches = repeats.features(state.memory, state.stretches, valued)
    looked_at |= again
    kinds = requests if learns else keyed.only_known(requests, "key", known["interval"])
    looked_at["interval"], latest_requests = conversations.intervals(state.latest_requests, kinds)
    over, minutes = conversations.minutes(state.minutes, requests, until)
    looked_at |= conversations.of_minutes(over)
    over_hours, open_hours = hours.counted(state.open_hours, over, until)
    looked_at |= hours.features(over_hours)
    outside: dict[str, pl.DataFrame] = {}
    forgotten = state.forgotten
    for model, rows in looked_at.items():
        if rows.is_empty():
            continue
        outside[model], known[model], more = beyond(known[model], rows, SCALES[model], learns=learns, scores=scores)
        forgotten += more
    for model, rows in members.features(valued).items():
        if rows.is_empty():
            continue
        outside[model], known[model], more = members.strange(
            known[model], rows, learns=learns, scores=scores, rising=model in members.RISING
        )
        forgotten += more
    followed, latest_operations = order.transitions(state.latest_operations, requests)
    outside["order"], known["order"], more = order.unusual(known["order"], followed, learns=learns, scores=scores)
    forgotten += more
    if not learns:
        latest_requests = silence.with_due(latest_requests, known[silence.MODEL], least)
    scored = pl.concat(
        [
            pl.DataFrame(schema=HISTORY),
            *(
                rows.select(model=pl.lit(model), window=(pl.col("event") - (model in AT_END)) // WINDOW_NS, score="score")
                for model, rows in outside.items()
                if rows.height
            ),
        ]
    )
    heard = pl.concat([values.get_column("event"), requests.get_column("event")]) // WINDOW_NS
    grown = replace(
        state,
        latest_points=keyed.renewed(state.latest_points, latest_points, _LATEST, THINGS)[0],
        latest_requests=keyed.renewed(state.latest_requests, latest_requests, _LATEST, THINGS)[0],
        latest_operations=keyed.renewed(state.latest_operations, latest_operations, _LATEST, THINGS)[0],
        minutes=minutes.head(THINGS),
        open_hours=open_hours.head(THINGS),
        open_windows=open_windows.head(THINGS),
        stretches=keyed.renewed(state.stretches, stretches, ["key"], THINGS)[0],
        memory=memory,
        forgotten=forgotten,
    )
    if learns:
        names = naming.with_more(state.names, values, requests, looked_at.get("hours"))
        grown = replace(grown, learned=known, names=names)
        if part == -1:
            grown = replace(grown, history=grown.history.with_more(heard, scored))
        return grown, []
    paused = silence.told(
        outside.get(silence.MODEL), grown.latest_requests, known[silence.MODEL], heard_requests, state.spoken, least
    )
    spoken = heard_requests.select((pl.col("event") - pl.col("deaf")).max()).item() if heard_requests.height else state.spoken
    judges = {model: rows for model, rows in {**outside, silence.MODEL: paused}.items() if rows.height}
    found = [told.judged(model, rows, state.history, most) for model, rows in judges.items()]
    said = together.said(judges, state.history, AT_END, most)
    joint, unusual = together.judged(state.unusual, said, state.history, until, most)
    found = [rows for rows in (*found, joint) if rows.height]
    found = [told.with_usual(rows, state.learned) for rows in found]
    alarms = [rows.select("model", window="block", score="score") for rows in found]
    bet, broken = drift.step(state.drift, heard, found, false_alarms_a_day)
    grown = replace(
        grown,
        seen=known,
        spoken=int(spoken),
        unusual=unusual.head(THINGS),
        since=grown.since.with_more(heard, scored),
        told=grown.told.with_more(heard, pl.concat(alarms)) if alarms else grown.told,
        drift=bet,
    )
    return grown, found if broken is None else [*found, broken.with_columns(model=pl.lit(drift.MODEL))]


_LATEST: Final = ("ts", "key")
"""Order in which latest rows take the room that there is."""
