"""What is said to be splittable by conversation finds the same when records are split, and what is not does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl
import pytest
from click.testing import CliRunner

from collector.records import decode
from collector.store import RecordBatch
from detection import splitting
from detection.cli import rules as rules_command
from detection.gathering import ORDER
from detection.rules import RuleDetector, RuleState
from detection.sigma.rule import load, rules_folder
from detection.site import Site
from detection.splitting import CONVERSATION, of_rules
from tests.detection.test_grouping import mixed_rules
from tests.detection.traffic import busy_day, cuts
from tests.system.both_ways import WHOLE, recorded

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SHARDS: Final = 4

WHOLE_HERE: Final = {"hosts", "units", "newcomer"}
"""Of the tests' rules those that count over clients or servers."""


def shard(batch: RecordBatch, number: int) -> RecordBatch:
    """The records of a batch whose conversations go to one of the shards; what is of no conversation goes to the first."""
    if not set(CONVERSATION) <= set(batch.rows.columns):
        mask = pl.repeat(number == 0, batch.rows.height, eager=True)
    else:
        mask = batch.rows.select(pl.struct(CONVERSATION).hash(seed=1) % SHARDS == number).to_series()
    return RecordBatch(batch.header, batch.rows.filter(mask), batch.row.filter(mask))


def found(
    detector: RuleDetector, steps: Sequence[Sequence[RecordBatch]], numbers: Sequence[int | None]
) -> dict[str, pl.DataFrame]:
    """What rules find in each of some shards, or in all records (None), together."""
    parts: dict[str, list[pl.DataFrame]] = {}
    for number in numbers:
        state = RuleState()
        for step in steps:
            state, findings = detector.step(state, [batch if number is None else shard(batch, number) for batch in step])
            for name, rows in findings.items():
                parts.setdefault(name, []).append(rows)
    whole = {name: pl.concat(rows, how="diagonal_relaxed").sort(ORDER, maintain_order=True) for name, rows in parts.items()}
    return {name: rows.select(sorted(rows.columns)) for name, rows in whole.items()}


def differing(detector: RuleDetector, steps: Sequence[Sequence[RecordBatch]]) -> tuple[set[str], set[str]]:
    """Rules that find something, and those of them that find something else when records are split."""
    whole, split = found(detector, steps, [None]), found(detector, steps, range(SHARDS))
    empty = pl.DataFrame()
    names = whole.keys() | split.keys()
    return names, {name for name in names if not whole.get(name, empty).equals(split.get(name, empty))}


def allowed(detector: RuleDetector) -> set[str]:
    return {each.name for each in of_rules(detector) if each.allowed}


def test_rules_that_may_be_split_find_the_same_and_the_others_do_not(tmp_path: Path) -> None:
    detector = RuleDetector(mixed_rules(tmp_path), Site())
    assert detector.rules.keys() - allowed(detector) == WHOLE_HERE
    names, differ = set[str](), set[str]()
    for seed in range(4):
        some, others = differing(detector, cuts(busy_day(seed, 200), list(range(25, 200, 25))))
        names, differ = names | some, differ | others
    assert names == {rule.name for rule in detector.rules.values() if rule.alerts}, "all of them find something"
    assert differ == WHOLE_HERE


@pytest.mark.parametrize("name", [WHOLE[2], WHOLE[3]])
def test_rules_of_the_product_that_may_be_split_find_the_same_in_captures(captures: Path, name: str) -> None:
    detector = RuleDetector(load([rules_folder()]), Site())
    steps: dict[int, list[RecordBatch]] = {}
    for each in recorded(captures / name, "works", "sensor"):
        steps.setdefault(each.header.cut, []).append(decode(each.header, bytes(each.data)))
    names, differ = differing(detector, list(steps.values()))
    assert names & allowed(detector)
    assert not differ & allowed(detector)


def test_a_rule_that_rests_on_one_that_may_not_be_split_may_not_either() -> None:
    detector = RuleDetector(load([rules_folder()]), Site())
    told = {each.name: each for each in of_rules(detector)}
    assert told.keys() == detector.rules.keys() - detector.inactive
    for name, each in told.items():
        sources = [told[source] for source in detector.sources(name)]
        if not all(source.allowed for source in sources):
            assert not each.allowed
        if detector.rules[name].table in {"deviation", "anomaly"}:
            assert not each.allowed
    spoofing = told["address_spoofing"].why
    assert spoofing == "rests on address_claimed_repeatedly, which keeps its memory by client.ip"


def test_no_part_besides_rules_may_be_split() -> None:
    assert {each.name for each in splitting.of_parts()} == splitting.PARTS.keys()
    assert not any(each.allowed for each in splitting.of_parts())


def test_the_command_lists_each_rule_with_the_reason() -> None:
    result = CliRunner().invoke(rules_command, ["split"], catch_exceptions=False)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert "whole  host_sweep: keeps its memory by client.ip, server.port" in lines
    assert "split  write_by_unauthorised_client: looks at one record at a time" not in lines, "no site: it is not active"
    detector = RuleDetector(load([rules_folder()]), Site())
    assert lines[-1].startswith(f"{len(allowed(detector))} of {len(of_rules(detector))} rules")
