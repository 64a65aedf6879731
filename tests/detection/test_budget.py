"""The alarm budget: the lowest ranked of what is more than it lies in a digest, nothing is lost, and cuts change nothing."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detection.budget import DIGEST
from detection.limits import parse
from detection.pipeline import Pipeline, State
from detection.sigma.rule import LANGUAGES, load
from detection.site import Site, SiteError, with_budget
from tests.detection.test_grouping import WITHOUT_SHRINKING, as_text, detect
from tests.detection.traffic import busy_day, cuts, request, rule, write_rules

if TYPE_CHECKING:
    from collections.abc import Callable

    from detection.alerts import Alert

DAY, MINUTES = 86_400 * 10**9, 600 * 10**9


@pytest.fixture(scope="module")
def budgeted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Pipeline]:
    """Detection with a budget: a low, a medium and a high act, each of which is an alert of its own."""
    folder = tmp_path_factory.mktemp("rules")
    write_rules(
        folder,
        rule("write", "low", {"selection": {"modbus.function_code": 6}}, icsight={"window_seconds": 1}),
        rule("set", "medium", {"selection": {"modbus.function_code": 16}}, icsight={"window_seconds": 1}),
        rule("stop", "high", {"selection": {"modbus.function_code": 8}}, icsight={"window_seconds": 1}),
    )
    loaded = load([folder])
    return lambda budget: Pipeline.of(loaded, Site(budget=budget))


def at_servers(function: int, windows: int) -> list[dict[str, Any]]:
    """Four alerts in each of so many windows of ten minutes."""
    return [
        request(600 * window + place, server=f"10.{window}.{place}.9", function=function)
        for window in range(windows)
        for place in range(4)
    ]


def listed(found: dict[str, Alert]) -> list[Alert]:
    return [alert for alert in found.values() if alert.part_of is None]


@given(seed=st.integers(0, 10_000), borders=st.sets(st.integers(1, 149), max_size=20))
@settings(max_examples=10, deadline=None, phases=WITHOUT_SHRINKING)
def test_what_is_folded_does_not_depend_on_how_cuts_are_grouped(
    budgeted: Callable[[str], Pipeline], seed: int, borders: set[int]
) -> None:
    tight = budgeted("12/day,3/10min")
    made = cuts(busy_day(seed), sorted(borders))
    singly = as_text(detect(tight, made, through_text=True))
    assert as_text(detect(tight, [[batch for batches in made for batch in batches]])) == singly


@given(seed=st.integers(0, 10_000))
@settings(max_examples=10, deadline=None, phases=WITHOUT_SHRINKING)
def test_nothing_is_lost_high_passes_and_the_budget_holds(budgeted: Callable[[str], Pipeline], seed: int) -> None:
    day = busy_day(seed)
    free, held = (detect(budgeted(budget), cuts(day, [])) for budget in ("", "12/day,3/10min"))
    digests = {alert.id: alert for alert in held.values() if alert.rule == DIGEST}
    assert {name for name in held if name not in digests} == free.keys()
    folded = {name for name, alert in held.items() if alert.part_of in digests}
    assert not any(free[name].severity == "high" for name in folded)
    # An alert that became part of another after it was folded is still held by its digest.
    assert sum(alert.count for alert in digests.values()) >= len(folded)
    for length, limit in ((DAY, 12), (MINUTES, 3)):
        spent = Counter(alert.first_seen // length for alert in listed(held))
        severe = Counter(alert.first_seen // length for alert in listed(held) if alert.severity == "high")
        other = Counter(alert.first_seen // length for alert in digests.values())
        assert all(count <= max(limit, severe[window] + other[window]) for window, count in spent.items())


def test_the_lowest_ranked_are_folded_and_the_digest_names_them(budgeted: Callable[[str], Pipeline]) -> None:
    codes = [6, 16, 6, 16, 16, 6]
    records = [request(place, server=f"10.0.{place}.9", function=code) for place, code in enumerate(codes)]
    found = detect(budgeted("4/10min"), cuts(records, [2, 4]))
    (digest,) = [alert for alert in found.values() if alert.rule == DIGEST]
    assert sorted(alert.rule for alert in listed(found)) == [DIGEST, "set", "set", "set"]
    assert {found[name].rule for name in digest.body["holds"]} == {"write"}
    assert (digest.count, digest.severity) == (3, "low")
    for language in LANGUAGES:
        texts = digest.body["texts"][language]
        assert all(word in texts["summary"] for word in ("4/10min", "write", "3"))
    assert all(found[name].part_of == digest.id for name in digest.body["holds"])


def test_high_alerts_pass_and_push_others_into_the_digest(budgeted: Callable[[str], Pipeline]) -> None:
    records = [request(place, server=f"10.0.{place}.9", function=16 if place < 2 else 8) for place in range(6)]
    found = detect(budgeted("3/10min"), cuts(records, []))
    assert sorted(alert.rule for alert in listed(found)) == [DIGEST, *["stop"] * 4]


@pytest.mark.parametrize("borders", [[], [1, 2, 3]], ids=str)
def test_an_alert_of_hours_ago_is_folded_for_a_graver_one_of_the_same_day(
    budgeted: Callable[[str], Pipeline], borders: list[int]
) -> None:
    later = [request(6 * 3_600 + place, server=f"10.0.{place}.9", function=16) for place in range(3)]
    found = listed(detect(budgeted("3/day"), cuts([request(0, function=6), *later], borders), through_text=True))
    assert sorted(alert.rule for alert in found) == [DIGEST, "set", "set"]


def test_an_alert_that_becomes_part_of_another_gives_its_place_back(budgeted: Callable[[str], Pipeline]) -> None:
    records = [request(place, server=f"10.0.{max(0, place - 1)}.9", function=8 if place == 1 else 6) for place in range(4)]
    found = listed(detect(budgeted("3/10min"), cuts(records, [1, 2, 3])))
    assert sorted(alert.rule for alert in found) == ["stop", "write", "write"]


def test_what_is_not_open_any_more_is_not_folded_and_each_digest_is_told_with_all_it_counts(
    budgeted: Callable[[str], Pipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("detection.sitewide.OPEN_ALERTS", 1)
    records = [request(place, server=f"10.0.{place}.9", function=16 if place else 6) for place in range(4)]
    state = State()
    found: dict[str, Alert] = {}
    for step in cuts(records, [1, 2, 3]):
        state, upserts = budgeted("3/10min").step(state, step)
        found |= {alert.id: alert for alert in upserts}
    spent = state.sites[""].spent
    told = {alert.id: alert.count for alert in found.values() if alert.rule == DIGEST}
    assert told.keys() == spent.digests.keys()
    assert spent.folded == sum(told.values()) == sum(alert.part_of in told for alert in found.values()) > 0
    assert "write" in {alert.rule for alert in listed(found)}, "it was let go when it was told already"


def test_the_next_window_has_its_own_budget(budgeted: Callable[[str], Pipeline]) -> None:
    found = detect(budgeted("3/10min"), cuts(at_servers(6, windows=2), [3, 6]))
    assert Counter(alert.rule for alert in listed(found)) == {DIGEST: 2, "write": 4}


def test_a_digest_of_ten_minutes_counts_in_the_day(budgeted: Callable[[str], Pipeline]) -> None:
    found = listed(detect(budgeted("6/day,3/10min"), cuts(at_servers(6, windows=6), [])))
    digests = [alert.body["texts"]["en"]["expected"] for alert in found if alert.rule == DIGEST]
    assert (len(found), len(digests)) == (6, 2)
    assert {text.split()[2] for text in digests} == {"3/10min", "6/day"}


@pytest.mark.parametrize("text", ["10", "1/day", "0/10min", "10/7min", "10/2day", "x/day", "9/10min,8/10min", "20000/day"])
def test_what_is_no_budget_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(SiteError) as told:
        with_budget(Site(), text)
    assert "\n" not in str(told.value)


def test_a_budget_reads_as_it_is_written() -> None:
    assert [str(limit) for limit in parse("10/10min, 144/day")] == ["144/day", "10/10min"]
    assert parse("") == ()
