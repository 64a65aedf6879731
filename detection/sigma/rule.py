"""Rules: Sigma files with the texts that an alert of theirs carries."""

from __future__ import annotations

import json
import os
import sysconfig
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic import Field as PydanticField
from sigma.collection import SigmaCollection
from sigma.correlations import SigmaCorrelationRule
from sigma.exceptions import SigmaError
from sigma.rule import SigmaRule

from detection import attack
from detection.alerts import RULE_CHARACTERS, TECHNIQUE_CHARACTERS, has_room
from detection.texts import named

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LANGUAGES: Final = ("en", "zh-CN")
"""Languages that each rule's texts come in."""

LEVELS: Final = ("informational", "low", "medium", "high", "critical")
"""Levels in rising order; an alert's severity is its rule's level."""

DEFAULT_WINDOW_SECONDS: Final = 3600
"""Findings of one cause that lie closer than this are one alert."""

POSTURE_WINDOW_SECONDS: Final = 86_400
"""The same for rules about posture."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that makes a rule, or a file of rules, unfit."""

    path: Path
    rule: str
    """Name of the rule; empty where the file as a whole cannot be read."""
    text: str

    def __str__(self) -> str:
        """One line: file, rule, what is wrong."""
        return ": ".join(part for part in (str(self.path), self.rule, self.text) if part)


class RuleError(Exception):
    """A rule cannot be used. The text is one line with the file and the reason.

    Attributes:
        rule: the rule, where it could be read.
        reason: the text without file and rule.
    """

    def __init__(self, text: str, rule: Rule | None = None) -> None:
        super().__init__(text if rule is None else f"{rule.path}: {rule.name}: {text}")
        self.rule = rule
        self.reason = text


