"""`icsight evaluate` over the virtual plant, whose truth is known, and over every labelled capture."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from click.testing import CliRunner

from collector.store import RecordBatch
from detection.captures import cuts, detect
from detection.evaluation.cli import evaluate
from detection.evaluation.datasets import load
from detection.evaluation.observation import Observer, active_seconds, observe, slices_of
from detection.evaluation.subject import Subject
from detection.pipeline import State
from detection.sigma.rule import load as load_rules
from detection.sigma.rule import rules_folder
from sensor._core import Reader
from tests.plant.day import day
from tests.plant.scenarios import SCENARIOS
from tests.rules.baseline_traffic import goes_on, polled
from tests.rules.wire import INTRUDER, PLC, Capture

if TYPE_CHECKING:
    from click.testing import Result

    from detection.pipeline import Pipeline

DATASETS = Path(__file__).with_name("datasets")
SITE = Path(__file__).resolve().parents[2] / "deploy" / "demo" / "site.yml"
ATTACKS = ("set_point_write", "port_scan", "umas_stop")


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set: nine minutes under attack, and nine without."""
    folder = tmp_path_factory.mktemp("plant")
    for name, seed, attacks in (("attacked", 11, ATTACKS), ("normal", 12, ())):
        with (folder / f"{name}.pcap").open("wb") as out:
            _, truth = day(out, seed=seed, hours=0.15, scenario_names=list(SCENARIOS), attack_names=attacks)
        (folder / f"{name}.jsonl").write_text("".join(attack.line() + "\n" for attack in truth))
    (folder / "dataset.yml").write_text(
        f"""
name: plant
captures:
  - capture: "*.pcap"
    site: {SITE}
    labels: {{reader: plant, file: "{{stem}}.jsonl"}}
    judgements: {{"*": {{shown: records, why: each packet of it is known}}}}
""",
        encoding="utf-8",
    )
    return folder


def called(*arguments: object) -> Result:
    return CliRunner().invoke(evaluate, [str(argument) for argument in arguments])


def test_events_of_the_plant_are_found_soon_and_by_name(plant: Path) -> None:
    done = called(plant, "--output", "json")
    told = json.loads(done.stdout)
    kinds = told["kinds"]
    assert set(kinds) == set(ATTACKS)
    assert kinds["set_point_write"]["recall"] == 1.0
    assert kinds["set_point_write"]["delay_seconds_most"] <= 3
    assert kinds["umas_stop"]["technique_of_any_alert"] == 1.0
    assert told["total"]["events"] == len(ATTACKS)
    assert told["total"]["always_alert"]["recall"] == 1.0
    assert told["total"]["random_at_same_rate"]["recall"] < told["total"]["recall"]
    (normal,) = (each for each in told["captures"] if each["capture"] == "normal.pcap")
    assert normal["events"] == []
    assert 500 < normal["normal_seconds"] < 560


def test_without_rules_what_was_learned_finds_a_stranger_and_what_it_misses_is_the_exit_status(plant: Path) -> None:
    done = called(plant, "--output", "json", "--without-rules-for", "all")
    assert done.exit_code == 1
    (attacked,) = (each for each in json.loads(done.stdout)["captures"] if each["capture"] == "attacked.pcap")
    found = {event["kind"]: set(event["rules"]) for event in attacked["events"]}
    baseline = {rule.name for rule in load_rules([rules_folder()]) if rule.path.parent.name == "baseline"}
    assert found["set_point_write"]
    assert found["set_point_write"] <= baseline
    assert not found["port_scan"]


def test_what_is_normal_is_learned_from_the_captures_that_the_data_set_names(plant: Path) -> None:
    def false_rules(learn: str) -> list[str]:
        (plant / "learning.yml").write_text(
            f"name: x\ncaptures: [{{capture: normal.pcap, site: {SITE}{learn}}}]", encoding="utf-8"
        )
        told = json.loads(called(plant / "learning.yml", "--output", "json").stdout)
        return [alert["rule"] for alert in told["captures"][0]["false_alerts"]]

    baseline = {rule.name for rule in load_rules([rules_folder()]) if rule.path.parent.name == "baseline"}
    # The engineer who comes later is new since the beginning, and not to who has seen the whole of it.
    assert baseline.intersection(false_rules(""))
    assert not baseline.intersection(false_rules(", learn: [normal.pcap]"))


def test_leaving_kinds_out_one_by_one_tells_what_other_rules_find_of_each(plant: Path) -> None:
    done = called(plant, "--output", "json", "--leave-one-out")
    left = json.loads(done.stdout)["left_out"]
    assert set(left) == set(ATTACKS)
    assert left["port_scan"]["events"] == 1
    assert left["port_scan"]["events_found"] == 0
    assert left["port_scan"]["rules_off"] >= 1


def test_the_tables_name_data_sets_kinds_and_what_was_missed(plant: Path) -> None:
    table = called(plant, "--without-rules-for", "port_scan").stdout
    assert "missed" in table
    assert "attacked#port_scan" in table


def test_markdown_is_a_table_of_markdown(plant: Path) -> None:
    lines = called(plant, "--output", "markdown", "--events").stdout.splitlines()
    assert lines[0].startswith("| data set | event |")
    assert set(lines[1]) == set("| -")
    assert len({line.count("|") for line in lines}) == 1


def test_events_are_listed_without_detection(plant: Path) -> None:
    done = called(plant, "--events", "--output", "json")
    assert done.exit_code == 0
    assert [json.loads(line)["kind"] for line in done.stdout.splitlines()] == list(ATTACKS)


