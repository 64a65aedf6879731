"""Every rule is proved when it is loaded: it compiles, its fields are known, and a record of its own fires it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from click.testing import CliRunner

from detection.cli import detect as detect_command
from detection.pipeline import Pipeline
from detection.ruleset import RuleFiles
from detection.sigma.proof import NOT_FIRED, prove, unproved
from detection.sigma.rule import load, load_sound, rules_folder
from detection.site import Site
from tests.detection.traffic import correlation, rule

if TYPE_CHECKING:
    from pathlib import Path

    from detection.sigma.rule import Fault

GOOD = rules_folder() / "modbus" / "restart_communications.yml"


def written(folder: Path, *documents: dict[str, Any], name: str = "one") -> None:
    (folder / f"{name}.yml").write_text(yaml.safe_dump_all(documents, allow_unicode=True), encoding="utf-8")


def proved(folder: Path) -> tuple[set[str], list[Fault]]:
    rules, faults = load_sound([folder])
    left, more = prove(rules, Site())
    return {each.name for each in left}, [*faults, *more]


def test_every_rule_of_the_product_is_fired_by_a_record_of_its_own() -> None:
    rules = load([rules_folder()])
    left, faults = prove(rules, Site())
    assert faults == []
    assert left == rules


def test_the_proof_does_not_need_the_test_captures(tmp_path: Path) -> None:
    for file in rules_folder().rglob("*.yml"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert unproved(load([tmp_path])) == []


@pytest.mark.parametrize(
    "selection",
    [
        {"modbus.values|gt": 200},
        {"modbus.data|startswith": "00 5a"},
        {"modbus.written[499]|gt": 20},
        {"modbus.last_address|gte": 499, "modbus.address|lte": 499},
        {"client.ip|cidr": "10.9.0.0/16", "server.ip|startswith": "10."},
        {"network.client_public": True},
        {"client.ip|expand": "%friends%", "modbus.access": "write"},
        {"ts|expand": "%hours%"},
        {"modbus.response_time|gt": 5_000_000},
        {"modbus.exception_code": None, "modbus.unit_id|gte": 248},
        {"modbus.quantity|fieldref": "modbus.write_quantity"},
    ],
    ids=str,
)
def test_a_record_is_made_of_any_condition(tmp_path: Path, selection: dict[str, Any]) -> None:
    written(tmp_path, rule("one", "low", {"selection": selection}))
    assert proved(tmp_path) == ({"one"}, [])


@pytest.mark.parametrize(
    "section",
    [
        correlation("event_count", ["part"], "60s", ["client.ip"], gte=30),
        correlation("value_count", ["part"], "60s", ["client.ip"], gte=30, field="modbus.address"),
        correlation("value_sum", ["part"], "60s", ["client.ip"], gte=300_000, field="modbus.quantity"),
        correlation("value_avg", ["part"], "60s", ["client.ip"], lt=3, field="modbus.bytes"),
        correlation("value_median", ["part"], "60s", [], gt=30, field="modbus.bytes"),
        correlation("temporal", ["part", "other"], "60s", ["client.ip"]),
        correlation("temporal_ordered", ["other", "part"], "60s", ["client.ip"]),
    ],
    ids=lambda section: section["type"],
)
def test_a_correlation_is_fired_by_as_many_records_as_it_needs(tmp_path: Path, section: dict[str, Any]) -> None:
    part = rule("part", None, {"selection": {"modbus.function_code": 3}})
    other = rule("other", None, {"selection": {"modbus.function_code": 16}})
    whole = rule("whole", "low", correlation=section)
    if section["type"].startswith("value") or section["type"] == "event_count":
        written(tmp_path, part, whole)
    else:
        written(tmp_path, part, other, whole)
    names, faults = proved(tmp_path)
    assert (names & {"whole"}, faults) == ({"whole"}, [])


def test_a_rule_that_its_own_record_does_not_fire_is_told_and_the_rest_go_on(tmp_path: Path) -> None:
    written(tmp_path, rule("fine", "low", {"selection": {"modbus.function_code": 8}}), name="fine")
    never = {"selection": {"modbus.function_code": 8}}
    written(tmp_path, rule("never", "low", never, icsight={"record": {"modbus.function_code": 9}}), name="never")
    written(tmp_path, rule("unknown", "low", {"selection": {"modbus.no": 8}}), name="unknown")
    (tmp_path / "broken.yml").write_text("title: [", encoding="utf-8")
    names, faults = proved(tmp_path)
    assert names == {"fine", "never"}
    told = {(fault.path.stem, fault.rule): fault.text for fault in faults}
    assert set(told) == {("never", "never"), ("unknown", "unknown"), ("broken", "")}
    assert told["never", "never"] == NOT_FIRED
    assert "unknown field modbus.no" in told["unknown", "unknown"]


def test_what_cannot_be_used_is_an_alert_in_both_languages(tmp_path: Path) -> None:
    written(tmp_path, rule("unknown", "low", {"selection": {"modbus.no": 8}}), name="unknown")
    (tmp_path / "good.yml").write_bytes(GOOD.read_bytes())
    files = RuleFiles([tmp_path])
    pipeline, told = Pipeline.proved(files.read(), Site())
    assert set(pipeline.detector.rules) == {"restart_communications"}
    (alert,) = told
    assert alert.rule == "rule_not_loaded"
    assert "unknown field modbus.no" in alert.body["texts"]["en"]["summary"]
    assert "unknown" in alert.body["texts"]["zh-CN"]["summary"]
    assert "有规则未生效" in alert.body["texts"]["zh-CN"]["title"]
    assert Pipeline.proved(files.read(), Site())[1] == told, "the same fault is the same alert"


def test_the_detect_command_goes_on_with_the_other_rules_and_tells(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "broken.yml").write_text("title: [", encoding="utf-8")
    (tmp_path / "rules" / "good.yml").write_bytes(GOOD.read_bytes())
    capture = GOOD.with_name("restart_communications.fires.pcap")
    options = [str(capture), "--rules", str(tmp_path / "rules"), "--output", "json"]
    result = CliRunner().invoke(detect_command, options, catch_exceptions=False)
    assert result.exit_code == 1
    assert [json.loads(line)["rule"] for line in result.stdout.splitlines()] == ["rule_not_loaded", "restart_communications"]


def test_what_a_site_sets_of_rules_holds_and_what_cannot_be_set_is_told(tmp_path: Path) -> None:
    settings = {
        "restart_communications": {"enabled": False, "reason": "commissioning"},
        "address_sweep": {"threshold": 4_000, "reason": "the historian reads everything"},
        "no_such_rule": {"enabled": False, "reason": "left over"},
        "force_listen_only_mode": {"threshold": 3, "reason": "no threshold there"},
    }
    site = Site.model_validate({"rules": settings})
    pipeline, told = Pipeline.proved(RuleFiles().read(), site)
    assert pipeline.detector.windows["address_sweep"].threshold == 4_000
    assert not pipeline.detector.rules["restart_communications"].alerts
    assert {(alert.rule, alert.body["target"]["rule.name"]) for alert in told} == {
        ("rule_override_unfit", "no_such_rule"),
        ("rule_override_unfit", "force_listen_only_mode"),
    }
    assert site.version != Site().version
    del tmp_path
