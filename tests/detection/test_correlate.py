"""Correlations against the plainest reading of what they mean, and against themselves in other steps."""

from __future__ import annotations

import itertools
import operator as operators
from dataclasses import replace
from typing import NamedTuple

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detection.sigma.correlate import AMOUNT, Window, step
from detection.sigma.measure import OPERATORS, Measure

SECOND = 1_000_000_000

COMPARE = {
    "gt": operators.gt,
    "gte": operators.ge,
    "lt": operators.lt,
    "lte": operators.le,
    "eq": operators.eq,
    "neq": operators.ne,
}
"""The comparisons of measures, in their plainest form."""


class Event(NamedTuple):
    """An event of a test: second, group, value, rule."""

    at: int
    group: str
    value: int
    source: str = "a"


def frame(events: list[Event], first_row: int = 0) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "event": [event.at * SECOND for event in events],
            "sensor": ["s"] * len(events),
            "epoch": ["e"] * len(events),
            "sequence": [0] * len(events),
            "row": list(range(first_row, first_row + len(events))),
            "client.ip": [event.group for event in events],
            "value": [event.value for event in events],
            "source": [event.source for event in events],
        },
        schema_overrides={"event": pl.Int64, "row": pl.Int64, "sequence": pl.Int64, "value": pl.Int64},
    )


def measured(kind: str, operator: str, limit: float, percentile: int = 50) -> Window:
    return Window(kind, ("a",), ("client.ip",), "value", 10 * SECOND, 1, measure=Measure(kind, operator, limit, percentile))


def window(kind: str, threshold: int = 3, rules: tuple[str, ...] = ("a",)) -> Window:
    return Window(kind, rules, ("client.ip",), "value" if kind == "value_count" else None, 10 * SECOND, threshold)


def named(shape: Window) -> str:
    limit = shape.threshold if shape.measure is None else f"{shape.measure.operator}-{shape.measure.limit}"
    return f"{shape.kind}-{limit}{'-newcomers' if shape.newcomers else ''}"


NEWCOMERS = replace(window("value_count", 2), newcomers=True)


def run(shape: Window, steps: list[list[Event]]) -> tuple[set[int], set[int]]:
    """Rows that fired and rows that are evidence, over all steps."""
    fired: list[int] = []
    evidence: list[int] = []
    state = None
    row = 0
    for events in steps:
        if not events:
            continue
        outcome = step(shape, state, frame(events, row))
        row += len(events)
        state = outcome.state
        if outcome.fired is not None and outcome.evidence is not None:
            fired += outcome.fired.get_column("row").to_list()
            evidence += outcome.evidence.get_column("row").to_list()
    assert len(set(fired)) == len(fired)
    assert len(set(evidence)) == len(evidence), "a record was given twice"
    return set(fired), set(evidence)


def plainly(measure: Measure, values: list[int]) -> float:
    """A measure of values in order, by its definition."""
    if measure.kind == "value_sum":
        return sum(values)
    if measure.kind == "value_avg":
        return sum(values) / len(values)
    share = (measure.percentile if measure.kind == "value_percentile" else 50) / 100
    return next(value for place, value in enumerate(values, 1) if place >= share * len(values))


