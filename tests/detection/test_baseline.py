"""What is new since normality was learned: found whatever the cuts, told once a day, kept through a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detection import remembered
from detection.baseline import detector
from detection.baseline.detector import BaselineState, step
from detection.pipeline import Pipeline, RunState, State
from detection.sigma.rule import load
from detection.site import Learning, Site
from tests.detection.traffic import EPOCH, SECOND, START, busy_day, cuts, request, rule, write_rules

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DAY: Final = 86_400
LEARNED: Final = 600
"""Seconds in which the tests learn."""

POLLS: Final = [request(second, address=10, quantity=4) for second in range(0, LEARNED, 10)]
"""One client polls one block."""


def deviations(
    records: Sequence[dict[str, Any]],
    borders: Sequence[int] = (),
    *,
    learned: int = LEARNED,
    start: BaselineState | None = None,
    limits: Learning = detector.DEFAULT,
) -> tuple[BaselineState, pl.DataFrame]:
    """All deviations of records in order, cut before these places."""
    state = start or BaselineState.learning(START, START + learned * SECOND)
    found: list[pl.DataFrame] = []
    for cut in cuts(records, borders):
        state, rows = step(state, cut, limits=limits)
        found.append(rows)
    return state, pl.concat(found)


def told(rows: pl.DataFrame) -> list[tuple[str, str]]:
    """Kind and client of each deviation."""
    return [(str(row["deviation.kind"]), str(row["client.ip"])) for row in rows.to_dicts()]


def test_what_was_polled_while_learning_is_normal_and_is_not_told() -> None:
    _, rows = deviations([*POLLS, *(request(LEARNED + second, address=10, quantity=4) for second in range(100))])
    assert rows.is_empty()


def test_a_stranger_that_writes_is_a_new_writer_with_what_is_normal_in_its_place() -> None:
    writes = [request(second, function=6, address=10, values=[1]) for second in (100, 200)]
    stranger = request(LEARNED + 5, client="10.0.0.66", function=6, address=10, values=[9])
    records = sorted([*POLLS, *writes], key=lambda record: record["ts"])
    _, rows = deviations([*records, stranger])
    (row,) = rows.to_dicts()
    assert (row["deviation.kind"], row["client.ip"], row["modbus.unit_id"]) == ("writer", "10.0.0.66", 1)
    assert row["deviation.known"] == "10.0.0.1"
    assert row["deviation.newcomer"]
    assert not row["deviation.acquainted"]
    assert int(row["deviation.last_normal"].timestamp()) == START // SECOND + 200
    assert 0 < row["deviation.rarity"] <= 1 / 60


def test_being_known_as_a_reader_does_not_excuse_a_write() -> None:
    _, rows = deviations([*POLLS, request(LEARNED + 5, function=6, address=10, values=[9])])
    (row,) = rows.to_dicts()
    assert (row["deviation.kind"], row["deviation.acquainted"], row["deviation.newcomer"]) == ("writer", True, False)


def test_of_one_record_only_what_weighs_most_is_told() -> None:
    _, rows = deviations([*POLLS, request(LEARNED + 5, client="10.0.0.66", function=8, sub_function=1)])
    assert told(rows) == [("program", "10.0.0.66")]


def test_a_thing_that_is_new_is_told_once_a_day() -> None:
    stranger = [request(LEARNED + second, client="10.0.0.66", address=10) for second in (1, 2, DAY, DAY + 1, 3 * DAY)]
    _, rows = deviations([*POLLS, *stranger])
    assert told(rows) == [("conversation", "10.0.0.66")] * 3


def test_where_nothing_was_learned_nothing_is_told() -> None:
    _, rows = deviations([request(LEARNED + 1, function=6, address=1, values=[1])])
    assert rows.is_empty()


def test_a_baseline_to_which_much_came_at_its_end_is_trusted_less() -> None:
    late = [request(LEARNED - 5, client=f"10.0.0.{host}", address=10) for host in range(20, 29)]
    stranger = request(LEARNED + 5, client="10.0.0.66", address=10)
    confidences = [float(deviations([*POLLS, *more, stranger])[1].item(0, "deviation.confidence")) for more in ([], late)]
    assert confidences[0] > 0.6
    assert confidences[1] < confidences[0] / 2


def test_facts_beyond_the_bound_are_counted_and_not_taken_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector, "FACTS", 20)
    swept = [request(second, client="10.0.0.66", address=second) for second in range(1, 50)]
    records = sorted([*POLLS, *swept], key=lambda record: record["ts"])
    state, rows = deviations([*records, request(LEARNED + 1, address=10, quantity=4)])
    assert state.whole.facts.height <= 20
    assert state.forgotten > 30
    assert told(rows)[0] == ("overflow", "None")


def test_a_million_new_addresses_cost_a_counter_and_one_alert_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector, "NEW_AN_HOUR", 10)
    flood = [
        request(LEARNED + 2 + 7200 * part + number / 1000, client=f"10.{part}.{number // 250}.{number % 250}", address=10)
        for part in range(2)
        for number in range(1_000)
    ]
    state, rows = deviations([*POLLS, *flood])
    kinds = [kind for kind, _ in told(rows)]
    assert (kinds.count("conversation"), kinds.count("overflow")) == (20, 2)
    assert state.forgotten > 1_900
    assert state.whole.facts.height < 200


def test_a_real_thing_is_still_found_in_a_flood_of_another_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector, "NEW_AN_HOUR", 10)
    flood = [request(LEARNED + 2 + number / 1000, client=f"10.1.0.{number}", address=10) for number in range(200)]
    write = request(LEARNED + 3, client="10.1.0.250", function=6, address=10, values=[9])
    _, rows = deviations([*POLLS, *flood, write])
    assert ("writer", "10.1.0.250") in told(rows)


def test_what_is_not_normal_is_forgotten_in_the_order_in_which_it_was_last_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector, "NOT_NORMAL", 12)
    strangers = [request(LEARNED + 3600 * hour, client=f"10.1.0.{hour}", address=10) for hour in range(1, 20)]
    state, rows = deviations([*POLLS, *strangers])
    assert [kind for kind, _ in told(rows)] == ["conversation"] * 19
    clients = set(state.whole.facts.get_column("client"))
    assert {"10.0.0.1", "10.1.0.19", "10.1.0.18"} <= clients
    assert "10.1.0.1" not in clients
    assert state.forgotten > 50


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 1_000),
    borders=st.lists(st.integers(1, 149), max_size=12),
    live=st.booleans(),
    bound=st.sampled_from([2, 1_000]),
)
def test_deviations_do_not_depend_on_where_records_are_cut(seed: int, borders: list[int], *, live: bool, bound: int) -> None:
    records = busy_day(seed)
    learned = (records[50]["ts"] - START) // SECOND
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detector, "NEW_AN_HOUR", bound)
        start = BaselineState.live() if live else None
        limits = Learning(least_hours=2, most_hours=8)
        _, whole = deviations(records, learned=learned, start=start, limits=limits)
        state, cut = deviations(records, borders, learned=learned, start=start, limits=limits)
    columns = ["event", *[name for name in whole.columns if name.startswith(("deviation.", "client", "server", "modbus"))]]
    assert cut.select(columns).to_dicts() == whole.select(columns).to_dicts()
    assert (state.learns == "live") == (live and state.heard_hours < 2)


def test_the_state_comes_back_from_a_checkpoint_as_it_was() -> None:
    records = busy_day(7)
    baseline, _ = deviations(records[:80])
    state = State({("test", EPOCH): RunState(baseline=baseline)})
    again = remembered.whole(remembered.parted(state)).runs["test", EPOCH].baseline
    assert again is not None
    assert again.normal.facts.to_dicts() == baseline.normal.facts.to_dicts()
    (rest,) = cuts(records[80:], [])
    assert step(again, rest)[1].to_dicts() == step(baseline, rest)[1].to_dicts()


def test_a_rule_for_where_nothing_is_learned_keeps_silent_where_normality_is_known(tmp_path: Path) -> None:
    write_rules(
        tmp_path,
        rule("stranger", "low", {"selection": {"client.ip": "10.0.0.66"}}, icsight={"unless_learned": True}),
        rule("write", "high", {"selection": {"modbus.function_code": 6}}),
    )
    pipeline = Pipeline.of(load([tmp_path]), Site())
    asked = ((request(at, client="10.0.0.66"), request(at + 1, function=6)) for at in (1, LEARNED + 1))
    early, late = (next(iter(cuts(list(each), []))) for each in asked)
    learning = RunState(baseline=BaselineState.learning(START, START + LEARNED * SECOND))
    told = {
        "nothing is learned": pipeline.step(State(), late),
        "it is being learned": pipeline.step(State({("test", EPOCH): learning}), early),
        "it is known": pipeline.step(State({("test", EPOCH): learning}), late),
    }
    rules = {when: [alert.rule for alert in alerts if not alert.rule.startswith("new_")] for when, (_, alerts) in told.items()}
    assert rules == {
        "nothing is learned": ["stranger", "write"],
        "it is being learned": ["stranger", "write"],
        "it is known": ["write"],
    }


def test_a_controller_that_only_answered_and_begins_to_talk_is_told_as_such_and_a_station_that_asked_is_not() -> None:
    talks = [
        request(LEARNED + 5, client="10.0.0.9", server="10.0.0.8"),
        request(LEARNED + 6, client="10.0.0.1", server="10.0.0.8"),
    ]
    _, rows = deviations([*POLLS, *talks])
    assert rows["deviation.answered_only"].to_list() == [True, False]


def test_a_beginning_in_which_little_was_heard_teaches_nothing() -> None:
    stranger = request(LEARNED + 5, client="10.0.0.66", function=6, address=10, values=[9])
    _, some = deviations([*POLLS[:31], stranger])
    _, nothing = deviations([*POLLS[:29], stranger])
    assert (some.height, nothing.height) == (1, 0)


def test_a_beginning_of_less_than_a_minute_says_who_and_not_yet_what() -> None:
    known = [request(second, address=10, quantity=4) for second in range(0, 30, 2)]
    block, writer = request(31, address=500, quantity=4), request(32, function=6, address=10, values=[1])
    _, rows = deviations([*known, block, writer], learned=30)
    assert told(rows) == [("writer", "10.0.0.1")]
