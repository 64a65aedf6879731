"""What a report says that the law asks for: the draft as it stands, with what its rule asks for and it lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from api.documents.contents import NOTHING, About, Report, Said, local
from api.incidents import grading
from api.incidents.presentation import category_name
from api.obligations.models import UNDONE
from api.obligations.rules import content_keys
from api.obligations.service import recipient, rule_of, rules_of
from api.texts import text
from api.times import now
from sensor import __version__

if TYPE_CHECKING:
    from api.incidents.models import Incident
    from api.obligations.models import Obligation
    from api.obligations.schemas import OperatorInput

APPROVED: Final = ("approved", "submitted", "acknowledged")
"""States of a report whose text a second person has approved."""

ROMAN: Final = ("I", "II", "III", "IV")


def contents(found: Obligation, incident: Incident, operator: OperatorInput, by: str, language: str) -> Report:
    """What a report says now."""
    rules, zone, moment = rules_of(found), operator.time_zone, now()
    rule = rules.rule(found.rule)
    regime = next(each for each in rules.regimes if each.key == rule.regime)
    said = [_said(key, found, language, needed=key in rule.minimum) for key in rule.contents]
    stop = moment if found.state in UNDONE else found.submitted_at
    return Report(
        title=rule.name(language),
        regime=regime.name(language),
        citation=regime.citation,
        operator=operator.name,
        site=incident.site or NOTHING,
        incident=about(incident, zone, language),
        drill=incident.drill,
        approved=found.state in APPROVED,
        to=recipient(found, operator).text(language),
        channel=rule.channel.text(language),
        clause=rule.clause,
        certainty=text(language, f"document.certainty.{rule.certainty}"),
        note=rule.note.text(language),
        rules_version=found.rules_version,
        state=text(language, f"obligation.state.{found.state}"),
        due=due(found, zone, language),
        late=found.due_at is not None and rule.term.kind != "at_once" and stop is not None and stop > found.due_at,
        written_by=", ".join(found.drafters) or NOTHING,
        approved_by=found.approved_by or NOTHING,
        approved_at=_at(found.approved_at, zone),
        submitted_by=found.submitted_by or NOTHING,
        submitted_at=_at(found.submitted_at, zone),
        submitted_by_way_of=found.channel or "",
        receipt=found.receipt or NOTHING,
        contents=said,
        content=dict.fromkeys(content_keys(), "") | {each.key: each.text for each in said},
        missing=[each.name for each in said if each.needed and each.missing],
        made_at=local(moment, zone),
        made_by=by,
        version=__version__,
        time_zone=zone,
    )


def due(found: Obligation, zone: str, language: str) -> str:
    """Until when a report must be submitted, in words."""
    if rule_of(found).term.kind == "at_once" and found.due_at is not None:
        return text(language, "document.at_once", at=local(found.due_at, zone))
    if found.due_at is None:
        return text(language, "document.no_clock")
    return local(found.due_at, zone) if found.due_certain else text(language, "document.or_later", at=local(found.due_at, zone))


def missing(found: Obligation, language: str) -> list[str]:
    """Names of what a report must say and does not."""
    rules = rules_of(found)
    return [rules.content(key).name(language) for key in rules.rule(found.rule).minimum if not found.contents.get(key)]


def about(incident: Incident, zone: str, language: str) -> About:
    """The incident as documents name it."""
    return About(
        number=str(incident.number),
        title=incident.title,
        summary=incident.summary,
        state=text(language, f"incident.state.{incident.state}"),
        grade=_grades(incident, language),
        category=_unknown(language) if incident.category is None else category_name(incident.category, language),
        lead=incident.lead or NOTHING,
        declared_by=incident.declared_by,
        reported_by=incident.reported_by or NOTHING,
        occurred=_unknown(language) if incident.occurred_at is None else local(incident.occurred_at, zone),
        discovered=local(incident.discovered_at, zone),
        declared=local(incident.declared_at, zone),
        resolved=local(incident.resolved_at, zone),
        closed=local(incident.closed_at, zone),
        disposition=NOTHING if incident.disposition is None else text(language, f"disposition.{incident.disposition}"),
    )


def level_name(scheme: str, level: int | None, language: str) -> str:
    """A grade as a scheme calls it; what says that there is none for None."""
    if level is None:
        return text(language, "document.undecided")
    named = next(each for each in grading.grading().scheme(scheme).levels if each.level == level)
    return text(language, "document.level", number=ROMAN[level - 1], name=named.zh if language == "zh-CN" else named.en)


def _grades(incident: Incident, language: str) -> str:
    if not incident.grades:
        return text(language, "document.undecided")
    schemes = grading.grading()
    between = "；" if language == "zh-CN" else "; "
    return between.join(
        text(language, "document.graded", level=level_name(key, level, language), scheme=schemes.scheme(key).name(language))
        for key, level in sorted(incident.grades.items())
    )


def _said(key: str, found: Obligation, language: str, *, needed: bool) -> Said:
    written = found.contents.get(key, "")
    absent = text(language, "document.missing_needed" if needed else "document.missing")
    return Said(key, rules_of(found).content(key).name(language), written or absent, needed, not written)


def _at(moment: int | None, zone: str) -> str:
    """When somebody who is named did something; empty where nobody has."""
    return "" if moment is None else local(moment, zone)


def _unknown(language: str) -> str:
    return text(language, "document.unknown")
