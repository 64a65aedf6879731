"""What models say: nothing of what is as it was, the same whatever the cuts, and not more often than promised."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detection import remembered
from detection.anomaly import extremes
from detection.anomaly.detector import step
from detection.anomaly.history import BLOCKS_A_DAY, History, allowed
from detection.anomaly.learned import LearnedError, joined, members, state_of
from detection.anomaly.state import AnomalyState
from detection.anomaly.table import MODELS
from detection.pipeline import RunState, State
from tests.detection.traffic import EPOCH, SECOND, START, cut, request

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from collector.store import RecordBatch

LEARNED: Final = 7_200
"""Seconds in which the tests learn."""

MANY: Final = 100.0
"""False alarms a day that tests allow, so that two hours of history are enough to tell something."""


def point(seconds: float, number: float, name: str = "holding:0@1", client: str = "10.0.0.1") -> dict[str, Any]:
    """A row of table `point`."""
    return {
        "ts": START + round(seconds * SECOND),
        "client.ip": client,
        "server.ip": "10.0.0.9",
        "point.id": name,
        "point.number": float(number),
        "point.access": "read",
        "point.quality": "good",
        "network.protocol": "modbus",
    }


def polls(until: int, *, of: Callable[[int], float] = lambda turn: 400 + turn % 5) -> list[dict[str, Any]]:
    """A client that asks for two blocks every ten seconds, and a point that takes these values."""
    made: list[dict[str, Any]] = []
    for turn in range(until // 10):
        made += [
            request(10 * turn, address=0, quantity=1, response_time=2_000_000),
            point(10 * turn, of(turn)),
            request(10 * turn + 1, address=100, quantity=1, response_time=2_000_000),
        ]
    return made


def as_cuts(records: Sequence[dict[str, Any]], borders: Sequence[int] = ()) -> list[list[RecordBatch]]:
    """Rows of points and requests in order of time as cuts with a batch for each table, parted before these places."""
    edges = [0, *sorted({border for border in borders if 0 < border < len(records)}), len(records)]
    made: list[list[RecordBatch]] = []
    start = START
    for number, (first, last) in enumerate(itertools.pairwise(edges)):
        part = records[first:last]
        tables = {
            "modbus": [record for record in part if "point.id" not in record],
            "point": [record for record in part if "point.id" in record],
        }
        end = max(start, *(record["ts"] for record in part))
        batches = [
            batch
            for place, (table, rows) in enumerate(tables.items())
            for batch in cut(rows, 2 * number + place, start, table=table)
        ]
        headers = [replace(batch.header, cut=number, cut_end=end) for batch in batches]
        made.append([replace(batch, header=header) for batch, header in zip(batches, headers, strict=True)])
        start = end
    return made


def anomalies(
    records: Sequence[dict[str, Any]], borders: Sequence[int] = (), *, learned: int = LEARNED, rate: float = MANY
) -> tuple[AnomalyState, pl.DataFrame]:
    """All anomalies of records in order, cut before these places."""
    state = AnomalyState.learning(START, START + learned * SECOND)
    found: list[pl.DataFrame] = []
    for each in as_cuts(records, borders):
        state, rows = step(state, each, rate)
        found.append(rows)
    return state, pl.concat(found)


def told(rows: pl.DataFrame) -> set[str]:
    return {str(name) for name in rows.get_column("anomaly.model").to_list()}


def test_what_goes_on_as_it_was_is_not_told() -> None:
    _, rows = anomalies(polls(2 * LEARNED))
    assert rows.is_empty()


def test_a_value_far_outside_says_expected_observed_last_normal_and_how_rare() -> None:
    turn = LEARNED // 10 + 50
    _, rows = anomalies(polls(2 * LEARNED, of=lambda each: 900 if each == turn else 400 + each % 5))
    assert told(rows) >= {"value"}
    row = rows.filter(pl.col("anomaly.model") == "value").to_dicts()[0]
    assert (row["anomaly.subject"], row["anomaly.observed"], row["anomaly.expected"]) == ("holding:0@1", "900", "400 … 404")
    assert int(row["anomaly.last_normal"].timestamp()) == START // SECOND + 10 * (turn - 1)
    assert (row["client.ip"], row["server.ip"], row["modbus.unit_id"]) == ("10.0.0.1", "10.0.0.9", 1)
    assert row["anomaly.extrapolated"]
    assert 0 < row["anomaly.rate"] < MANY / len(MODELS)
    assert row["anomaly.rate"] == pytest.approx(row["anomaly.p_value"] * BLOCKS_A_DAY, rel=0.05)


def test_a_value_a_little_outside_is_not_told() -> None:
    turn = LEARNED // 10 + 50
    _, rows = anomalies(polls(2 * LEARNED, of=lambda each: 405 if each == turn else 400 + each % 5))
    assert "value" not in told(rows)


def test_what_was_told_once_is_known_for_the_rest_of_the_day_and_told_again_on_the_next() -> None:
    strange = {LEARNED // 10 + 50, LEARNED // 10 + 90, LEARNED // 10 + 90 + 8_640}
    _, rows = anomalies(polls(LEARNED + 90_000, of=lambda each: 900 if each in strange else 400 + each % 5))
    values = rows.filter(pl.col("anomaly.model") == "value")
    assert values.get_column("ts").dt.date().n_unique() == values.height == 2


def test_a_point_that_never_changed_and_was_seen_a_short_time_only_supports_no_high_score() -> None:
    learned = 600
    _, rows = anomalies(polls(2 * learned, of=lambda turn: 5_000 if turn > 70 else 1), learned=learned, rate=1.0)
    assert rows.is_empty()


def frozen(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that a sensor writes of a point: when it changes, and once a minute."""
    kept: list[dict[str, Any]] = []
    last: tuple[float, int] = (-1.0, 0)
    for record in records:
        if "point.id" in record and record["point.number"] == last[0] and record["ts"] - last[1] < 60 * SECOND:
            continue
        kept.append(record)
        last = (record["point.number"], record["ts"]) if "point.id" in record else last
    return kept


