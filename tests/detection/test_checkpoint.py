"""The checkpoint: read in parts by who shows what was learned, and refused in one line that says what to do."""

from __future__ import annotations

import io
import json
import random
import tarfile
import threading
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from api.cli import icsight
from collector.stream import Position
from detection import remembered
from detection.anomaly.state import AnomalyState
from detection.baseline.normality import SAID, Normality
from detection.checkpoint import (
    CHECKPOINT_FILE,
    CHECKPOINT_FORMAT,
    Checkpoint,
    CheckpointError,
    check,
    read_checkpoint,
    read_learned,
    read_position,
    write_checkpoint,
)
from detection.pipeline import RunState, State
from sensor.spool import Spool
from tests.detection.test_live_learning import live, polls
from tests.detection.test_live_models import detected, polled, spooled
from tests.detection.test_worker import prepared, worker
from tests.detection.traffic import EPOCH

if TYPE_CHECKING:
    from detection.baseline.detector import BaselineState

WRITTEN = Path(__file__).parent / "checkpoint_of_format_19.tar.xz"
CAPTURE = Path(__file__).parents[2] / "rules" / "modbus" / "write_by_unauthorised_client.fires.pcap"


@pytest.fixture(scope="module")
def baseline() -> BaselineState:
    """What four hours taught."""
    return live(polls(0, 4))[0]


def archive(**members: str) -> bytes:
    """A zip archive that is not compressed; names with _ for the dot."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as made:
        for name, text in members.items():
            made.writestr(name.replace("_", "."), text)
    return content.getvalue()


FITS = json.dumps({"format": CHECKPOINT_FORMAT, "position": "{}", "epoch": "e", "order": {}, "ended": True, "site": ""})


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "cannot be read"),
        (b"{}", "cannot be read"),
        (b"PK" + b"x" * 100, "cannot be read"),
        (archive(other_json="{}"), "damaged"),
        (archive(checkpoint_json="{}"), "damaged"),
        (
            archive(checkpoint_json='{"format": 18}'),
            "written by an older version of icsight (checkpoint 18, this one reads 19 and 20)",
        ),
        (archive(checkpoint_json=FITS), "damaged"),
        (archive(checkpoint_json=FITS, runs_json="{}"), "damaged"),
        (archive(checkpoint_json=FITS, runs_json='{"runs": [["a", "b"]], "sites": {}, "forgotten": 0}'), "damaged"),
    ],
)
def test_a_checkpoint_that_is_damaged_or_too_old_is_told_in_one_line(tmp_path: Path, content: bytes, why: str) -> None:
    prepared(tmp_path, 1)
    (tmp_path / "detection.json").write_bytes(content)
    with Spool(tmp_path / "alerts", sensor="detection") as alerts, pytest.raises(CheckpointError) as told:
        worker(tmp_path, alerts)
    assert why in str(told.value)
    assert "move it away" in str(told.value)
    assert "\n" not in str(told.value)


def test_a_checkpoint_of_before_it_was_an_archive_is_of_an_older_version(tmp_path: Path) -> None:
    (tmp_path / "detection.json").write_text('{"format": 14}')
    with pytest.raises(CheckpointError, match=r"detection\.json: written by an older version of icsight; move it away"):
        read_checkpoint(tmp_path / "detection.zip")


def test_a_checkpoint_of_a_newer_version_is_refused_in_one_line_and_not_touched(tmp_path: Path) -> None:
    prepared(tmp_path, 1)
    content = archive(checkpoint_json=json.dumps({"format": CHECKPOINT_FORMAT + 1, "what": "nobody knows"}))
    (tmp_path / "detection.json").write_bytes(content)
    line = (
        r"^\S+detection\.json: written by a newer version of icsight \(checkpoint 21, this one reads 19 and 20\): update icsight$"
    )
    with Spool(tmp_path / "alerts", sensor="detection") as alerts:
        with pytest.raises(CheckpointError, match=line):
            worker(tmp_path, alerts)
        assert alerts.next_number == 0, "nothing was told"
    for read in (check, read_learned, read_position):
        with pytest.raises(CheckpointError, match=line):
            read(tmp_path / "detection.json")
    assert (tmp_path / "detection.json").read_bytes() == content


def test_what_the_version_before_remembered_is_gone_on_from_and_no_alert_is_lost_or_doubled(tmp_path: Path) -> None:
    """`checkpoint_of_format_19.tar.xz` was left by the last commit of that format after 600 of these records."""
    records = polled(6)
    for late in records[660:700:2]:
        late["modbus.response_time"] = 9_000_000_000
    borders = range(40, len(records), 40)
    whole, upgraded = tmp_path / "whole", tmp_path / "upgraded"
    spooled(whole, records, borders)
    wanted = detected(whole)
    upgraded.mkdir()
    with tarfile.open(WRITTEN) as archive:
        archive.extractall(upgraded, filter="data")
    assert read_position(upgraded / CHECKPOINT_FILE.with_stem("alerts")) == Position({"0": 30}, {("test", EPOCH): 29})
    spooled(upgraded, records, borders)
    found = detected(upgraded)
    assert found == wanted
    assert len(found) > 2, "the version before told two of them"
    assert len({(name, revision) for name, revision, *_ in found}) == len(found)


def test_what_was_learned_is_read_without_what_is_not_asked_for(baseline: BaselineState) -> None:
    learned = RunState(baseline=baseline, anomaly=AnomalyState.learning_live())
    members = remembered.parted(State({("a", "e"): learned, ("b", "f"): RunState()}))
    read: list[str] = []

    def of(name: str) -> bytes:
        read.append(name)
        return members[name]

    runs, ((run, found, promise),) = remembered.learned(list(members), of)
    assert (runs, run, promise) == ([("a", "e"), ("b", "f")], ("a", "e"), None)
    assert found.whole.facts.drop("key").equals(baseline.whole.facts.drop("key"))
    assert found.whole.facts.height
    assert read == ["runs.json", "runs/0/baseline.json", "runs/0/facts.arrow", "runs/0/pending.arrow"]
    assert {name for name in members if name.startswith("runs/0/models")}, "the models are there, and are not read"


def test_what_was_learned_is_read_from_the_file_as_it_is_in_the_whole(tmp_path: Path, baseline: BaselineState) -> None:
    state = State({("a", "e"): RunState(baseline=baseline)})
    write_checkpoint(tmp_path / "detection.zip", Checkpoint(Position({"0": 3}), state, "e", {"clocks": []}, ended=True, site="v"))
    whole = read_checkpoint(tmp_path / "detection.zip")
    assert (whole.position, whole.ended, whole.site) == (Position({"0": 3}), True, "v")
    runs, ((run, found, _),) = read_learned(tmp_path / "detection.zip")
    assert (runs, run) == ([("a", "e")], ("a", "e"))
    other = whole.state.runs[run].baseline
    assert other is not None
    assert found.whole.facts.equals(other.whole.facts)
    (tmp_path / "detection.zip").write_bytes(
        (tmp_path / "detection.zip").read_bytes().replace(b'"learns": ""', b'"learns": "x', 1)
    )
    with pytest.raises(CheckpointError, match="damaged"):
        read_learned(tmp_path / "detection.zip")


@pytest.mark.parametrize("seed", range(2))
def test_whichever_bit_of_a_checkpoint_is_another_it_is_read_as_it_was_or_told_in_one_line(
    tmp_path: Path, baseline: BaselineState, seed: int
) -> None:
    file, source = tmp_path / "detection.zip", random.Random(seed)
    state = State({("a", "e"): RunState(baseline=baseline, anomaly=AnomalyState.learning_live()), ("b", "f"): RunState()})
    write_checkpoint(file, Checkpoint(Position({"0": 3}), state, "e", {"clocks": []}, ended=True, site="v"))
    sound = file.read_bytes()
    # Half of them in the archive's directory and the heads of members: what the members hold has a checksum.
    heads = [place for place in range(len(sound)) if any(sound.startswith(b"PK", place - back) for back in range(46))]
    places = [*source.choices(range(len(sound)), k=40), *source.choices(heads, k=60)]
    refused: list[str] = []
    for place in places:
        changed = bytearray(sound)
        changed[place] ^= 1 << source.randrange(8)
        file.write_bytes(changed)
        for read in (read_checkpoint, check, read_learned):
            try:
                read(file)
            except CheckpointError as error:
                refused.append(str(error))
    assert len(refused) > len(places) // 2
    assert all("move it away" in text and "\n" not in text for text in refused)


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that run until a signal comes end at once."""
    stop = threading.Event()
    stop.set()
    monkeypatch.setattr("api.commands.until_signal", lambda: stop)


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize("file", ["detection.json", CHECKPOINT_FILE.name])
def test_run_and_serve_and_baseline_say_of_an_old_checkpoint_what_to_do(tmp_path: Path, file: str) -> None:
    def said(*arguments: object) -> tuple[int, list[str]]:
        outcome = CliRunner().invoke(icsight, [str(argument) for argument in arguments])
        lines = [line for line in outcome.stderr.splitlines() if "older version of icsight" in line and "; move it away" in line]
        return outcome.exit_code, lines

    data = tmp_path / "data"
    assert said("run", "--capture", CAPTURE, "--data", data, "--port", 0) == (0, [])
    made = (data / CHECKPOINT_FILE).with_name(file)
    (data / CHECKPOINT_FILE).unlink()
    made.write_bytes(archive(checkpoint_json='{"format": 1}'))
    code, (line,) = said("run", "--capture", CAPTURE, "--data", data, "--port", 0)
    assert (code, str(made) in line) == (2, True), "it cannot go on"
    code, (line,) = said("serve", "--data", data, "--port", 0)
    assert (code, str(made) in line) == (0, True), "all but what was learned can be shown"
    code, (line,) = said("baseline", "show", data)
    assert (code, str(made) in line) == (2, True)
    made.unlink()
    assert said("run", "--capture", CAPTURE, "--data", data, "--port", 0) == (0, []), "what the line says helps"


