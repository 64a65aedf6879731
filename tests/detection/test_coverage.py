"""What is covered of ATT&CK for ICS, for people, machines and the ATT&CK Navigator."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from detection import attack
from detection.cli import rules as rules_command
from detection.sigma.rule import load, rules_folder
from tests.detection.attack_source import made


def said(*options: str) -> str:
    result = CliRunner().invoke(rules_command, ["coverage", *options], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_the_table_names_each_technique_with_its_old_identifier_and_its_rules() -> None:
    lines = said().splitlines()
    (line,) = {line for line in lines if "T1692.001" in line and "write_by_unauthorised_client" in line}
    assert "(T0855)" in line
    assert sum("techniques" in line and not line.startswith(" ") for line in lines) == len(attack.tactics())


def test_the_layer_scores_techniques_by_their_rules() -> None:
    layer: dict[str, Any] = json.loads(said("--output", "navigator"))
    assert (layer["domain"], layer["versions"]["layer"]) == ("ics-attack", "4.5")
    assert layer["versions"]["attack"] == "19"
    scores = {(each["techniqueID"], each["tactic"]): each["score"] for each in layer["techniques"]}
    alerting = [rule for rule in load([rules_folder()]) if rule.alerts]
    for technique in attack.techniques().values():
        rules = [rule for rule in alerting if technique.id in rule.techniques]
        assert {scores[technique.id, tactic] for tactic in technique.tactics} <= {len(rules)}
    assert layer["gradient"]["maxValue"] == max(scores.values())


def test_a_site_counts_only_what_is_active_there(tmp_path: Path) -> None:
    whole = {(each["technique"], each["tactic"]): each["rules"] for each in json.loads(said("--output", "json"))}
    site = tmp_path / "site.yml"
    site.write_text("rules: {address_sweep: {enabled: false, reason: by design}}", encoding="utf-8")
    there = {
        (each["technique"], each["tactic"]): each["rules"] for each in json.loads(said("--output", "json", "--site", str(site)))
    }
    assert "address_sweep" in whole["T0861", "collection"]
    assert "address_sweep" not in there["T0861", "collection"]
    assert "write_by_unauthorised_client" not in there["T1692.001", "impair-process-control"], "the site has no such list"


def test_the_techniques_are_those_that_were_published() -> None:
    assert files("detection").joinpath("attack.json").read_text(encoding="utf-8") == made()


def test_each_technique_serves_a_tactic_and_no_identifier_is_lost() -> None:
    known = attack.techniques()
    assert all(technique.tactics for technique in known.values())
    source: dict[str, Any] = json.loads((Path(__file__).parent / "attack-ics.json").read_text(encoding="utf-8"))
    named = set(known) | {alias for technique in known.values() for alias in technique.aliases}
    assert {each["id"] for each in [*source["techniques"], *source["new_in_19"]]} <= named
