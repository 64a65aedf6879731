"""What is told of how often a client asks and when, of several models together, and of a promise that does not hold."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detection.anomaly import drift, together
from detection.anomaly.drift import HOURS_A_DAY, LIMIT, Drift
from detection.anomaly.history import BLOCKS_A_DAY, History
from tests.detection.test_anomaly import LEARNED, anomalies, polls, told
from tests.detection.traffic import SECOND, START, request

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HOUR: Final = 3_600
DAY: Final = 24 * HOUR

# START is 16:00 UTC.
NIGHT: Final = 10 * HOUR
"""When a copy is made each day, at 02:00 UTC."""


def copied(days: int, *begins: float) -> list[dict[str, Any]]:
    """A client that asks once a minute for some days, and sixty times a minute in the hours that begin then."""
    made = [request(60 * turn, address=0, quantity=1) for turn in range(days * DAY // 60)]
    made += [request(begin + turn + 0.5, address=0, quantity=1) for begin in begins for turn in range(HOUR)]
    return sorted(made, key=lambda record: record["ts"])


def test_a_nightly_copy_is_usual_at_its_hour_and_told_at_another_where_it_is_missed_at_its_own() -> None:
    learned = [NIGHT + day * DAY for day in range(4)]
    _, rows = anomalies(copied(5, *learned, NIGHT + 4 * DAY), learned=4 * DAY)
    assert "hours" not in told(rows)
    _, rows = anomalies(copied(5, *learned, NIGHT + 3 * HOUR + 4 * DAY), learned=4 * DAY)
    hours = rows.filter(pl.col("anomaly.model") == "hours").sort("ts")
    assert hours.select("anomaly.subject", "anomaly.observed", "anomaly.expected").rows() == [
        ("02:00 UTC", "60 / h", "3660 … 3660 / h"),
        ("05:00 UTC", "3660 / h", "60 … 60 / h"),
    ]


def test_a_poll_is_missed_once_as_soon_as_it_is_overdue_and_not_before() -> None:
    """Ten seconds at most until now; with two hours of history twenty more make it rare enough."""
    other = [request(turn + 0.25, client="10.0.0.2", address=7) for turn in range(LEARNED + 1_800)]
    for pause, expected in ((20, []), (29, []), (1_000, [30])):
        begin = LEARNED + 500
        rest = [record for record in polls(LEARNED + 1_800) if not begin < (record["ts"] - START) / SECOND < begin + pause]
        made = sorted([*rest, *other], key=lambda record: record["ts"])
        # A cut ends in the long pause.
        _, rows = anomalies(made, [sum(record["ts"] < START + (begin + 200) * SECOND for record in made)])
        missed = rows.filter(pl.col("anomaly.model") == "interval", pl.col("anomaly.subject") == "read_holding_registers 0 @1")
        assert [int(moment.timestamp()) - START // SECOND - begin for moment in missed.get_column("ts").to_list()] == expected
        assert set(missed.get_column("client.ip").cast(pl.String).to_list()) <= {"10.0.0.1"}


def history(minutes: int, **scores: Iterable[float]) -> History:
    """Minutes of which the first ones have these scores, model by model, each in minutes of its own."""
    rows: list[tuple[str, int, float]] = []
    for model, given_ in scores.items():
        rows += [(model, len(rows) + place, score) for place, score in enumerate(given_)]
    frame = pl.DataFrame(rows, schema={"model": pl.String, "window": pl.Int64, "score": pl.Float64}, orient="row")
    return History().with_more(pl.Series(range(minutes)), frame)


MINUTE: Final = START // (60 * SECOND)
MOST: Final = 0.005


def outside(score: float, server: str = "10.0.0.9") -> pl.DataFrame:
    """A row that a model found outside."""
    place = {"client": "10.0.0.1", "server": server}
    return pl.DataFrame({"event": [START], "sequence": [0], "row": [0], "ts": [START], "score": [score]}).with_columns(
        pl.lit(text).cast(pl.Categorical).alias(name) for name, text in place.items()
    )


def together_of(**found: pl.DataFrame) -> pl.DataFrame:
    """What is told of a minute in which these models found something, by 999 minutes in which each had ten of its own."""
    known = history(999, value=range(1, 11), step=range(1, 11), interval=range(1, 11))
    said = together.said(found, known, frozenset(), MOST)
    rows, _ = together.judged(together.NOTHING, said, known, (MINUTE + 1) * 60 * SECOND, MOST)
    return rows


def test_two_models_are_told_together_where_neither_is_by_itself() -> None:
    # By itself each would come in six minutes of a thousand.
    rows = together_of(value=outside(6), step=outside(6))
    assert rows.get_column("models").to_list() == [["step", "value"]]
    assert rows.item(0, "p_value") < MOST


def test_one_model_is_not_told_together_nor_are_two_that_are_usual_or_about_two_servers() -> None:
    assert together_of(value=outside(6)).is_empty()
    assert together_of(value=outside(6), step=outside(6, "10.0.0.8")).is_empty()
    known = {"value": 0.5, "step": 0.5}
    everywhere = history(20, value=[1.0] * 20)
    everywhere = replace(
        everywhere, highest=pl.concat([everywhere.highest, everywhere.highest.with_columns(model=pl.lit("step"))])
    )
    said = together.said({name: outside(score) for name, score in known.items()}, everywhere, frozenset(), MOST)
    rows, _ = together.judged(together.NOTHING, said, everywhere, (MINUTE + 1) * 60 * SECOND, MOST)
    assert rows.is_empty()


def test_what_a_model_tells_by_itself_is_not_told_again_together() -> None:
    assert together_of(value=outside(1_000), step=outside(6)).is_empty()


def test_a_minute_is_judged_together_when_it_is_over_and_not_before() -> None:
    known = history(999, value=range(1, 11), step=range(1, 11))
    said = together.said({"value": outside(6), "step": outside(6)}, known, frozenset(), MOST)
    rows, waiting = together.judged(together.NOTHING, said, known, START + SECOND, MOST)
    assert (rows.height, waiting.height) == (0, 2)
    rows, waiting = together.judged(waiting, together.NOTHING, known, (MINUTE + 1) * 60 * SECOND, MOST)
    assert (rows.height, waiting.height) == (1, 0)


def bet(alarms: Sequence[bool]) -> tuple[Drift, list[int]]:
    """How the bet stands after hours with an alarm or without, at one false alarm a day; and in which hours it was told."""
    state, said = Drift(), list[int]()
    whole = pl.DataFrame({"row": range(len(alarms)), "alarm": alarms}).with_columns(
        *(pl.lit(0).alias(name) for name in ("event", "sequence", "ts")),
        *(pl.lit("10.0.0.1").alias(name) for name in ("client", "server")),
        block=60 * pl.col("row"),
    )
    for day in whole.iter_slices(HOURS_A_DAY):
        state, found = drift.step(state, day.get_column("block"), [day.filter("alarm")], 1.0)
        said += [] if found is None else found.get_column("row").to_list()
    return state, said


def test_a_promise_that_is_kept_is_never_called_broken() -> None:
    # An alarm each day, for a year.
    state, said = bet([hour % HOURS_A_DAY == 7 for hour in range(365 * HOURS_A_DAY)])
    assert (said, state.hours, state.alarms) == ([], 365 * HOURS_A_DAY, 365)


def test_a_promise_that_is_broken_is_told_once_within_a_day_and_again_after_a_time_in_which_it_held() -> None:
    noisy, calm = [True] * 12, [False] * 24 * 30
    state, said = bet(noisy * 4)
    assert len(said) == 1
    assert said[0] < HOURS_A_DAY
    assert state.broken == said[0]
    state, said = bet([*noisy, *calm])
    assert state.broken == -1
    _, said = bet([*noisy, *calm, *noisy])
    assert len(said) == 2


@given(promised=st.floats(0.001, 0.49), fortune=st.floats(0, LIMIT))
def test_the_bet_is_fair_where_the_promise_is_kept(promised: float, fortune: float) -> None:
    """What is expected of a bet is the fortune before it and the one that is brought along."""
    state = Drift(fortune=(fortune,) * len(drift.TIMES))
    won, lost = (state.bet(promised, alarm=alarm).fortune for alarm in (True, False))
    for after, otherwise in zip(won, lost, strict=True):
        if after < LIMIT * 100:
            assert promised * after + (1 - promised) * otherwise == pytest.approx(fortune + 1)


def test_hours_in_which_nothing_was_heard_are_no_part_of_the_bet() -> None:
    state, _ = drift.step(Drift(), pl.Series([0, 60 * 500]), [], 1.0)
    assert state.hours == 2
    assert BLOCKS_A_DAY == 60 * HOURS_A_DAY
