"""Drills as the API shows them, in the caller's language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api.drills import service, steps
from api.drills.scenarios import SCENARIOS
from api.drills.schemas import DrillItem, DrillOutput, DrillPlant, DrillStep, ScenarioOutput
from api.texts import text
from api.times import iso

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from api.drills.models import Drill
    from api.drills.scenarios import ScenarioKey

_NAMES = ("number", "version", "site", "scenario", "title", "state", "started_by", "ended_by")


def scenario(key: ScenarioKey, language: str) -> ScenarioOutput:
    """Something that can be drilled."""
    found = SCENARIOS[key]
    return ScenarioOutput(
        key=key, name=text(language, f"drill.scenario.{key}"), text=text(language, f"drill.scenario.{key}.text"),
        techniques=list(found.techniques), playbook=found.playbook, rules=list(found.rules),
    )  # fmt: skip


def item(drill: Drill, language: str) -> DrillItem:
    """A drill as it stands in a list."""
    return DrillItem.model_validate(_item(drill, language))


def output(session: Session, drill: Drill, language: str) -> DrillOutput:
    """A drill with its steps, beside those of the last."""
    last, found = service.last_before(session, drill), SCENARIOS[_key(drill)]
    return DrillOutput.model_validate(
        {
            **_item(drill, language),
            **{name: getattr(drill, name) for name in ("participants", "note", "end_note")},
            "playbook": found.playbook,
            "techniques": list(found.techniques),
            "plant": DrillPlant.model_validate(drill.plant),
            "alerts": service.alerts_of(session, drill),
            "incidents": list(steps.incident_numbers(session, drill)),
            "compared_with": None if last is None else last.number,
            "steps": [_step(each) for each in steps.compared(session, drill, last)],
        }
    )


def _item(drill: Drill, language: str) -> dict[str, Any]:
    return {
        **{name: getattr(drill, name) for name in _NAMES},
        "scenario_name": text(language, f"drill.scenario.{drill.scenario}"),
        "started_at": iso(drill.started_at),
        "ended_at": None if drill.ended_at is None else iso(drill.ended_at),
    }


def _step(step: steps.Step) -> DrillStep:
    return DrillStep(
        step=step.key, at=None if step.at is None else iso(step.at), seconds=step.seconds, last_seconds=step.last_seconds,
        difference=step.difference,
    )  # fmt: skip


def _key(drill: Drill) -> ScenarioKey:
    return next(key for key in SCENARIOS if key == drill.scenario)
