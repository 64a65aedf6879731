"""Incidents as the API shows them, in the caller's language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from api.incidents import gate, grades, grading, lifecycle, service, timeline
from api.incidents.categories import categories
from api.incidents.schemas import (
    ChoiceOutput,
    ClassOutput,
    CriterionOutput,
    GradeEntry,
    IncidentItem,
    IncidentOutput,
    MetricOutput,
    ProposalOutput,
    TimelineEntry,
    Vocabulary,
)
from api.incidents.wording import words
from api.texts import text
from api.times import iso

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from api.incidents.grading import Criterion, Named, Proposal
    from api.incidents.models import Incident, IncidentEntry, IncidentGrade

SHOWN: Final = 1_000
"""Alerts of an incident that are named."""

_TIMES: Final = frozenset({"until", "discovered_at", "due_at"})
"""Details that are times."""


def item(incident: Incident, language: str) -> IncidentItem:
    """An incident as it stands in a list."""
    return IncidentItem.model_validate(_item(incident, language))


def output(session: Session, incident: Incident, language: str) -> IncidentOutput:
    """An incident with all that is known of it."""
    alerts = service.alert_ids(session, incident.number)
    is_open = incident.state != "closed"
    moves = lifecycle.MOVES[service.phase_of(incident)] if is_open and incident.held_until is None else ()
    names = (
        "summary", "declared_by", "reported_by", "disposition", "story", "continues", "split_from", "merged_into", "facts",
    )  # fmt: skip
    return IncidentOutput.model_validate(
        {
            **_item(incident, language),
            **{name: getattr(incident, name) for name in names},
            **{name: _text(getattr(incident, name)) for name in ("occurred_at", "acknowledged_at", "resolved_at")},
            "merged": timeline.told_by(session, incident.number)[1:],
            "alerts": alerts[:SHOWN],
            "alert_count": len(alerts),
            "moves": moves,
            "closable": is_open and incident.held_until is None and lifecycle.may_close(service.phase_of(incident)),
        }
    )


def _item(incident: Incident, language: str) -> dict[str, Any]:
    names = (
        "number", "version", "site", "title", "state", "drill", "origin", "lead", "category", "grade", "grades",
    )  # fmt: skip
    hold = None
    if incident.held_until is not None:
        hold = {"until": iso(incident.held_until), "by": incident.held_by, "reason": incident.held_reason}
    return {
        **{name: getattr(incident, name) for name in names},
        **{
            name: _text(getattr(incident, name))
            for name in ("discovered_at", "declared_at", "moved_at", "updated_at", "closed_at")
        },
        "category_name": None if incident.category is None else category_name(incident.category, language),
        "hold": hold,
    }


def category_name(category: str, language: str) -> str:
    """The name of a class, or of a class and its sub-class."""
    name, _, sub = category.partition(".")
    for each in categories().classes:
        if each.key == name:
            inner = next((one.name(language) for one in each.sub if one.key == sub), None)
            between = "：" if language == "zh-CN" else ": "
            return each.name(language) if inner is None else f"{each.name(language)}{between}{inner}"
    return category


def line(entry: IncidentEntry, language: str) -> TimelineEntry:
    """A line of the timeline."""
    shown: dict[str, Any] = {key: iso(value) if key in _TIMES and value else value for key, value in entry.detail.items()}
    worded = {key: _worded(key, value, language) for key, value in shown.items()} | words(entry.kind, entry.detail, language)
    told = entry.note if entry.by_hand and entry.note else text(language, f"timeline.{entry.kind}", **worded)
    return TimelineEntry(
        id=entry.id, incident=entry.incident, at=iso(entry.at), written_at=iso(entry.written_at), kind=entry.kind,
        actor=entry.actor, by_hand=entry.by_hand, source=entry.origin, text=told,
        note=None if entry.by_hand else entry.note, detail=shown,
    )  # fmt: skip


def _worded(key: str, value: object, language: str) -> object:
    """A detail as the text shows it: a state by its name, a text of both languages in one, several in a row, else as it is."""
    if key in {"before", "after"} and value in lifecycle.PHASES:
        return text(language, f"incident.state.{value}")
    if isinstance(value, dict):
        texts = cast("dict[str, object]", value)
        return texts.get(language, texts)
    if isinstance(value, list):
        return gate.told(cast("list[object]", value), language)
    return value


def proposal(found: Proposal, incident: Incident, language: str) -> ProposalOutput:
    """What a scheme proposes."""
    scheme = grading.grading().scheme(found.scheme)
    names = {level.level: level.zh if language == "zh-CN" else level.en for level in scheme.levels}
    return ProposalOutput(
        scheme=scheme.key, name=scheme.name(language), citation=scheme.citation, certainty=scheme.certainty, level=found.level,
        level_name=None if found.level is None else names[found.level],
        met=[_criterion(criterion, language) for criterion in found.met], unknown=list(found.unknown),
        decided=incident.grades.get(scheme.key),
    )  # fmt: skip


def proposals(incident: Incident, language: str) -> list[ProposalOutput]:
    """What each scheme proposes."""
    return [proposal(found, incident, language) for found in grades.proposals(incident)]


def _criterion(criterion: Criterion, language: str) -> CriterionOutput:
    metric = grading.grading().metric(criterion.metric)
    return CriterionOutput(
        metric=metric.key,
        name=metric.name(language),
        at_least=criterion.at_least,
        one_of=list(criterion.one_of),
        unit=metric.unit,
    )


def grade(decided: IncidentGrade) -> GradeEntry:
    """A decision about a grade."""
    names = ("by", "scheme", "proposed", "decided", "reason", "facts", "schemes_version")
    return GradeEntry.model_validate({"at": iso(decided.at), **{name: getattr(decided, name) for name in names}})


def vocabulary(language: str) -> Vocabulary:
    """What grading asks for, and the classes."""
    known, classes = grading.grading(), categories()
    return Vocabulary(
        version=known.version,
        metrics=[
            MetricOutput(
                key=metric.key, name=metric.name(language), kind=metric.kind, unit=metric.unit,
                choices=[_choice(choice, language) for choice in metric.choices],
            )
            for metric in known.metrics
        ],
        categories_citation=classes.citation,
        categories=[
            ClassOutput(key=each.key, name=each.name(language), sub=[_choice(sub, language) for sub in each.sub])
            for each in classes.classes
        ],
    )  # fmt: skip


def _choice(named: Named, language: str) -> ChoiceOutput:
    return ChoiceOutput(key=named.key, name=named.name(language))


def _text(moment: int | None) -> str | None:
    return None if moment is None else iso(moment)
