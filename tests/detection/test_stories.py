"""Stories: which alerts are one course of action, what is said of it, and that nothing of it depends on how records are cut."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detection import attack, stories
from detection.alerts import flat
from detection.phrases import phrases
from detection.pipeline import Pipeline, State
from detection.sigma.rule import load
from detection.site import Site
from detection.stories import STORY_ALERTS, TACTICS
from tests.detection.test_grouping import PAIR, WITHOUT_SHRINKING, as_text, detect
from tests.detection.traffic import SECOND, START, busy_day, correlation, cut, cuts, request, rule, write_rules

if TYPE_CHECKING:
    from pathlib import Path

    from collector.store import RecordBatch
    from detection.alerts import Alert


def staged(folder: Path) -> Pipeline:
    """Rules of three tactics: discovery, collection, impair process control; of two levels, and one that is informational."""
    write_rules(
        folder,
        rule("identify", "medium", {"selection": {"modbus.function_code": 16}}, tags=["attack.t0888"]),
        rule("read", None, {"selection": {"modbus.access": "read"}}),
        rule(
            "sweep",
            "medium",
            correlation=correlation("event_count", ["read"], "60s", PAIR, gte=2),
            tags=["attack.t0861"],
        ),
        rule("write", "medium", {"selection": {"modbus.function_code": 6}}, tags=["attack.t1692.001"]),
        rule("stop", "high", {"selection": {"modbus.function_code": 8}}, tags=["attack.t0814"]),
        rule("look", "informational", {"selection": {"modbus.function_code": 7}}, tags=["attack.t0868"]),
    )
    return Pipeline.of(load([folder]), Site())


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return staged(tmp_path_factory.mktemp("rules"))


def standing(found: dict[str, Alert]) -> dict[tuple[str | None, str | None, str], Any]:
    """The story of each alert that stands for itself, by client, server and rule."""
    alerts = [alert for alert in found.values() if alert.part_of is None]
    return {(alert.client_ip, alert.server_ip, alert.rule): alert.body["story"] for alert in alerts}


@given(seed=st.integers(0, 10_000), borders=st.sets(st.integers(1, 149), max_size=20))
@settings(max_examples=10, deadline=None, phases=WITHOUT_SHRINKING)
def test_any_grouping_of_cuts_gives_the_same_stories_to_the_byte(pipeline: Pipeline, seed: int, borders: set[int]) -> None:
    made = cuts(busy_day(seed), sorted(borders))
    singly = as_text(detect(pipeline, made, through_text=True))
    assert as_text(detect(pipeline, [[batch for batches in made for batch in batches]])) == singly


def test_the_random_traffic_has_stories_of_several_alerts(pipeline: Pipeline) -> None:
    found = [told for seed in range(5) for told in standing(detect(pipeline, cuts(busy_day(seed), [50]))).values()]
    assert any(told is not None and len(told["alerts"]) > 2 for told in found)
    assert any(told is None for told in found)


@pytest.mark.parametrize("borders", [[], [1], [1, 2]], ids=str)
def test_what_one_client_does_at_several_servers_is_a_story_with_stages(pipeline: Pipeline, borders: list[int]) -> None:
    records = [
        request(0, function=16, server="10.0.0.8"),
        request(600, function=8, server="10.0.0.9"),
        request(1_200, function=6, server="10.0.0.7"),
    ]
    found = detect(pipeline, cuts(records, borders))
    first, second, third = sorted(found.values(), key=lambda alert: alert.first_seen)
    story = third.body["story"]
    assert first.body["story"] == second.body["story"] == story
    assert story["alerts"] == [first.id, second.id, third.id]
    assert [(stage["tactic"], stage["techniques"]) for stage in story["stages"]] == [
        ("discovery", ["T0888"]),
        ("inhibit-response-function", ["T0814"]),
        ("impair-process-control", ["T1692.001"]),
    ]
    assert flat(third, "en")["story"]["sentence"] == (
        "Since 2025-11-24 16:00 UTC, 10.0.0.1 went against 10.0.0.8, 10.0.0.9, 10.0.0.7 in 3 stages: Discovery, then "
        "Inhibit Response Function, then Impair Process Control. It got as far as Impair Process Control: write."
    )
    assert flat(third, "zh-CN")["story"]["sentence"].startswith(
        "自 2025-11-24 16:00 UTC 起，10.0.0.1 针对 10.0.0.8、10.0.0.9、10.0.0.7"
    )


def test_a_story_raises_the_rank_of_its_alerts_by_its_stages(pipeline: Pipeline) -> None:
    alone = [request(0, function=6)]
    (write,) = detect(pipeline, cuts(alone, [])).values()
    found = detect(pipeline, cuts([request(0, function=16, server="10.0.0.8"), request(60, function=6)], []))
    (raised,) = [alert for alert in found.values() if alert.rule == "write"]
    assert (write.body["story"], raised.rank / write.rank) == (None, pytest.approx(1.25))


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        (request(0, function=16), request(60, "10.0.0.2", "10.0.0.8", 6), "other hosts"),
        (request(0, function=16), request(4 * 3_600 + 1, server="10.0.0.8", function=6), "more than four hours later"),
        (request(0, function=6), request(60, server="10.0.0.8", function=16), "an earlier stage than it began with"),
        (request(0, function=6), request(60, "10.0.0.2", function=16), "the same target by another, no further stage"),
        (request(0, function=7), request(60, server="10.0.0.8", function=6), "informational"),
        (request(0, function=6), request(60, server="10.0.0.8", function=6), "a single stage"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_is_no_course_of_action_is_no_story(
    pipeline: Pipeline, first: dict[str, Any], second: dict[str, Any], why: str
) -> None:
    assert set(standing(detect(pipeline, cuts([first, second], []))).values()) == {None}, why


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (request(0, "10.0.0.1", "10.0.0.9", 16), request(60, "10.0.0.2", "10.0.0.9", 6)),
        (request(0, "10.0.0.1", "10.0.0.9", 16), request(60, "10.0.0.9", "10.0.0.7", 6)),
    ],
    ids=["another goes further at the same target", "who was attacked attacks"],
)
def test_a_story_goes_on_by_other_hands(pipeline: Pipeline, first: dict[str, Any], second: dict[str, Any]) -> None:
    one, other = standing(detect(pipeline, cuts([first, second], [1]))).values()
    assert one is not None
    assert one == other


def test_an_alert_that_became_part_of_another_is_told_by_that_in_the_story(pipeline: Pipeline) -> None:
    records = [request(0, function=16, server="10.0.0.8"), request(60, function=6), request(120, function=8)]
    found = standing(detect(pipeline, cuts(records, [1, 2])))
    assert {rule for *_, rule in found} == {"identify", "stop"}
    story = found["10.0.0.1", "10.0.0.9", "stop"]
    assert len(story["alerts"]) == 2
    assert [stage["tactic"] for stage in story["stages"]][-1] == "impair-process-control"


def test_a_story_is_bounded_and_what_is_over_is_counted(pipeline: Pipeline) -> None:
    codes = (16, 6)
    records = [request(place, server=f"10.0.{place}.9", function=codes[place % 2]) for place in range(STORY_ALERTS + 3)]
    state, upserts = pipeline.step(State(), [batch for each in cuts(records, []) for batch in each])
    ids = {alert.body["story"]["id"]: len(alert.body["story"]["alerts"]) for alert in upserts}
    assert sorted(ids.values()) == [3, STORY_ALERTS]
    assert state.limited == 1


def test_a_run_that_has_ended_holds_no_story_nor_alerts_of_a_run_that_goes_on(pipeline: Pipeline) -> None:
    def seen(sensor: str, epoch: str, seconds: float, number: int, **more: Any) -> list[RecordBatch]:
        made = cut([request(seconds, **more)], number, START + round(seconds) * SECOND, epoch=epoch)
        return [replace(each, header=replace(each.header, sensor=sensor)) for each in made]

    steps = [seen("b", "e", 0, 0, function=16, server="10.0.0.8"), seen("a", "old", 60, 0, function=8)]
    for hour in range(1, 25):
        other = {"client": f"10.1.{hour}.1", "function": 8}
        steps.append(seen("a", "new", 3_600 * hour, hour - 1, **other, server=f"10.2.{hour}.1"))
        steps.append(seen("b", "e", 3_600 * hour + 60, hour, **{**other, "client": f"10.3.{hour}.1"}, server=f"10.4.{hour}.1"))
    state = State()
    singly: dict[str, Alert] = {}
    for step in steps:
        state, upserts = pipeline.step(state, step)
        singly |= {alert.id: alert for alert in upserts}
    at_once, upserts = pipeline.step(State(), [batch for step in steps for batch in step])
    (identified,) = [alert for alert in singly.values() if alert.rule == "identify"]
    assert len(identified.body["story"]["alerts"]) == 2
    for after in (state, at_once):
        assert not after.runs["a", "old"].alerts.open
        assert identified.id not in after.runs["b", "e"].alerts.open
        assert identified.body["story"]["id"] not in after.sites[""].stories.open
    assert at_once == state
    assert {alert.id: alert for alert in upserts} == singly


def test_stages_are_the_tactics_and_every_phrase_is_in_both_languages() -> None:
    assert set(TACTICS) == set(attack.tactics())
    assert phrases("en").keys() == phrases("zh-CN").keys()
    assert {f"tactic.{name}" for name in TACTICS} <= phrases("en").keys()
    assert stories.GAP_NS == 4 * 3_600 * 10**9
