"""Playbooks as data: those that come with the product, and the form of those that a site brings."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from api.incidents.lifecycle import OPEN, Phase
from api.obligations.rules import Both  # noqa: TC001  pydantic reads the annotation at run time
from api.unfit import Unfit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Doer = Literal["operator", "responder", "engineer"]
"""Who a task is for."""

Key = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]

Pattern = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]

MOST_TASKS: Final = 100
"""Most tasks of a playbook."""

MOST_MINUTES: Final = 525_600
"""Longest time for a task: a year."""


class Task(BaseModel):
    """One thing to do."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: Key
    phase: Phase
    """The state of the incident in which it is done."""
    role: Doer
    within_minutes: Annotated[int, Field(ge=1, le=MOST_MINUTES)]
    """How long there is, from when the playbook was begun."""
    mandatory: bool
    """Whether it stands against closing the incident while it is not done."""
    title: Both
    text: Both


class Playbook(BaseModel):
    """What to do in one kind of incident."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: Key
    version: Annotated[int, Field(ge=1)] = 1
    title: Both
    summary: Both
    rules: Annotated[tuple[Pattern, ...], Field(max_length=200)] = ()
    """Names of rules whose alerts it is for; patterns allowed."""
    categories: Annotated[tuple[Pattern, ...], Field(max_length=200)] = ()
    """Classes of incidents that it is for."""
    tasks: Annotated[tuple[Task, ...], Field(min_length=1, max_length=MOST_TASKS)]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        keys = [task.key for task in self.tasks]
        if len(set(keys)) < len(keys):
            raise Unfit("task_twice")
        if any(task.phase not in OPEN for task in self.tasks):
            raise Unfit("task_phase")
        return self


@cache
def built_in() -> Mapping[str, Playbook]:
    """The playbooks that come with the product, by key."""
    folder = files("api.playbooks") / "built_in"
    read = (
        Playbook.model_validate(yaml.safe_load(each.read_text("utf-8")))
        for each in folder.iterdir()
        if each.name.endswith(".yml")
    )
    return {playbook.key: playbook for playbook in sorted(read, key=lambda each: each.key)}


def fit(playbooks: Iterable[Playbook], rules: Mapping[str, int], category: str | None) -> list[tuple[Playbook, int]]:
    """The playbooks that fit an incident and how well, best first.

    Args:
        playbooks: those to choose from.
        rules: how many alerts each rule has in the incident.
        category: class of the incident; one that names it counts as much as all alerts together.
    """
    every = sum(rules.values()) or 1
    found: list[tuple[Playbook, int]] = []
    for playbook in playbooks:
        score = sum(count for name, count in rules.items() if any(fnmatchcase(name, pattern) for pattern in playbook.rules))
        if category is not None and any(_covers(named, category) for named in playbook.categories):
            score += every
        if score:
            found.append((playbook, score))
    return sorted(found, key=lambda each: (-each[1], each[0].key))


def _covers(named: str, category: str) -> bool:
    return category == named or category.startswith(f"{named}.")
