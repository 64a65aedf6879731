"""One site on a worker that has many: what they share, and what is kept of each."""

# How much is kept, and how often something is made, shows nowhere else.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from detection import remembered, ruleset
from detection.alerts import decode_alerts
from detection.changelog import ChangelogCheckpoints
from detection.loop import PENDING_CUTS
from detection.published import RuleVersions, SiteVersions
from detection.rules import RuleDetector
from detection.ruleset import RuleFiles
from detection.sigma.rule import RuleError
from detection.site import Site, SiteError
from detection.site_loop import SiteLoop
from tests.detection.test_partition_clock import Memory
from tests.detection.test_worker import outgoing
from tests.detection.traffic import START, cut, request, rule, write_rules

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from detection.inbox import Entry
    from detection.pipeline import RunState
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
        self.put(site, "rules", self.number, made.to_text())
        return made

    def put(self, site: str, kind: str, number: int, content: str) -> None:
        """Publish a version as its content is."""
        self._versions[site, kind] = number, content

    def withdraw(self) -> None:
        """Withdraw the rules of all sites."""
        del self._versions["", "rules"]

    @property
    def published(self) -> Published:
        """All that is asked of one."""
        return self  # pyright: ignore[reportReturnType]  it has no broker

    def newest(self, site: str, kind: str) -> tuple[int, str] | None:
        return self._versions.get((site, kind))

    def decisions(self, site: str) -> list[Entry]:
        del site
        return []


def site_loop(name: str, told: Told, memory: Memory | None = None) -> SiteLoop:
    """A site; another of the same memory goes on where it was."""
    return SiteLoop(name, name, 0, ChangelogCheckpoints(memory or Memory(), name), told.published, ALLOWANCE_NS)


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


def alerts(site: SiteLoop) -> list[str]:
    """The rules of the alerts that are to be published."""
    site.detect()
    return [
        alert.rule for batch in site.take_told() if batch.header.table == "alert" for alert in decode_alerts(bytes(batch.data))
    ]


def kept(site: SiteLoop, memory: Memory) -> None:
    """Keep what is remembered."""
    site.write(ChangelogCheckpoints(memory, "a site"))


def test_the_rules_of_a_newer_version_of_the_product_hold_for_sites_that_it_meets_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, memory = Told(), Memory()
    for folder in ("before", "after"):
        (tmp_path / folder).mkdir()
    write_rules(tmp_path / "before", rule("first", "high", {"selection": {"modbus.function_code": 8}}))
    write_rules(tmp_path / "after", rule("second", "high", {"selection": {"modbus.function_code": 8}}))
    monkeypatch.setattr(ruleset, "rules_folder", lambda: tmp_path / "before")
    site = site_loop("works", told, memory)
    site.take(*message("works", 0), 0, 1)
    assert alerts(site) == ["first"]
    kept(site, memory)
    monkeypatch.setattr(ruleset, "rules_folder", lambda: tmp_path / "after")
    site = site_loop("works", told, memory)
    site.take(*message("works", 1), 1, 2)
    assert alerts(site) == ["second"]
    kept(site, memory)
    # What is published goes before what the product brings, also after the next upgrade.
    told.rules(tmp_path / "before")
    for number in (2, 3):
        site = site_loop("works", told, memory)
        site.take(*message("works", number), number, 2 + number)
        assert alerts(site) == ["first"]
        kept(site, memory)


def test_the_rules_of_the_product_hold_again_when_those_that_were_published_are_withdrawn(
    told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "product").mkdir()
    write_rules(tmp_path / "product", rule("shipped", "high", {"selection": {"modbus.function_code": 8}}))
    monkeypatch.setattr(ruleset, "rules_folder", lambda: tmp_path / "product")
    site = site_loop("works", told)
    site.take(*message("works", 0), 0, 1)
    told.withdraw()
    site.take(*message("works", 1), 1, 2)
    site.take(*message("works", 2), 2, 3)
    assert alerts(site) == ["diagnostic", "shipped"]
    assert site.counters.reloads == 1


