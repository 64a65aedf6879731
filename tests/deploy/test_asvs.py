"""The list of what is met of OWASP ASVS is whole, and what it names is there."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.deploy.checkers import ROOT

DOCS = ROOT / "deploy" / "docs" / "asvs.md"

NUMBERS: dict[str, list[str]] = json.loads((Path(__file__).parent / "asvs.json").read_text("utf-8"))

STATES = ("met", "does not apply", "partly", "not met")

Row = tuple[list[str], str, str, str, str]
"""Numbers, state, why, where, shown by."""


def rows() -> list[Row]:
    """The rows of all tables of requirements."""
    found: list[Row] = []
    for line in DOCS.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if re.match(r"\| \d+\.\d+\.\d+", line):
            assert len(cells) == 5, line
            numbers, state, why, where, tests = cells
            found.append((numbers.split(", "), state, why, where, tests))
    return found


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_requirement_of_both_levels_is_there_once() -> None:
    assert [len(NUMBERS[level]) for level in "12"] == [70, 183]
    told = [number for numbers, *_ in rows() for number in numbers]
    assert sorted(told) == sorted(NUMBERS["1"] + NUMBERS["2"])


def test_what_is_missing_is_said_and_the_figures_are_right() -> None:
    counts: Counter[tuple[str, str]] = Counter()
    text = DOCS.read_text("utf-8")
    top = text.partition("\n## 1 ")[0]
    for numbers, state, why, *_ in rows():
        assert state in STATES
        assert ("Needs: " in why) == (state in {"partly", "not met"}), numbers
        if state in {"partly", "not met"}:
            assert f"- **{', '.join(numbers)}** (level" in top, "it is in the list at the top"
        counts.update((state, "1" if number in NUMBERS["1"] else "2") for number in numbers)
    for state in STATES:
        one, two = counts[state, "1"], counts[state, "2"]
        assert f"| {state} | {one} | {two} | {one + two} |" in text


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0][0])
def test_what_a_row_names_is_there(row: Row) -> None:
    _, _, _, where, tests = row
    places, shown = named(where), named(tests)
    assert places
    for place in places:
        assert (ROOT / place).exists(), place
    for test in shown:
        file, _, name = test.partition("::")
        assert file.startswith("tests/")
        assert (ROOT / file).is_file(), test
        assert not name or re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text("utf-8"), re.MULTILINE), test
    assert shown or tests == "–"
