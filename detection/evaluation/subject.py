"""What is evaluated: detection for the site of a capture, with all rules or without those for some kinds of attack."""

from __future__ import annotations

import fnmatch
from copy import copy
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, Self

import yaml

from detection.captures import learn
from detection.evaluation.events import any_technique
from detection.pipeline import Pipeline
from detection.sigma.rule import load as load_rules
from detection.sigma.rule import rules_folder
from detection.site import Site
from detection.site import load as load_site

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from detection.baseline.normality import Normality
    from detection.evaluation.datasets import Case
    from detection.sigma.rule import Rule

ALL: Final = "all"
"""Instead of a kind: every rule is written for it."""

LEARNED: Final = frozenset({"deviation", "anomaly"})
"""Tables of what differs from what was learned. Rules over them say what that means; few were thought of for a kind of attack."""


@dataclass(frozen=True, slots=True)
class Written:
    """Which rules are written for a kind of attack."""

    techniques: tuple[str, ...]
    """Rules that name one of these."""
    rules: tuple[str, ...]
    """Rules of these names; patterns are allowed."""
    whole: bool = False
    """Whether all rules are, but for those over what was learned."""

    def holds(self, rule: Rule, *, learned: bool) -> bool:
        """Whether the rule, over what was `learned` or not, is written for it."""
        named = any(fnmatch.fnmatchcase(rule.name, pattern) for pattern in self.rules)
        return named or (not learned and (self.whole or any_technique(rule.techniques, self.techniques)))


@cache
def kinds() -> Mapping[str, Written]:
    """Kinds of attacks with the rules that are written for them (`kinds.yml`)."""
    found = {
        str(kind): Written(tuple(entry.get("techniques", ())), tuple(entry.get("rules", ())))
        for kind, entry in _content()["kinds"].items()
    }
    return {**found, ALL: Written((), (), whole=True)}


@cache
def general() -> Mapping[str, Sequence[str]]:
    """Rules that are written for no kind (`kinds.yml`): names and patterns, by why."""
    return {str(why): tuple(map(str, rules)) for why, rules in _content()["general"].items()}


def _content() -> Any:
    return yaml.safe_load(files("detection.evaluation").joinpath("kinds.yml").read_text(encoding="utf-8"))


def over_what_was_learned(rules: Sequence[Rule]) -> set[str]:
    """Names of the alerting rules over tables of what differs from what was learned, correlations of such included."""
    feeding = {name for rule in rules if rule.table in LEARNED for name in (rule.name, rule.id)}
    return {rule.name for rule in rules if rule.alerts and {rule.name, *rule.sources} & feeding}


class Subject:
    """Detection as it is evaluated.

    Args:
        folders: rule files or folders; none means the shipped ones.
        without: kinds of attacks whose rules are switched off.

    Raises:
        RuleError: a rule cannot be loaded.
    """

    def __init__(self, folders: Sequence[Path] = (), without: Sequence[str] = ()) -> None:
        self.rules = load_rules(folders or [rules_folder()])
        self.without = tuple(without)
        self._learned: dict[tuple[Path, ...], Normality] = {}
        self._pipelines: dict[tuple[Path | None, tuple[str, ...]], Pipeline] = {}

    def leaving_out(self, kind: str) -> Self:
        """The same without the rules written for one more kind."""
        other = copy(self)
        other.without = (*self.without, kind)
        return other

    @property
    def silent(self) -> list[str]:
        """Names of the rules that are switched off."""
        off = [kinds()[kind] for kind in self.without]
        learned = over_what_was_learned(self.rules)
        return sorted(
            rule.name
            for rule in self.rules
            if rule.alerts and any(written.holds(rule, learned=rule.name in learned) for written in off)
        )

    def pipeline(self, case: Case) -> Pipeline:
        """Detection for a capture. Raises SiteError where its site file cannot be used."""
        key = case.site, self.without
        if key not in self._pipelines:
            site = Site() if case.site is None else load_site(case.site)
            silent = set(self.silent)
            # A rule that is switched off may still feed correlations that are written for something else.
            rules = [rule.feeding() if rule.name in silent else rule for rule in self.rules]
            self._pipelines[key] = Pipeline.of(rules, site)
        return self._pipelines[key]

    def normal(self, case: Case) -> Normality | None:
        """What the data set's captures to learn from say is normal; None without any. Raises CaptureError.

        Detection then learns it from the beginning of the capture itself.
        """
        for capture in case.learn if case.learn not in self._learned else ():
            part, _ = learn(str(capture), "")
            known = self._learned.get(case.learn)
            self._learned[case.learn] = part if known is None else known.with_more(part)
        return self._learned.get(case.learn)
