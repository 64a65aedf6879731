"""The comparison of the models with pipelines of scikit-learn: it runs, and what it counts is what a hand counts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
import pytest

from detection.anomaly.extremes import WINDOW_NS
from tests.detection.test_anomaly import as_cuts, point, polls
from tests.detection.traffic import SECOND, START, request
from tests.evaluation.budgets import alarms, at_budgets, told_of
from tests.evaluation.features import Seen, counts, minutes, processes, requests, values
from tests.evaluation.models import MODELS, Day, compare, lines
from tests.evaluation.pipelines import PIPELINES, Judge, out_of_fold, p_values

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

MINUTE: Final = START // WINDOW_NS
"""A full hour begins with it."""


def event(name: str, first: int, last: int, *hosts: str) -> dict[str, Any]:
    """An event from the begin of one minute to just before the end of another."""
    start, end = (MINUTE + first) * WINDOW_NS, (MINUTE + last + 1) * WINDOW_NS - 1
    return {"name": name, "start": start, "end": end, "hosts": list(hosts)}


def told(*rows: tuple[int, str, float]) -> pl.DataFrame:
    """What was told of minutes of servers."""
    return pl.DataFrame(
        {
            "window": [MINUTE + minute for minute, _, _ in rows],
            "hosts": [["hmi", server] for _, server, _ in rows],
            "score": [score for _, _, score in rows],
        }
    )


TOLD: Final = pl.concat(
    [
        told_of(
            0,
            told(
                # More than half an hour before the event; less than that before it; in it; and in the minute after it.
                (5, "plc", 8.0),
                (20, "plc", 3.0),
                (40, "plc", 6.0),
                (42, "plc", 9.0),
                # Of another server, while the event lasts.
                (40, "pump", 5.0),
            ),
            [event("stop", 40, 41, "intruder", "plc")],
        ),
        told_of(
            1,
            told((50, "plc", 5.0), (51, "plc", 7.0), (70, "pump", 5.0), (100, "plc", 1.0)),
            [
                event("write", 50, 50, "plc"),
                event("sweep", 70, 70, "pump"),
                event("late", 100, 100, "plc"),
                event("unseen", 200, 210, "plc"),
            ],
        ),
    ]
)


def test_what_is_told_without_a_pause_is_one_alarm_and_true_if_it_begins_in_an_event() -> None:
    assert alarms(TOLD.filter(pl.col("score") >= 6)) == ({(0, "stop"), (1, "write")}, 1)
    # With what lies between them the first alarm goes on into the event, and began before it.
    assert alarms(TOLD) == ({(1, "write"), (1, "sweep"), (1, "late")}, 2)
    assert alarms(TOLD.clear()) == (set(), 0)


def test_a_minute_in_two_events_finds_both_and_one_two_minutes_after_an_event_none() -> None:
    both = [event("one", 10, 20, "plc"), event("other", 15, 30, "plc")]
    assert alarms(told_of(0, told((16, "plc", 1.0)), both)) == ({(0, "one"), (0, "other")}, 0)
    assert alarms(told_of(0, told((21, "plc", 1.0)), both[:1])) == ({(0, "one")}, 0)
    assert alarms(told_of(0, told((22, "plc", 1.0)), both[:1])) == (set(), 1)


@pytest.mark.parametrize(
    ("budget", "found"),
    [
        # In two days none: only what scores 9, in the minute after the event.
        (0.4, {"stop"}),
        # One, the first: all that scores more than 5, where the second comes with what scores alike.
        (0.5, {"stop", "write"}),
        # Two are all that there are.
        (1.0, {"write", "sweep", "late"}),
    ],
)
def test_events_found_at_a_budget_are_those_that_a_hand_counts(budget: float, found: set[str]) -> None:
    assert {name for _, name in at_budgets(TOLD, 2.0, [budget])[budget]} == found


def test_a_score_is_worth_its_place_in_history_and_beyond_it_as_far_as_history_is_long() -> None:
    history = np.array([1.0, 2.0, 3.0, 4.0])
    # The upper half is 1.5 wide: 5.5 is one width beyond.
    assert p_values(history, np.array([0.5, 3.0, 4.0, 5.5, 1e9])).tolist() == pytest.approx([1.0, 0.6, 0.4, 0.05, 0.04])


def test_a_history_that_never_varied_makes_no_score_infinite() -> None:
    assert p_values(np.zeros(9), np.array([0.0, 1e-12, 5.0])).tolist() == pytest.approx([1.0, 0.1, 0.01], rel=0.01)


class Distance:
    """A pipeline that a hand can follow: how far a number is from the mean."""

    mean = 0.0

    def fit(self, numbers: NDArray[np.float64]) -> Distance:
        self.mean = float(numbers.mean())
        return self

    def score_samples(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        return -np.abs(numbers[:, 0] - self.mean)


def seen(*numbers: float, hours: Sequence[int]) -> Seen:
    windows = np.array([60 * hour + place for place, hour in enumerate(hours)])
    return Seen(windows, np.array(numbers).reshape(-1, 1))


def test_each_hour_is_scored_by_what_was_fitted_on_the_others() -> None:
    scores = out_of_fold(Distance, seen(1, 3, 10, 20, hours=[0, 0, 1, 2]))
    # Means of the others: 15, 15, 8 and 14/3.
    assert scores.tolist() == pytest.approx([14, 12, 2, 20 - 14 / 3])


def test_what_one_thing_says_is_worth_less_where_others_say_as_much() -> None:
    lesson = {("a",): seen(1, 2, 3, 4, hours=[0, 0, 1, 1])}
    alone = Judge.learned(Distance, lesson)
    # Scores of 2.5, 1.5, 1.5 and 2.5: two are as high as the highest, all as high as the others.
    assert alone.highest.tolist() == pytest.approx([0, 0, math.log(2), math.log(2)])
    # A score of 2 has two of four above it, and so has its surprise.
    assert alone.told({("a",): seen(4.5, hours=[9])}).item(0, "score") == pytest.approx(math.log(5 / 3))
    # Far beyond: one in 25 for the thing, which is as much more than the site ever had as 25 is more than 2.
    far = alone.told({("a",): seen(50, hours=[9])})
    assert far.item(0, "score") == pytest.approx(math.log(5) + 0.5 * math.log(25 / 2))
    assert far.item(0, "hosts").to_list() == ["a"]
    # Scores of 2.5, 1.5, 2.5 and 1.5 besides: three of four minutes have one of two as high.
    two = Judge.learned(Distance, {**lesson, ("b",): seen(4, 3, 1, 2, hours=[0, 0, 1, 1])})
    assert two.told({("a",): seen(4.5, hours=[9])}).item(0, "score") == pytest.approx(math.log(5 / 4))


def test_what_was_not_learned_is_not_judged() -> None:
    lesson = {("a",): seen(1, 2, 3, 4, hours=[0, 0, 1, 1]), ("an hour only",): seen(1, 2, hours=[0, 0])}
    judge = Judge.learned(Distance, lesson)
    assert judge.told({("b",): seen(50, hours=[9]), ("an hour only",): seen(50, hours=[9])}).is_empty()


def recorded(name: str, seconds: int, of: Callable[[int], float], events: Sequence[dict[str, Any]] = ()) -> Day:
    """A client that polls two points of a server, which move together."""
    made = [
        *polls(seconds, of=of),
        *(point(10 * turn + 2, 2 * of(turn) + turn % 3, "holding:1@1") for turn in range(seconds // 10)),
    ]
    made.sort(key=lambda record: record["ts"])
    return Day(name, as_cuts(made, range(0, len(made), 4_000)), events, (START, START + seconds * SECOND))


def test_the_values_of_a_server_are_looked_at_together_with_their_steps() -> None:
    day = recorded("day", 4 * 3_600, lambda turn: 400 + turn % 5)
    rows = values(day.batches)
    (found,) = processes(rows)(rows).values()
    assert found.numbers.shape == (240, 4)
    # The sixth turn of a minute is its last: turns 5, 11 and 17 are 0, 1 and 2 of the cycle.
    assert found.numbers[:3, 0].tolist() == [400, 401, 402]
    assert found.numbers[:3, 2].tolist() == [0, 1, 1]
    later = processes(rows)(rows.filter(pl.col("point") == "holding:0@1"))["10.0.0.9",]
    mean = rows.filter(pl.col("point") == "holding:1@1").get_column("number").mean()
    assert later.numbers[:, 1].tolist() == pytest.approx([mean] * 240)


def test_minutes_in_which_a_steady_conversation_is_silent_are_looked_at_as_silence() -> None:
    steady = [request(10 * turn, address=0) for turn in range(720) if turn // 6 not in {60, 61}]
    others = [request(60 * minute + 1, client="10.0.0.2", address=7) for minute in range(0, 120, 3)]
    others += [request(60 * minute + 1, client="10.0.0.3", address=7) for minute in range(120)]
    made = sorted([*steady, *others], key=lambda record: record["ts"])
    rows = minutes(requests([batch for cut in as_cuts(made) for batch in cut]), ["client", "server"])
    found = counts(rows, by_hour=False)(rows)
    # The second is not heard for long enough to be learned.
    assert set(found) == {("10.0.0.1", "10.0.0.9"), ("10.0.0.3", "10.0.0.9")}
    asked = np.expm1(found["10.0.0.1", "10.0.0.9"].numbers[:, 2])
    assert asked.tolist() == pytest.approx([0 if minute in {60, 61} else 6 for minute in range(120)])


def test_the_comparison_runs_and_finds_what_is_plain() -> None:
    source = np.random.default_rng(3)
    drawn = source.normal(400, 5, 24 * 360)
    lesson = recorded("lesson", 24 * 3_600, lambda turn: float(drawn[turn]))
    begin = 5 * 360
    attacked = {begin + turn: 900.0 for turn in range(12)}
    stop = event("forced", begin // 6, begin // 6 + 1, "10.0.0.9")
    day = recorded("day", 12 * 3_600, lambda turn: attacked.get(turn, float(drawn[-turn - 1])), [stop])
    outcome = compare(lesson, [day], {"PCA, 95 %": PIPELINES["PCA, 95 %"]})
    assert (outcome.events, outcome.length) == (1, pytest.approx(0.5))
    assert outcome.found(MODELS)[2.0] == outcome.found("PCA, 95 %, values together")[2.0] == {(0, "forced")}
    assert outcome.found("PCA, 95 %, conversations")[2.0] == set()
    table = [line for line in lines(outcome) if line.startswith("|")]
    assert len(table) == 7
    # In half a day one false alarm a day is none.
    assert table[2] == f"| {MODELS} | 0; –; 0 | 1; –; 1 | 1; –; 1 | 1; –; 1 |"
