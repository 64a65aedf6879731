"""What makes a rule fit to run on a plant: complete, able to fire, and fired by a record of its own and its test traffic."""

from __future__ import annotations

import re
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, Literal

from sigma.conditions import ConditionFieldEqualsValueExpression, ConditionItem
from sigma.rule import SigmaRule
from sigma.types import Placeholder, SigmaString

from detection import attack
from detection.captures import detect, learn
from detection.deviation import TABLES
from detection.pipeline import Pipeline
from detection.sigma.compile import parsed
from detection.sigma.fields import ConditionError, field_of
from detection.sigma.proof import sound, unproved
from detection.sigma.rule import LANGUAGES, Fault, Rule, RuleError
from detection.sigma.satisfy import never
from detection.site import Site, SiteError
from detection.site import load as load_site
from sensor._core import CaptureError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


_HAN: Final = re.compile(r"[\u4e00-\u9fff]")


def check(rules: Sequence[Rule], *, traffic: bool = True) -> Iterator[Fault]:
    """Everything that is wrong with these rules. `traffic`: run their test captures as well."""
    ids: dict[str, Rule] = {}
    feeding = {source for rule in rules for source in rule.sources}
    for rule in rules:
        texts = [*_form(rule), *(_alert_form(rule) if rule.alerts else ()), *_condition(rule)]
        if not rule.alerts and not {rule.name, rule.id} & feeding:
            texts.append("has no level, and no correlation uses it: give it a level")
        if rule.sigma.id is not None and rule.id in ids:
            texts.append(f"has the id of {ids[rule.id].name}: draw another UUID")
        ids.setdefault(rule.id, rule)
        for text in dict.fromkeys(texts):
            yield Fault(rule.path, rule.name, text)
    compiled, faults = _compiled(rules)
    yield from faults
    yield from unproved(compiled)
    if traffic:
        for rule in compiled:
            if rule.alerts:
                for text in run_tests(rule, compiled):
                    yield Fault(rule.path, rule.name, text)


def _compiled(rules: Sequence[Rule]) -> tuple[list[Rule], list[Fault]]:
    """The rules that can be compiled, and why the others cannot."""
    left, faults = sound(rules, Site())
    # With every fact that rules name defined, so that those rules are compiled as well.
    left, more = sound(left, site_of(left))
    return left, [*faults, *more]


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
    if not any(text.strip() for text in rule.sigma.falsepositives):
        yield "names no false positives: say which harmless events a person will meet"
    if not rule.sigma.references:
        yield "names no references"
    if not rule.techniques:
        yield "names no technique of ATT&CK for ICS: add a tag such as attack.t0846"
    for name in rule.techniques:
        if name not in attack.techniques():
            newer = [technique.id for technique in attack.techniques().values() if name in technique.aliases]
            yield f"names {name}, which release 19 does not have" + (f": write {newer[0]}" if newer else "")
    if not rule.section.test:
        yield "does not say in icsight.test which protocol stack made its test traffic"
    if rule.posture and rule.level != "informational":
        yield "is about posture, which is no alarm: make its level informational"
    if rule.section.about == "circumstances" and "client.ip" not in rule.cause:
        yield "is about circumstances, but its alerts name no client whose acts could tell them: add client.ip to group-by"
    yield from _text_form(rule)
    for kind in ("fires", "quiet"):
        if test_capture(rule, kind) is None:
            yield f"has no test traffic: {rule.path.stem}.{kind}.pcap is missing beside it"


def _text_form(rule: Rule) -> Iterator[str]:
    for language in LANGUAGES:
        texts = rule.texts.get(language)
        if texts is None:
            yield f"has no texts in {language}"
            continue
        for part in ("title", "summary", "expected", "observed"):
            if not getattr(texts, part).strip():
                yield f"has no {part} in {language}"
            elif language == "zh-CN" and part in {"title", "summary"} and not _HAN.search(getattr(texts, part)):
                yield f"has a {part} in {language} that is not Chinese"
        if "{" not in texts.summary:
            yield f"has a summary in {language} that names nothing: say who did what to what, as in {{client.ip}}"
        if not texts.next_steps:
            yield f"has no next steps in {language}"


