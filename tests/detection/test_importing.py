"""Sigma rules of others: what can run is put into a folder, what cannot is told with file, line and reason."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from click.testing import CliRunner

from detection.cli import rules as rules_command
from detection.sigma.rule import load

if TYPE_CHECKING:
    from pathlib import Path

FOREIGN = """\
title: Writes to many coils
id: 0f7c3c1e-8f5d-4f63-9f0e-0d2f1f6b0a01
status: experimental
logsource:
  product: ot
  service: modbus
detection:
  selection:
    modbus.function_code: 15
    modbus.quantity|gte: 100
  condition: selection
level: medium
---
title: Writes with a colour
id: 0f7c3c1e-8f5d-4f63-9f0e-0d2f1f6b0a02
status: experimental
logsource:
  product: ot
  service: modbus
detection:
  selection:
    modbus.function_code: 15
    modbus.colour: red
  condition: selection
level: medium
---
title: Processes of Windows
id: 0f7c3c1e-8f5d-4f63-9f0e-0d2f1f6b0a03
status: experimental
logsource:
  product: windows
  category: process_creation
detection:
  selection:
    Image|endswith: cmd.exe
  condition: selection
level: high
---
title: Feeds only
id: 0f7c3c1e-8f5d-4f63-9f0e-0d2f1f6b0a04
status: experimental
logsource:
  product: ot
  service: opcua
detection:
  selection:
    opcua.service: Call
  condition: selection
"""


def imported(folder: Path, *files: Path) -> tuple[int, list[str]]:
    result = CliRunner().invoke(rules_command, ["import", *map(str, files), "--into", str(folder)], catch_exceptions=False)
    return result.exit_code, result.stdout.splitlines()


def test_what_can_run_is_imported_and_what_cannot_is_told_by_line(tmp_path: Path) -> None:
    foreign, broken = tmp_path / "foreign.yml", tmp_path / "broken.yml"
    foreign.write_text(FOREIGN, encoding="utf-8")
    broken.write_text("title: [", encoding="utf-8")
    status, lines = imported(tmp_path / "in", foreign, broken)
    assert status == 2
    told = {line.split(": ")[1]: line.removeprefix(f"{tmp_path}/") for line in lines[:-1]}
    assert told["the file"].startswith("broken.yml:1: the file: refused: cannot be read")
    assert told["writes_to_many_coils"] == "foreign.yml:1: writes_to_many_coils: imported"
    assert told["writes_with_a_colour"].startswith("foreign.yml:23: writes_with_a_colour: refused: unknown field modbus.colour")
    assert told["processes_of_windows"].startswith(
        "foreign.yml:27: processes_of_windows: refused: log source windows/process_creation is not supported"
    )
    assert told["feeds_only"] == "foreign.yml:39: feeds_only: feeds"
    assert {rule.name for rule in load([tmp_path / "in"])} == {"writes_to_many_coils", "feeds_only"}
    statuses = {each["rule"]: each["status"] for each in json.loads((tmp_path / "in" / "import.json").read_text())}
    assert statuses["writes_with_a_colour"] == "refused"
    assert statuses["writes_to_many_coils"] == "imported"


def test_a_rule_with_the_name_of_one_of_the_product_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "own.yml"
    file.write_text(FOREIGN.split("---", maxsplit=1)[0].replace("status:", "name: address_sweep\nstatus:"), encoding="utf-8")
    status, lines = imported(tmp_path / "in", file)
    assert status == 2
    assert "a rule of the product has that name" in lines[0]


def test_a_correlation_of_others_is_imported_and_one_that_is_not_supported_is_told(tmp_path: Path) -> None:
    parts = FOREIGN.split("---\n")
    good = (
        parts[0].replace("level: medium\n", "").replace("id:", "name: coils\nid:")
        + """\
---
title: Many writes
id: 0f7c3c1e-8f5d-4f63-9f0e-0d2f1f6b0a05
correlation:
  type: event_count
  rules: [coils]
  group-by: [client.ip]
  timespan: 1m
  condition: {gte: 10}
level: high
---
title: Few writes
id: 0f7c3c1e-8f5d-4f63-9f0e-0d2f1f6b0a06
correlation:
  type: event_count
  rules: [coils]
  group-by: [client.ip]
  timespan: 1m
  condition: {lt: 3}
level: high
"""
    )
    file = tmp_path / "one.yml"
    file.write_text(good, encoding="utf-8")
    status, lines = imported(tmp_path / "in", file)
    assert status == 2
    assert any("many_writes: imported" in line for line in lines)
    assert any("one.yml:24: few_writes: refused: a count needs the condition gte or gt" in line for line in lines), lines