def test_versions_that_hold_for_nothing_any_more_are_not_kept(told: Told, tmp_path: Path) -> None:
    memory, folder = Memory(), tmp_path / "other"
    folder.mkdir()
    site = site_loop("works", told, memory)
    sizes: list[int] = []
    for number in range(12):
        level = "high" if number % 2 else "low"
        padding = "".join(random.Random(number).choices("abcdefghij ", k=40_000))
        write_rules(folder, rule(f"other-{number % 2}", level, {"selection": {"modbus.function_code": 8}}, description=padding))
        told.rules(folder)
        header, data = message("works", 2 * number, cut=2 * number, cut_last=False)
        site.take(header, data, 2 * number, number)
        site.detect()
        # Another worker takes the site over while a cut waits for its end.
        kept(site, memory)
        site = site_loop("works", told, memory)
        header, data = message("works", 2 * number + 1, cut=2 * number)
        site.take(header, data, 2 * number + 1, number)
        alerts(site)
        kept(site, memory)
        sizes.append(memory.size)
        (folder / f"other-{number % 2}.yml").unlink()
    assert sizes[-1] < 1.5 * sizes[1]
    again = site_loop("works", told, memory)
    again.take(*message("works", 24), 24, 100)
    assert alerts(again) == ["other-1"]


def test_cuts_of_runs_that_ended_do_not_wait_for_ever(told: Told) -> None:
    site = site_loop("works", told)
    for number in range(5):
        site.take(*message("works", 0, epoch=f"epoch-{number}", cut_last=False), number, number)
    assert len(site.loop.waiting()) == 1
    for number in range(300):
        site.take(*message("works", 0, sensor=f"sensor-{number}", cut_last=False), 5 + number, 5)
    assert len(site.loop._cuts) == PENDING_CUTS


def test_a_commit_takes_only_runs_apart_that_changed(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, taken = Memory(), list[str]()
    real = remembered._run_members

    def counted(run: RunState) -> dict[str, bytes]:
        taken.append(run.site)
        return real(run)

    monkeypatch.setattr(remembered, "_run_members", counted)
    site = site_loop("works", told, memory)
    for number in range(4):
        site.take(*message("works", 0, sensor=f"sensor-{number}"), number, 1)
    site.let_through()
    kept(site, memory)
    assert len(taken) == 4
    taken.clear()
    site.take(*message("works", 1, sensor="sensor-0"), 4, 2)
    site.let_through()
    kept(site, memory)
    assert len(taken) < 4
    # What is kept is the same as if all had been taken apart, though the runs are in another order by now.
    whole = Memory()
    site._written = None
    kept(site, whole)
    assert ChangelogCheckpoints(memory, "a site")._table() == ChangelogCheckpoints(whole, "a site")._table()
    assert site_loop("works", told, memory).loop.state.findings == site.loop.state.findings == 5


def test_what_is_told_of_a_version_that_cannot_be_read_is_the_same_on_all_workers() -> None:
    texts: set[str] = set()
    for number in (3, 7):
        told = Told()
        told.put("works", "rules", number, "no rules")
        told.put("works", "site", number, "no facts")
        for versions in (RuleVersions(told.published, "works"), SiteVersions(told.published, "works")):
            with pytest.raises((RuleError, SiteError)) as raised:
                versions.read()
            texts.add(str(raised.value))
    assert len(texts) == 2


def test_facts_that_split_nothing_are_written_as_versions_before_read_them() -> None:
    facts = Site(site="works", budget="144/day")
    assert not {"split", "rules"} & json.loads(facts.to_text()).keys()
    assert Site.model_validate_json(facts.to_text()) == facts
    split = facts.model_copy(update={"split": True})
    assert Site.model_validate_json(split.to_text()) == split