def _condition(rule: Rule) -> Iterator[str]:
    """Conditions that can never hold, and selections that no condition uses."""
    if not isinstance(rule.sigma, SigmaRule) or rule.table is None or rule.table not in TABLES:
        return
    words = set(re.findall(r"[\w*]+", " ".join(rule.sigma.detection.condition)))
    for name in rule.sigma.detection.detections:
        if "them" not in words and not any(fnmatchcase(name, word) for word in words):
            yield f"has a selection that its condition does not use: {name}"
    try:
        yield from never(rule.table, parsed(rule.sigma.detection))
    except ConditionError as error:
        yield str(error)


def site_of(rules: Sequence[Rule]) -> Site:
    """A site that defines every fact that rules name, each as the kind that the rule needs."""
    facts: dict[Literal["lists", "windows", "ranges"], dict[str, object]] = {"lists": {}, "windows": {}, "ranges": {}}
    for rule in rules:
        for name, test in _placeholders(rule):
            kind = field_of(str(rule.table), test).kind
            section = "windows" if kind == "timestamp" else "ranges" if test == "point.number" else "lists"
            facts[section][name] = {} if section == "ranges" else ()
    return Site.model_validate(facts)


def _placeholders(rule: Rule) -> Iterator[tuple[str, str]]:
    """Facts of the site that a rule names, with the field that is tested by each."""
    try:
        waiting = [parsed(rule.sigma.detection)] if isinstance(rule.sigma, SigmaRule) else []
    except ConditionError:
        return
    while waiting:
        node = waiting.pop()
        if isinstance(node, ConditionItem):
            waiting += node.args
        elif isinstance(node, ConditionFieldEqualsValueExpression) and isinstance(node.value, SigmaString):
            for part in node.value.s:
                if isinstance(part, Placeholder):
                    yield part.name, node.field


def test_capture(rule: Rule, kind: str) -> Path | None:
    """The capture that must fire a rule ("fires"), must not ("quiet"), or says what is normal ("learn"); None: there is none."""
    for suffix in (".pcap", ".pcap.gz", ".pcapng"):
        path = rule.path.with_name(f"{rule.path.stem}.{kind}{suffix}")
        if path.is_file():
            return path
    return None


def test_site(rule: Rule) -> Site:
    """The site facts that a rule's tests run with: `<rule>.site.yml` beside it, or section icsight.site. Raises SiteError."""
    path = rule.path.with_name(f"{rule.path.stem}.site.yml")
    if path.is_file():
        return load_site(path)
    try:
        return Site.model_validate(rule.section.site)
    except ValueError as error:
        raise SiteError(f"icsight.site: {' '.join(str(error).split())}") from error


def run_tests(rule: Rule, rules: Sequence[Rule]) -> Iterator[str]:
    """Run a rule's test captures; what went wrong."""
    try:
        pipeline = Pipeline.of(_with_sources(rule, rules), test_site(rule))
    except (SiteError, RuleError) as error:
        yield str(error)
        return
    if rule.name in pipeline.detector.inactive:
        yield f"is not active in its own test: its test site must define {', '.join(sorted(rule.placeholders))}"
        return
    for kind, wanted in (("fires", True), ("quiet", False)):
        capture = test_capture(rule, kind)
        if capture is None:
            continue
        try:
            lesson = test_capture(rule, "learn")
            alerts, warnings = detect(str(capture), pipeline, normal=None if lesson is None else learn(str(lesson), "")[0])
        except CaptureError as error:
            yield str(error)
            continue
        yield from warnings
        if any(alert.rule == rule.name for alert in alerts) != wanted:
            yield f"is not fired by {capture.name}" if wanted else f"is fired by {capture.name}, which must not"


def _with_sources(rule: Rule, rules: Sequence[Rule]) -> list[Rule]:
    """A rule and those that it rests on; only they can make it fire. Sources do not raise alerts of their own here."""
    # Long test traffic has a beginning to learn from.
    rule = replace(rule, section=rule.section.model_copy(update={"unless_learned": False}))
    wanted = [rule]
    for each in wanted:
        wanted += [other for other in rules if {other.name, other.id} & set(each.sources) and other not in wanted]
    return [each if each is rule else each.feeding() for each in wanted]
