"""Reports as the API shows them, in the caller's language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from api.incidents import service as incidents
from api.incidents.models import Incident
from api.incidents.schemas import ChoiceOutput
from api.obligations import service
from api.obligations.models import UNDONE
from api.obligations.rules import rule_set
from api.obligations.schemas import ContentOutput, ObligationItem, ObligationOutput, OperatorOutput, OperatorVocabulary
from api.times import NANOSECONDS, iso, now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from api.obligations.models import Obligation
    from api.obligations.schemas import OperatorInput


def items(session: Session, found: Sequence[Obligation], language: str) -> list[ObligationItem]:
    """Reports as they stand in a list."""
    numbers = sorted({each.incident for each in found})
    known = {each.number: each for each in session.scalars(sa.select(Incident).where(Incident.number.in_(numbers)))}
    moment = now()
    operators = {site: service.operator_of(session, site) for site in {each.site for each in known.values()}}
    return [
        ObligationItem.model_validate(
            _item(session, each, incident := known[each.incident], operators[incident.site], language, moment)
        )
        for each in found
    ]


def output(session: Session, found: Obligation, incident: Incident, language: str) -> ObligationOutput:
    """A report with what it says."""
    rules = service.rules_of(found)
    rule = rules.rule(found.rule)
    names = ("drafters", "approved_by", "submitted_by", "receipt", "document", "rules_version")
    return ObligationOutput.model_validate(
        {
            **_item(session, found, incident, service.operator_of(session, incident.site), language, now()),
            **{name: getattr(found, name) for name in names},
            "submitted_by_way_of": found.channel,
            "sha256": service.contents_hash(found),
            "approved_at": _text(found.approved_at),
            "acknowledged_at": _text(found.acknowledged_at),
            "contents": [
                ContentOutput(
                    key=key, name=rules.content(key).name(language), needed=key in rule.minimum,
                    text=found.contents.get(key, ""),
                )
                for key in rule.contents
            ],
        }
    )  # fmt: skip


def operator(site: str, said: OperatorInput, version: int, language: str) -> OperatorOutput:
    """What the operator of a site is."""
    names = {each.key: each.name(language) for each in rule_set().sectors}
    sector = None if said.sector is None else names[said.sector]
    return OperatorOutput.model_validate({**said.model_dump(), "sector_name": sector, "site": site, "version": version})


def vocabulary(sites: list[str], language: str) -> OperatorVocabulary:
    """The sectors of operators, and the sites of which can be said who runs them."""
    sectors = [ChoiceOutput(key=each.key, name=each.name(language)) for each in rule_set().sectors]
    return OperatorVocabulary(sectors=sectors, sites=sites)


def _item(  # noqa: PLR0913, PLR0917 - what a line of a list rests on
    session: Session, found: Obligation, incident: Incident, operator: tuple[OperatorInput, int], language: str, moment: int
) -> dict[str, Any]:
    said, version = operator
    rule = service.rule_of(found)
    runs = found.state in UNDONE and found.started_at is not None and found.due_at is not None
    left = share = None
    if runs and found.due_at is not None and found.started_at is not None:
        left = (found.due_at - moment) // NANOSECONDS
        span = found.due_at - found.started_at
        share = round(max(0.0, (moment - found.started_at) * 100 / span), 1) if span else 100.0
    stop = moment if runs else found.submitted_at
    names = ("id", "incident", "version", "rule", "kind", "state", "due_certain")
    return {
        **{name: getattr(found, name) for name in names},
        "regime": rule.regime,
        "supplement": rule_set().supplement(rule.regime),
        "title": rule.name(language),
        "to": service.recipient(found, said).text(language),
        "assumed": version == 0,
        "channel": rule.channel.text(language),
        "clause": rule.clause,
        "certainty": rule.certainty,
        "note": rule.note.text(language),
        "drill": incident.drill,
        "provisional": found.state in UNDONE and service.is_provisional(rule, incidents.teller(session, incident)),
        "before_approval": found.before_approval,
        "started_at": _text(found.started_at),
        "due_at": _text(found.due_at),
        "updated_at": iso(found.updated_at),
        "at_once": rule.term.kind == "at_once",
        "seconds_left": left,
        "share": share,
        "warned": found.told,
        "submitted_at": _text(found.submitted_at),
        # What is to be done at once has no bound that could be told to be passed.
        "late": found.due_at is not None and rule.term.kind != "at_once" and stop is not None and stop > found.due_at,
    }


def _text(moment: int | None) -> str | None:
    return None if moment is None else iso(moment)
