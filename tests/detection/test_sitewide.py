"""Several sensors of one site: one alarm budget, one story, whatever is looked at together, side by side, or after a restart."""

from __future__ import annotations

import itertools
import json
import tempfile
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.stream.local import LocalStream
from detection.alerts import decode_alerts
from detection.budget import DIGEST
from detection.pipeline import Pipeline, State
from detection.sigma.rule import load
from detection.site import Site
from detection.worker import Worker
from sensor.spool import Spool
from tests.detection.test_grouping import WITHOUT_SHRINKING, detect
from tests.detection.test_merging import of_sensor
from tests.detection.test_worker import fill
from tests.detection.traffic import START, busy_day, cut, cuts, request, rule, write_rules

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from collector.store import RecordBatch
    from collector.stream import Consumer, Delivery, Position, Stream
    from detection.alerts import Alert

BUDGET = "12/day,3/10min"


def acts(folder: Path) -> Pipeline:
    """A low, a medium and a high act, each an alert of its own and a stage of a story."""
    write_rules(
        folder,
        rule(
            "write", "low", {"selection": {"modbus.function_code": 6}}, tags=["attack.t1692.001"], icsight={"window_seconds": 1}
        ),
        rule("set", "medium", {"selection": {"modbus.function_code": 16}}, tags=["attack.t0888"], icsight={"window_seconds": 1}),
        rule("stop", "high", {"selection": {"modbus.function_code": 8}}, tags=["attack.t0814"], icsight={"window_seconds": 1}),
    )
    return Pipeline.of(load([folder]), Site(budget=BUDGET))


class Sips:
    """A stream of records that gives few batches at a time, and asks its reader to stop after each."""

    def __init__(self, stream: LocalStream, most: int, stop: threading.Event) -> None:
        self._stream, self._most, self._stop = stream, most, stop
        self.end = stream.end
        self.highest = stream.highest
        self.publish = stream.publish

    @contextmanager
    def subscribe(self, name: str, start: Position | None = None) -> Generator[Consumer]:
        """The reader."""
        with self._stream.subscribe(name, start) as consumer:
            self._consumer = consumer
            yield cast("Consumer", self)

    @property
    def position(self) -> Position:
        """Where the reader stands."""
        return self._consumer.position

    @property
    def ends(self) -> Mapping[str, int]:
        """Where the stream ends."""
        return self._consumer.ends

    def commit(self, position: Position) -> None:
        """Keep a position."""
        self._consumer.commit(position)

    def poll(self, timeout_seconds: float) -> Sequence[Delivery]:
        """The next batches."""
        self._stop.set()
        return self._consumer.poll(timeout_seconds, self._most)


