"""Exchanges of real stacks (`tests/exchanges`) are named, and their parties known for what they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner

from api.cli import icsight
from tests import exchanges
from tests.differential.recognition import seen_in

FOLDER: Final = Path(exchanges.__file__).parent

TRUTH: Final[dict[str, dict[str, Any]]] = json.loads((FOLDER / "truth.json").read_text(encoding="utf-8"))
"""Exchange → `named`: names of its conversations; `devices`: address → what it says of itself and a role."""


def test_each_exchange_has_its_truth() -> None:
    assert TRUTH.keys() == {path.stem for path in FOLDER.glob("*.pcap")}


@pytest.mark.parametrize("exchange", TRUTH)
def test_conversations_are_named_and_parties_known(exchange: str) -> None:
    capture, truth = FOLDER / f"{exchange}.pcap", TRUTH[exchange]
    assert {name for name, count in seen_in(capture).conversations.items() if count} == set(truth["named"])
    result = CliRunner().invoke(icsight, ["devices", "--output", "json", str(capture)])
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = [json.loads(line) for line in result.stdout.splitlines()]
    for address, known in truth.get("devices", {}).items():
        device = next((each for each in found if address in [*each["macs"], *each["ips"]]), None)
        assert device is not None, address
        attributes: list[dict[str, Any]] = device["attributes"] or []
        said = {f"{each['attribute']}: {each['value']} ({each['source']})" for each in attributes}
        assert set(known.get("said", [])) <= said, sorted(said)
        roles: list[dict[str, Any]] = device["roles"] or []
        assert known.get("role") in {None, *(role["role"] for role in roles[:1])}, roles
