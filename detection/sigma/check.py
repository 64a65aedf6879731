"""What makes a rule fit to run on a plant: complete, able to fire, and fired by its own test traffic."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from itertools import product
from typing import TYPE_CHECKING, Final

from sigma.conditions import ConditionAND, ConditionFieldEqualsValueExpression, ConditionNOT, ConditionOR
from sigma.rule import SigmaRule
from sigma.types import SigmaCompareExpression, SigmaExpansion, SigmaNumber, SigmaString

from detection import attack
from detection.captures import detect
from detection.pipeline import Pipeline
from detection.rules import RuleDetector
from detection.sigma.compile import NUMBERS, OPERATORS, ConditionError, column_of, parsed
from detection.sigma.rule import LANGUAGES, Rule, RuleError
from detection.site import Site
from detection.site import load as load_site
from sensor._core import CaptureError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

ALTERNATIVES: Final = 4_096
"""Alternatives of a condition that are looked at for contradictions; a rule with more is not judged."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that makes a rule unfit."""

    path: Path
    rule: str
    text: str

    def __str__(self) -> str:
        """One line: file, rule, what is wrong."""
        return f"{self.path}: {self.rule}: {self.text}"


def check(rules: Sequence[Rule], *, traffic: bool = True) -> Iterator[Fault]:
    """Everything that is wrong with these rules. `traffic`: run their test captures as well."""
    ids: dict[str, Rule] = {}
    for rule in rules:
        for text in (*_form(rule), *(_alert_form(rule) if rule.alerts else ())):
            yield Fault(rule.path, rule.name, text)
        if rule.id in ids:
            yield Fault(rule.path, rule.name, f"has the id of {ids[rule.id].name}: draw another UUID")
        ids[rule.id] = rule
        if isinstance(rule.sigma, SigmaRule):
            for text in _condition(rule):
                yield Fault(rule.path, rule.name, text)
    try:
        RuleDetector(rules, Site())
        # With every list that rules name defined, so that those are compiled as well.
        RuleDetector(rules, Site(lists={name: () for rule in rules for name in rule.placeholders}))
    except RuleError as error:
        yield Fault(rules[0].path, "all", str(error))
        return
    if traffic:
        for rule in rules:
            if rule.alerts:
                for text in run_tests(rule, rules):
                    yield Fault(rule.path, rule.name, text)


def _form(rule: Rule) -> Iterator[str]:
    """What every rule must have."""
    if rule.sigma.id is None:
        yield "has no id: give it a UUID"
    if rule.sigma.status is None:
        yield "has no status: test, experimental or stable"


def _alert_form(rule: Rule) -> Iterator[str]:
    """What a rule that raises alerts must have."""
    if rule.name != rule.path.stem:
        yield f"stands in {rule.path.name}: name the file {rule.name}.yml"
    if not rule.sigma.falsepositives:
        yield "names no false positives: say which harmless events a person will meet"
    if not rule.sigma.references:
        yield "names no references"
    if not rule.techniques:
        yield "names no technique of ATT&CK for ICS: add a tag such as attack.t0846"
    for name in rule.techniques:
        if name not in attack.techniques():
            newer = [technique.id for technique in attack.techniques().values() if name in technique.aliases]
            yield f"names {name}, which release 19 does not have" + (f": write {newer[0]}" if newer else "")
    if not 0 < rule.confidence <= 1:
        yield f"has a confidence of {rule.confidence}: give one above 0 and up to 1"
    for language in LANGUAGES:
        texts = rule.texts.get(language)
        if texts is None:
            yield f"has no texts in {language}"
            continue
        for part in ("title", "summary", "expected", "observed"):
            if not getattr(texts, part).strip():
                yield f"has no {part} in {language}"
        if not texts.next_steps:
            yield f"has no next steps in {language}"
    for kind in ("fires", "quiet"):
        if test_capture(rule, kind) is None:
            yield f"has no test traffic: {rule.path.stem}.{kind}.pcap is missing beside it"


def test_capture(rule: Rule, kind: str) -> Path | None:
    """The capture that must fire a rule ("fires"), or must not ("quiet"); None where there is none."""
    for suffix in (".pcap", ".pcap.gz", ".pcapng"):
        path = rule.path.with_name(f"{rule.path.stem}.{kind}{suffix}")
        if path.is_file():
            return path
    return None


def test_site(rule: Rule) -> Site:
    """The site facts that a rule's tests run with: `<rule>.site.yml` beside it, or section icsight.site."""
    path = rule.path.with_name(f"{rule.path.stem}.site.yml")
    if path.is_file():
        return load_site(path)
    return Site.model_validate(rule.extra.get("site", {}))


