"""An alert is judged by its first record and by its hosts; an event is found once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from detection.evaluation.matching import BEFORE_SECONDS, TOLERANCE_SECONDS, judge
from tests.evaluation.made import HMI, PLC, STRANGER, alert, event

if TYPE_CHECKING:
    from detection.evaluation.events import Event
    from detection.evaluation.observation import Sighting

moments = st.floats(0, 3_600)
hosts = st.sampled_from([(HMI, PLC), (STRANGER, PLC), (HMI,), ()])


def _alert(at: list[float], who: tuple[str, ...]) -> Sighting:
    return alert(*at, hosts=who)


def _event(start: float, length: float, who: tuple[str, ...]) -> Event:
    return event(start, start + length, *who)


alerts = st.lists(st.builds(_alert, st.lists(moments, min_size=1, max_size=4), hosts), max_size=8)
events = st.lists(st.builds(_event, moments, st.floats(0, 300), hosts), max_size=5)


def test_an_alert_within_an_event_that_shares_a_host_is_true_and_finds_it() -> None:
    attack, seen = event(100, 110, STRANGER, PLC), alert(105, hosts=(STRANGER, PLC))
    judged = judge([attack], [seen])
    assert judged.true == (seen,)
    assert judged.found == ((attack, (seen,)),)


def test_an_alert_about_other_hosts_at_the_same_time_is_false() -> None:
    judged = judge([event(100, 110, STRANGER)], [alert(105, hosts=(HMI, PLC))])
    assert len(judged.false) == 1
    assert judged.found[0][1] == ()


def test_an_event_whose_hosts_nobody_knows_is_found_by_time_alone() -> None:
    assert judge([event(100, 110)], [alert(105)]).found[0][1]


def test_an_alert_that_names_no_host_is_not_about_an_event_with_known_hosts() -> None:
    assert judge([event(100, 110, PLC)], [alert(105, hosts=())]).false


def test_an_alert_that_begins_before_the_attack_and_goes_on_into_it_is_false_and_finds_nothing() -> None:
    judged = judge([event(100, 110, PLC)], [alert(50, 105)])
    assert len(judged.false) == 1
    assert judged.found[0][1] == ()


def test_an_alert_that_goes_on_into_a_second_event_finds_both_and_not_the_one_between_without_a_record() -> None:
    first, between, second = event(100, 110, PLC), event(300, 310, PLC), event(500, 510, PLC)
    judged = judge([first, between, second], [alert(105, 505)])
    assert [bool(found) for _, found in judged.found] == [True, False, True]


def test_the_tolerance_lies_behind_the_event_and_a_second_before_it() -> None:
    attack = event(100, 110, PLC)

    def true(moment: float) -> bool:
        return bool(judge([attack], [alert(moment)]).true)

    assert true(100 - BEFORE_SECONDS)
    assert not true(100 - BEFORE_SECONDS - 0.01)
    assert true(110 + TOLERANCE_SECONDS)
    assert not true(110 + TOLERANCE_SECONDS + 0.01)


def test_the_strongest_alert_of_an_event_comes_first() -> None:
    weak, strong = alert(101, rank=1.0, rule="weak"), alert(109, rank=9.0, rule="strong")
    assert [each.rule for each in judge([event(100, 110, PLC)], [weak, strong]).found[0][1]] == ["strong", "weak"]


@given(events, alerts)
def test_each_alert_is_either_true_or_false_and_only_true_ones_find(
    given_events: list[Event], given_alerts: list[Sighting]
) -> None:
    judged = judge(given_events, given_alerts)
    assert len(judged.true) + len(judged.false) >= len({each.id for each in given_alerts})
    true = {each.id for each in judged.true}
    assert true.isdisjoint(each.id for each in judged.false)
    assert all(each.id in true for _, found in judged.found for each in found)
    assert all(any(each in found for _, found in judged.found) for each in judged.true)


@given(events)
def test_whoever_always_alerts_on_everything_finds_every_event(given_events: list[Event]) -> None:
    always = [alert(second, hosts=(HMI, PLC, STRANGER)) for second in range(0, 4_000, 10)]
    assert all(found for _, found in judge(given_events, always).found)


@given(events, alerts, st.integers(0, 10**6))
def test_other_clocks_change_nothing(given_events: list[Event], given_alerts: list[Sighting], shift: int) -> None:
    nanoseconds = shift * 10**9
    later = [replace(each, start=each.start + nanoseconds, end=each.end + nanoseconds) for each in given_events]
    moved = [
        replace(
            each,
            first=each.first + nanoseconds,
            moments=tuple((first + nanoseconds, last + nanoseconds) for first, last in each.moments),
        )
        for each in given_alerts
    ]
    before, after = judge(given_events, given_alerts), judge(later, moved)
    assert [each.id for each in before.true] == [each.id for each in after.true]
    assert [bool(found) for _, found in before.found] == [bool(found) for _, found in after.found]
