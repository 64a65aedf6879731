"""Actions in the plant as the API shows them, in the caller's language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from api.actions.schemas import ActionOutput, VerdictOutput
from api.texts import text
from api.times import iso

if TYPE_CHECKING:
    from collections.abc import Mapping

    from api.actions.models import Action
    from api.incidents.models import Incident

_SENTENCE: Final = {"en": "; ", "zh-CN": "；"}


def output(found: Action, incident: Incident, language: str) -> ActionOutput:
    """An action in the plant."""
    names = (
        "id", "incident", "version", "title", "state", "safety", "proof", "proposed_by", "security_by", "operations_by",
        "executed_by",
    )  # fmt: skip
    times = ("window_from", "window_until", "executed_at")
    return ActionOutput.model_validate(
        {
            **{name: getattr(found, name) for name in names},
            **{name: None if getattr(found, name) is None else iso(getattr(found, name)) for name in times},
            "drill": incident.drill,
            "moves": [{**move, "at": iso(move["at"])} for move in found.moves],
            "verdict": None if found.verdict is None else verdict(found.verdict, language),
        }
    )


def verdict(told: Mapping[str, Any], language: str) -> VerdictOutput:
    """What traffic showed, as `api.actions.service.told` keeps it."""
    times = {name: iso(told[name]) for name in ("at", "since", "until")}
    minutes = (told["until"] - told["since"]) // 60_000_000_000
    values = {
        "minutes": minutes,
        "sensors": ", ".join(told["sensors"]),
        "reasons": doubts(told, language),
    }
    return VerdictOutput.model_validate({**told, **times, "text": text(language, f"verdict.{told['verdict']}", **values)})


def doubts(told: Mapping[str, Any], language: str) -> str:
    """Why nobody can tell, in words."""
    return _SENTENCE[language].join(
        text(language, f"proof.{doubt['reason']}", sensor=doubt["sensor"] or "–") for doubt in told["doubts"]
    )