class Texts(BaseModel):
    """What an alert says, in one language. Names in braces are fields of the finding."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = ""
    summary: str = ""
    expected: str = ""
    observed: str = ""
    next_steps: tuple[str, ...] = ()
    description: str = ""
    """The rule's description, for languages other than the rule's own."""
    falsepositives: tuple[str, ...] = ()


class Section(BaseModel):
    """The section `icsight` of a rule."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    confidence: float = PydanticField(default=0.5, gt=0, le=1)
    """How sure a finding is."""
    window_seconds: int = PydanticField(default=DEFAULT_WINDOW_SECONDS, ge=1)
    """How close findings of one cause must lie to be one alert."""
    target: tuple[str, ...] | None = None
    """Fields that, with client and server, name what the alert is about."""
    about: Literal["act", "circumstances", "posture"] = "act"
    """What a finding says: what was done, or only by whom, when, where or how it was answered; or how a server is set up.

    Of alerts of one level about the same client, server and target those about acts tell the story. Posture is true each day
    until somebody changes it, and no attack: it is one alert for each server, for all clients and while it recurs within a day,
    apart from all stories, and is no alarm.
    """
    unless_learned: bool = False
    """Whether the rule keeps silent where normality is known, because what differs from it says the same and better."""
    newcomers: bool = False
    """For value_count: only records that bring a value which their window did not have are findings."""
    completing: bool = False
    """For temporal_ordered: only records of the last rule are findings; what had to come before may lie hours back."""
    test: str = ""
    """Which protocol stack made the test traffic."""
    record: dict[str, Any] = PydanticField(default_factory=dict[str, Any])
    """Values by column for the record that proves at each start that the rule fires, where its condition does not give them."""
    site: dict[str, Any] = PydanticField(default_factory=dict[str, Any])
    """Facts of the site that the test needs; `<rule>.site.yml` beside the rule says the same."""
    texts: dict[str, Texts] = PydanticField(default_factory=dict[str, Texts])
    """Texts by language."""


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One rule of a file: a condition on the rows of one table, or a correlation of other rules. Equal to none but itself."""

    name: str
    sigma: SigmaRule | SigmaCorrelationRule
    path: Path
    content: Mapping[str, Any]
    """The document as it stands in the file."""
    alerts: bool
    """Whether its findings become alerts; rules without a level only feed correlations."""
    section: Section = field(default_factory=Section)

    @property
    def id(self) -> str:
        """The rule's UUID."""
        return str(self.sigma.id)

    @property
    def level(self) -> str:
        """The rule's level; "informational" where it has none."""
        return "informational" if self.sigma.level is None else self.sigma.level.name.lower()

    @property
    def texts(self) -> Mapping[str, Texts]:
        """What its alerts say, by language."""
        return self.section.texts

    def text(self, language: str) -> Texts:
        """What its alerts say in a language; where it has no texts in it, its English ones, or what Sigma itself gives."""
        return (
            self.texts.get(language) or self.texts.get("en") or Texts(title=str(self.sigma.title), summary=str(self.sigma.title))
        )

    @property
    def confidence(self) -> float:
        """How sure a finding is, above 0 and up to 1."""
        return self.section.confidence

    @property
    def posture(self) -> bool:
        """Whether it says how a server is set up, and not that something happened."""
        return self.section.about == "posture"

    @property
    def timespan_seconds(self) -> int:
        """How far a correlation's window reaches back; 0 for a rule over a table."""
        timespan = None if self.correlation is None else self.correlation.timespan
        return 0 if timespan is None else timespan.seconds

    @property
    def window_seconds(self) -> int:
        """How close findings of one cause must lie to be one alert; never less than a correlation's own window."""
        return max(POSTURE_WINDOW_SECONDS if self.posture else self.section.window_seconds, self.timespan_seconds)

    @property
    def techniques(self) -> list[str]:
        """Techniques of ATT&CK for ICS that the rule names."""
        return attack.named_by(self.sigma.tags)

    @property
    def correlation(self) -> SigmaCorrelationRule | None:
        """The correlation, if it is one."""
        return self.sigma if isinstance(self.sigma, SigmaCorrelationRule) else None

    @property
    def sources(self) -> list[str]:
        """Names (or ids) of the rules that a correlation is made of."""
        references = [] if self.correlation is None else self.correlation.rules or []
        return [str(reference.reference) for reference in references]

    def feeding(self) -> Rule:
        """The same rule, used by correlations only."""
        return replace(self, alerts=False)

    @property
    def target(self) -> list[str]:
        """Fields that, with client and server, name what the alert is about."""
        if self.section.target is not None:
            return list(self.section.target)
        if self.correlation is not None:
            return [name for name in self.correlation.group_by or [] if name not in {"client.ip", "server.ip"}]
        modbus = {key: ["modbus.unit_id"] for key in ("modbus", "deviation", "anomaly")}
        return {**modbus, "point": ["point.id"]}.get(self.table or "", [])

    @property
    def cause(self) -> list[str]:
        """Fields that findings of one alert share: client, server and target.

        For a correlation what it groups by, of client, server and target, for its windows may end at different times. A newcomer
        is a finding by itself, so that what is counted counts as well.
        """
        parties = ("server.ip",) if self.posture else ("client.ip", "server.ip")
        if self.correlation is None:
            return list(dict.fromkeys((*parties, *self.target)))
        group = [name for name in self.correlation.group_by or [] if name in {*parties, *self.target}]
        counted = [name for name in parties if self.section.newcomers and name == self.counted]
        return list(dict.fromkeys((*counted, *group)))

    @property
    def counted(self) -> str | None:
        """The field whose distinct values a correlation counts; None where it counts none."""
        named = cast("list[str] | str | None", getattr(getattr(self.correlation, "condition", None), "fieldref", None))
        return named[0] if isinstance(named, list) else named

    @property
    def table(self) -> str | None:
        """The table that the rule looks at; None for a correlation."""
        return self.sigma.logsource.service if isinstance(self.sigma, SigmaRule) else None

    @property
    def placeholders(self) -> set[str]:
        """Site lists that the rule names."""
        text = json.dumps(self.content.get("detection", {}), default=str)
        return {part for part in text.split("%")[1::2] if part.isidentifier()}

    @property
    def fields(self) -> set[str]:
        """Columns that its texts, target and grouping want of a row."""
        texts = [
            text
            for each in self.texts.values()
            for text in (each.title, each.summary, each.expected, each.observed, *each.next_steps)
        ]
        # How complete normality was counts in an alert's confidence.
        sure = {f"{self.table}.confidence"} if self.table in {"deviation", "anomaly"} else set[str]()
        return {name for text in texts for name in named(text)} | set(self.target) | sure


def rules_folder() -> Path:
    """Where the rules are: `ICSIGHT_RULES`, else beside the source, else where the wheel put them."""
    named = os.environ.get("ICSIGHT_RULES")
    if named:
        return Path(named)
    beside = Path(__file__).resolve().parents[2] / "rules"
    return beside if beside.is_dir() else Path(sysconfig.get_paths()["purelib"]) / "rules"


Sigma = SigmaRule | SigmaCorrelationRule

Parsed = tuple[Path, "Mapping[str, Any]", Sigma]
"""A document of a file, and what it says."""


def load(paths: Iterable[Path]) -> list[Rule]:
    """The rules of these files or folders, in order of path. Raises RuleError for the first that cannot be parsed."""
    rules, faults = load_sound(paths)
    if faults:
        raise RuleError(str(faults[0]))
    return rules


def load_sound(paths: Iterable[Path]) -> tuple[list[Rule], list[Fault]]:
    """The rules of these files or folders that can be parsed, in order of path, and why the others cannot.

    A file that cannot be read as a whole gives no rule. Raises RuleError where there is no file at all.
    """
    return parse_sound(texts_of(paths))


