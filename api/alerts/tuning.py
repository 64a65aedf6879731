"""Exceptions that could be made for an alert, from what people decided about others of its rule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from api.alerts.models import Alert
from api.times import now
from detection.tuning import LOOK_BACK, Exemption, preview, propose

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.orm import Session

LOOKED_AT: Final = 20_000
"""Most alerts of a rule that a preview looks at, the latest."""

TRUE: Final = ("true_positive_impact", "true_positive_no_impact")
"""Dispositions of alerts that were right."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A stored alert as exceptions look at it."""

    id: str
    rule: str
    client_ip: str | None
    server_ip: str | None
    first_seen: int
    body: Mapping[str, Any]
    closed: bool

    @classmethod
    def of(cls, alert: Alert) -> Seen:
        """The stored alert."""
        hosts = alert.client_ip, alert.server_ip
        return cls(alert.id, alert.rule, *hosts, alert.first_seen, alert.body, alert.triage_state == "closed")


@dataclass(frozen=True, slots=True)
class Proposal:
    """An exception that could be made."""

    exemption: Exemption
    hides: tuple[Seen, ...]
    """Alerts of the last 30 days that it would have hidden, the latest first."""


def proposals(session: Session, alert: Alert, by: str) -> list[Proposal]:
    """Exceptions for an alert, narrowest first; none covers an alert of its rule that was closed as right, whenever that was."""
    moment = now()
    since = moment - int(LOOK_BACK.total_seconds()) * 1_000_000_000
    of_rule = sa.select(Alert).where(Alert.rule == alert.rule).order_by(Alert.first_seen.desc()).limit(LOOKED_AT)

    def seen(*conditions: sa.ColumnElement[bool]) -> list[Seen]:
        return [Seen.of(each) for each in session.scalars(of_rule.where(*conditions))]

    recent = seen(Alert.first_seen >= since)
    true = seen(Alert.triage_disposition.in_(TRUE))
    false = seen(Alert.triage_disposition == "false_positive", Alert.id != alert.id)
    found = propose(Seen.of(alert), false, true, datetime.fromtimestamp(moment // 1_000_000_000, UTC), by)
    return [Proposal(exemption, tuple(preview(exemption, recent, moment))) for exemption in found]
