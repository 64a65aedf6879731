"""`icsight baseline` and `icsight detect --learn`: learned from one capture, approved by a person, told in another."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, WriteSingleRegisterRequest

from api.cli import icsight
from detection.baseline.decisions import TEXT, Decision
from detection.baseline.normality import BaselineError, Normality
from detection.inbox import Inbox
from tests.rules.wire import HMI, INTRUDER, PLC, Capture

if TYPE_CHECKING:
    from pathlib import Path


def capture(path: Path, *, write_by_intruder: bool) -> Path:
    """Half a minute of polling, too short to learn from by itself; with or without a stranger's write."""
    made = Capture()
    hmi = made.modbus(HMI, PLC)
    for _ in range(15):
        hmi.ask(ReadHoldingRegistersRequest(address=100, count=4))
        made.wait(2)
    hmi.ask(WriteSingleRegisterRequest(address=100, registers=[1]))
    if write_by_intruder:
        made.modbus(INTRUDER, PLC).ask(WriteSingleRegisterRequest(address=100, registers=[9]))
    path.write_bytes(made.pcap())
    return path


RULES = ("--rules", "rules/baseline", "--rules", "rules/anomaly")
"""Rules over what was learned, and those that they count."""


def said(*arguments: object, status: int = 0) -> str:
    outcome = CliRunner().invoke(icsight, [str(argument) for argument in arguments])
    assert outcome.exit_code == status, outcome.output
    return outcome.stdout


@pytest.fixture
def quiet(tmp_path: Path) -> Path:
    return capture(tmp_path / "quiet.pcap", write_by_intruder=False)


@pytest.fixture
def attacked(tmp_path: Path) -> Path:
    return capture(tmp_path / "attacked.pcap", write_by_intruder=True)


@pytest.fixture
def learned(tmp_path: Path, quiet: Path) -> Path:
    said("baseline", "learn", quiet, "-o", tmp_path / "normal.baseline", "--site", "works")
    return tmp_path / "normal.baseline"


def test_what_is_learned_is_a_proposal_until_a_person_approves_it(learned: Path) -> None:
    assert "proposed" in said("baseline", "show", learned)
    said("baseline", "approve", learned, "--by", "Li Na")
    shown = said("baseline", "show", learned)
    assert "enforced, approved by Li Na" in shown
    assert f"{HMI.ip} modbus {PLC.ip} unit 1: writes, 1 times" in shown


def test_the_same_traffic_is_normal_and_a_strangers_write_is_one_high_alert(quiet: Path, attacked: Path, learned: Path) -> None:
    assert "nothing found" in said("detect", quiet, "--baseline", learned, *RULES)
    out = said("detect", attacked, "--baseline", learned, *RULES, "--output", "json", status=1)
    (alert,) = [json.loads(line) for line in out.splitlines()]
    assert (alert["rule"], alert["severity"], alert["client.ip"]) == ("new_writer", "high", INTRUDER.ip)
    assert HMI.ip in alert["expected"]


def test_what_a_person_approved_ranks_higher_than_what_nobody_looked_at(attacked: Path, learned: Path) -> None:
    ranks: list[float] = []
    for approved in (False, True):
        if approved:
            said("baseline", "approve", learned, "--by", "Li Na")
        out = said("detect", attacked, "--baseline", learned, *RULES, "--output", "json", status=1)
        ranks.append(json.loads(out.splitlines()[0])["rank"])
    assert ranks[1] > ranks[0]


def test_learning_from_a_capture_given_beside_is_the_same_as_from_a_file(quiet: Path, attacked: Path, learned: Path) -> None:
    beside = said("detect", attacked, "--learn", quiet, "--output", "json", status=1)
    assert beside == said("detect", attacked, "--baseline", learned, "--output", "json", status=1)