def texts_of(paths: Iterable[Path]) -> dict[Path, str | OSError | UnicodeDecodeError]:
    """What these files, or the `.yml` files of these folders, hold, in order of path. Raises RuleError where there is none."""
    files = sorted(file for path in paths for file in (path.rglob("*.yml") if path.is_dir() else [path]))
    if not files:
        raise RuleError("no rules found: name a folder with .yml files by --rules")
    texts: dict[Path, str | OSError | UnicodeDecodeError] = {}
    for file in files:
        try:
            texts[file] = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            texts[file] = error
    return texts


def parse_sound(texts: Mapping[Path, str | OSError | UnicodeDecodeError]) -> tuple[list[Rule], list[Fault]]:
    """The rules of files that can be parsed, and why the others cannot."""
    parsed: list[Parsed] = []
    faults: list[Fault] = []
    for file, text in texts.items():
        try:
            parsed += _documents(file, text)
        except _Unfit as unfit:
            faults.append(unfit.fault)
    parsed, missing = _resolved(parsed)
    rules: list[Rule] = []
    for file, document, sigma in parsed:
        try:
            rules.append(_rule(file, document, sigma))
        except _Unfit as unfit:
            missing.append(unfit.fault)
    sound, rest = _standing(rules)
    return sound, [*faults, *missing, *rest]


class _Unfit(Exception):  # noqa: N818 - never leaves this module
    """Why a document cannot be used."""

    def __init__(self, path: Path, rule: str, text: object) -> None:
        super().__init__()
        self.fault = Fault(path, rule, " ".join(str(text).split()))


def _documents(file: Path, text: str | OSError | UnicodeDecodeError) -> list[Parsed]:
    """The documents of a file, parsed by pySigma. Raises _Unfit."""
    try:
        if not isinstance(text, str):
            raise text
        documents = [cast("Mapping[str, Any]", document) for document in yaml.safe_load_all(text) if document]
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise _Unfit(file, "", f"cannot be read: {error}") from error
    parsed: list[Parsed] = []
    for document in documents:
        if not isinstance(document, dict):
            raise _Unfit(file, "", "not a rule: a rule is a mapping with a title and a detection")
        try:
            kind = SigmaCorrelationRule if "correlation" in document else SigmaRule
            parsed.append((file, document, kind.from_dict(dict(document))))
        except (SigmaError, TypeError, ValueError, KeyError, AttributeError) as error:
            raise _Unfit(file, str(document.get("title", "a rule without a title")), error) from error
    return parsed


def _resolved(parsed: list[Parsed]) -> tuple[list[Parsed], list[Fault]]:
    """The documents whose correlations name rules that there are, resolved; and those that do not."""
    faults: list[Fault] = []
    while True:
        known = {name for _, _, sigma in parsed for name in (getattr(sigma, "name", None), str(sigma.id)) if name}
        lost = [
            (each, sorted(missing))
            for each in parsed
            if isinstance(each[2], SigmaCorrelationRule)
            and (missing := {str(reference.reference) for reference in each[2].rules or []} - known)
        ]
        if not lost:
            break
        for each, missing in lost:
            text = f"there is no rule {missing[0]}; name it in `rules:` of the correlation and define it in one file"
            faults.append(Fault(each[0], str(each[1].get("title", "")), text))
        gone = [each for each, _ in lost]
        parsed = [each for each in parsed if each not in gone]
    # Resolves the rules that correlations name.
    SigmaCollection([sigma for _, _, sigma in parsed])
    return parsed, faults


def _standing(rules: list[Rule]) -> tuple[list[Rule], list[Fault]]:
    """The rules that rest on none that is gone, and why the others do."""
    faults: list[Fault] = []
    while True:
        names = {name for rule in rules for name in (rule.name, rule.id)}
        fallen = [rule for rule in rules if set(rule.sources) - names]
        if not fallen:
            return rules, faults
        faults += [Fault(rule.path, rule.name, "rests on a rule that cannot be used") for rule in fallen]
        rules = [rule for rule in rules if rule not in fallen]


def _rule(file: Path, document: Mapping[str, Any], sigma: Sigma) -> Rule:
    name = str(document.get("name") or "_".join("".join(c if c.isalnum() else " " for c in str(sigma.title).lower()).split()))
    if not has_room(name, RULE_CHARACTERS):
        raise _Unfit(file, name[:40], f"name: give one of at most {RULE_CHARACTERS} characters that can be printed")
    for technique in attack.named_by(sigma.tags):
        if not has_room(technique, TECHNIQUE_CHARACTERS):
            raise _Unfit(file, name, f"tags: {technique[:40]!r} is no technique")
    try:
        section = Section.model_validate(document.get("icsight") or {})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in ("icsight", *first["loc"]))
        raise _Unfit(file, name, f"{place}: {first['msg']}. deploy/docs/rules.md describes the format.") from error
    return Rule(name, sigma, file, document, alerts="level" in document, section=section)
