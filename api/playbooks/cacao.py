"""Playbooks as CACAO Security Playbooks 2.0 (OASIS, cs01), out and in. Pure.

Out, a playbook is a chain of manual action steps, each for a group of people. What CACAO has no word for (both languages, time,
whether a task is mandatory) is in an extension, so that what comes in again is what went out. In, any playbook of others becomes
tasks: its steps in the order in which the workflow reaches them, conditions and branches one after the other, commands as the
text of the task. Nothing in it is ever run.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import uuid
from typing import Annotated, Any, Final, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from api.incidents.lifecycle import Phase  # noqa: TC001  pydantic reads the annotations of this module
from api.obligations.rules import Both
from api.playbooks.content import MOST_TASKS, Doer, Playbook, Task

Identifier = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z][a-z0-9-]+[a-z0-9]--[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-5][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}$"
    ),
]

Timestamp = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$")]

Text = Annotated[str, StringConstraints(max_length=20_000, pattern=r"^[^\x00]*$")]

MAKER: Final = "identity--8b3c9a52-6d1f-4e0a-9c57-2f4be1d07a63"
"""Who made what goes out: icsight."""

EXTENSION: Final = "extension-definition--5a1e7c3d-90b2-4f68-8d4e-6b7f02c9a1e5"
"""What CACAO has no word for."""

_MADE: Final = "2026-11-30T00:00:00.000Z"

_NAMESPACE: Final = uuid.UUID("2d2b6f0e-7a6c-4f4d-b1c4-6f1f0a6d9e21")

_ACTIVITIES: Final[dict[Phase, str]] = {
    "analysing": "analyze-collected-data",
    "containing": "restrict-access",
    "eradicating": "eliminate-risk",
    "recovering": "restore-capabilities",
    "monitoring": "match-indicator",
}

_PHASES: Final[dict[str, Phase]] = {
    **{activity: phase for phase, activity in _ACTIVITIES.items()},
    "disconnect-system": "containing",
    "configure-systems": "containing",
    "revert-system": "recovering",
    "restore-data": "recovering",
}

_ROLES: Final[dict[Doer, tuple[str, str]]] = {
    "operator": ("Operators", "运行值班人员"),
    "responder": ("Incident responders", "事件响应人员"),
    "engineer": ("Process and automation engineers", "工艺与自动化工程师"),
}


class CacaoError(ValueError):
    """A playbook is no CACAO 2.0 playbook that tasks can be made of. The text says what is wrong."""


class _Object(BaseModel):
    """CACAO objects may have more than is read here; it is let through and not kept."""

    model_config = ConfigDict(extra="ignore")


class Command(_Object):
    """A command of an action step; of any type, for it is only read."""

    type: Annotated[str, StringConstraints(max_length=64)]
    command: Text | None = None
    command_b64: Annotated[str, StringConstraints(max_length=30_000)] | None = None
    description: Text | None = None
    playbook_activity: Annotated[str, StringConstraints(max_length=64)] | None = None

    def text(self) -> str:
        """What is to be done. Raises CacaoError where it cannot be decoded."""
        if self.command_b64 is None:
            return self.command or self.description or ""
        try:
            return base64.b64decode(self.command_b64, validate=True).decode().replace("\x00", "")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise CacaoError("a command is no text in base64") from error


class Step(_Object):
    """A step of the workflow."""

    type: Literal[
        "start", "end", "action", "playbook-action", "parallel", "if-condition", "while-condition", "switch-condition"
    ]  # fmt: skip
    name: Text | None = None
    description: Text | None = None
    on_completion: Identifier | None = None
    on_success: Identifier | None = None
    on_failure: Identifier | None = None
    on_true: Identifier | None = None
    on_false: Identifier | None = None
    next_steps: Annotated[list[Identifier], Field(max_length=MOST_TASKS)] = []
    cases: Annotated[dict[str, Identifier], Field(max_length=MOST_TASKS)] = {}
    commands: Annotated[list[Command], Field(max_length=MOST_TASKS)] = []
    agent: Identifier | None = None
    condition: Text | None = None
    playbook_id: Identifier | None = None
    step_extensions: Annotated[dict[Identifier, dict[str, Any]], Field(max_length=20)] = {}

    @model_validator(mode="after")
    def _pointers(self) -> Self:
        if self.on_completion is not None and (self.on_success is not None or self.on_failure is not None):
            raise ValueError("on_completion stands for on_success and on_failure: a step has one or the others")
        if self.type == "action" and (not self.commands or self.agent is None):
            raise ValueError("an action step has commands and an agent")
        return self

    @property
    def followers(self) -> list[str]:
        """The steps that it leads to, in the order in which they are told."""
        named = (self.on_true, self.on_false, *self.next_steps, *self.cases.values(), self.on_success, self.on_completion)
        return [each for each in (*named, self.on_failure) if each is not None]


class Agent(_Object):
    """Who carries out a step."""

    type: Annotated[str, StringConstraints(max_length=64)]
    name: Text


class Document(_Object):
    """A CACAO 2.0 playbook, as far as it is read."""

    type: Literal["playbook"]
    spec_version: Literal["cacao-2.0"]
    id: Identifier
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500, pattern=r"^[^\x00]*$")]
    description: Text = ""
    created_by: Identifier
    created: Timestamp
    modified: Timestamp
    revoked: bool = False
    workflow_start: Identifier
    workflow: Annotated[dict[Identifier, Step], Field(max_length=500)]
    agent_definitions: Annotated[dict[Identifier, Agent], Field(max_length=200)] = {}
    playbook_extensions: Annotated[dict[Identifier, dict[str, Any]], Field(max_length=20)] = {}

    @model_validator(mode="after")
    def _whole(self) -> Self:
        start = self.workflow.get(self.workflow_start)
        if start is None or start.type != "start":
            raise ValueError("workflow_start names no start step of the workflow")
        for name, step in self.workflow.items():
            if name.split("--")[0] != step.type:
                raise ValueError(f"{name} is a step of type {step.type}")
            for follower in step.followers:
                if follower not in self.workflow:
                    raise ValueError(f"{name} leads to {follower}, which is not there")
            if step.agent is not None and step.agent not in self.agent_definitions:
                raise ValueError(f"{name} names {step.agent}, which is not defined")
        return self


def _uuid(*parts: str) -> str:
    """The same random-looking UUID (version 4, as steps must have) for the same names."""
    return str(uuid.UUID(bytes=hashlib.sha256("\n".join(parts).encode()).digest()[:16], version=4))


def write(playbook: Playbook, language: str) -> dict[str, Any]:
    """The CACAO playbook of a playbook, its texts in a language."""
    start, end = (f"{kind}--{_uuid(playbook.key, kind)}" for kind in ("start", "end"))
    names = [f"action--{_uuid(playbook.key, task.key)}" for task in playbook.tasks]
    agents = {role: f"group--{_uuid('group', role)}" for role in _ROLES}
    workflow: dict[str, Any] = {start: {"type": "start", "on_completion": names[0]}}
    for name, follower, task in zip(names, [*names[1:], end], playbook.tasks, strict=True):
        workflow[name] = {
            "type": "action",
            "name": task.title.text(language),
            "description": task.text.text(language),
            "on_completion": follower,
            "commands": [{"type": "manual", "command": task.text.text(language), "playbook_activity": _ACTIVITIES[task.phase]}],
            "agent": agents[task.role],
            "step_extensions": {EXTENSION: {"task": task.model_dump(mode="json", by_alias=True)}},
        }
    workflow[end] = {"type": "end"}
    used = {task.role for task in playbook.tasks}
    place = 1 if language == "zh-CN" else 0
    mine = playbook.model_dump(mode="json", by_alias=True, exclude={"tasks"})
    return {
        "type": "playbook",
        "spec_version": "cacao-2.0",
        "id": f"playbook--{uuid.uuid5(_NAMESPACE, playbook.key)}",
        "name": playbook.title.text(language),
        "description": playbook.summary.text(language),
        "playbook_types": ["investigation", "mitigation", "remediation"],
        "playbook_activities": list(dict.fromkeys(_ACTIVITIES[task.phase] for task in playbook.tasks)),
        "created_by": MAKER,
        "created": _MADE,
        "modified": _MADE,
        "labels": ["ics", "ot", playbook.key],
        "workflow_start": start,
        "workflow": workflow,
        "playbook_extensions": {EXTENSION: {"playbook": mine}},
        "agent_definitions": {
            agents[role]: {"type": "group", "name": texts[place]} for role, texts in _ROLES.items() if role in used
        },
        "extension_definitions": {
            EXTENSION: {
                "type": "extension-definition",
                "name": "icsight playbook",
                "description": "Texts in English and Chinese, how long there is, and whether a task is mandatory.",
                "created_by": MAKER,
                "schema": "task: key, phase, role, within_minutes, mandatory, title, text; "
                "playbook: key, version, title, summary, rules, categories",
                "version": "1.0.0",
            }
        },
    }  # fmt: skip


def read(given: object) -> Playbook:
    """The playbook of a CACAO playbook. Raises CacaoError."""
    try:
        document = Document.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise CacaoError(f"{place}: {first['msg']}" if place else str(first["msg"])) from error
    if document.revoked:
        raise CacaoError("its maker has revoked it")
    steps = [document.workflow[name] for name in _order(document)]
    told = [step for step in steps if step.type not in {"start", "end"}]
    if not told:
        raise CacaoError("it has no step that could be a task")
    mine = document.playbook_extensions.get(EXTENSION, {}).get("playbook")
    own: list[Any] = [step.step_extensions.get(EXTENSION, {}).get("task") for step in told]
    if mine is not None and all(each is not None for each in own):
        try:
            return Playbook.model_validate({**cast("dict[str, Any]", mine), "tasks": own})
        except (ValidationError, TypeError) as error:
            raise CacaoError("the extension of icsight in it is not as this version knows it") from error
    if len(told) > MOST_TASKS:
        raise CacaoError(f"it has more than {MOST_TASKS} steps")
    return Playbook(
        key=_key(document.id, document.name),
        title=_both(document.name),
        summary=_both(document.description),
        tasks=tuple(_task(step, number, document) for number, step in enumerate(told, start=1)),
    )


def _order(document: Document) -> list[str]:
    """The steps as the workflow reaches them, each once, branches one after the other."""
    found: list[str] = []
    waiting = [document.workflow_start]
    while waiting:
        name = waiting.pop(0)
        if name in found:
            continue
        found.append(name)
        step = document.workflow[name]
        inner = [each for each in step.followers if each not in {step.on_completion, step.on_success}]
        after = [each for each in step.followers if each in {step.on_completion, step.on_success}]
        # What a step holds comes before what follows it.
        waiting = [*inner, *after, *waiting]
    return found


def _task(step: Step, number: int, document: Document) -> Task:
    agent = document.agent_definitions.get(step.agent or "")
    lines = [step.description or "", *(command.text() for command in step.commands)]
    if step.condition:
        lines.append(f"{step.type}: {step.condition}")
    if step.playbook_id:
        lines.append(step.playbook_id)
    if agent is not None:
        lines.append(f"({agent.name})")
    activity = next((command.playbook_activity for command in step.commands if command.playbook_activity), "")
    text = "\n".join(dict.fromkeys(line.strip() for line in lines if line.strip()))
    return Task(
        key=f"step-{number}",
        phase=_PHASES.get(activity, "analysing"),
        role="responder",
        within_minutes=1440,
        mandatory=False,
        title=_both((step.name or step.type)[:500]),
        text=_both(text[:20_000]),
    )


def _key(identity: str, name: str) -> str:
    """A key that says something, and one of its own for each playbook."""
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-")
    return f"{words or 'playbook'}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"


def _both(text: str) -> Both:
    return Both.model_validate({"en": text, "zh-CN": text})
