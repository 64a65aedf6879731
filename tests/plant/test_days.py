"""Days of the plant: every kind of attack, in a plant of any size, the same for the same seed."""

from __future__ import annotations

import io
import itertools
from typing import TYPE_CHECKING

import polars as pl
import pytest

from detection.evaluation.datasets import load
from sensor._core import Reader
from tests.plant import attacks, days
from tests.plant.clients import SECOND
from tests.plant.day import START, record
from tests.plant.days import DAY_HOURS, SETS, Day, kinds_of, make, plan
from tests.plant.plant import Plant
from tests.plant.scenarios import DAY_SCENARIOS, SCENARIOS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Days of minutes."""
    few = (
        Day("learned", 4, hours=0.05, learned=True),
        Day("normal", 1, hours=0.05),
        Day("attacked", 2, attacked=True, hours=1.2),
        Day("large", 3, large=True, hours=0.01),
    )
    monkeypatch.setitem(days.SETS, "development", few)


@pytest.mark.parametrize("chosen", list(SETS))
def test_each_set_has_seven_normal_days_and_seven_with_at_least_forty_attacks_of_twenty_kinds(chosen: str) -> None:
    found = SETS[chosen]
    measured = [day for day in found if not day.learned]
    assert [sum(day.attacked == attacked for day in measured) for attacked in (False, True)] == [7, 7]
    assert [day.name for day in measured if day.large] == ["normal-7", "attacked-7"]
    kinds = [kind for day in found for kind in kinds_of(day, found)]
    assert len(kinds) >= 40
    assert set(kinds) == set(attacks.ATTACKS)
    assert all(len(set(kinds_of(day, found))) == len(kinds_of(day, found)) for day in found)


def test_seeds_for_evaluation_are_those_of_no_day_for_development() -> None:
    seeds = [day.seed for found in SETS.values() for day in found]
    assert len(seeds) == len(set(seeds)) == 32


@pytest.mark.parametrize("chosen", list(SETS))
def test_what_is_planned_is_known_lies_in_the_day_and_is_over_before_the_next_attack(chosen: str) -> None:
    for day in SETS[chosen]:
        kinds = kinds_of(day, SETS[chosen])
        planned = plan(day, kinds)
        assert {name for _, name in planned} <= {*SCENARIOS, *DAY_SCENARIOS, *kinds}
        assert all(0 < hour < DAY_HOURS for hour, _ in planned)
        begins = [hour for hour, name in planned if name in kinds]
        assert all(later - earlier > 1 for earlier, later in itertools.pairwise(begins))


def test_days_are_made_once_and_are_a_data_set_with_a_judgement_of_each_attack(tmp_path: Path, short: None) -> None:
    make("development", tmp_path)
    made = {file.name: file.stat().st_mtime_ns for file in tmp_path.glob("*.pcap")}
    assert len(made) == 4
    make("development", tmp_path)
    assert {file.name: file.stat().st_mtime_ns for file in tmp_path.glob("*.pcap")} == made
    cases = {case.capture.name.split("-")[0]: case for case in load(tmp_path)}
    assert cases.keys() == {"normal", "attacked", "large"}
    assert cases["normal"].events(0, 0) == []
    assert [lesson.name.split("-")[0] for lesson in cases["normal"].learn] == ["learned"]
    assert cases["large"].learn == ()
    (event, *_) = cases["attacked"].events(0, 0)
    assert event.kind in attacks.ATTACKS
    assert event.shown == "records"
    assert event.hosts


def test_the_large_plant_has_two_hundred_controllers_that_are_all_polled(tmp_path: Path, short: None) -> None:
    make("development", tmp_path, ["large"])
    (capture,) = tmp_path.glob("*.pcap")
    polled = pl.concat([pl.DataFrame(batch) for batch in Reader(str(capture)) if batch.table == "modbus"])
    assert polled["server.ip"].n_unique() == polled["server.mac"].n_unique() == 200


def test_attacks_vary_with_the_seed_where_they_may_and_not_where_they_may_not() -> None:
    def packets(seed: int, *, varied: bool) -> int:
        plant = Plant(START, seed, varied=varied)
        attacks.schedule(plant, "half_open", START + SECOND)
        _, (truth,) = record(plant, io.BytesIO(), START + 300 * SECOND)
        return len(truth.packets)

    assert len({packets(seed, varied=True) for seed in range(5)}) > 2
    assert len({packets(seed, varied=False) for seed in range(5)}) == 1
    assert packets(3, varied=True) == packets(3, varied=True)


@pytest.mark.parametrize("name", list(DAY_SCENARIOS))
def test_what_takes_hours_ends_and_leaves_the_plant_polled(name: str) -> None:
    plant = Plant(START, 5, pace=30)
    happened = DAY_SCENARIOS[name](plant, START + SECOND)
    moments = list(happened)
    assert moments == sorted(moments)
    assert moments[-1] < START + 3 * 3_600 * SECOND
    assert not plant.controllers["gateway"].silent


def test_a_controller_that_is_replaced_answers_under_another_hardware_address(tmp_path: Path) -> None:
    plant = Plant(START, 5, pace=10)
    plant.happen(START + 10 * SECOND, lambda now: DAY_SCENARIOS["controller_replaced"](plant, now))
    with (tmp_path / "a.pcap").open("wb") as out:
        record(plant, out, START + 2_400 * SECOND)
    rows = pl.concat([pl.DataFrame(batch) for batch in Reader(str(tmp_path / "a.pcap")) if batch.table == "modbus"])
    intake = rows.filter(pl.col("server.ip") == "10.20.2.11").sort("ts")
    assert intake["server.mac"].unique(maintain_order=True).to_list() == ["00:80:f4:02:00:11", "00:80:f4:02:00:a1"]
    assert intake["ts"].diff().dt.total_seconds().max() == pytest.approx(1_500, abs=60)
