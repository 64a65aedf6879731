"""What detection lets go of sensors is counted: those it waits for no more, and those it remembers no more."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from detection import gaps, merging
from detection.cuts import Cut
from detection.gaps import Gaps
from detection.loop import Loop
from detection.pipeline import State
from tests.detection.traffic import SECOND, cut, request

if TYPE_CHECKING:
    import pytest

    from collector.store import RecordBatch
    from detection.in_force import InForce


class Nothing:
    """Nothing holds; what is gathered is not looked at."""

    def at(self, *_: object) -> tuple[Any, Any]:
        return None, None


def of_sensor(name: str, seconds: float, number: int = 0) -> RecordBatch:
    (batch,) = cut([request(seconds)], number)
    return replace(batch, header=replace(batch.header, sensor=name, site="plant"))


def loop(waiting_bytes: float = math.inf) -> Loop:
    return Loop(State(), {}, cast("InForce", Nothing()), lambda _: None, 10 * SECOND, waiting_bytes=waiting_bytes)


def sized(batch: RecordBatch, size: int, *, last: bool = True) -> RecordBatch:
    return replace(batch, size=size, header=replace(batch.header, cut_last=last))


def take(loop: Loop, batch: RecordBatch) -> None:
    loop.take(batch.header, batch, ("0", batch.header.sequence))


def test_a_wait_for_a_silent_sensor_that_ends_is_counted_once() -> None:
    made = loop()
    made.let_through()
    assert made.counters.silent == 0, "nothing waited"
    take(made, of_sensor("silent", 1))
    take(made, of_sensor("north", 2))
    take(made, of_sensor("north", 3, 1))
    assert made.waits_for_others
    made.let_through()
    made.let_through()
    assert (made.counters.silent, made.waits_for_others) == (1, False)


def test_runs_beyond_the_bounds_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "RUNS", 3)
    monkeypatch.setattr(gaps, "RUNS", 4)
    made = loop()
    for number in range(6):
        take(made, of_sensor(f"sensor-{number}", number))
    assert made.counters.forgotten == 3 + 2
    assert Gaps.from_json(made.order["gaps"]).forgotten == 0, "of this process"


def test_unfinished_cuts_keep_to_their_bytes_and_those_that_began_first_go_on_as_they_are() -> None:
    made = loop(waiting_bytes=1_000)
    for number in range(50):
        take(made, sized(of_sensor(f"sensor-{number}", number), 90, last=False))
        assert made.waiting_bytes <= 1_000
    cuts = made.released()
    assert sum(cut.size for cut in cuts) + made.waiting_bytes == 50 * 90
    assert made.counters.crowded >= len(cuts) > 0
    # One that is larger than all that may wait goes on, too.
    take(made, sized(of_sensor("huge", 60), 5_000, last=False))
    assert sum(cut.size for cut in (*cuts, *made.released())) == 50 * 90 + 5_000
    assert (made.waiting_bytes, made.waiting()) == (0, [])


def test_whole_cuts_that_wait_for_others_go_on_before_unfinished_ones_end() -> None:
    made = loop(waiting_bytes=1_000)
    take(made, sized(of_sensor("silent", 1), 0))
    take(made, sized(of_sensor("open", 1), 600, last=False))
    for number, seconds in enumerate((2, 3, 4)):
        take(made, sized(of_sensor("north", seconds, number), 300))
    assert [(cut.run[0], cut.sequence) for cut in made.released()] == [("silent", 0), ("north", 0), ("north", 1)]
    assert (made.waiting_bytes, made.counters.crowded) == (900, 2)
    made.let_through()
    assert made.waiting_bytes == 600


def test_how_much_has_gathered_is_known_without_a_look_at_each_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Cut] = []
    rows = cast("property", Cut.rows).fget
    assert rows is not None
    monkeypatch.setattr(Cut, "rows", property(lambda cut: (looks.append(cut), rows(cut))[1]))
    made = loop()
    for number in range(40):
        take(made, of_sensor("north", number, number))
        assert made.gathered == number + 1
    assert len(looks) == 40
    made.released()
    assert made.gathered == 0
