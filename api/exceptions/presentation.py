"""Exceptions as the API shows them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from api.alerts.models import SEVERITIES
from api.decisions import service as decisions
from api.exceptions import service
from api.exceptions.models import SiteException
from api.exceptions.schemas import ExceptionOutput, Preview
from api.site import service as site
from api.times import iso, now
from detection.tuning import Exemption

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from api.alerts.tuning import Hidden
    from api.exceptions.schemas import State
    from api.services import Services

SHOWN: Final = 20
"""Alerts that a preview names."""

ORDER: Final = ("waiting", "withdrawing", "in_force", "planned", "overruled", "ended", "withdrawn")


def listed(session: Session, services: Services) -> list[ExceptionOutput]:
    """All exceptions, those that hold first, then by name."""
    hidden, waiting = service.hidden_now(session), decisions.waiting(session, services)
    of_file = site.in_force(session).exceptions
    names = {each.name for each in of_file}
    found = [_output(each, hidden, state=_state(each)) for each in of_file]
    found += [_stored(stored, hidden, waiting, names) for stored in session.scalars(sa.select(SiteException))]
    return sorted(found, key=lambda each: (ORDER.index(each.state), each.name))


def output(session: Session, services: Services, stored: SiteException) -> ExceptionOutput:
    """One exception that people made."""
    names = {each.name for each in site.in_force(session).exceptions}
    return _stored(stored, service.hidden_now(session), decisions.waiting(session, services), names)


def preview(found: Hidden) -> Preview:
    """What an exception would have hidden."""
    return Preview(
        hides=len(found.alerts),
        undecided=sum(not alert.closed for alert in found.alerts),
        right=found.right,
        severities=dict(Counter(SEVERITIES[alert.severity] for alert in found.alerts)),
        alerts=[alert.id for alert in found.alerts[:SHOWN]],
        limited=found.limited,
    )


def _stored(stored: SiteException, hidden: dict[str, int], waiting: set[str], of_file: set[str]) -> ExceptionOutput:
    known = Exemption.model_validate(stored.content)
    state: State = "withdrawn" if stored.withdrawn else _state(known)
    if stored.name in of_file and state in {"in_force", "planned"}:
        state = "overruled"
    if stored.decision in waiting:
        state = "withdrawing" if stored.withdrawn else "waiting"
    return _output(
        known, hidden, state=state, origin="people", at=iso(stored.changed_at), version=stored.version, alert=stored.alert_id
    )


def _output(known: Exemption, hidden: dict[str, int], **fields: Any) -> ExceptionOutput:
    said = known.model_dump(mode="json", include={"name", "kind", "rules", "clients", "servers", "target", "reason", "by"})
    times = {"start": _text(known.start), "end": _text(known.end)}
    return ExceptionOutput.model_validate({"origin": "file", **said, **times, "hidden": hidden.get(known.name, 0), **fields})


def _state(known: Exemption) -> State:
    start, end = known.span
    moment = now()
    return "ended" if end <= moment else "planned" if start > moment else "in_force"


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
