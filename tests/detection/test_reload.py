"""Rules that change while detection runs hold from a recorded place on; files that cannot be used change nothing and are told."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

import yaml

from collector.stream.local import LocalStream
from detection import worker as loop
from detection.alerts import decode_alerts
from detection.control import Control
from detection.pipeline import Pipeline
from detection.ruleset import RuleFiles, Ruleset
from detection.site import Site
from detection.worker import LiveRules, Worker
from sensor.spool import Spool
from tests.detection.test_worker import outgoing
from tests.detection.traffic import START, cut, request, rule

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

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
        self.control = Control(LocalStream(folder / "control", self.decisions))
        self.cuts = 0

    def rule(self, name: str, function: int, text: str | None = None) -> None:
        document = rule(name, "low", {"selection": {"modbus.function_code": function}})
        path = self.folder / "rules" / f"{name}.yml"
        path.write_text(text or yaml.safe_dump(document), encoding="utf-8")
        os.utime(path, ns=(time.time_ns(), time.time_ns()))

    def worker(self, checkpoint: str = "detection.json") -> Worker:
        files = RuleFiles([self.folder / "rules"])
        ruleset = files.read()
        pipeline, told = Pipeline.proved(ruleset, Site())
        records, alerts = LocalStream(self.folder / "spool"), LocalStream(self.folder / "alerts", self.alerts)
        live = LiveRules(files, ruleset, told)
        return Worker(records, alerts, pipeline, self.folder / checkpoint, self.control, rules=live)

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

    def names(self) -> list[str]:
        return sorted({alert.rule for alert in self.told()})

    def close(self) -> None:
        for spool in (self.records, self.decisions, self.alerts):
            spool.close()


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
    worker, stop = plant.worker(), threading.Event()
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    try:
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
    finally:
        stop.set()
        thread.join()
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


def test_a_version_of_the_rules_is_the_same_after_its_way_down(tmp_path: Path) -> None:
    (tmp_path / "one.yml").write_text(yaml.safe_dump(rule("one", "low", {"selection": {"modbus.unit_id": 1}})))
    ruleset = RuleFiles([tmp_path]).read()
    again = Ruleset.from_text(ruleset.to_text())
    assert again.version == ruleset.version
    assert [each.content for each in again.rules] == [each.content for each in ruleset.rules]
    (tmp_path / "one.yml").write_text(yaml.safe_dump(rule("one", "high", {"selection": {"modbus.unit_id": 1}})))
    assert RuleFiles([tmp_path]).read().version != ruleset.version
