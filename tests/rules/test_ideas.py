"""Every public idea has an answer: a rule that there is, or a line that says why not."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

import pytest

from detection.sigma.rule import load, rules_folder
from tests.rules.traffic import RULES

DOCUMENT: Final = RULES.parent / "deploy" / "docs" / "ideas.md"
IDEAS: Final = 69
WANTED: Final = {"modbus": 35, "opcua": 35, "other": 20}
"""Rules that raise alerts, at least, by group; other: networks, other protocols, the sensor's own view."""


def rows() -> list[list[str]]:
    lines = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if re.match(r"\| \d", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_number_is_answered_once() -> None:
    assert [int(row[0].rstrip("★")) for row in rows()] == list(range(1, IDEAS + 1))


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_an_answer_names_rules_that_there_are_or_says_why_there_is_none(row: list[str]) -> None:
    names = re.findall(r"`([a-z]+/\w+)`", row[2] + row[3])
    assert [name for name in names if not (RULES / f"{name}.yml").is_file()] == []
    assert bool(re.findall(r"`([a-z]+/\w+)`", row[2])) != row[2].startswith("no rule: "), row[2]


def test_there_are_as_many_rules_as_are_promised() -> None:
    groups = Counter(rule.path.parent.name for rule in load([rules_folder()]) if rule.alerts)
    assert groups["modbus"] >= WANTED["modbus"]
    assert groups["opcua"] >= WANTED["opcua"]
    assert groups["network"] + groups["sensor"] >= WANTED["other"]
