"""Correlations against the plainest reading of what they mean, and against themselves in other steps."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import NamedTuple

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detection.sigma.correlate import Window, step

SECOND = 1_000_000_000


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


def window(kind: str, threshold: int = 3, rules: tuple[str, ...] = ("a",)) -> Window:
    return Window(kind, rules, ("client.ip",), "value" if kind == "value_count" else None, 10 * SECOND, threshold)


def named(shape: Window) -> str:
    return f"{shape.kind}-{shape.threshold}{'-newcomers' if shape.newcomers else ''}"


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
        fired += outcome.fired.get_column("row").to_list()
        evidence += outcome.evidence.get_column("row").to_list()
    assert len(set(fired)) == len(fired)
    assert len(set(evidence)) == len(evidence), "a record was given twice"
    return set(fired), set(evidence)


def reference(shape: Window, events: list[Event]) -> tuple[set[int], set[int]]:
    """The same by looking into every window."""
    fired: set[int] = set()
    evidence: set[int] = set()
    for end, event in enumerate(events):
        inside = [
            at for at in range(end + 1) if events[at].group == event.group and events[at].at > event.at - shape.span_ns // SECOND
        ]
        if shape.kind == "event_count":
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
