"""Rules: Sigma files with the texts that an alert of theirs carries."""

from __future__ import annotations

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
    site: dict[str, Any] = PydanticField(default_factory=dict[str, Any])
    """Facts of the site that the test needs; `<rule>.site.yml` beside the rule says the same."""
    texts: dict[str, Texts] = PydanticField(default_factory=dict[str, Texts])
    """Texts by language."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a file: a condition on the rows of one table, or a correlation of other rules."""

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
        return {"modbus": ["modbus.unit_id"], "deviation": ["modbus.unit_id"], "point": ["point.id"]}.get(self.table or "", [])

    @property
    def cause(self) -> list[str]:
        """Fields that findings of one alert share: client, server and target.

        For a correlation what it groups by, for its windows may end at different times. A newcomer is a finding by itself, so
        that several groups can be one alert: client and server, grouped by or counted, and target of what it groups by.
        """
        if self.correlation is None:
            parties = ("server.ip",) if self.posture else ("client.ip", "server.ip")
            return list(dict.fromkeys((*parties, *self.target)))
        group = list(self.correlation.group_by or [])
        if not self.section.newcomers:
            return group
        counted = [name for name in ("client.ip", "server.ip") if name == self.counted]
        return list(dict.fromkeys((*counted, *(name for name in group if name in {"client.ip", "server.ip", *self.target}))))

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
        text = yaml.safe_dump(self.content.get("detection", {}), allow_unicode=True)
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
        sure = {"deviation.confidence"} if self.table == "deviation" else set[str]()
        return {name for text in texts for name in named(text)} | set(self.target) | sure


def rules_folder() -> Path:
    """Where the rules are: `ICSIGHT_RULES`, else beside the source, else where the wheel put them."""
    named = os.environ.get("ICSIGHT_RULES")
    if named:
        return Path(named)
    beside = Path(__file__).resolve().parents[2] / "rules"
    return beside if beside.is_dir() else Path(sysconfig.get_paths()["purelib"]) / "rules"


def load(paths: Iterable[Path]) -> list[Rule]:
    """The rules of these files or folders, in order of path. Raises RuleError for the first that cannot be parsed."""
    files = sorted(file for path in paths for file in (path.rglob("*.yml") if path.is_dir() else [path]))
    if not files:
        raise RuleError("no rules found: name a folder with .yml files by --rules")
    documents: list[tuple[Path, Mapping[str, Any]]] = []
    for file in files:
        try:
            found = [
                cast("Mapping[str, Any]", document)
                for document in yaml.safe_load_all(file.read_text(encoding="utf-8"))
                if document
            ]
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise RuleError(f"{file}: cannot be read: {' '.join(str(error).split())}") from error
        documents += [(file, document) for document in found]
    parsed: list[tuple[Path, Mapping[str, Any], SigmaRule | SigmaCorrelationRule]] = []
    for file, document in documents:
        try:
            kind = SigmaCorrelationRule if "correlation" in document else SigmaRule
            parsed.append((file, document, kind.from_dict(dict(document))))
        except (SigmaError, TypeError, ValueError, KeyError) as error:
            raise RuleError(
                f"{file}: {document.get('title', 'a rule without a title')}: {' '.join(str(error).split())}"
            ) from error
    try:
        # Resolves the rules that correlations name.
        SigmaCollection([sigma for _, _, sigma in parsed])
    except SigmaError as error:
        raise RuleError(
            f"{' '.join(str(error).split())}; name it in `rules:` of the correlation and define it in one file"
        ) from error
    return [_rule(file, document, sigma) for file, document, sigma in parsed]


def _rule(file: Path, document: Mapping[str, Any], sigma: SigmaRule | SigmaCorrelationRule) -> Rule:
    name = str(document.get("name") or "_".join("".join(c if c.isalnum() else " " for c in str(sigma.title).lower()).split()))
    try:
        section = Section.model_validate(document.get("icsight") or {})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in ("icsight", *first["loc"]))
        raise RuleError(f"{file}: {name}: {place}: {first['msg']}. deploy/docs/rules.md describes the format.") from error
    return Rule(name, sigma, file, document, alerts="level" in document, section=section)
