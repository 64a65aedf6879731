"""A rule that is incomplete, cannot fire, or is not fired by its own traffic is refused, and told why."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from click.testing import CliRunner

from detection.cli import detect as detect_command
from detection.cli import rules as rules_command
from detection.sigma.check import check
from detection.sigma.rule import RuleError, load, rules_folder
from tests.detection.traffic import correlation, rule

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

GOOD = rules_folder() / "modbus" / "restart_communications.yml"
"""A rule of the product, complete with its traffic."""


def copied(folder: Path, *, name: str = "restart_communications") -> dict[str, Any]:
    """The good rule's traffic in a folder; returns the rule to be changed."""
    for kind in ("fires", "quiet"):
        shutil.copy(GOOD.with_name(f"restart_communications.{kind}.pcap"), folder / f"{name}.{kind}.pcap")
    (document,) = yaml.safe_load_all(GOOD.read_text(encoding="utf-8"))
    return document


def written(folder: Path, *documents: dict[str, Any], name: str = "restart_communications") -> list[str]:
    """What is wrong with the rules of one file."""
    (folder / f"{name}.yml").write_text(yaml.safe_dump_all(documents, allow_unicode=True), encoding="utf-8")
    return [fault.text for fault in check(load([folder]))]


def test_a_complete_rule_that_its_traffic_fires_holds(tmp_path: Path) -> None:
    assert written(tmp_path, copied(tmp_path)) == []


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (["id"], "has no id"),
        (["status"], "has no status"),
        (["level"], "has no level"),
        (["tags"], "names no technique"),
        (["falsepositives"], "names no false positives"),
        (["references"], "names no references"),
        (["icsight", "test"], "which protocol stack"),
        (["icsight", "texts", "zh-CN"], "has no texts in zh-CN"),
        (["icsight", "texts", "en"], "has no texts in en"),
        (["icsight", "texts", "en", "summary"], "has no summary in en"),
        (["icsight", "texts", "zh-CN", "expected"], "has no expected in zh-CN"),
        (["icsight", "texts", "zh-CN", "observed"], "has no observed in zh-CN"),
        (["icsight", "texts", "en", "next_steps"], "has no next steps in en"),
    ],
    ids=str,
)
def test_a_rule_that_lacks_a_part_is_refused(tmp_path: Path, path: Sequence[str], reason: str) -> None:
    document = copied(tmp_path)
    part = document
    for name in path[:-1]:
        part = part[name]
    del part[path[-1]]
    assert any(reason in text for text in written(tmp_path, document))


def test_a_rule_about_who_did_something_must_name_a_client(tmp_path: Path) -> None:
    event = rule("event", None, {"selection": {"modbus.function_code": 8}})
    document = copied(tmp_path)
    del document["detection"], document["logsource"]
    document["correlation"] = correlation("event_count", ["event"], "60s", ["server.ip"], gte=1)
    document["icsight"]["about"] = "circumstances"
    assert any("add client.ip to group-by" in text for text in written(tmp_path, event, document))
    document["correlation"]["group-by"] = ["server.ip", "client.ip"]
    assert not any("add client.ip to group-by" in text for text in written(tmp_path, event, document))


def test_a_rule_is_about_an_act_or_about_circumstances(tmp_path: Path) -> None:
    document = copied(tmp_path)
    document["icsight"]["about"] = "weather"
    with pytest.raises(RuleError, match=r"icsight.about"):
        written(tmp_path, document)


@pytest.mark.parametrize("kind", ["fires", "quiet"])
def test_a_rule_without_test_traffic_is_refused(tmp_path: Path, kind: str) -> None:
    document = copied(tmp_path)
    (tmp_path / f"restart_communications.{kind}.pcap").unlink()
    assert any(f"restart_communications.{kind}.pcap is missing" in text for text in written(tmp_path, document))


def test_a_rule_that_its_own_traffic_does_not_fire_is_refused(tmp_path: Path) -> None:
    document = copied(tmp_path)
    shutil.copy(tmp_path / "restart_communications.quiet.pcap", tmp_path / "restart_communications.fires.pcap")
    assert written(tmp_path, document) == ["is not fired by restart_communications.fires.pcap"]


def test_a_rule_that_its_quiet_traffic_fires_is_refused(tmp_path: Path) -> None:
    document = copied(tmp_path)
    shutil.copy(tmp_path / "restart_communications.fires.pcap", tmp_path / "restart_communications.quiet.pcap")
    assert written(tmp_path, document) == ["is fired by restart_communications.quiet.pcap, which must not"]


def test_test_traffic_that_is_no_capture_is_told(tmp_path: Path) -> None:
    document = copied(tmp_path)
    (tmp_path / "restart_communications.fires.pcap").write_bytes(b"PK\x03\x04 no capture")
    assert any("not a capture" in text for text in written(tmp_path, document))


def test_an_old_technique_is_refused_with_the_new_one_named(tmp_path: Path) -> None:
    faults = written(tmp_path, {**copied(tmp_path), "tags": ["attack.t0855"]})
    assert faults == ["names T0855, which release 19 does not have: write T1692.001"]


