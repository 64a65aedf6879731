"""The captures beside the rules are the ones that the scenarios make."""

from __future__ import annotations

import gzip
from functools import cache

import pytest

from tests.rules.traffic import RULES
from tests.rules.wire import PLAIN_BYTES, SCENARIOS


@cache
def _captures(rule: str) -> dict[str, bytes]:
    return SCENARIOS[rule].captures()


def _unpacked(name: str, data: bytes) -> bytes:
    return gzip.decompress(data) if name.endswith(".gz") else data


@pytest.mark.parametrize("rule", sorted(SCENARIOS))
def test_the_captures_of_a_rule_are_made_again_to_the_byte(rule: str) -> None:
    for name, data in _captures(rule).items():
        assert _unpacked(name, (RULES / name).read_bytes()) == _unpacked(name, data), name
        assert len(data) <= PLAIN_BYTES


def test_every_rule_has_a_scenario_and_every_scenario_a_rule() -> None:
    rules = {str(path.relative_to(RULES).with_suffix("")) for path in RULES.glob("*/*.yml")}
    assert rules == set(SCENARIOS)


def test_no_capture_is_left_over_from_a_rule_that_is_gone() -> None:
    made = {name for rule in SCENARIOS for name in _captures(rule)}
    assert {str(path.relative_to(RULES)) for path in RULES.glob("*/*.pcap*")} == made


def test_the_quiet_traffic_of_a_rule_is_a_near_miss_and_not_an_empty_file() -> None:
    for rule in SCENARIOS:
        made = _captures(rule)
        fires, quiet = (
            next(_unpacked(name, data) for name, data in made.items() if f".{kind}." in name) for kind in ("fires", "quiet")
        )
        assert len(quiet) > 24 + 2 * 16, rule
        assert fires != quiet, rule