def test_detect_says_of_an_old_baseline_what_to_do(tmp_path: Path, baseline: BaselineState) -> None:
    file = tmp_path / "works.baseline"
    baseline.whole.save(file)
    assert Normality.load(file).facts.height
    members: dict[str, bytes] = {}
    with zipfile.ZipFile(file) as made:
        members = {name: made.read(name) for name in made.namelist()}
    with zipfile.ZipFile(file, "w") as made:
        for name, content in members.items():
            old = {**json.loads(content), "format": 1} if name == SAID else None
            made.writestr(name, content if old is None else json.dumps(old))
    outcome = CliRunner().invoke(icsight, ["detect", str(CAPTURE), "--baseline", str(file)])
    assert outcome.exit_code == 2
    (line,) = outcome.stderr.strip().splitlines()
    assert line == f"error: {file}: a baseline of an older version: learn it anew with `icsight baseline learn`"


def test_a_baseline_of_a_newer_version_is_refused_in_one_line_and_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "works.baseline"
    file.write_bytes(archive(**{SAID.replace(".", "_"): '{"format": 99}'}))
    before = file.read_bytes()
    outcome = CliRunner().invoke(icsight, ["detect", str(CAPTURE), "--baseline", str(file)])
    assert (outcome.exit_code, outcome.stderr.strip()) == (
        2, f"error: {file}: written by a newer version (format 99, this one reads 2): update icsight",
    )  # fmt: skip
    assert file.read_bytes() == before
