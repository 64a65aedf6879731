"""One site on a worker that has many: what they share, and what is kept of each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from detection import ruleset
from detection.changelog import ChangelogCheckpoints
from detection.rules import RuleDetector
from detection.ruleset import RuleFiles
from detection.site_loop import SiteLoop
from tests.detection.test_partition_clock import Memory
from tests.detection.test_worker import outgoing
from tests.detection.traffic import START, cut, request, rule, write_rules

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from detection.inbox import Entry
    from detection.published import Published
    from detection.ruleset import Ruleset
    from sensor.spool_format import BatchHeader

ALLOWANCE_NS: Final = 5_000_000_000


class Told:
    """What workers are told, as `Published` has it."""

    def __init__(self) -> None:
        self.number = 0
        self._versions: dict[tuple[str, str], tuple[int, str]] = {}

    def rules(self, folder: Path, site: str = "") -> Ruleset:
        """Publish rules."""
        made = RuleFiles([folder]).read()
        self.number += 1
        self._versions[site, "rules"] = self.number, made.to_text()
        return made

    def newest(self, site: str, kind: str) -> tuple[int, str] | None:
        return self._versions.get((site, kind))

    def decisions(self, site: str) -> list[Entry]:
        del site
        return []


def site_loop(name: str, told: Told, memory: Memory | None = None) -> SiteLoop:
    """A site; another of the same memory goes on where it was."""
    published: Published = told  # pyright: ignore[reportAssignmentType]  all that is asked of one
    return SiteLoop(name, name, 0, ChangelogCheckpoints(memory or Memory(), name), published, ALLOWANCE_NS)


def message(site: str, number: int = 0, **more: Any) -> tuple[BatchHeader, bytes]:
    """A batch of a sensor of a site, a whole cut."""
    (batch,) = cut([request(number, function=8)], number, START)
    made = outgoing(replace(batch, header=replace(batch.header, **{"site": site, "sensor": f"of-{site}", **more})))
    return made.header, bytes(made.data)


@pytest.fixture
def told(tmp_path: Path) -> Told:
    """One rule for all sites."""
    made = Told()
    made.rules(write_rules(tmp_path, rule("diagnostic", "high", {"selection": {"modbus.function_code": 8}})))
    return made


def test_sites_with_the_same_rules_parse_compile_and_prove_them_once(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args: (done.append(name), real(*args))[1]

    monkeypatch.setattr(ruleset, "parse_sound", counted("parsed", ruleset.parse_sound))
    monkeypatch.setattr(RuleDetector, "__init__", counted("compiled", RuleDetector.__init__))
    first = site_loop("north", told)
    first.take(*message("north"), 0, 1)
    # Once as it is, and once at the facts at which it is proved.
    assert sorted(done) == ["compiled", "compiled", "parsed"]
    done.clear()
    for name in ("east", "south", "west"):
        site = site_loop(name, told)
        site.take(*message(name), 0, 1)
        site.detect()
        assert [batch.header.site for batch in site.take_told() if batch.header.table == "alert"] == [name]
    assert done == []