def test_a_technique_that_never_was_is_refused(tmp_path: Path) -> None:
    assert written(tmp_path, {**copied(tmp_path), "tags": ["attack.t9999"]}) == ["names T9999, which release 19 does not have"]


def test_a_file_of_another_name_is_refused(tmp_path: Path) -> None:
    document = copied(tmp_path, name="other")
    assert written(tmp_path, document, name="other") == ["stands in other.yml: name the file restart_communications.yml"]


def test_two_rules_with_one_id_are_refused(tmp_path: Path) -> None:
    document = copied(tmp_path)
    other = {**document, "name": "other", "title": "Other"}
    copied(tmp_path, name="other")
    (tmp_path / "other.yml").write_text(yaml.safe_dump(other), encoding="utf-8")
    assert written(tmp_path, document) == ["has the id of other: draw another UUID"]


@pytest.mark.parametrize(
    ("selection", "condition", "reason"),
    [
        ({"modbus.nowhere": 1}, "selection", "unknown field modbus.nowhere"),
        ({"modbus.function": "reed_coils"}, "selection", "modbus.function is never 'reed_coils'"),
        ({"modbus.function": ["diagnostics", "reed_coils"]}, "selection", "modbus.function is never 'reed_coils'"),
        ({"modbus.unit_id": 256}, "selection", "modbus.unit_id is never"),
        ({"modbus.unit_id|gt": 255}, "selection", "modbus.unit_id is never"),
        ({"modbus.unit_id": None}, "selection", "modbus.unit_id is never missing"),
        ({"modbus.address|gt": 65_535}, "selection", "modbus.address is never"),
        ({"modbus.address|gt": 9, "modbus.address|lt": 10}, "selection", "can never fire: no value of modbus.address"),
        ({"modbus.response_time|gt": 9, "modbus.response_time|lt": 3}, "selection", "can never fire"),
        ({"modbus.function_code": 8, "modbus.function_code|neq": 8}, "selection", "can never fire"),
        ({"modbus.access": "read"}, "selection and not selection", "can never fire: no value of modbus.access"),
        ({"client.ip": "10.0.0.1", "client.ip|cidr": "192.168.0.0/16"}, "selection", "can never fire: no value of client.ip"),
        ({"network.client_public": True, "modbus.access": "nothing"}, "selection", "modbus.access is never"),
        ({"modbus.function|gt": 3}, "selection", "cannot be tested with"),
    ],
    ids=str,
)
def test_a_condition_that_cannot_hold_is_refused(tmp_path: Path, selection: Any, condition: str, reason: str) -> None:
    document = {**copied(tmp_path), "detection": {"selection": selection, "condition": condition}}
    assert any(reason in text for text in written(tmp_path, document))


@pytest.mark.parametrize(
    ("language", "summary", "reason"),
    [("en", "Something happened.", "names nothing"), ("zh-CN", "{client.ip} wrote.", "not Chinese")],
)
def test_a_summary_that_tells_a_person_nothing_is_refused(tmp_path: Path, language: str, summary: str, reason: str) -> None:
    document = copied(tmp_path)
    document["icsight"]["texts"][language]["summary"] = summary
    assert any(reason in text for text in written(tmp_path, document))


def test_false_positives_that_say_nothing_are_refused(tmp_path: Path) -> None:
    assert any("false positives" in text for text in written(tmp_path, {**copied(tmp_path), "falsepositives": [""]}))


def test_a_selection_that_no_condition_uses_is_refused(tmp_path: Path) -> None:
    document = copied(tmp_path)
    document["detection"]["other"] = {"modbus.nowhere": 1}
    assert any("does not use: other" in text for text in written(tmp_path, document))


@pytest.mark.parametrize(
    "selection",
    [
        {"modbus.address|gt": 9, "modbus.address|lt": 11},
        {"modbus.bytes|gt": 300, "modbus.bytes|lt": 302},
        {"modbus.response_time|gt": 1_000},
        {"client.ip|startswith": "10.", "client.ip|endswith": ".1"},
        {"modbus.values|gt": 3, "modbus.values|lt": 2},
        {"modbus.written[4]": 5},
        {"client.ip|expand": "%anyone%", "client.ip": "10.0.0.1"},
        {"modbus.exception": None, "modbus.exception_code|exists": False},
    ],
    ids=str,
)
def test_a_condition_that_may_hold_is_not_called_false(tmp_path: Path, selection: Any) -> None:
    document = {**copied(tmp_path), "detection": {"selection": selection, "condition": "selection"}}
    assert not [text for text in written(tmp_path, document) if "never" in text]