def reference(shape: Window, events: list[Event]) -> tuple[set[int], set[int]]:
    """The same by looking into every window."""
    fired: set[int] = set()
    evidence: set[int] = set()
    for end, event in enumerate(events):
        inside = [
            at for at in range(end + 1) if events[at].group == event.group and events[at].at > event.at - shape.span_ns // SECOND
        ]
        if shape.measure is not None:
            held = plainly(shape.measure, sorted(events[at].value for at in inside))
            members, count = inside, int(COMPARE[shape.measure.operator](held, shape.measure.limit))
        elif shape.kind == "event_count":
            members, count = inside, len(inside)
        elif shape.kind == "value_count":
            latest = {events[at].value: at for at in inside}
            members, count = list(latest.values()), len(latest)
        elif shape.kind == "temporal":
            latest = {events[at].source: at for at in inside}
            members, count = list(latest.values()), len(latest)
        else:
            wanted = 0
            for at in inside:
                if events[at].source == shape.rules[wanted]:
                    wanted += 1
                    if wanted == len(shape.rules):
                        break
            count = wanted if wanted == len(shape.rules) and event.source == shape.rules[-1] else 0
            members = inside
        if shape.newcomers:
            members = [end]
            count = 0 if any(events[at].value == event.value for at in inside[:-1]) else count
        if count >= shape.threshold:
            fired.add(end)
            evidence |= set(members)
    return fired, evidence


EVENTS = st.lists(
    st.builds(Event, st.integers(0, 60), st.sampled_from("xy"), st.integers(0, 4), st.sampled_from("abc")), max_size=40
).map(lambda events: sorted(events, key=lambda event: event.at))

SHAPES = [
    window("event_count", 3),
    window("event_count", 1),
    window("value_count", 3),
    window("temporal", 3, ("a", "b", "c")),
    NEWCOMERS,
    *(measured("value_median", operator, 2.0) for operator in OPERATORS),
    measured("value_percentile", "gte", 3.0, 90),
    measured("value_avg", "lt", 2.0),
    measured("value_sum", "gte", 7.0),
]


@pytest.mark.parametrize("shape", SHAPES, ids=named)
@given(events=EVENTS)
@settings(max_examples=150, deadline=None)
def test_a_window_fires_where_looking_into_every_window_says_so(shape: Window, events: list[Event]) -> None:
    assert run(shape, [events]) == reference(shape, events)


@given(events=EVENTS)
@settings(max_examples=150, deadline=None)
def test_a_sequence_fires_at_the_last_of_its_rules_in_order(events: list[Event]) -> None:
    shape = window("temporal_ordered", 3, ("a", "b", "c"))
    assert run(shape, [events])[0] == reference(shape, events)[0]


@pytest.mark.parametrize("shape", [*SHAPES, window("temporal_ordered", 2, ("a", "b"))], ids=named)
@given(events=EVENTS, cuts=st.sets(st.integers(0, 40)))
@settings(max_examples=150, deadline=None)
def test_the_answer_does_not_depend_on_how_rows_are_grouped_into_steps(
    shape: Window, events: list[Event], cuts: set[int]
) -> None:
    borders = [0, *sorted(cut for cut in cuts if cut < len(events)), len(events)]
    pieces = [events[start:end] for start, end in itertools.pairwise(borders)]
    assert run(shape, pieces) == run(shape, [events])


def test_events_without_a_group_are_counted_together() -> None:
    shape = Window("event_count", ("a",), (), None, 10 * SECOND, 3)
    assert run(shape, [[Event(1, "x", 0), Event(2, "y", 0), Event(3, "z", 0)]])[0] == {2}


def test_a_measure_is_told_with_what_it_came_to() -> None:
    events = [Event(0, "x", 4), Event(1, "x", 6), Event(2, "y", 50)]
    outcome = step(measured("value_avg", "gte", 5.0), None, frame(events))
    assert outcome.fired is not None
    assert dict(outcome.fired.select("client.ip", AMOUNT).rows()) == {"x": 5.0, "y": 50.0}


def test_values_that_are_missing_are_not_measured() -> None:
    rows = frame([Event(0, "x", 4), Event(1, "x", 6)]).with_columns(value=pl.Series([None, 6], dtype=pl.Int64))
    fired = step(measured("value_avg", "gte", 6.0), None, rows).fired
    assert fired is not None
    assert fired.height == 1
    nothing = frame([Event(0, "x", 4)]).with_columns(value=pl.lit(None, pl.Int64))
    assert step(measured("value_sum", "lt", 1.0), None, nothing).fired is None
