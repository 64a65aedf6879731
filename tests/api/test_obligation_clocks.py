"""Clocks of reports: due times, working days, daylight saving, warnings over jumps of the clock and restarts. Pure."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from zoneinfo import ZoneInfo

import jsonschema
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from api.incidents.grading import grading
from api.obligations import operators
from api.obligations.clocks import NANOSECONDS, SHARES, SLACK, Due, Term, due, in_time, is_working_day, next_look, warnings
from api.obligations.course import Course
from api.obligations.rules import Case, Operator, RuleSet, Sector, applies, required, rule_set
from api.obligations.schemas import OperatorInput
from api.ticking import Jumps

HOUR = 3600 * NANOSECONDS
SHANGHAI = "Asia/Shanghai"
BERLIN = "Europe/Berlin"
DAY = 24 * HOUR


def at(text: str, zone: str = SHANGHAI) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * NANOSECONDS


def term(kind: str, amount: int = 0) -> Term:
    return Term.model_validate({"kind": kind, "amount": amount})


@pytest.mark.parametrize(
    ("start", "given_term", "zone", "end"),
    [
        ("2026-11-23T16:14:00", term("minutes", 60), SHANGHAI, "2026-11-23T17:14:00"),
        ("2026-11-23T23:30:00", term("minutes", 240), SHANGHAI, "2026-11-24T03:30:00"),
        ("2026-11-23T16:14:00", term("at_once"), SHANGHAI, "2026-11-23T16:14:00"),
        ("2026-02-10T08:00:00", term("days", 30), SHANGHAI, "2026-03-12T08:00:00"),
        ("2026-01-31T08:00:00", term("months", 1), BERLIN, "2026-02-28T08:00:00"),
        ("2026-12-31T08:00:00", term("months", 1), BERLIN, "2027-01-31T08:00:00"),
        # Elapsed hours over a night with daylight saving: the local clock shows another hour.
        ("2026-03-28T12:00:00", term("minutes", 24 * 60), BERLIN, "2026-03-29T13:00:00"),
        ("2026-10-24T12:00:00", term("minutes", 72 * 60), BERLIN, "2026-10-27T11:00:00"),
        # Months and days keep the local time of day.
        ("2026-03-10T12:00:00", term("months", 1), BERLIN, "2026-04-10T12:00:00"),
        ("2026-10-01T12:00:00", term("days", 30), BERLIN, "2026-10-31T12:00:00"),
        # National Day 2026: 1 to 7 October off, Saturday 10 October worked.
        ("2026-09-30T10:00:00", term("working_days", 5), SHANGHAI, "2026-10-13T10:00:00"),
        # Friday to Friday over a plain week-end.
        ("2026-11-20T10:00:00", term("working_days", 5), SHANGHAI, "2026-11-27T10:00:00"),
    ],
    ids=str,
)
def test_a_report_is_due_when_the_law_says(start: str, given_term: Term, zone: str, end: str) -> None:
    assert due(at(start, zone), given_term, zone) == Due(at(end, zone))


def test_what_the_law_gives_no_time_is_not_due() -> None:
    assert due(at("2026-11-23T16:14:00"), term("none"), SHANGHAI) is None


def test_an_hour_that_does_not_exist_or_is_there_twice_is_never_too_late() -> None:
    found = due(at("2026-02-28T02:30:00", BERLIN), term("days", 29), BERLIN)
    assert found is not None
    assert datetime.fromtimestamp(found.at / NANOSECONDS, UTC) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    twice = due(at("2026-09-25T02:30:00", BERLIN), term("months", 1), BERLIN)
    assert twice is not None
    assert datetime.fromtimestamp(twice.at / NANOSECONDS, UTC) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "the earlier"


def test_of_a_year_whose_days_off_are_not_known_every_day_counts_and_that_is_said() -> None:
    assert is_working_day(datetime(2099, 1, 3, tzinfo=UTC).date()) == (True, False)
    assert due(at("2099-01-01T08:00:00"), term("working_days", 5), SHANGHAI) == Due(at("2099-01-06T08:00:00"), certain=False)


STARTS = st.integers(at("2020-01-01T00:00:00"), at("2060-01-01T00:00:00"))
ZONES = st.sampled_from([SHANGHAI, BERLIN, "America/New_York", "Australia/Lord_Howe", "UTC"])
CALENDAR = st.builds(term, st.sampled_from(["days", "months"]), st.integers(1, 60))


@given(STARTS, CALENDAR, ZONES)
def test_a_calendar_period_ends_at_its_time_of_day_and_never_before_it_began(start: int, given_term: Term, zone: str) -> None:
    found = due(start, given_term, zone)
    assert found is not None
    assert found.at > start
    before, after = (datetime.fromtimestamp(value // NANOSECONDS, ZoneInfo(zone)) for value in (start, found.at))
    shift = abs((after.replace(tzinfo=None) - before.replace(tzinfo=None)) % timedelta(days=1))
    assert min(shift, timedelta(days=1) - shift) <= timedelta(hours=1), "an hour at most, where there is no such time of day"
    later = due(start + HOUR, given_term, zone)
    assert later is not None
    assert later.at >= found.at - HOUR


LOOKS = st.lists(st.tuples(st.integers(-400, 400), st.booleans()), max_size=40)
"""By how many per cent of the time the clock moves on, or is set back, and whether the process is started anew then."""


@given(STARTS, st.integers(100, 10**7), LOOKS)
def test_each_warning_is_given_once_and_in_order_whatever_the_clock_does(
    start: int, seconds: int, looks: list[tuple[int, bool]]
) -> None:
    end = start + seconds * NANOSECONDS
    told: list[int] = []
    said: list[int] = []
    moment, farthest = start, start
    for percent, restarted in looks:
        moment += (end - start) * percent // 100
        farthest = max(farthest, moment)
        if restarted:
            told = json.loads(json.dumps(told))
        new = warnings(start, end, told, moment)
        told = [*told, *new]
        said += new
        following = next_look(start, end, told)
        assert (following is None) == (len(told) == len(SHARES))
        assert following is None or following > moment or new == [], "looked again only when there is something to say"
    reached = [share for share in SHARES if farthest >= start + (end - start) * share // 100]
    assert said == reached


@given(STARTS, st.integers(1, 10**7), st.lists(st.integers(0, 3), max_size=30))
def test_looking_exactly_when_asked_gives_every_warning(start: int, seconds: int, stumbles: list[int]) -> None:
    end, told = start + seconds * NANOSECONDS, list[int]()
    for stumble in [*stumbles, 0, 0, 0]:
        when = next_look(start, end, told)
        if when is None:
            break
        assert warnings(start, end, told, when - 1) == []
        new = warnings(start, end, told, when + stumble)
        assert new
        told += new
    assert told == list(SHARES)


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.integers(0, 60)),
        st.tuples(st.just("clock"), st.integers(-300, 300)),
        st.tuples(st.just("start"), st.integers(-150, 150)),
        st.tuples(st.just("restart"), st.just(0)),
    ),
    max_size=30,
)
"""What happens, in per cent of the time that there is: it passes, the machine's clock is off by so much from now on, a person
corrects the start, a restart."""


@given(STARTS, st.integers(6000, 10**7), EVENTS)
@example(1_577_808_120 * NANOSECONDS, 6000, [("pass", 23), ("pass", 30), ("start", 2)])
def test_whatever_clocks_and_people_have_said_each_warning_is_given_in_its_time_in_the_end(
    start: int, seconds: int, events: list[tuple[str, int]]
) -> None:
    span = seconds * NANOSECONDS
    true, off, told = start, 0, list[int]()
    given_at: dict[int, int] = {}

    def look() -> None:
        for share in warnings(start, start + span, told, true + off):
            told.append(share)
            given_at[share] = true + off

    def set_right() -> None:
        told[:] = in_time(start, start + span, told, true + off)
        # What still counts as given, by a start that is another now, is in its time at this moment.
        given_at.update(dict.fromkeys(told, true + off))

    for kind, percent in [*events, ("clock", 0), ("pass", 1000)]:
        match kind:
            case "pass":
                # Looked at often: at each tenth of what passes.
                for _ in range(10):
                    true += span * percent // 1000
                    look()
            case "clock":
                off = span * percent // 100
                set_right()
            case "start":
                start += span * percent // 100
                set_right()
            case _:
                told[:] = json.loads(json.dumps(told))
                set_right()
        look()
    assert sorted(told) == list(SHARES)
    for share, when in given_at.items():
        assert when + SLACK >= start + span * share // 100, "none was given for good before its time"


def test_what_is_due_at_once_is_warned_of_once() -> None:
    assert warnings(5, 5, [], 4) == []
    assert warnings(5, 5, [], 5) == [100]
    assert next_look(5, 5, [100]) is None


@given(st.lists(st.tuples(st.integers(1, 10**6), st.sampled_from([0, 0, 0, -7200, 3600, 90, -30, 40])), max_size=30))
def test_a_clock_that_is_set_is_noticed_once_and_by_how_much(looks: list[tuple[int, int]]) -> None:
    wall = elapsed = 0
    jumps = Jumps(wall, elapsed)
    pending = 0
    for passed, jump in looks:
        elapsed += passed * NANOSECONDS
        wall += (passed + jump) * NANOSECONDS
        pending += jump
        told = jumps.look(wall, elapsed)
        assert told == (pending if abs(pending) >= 60 else 0)
        pending -= told


def case(
    *operator: Operator, sector: Sector | None = None, cac: int | None = None, miit: int | None = None, **facts: bool
) -> Case:
    grades = {"cac-2025": cac, "miit-data-2024": miit}
    return Case(frozenset(operator), sector, {key: value for key, value in grades.items() if value is not None}, facts)


NIS2 = ["nis2-early-warning", "nis2-notification", "nis2-progress", "nis2-final"]


@pytest.mark.parametrize(
    ("given_case", "rules"),
    [
        (case("cii", "data_processor"), []),
        (case("other", cac=4), []),
        (case("other", cac=3), ["cac-first", "cac-final"]),
        (case("cii", cac=3), ["cac-first-cii", "cac-final"]),
        (case("cii", "data_processor", cac=1, miit=3), ["cac-first-cii", "cac-final", "miit-first"]),
        (case("other", "data_processor", cac=4, miit=2), ["miit-first", "miit-final"]),
        (case("other", cac=4, crime_suspected=True), ["cac-police"]),
        (case("state_body", cac=4), []),
        (case("state_body", cac=3, crime_suspected=True), ["cac-first-state", "cac-final", "cac-police"]),
        (case("cii", "state_body", cac=2), ["cac-first-cii", "cac-first-state", "cac-final"]),
        (case("other", "served", cac=4), ["cac-provider"]),
        (case("industrial", "other", cac=4), []),
        (case("industrial", "other", cac=4, control_disturbed=True), ["miit-ics-first"]),
        (case("other", cac=4, control_disturbed=True), []),
        (case("other", sector="telecom", cac=4, public_internet_disturbed=True), ["miit-public-first"]),
        (case("other", sector="power", cac=4, public_internet_disturbed=True), []),
        (case("other", cac=4, public_internet_disturbed=True), ["miit-public-first"]),
        (case("other", sector="telecom", cac=3), ["cac-first", "cac-final"]),
        (case("data_processor", may_become_serious=True), ["miit-warning"]),
        (case("nis2_important"), []),
        (case("nis2_essential", nis2_significant=True), NIS2),
        (case("other", cac=4, nis2_significant=True), []),
    ],
)
def test_grade_sector_operator_and_facts_say_which_reports_must_be_made(given_case: Case, rules: list[str]) -> None:
    assert [rule.key for rule in required(given_case)] == rules


def test_the_rules_are_whole_and_cite_their_clause() -> None:
    known = rule_set()
    regimes, contents = {each.key for each in known.regimes}, {each.key for each in known.contents}
    metrics = {metric.key for metric in grading().metrics}
    schemes = {scheme.key for scheme in grading().schemes}
    jsonschema.validate(known.model_dump(mode="json", by_alias=True), RuleSet.model_json_schema())
    assert len({rule.key for rule in known.rules}) == len(known.rules)
    assert [each.key for each in known.sectors] == list(get_args(Sector))
    for rule in known.rules:
        assert rule.regime in regimes
        assert set(rule.minimum) <= set(rule.contents) <= contents
        assert rule.clause
        # One sector has one recipient.
        named = [sector for each in rule.to_in for sector in each.sectors]
        assert len(set(named)) == len(named)
        assert rule.applies.scheme is None or rule.applies.scheme in schemes
        assert set(rule.applies.facts) <= metrics
        after = rule.start.removeprefix("submitted:")
        assert after == rule.start or after in {each.key for each in known.rules}
        assert rule.kind == "supplement" or rule.term.kind != "none"
        if rule.stands_for is not None:
            other = known.rule(rule.stands_for)
            assert other.going_on is not None, "else nothing would ever be due in its place"
            assert (rule.start, rule.term, rule.applies) == (other.start, other.term, other.applies)
    assert [rule.stands_for for rule in known.rules if rule.kind == "progress"] == ["nis2-final"]
    assert {rule.key: rule.term.amount for rule in known.rules if rule.term.kind == "minutes"} == {
        "cac-first-cii": 60, "cac-first-state": 120, "cac-first": 240, "nis2-early-warning": 1440, "nis2-notification": 4320,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({}, ["industrial", "other"]),
        ({"cii": True}, ["cii", "industrial"]),
        ({"state_body": True, "industrial": False}, ["state_body"]),
        ({"cii": True, "state_body": True, "served": True}, ["cii", "industrial", "served", "state_body"]),
        ({"china": False, "cii": True, "state_body": True, "served": True}, []),
        ({"china": False, "nis2": "important", "data_processor": True}, ["data_processor", "nis2_important"]),
    ],
    ids=str,
)
def test_an_operator_is_of_every_kind_that_was_said_and_of_no_other(said: dict[str, Any], found: list[str]) -> None:
    plain = {"name": "x", "cii": False, "data_processor": False, "nis2": "none"}
    assert sorted(operators.kinds(OperatorInput.model_validate(plain | said))) == found


def test_what_is_assumed_of_an_operator_is_what_most_plants_are() -> None:
    assert operators.kinds(operators.ASSUMED) == {"other", "industrial", "data_processor"}


@given(st.integers(1, 4), st.integers(1, 4))
def test_a_worse_grade_never_asks_for_fewer_reports(one: int, other: int) -> None:
    assume(one < other)
    for kinds in (("cii", "data_processor"), ("other", "data_processor")):
        worse, better = (case(*kinds, cac=level, miit=level) for level in (one, other))  # pyright: ignore[reportArgumentType]  kinds of operators
        assert {rule.key for rule in required(better)} <= {rule.key for rule in required(worse)}
        assert all(applies(rule, worse) for rule in required(worse))


@given(st.integers(0, 40), st.none() | st.integers(-10, 80), st.booleans())
def test_of_a_final_and_a_progress_report_one_clock_runs_and_never_beyond_the_law(
    notified: int, resolved: int | None, told: bool
) -> None:
    progress, final = rule_set().rule("nis2-progress"), rule_set().rule("nis2-final")
    found = at("2026-11-01T08:00:00")
    sent = found + notified * DAY
    over = None if resolved is None else sent + resolved * DAY
    course = Course(found, over, {"nis2-notification": sent} | ({"nis2-final": sent} if told else {}), BERLIN)
    month = due(sent, term("months", 1), BERLIN)
    assert month is not None
    goes_on = over is None or over > month.at
    assert course.asks(final)
    assert course.asks(progress) == (goes_on and not told)
    assert course.due(*course.start(progress, 0)) == month
    by = course.due(*course.start(final, 0))
    if over is None:
        assert by is None
    else:
        assert by == (due(over, term("months", 1), BERLIN) if goes_on else month)
    unsent = Course(found, over, {}, BERLIN)
    assert (unsent.asks(progress), unsent.start(final, 0)[0]) == (False, None)