def test_a_text_that_names_an_unknown_field_is_refused(tmp_path: Path) -> None:
    document = copied(tmp_path)
    document["icsight"]["texts"]["en"]["summary"] = "{client.address} did it."
    assert any("unknown field client.address" in text for text in written(tmp_path, document))


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        (correlation("value_sum", ["part"], "60s", ["client.ip"], gte=3, field="modbus.function"), "is no number"),
        (correlation("value_percentile", ["part"], "60s", ["client.ip"], gte=3, field="modbus.bytes"), "needs a percentile"),
        (correlation("event_count", ["part"], "60s", ["client.ip"], lt=3), "gte or gt"),
        (correlation("event_count", ["part"], "60s", ["client.ip"], gte=0), "holds always"),
        (correlation("event_count", ["part"], "60s", ["client.name"], gte=2), "unknown field client.name"),
        (correlation("value_count", ["part"], "60s", ["client.ip"], gte=2, field="modbus.no"), "unknown field modbus.no"),
        (correlation("event_count", ["part"], "60s", ["network.client_public"], gte=2), "can be tested only"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_correlation_that_cannot_run_is_refused(tmp_path: Path, section: dict[str, Any], reason: str) -> None:
    part = rule("part", None, {"selection": {"modbus.unit_id": 1}})
    assert any(reason in text for text in written(tmp_path, part, rule("whole", "low", correlation=section), name="whole"))


def test_newcomers_of_a_correlation_that_counts_no_values_are_refused(tmp_path: Path) -> None:
    part = rule("part", None, {"selection": {"modbus.unit_id": 1}})
    section = correlation("event_count", ["part"], "60s", ["client.ip"], gte=2)
    whole = rule("whole", "low", correlation=section, icsight={"newcomers": True})
    assert any("is for value_count" in text for text in written(tmp_path, part, whole, name="whole"))


def test_one_broken_rule_does_not_hide_another(tmp_path: Path) -> None:
    one = rule("one", "low", {"selection": {"modbus.no": 1}})
    two = rule("two", "low", {"selection": {"modbus.neither": 1}})
    faults = written(tmp_path, one, two)
    assert any("modbus.no:" in text for text in faults)
    assert any("modbus.neither:" in text for text in faults)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"icsight": {"confidence": 3}}, "icsight.confidence"),
        ({"icsight": {"confidenze": 0.3}}, "icsight.confidenze"),
        ({"icsight": {"window_seconds": 0}}, "icsight.window_seconds"),
        ({"logsource": None}, "logsource|Log source"),
        ({"detection": {"condition": "selection"}}, "selection|detection"),
        ({"status": "perhaps"}, "status"),
        ({"level": "worrying"}, "level"),
        ({"id": "no uuid"}, "UUID|identifier"),
        ({"name": "n" * 129}, "name: give one of at most 128 characters"),
        ({"name": "a\0b"}, "name: give one of at most 128 characters"),
        ({"tags": ["attack.t0846" + "0" * 16]}, "tags: .* is no technique"),
    ],
    ids=str,
)
def test_a_rule_that_breaks_the_format_is_told_in_one_line_with_its_file(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    document = {**copied(tmp_path), **change}
    with pytest.raises(RuleError, match=reason) as error:
        written(tmp_path, document)
    assert "\n" not in str(error.value)
    assert "restart_communications.yml" in str(error.value)


def test_a_rule_that_uses_one_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="nothing_there"):
        written(tmp_path, rule("whole", "low", correlation=correlation("event_count", ["nothing_there"], "60s", [], gte=2)))


def test_a_rule_without_texts_in_a_language_still_detects_and_says_what_it_can(tmp_path: Path) -> None:
    document = copied(tmp_path)
    del document["icsight"]["texts"]["zh-CN"]
    assert written(tmp_path, document) == ["has no texts in zh-CN"]
    capture = str(tmp_path / "restart_communications.fires.pcap")
    options = ["--rules", str(tmp_path), "--language", "zh-CN", "--output", "json"]
    result = CliRunner().invoke(detect_command, [capture, *options], catch_exceptions=False)
    assert (result.exit_code, json.loads(result.stdout)["title"]) == (1, document["title"])


def test_the_command_refuses_with_status_2_and_holds_with_0(tmp_path: Path) -> None:
    document = copied(tmp_path)
    written(tmp_path, document)
    good = CliRunner().invoke(rules_command, ["check", "--rules", str(tmp_path)])
    assert (good.exit_code, good.stdout) == (0, "1 rules hold\n")
    written(tmp_path, {**document, "status": None})
    bad = CliRunner().invoke(rules_command, ["check", "--rules", str(tmp_path)])
    assert bad.exit_code == 2
    assert "has no status" in bad.stderr


def test_the_list_says_which_rules_the_site_leaves_inactive(tmp_path: Path) -> None:
    result = CliRunner().invoke(rules_command, ["list"])
    assert result.exit_code == 0
    line = next(line for line in result.stdout.splitlines() if "modbus/write_by_unauthorised_client" in line)
    assert "inactive: the site defines no authorised_writers" in line
    site = tmp_path / "site.yml"
    site.write_text("lists: {authorised_writers: []}")
    result = CliRunner().invoke(rules_command, ["list", "--site", str(site), "--language", "zh-CN"])
    line = next(line for line in result.stdout.splitlines() if "modbus/write_by_unauthorised_client" in line)
    assert "inactive" not in line


def test_the_test_command_runs_the_rules_that_are_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(rules_command, ["test", "restart_communications"])
    assert (result.exit_code, result.stdout) == (0, "passed  restart_communications\n")
    assert CliRunner().invoke(rules_command, ["test", "no_such_rule"]).exit_code != 0
