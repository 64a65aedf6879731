"""What people decide reaches the models: what was told and accepted is normal from then on, and a part can be learned anew."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pytest

from detection.anomaly import checkpoint
from detection.anomaly.accepting import decided, fields_of
from detection.anomaly.members import MOST
from detection.anomaly.relearning import step
from detection.anomaly.state import SCALES, AnomalyState
from detection.anomaly.told import hour
from detection.baseline.decisions import Decision
from tests.detection.test_anomaly import LEARNED, MANY, as_cuts, point, told
from tests.detection.traffic import SECOND, START, request

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

RUN: Final = ("test", "0123456789abcdef0123456789abcdef")
DAY: Final = 86_400
HOUR: Final = 3_600
FIRST: Final = LEARNED + 610
"""When what is strange comes first; it comes again a day later."""


def at(records: Sequence[dict[str, Any]], seconds: int) -> int:
    """The place of the first record that is no earlier than so many seconds."""
    return next(place for place, record in enumerate(records) if record["ts"] >= START + seconds * SECOND)


def run(
    records: Sequence[dict[str, Any]],
    decisions: Sequence[tuple[int, Decision]] = (),
    borders: Sequence[int] = (),
    *,
    through_text: bool = False,
) -> tuple[AnomalyState, pl.DataFrame]:
    """All anomalies of records, with decisions that hold from these seconds on."""  # fmt: skip
    state = AnomalyState.learning(START, START + LEARNED * SECOND)
    found: list[pl.DataFrame] = []
    edges = sorted({*borders, *(at(records, seconds) for seconds, _ in decisions)})
    for cut in as_cuts(records, edges):
        begin = cut[0].header.cut_start
        held = [decision for seconds, decision in decisions if START + seconds * SECOND <= max(begin, cut[0].header.cut_end)]
        state, rows = step(decided(state, held, RUN, begin), cut, MANY)
        if through_text:
            state = checkpoint.whole(*checkpoint.parted(state))
        found.append(rows)
    return state, pl.concat(found)


def traffic(until: int) -> list[dict[str, Any]]:
    """A client that polls two blocks, a point with a range, and one with two values; at two moments all of them are strange."""
    made: list[dict[str, Any]] = []
    for turn in range(until // 10):
        moment = 10 * turn
        strange = moment in {FIRST, FIRST + DAY}
        reads = [request(moment, address=0, quantity=1, response_time=2_000_000), request(moment + 1, address=100, quantity=1)]
        if strange:
            reads = [reads[0], request(moment + 1, address=0, quantity=1)]
            reads += [request(moment + 2 + number / 100, address=100, quantity=1) for number in range(400)]
        made += [
            reads[0],
            point(moment, 900 if strange else 400 + turn % 5),
            point(moment, 7 if strange else turn // 3 % 2, "holding:5@1"),
            *reads[1:],
        ]
    return made


def meant(row: dict[str, Any]) -> Decision | None:
    """The decision that accepts an anomaly."""
    fields = fields_of(row, row["client.ip"], row["server.ip"])
    return None if fields is None else replace(Decision("accept", "Li Na"), **fields)


def between(rows: pl.DataFrame, first: int, last: int) -> pl.DataFrame:
    return rows.filter(pl.col("event").is_between(START + first * SECOND, START + last * SECOND))


@pytest.fixture(scope="module")
def two_days() -> list[dict[str, Any]]:
    return traffic(LEARNED + DAY + 3 * HOUR)


def test_what_was_told_and_accepted_is_normal_on_the_next_day_and_nothing_else_is(two_days: list[dict[str, Any]]) -> None:
    _, plain = run(two_days, borders=[at(two_days, FIRST + 900)])
    first, again = between(plain, FIRST, FIRST + 900), between(plain, FIRST + DAY, FIRST + DAY + 900)
    assert told(first) >= {"value", "members", "order", "volume"}
    assert told(again) >= {"value", "members", "order", "volume"}
    decisions = [decision for row in first.to_dicts() if (decision := meant(row)) is not None]
    _, rows = run(two_days, [(FIRST + 900, decision) for decision in decisions])
    assert not told(between(rows, FIRST + DAY, FIRST + DAY + 900)) - {"together"}
    # One alone leaves the others as they were.
    (value,) = [each for each in decisions if (each.kind, each.point) == ("value", "holding:0@1")]
    _, rows = run(two_days, [(FIRST + 900, value)])
    left = between(rows, FIRST + DAY, FIRST + DAY + 900)
    assert told(left) >= {"members", "order", "volume"}
    assert left.filter(pl.col("anomaly.model") == "value").get_column("anomaly.subject").to_list() == ["holding:5@1"]


def test_what_goes_beyond_what_was_accepted_and_what_other_points_do_is_told() -> None:
    def values(name: str, far: float) -> list[dict[str, Any]]:
        last = LEARNED + 4 * HOUR
        return [point(10 * turn, far if 10 * turn == last - 600 else 400 + turn % 5, name) for turn in range(last // 10)]

    def found(far: float, name: str) -> set[str]:
        records = values(name, far)
        accepted = Decision("accept", "Li Na", kind="value", server="10.0.0.9", point="holding:0@1", value=600.0)
        _, rows = run(records, [(LEARNED + 600, accepted)])
        return told(rows)

    assert "value" not in found(599, "holding:0@1")
    assert "value" in found(2_000, "holding:0@1")
    assert "value" in found(599, "holding:1@1")


def test_a_set_takes_no_more_members_than_it_has_room_for_and_what_is_not_known_is_not_taken_in() -> None:
    records = [point(10 * turn, turn % MOST, "holding:5@1") for turn in range(LEARNED // 10 + 60)]
    state, _ = run(records)
    for wanted in (
        Decision("accept", "Li Na", kind="value", server="10.0.0.9", point="holding:77@1", value=1.0),
        Decision("accept", "Li Na", kind="members", server="10.0.0.9", point="holding:5@1", value=3.0),
        Decision("accept", "Li Na", kind="order", client="10.0.0.1", server="10.0.0.9", point="x 1 @1", observed="y 2 @1"),
    ):
        after = decided(state, [wanted], RUN, START)
        assert {name: rows.rows() for name, rows in after.learned.items()} == {
            name: rows.rows() for name, rows in state.learned.items()
        }
    full = Decision("accept", "Li Na", kind="members", server="10.0.0.9", point="holding:5@1", value=99.0)
    assert decided(state, [full], RUN, START).learned["members"].get_column("member").to_list() == [None]


def changed(until: int, since: int) -> list[dict[str, Any]]:
    """Two servers, whose points both move from 400 to 900 at a time; at its end the first one goes back for a moment."""
    made: list[dict[str, Any]] = []
    for turn in range(until // 10):
        moment = 10 * turn
        number = (900 if moment >= since else 400) + turn % 5
        back = moment == until - 600
        made += [
            request(moment, address=0 if moment < since else 300, quantity=1),
            point(moment, 400 if back else number),
            {**point(moment + 1, number), "server.ip": "10.0.0.8"},
            request(moment + 1, server="10.0.0.8", address=0 if moment < since else 300, quantity=1),
        ]
    return made


SINCE: Final = LEARNED + HOUR
RELEARN: Final = Decision("relearn", "Li Na", server="10.0.0.9", since=START + SINCE * SECOND, hours=2)
"""Taken at the full hour: what is learned anew ends two hours later."""


@pytest.mark.parametrize(("borders", "through_text"), [((), False), (tuple(range(500, 8_000, 370)), True)], ids=str)
def test_one_server_is_learned_anew_while_all_else_stays(borders: tuple[int, ...], *, through_text: bool) -> None:
    records = changed(LEARNED + 5 * HOUR, SINCE)
    _, plain = run(records)
    servers = {"10.0.0.8", "10.0.0.9"}
    assert {str(name) for name in between(plain, SINCE, SINCE + 900).get_column("server.ip")} == servers
    state, rows = run(records, [(SINCE, RELEARN)], borders, through_text=through_text)
    assert {str(name) for name in between(rows, SINCE, SINCE + 900).get_column("server.ip")} == {"10.0.0.8"}
    assert (state.scopes, state.again) == ((), None)
    here = pl.col("server.ip").cast(pl.String) == "10.0.0.9"
    assert rows.filter(here, pl.col("anomaly.model") == "value").select("anomaly.observed", "anomaly.expected").rows() == [
        ("400", "900 … 904")
    ]
    # While it is learned, nothing is said of it.
    assert between(rows, 0, SINCE + 2 * HOUR - 1).filter(here).is_empty()
    assert rows.drop("sequence", "row").equals(run(records, [(SINCE, RELEARN)])[1].drop("sequence", "row"))


def test_what_is_learned_anew_comes_back_from_a_checkpoint_as_it_was() -> None:
    records = changed(LEARNED + 2 * HOUR, SINCE)
    state, _ = run(records, [(SINCE, RELEARN)])
    assert state.again is not None
    assert state.again.learned["value"].height == 1
    back = checkpoint.whole(*checkpoint.parted(state))
    assert (back.scopes, back.decided) == (state.scopes, 1)
    assert back.again is not None
    one, other = (
        {name: sorted(rows.rows(), key=repr) for name, rows in each.learned.items()} for each in (state.again, back.again)
    )
    assert one == other


def two_servers(until: int, pause: int, silent: Collection[int] = ()) -> list[dict[str, Any]]:
    """A server that is polled every ten seconds, and one that is after each pause, but for a time."""
    busy = [request(10 * turn, server="10.0.0.8", address=0, quantity=1) for turn in range(until // 10)]
    slow = [request(pause * turn + 5, address=0, quantity=1) for turn in range(until // pause)]
    made = [*busy, *(each for each in slow if (each["ts"] - START) // SECOND not in silent)]
    return sorted(made, key=lambda record: record["ts"])


def paused(rows: pl.DataFrame) -> list[tuple[str, int]]:
    """Server and second of each pause that was told."""
    told_ = rows.filter(pl.col("anomaly.model") == "interval")
    return [(str(server), (event - START) // SECOND) for server, event in told_.select("server.ip", "event").rows()]


PARTED: Final = (), tuple(range(500, 4_000, 370))


@pytest.mark.parametrize("borders", PARTED, ids=str)
def test_the_pauses_of_a_slow_poll_are_learned_anew_as_long_as_they_are(borders: tuple[int, ...]) -> None:
    again = replace(RELEARN, hours=4)
    silent = SINCE + 6 * HOUR
    records = two_servers(SINCE + 8 * HOUR, 300, range(silent, silent + HOUR))
    state, rows = run(records, [(SINCE, again)], borders)
    keys = state.names["operation"].filter(pl.col("server").cast(pl.String) == again.server).get_column("key")
    learned = state.learned["interval"].filter(pl.col("key").is_in(keys.implode()))
    assert learned.select("low", "high").rows() == [(300.0, 300.0)]
    # What was learned is what is told: nothing while it is as it was, and the one pause.
    ((server, second),) = paused(rows)
    assert server == again.server
    assert silent < second < silent + HOUR


@pytest.mark.parametrize("borders", PARTED, ids=str)
def test_a_poll_that_falls_silent_is_missed_as_soon_while_another_server_is_learned_anew(borders: tuple[int, ...]) -> None:
    busy = replace(RELEARN, server="10.0.0.8", hours=4)
    silent = SINCE + HOUR
    for back in (silent + 3_000, SINCE + 3 * HOUR):
        records = two_servers(SINCE + 3 * HOUR, 100, range(silent, back))
        _, plain = run(records)
        ((server, second),) = paused(plain)
        assert (server, second < silent + 500) == ("10.0.0.9", True)
        _, rows = run(records, [(SINCE, busy)], borders)
        assert paused(rows) == [(server, second)]


def moved(*others: int) -> list[dict[str, Any]]:
    """A client that asks six times an hour, and a copy at 02:00 UTC of each Tuesday, and of these days, the first a Tuesday."""
    begins = [day * DAY + 10 * HOUR for day in {0, 7, 14, 21, *others}]
    made = [request(600 * turn, address=0, quantity=1) for turn in range(24 * DAY // 600)]
    made += [request(begin + 10 * turn + 5, address=0, quantity=1) for begin in begins for turn in range(200)]
    return sorted(made, key=lambda record: record["ts"])


def test_an_hour_of_one_weekday_that_was_accepted_is_told_on_another() -> None:
    wednesday, thursday, wednesday_again = 15, 16, 22
    records = moved(wednesday, thursday, wednesday_again)
    learned = 15 * DAY

    def hours_told(accepted: Sequence[Decision]) -> list[tuple[int, str]]:
        state = AnomalyState.learning(START, START + learned * SECOND)
        found: list[pl.DataFrame] = []
        for cut in as_cuts(records, [at(records, wednesday * DAY + 14 * HOUR)]):
            begin = cut[0].header.cut_start
            held = accepted if begin > START + learned * SECOND else ()
            state, rows = step(decided(state, held, RUN, begin), cut, MANY)
            found.append(rows.filter(pl.col("anomaly.model") == "hours"))
        rows = pl.concat(found)
        days = ((pl.col("event") - 1 - START) // (DAY * SECOND)).alias("day")
        return rows.select(days, "anomaly.subject").rows()

    assert hours_told([]) == [(15, "Wed 02:00 UTC"), (16, "Thu 02:00 UTC"), (22, "Wed 02:00 UTC")]
    one = Decision("accept", "Li Na", kind="hours", client="10.0.0.1", server="10.0.0.9", point="Wed 02:00 UTC", value=206.0)
    assert hours_told([one]) == [(15, "Wed 02:00 UTC"), (16, "Thu 02:00 UTC")]
    # So much at this hour of some day is no news at this hour, and nothing is said of Wednesdays.
    of_the_day = replace(one, point="02:00 UTC")
    assert hours_told([of_the_day]) == hours_told([])


@pytest.mark.parametrize(
    ("point", "wider"), [("Wed 02:00 UTC", ["Wed 02:00 UTC", "02:00 UTC"]), ("02:00 UTC", ["02:00 UTC"])], ids=str
)
def test_accepting_an_hour_of_the_week_reaches_that_hour_and_the_one_of_the_day_only(point: str, wider: list[str]) -> None:
    state = AnomalyState.learning(START, START + 8 * DAY * SECOND)
    (cut,) = as_cuts([request(600 * turn, address=0, quantity=1) for turn in range(8 * DAY // 600)])
    state, _ = step(state, cut, MANY)
    accepted = Decision("accept", "Li Na", kind="hours", client="10.0.0.1", server="10.0.0.9", point=point, value=500.0)
    after = decided(state, [accepted], RUN, START).learned["hours"]
    keys = after.filter(pl.col("high") == 500).get_column("key")
    assert after.height == 168 + 24
    names = state.names["hour"].filter(pl.col("key").is_in(keys.implode()))
    assert set(names.select(hour(pl.col("slot"))).to_series().to_list()) == set(wider)


def test_a_poll_whose_long_pause_was_accepted_is_still_missed_when_it_is_silent_for_longer() -> None:
    """What is asked for every 330 s is missed after three times as much, more than what counts as a poll's pause."""
    first, second = SINCE, SINCE + DAY
    silent = {*range(first, first + HOUR), *range(second, second + 3 * HOUR)}
    records = two_servers(second + 4 * HOUR, 330, silent)
    _, rows = run(records)
    (early, late) = paused(rows)
    assert (early[1] < first + HOUR, second + 600 < late[1] < second + 1_000) == (True, True)
    (row,) = between(rows, first, first + HOUR).filter(pl.col("anomaly.model") == "interval").to_dicts()
    accepted = meant(row)
    assert accepted is not None
    assert (accepted.value or 0) > SCALES["interval"].most
    state, rows = run(records, [(first + 2 * HOUR, accepted)])
    assert paused(rows)[0] == early
    ((_, later),) = paused(rows)[1:]
    assert late[1] < later < second + 3 * HOUR
    assert state.learned["interval"].get_column("high").max() == SCALES["interval"].most
