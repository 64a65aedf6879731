"""Figures against cases worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detection.evaluation.events import any_technique, same_technique
from detection.evaluation.metrics import Rate, by_kind, figures, poisson_interval, quiet
from detection.evaluation.observation import Modelled
from detection.evaluation.report import Report, as_json, as_lines
from tests.evaluation.made import HMI, PLC, STRANGER, alert, event, result

HOUR = 3_600.0

ONE_HOUR = result(
    [
        event(100, 160, STRANGER, PLC, kind="write", techniques=("T1692.001",)),
        event(1_000, 1_010, STRANGER, PLC, kind="scan", techniques=("T0846",)),
        event(2_000, 2_010, STRANGER, PLC, kind="scan", techniques=("T0846",), shown="nothing"),
    ],
    [
        alert(110, hosts=(STRANGER, PLC), techniques=("T1692",), rank=5.0, known=125),
        alert(120, hosts=(STRANGER, PLC), techniques=("T0836",), rank=1.0, known=121),
        alert(1_005, hosts=(STRANGER, PLC), techniques=("T0888",), known=1_007),
        alert(3_000, severity="high", rule="loud"),
        alert(3_100, severity="low", rule="quiet"),
    ],
    pairs=[(HMI, PLC), (STRANGER, HMI)],
)
"""An hour with a write that two alerts find, a scan that one finds, a scan that none can find, and two false alerts."""


def test_recall_counts_events_once_over_all_and_over_those_that_show() -> None:
    counted = figures([ONE_HOUR])
    assert (counted.found.part, counted.found.whole) == (2, 3)
    assert counted.found_in_records.value == 1.0
    assert counted.found_on_the_wire.value == 1.0


def test_delay_is_from_the_first_packet_to_when_the_first_alert_was_told() -> None:
    assert figures([ONE_HOUR]).delay_seconds == (7.0, 21.0)


def test_the_technique_is_that_of_the_strongest_alert_and_a_parent_is_right() -> None:
    counted = figures([ONE_HOUR])
    assert (counted.technique_of_strongest.part, counted.technique_of_strongest.whole) == (1, 2)


def test_a_technique_that_the_strongest_alert_names_later_is_not_its_first() -> None:
    seen = figures([result([event(0, 60, PLC)], [alert(5, techniques=("T0848", "T0836"))])])
    assert (seen.technique_of_strongest.value, seen.technique_first.value) == (1.0, 0.0)


def test_false_alerts_are_counted_over_the_normal_time() -> None:
    counted = figures([ONE_HOUR])
    normal = HOUR - (60 + 10 + 10) - 3 * 31
    assert counted.false_alerts.count == 2
    assert math.isclose(counted.false_alerts.hours * HOUR, normal)
    rate = counted.false_alerts.each(24)
    assert rate is not None
    assert math.isclose(rate[0], 2 * 24 * HOUR / normal)
    assert counted.false_severe == 1
    assert counted.false_severities == {"high": 1, "low": 1}
    assert (counted.true_alerts.part, counted.true_alerts.whole) == (3, 5)


def test_the_detector_that_always_alerts_finds_all_and_is_seldom_right() -> None:
    always = figures([ONE_HOUR]).always
    # Both pairs share a host with each event, so that every alert in (60 + 10 + 10 + 3 × 31) s of the hour is right.
    assert always.recall == 1.0
    assert always.precision is not None
    assert math.isclose(always.precision, 173 / HOUR)


def test_random_alerts_at_the_same_rate_find_what_chance_finds() -> None:
    random = figures([ONE_HOUR]).random
    chances = [(60 + 31) / HOUR, (10 + 31) / HOUR, (10 + 31) / HOUR]
    assert random.recall is not None
    assert math.isclose(random.recall, sum(1 - (1 - chance) ** 5 for chance in chances) / 3)
    assert random.precision is not None
    assert math.isclose(random.precision, 173 / HOUR)


def test_random_alerts_for_pairs_that_take_no_part_find_nothing() -> None:
    other = result([event(0, HOUR, STRANGER)], [alert(5, hosts=(STRANGER,))])
    assert figures([other]).random.recall == 0.0
    assert figures([other]).always.recall == 0.0


def test_figures_by_kind_are_those_of_its_events() -> None:
    kinds = by_kind([ONE_HOUR])
    assert {kind: (part.found.part, part.found.whole) for kind, part in kinds.items()} == {"scan": (1, 2), "write": (1, 1)}


def test_minutes_in_which_models_told_something_stand_beside_those_that_they_promise() -> None:
    # Ten hours, of which models judged the last eight; an event of an hour, from 04:00:30 on, and one before they did.
    part = result([event(30, 90, PLC), event(14_430, 18_000, PLC)], [], seconds=36_000)
    # Within the event, half an hour after it, and two that follow one another.
    seen = Modelled(promised=3.0, heard=480, first=120, last=599, told=(250, 330, 400, 401))
    counted = figures([replace(part, observation=replace(part.observation, models=seen)), result([], [])])
    # The event covers 61 minutes with the half minute after it in which an alert may still be about it.
    assert counted.models == Rate(3, (480 - 61) / 60)
    assert math.isclose(counted.models_promised, 3 * (480 - 61) / 1_440)
    report = Report([replace(part, observation=replace(part.observation, models=seen))])
    (line,) = [line for line in as_lines(report, markdown=True) if "10.3 (2.1 to 30.1) in 6.98 h" in line and "all" in line]
    assert line == "| all | 0.9 | 3 | 3 | 10.3 (2.1 to 30.1) in 6.98 h |"
    told = as_json(report)["total"]["models"]
    assert (told["minutes_measured"], told["minutes_promised"]) == (3, pytest.approx(0.873, abs=0.001))


def test_nothing_is_divided_by_nothing() -> None:
    empty = figures([])
    assert empty.found.value is None
    assert empty.false_alerts.each(1) is None
    assert empty.random.recall is None


def test_captures_without_events_are_told_apart_by_length() -> None:
    long = result([], [alert(1), alert(2, severity="critical")], seconds=7_200)
    short = result([], [alert(1)], seconds=600)
    told = quiet([long, short, ONE_HOUR])
    assert (told["an hour and more"].captures, told["an hour and more"].severe, told["an hour and more"].noisy) == (1, 1, 1)
    assert (told["shorter"].captures, told["shorter"].false_alerts.count, told["shorter"].noisy) == (1, 1, 0)


@pytest.mark.parametrize(
    ("count", "least", "most"),
    [(0, 0.0, 3.689), (1, 0.0253, 5.572), (3, 0.619, 8.767), (10, 4.795, 18.390), (100, 81.36, 121.63)],
)
def test_the_interval_of_a_rate_is_that_of_the_tables(count: int, least: float, most: float) -> None:
    # Garwood 1936; as in the tables of exact 95 % limits for a Poisson mean.
    low, high = poisson_interval(count)
    assert low == pytest.approx(least, abs=0.005)
    assert high == pytest.approx(most, abs=0.005)


@settings(deadline=None)
@given(st.integers(0, 1_000))
def test_the_interval_holds_the_count_and_rises_with_it(count: int) -> None:
    low, high = poisson_interval(count)
    assert low <= count <= high
    following = poisson_interval(count + 1)
    assert low < following[0]
    assert high < following[1]


def test_techniques_of_earlier_releases_and_parents_are_the_same_and_siblings_are_not() -> None:
    assert same_technique("T0855", "T1692.001")
    assert same_technique("T1692", "T1692.001")
    assert same_technique("T0855", "T1692")
    assert not same_technique("T1692.001", "T1692.002")
    assert not same_technique("T0843", "T0845")
    assert not any_technique([], ["T0843"])
