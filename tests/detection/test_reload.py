"""Rules, facts of the site and exceptions that change while detection runs hold from a recorded place on; files that cannot be
used change nothing and are told."""

from __future__ import annotations

import gc
import json
import os
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from collector.stream.local import LocalStream
from detection import in_force
from detection import inbox as inbox_module
from detection import worker as loop
from detection.alerts import decode_alerts
from detection.control import Control
from detection.exceptions import Change, held
from detection.in_force import LiveRules
from detection.inbox import Inbox
from detection.pipeline import Pipeline
from detection.ruleset import RuleFiles, Ruleset
from detection.site_file import SiteFile
from detection.tuning import EXCEPTIONS, Exemption
from detection.worker import Worker
from sensor.spool import Spool
from tests.detection.test_worker import alerts_of, outgoing
from tests.detection.traffic import START, cut, request, rule

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from detection.alerts import Alert

STEP = 10_000_000_000


class Plant:
    """A worker over rules and records that a test writes, on threads and files as in production."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "rules").mkdir()
        self.rule("first", 8)
        self.records = Spool(folder / "spool", sensor="test")
        self.decisions = Spool(folder / "control", sensor="control")
        self.alerts = Spool(folder / "alerts", sensor="detection")
        self.control = Control(LocalStream(folder / "control", self.decisions), Inbox(folder))
        self.cuts = 0
        self.site("site: works\n")

    def site(self, text: str) -> None:
        path = self.folder / "site.yml"
        path.write_text(text, encoding="utf-8")
        os.utime(path, ns=(time.time_ns(), time.time_ns()))

    def rule(self, name: str, function: int, text: str | None = None) -> None:
        document = rule(name, "low", {"selection": {"modbus.function_code": function}})
        path = self.folder / "rules" / f"{name}.yml"
        path.write_text(text or yaml.safe_dump(document), encoding="utf-8")
        os.utime(path, ns=(time.time_ns(), time.time_ns()))

    def worker(self, checkpoint: str = "detection.json") -> Worker:
        files = RuleFiles([self.folder / "rules"])
        ruleset = files.read()
        site_file = SiteFile(self.folder / "site.yml")
        pipeline, told = Pipeline.proved(ruleset, site_file.read())
        records, alerts = LocalStream(self.folder / "spool"), LocalStream(self.folder / "alerts", self.alerts)
        live = LiveRules(files, ruleset, told)
        return Worker(records, alerts, pipeline, self.folder / checkpoint, self.control, rules=live, site_file=site_file)

    def send(self, *functions: int) -> None:
        rows = [request(10 * self.cuts + at, server=f"10.0.1.{number}", function=number) for at, number in enumerate(functions)]
        batches = cut(rows, self.cuts, START + self.cuts * STEP)
        LocalStream(self.folder / "spool", self.records).publish([outgoing(batch) for batch in batches])
        self.cuts += 1

    def told(self) -> list[Alert]:
        found: list[Alert] = []
        with LocalStream(self.folder / "alerts").subscribe("reader") as consumer:
            while deliveries := consumer.poll(0):
                found += [alert for delivery in deliveries for alert in decode_alerts(delivery.data)]
        return found

    def standing(self) -> dict[str, tuple[int, str | None]]:
        """The last revision of each alert: its count and the exception that hides it, by rule and server."""
        newest = {alert.id: alert for alert in sorted(self.told(), key=lambda alert: alert.revision)}
        return {
            f"{alert.rule} {alert.server_ip} {'' if alert.exception is None else alert.exception['name']}": (
                alert.count, None if alert.exception is None else alert.exception.get("by"),
            )
            for alert in newest.values()
        }  # fmt: skip

    def names(self) -> list[str]:
        return sorted({alert.rule for alert in self.told()})

    def close(self) -> None:
        for spool in (self.records, self.decisions, self.alerts):
            spool.close()


@contextmanager
def running(worker: Worker) -> Generator[Worker]:
    """The worker at work on a thread of its own."""
    stop = threading.Event()
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    try:
        yield worker
    finally:
        stop.set()
        thread.join()


def until(holds: Callable[[], Any]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def test_a_changed_rule_holds_from_its_place_on_and_a_broken_file_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "RELOAD_SECONDS", 0.05)
    plant = Plant(tmp_path)
    with running(plant.worker()) as worker:
        plant.send(8, 43)
        until(lambda: plant.names() == ["first"])
        plant.rule("second", 43)
        until(lambda: worker.counters.reloads == 1)
        plant.send(43)
        until(lambda: plant.names() == ["first", "second"])
        plant.rule("second", 43, text="title: [")
        until(lambda: "rules_not_reloaded" in plant.names())
        plant.send(43)
        until(lambda: max(alert.count for alert in plant.told() if alert.rule == "second") == 2)
    versions = plant.control.rulesets()
    assert [each.position.offsets.get("0", 0) for each in versions] == [0, 1]
    assert [len(each.rules.rules) for each in versions] == [1, 2]

    plant.rule("second", 43)
    replay = plant.worker("replay.json")
    before = plant.told()
    replay.drain()
    again = plant.told()[len(before) :]
    wanted = {alert.id: alert.count for alert in before if alert.rule in {"first", "second"}}
    assert {alert.id: alert.count for alert in again} == wanted, "each version from its own place on"
    plant.close()


def settled(_: RuleFiles | SiteFile) -> bool:
    return True


@pytest.mark.parametrize("changed", ["before the start", "after the start"])
def test_what_is_repeated_after_a_crash_is_judged_by_the_files_of_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    """Killed between its alerts and its checkpoint: files that changed since hold behind what it had looked at."""
    monkeypatch.setattr(loop, "RELOAD_SECONDS", -1.0)
    for files in (RuleFiles, SiteFile):
        monkeypatch.setattr(files, "settled", settled)
    plant, checkpoint = Plant(tmp_path), tmp_path / "detection.json"
    first = plant.worker()
    before = checkpoint.read_bytes()
    for functions in ((8, 43), (8,)):
        plant.send(*functions)
        first.drain()
    checkpoint.write_bytes(before)
    told = alerts_of(tmp_path)

    def change() -> None:
        plant.rule("first", 8, text=yaml.safe_dump(rule("first", "high", {"selection": {"modbus.function_code": 8}})))
        plant.rule("second", 43)
        plant.site(EXCEPTED)

    if changed == "before the start":
        change()
    again = plant.worker()
    change()
    with running(again):
        until(lambda: again.counters.batches == 2)
        assert alerts_of(tmp_path) == told
        until(lambda: [each.position.offsets.get("0", 0) for each in plant.control.rulesets()] == [0, 2])
        until(lambda: [each.position.offsets.get("0", 0) for each in plant.control.sites()] == [0, 2])
        plant.send(8, 43)
        until(lambda: plant.names() == ["first", "second"])
        until(lambda: plant.standing().get("first 10.0.1.8 known") is not None)
    plant.close()


EXCEPTED = """
site: works
exceptions:
  - {name: known, rules: [first], servers: [10.0.1.8], end: 2100-01-01T00:00:00Z, reason: known, by: lin.wei}