def told(
    folder: Path, order: Sequence[list[RecordBatch]], *, most: int = 256, shards: int = 1, restarts: bool = False
) -> list[Alert]:
    """What a worker publishes of these cuts, in order, polling so many batches at a time, begun anew after each poll or not."""
    folder.mkdir()
    (folder / "rules").mkdir()
    pipeline = acts(folder / "rules")
    fill(folder, list(order))
    stop = threading.Event()
    records = cast("Stream", Sips(LocalStream(folder / "spool"), most, stop))
    with Spool(folder / "alerts", sensor="detection") as spool:
        out = LocalStream(folder / "alerts", spool)
        for _ in range(-(-len(order) // most) if restarts else 0):
            stop.clear()
            Worker(records, out, pipeline, folder / "detection.json", shards=shards).run(stop)
        Worker(records, out, pipeline, folder / "detection.json", shards=shards).drain()
        with out.subscribe("reader") as reader:
            found: list[Alert] = []
            while deliveries := reader.poll(0):
                found += [alert for each in deliveries for alert in decode_alerts(each.data)]
    return found


def last(found: Sequence[Alert]) -> list[str]:
    """The last revision of each alert, as text; two texts of one revision must be equal."""
    revisions: dict[tuple[str, int], str] = {}
    for alert in found:
        text = json.dumps(asdict(alert), sort_keys=True)
        assert revisions.setdefault((alert.id, alert.revision), text) == text, "one revision says two things"
    return [text for _, text in sorted({name: revisions[name, revision] for name, revision in sorted(revisions)}.items())]


def interleaved(seeds: Sequence[int], borders: int = 6) -> list[list[RecordBatch]]:
    """Cuts of several sensors over the same hours, in the order of their ends."""
    made = [cuts(busy_day(seed, 60), range(borders, 60, borders)) for seed in seeds]
    days = [of_sensor(f"sensor-{place}", day) for place, day in enumerate(made)]
    steps = [step for day in days for step in day]
    return sorted(steps, key=lambda step: (step[0].header.cut_end, step[0].header.sensor))


@given(seed=st.integers(0, 10_000), most=st.integers(1, 7))
@settings(deadline=None, max_examples=3, phases=WITHOUT_SHRINKING)
def test_what_is_told_of_a_site_does_not_depend_on_polls_shards_or_restarts(seed: int, most: int) -> None:
    order = interleaved([seed, seed + 1, seed + 2])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        singly = told(folder / "singly", order, most=1)
        wanted = last(singly)
        assert wanted
        whole = told(folder / "whole", order)
        assert last(whole) == wanted
        assert [asdict(each) for each in told(folder / "shards", order, shards=4)] == [asdict(each) for each in whole]
        assert last([*singly, *told(folder / "sips", order, most=most, shards=3)]) == wanted
        assert last([*singly, *told(folder / "restarts", order, most=most, restarts=True)]) == wanted


def test_the_random_traffic_of_several_sensors_spends_the_budget_and_tells_stories_over_sensors(tmp_path: Path) -> None:
    found = {alert.id: alert for alert in told(tmp_path / "one", interleaved([1, 2, 3]))}
    assert any(alert.rule == DIGEST for alert in found.values())
    sensors = {name: alert.body["records"][0].split("/")[0] for name, alert in found.items() if alert.rule != DIGEST}
    over = [{sensors[name] for name in alert.body["story"]["alerts"]} for alert in found.values() if alert.body["story"]]
    assert max(map(len, over)) > 1


def test_the_sensors_of_a_site_spend_one_budget(tmp_path: Path) -> None:
    records = [request(place, server=f"10.0.{place}.9", function=6) for place in range(6)]
    one, other = (of_sensor(name, cuts(records, [1, 2, 3, 4, 5])) for name in ("a", "b"))
    elsewhere = [[replace(each, header=replace(each.header, sensor="c", site="there")) for each in step] for step in one]
    found = {alert.id: alert for alert in told(tmp_path / "x", [*itertools.chain(*zip(one, other, elsewhere, strict=True))])}
    standing = Counter(alert.rule for alert in found.values() if alert.part_of is None)
    assert standing == {"write": 2 + 2, DIGEST: 1 + 1}, "three of one site, one of them a digest, and as many of the other"
    held = [alert.count for alert in found.values() if alert.rule == DIGEST]
    assert sorted(held) == [4, 10]


def test_one_who_is_seen_by_two_sensors_is_one_story(tmp_path: Path) -> None:
    first = of_sensor("a", cuts([request(0, function=16, server="10.0.0.8"), request(900)], [1]))
    second = of_sensor("b", cuts([request(0), request(600, function=8)], [1]))
    found = {alert.id: alert for alert in told(tmp_path / "x", [first[0], second[0], second[1], first[1]])}
    identified, stopped = sorted(found.values(), key=lambda alert: alert.first_seen)
    story = stopped.body["story"]
    assert story["alerts"] == [identified.id, stopped.id]
    assert identified.body["story"] == story
    assert [stage["tactic"] for stage in story["stages"]] == ["discovery", "inhibit-response-function"]
    assert stopped.rank == pytest.approx(1.25 * 8 * 0.8)


def test_records_of_another_year_beside_todays_have_their_own_stories_and_windows(tmp_path: Path) -> None:
    def day(name: str, shift: int) -> list[list[RecordBatch]]:
        records = [request(shift + 60 * place, server=f"10.0.{place}.9", function=(16, 6)[place % 2]) for place in range(5)]
        steps = [cut([record], number, record["ts"]) for number, record in enumerate(records)]
        return of_sensor(name, steps)

    today, old = day("live", 366 * 86_400), day("capture", 0)
    alone = {alert.id: alert for name, order in (("live", today), ("old", old)) for alert in told(tmp_path / name, order)}
    both = {alert.id: alert for alert in told(tmp_path / "both", [*itertools.chain(*zip(today, old, strict=True))])}
    assert sum(alert.rule == DIGEST for alert in alone.values()) == 2
    assert any(alert.body["story"] for alert in alone.values())
    assert both == alone


def test_an_alert_just_before_a_window_ends_counts_in_it_though_another_sensor_is_in_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()
    pipeline = acts(folder)
    ahead = of_sensor("a", cuts([request(601 + place, server=f"10.1.{place}.9", function=6) for place in range(2)], []))
    behind = of_sensor("b", cuts([request(599 + place / 10, server=f"10.2.{place}.9", function=6) for place in range(4)], []))
    for order in ([*ahead, *behind], [*behind, *ahead]):
        found = detect(pipeline, order)
        digests = [alert for alert in found.values() if alert.rule == DIGEST]
        assert [alert.count for alert in digests] == [2]
        assert {found[name].client_ip for name in digests[0].body["holds"]} == {"10.0.0.1"}


def standing(found: Sequence[Alert]) -> int:
    """Alerts that stand for themselves."""
    return sum(alert.part_of is None for alert in newest(found).values())


def newest(found: Sequence[Alert]) -> dict[str, Alert]:
    """What was told of each alert last."""
    return {alert.id: alert for alert in found}


def test_runs_beyond_those_that_are_remembered_are_told_before_they_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("detection.pipeline.RUNS", 2)
    (tmp_path / "rules").mkdir()
    pipeline = acts(tmp_path / "rules")
    few = [of_sensor(name, [cut([request(place, function=8)], 0, START)])[0] for place, name in enumerate("abc")]
    for number, order in enumerate((few, interleaved([1, 2, 3, 4]))):
        state = State()
        singly: list[Alert] = []
        for step in order:
            state, upserts = pipeline.step(state, step)
            singly += upserts
        whole, at_once = pipeline.step(State(), [batch for step in order for batch in step])
        assert newest(at_once) == newest(singly)
        assert (list(whole.runs), whole.forgotten) == (list(state.runs), state.forgotten)
        assert state.forgotten > number
        by_worker = told(tmp_path / f"singly-{number}", order, most=1)
        assert newest(by_worker) == newest(told(tmp_path / f"whole-{number}", order, shards=3))
        if order is few:
            assert standing(singly) == standing(by_worker) == 3


def test_what_is_found_at_a_site_is_told_there_though_its_run_goes_on_at_others_of_which_none_is_kept(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    pipeline = acts(tmp_path / "rules")
    records = [request(place, server=f"10.0.{place}.9", function=6) for place in range(6)]
    moving = [
        [replace(each, header=replace(each.header, site=f"site-{number}")) for each in step]
        for number, step in enumerate(cuts(records, range(1, 6)))
    ]
    state, at_once = pipeline.step(State(), [batch for step in moving for batch in step])
    assert standing(at_once) == 6, "three at one site would be all that it can have"
    assert list(state.sites) == ["site-5"]
    by_worker = told(tmp_path / "whole", moving)
    assert last(by_worker) == last(told(tmp_path / "singly", moving, most=1))
    assert standing(by_worker) == 6


@pytest.mark.parametrize("most", [1, 256])
def test_what_was_let_through_because_nothing_came_is_so_again_after_a_crash_whatever_came_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    (tmp_path / "rules").mkdir()
    pipeline = acts(tmp_path / "rules")
    a, b = (
        of_sensor(name, cuts([request(0), request(at, function=code)], [1])) for name, at, code in (("a", 8, 8), ("b", 5, 16))
    )

    def unwritten(*_: object) -> None:
        """In place of the last checkpoint."""

    def found(folder: Path, *, crash: bool) -> list[Alert]:
        fill(folder, [a[0], b[0], a[1]])
        with Spool(folder / "alerts", sensor="detection") as spool:
            out = LocalStream(folder / "alerts", spool)
            loop = Worker(LocalStream(folder / "spool"), out, pipeline, folder / "detection.json")
            with monkeypatch.context() as patched:
                if crash:
                    # Nothing is written any more once the alerts are told.
                    patched.setattr(Worker, "_end", unwritten)
                loop.drain()
            assert loop.counters.alerts == 1, "that of the one cut that waited"
            fill(folder, [b[1]])
            records = cast("Stream", Sips(LocalStream(folder / "spool"), most, threading.Event()))
            Worker(records, out, pipeline, folder / "detection.json").drain()
            with out.subscribe("reader") as reader:
                return [alert for each in iter(lambda: reader.poll(0), []) for one in each for alert in decode_alerts(one.data)]

    wanted = last(found(tmp_path / "whole", crash=False))
    assert len(wanted) == 2
    assert last(found(tmp_path / "crashed", crash=True)) == wanted