def test_a_kind_that_nobody_knows_and_a_data_set_that_is_not_there_are_refused(plant: Path) -> None:
    for arguments, said in (((plant, "--without-rules-for", "magic"), "magic"), (("/nowhere",), "cannot be read")):
        done = called(*arguments)
        assert done.exit_code == 2
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_capture_that_cannot_be_read_is_told_and_the_rest_is_measured(plant: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.pcap").write_bytes(b"PK\x03\x04" + bytes(40))
    (tmp_path / "good.pcap").write_bytes((plant / "normal.pcap").read_bytes())
    (tmp_path / "dataset.yml").write_text("name: x\ncaptures: [{capture: '*.pcap'}]")
    done = called(tmp_path, "--output", "json")
    assert done.exit_code == 2
    assert "bad.pcap" in done.stderr
    assert json.loads(done.stdout)["total"]["captures"] == 1


def test_slices_change_when_alerts_are_told_and_not_which(plant: Path) -> None:
    case = next(case for case in load(plant) if case.capture.name == "attacked.pcap")
    pipeline = Subject().pipeline(case)
    whole, _ = detect(str(case.capture), pipeline)
    spans = [(span.start or 0, span.end or 0) for span, _ in case.spans]
    told = [alert for alert in whole if alert.part_of is None]
    alarms = [alert for alert in told if not alert.posture]
    for slices in ((), slices_of(spans, 30), None):
        seen = observe(case.capture, pipeline, slices)
        assert {(each.rule, each.severity) for each in seen.sightings} == {(alert.rule, alert.severity) for alert in alarms}
        assert (len(seen.sightings), len(seen.posture)) == (len(alarms), len(told) - len(alarms))
        assert all(each.known >= each.first for each in seen.sightings)
        assert all(each.first == each.moments[0][0] for each in seen.sightings)


def test_cuts_that_detection_is_handed_at_once_stay_cuts(plant: Path) -> None:
    class Deaf:
        def __init__(self) -> None:
            self.starts: list[int] = []

        def step(self, state: object, batches: list[RecordBatch]) -> tuple[object, list[object]]:
            self.starts += {batch.header.cut_start for batch in batches}
            return state, []

    cut = next(cuts(Reader(str(plant / "normal.pcap"), site="", sensor="local"), ""))
    later = [
        RecordBatch(replace(batch.header, cut=1, cut_start=batch.header.cut_end, cut_end=batch.header.cut_end + 1), batch.rows)
        for batch in cut
    ]
    pipeline = Deaf()
    Observer(cast("Pipeline", pipeline)).step(State(), [*cut, *later])
    assert pipeline.starts == [cut[0].header.cut_start, later[0].header.cut_start]


@pytest.mark.parametrize("slices", [(), None], ids=["whole", "in slices"])
def test_a_conversation_that_outlasts_what_is_learned_is_no_part_of_it(slices: tuple[()] | None, tmp_path: Path) -> None:
    capture = Capture()
    hmi = polled(capture)
    # Two minutes are learned of ten: what begins 100 s after the first poll is told of by then, and goes on.
    capture.clock -= 140_000_000
    connection = capture.connect(INTRUDER, PLC, 7_777)
    connection.open()
    for _ in range(8):
        capture.wait(30)
        connection.send(b"\x11\x22\x33")
        connection.receive(b"\x44\x55\x66")
    goes_on(capture, hmi)
    (tmp_path / "a.pcap").write_bytes(capture.pcap())
    (tmp_path / "dataset.yml").write_text("name: x\ncaptures: [{capture: a.pcap}]")
    (case,) = load(tmp_path)
    seen = observe(case.capture, Subject().pipeline(case), slices)
    assert [each.rule for each in seen.sightings] == ["new_service_of_controller"]


def test_a_connection_that_nobody_opens_is_told_when_the_sensor_gives_it_up(tmp_path: Path) -> None:
    with (tmp_path / "half.pcap").open("wb") as out:
        _, truth = day(out, seed=5, hours=0.1, scenario_names=[], attack_names=("half_open",))
    (tmp_path / "half.jsonl").write_text(truth[0].line() + "\n")
    (tmp_path / "dataset.yml").write_text(
        f"""
name: half
captures:
  - {{capture: half.pcap, site: {SITE}, labels: {{reader: plant, file: "{{stem}}.jsonl"}},
     judgements: {{"*": {{shown: records, why: each packet of it is known}}}}}}
""",
        encoding="utf-8",
    )
    told = json.loads(called(tmp_path, "--output", "json").stdout)
    assert told["kinds"]["half_open"]["recall"] == 1.0
    # Twenty of them within a second, 36 s later; the network scan's or the stranger's alerts may come sooner.
    case = next(iter(load(tmp_path)))
    spans = [(span.start or 0, span.end or 0) for span, _ in case.spans]
    seen = observe(case.capture, Subject().pipeline(case), slices_of(spans))
    flood = next(each for each in seen.sightings if each.rule == "half_open_connections")
    assert 35.0 < (flood.known - spans[0][0]) / 1e9 < 45.0


def test_long_silence_is_not_time_in_which_false_alerts_could_have_come() -> None:
    assert active_seconds([0, 10, 20, 10**9, 10**9 + 5]) == 10 + 10 + 60 + 5
    assert active_seconds([]) == 0


@pytest.mark.full
@pytest.mark.timeout(3_600)  # 145 captures in slices of seconds
def test_every_labelled_capture_is_evaluated(captures: Path) -> None:
    del captures  # it says where they are
    done = called(*sorted(DATASETS.glob("*.yml")), "--output", "json")
    told = json.loads(done.stdout)
    assert done.exit_code in {0, 1}, done.stderr
    # What rules alone reach; baselines and models come on top of it.
    assert told["data_sets"]["quickdraw"]["recall"] > 0.9
    assert told["total"]["false_alerts_severe"] == 0