def run_tests(rule: Rule, rules: Sequence[Rule]) -> Iterator[str]:
    """Run a rule's test captures; what went wrong."""
    pipeline = Pipeline.of(rules, test_site(rule))
    if rule.name in pipeline.detector.inactive:
        yield f"is not active in its own test: its test site must define {', '.join(sorted(rule.placeholders))}"
        return
    for kind, wanted in (("fires", True), ("quiet", False)):
        capture = test_capture(rule, kind)
        if capture is None:
            continue
        try:
            alerts, _ = detect(str(capture), pipeline)
        except CaptureError as error:
            yield str(error)
            continue
        named = {alert.rule for alert in alerts} | {related["rule"] for alert in alerts for related in alert.body["related"]}
        if (rule.name in named) != wanted:
            yield f"is not fired by {capture.name}" if wanted else f"is fired by {capture.name}, which must not"


def _condition(rule: Rule) -> Iterator[str]:
    """Conditions that can never hold."""
    sigma = rule.sigma
    if not isinstance(sigma, SigmaRule) or rule.table is None:
        return
    try:
        alternatives = list(_alternatives(parsed(sigma.detection), positive=True))
        problems = [_contradiction(rule.table, alternative) for alternative in alternatives]
    except (ConditionError, OverflowError) as error:
        if isinstance(error, ConditionError):
            yield str(error)
        return
    if problems and all(problem is not None for problem in problems):
        yield f"can never fire: {problems[0]}"


Literal = tuple[bool, ConditionFieldEqualsValueExpression]


def _alternatives(node: object, *, positive: bool) -> Iterator[tuple[Literal, ...]]:
    """The condition as alternatives of tests that hold together. Raises OverflowError where there are too many."""
    match node:
        case ConditionNOT():
            yield from _alternatives(node.args[0], positive=not positive)
        case ConditionAND() | ConditionOR():
            parts = [list(_alternatives(part, positive=positive)) for part in node.args]
            if isinstance(node, ConditionOR) == positive:
                for part in parts:
                    yield from part
                return
            if reduce(lambda total, part: total * max(1, len(part)), parts, 1) > ALTERNATIVES:
                raise OverflowError
            for combination in product(*parts):
                yield tuple(literal for part in combination for literal in part)
        case ConditionFieldEqualsValueExpression():
            yield ((positive, node),)
        case _:
            yield ()


def _contradiction(table: str, literals: Sequence[Literal]) -> str | None:
    """Why tests cannot hold together, or None where they may."""
    allowed: dict[str, frozenset[object]] = {}
    bounds: dict[str, tuple[float, float]] = {}
    for positive, test in literals:
        column = column_of(table, test.field)
        value = test.value
        if not positive or column.kind.startswith("list"):
            continue
        values = _values(value)
        if column.values and values is not None and not any("*" in str(v) or "?" in str(v) for v in values):
            known = {word.casefold() for word in column.values}
            if not any(str(v).casefold() in known for v in values):
                return f"{column.name} is never {' or '.join(sorted(map(str, values)))}"
        if values is not None:
            before = allowed.get(column.name)
            allowed[column.name] = values if before is None else before & values
            if not allowed[column.name]:
                return f"{column.name} cannot have two values at once"
        if column.kind in NUMBERS:
            least, most = bounds.get(
                column.name, (0.0 if NUMBERS[column.kind] else float("-inf"), float(NUMBERS[column.kind] or "inf"))
            )
            low, high = _bound(value)
            bounds[column.name] = least, most = max(least, low), min(most, high)
            if least > most:
                return f"{column.name} cannot be in that range"
    return None


def _values(value: object) -> frozenset[object] | None:
    match value:
        case SigmaNumber():
            return frozenset({float(value.number)})
        case SigmaString() if not value.contains_placeholder():
            return frozenset({str(value).casefold()})
        case SigmaExpansion():
            parts = [_values(part) for part in value.values]
            return (
                None
                if any(part is None for part in parts)
                else frozenset[object]().union(*(part for part in parts if part is not None))
            )
        case _:
            return None


def _bound(value: object) -> tuple[float, float]:
    """Least and most that a number may be to pass a test; strictness does not matter for whole numbers one apart."""
    match value:
        case SigmaNumber():
            return float(value.number), float(value.number)
        case SigmaCompareExpression():
            number = float(value.number.number)
            step = 1.0 if number.is_integer() else 0.0
            return {
                "<": (float("-inf"), number - step),
                "<=": (float("-inf"), number),
                ">": (number + step, float("inf")),
                ">=": (number, float("inf")),
            }.get(OPERATORS[value.op], (float("-inf"), float("inf")))
        case _:
            return float("-inf"), float("inf")


def coverage(rules: Sequence[Rule]) -> Mapping[str, Mapping[str, list[str]]]:
    """The ATT&CK for ICS matrix: tactic → technique → rules that cover it."""
    matrix: dict[str, dict[str, list[str]]] = {}
    for technique in attack.techniques().values():
        covering = sorted(rule.name for rule in rules if rule.alerts and technique.id in rule.techniques)
        for tactic in technique.tactics:
            matrix.setdefault(tactic, {})[technique.id] = covering
    return matrix
