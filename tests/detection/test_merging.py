"""Several sensors of one site: the same alerts however their cuts come, and nothing is lost silently when they come too late."""

from __future__ import annotations

import itertools
import json
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.stream.local import LocalStream
from detection.alerts import decode_alerts
from detection.clock import gone_back
from detection.merging import Merge
from detection.own_alerts import CLOCK_WENT_BACK, RECORDS_LATE
from detection.pipeline import Pipeline
from detection.settings import DetectionSettings
from detection.sigma.rule import load
from detection.site import Site
from detection.worker import Worker
from sensor.spool import Spool
from tests.detection.test_grouping import WITHOUT_SHRINKING, mixed_rules
from tests.detection.test_worker import fill
from tests.detection.traffic import SECOND, START, busy_day, cut, cuts, request

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    import pytest

    from collector.store import RecordBatch
    from detection.alerts import Alert

ALLOWANCE = 10 * SECOND

T = TypeVar("T")


@dataclass(frozen=True)
class Piece:
    """A cut as a merge sees it."""

    run: tuple[str, str]
    sequence: int
    known_until: int
    site: str = ""


def pieces(name: str, times: Sequence[int], site: str = "") -> list[Piece]:
    """Cuts of a sensor that end at these times, in order."""
    ends = sorted(times)
    return [Piece((name, "e"), number, end * SECOND // 10, site) for number, end in enumerate(ends)]


def interleaved(runs: Sequence[list[Piece]], choices: Sequence[int]) -> list[Piece]:
    """The cuts of runs in any order that keeps each run's and leaves none behind by more than the allowance."""
    left, clocks = [list(run) for run in runs], {run[0].run: 0 for run in runs if run}
    made: list[Piece] = []
    for choice in (*choices, *([0] * sum(map(len, left)))):
        left = [run for run in left if run]
        if not left:
            break
        may = [
            run
            for run in left
            if all(
                clocks[other[0].run] >= run[0].known_until - ALLOWANCE
                for other in left
                if (other[0].known_until, other[0].run) < (run[0].known_until, run[0].run)
            )
        ]
        piece = may[choice % len(may)].pop(0)
        clocks[piece.run] = piece.known_until
        made.append(piece)
    return made


def shuffled(runs: Sequence[Sequence[T]], order: random.Random) -> list[T]:
    """All of some runs, each in its own order."""
    turns = [number for number, run in enumerate(runs) for _ in run]
    order.shuffle(turns)
    left = [iter(run) for run in runs]
    return [next(left[turn]) for turn in turns]


TIMES = st.lists(st.integers(0, 400), min_size=1, max_size=12)


def merged(order: Sequence[Piece]) -> tuple[list[Piece], Merge[Piece]]:
    merge = Merge[Piece](ALLOWANCE)
    out = [piece for taken in order for piece in merge.take(taken)]
    return [*out, *merge.all()], merge


def test_a_sensor_alone_does_not_wait_for_its_run_before() -> None:
    merge = Merge[Piece](ALLOWANCE)
    for epoch, second in (("a", 100), ("b", 103), ("c", 7), ("d", 8)):
        cut = Piece(("alone", epoch), 0, second * SECOND)
        assert merge.take(cut) == [cut], epoch
    assert merge.counted.late == merge.counted.hurried == 0
    # Another sensor is waited for all the same.
    other = Piece(("other", "a"), 0, 5 * SECOND)
    merge.take(other)
    assert merge.take(Piece(("alone", "e"), 0, 9 * SECOND)) == []


@given(times=st.lists(TIMES, min_size=1, max_size=4), choices=st.lists(st.integers(0, 3), max_size=48))
def test_any_interleaving_within_the_allowance_comes_out_in_one_order(times: list[list[int]], choices: list[int]) -> None:
    runs = [pieces(f"sensor-{number}", ends) for number, ends in enumerate(times)]
    # All are known to be there from the beginning on.
    runs = [pieces(run[0].run[0], [0, *(piece.known_until * 10 // SECOND for piece in run)]) for run in runs]
    order = interleaved([run[1:] for run in runs], choices)
    out, merge = merged([*(run[0] for run in runs), *order])
    assert sorted(out, key=lambda each: (each.known_until, each.run, each.sequence)) == out
    assert merge.counted.late == merge.counted.hurried == 0


@given(
    times=st.lists(TIMES, min_size=1, max_size=4),
    order=st.randoms(use_true_random=False),
    stop=st.integers(0, 48),
)
def test_whatever_the_order_each_cut_comes_out_once_and_each_run_in_its_own_order(
    times: list[list[int]], order: random.Random, stop: int
) -> None:
    stream = shuffled([pieces(f"sensor-{number}", ends) for number, ends in enumerate(times)], order)
    whole, merge = merged(stream)
    assert sorted(whole, key=repr) == sorted(stream, key=repr)
    for run in {piece.run for piece in stream}:
        assert [piece.sequence for piece in whole if piece.run == run] == [piece.sequence for piece in stream if piece.run == run]
    # An end in between, after which what waited comes again: the same goes on to be let through, in the same order.
    first = Merge[Piece](ALLOWANCE)
    out = [piece for taken in stream[:stop] for piece in first.take(taken)]
    again = Merge[Piece].from_json(ALLOWANCE, json.loads(json.dumps(first.to_json())))
    waiting = [piece for piece in stream[:stop] if piece in first.waiting]
    out += [piece for taken in (*waiting, *stream[stop:]) for piece in again.take(taken)]
    assert [*out, *again.all()] == whole
    assert again.counted == merge.counted


def test_a_sensor_that_is_silent_is_waited_for_as_long_as_the_allowance() -> None:
    merge = Merge[Piece](ALLOWANCE)
    quiet, busy = pieces("quiet", [0]), pieces("busy", range(0, 300, 5))
    merge.take(quiet[0])
    out = [len(merge.take(piece)) for piece in busy]
    assert out[:2] == [1, 0], "what comes no earlier than the silent one stood waits"
    assert not any(out[1:21]), "for ten seconds"
    assert out[21] == 21, "then nothing waits any more"
    assert set(out[22:]) == {1}


def test_one_sensor_alone_never_waits() -> None:
    merge = Merge[Piece](ALLOWANCE)
    assert [len(merge.take(piece)) for piece in pieces("one", range(0, 300, 7))] == [1] * 43


def test_sensors_of_different_sites_do_not_wait_for_one_another() -> None:
    merge = Merge[Piece](ALLOWANCE)
    merge.take(pieces("here", [0], "works")[0])
    assert [len(merge.take(piece)) for piece in pieces("there", range(0, 50, 5), "plant")] == [1] * 10


def test_a_run_that_names_another_site_in_each_cut_stays_in_order_and_leaves_nothing_behind() -> None:
    merge = Merge[Piece](ALLOWANCE)
    merge.take(pieces("other", [0], "site-0")[0])
    run = [Piece(("moving", "e"), number, (number + 1) * SECOND, f"site-{number}") for number in range(20)]
    assert [piece for taken in run for piece in merge.take(taken)] == run, "the first waits until it is at the next site"
    said = merge.to_json()
    assert {site for _, _, site, *_ in said["clocks"]} == {"site-0", "site-19"}
    assert {site for site, *_ in said["through"]} == {"site-0", "site-19"}


def test_what_comes_later_than_the_allowance_is_let_through_at_once_and_counted() -> None:
    merge = Merge[Piece](ALLOWANCE)
    slow, fast = pieces("slow", [0, 5, 10]), pieces("fast", [1, 200])
    for piece in (slow[0], fast[0], fast[1]):
        merge.take(piece)
    assert merge.take(slow[1]) == [slow[1]]
    assert merge.take(slow[2]) == [slow[2]]
    assert merge.counted.late == 2
    assert merge.behind == {("slow", "e"): 19 * SECOND}


def test_a_capture_of_last_year_goes_by_its_own_clock() -> None:
    merge = Merge[Piece](ALLOWANCE)
    today = pieces("live", [10_000_000, 10_000_005, 10_000_010])
    old = pieces("capture", [0, 5, 10])
    out = [piece for pair in zip(today, old, strict=True) for taken in pair for piece in merge.take(taken)]
    assert out == [piece for pair in zip(today, old, strict=True) for piece in pair]
    assert merge.counted.late == 0


def test_too_many_that_wait_are_let_through_in_order_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detection.merging.WAITING_CUTS", 3)
    merge = Merge[Piece](ALLOWANCE)
    merge.take(pieces("quiet", [0])[0])
    busy = pieces("busy", range(1, 9))
    out = [piece for taken in busy for piece in merge.take(taken)]
    assert out == busy[:5]
    assert merge.counted.hurried == 5


def of_sensor(name: str, steps: list[list[RecordBatch]]) -> list[list[RecordBatch]]:
    return [[replace(batch, header=replace(batch.header, sensor=name)) for batch in step] for step in steps]


def alerts(folder: Path, order: list[list[RecordBatch]], allowance_seconds: float = 10.0) -> tuple[list[Alert], Worker]:
    """What a worker publishes, in order."""
    (folder / "rules").mkdir()
    mixed_rules(folder / "rules")
    fill(folder, order)
    with Spool(folder / "alerts", sensor="detection") as spool:
        pipeline = Pipeline.of(load([folder / "rules"]), Site())
        out = LocalStream(folder / "alerts", spool)
        limits = DetectionSettings().model_copy(update={"lateness_seconds": allowance_seconds})
        worker = Worker(LocalStream(folder / "spool"), out, pipeline, folder / "detection.json", settings=limits)
        worker.drain()
        with out.subscribe("reader") as consumer:
            told: list[Alert] = []
            while deliveries := consumer.poll(0):
                told += [alert for each in deliveries for alert in decode_alerts(each.data)]
    return told, worker


def texts(told: list[Alert]) -> list[str]:
    """The last of each alert, as text, in the order in which they ended."""
    last = {alert.id: json.dumps(asdict(alert), sort_keys=True) for alert in told}
    return sorted(last.values())


def three_days() -> list[list[list[RecordBatch]]]:
    """Cuts of three sensors of one site over the same hours."""
    return [of_sensor(f"sensor-{seed}", cuts(busy_day(seed, 60), list(range(6, 60, 6)))) for seed in range(3)]


@settings(deadline=None, max_examples=4, phases=WITHOUT_SHRINKING)
@given(order=st.randoms(use_true_random=False))
def test_any_interleaving_of_sensors_gives_the_same_alerts_to_the_byte(order: random.Random) -> None:
    days = three_days()
    firsts, rest = [day[0] for day in days], [day[1:] for day in days]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "one").mkdir()
        in_order = sorted(itertools.chain(*rest), key=lambda step: (step[0].header.cut_end, step[0].header.run))
        wanted, _ = alerts(Path(folder) / "one", [*firsts, *in_order], 86_400.0)
        (Path(folder) / "other").mkdir()
        told, worker = alerts(Path(folder) / "other", [*firsts, *shuffled(rest, order)], 86_400.0)
        assert texts(told) == texts(wanted)
        assert (worker.counters.records, worker.counters.late) == (180, 0)


@settings(deadline=None, max_examples=4, phases=WITHOUT_SHRINKING)
@given(order=st.randoms(use_true_random=False))
def test_what_comes_however_late_is_found_all_the_same(order: random.Random) -> None:
    """Only stories, which tell what came after what, and what follows from them, may differ."""

    def found(told: list[Alert]) -> list[str]:
        alike = [replace(each, rank=0.0, revision=0, body={**each.body, "story": None}) for each in told]
        return texts([alert for alert in alike if alert.rule != RECORDS_LATE])

    days = three_days()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "one").mkdir()
        wanted, _ = alerts(Path(folder) / "one", [step for day in days for step in day])
        (Path(folder) / "other").mkdir()
        told, worker = alerts(Path(folder) / "other", shuffled(days, order))
        assert found(told) == found(wanted)
        assert worker.counters.records == 180, "nothing is lost"


def test_a_sensor_that_falls_behind_is_told_once_an_hour_and_all_of_it_is_looked_at(tmp_path: Path) -> None:
    def day(name: str, times: Sequence[int]) -> list[list[RecordBatch]]:
        steps = [cut([request(time, function=8)], number, START + time * SECOND) for number, time in enumerate(times)]
        return of_sensor(name, steps)

    ahead, behind = day("ahead", [0, 1, 120]), day("behind", [0, 1, 2, 3])
    told, worker = alerts(tmp_path, [ahead[0], behind[0], ahead[1], behind[1], ahead[2], behind[2], behind[3]])
    late = [alert for alert in told if alert.rule == RECORDS_LATE]
    assert [alert.body["target"] for alert in late] == [{"sensor.name": "behind"}]
    assert "118 s behind" in late[0].body["texts"]["en"]["summary"]
    assert (worker.counters.late, worker.counters.records) == (2, 7)


def test_a_clock_that_went_back_is_told_and_its_records_count(tmp_path: Path) -> None:
    steps = [
        cut([request(0, response_time=SECOND // 100)], 0),
        cut([request(100, response_time=SECOND // 100)], 1, START),
        cut([request(40, response_time=SECOND // 100), request(41)], 2, START + 100 * SECOND),
    ]
    headers = [replace(batch.header, cut_end=START + 100 * SECOND) for batch in steps[2]]
    steps[2] = [replace(batch, header=header) for batch, header in zip(steps[2], headers, strict=True)]
    assert gone_back(steps[2], ALLOWANCE) == (1, 60 * SECOND - SECOND // 100)
    assert gone_back(steps[1], ALLOWANCE) == (0, 0)
    told, worker = alerts(tmp_path, steps)
    assert [alert.rule for alert in told if alert.rule == CLOCK_WENT_BACK] == [CLOCK_WENT_BACK]
    assert (worker.counters.set_back, worker.counters.records) == (1, 4)
    assert pl.Series([batch.rows.height for step in steps for batch in step]).sum() == worker.counters.records
