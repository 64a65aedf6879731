"""Grades of incidents, proposed from facts by schemes that are data. Pure: whoever has the facts gets the grade.

A scheme has levels 1 (extremely serious) to 4 (general) with criteria; any one that is met is enough, and the highest level wins.
What is not known meets no criterion, and is named, so that a person sees on what the proposal stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Mapping

LEVELS: Final = (1, 2, 3, 4)
"""Grades, from the worst (I, 特别重大) to the least (IV, 一般)."""

Certainty = Literal["seen", "partly_seen", "from_memory"]
"""How sure the text is that data follows: its words were seen, some of them, or none."""

Fact = bool | int | float | str
"""A fact's value: a number in the metric's unit, one of its choices, or whether it is so."""

MOST: Final = 10**15
"""Largest number that a fact may be."""


class Named(BaseModel):
    """Something with a key and a name in both languages."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    key: str
    en: str
    zh: str = Field(alias="zh-CN")

    def name(self, language: str) -> str:
        """The name in a language."""
        return self.zh if language == "zh-CN" else self.en


class Metric(Named):
    """Something that grading asks for."""

    kind: Literal["number", "choice", "yes_no"]
    unit: str
    choices: tuple[Named, ...] = ()


class Criterion(BaseModel):
    """One condition; `at_least` includes the number itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: str
    at_least: float | None = None
    one_of: tuple[str, ...] = ()

    def met(self, facts: Mapping[str, Fact]) -> bool:
        """Whether the facts meet it."""
        value = facts.get(self.metric)
        if value is None:
            return False
        if self.at_least is not None:
            return not isinstance(value, str) and value >= self.at_least
        return value in self.one_of


class Level(BaseModel):
    """A grade of a scheme."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    level: Annotated[int, Field(ge=1, le=4)]
    en: str
    zh: str = Field(alias="zh-CN")
    criteria: tuple[Criterion, ...]


class Scheme(Named):
    """A text that says how incidents are graded."""

    citation: str
    effective: str
    certainty: Certainty
    always: bool
    """Whether it proposes the least grade where nothing that it asks for is known; else it proposes none."""
    levels: tuple[Level, ...]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Keys of what it asks for, in order, once each."""
        return tuple(dict.fromkeys(criterion.metric for level in self.levels for criterion in level.criteria))


class Grading(BaseModel):
    """The schemes and what they ask for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    metrics: tuple[Metric, ...]
    schemes: tuple[Scheme, ...]

    def scheme(self, key: str) -> Scheme:
        """One scheme. Raises KeyError."""
        return {scheme.key: scheme for scheme in self.schemes}[key]

    def metric(self, key: str) -> Metric:
        """One metric. Raises KeyError."""
        return {metric.key: metric for metric in self.metrics}[key]


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a scheme makes of the facts.

    Attributes:
        scheme: its key.
        level: the grade; None where the scheme has nothing to go by.
        met: the criteria of that grade that are met.
        unknown: what the scheme asks for and is not known.
    """

    scheme: str
    level: int | None
    met: tuple[Criterion, ...]
    unknown: tuple[str, ...]


@cache
def grading() -> Grading:
    """The schemes that this version of the product knows."""
    return Grading.model_validate_json((files("api.incidents") / "data" / "grading.json").read_bytes())


def check(facts: Mapping[str, Fact]) -> str | None:
    """What is wrong with facts: the key of the first that is none, or None."""
    known = {metric.key: metric for metric in grading().metrics}
    for key, value in facts.items():
        metric = known.get(key)
        if metric is None:
            return key
        if metric.kind == "choice" and value not in {choice.key for choice in metric.choices}:
            return key
        if metric.kind == "yes_no" and not isinstance(value, bool):
            return key
        if metric.kind == "number" and (isinstance(value, (str, bool)) or not 0 <= value <= MOST):
            return key
    return None


def propose(scheme: Scheme, facts: Mapping[str, Fact]) -> Proposal:
    """The grade of a scheme for the facts."""
    unknown = tuple(key for key in scheme.metrics if key not in facts)
    for level in sorted(scheme.levels, key=lambda each: each.level):
        met = tuple(criterion for criterion in level.criteria if criterion.met(facts))
        if met:
            return Proposal(scheme.key, level.level, met, unknown)
    known = len(unknown) < len(scheme.metrics)
    return Proposal(scheme.key, LEVELS[-1] if scheme.always or known else None, (), unknown)
