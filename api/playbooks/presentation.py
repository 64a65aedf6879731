"""Playbooks and tasks as the API shows them, in the caller's language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api.playbooks.schemas import PlaybookItem, PlaybookOutput, PlaybookTask, ProposedPlaybook, TaskOutput
from api.playbooks.service import UNDONE
from api.times import iso, now

if TYPE_CHECKING:
    from api.playbooks.content import Playbook
    from api.playbooks.models import IncidentTask


def item(playbook: Playbook, of_site: bool, language: str) -> PlaybookItem:
    """A playbook as it stands in a list."""
    return PlaybookItem.model_validate(_item(playbook, of_site, language))


def proposed(playbook: Playbook, of_site: bool, score: int, begun: bool, language: str) -> ProposedPlaybook:
    """A playbook that fits an incident."""
    return ProposedPlaybook.model_validate({**_item(playbook, of_site, language), "score": score, "begun": begun})


def output(playbook: Playbook, of_site: bool, language: str) -> PlaybookOutput:
    """A playbook with its tasks."""
    tasks = [
        PlaybookTask(**task.model_dump(exclude={"title", "text"}), title=task.title.text(language), text=task.text.text(language))
        for task in playbook.tasks
    ]
    shown = {**_item(playbook, of_site, language), "rules": playbook.rules, "categories": playbook.categories, "tasks": tasks}
    return PlaybookOutput.model_validate(shown)


def task(found: IncidentTask, language: str) -> TaskOutput:
    """A task of an incident."""
    names = (
        "id", "incident", "version", "playbook", "phase", "role", "mandatory", "state", "owner", "done_by", "note",
    )  # fmt: skip
    return TaskOutput.model_validate(
        {
            **{name: getattr(found, name) for name in names},
            "title": found.title[language],
            "text": found.text[language],
            "due_at": None if found.due_at is None else iso(found.due_at),
            "done_at": None if found.done_at is None else iso(found.done_at),
            "updated_at": iso(found.updated_at),
            "overdue": found.due_at is not None and found.state in UNDONE and found.due_at <= now(),
        }
    )


def _item(playbook: Playbook, of_site: bool, language: str) -> dict[str, Any]:
    return {
        "key": playbook.key,
        "version": playbook.version,
        "origin": "site" if of_site else "product",
        "title": playbook.title.text(language),
        "summary": playbook.summary.text(language),
        "tasks": len(playbook.tasks),
        "mandatory": sum(task.mandatory for task in playbook.tasks),
    }
