"""What the law asks for, as data of a version, and which of it applies to an incident. Pure.

Each rule is one report of a series: to whom, by which channel, what it must contain, from what its clock starts and how long it
runs, the clause that says so, and how sure the text is that the data follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.incidents.grading import Certainty, Named
from api.obligations.clocks import Term  # noqa: TC001  pydantic reads the annotation at run time

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Kind = Literal["warning", "first", "supplement", "progress", "final", "police"]
"""Which report of a series it is."""

Operator = Literal["cii", "state_body", "other", "served", "industrial", "data_processor", "nis2_essential", "nis2_important"]
"""What an operator is: of critical information infrastructure, a central body of the state or the party, or any other; one that
others watch or maintain systems for; an industrial enterprise; a processor of data in industry and information technology; an
essential or important entity of NIS2."""

Sector = Literal[
    "nuclear", "steel", "nonferrous", "chemical", "petrochemical", "power", "gas", "adv_mfg", "hydro_hub", "environment",
    "railway", "metro", "aviation", "municipal", "consumer_goods", "electronics", "telecom", "finance", "public_services",
    "e_government", "defence", "other",
]  # fmt: skip
"""The sector of an operator: the key areas of industrial control systems (工信部协〔2011〕451号), and what is none of these of
the sectors of critical information infrastructure (关键信息基础设施安全保护条例, article 2) and of industry
(scope of 工业互联网安全分类分级管理办法)."""

Text = Annotated[str, StringConstraints(max_length=20_000, pattern=r"^[^\x00]*$")]
"""A text that databases and the audit trail can hold: bounds on its characters refuse halves of UTF-16 pairs too."""


class Both(BaseModel):
    """A text in both languages."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    en: Text
    zh: Text = Field(alias="zh-CN")

    def text(self, language: str) -> str:
        """The text in a language."""
        return self.zh if language == "zh-CN" else self.en


class Applies(BaseModel):
    """When a rule applies; all that it names must hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    operator: tuple[Operator, ...]
    """What the operator is: one of these."""
    sectors: tuple[Sector, ...] = ()
    """Its sector is one of these, or may be, where nobody has said which it is; none for all sectors."""
    scheme: str | None = None
    level: Annotated[int, Field(ge=1, le=4)] | None = None
    """The grade by the scheme is this or worse."""
    facts: tuple[str, ...] = ()
    """Facts that must be so."""


Start = Annotated[str, Field(pattern=r"^(discovered|resolved|added|submitted:[a-z0-9-]+)$")]
"""What a clock starts from."""


class GoingOn(BaseModel):
    """The clock of a report of an incident that goes on when the report would be due."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: Start
    term: Term


class Recipient(BaseModel):
    """To whom a report goes in some sectors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sectors: tuple[Sector, ...]
    to: Both


class Rule(Named):
    """One report that must be made."""

    regime: str
    kind: Kind
    to: Both
    """To whom it goes, where its sector says nothing else."""
    to_in: tuple[Recipient, ...] = ()
    """To whom it goes in some sectors, as we read the text."""
    channel: Both
    start: Start
    """What its clock starts from."""
    term: Term
    going_on: GoingOn | None = None
    """The other clock that it has where the incident goes on when it would be due by this one."""
    stands_for: str | None = None
    """Key of the rule whose report it stands in for: it is asked for only where the incident goes on when that would be due."""
    contents: tuple[str, ...]
    """What it contains, by key."""
    minimum: tuple[str, ...]
    """What it must contain before it can be approved."""
    clause: str
    certainty: Certainty
    applies: Applies
    note: Both

    def recipient(self, sector: Sector | None) -> Both:
        """To whom an operator of a sector reports; None where nobody has said which it is."""
        return next((each.to for each in self.to_in if sector in each.sectors), self.to)


class Regime(Named):
    """A text of law with rules."""

    citation: str


class RuleSet(BaseModel):
    """All rules of a version."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    regimes: tuple[Regime, ...]
    sectors: tuple[Named, ...] = ()
    """Those that rules and operators name."""
    contents: tuple[Named, ...]
    rules: tuple[Rule, ...]

    def rule(self, key: str) -> Rule:
        """One rule. Raises KeyError."""
        return {rule.key: rule for rule in self.rules}[key]

    def supplement(self, regime: str) -> str | None:
        """The rule of a regime's further reports; None where it has none."""
        return next((rule.key for rule in self.rules if rule.regime == regime and rule.kind == "supplement"), None)

    def content(self, key: str) -> Named:
        """What a report contains, by key. Raises KeyError."""
        return {content.key: content for content in self.contents}[key]


@dataclass(frozen=True, slots=True)
class Case:
    """What of an incident decides which rules apply."""

    operator: frozenset[Operator]
    sector: Sector | None
    grades: Mapping[str, int]
    facts: Mapping[str, object]


DATA: Final = files("api.obligations") / "data"
"""`rules.json`, the newest version, and `rules-VERSION.json`, each version that was ever given out, the newest too."""


@cache
def rule_set() -> RuleSet:
    """The rules that this version of the product knows: those that new reports follow."""
    return RuleSet.model_validate_json((DATA / "rules.json").read_bytes())


@cache
def kept() -> tuple[RuleSet, ...]:
    """All versions of the rules that were given out, the newest first."""
    found = [each for each in DATA.iterdir() if each.name.startswith("rules-") and each.name.endswith(".json")]
    read = [RuleSet.model_validate_json(each.read_bytes()) for each in found]
    return tuple(sorted(read, key=lambda each: [int(part) for part in each.version.split(".")], reverse=True))


@cache
def made_under(version: str, key: str) -> RuleSet:
    """The rules that a report was made under, whatever became of its rule since.

    Those of its version; where that was never given out, or has no such rule, the newest that have it. Raises KeyError where none
    have.
    """
    known = (rule_set(), *kept())
    for each in (*(each for each in known if each.version == version), *known):
        if any(rule.key == key for rule in each.rules):
            return each
    raise KeyError(key)


@cache
def content_keys() -> Sequence[str]:
    """Keys of what reports of any version contain: what a template may name."""
    return tuple(dict.fromkeys(content.key for each in (rule_set(), *kept()) for content in each.contents))


def applies(rule: Rule, case: Case) -> bool:
    """Whether a rule applies."""
    named = rule.applies
    if not case.operator & set(named.operator):
        return False
    if named.sectors and case.sector is not None and case.sector not in named.sectors:
        return False
    if named.scheme is not None and named.level is not None:
        grade = case.grades.get(named.scheme)
        if grade is None or grade > named.level:
            return False
    return all(case.facts.get(fact) is True for fact in named.facts)


def required(case: Case) -> list[Rule]:
    """The reports that must be made without anybody asking: all that apply but supplements."""
    return [rule for rule in rule_set().rules if rule.kind != "supplement" and applies(rule, case)]