"""


def test_a_changed_site_file_holds_from_its_place_on_and_a_broken_one_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "RELOAD_SECONDS", 0.05)
    plant = Plant(tmp_path)
    with running(plant.worker()) as worker:
        plant.send(8)
        until(lambda: plant.names() == ["first"])
        plant.site(EXCEPTED)
        until(lambda: worker.counters.reloads == 1)
        assert [each.name for each in worker.site.exceptions] == ["known"]
        plant.send(8, 8)
        until(lambda: plant.standing().get("first 10.0.1.8 known") == (2, "lin.wei"))
        for number, broken in enumerate(("site: works\nbudget: much", "lists: [", "site: other"), 1):
            plant.site(broken)
            until(lambda number=number: sum(alert.rule == "site_not_reloaded" for alert in plant.told()) == number)
        plant.send(8)
        until(lambda: plant.standing()["first 10.0.1.8 known"] == (3, "lin.wei"))
    assert plant.standing()["first 10.0.1.8 "] == (1, None)
    refused = next(alert for alert in plant.told() if alert.rule == "site_not_reloaded" and "budget" in str(alert.body["texts"]))
    assert "site.yml" in refused.body["texts"]["en"]["summary"]
    assert "site.yml" in refused.body["texts"]["zh-CN"]["summary"]
    assert [each.position.offsets.get("0", 0) for each in plant.control.sites()] == [0, 1]

    before = plant.told()
    plant.site(EXCEPTED)
    plant.worker("replay.json").drain()
    newest = {alert.id: alert.count for alert in before if alert.rule == "first"}
    assert {alert.id: alert.count for alert in plant.told()[len(before) :]} == newest, "each version from its own place on"
    plant.close()


def unreadable(path: Path, encoding: str | None = None) -> str:
    raise OSError(path, encoding)


def test_a_file_that_is_no_decision_is_set_aside_and_one_that_cannot_be_read_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant = Plant(tmp_path)
    inbox = Inbox(tmp_path)
    inbox.put(excepted("known", servers=("10.0.1.8",)))
    folder = tmp_path / inbox_module.FOLDER
    (folder / "00-broken.json").write_text("{")
    (folder / "01-folder.json").mkdir()
    worker = plant.worker()
    with monkeypatch.context() as unread:
        unread.setattr(Path, "read_text", unreadable)
        worker.drain()
    assert len(inbox.waiting()) == 2, "of three, only the folder was none"
    worker = plant.worker()
    worker.drain()
    assert inbox.waiting() == []
    assert [each.decision.name for each in plant.control.changes()] == ["known"]
    assert sorted(path.name for path in folder.iterdir()) == ["00-broken.json.refused", "01-folder.json.refused"]
    assert worker.counters.refused == 1
    plant.close()


def test_detectors_of_few_versions_are_kept_and_each_batch_has_those_of_its_own(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    ranks: list[float] = []
    for weight in range(1, 2 * in_force.KEPT):
        plant.site(f"site: works\ncritical: {{10.0.1.8: {weight / 2:g}}}\n")
        plant.send(8)
        plant.worker().drain()
        ranks.append(max(alert.rank for alert in plant.told()))
    replay, before = plant.worker("replay.json"), len(plant.told())
    replay.drain()
    gc.collect()
    assert sum(isinstance(each, Pipeline) for each in gc.get_objects()) <= in_force.KEPT + 2
    assert max(alert.rank for alert in plant.told()[before:]) == ranks[-1] > ranks[0]
    plant.close()


def excepted(name: str, **scope: Any) -> Change:
    whole = {"rules": ("first",), "end": "2100-01-01T00:00:00Z", "reason": "known", "by": "li.na", **scope}
    return Change("except", name, "li.na", Exemption.model_validate({"name": name, **whole}))


def test_an_exception_that_people_make_holds_from_its_own_place_on_also_in_a_replay(tmp_path: Path) -> None:
    """Made, changed, withdrawn; beside one of the file, which keeps its name."""
    plant = Plant(tmp_path)
    plant.site(EXCEPTED)
    inbox = Inbox(tmp_path)

    def step(*decisions: Change) -> dict[str, tuple[int, str | None]]:
        for decision in decisions:
            inbox.put(decision)
        plant.worker().drain()
        assert inbox.waiting() == []
        plant.send(8, 9, 10)
        plant.worker().drain()
        return plant.standing()

    for number in (9, 10):
        plant.rule(f"first_{number}", number)
    step()
    assert step(excepted("mine", rules=("first*",), servers=("10.0.1.9",)))["first_9 10.0.1.9 mine"] == (1, "li.na")
    shown = step(excepted("mine", rules=("first*",), servers=("10.0.1.10",)), excepted("known", rules=("first*",)))
    assert shown["first_10 10.0.1.10 mine"] == (1, "li.na")
    assert shown["first_9 10.0.1.9 "] == (2, None), "changed, it covers this no more; the file's own exception keeps its name"
    last = step(Change("withdraw", "mine", "li.na"), Change("withdraw", "nothing", "li.na"))
    assert last["first_10 10.0.1.10 "] == (3, None)
    assert last["first 10.0.1.8 known"] == (4, "lin.wei")
    assert [each.position.offsets.get("0", 0) for each in plant.control.changes()] == [1, 2, 2, 3, 3]

    before = plant.told()
    plant.worker("replay.json").drain()
    again = {(alert.id, alert.revision, str(alert.body)) for alert in plant.told()[len(before) :]}
    assert again == {(alert.id, alert.revision, str(alert.body)) for alert in before}
    plant.close()


@pytest.mark.parametrize(
    "broken",
    [{"choice": "drop"}, {"exemption": None}, {"name": "other"}, {"exemption": {"name": "mine"}}, {"at": "now"}, {"by": None}],
)
def test_a_decision_about_an_exception_that_makes_no_sense_is_refused(broken: dict[str, Any]) -> None:
    whole = json.loads(excepted("mine").to_json())
    assert Change.from_json(json.dumps(whole)).exemption == excepted("mine").exemption
    with pytest.raises(ValueError, match="not a decision"):
        Change.from_json(json.dumps({**whole, **broken}))


def test_more_exceptions_than_a_site_has_room_for_let_the_oldest_of_people_go() -> None:
    made = [excepted(f"e{number}") for number in range(EXCEPTIONS + 2)]
    (of_file,) = held((), [excepted("file")])
    kept = held((of_file,), made)
    assert len(kept) == EXCEPTIONS
    assert [each.name for each in kept[:2]] == ["file", "e3"]


def test_exceptions_that_have_ended_take_no_room_from_those_that_hold() -> None:
    lasting = [excepted(f"e{number}") for number in range(EXCEPTIONS - 1)]
    ended = [excepted(f"over{number}", end="2020-01-01T00:00:00Z") for number in range(3)]
    names = [each.name for each in held((), [*lasting, *ended, excepted("latest")])]
    assert names == [*(f"e{number}" for number in range(EXCEPTIONS - 1)), "latest"]
    # Those that ended go one by one, the oldest first, and only where there is no room.
    assert [each.name for each in held((), [*lasting[1:], *ended[:2]])][-2:] == ["over0", "over1"]
    assert [each.name for each in held((), [*lasting, *ended])][-2:] == [f"e{EXCEPTIONS - 2}", "over2"]
    # An exception that the latest decision comes before has not ended for it, whatever the clock says.
    early = [replace(each, at=0) for each in [*ended, *lasting]]
    assert held((), early)[0].name == "over2"


def test_a_version_of_the_rules_is_the_same_after_its_way_down(tmp_path: Path) -> None:
    (tmp_path / "one.yml").write_text(yaml.safe_dump(rule("one", "low", {"selection": {"modbus.unit_id": 1}})))
    ruleset = RuleFiles([tmp_path]).read()
    again = Ruleset.from_text(ruleset.to_text())
    assert again.version == ruleset.version
    assert [each.content for each in again.rules] == [each.content for each in ruleset.rules]
    (tmp_path / "one.yml").write_text(yaml.safe_dump(rule("one", "high", {"selection": {"modbus.unit_id": 1}})))
    assert RuleFiles([tmp_path]).read().version != ruleset.version
