"""Positions behind each of many batches: each a value of its own, whatever is kept of them together."""

from __future__ import annotations

import time

from collector.stream import NOWHERE, Position
from collector.stream.standing import RUNS_BEFORE_FORGETTING, RUNS_PER_PARTITION, STEPS, Standing

RUNS = [(f"s{number}", "e") for number in range(50)]


def test_the_position_of_each_moment_is_what_was_so_then_over_as_many_steps_as_come() -> None:
    standing = Standing(Position({"0": 5}, {("before", "e"): 7}))
    moments: list[tuple[Position, Position]] = []
    for step in range(3 * STEPS):
        run = RUNS[step % len(RUNS)]
        standing.move(str(step % 3), step)
        standing.see(run, step // len(RUNS))
        if step % 97 == 0 or step > 3 * STEPS - 5:
            moments.append((standing.moment, standing.position))
    assert all(moment == whole for moment, whole in moments)
    assert all(moment.to_json() == whole.to_json() for moment, whole in moments)
    assert moments[0][0] == Position({"0": 0}, {("before", "e"): 7, RUNS[0]: 0})


def test_a_partition_that_was_left_is_part_of_positions_before_and_of_none_behind() -> None:
    standing = Standing(Position({"0": 5, "1": 6}))
    before = standing.moment
    standing.leave("1")
    assert before.offsets == {"0": 5, "1": 6}
    assert standing.moment.offsets == standing.position.offsets == {"0": 5}


def test_where_a_run_was_met_is_known_of_the_whole_position_the_latest_last() -> None:
    standing = Standing(Position())
    for run, partition in ((RUNS[0], "0"), (RUNS[1], "1"), (RUNS[0], "2")):
        standing.meet(run, partition)
    assert list(standing.position.homes.items()) == [(RUNS[1], "1"), (RUNS[0], "2")]
    assert standing.position == Position(), "it is no part of where the consumer stands"


def test_runs_without_end_in_one_partition_are_forgotten_from_the_first_and_those_of_others_are_not() -> None:
    standing = Standing(Position())
    runs = [("hostile", str(number)) for number in range(10 * RUNS_PER_PARTITION)]
    standing.meet(RUNS[0], "1")
    standing.see(RUNS[0], 7)
    moment, forgotten = standing.moment, dict[tuple[str, str], str]()
    for number, run in enumerate(runs):
        standing.meet(run, "0")
        standing.see(run, 0)
        if number == RUNS_PER_PARTITION:
            moment = standing.moment
        if number % 256 == 0:
            forgotten |= standing.forget()
            assert len(standing.seen) <= RUNS_BEFORE_FORGETTING + 257
    kept = standing.position.seen
    assert standing.moment == standing.position
    assert kept[RUNS[0]] == 7
    assert set(forgotten) | set(kept) == {RUNS[0], *runs}
    assert set(forgotten.values()) == {"0"}
    assert list(forgotten) == runs[: len(forgotten)]
    assert set(moment.seen) == {RUNS[0], *runs[: RUNS_PER_PARTITION + 1]}, "what was told before is a value"


def test_runs_that_nobody_has_told_where_they_lie_are_forgotten_as_those_of_one_partition_more() -> None:
    runs = [("hostile", str(number)) for number in range(RUNS_BEFORE_FORGETTING)]
    standing = Standing(Position({"0": 5}, dict.fromkeys([RUNS[0], RUNS[1], *runs], 7), {RUNS[0]: "0"}))
    assert standing.position.homes[RUNS[0]] == "0"
    standing.see(RUNS[2], 1)
    # Of those told at the start one is met: it is no longer among the others.
    standing.meet(runs[0], "1")
    forgotten = standing.forget()
    assert set(forgotten.values()) == {NOWHERE}
    assert list(forgotten) == [RUNS[1], *runs[1 : len(forgotten)]]
    assert set(standing.seen) == {RUNS[0], runs[0], RUNS[2], *runs[len(forgotten) :]}
    assert sum(home == NOWHERE for home in standing.homes.values()) == RUNS_PER_PARTITION
    assert standing.forget() == {}


def test_a_moment_does_not_cost_more_where_there_are_many_runs() -> None:
    many = Standing(Position({}, {(f"sensor-{number}", "e"): 1 for number in range(50_000)}))
    begin = time.process_time()
    for step in range(2_000):
        many.move("0", step)
        many.see(RUNS[0], step)
        many.moment  # noqa: B018 - what is measured
    assert time.process_time() - begin < 0.5, "with a copy for each it takes two seconds"
