"""Attacks on a plant that no rule was written for are found; what escapes is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from detection.evaluation.cli import run
from detection.evaluation.datasets import load
from detection.evaluation.subject import Subject
from tests.evaluation.terminal.__main__ import LEARNED, learned, make
from tests.evaluation.terminal.cases import ATTACKS

if TYPE_CHECKING:
    from pathlib import Path

    from detection.evaluation.metrics import Result
    from tests.evaluation.terminal.cases import Attack, Ordinary

ESCAPES: Final = {
    "replayed_recording": "the same half minute again and again is within all ranges",
    "forged_resets": "connections that end are not compared with how often they did",
    "smooth_measurements": "a value that rises steadily is within its range",
    "icmp_tunnel": "no table has rows for ICMP",
}
"""Attacks that are not found, and why."""


OPEN: Final = [
    pytest.param(each.name, marks=() if each.name == "frosty_goop" else pytest.mark.full)
    for each in ATTACKS.values()
    if not each.held_out
]
"""Attacks that detection was worked on with; those held out are measured only."""


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where captures are made, with the hour that is learned."""
    made = tmp_path_factory.mktemp("terminal")
    learned(made / LEARNED)
    return made


@pytest.fixture(scope="session")
def subject() -> Subject:
    return Subject()


def evaluated(case: Attack | Ordinary, folder: Path, subject: Subject) -> Result:
    make(folder / case.name, [case], compared=True)
    (result,), failed = run(load(folder / case.name), subject)
    assert not failed
    return result


@pytest.mark.parametrize("name", OPEN)
def test_an_attack_on_the_terminal_is_found_unless_it_is_said_to_escape(name: str, folder: Path, subject: Subject) -> None:
    ((_, alerts),) = evaluated(ATTACKS[name], folder, subject).judged.found
    assert bool(alerts) == (name not in ESCAPES)