def test_a_value_that_is_frozen_is_told_once_and_again_when_it_freezes_anew() -> None:
    spans = [range(800, 850), range(1_000, 1_200)]
    records = polls(2 * LEARNED, of=lambda turn: 400 if any(turn in span for span in spans) else 400 + turn % 5)
    for borders in (range(0), range(0, 3_000, 100)):
        _, rows = anomalies(frozen(records), borders)
        steady = rows.filter(pl.col("anomaly.model") == "steady")
        turns = [(int(moment.timestamp()) - START // SECOND) // 10 for moment in steady.get_column("ts").to_list()]
        assert [[turn in span for span in spans] for turn in turns] == [[True, False], [False, True]]


@pytest.mark.parametrize("borders", [range(0), range(0, 5_000, 70)])
def test_more_digits_than_ever_are_told_and_a_round_number_is_not(borders: Sequence[int]) -> None:
    turn = LEARNED // 10 + 100

    def level(each: int) -> float:
        return {turn: 1_000, turn + 50: 843}.get(each, 810 + 10 * (each % 7))

    _, rows = anomalies(polls(2 * LEARNED, of=level), borders)
    digits = rows.filter(pl.col("anomaly.model") == "decimals").to_dicts()
    assert [row["anomaly.observed"] for row in digits] == ["× 1"]
    assert digits[0]["anomaly.expected"] == "× 10"


def test_the_order_in_which_a_client_asks_is_learned() -> None:
    records = polls(2 * LEARNED)
    twice = request(1.5 * LEARNED + 5, address=100, quantity=1)
    _, rows = anomalies(sorted([*records, twice], key=lambda record: record["ts"]))
    row = rows.filter(pl.col("anomaly.model") == "order").to_dicts()[0]
    assert row["anomaly.subject"] == row["anomaly.observed"] == "read_holding_registers 100 @1"
    assert row["anomaly.expected"] == "read_holding_registers 0 @1 (100.0 %)"


def test_a_sensor_that_heard_nothing_is_not_taken_for_a_client_that_paused() -> None:
    records = [record for record in polls(2 * LEARNED) if not 0 < record["ts"] // SECOND - START // SECOND - LEARNED < 3_000]
    _, rows = anomalies(records)
    assert "interval" not in told(rows)


def test_a_client_that_pauses_while_others_are_heard_is_told() -> None:
    records = [record for record in polls(2 * LEARNED) if not 0 < record["ts"] // SECOND - START // SECOND - LEARNED < 3_000]
    other = [request(30 * turn + 0.5, client="10.0.0.2", address=7) for turn in range(2 * LEARNED // 30)]
    _, rows = anomalies(sorted([*records, *other], key=lambda record: record["ts"]))
    assert told(rows) >= {"interval"}
    assert set(rows.filter(pl.col("anomaly.model") == "interval").get_column("client.ip").to_list()) == {"10.0.0.1"}


def test_what_people_do_at_times_of_their_own_is_no_poll_that_pauses() -> None:
    writes = [request(turn, function=6, address=9) for turn in (*range(0, LEARNED, 60), LEARNED + 600)]
    by_hand = [request(turn, function=6, address=5) for turn in (*range(0, 1_000, 90), *range(2_000, LEARNED, 60))]
    records = [*polls(3 * LEARNED), *writes, *by_hand]
    _, rows = anomalies(sorted(records, key=lambda record: record["ts"]))
    paused = rows.filter(pl.col("anomaly.model") == "interval")
    assert paused.get_column("anomaly.subject").unique().to_list() == ["write_single_register 9 @1"]


def busy(seed: int, size: int = 260) -> list[dict[str, Any]]:
    """Random rows of few points and few kinds of requests, some of them far outside."""
    source = random.Random(seed)
    moment = 0.0
    made: list[dict[str, Any]] = []
    for number in range(size):
        moment += source.choice([0.5, 1, 1, 2, 10, 40])
        far = source.random() < 0.05
        if source.random() < 0.5:
            value = source.choice([10, 11, 12, 13]) * (source.choice([5, 50]) if far else 1)
            made.append(point(moment, value, f"holding:{source.randint(0, 1)}@1", f"10.0.0.{source.randint(1, 2)}"))
        else:
            # For a while one of the two is not heard.
            client = f"10.0.0.{1 if 200 < number < 240 else source.randint(1, 2)}"
            answered = 2_000_000 * (100 if far else 1)
            made.append(request(moment, client=client, address=source.choice([0, 0, 0, 1, 2]), response_time=answered))
    return made


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1_000), borders=st.lists(st.integers(1, 259), max_size=12))
@example(seed=91, borders=[191])
def test_anomalies_do_not_depend_on_where_records_are_cut(seed: int, borders: list[int]) -> None:
    records = busy(seed)
    learned = (records[150]["ts"] - START) // SECOND
    state, whole = anomalies(records, learned=learned, rate=1_000)
    parted, cut_ = anomalies(records, borders, learned=learned, rate=1_000)
    columns = [name for name in whole.columns if name not in {"sequence", "row"}]
    assert cut_.select(columns).sort(columns).to_dicts() == whole.select(columns).sort(columns).to_dicts()
    assert members(parted) == members(state)
    assert (parted.since.blocks, parted.told.highest.height) == (state.since.blocks, state.told.highest.height)


def test_the_property_looks_at_anomalies_of_all_kinds_that_random_rows_can_show() -> None:
    kinds = {
        str(model)
        for seed in range(12)
        for records in [busy(seed)]
        for model in told(anomalies(records, learned=(records[150]["ts"] - START) // SECOND, rate=1_000)[1])
    }
    assert kinds >= {"value", "step", "readers", "interval", "response", "order"}


def test_the_state_comes_back_from_a_checkpoint_as_it_was() -> None:
    records = busy(7)
    learned = (records[100]["ts"] - START) // SECOND
    for place in (60, 130, 200):
        state, _ = anomalies(records[:place], learned=learned)
        kept = State({("test", EPOCH): RunState(anomaly=state)})
        again = remembered.whole(remembered.parted(kept)).runs["test", EPOCH].anomaly
        assert again is not None
        (rest,) = as_cuts(records[place:])
        ends = [step(each, rest, MANY) for each in (state, again)]
        assert ends[1][1].to_dicts() == ends[0][1].to_dicts()
        assert members(ends[1][0]) == members(ends[0][0])


def test_what_was_learned_comes_back_from_a_baselines_members_and_two_are_joined() -> None:
    one, _ = anomalies(polls(LEARNED))
    other, _ = anomalies(polls(LEARNED, of=lambda turn: 500 + turn % 9))
    kept = joined(members(one), members(other))
    assert kept == joined(kept, {})
    state = state_of(kept, "enforced")
    assert state is not None
    assert state.history.blocks == one.history.blocks
    value = state.learned["value"].to_dicts()[0]
    assert (value["low"], value["high"], value["n"]) == (400, 508, 2 * LEARNED // 10)


def test_members_of_another_version_or_damaged_are_refused() -> None:
    kept = members(anomalies(polls(600))[0])
    with pytest.raises(LearnedError, match=r"newer version \(format 99, this one reads 2\): update icsight"):
        state_of({**kept, "anomaly/models.json": b'{"format": 99}'}, "proposed")
    with pytest.raises(LearnedError, match="older version: learn the baseline anew"):
        state_of({**kept, "anomaly/models.json": b'{"format": 1}'}, "proposed")
    with pytest.raises(LearnedError, match="cannot be read"):
        state_of({**kept, "anomaly/value.parquet": b"PAR1"}, "proposed")
    assert state_of({}, "proposed") is None


def test_things_beyond_the_bound_are_counted_and_not_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extremes, "THINGS", 10)
    state, _ = anomalies([point(number, 1, f"holding:{number}@1") for number in range(50)])
    assert state.learned["value"].height == 10
    assert state.forgotten >= 40


def test_strangers_after_learning_cost_nothing() -> None:
    state, _ = anomalies([*polls(LEARNED), *(point(LEARNED + number, 1, f"holding:{number}@2") for number in range(1, 500))])
    other = [request(LEARNED + number, client=f"10.1.{number // 250}.{number % 250}", address=1) for number in range(500)]
    again, _ = anomalies([*polls(LEARNED), *other])
    assert state.latest_points.height == 1
    assert again.latest_requests.height == 2
    assert again.latest_operations.height == 1


@pytest.mark.parametrize("blocks", [100, 720])
def test_no_more_minutes_are_told_than_promised_where_minutes_are_of_one_kind(blocks: int) -> None:
    source = np.random.default_rng(blocks)
    shares: list[float] = []
    for _ in range(100):
        scores = source.pareto(2.0, size=2 * blocks)
        frame = pl.DataFrame({"model": "value", "window": range(2 * blocks), "score": scores})
        history = History().with_more(frame.get_column("window").head(blocks), frame.head(blocks))
        p, _ = history.p_values("value", frame.get_column("score").tail(blocks))
        shares.append(int((p <= 0.05).sum()) / blocks)
    assert 0.03 < float(np.mean(shares)) <= 0.055


def test_a_rate_is_shared_by_all_models() -> None:
    assert allowed(2.0) * BLOCKS_A_DAY * len(MODELS) == pytest.approx(2.0)