def test_a_difference_is_told_in_few_lines(tmp_path: Path, attacked: Path, learned: Path) -> None:
    said("baseline", "learn", attacked, "-o", tmp_path / "later.baseline")
    lines = said("baseline", "diff", learned, tmp_path / "later.baseline").splitlines()
    assert [line.split()[:3] for line in lines] == [["+", "writer", INTRUDER.ip], ["+", "conversation", INTRUDER.ip]]
    assert said("baseline", "diff", learned, learned) == "the same facts\n"


def test_a_file_that_is_no_baseline_is_one_line_that_says_what_to_do(quiet: Path) -> None:
    outcome = CliRunner().invoke(icsight, ["detect", str(quiet), "--baseline", str(quiet)])
    assert outcome.exit_code == 2
    assert outcome.stderr.count("\n") == 1
    assert "icsight baseline learn" in outcome.stderr


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), shorter=st.booleans())
def test_a_damaged_file_is_one_line_or_is_read_as_it_was(learned: Path, where: float, bit: int, *, shorter: bool) -> None:
    whole = learned.read_bytes()
    place = int(where * len(whole))
    damaged = learned.with_suffix(".damaged")
    damaged.write_bytes(whole[:place] if shorter else whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
    again, reason = loaded(damaged)
    if again is None:
        assert "\n" not in reason
        assert "icsight baseline learn" in reason
    else:
        # A bit of the archive that says nothing of its content, such as the time of a member.
        assert again.facts.equals(Normality.load(learned).facts)
        assert again.said == Normality.load(learned).said


def loaded(file: Path) -> tuple[Normality | None, str]:
    """A baseline, or why it cannot be read."""
    try:
        return Normality.load(file), ""
    except BaselineError as error:
        return None, str(error)


def test_what_other_detectors_add_to_a_baseline_is_kept(learned: Path) -> None:
    normal = Normality.load(learned)
    assert "anomaly/models.json" in normal.extras
    more = {**normal.extras, "other/points.json": b"[1]", "other/empty": b""}
    replace(normal, extras=more).save(learned)
    said("baseline", "approve", learned, "--by", "Li Na")
    assert Normality.load(learned).extras == more
    bytes_of_it = learned.read_bytes()
    Normality.load(learned).save(learned)
    assert learned.read_bytes() == bytes_of_it


def test_models_that_cannot_be_read_are_one_line(quiet: Path, learned: Path) -> None:
    normal = Normality.load(learned)
    replace(normal, extras={**normal.extras, "anomaly/value.parquet": b"PAR1"}).save(learned)
    outcome = CliRunner().invoke(icsight, ["detect", str(quiet), "--baseline", str(learned)])
    assert outcome.exit_code == 2
    assert "its models cannot be read" in outcome.output


def test_two_ways_of_saying_what_is_normal_are_refused(quiet: Path, learned: Path) -> None:
    outcome = CliRunner().invoke(icsight, ["detect", str(quiet), "--baseline", str(learned), "--learn", str(quiet)])
    assert outcome.exit_code == 2


def test_a_decision_that_detection_would_not_read_is_refused_in_one_line(tmp_path: Path) -> None:
    stranger = "10.0.0.66"
    wrong = {
        ("accept", "--client", stranger, "--point", "x" * (TEXT + 1), "--by", "lin"): "--point has 1025 characters",
        ("accept", "--client", stranger, "--by", "l" * (TEXT + 1)): "names of at most 1024",
    }
    for (command, *options), line in wrong.items():
        outcome = CliRunner().invoke(icsight, ["baseline", command, str(tmp_path), *options])
        assert (outcome.exit_code, len(outcome.stderr.splitlines())) == (2, 1), outcome.output
        assert line in outcome.stderr
    assert Inbox(tmp_path).waiting() == []
    said("baseline", "accept", tmp_path, "--client", stranger, "--point", "x" * TEXT, "--by", "lin")
    ((_, decision),) = Inbox(tmp_path).waiting()
    assert isinstance(decision, Decision)
    assert decision.point == "x" * TEXT
