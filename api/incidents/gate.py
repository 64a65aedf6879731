"""What stands against closing an incident, kept as keys and values, so that each caller is told in his language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, cast

from api.texts import LANGUAGES, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Kind = Literal["task", "action", "report"]

_STATES: Final[Mapping[str, str]] = {"task": "task.state", "action": "deed.state", "report": "obligation.state"}
"""By kind, where its states are told."""


def blocker(kind: Kind, identity: int, title: Mapping[str, str], state: str) -> dict[str, Any]:
    """One thing that is not done, as the timeline keeps it: its title by language, its state by its key."""
    return {"kind": kind, "id": identity, "title": dict(title), "state": state}


def in_all(title: str) -> dict[str, str]:
    """What a person wrote, which is the same in each language."""
    return dict.fromkeys(LANGUAGES, title)


def told(blockers: Sequence[object], language: str) -> str:
    """What stands against closing, in a row. What was kept as a text, by an earlier version, is told as it is."""
    return ("；" if language == "zh-CN" else "; ").join(_told(each, language) for each in blockers)


def in_each(blockers: Sequence[object]) -> dict[str, str]:
    """What stands against closing, by language."""
    return {language: told(blockers, language) for language in LANGUAGES}


def _told(each: object, language: str) -> str:
    if not isinstance(each, dict):
        return str(each)
    kept = cast("dict[str, Any]", each)
    state = text(language, f"{_STATES[kept['kind']]}.{kept['state']}")
    return text(language, "gate.line", title=kept["title"][language], state=state)
