"""Exceptions as the API shows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
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

Hides = Mapping[tuple[str, str], int]
"""How many alerts each exception hides, by site and name."""

SHOWN: Final = 20
"""Alerts that a preview names."""

ORDER: Final = ("waiting", "withdrawing", "in_force", "planned", "overruled", "ended", "withdrawn")


def listed(session: Session) -> list[ExceptionOutput]:
    """All exceptions, those that hold first, then by name."""
    hidden, waiting = service.hidden_now(session), decisions.waiting(session)
    of_file = {name: site.in_force(session, name).exceptions for name in site.names(session)}
    found = [_output(each, hidden, name, state=_state(each)) for name, known in of_file.items() for each in known]
    names = {name: {each.name for each in known} for name, known in of_file.items()}
    made = session.scalars(sa.select(SiteException))
    found += [_stored(stored, hidden, waiting, names.get(stored.site, set())) for stored in made]
    return sorted(found, key=lambda each: (ORDER.index(each.state), each.name, each.site))


def output(session: Session, stored: SiteException) -> ExceptionOutput:
    """One exception that people made."""
    names = {each.name for each in site.in_force(session, stored.site).exceptions}
    return _stored(stored, service.hidden_now(session), decisions.waiting(session), names)


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


def _stored(stored: SiteException, hidden: Hides, waiting: set[str], of_file: set[str]) -> ExceptionOutput:
    known = Exemption.model_validate(stored.content)
    state: State = "withdrawn" if stored.withdrawn else _state(known)
    if stored.name in of_file and state in {"in_force", "planned"}:
        state = "overruled"
    if stored.decision in waiting:
        state = "withdrawing" if stored.withdrawn else "waiting"
    return _output(
        known, hidden, stored.site, state=state, origin="people", at=iso(stored.changed_at), version=stored.version,
        alert=stored.alert_id,
    )  # fmt: skip


def _output(known: Exemption, hidden: Hides, site_name: str, **fields: Any) -> ExceptionOutput:
    said = known.model_dump(mode="json", include={"name", "kind", "rules", "clients", "servers", "target", "reason", "by"})
    times = {"start": _text(known.start), "end": _text(known.end)}
    hides = hidden.get((site_name, known.name), 0)
    return ExceptionOutput.model_validate({"origin": "file", "site": site_name, **said, **times, "hidden": hides, **fields})


def _state(known: Exemption) -> State:
    start, end = known.span
    moment = now()
    return "ended" if end <= moment else "planned" if start > moment else "in_force"


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
