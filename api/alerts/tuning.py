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
    severity: int
    closed: bool

    @classmethod
    def of(cls, alert: Alert) -> Seen:
        """The stored alert."""
        hosts = alert.client_ip, alert.server_ip
        return cls(
            alert.id, alert.rule, *hosts, alert.first_seen, alert.body, alert.severity, alert.triage_state == "closed"
        )  # fmt: skip


COLUMNS: Final = (
    Alert.id, Alert.rule, Alert.client_ip, Alert.server_ip, Alert.first_seen, Alert.body, Alert.severity,
)  # fmt: skip
"""What of an alert exceptions look at, in the order of `Seen`, besides whether it is closed."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """An exception that could be made."""

    exemption: Exemption
    hides: tuple[Seen, ...]
    """Alerts of the last 30 days that it would have hidden, the latest first."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """What an exception, or an accepted fact, would have hidden."""

    alerts: tuple[Seen, ...]
    """Alerts of the last 30 days, the latest first."""
    right: int = 0
    """How many of those that were ever closed as right it covers."""
    limited: bool = False
    """Whether there were more than are looked at."""


def last_days(session: Session) -> tuple[int, int]:
    """From when until when the last 30 days are, nanoseconds since 1970: up to the latest alert, for captures that are old."""
    latest = session.scalar(sa.select(sa.func.max(Alert.first_seen)).where(Alert.drill.is_(None)))
    end = now() if latest is None else min(now(), latest)
    return end - int(LOOK_BACK.total_seconds()) * 1_000_000_000, end


def seen(session: Session, *conditions: sa.ColumnElement[bool]) -> list[Seen]:
    """The latest alerts for which these hold, as many as are looked at; none of a drill."""
    closed = Alert.triage_state == "closed"
    found = (
        sa.select(*COLUMNS, closed).where(Alert.drill.is_(None), *conditions).order_by(Alert.first_seen.desc()).limit(LOOKED_AT)
    )
    return [Seen(*columns) for columns in session.execute(found)]


def right(session: Session, *conditions: sa.ColumnElement[bool]) -> list[Seen]:
    """The latest alerts that were closed as right, for which these hold, as many as are looked at of each disposition."""
    # By disposition: of all at once SQLite would look through all alerts in their order.
    return [each for disposition in TRUE for each in seen(session, Alert.triage_disposition == disposition, *conditions)]


def hidden_by(session: Session, exemption: Exemption, site: str) -> Hidden:
    """What an exception would have hidden at a site, had it held."""
    since, end = last_days(session)
    plain = [name for name in exemption.rules if not set(name) & set("*?[")]
    meant = [Alert.site == site, *([Alert.rule.in_(plain)] if plain and len(plain) == len(exemption.rules) else [])]
    recent = seen(session, Alert.first_seen >= since, *meant)
    covered = sum(exemption.would_hide(alert) for alert in right(session, *meant))
    return Hidden(tuple(preview(exemption, recent, end)), covered, len(recent) == LOOKED_AT)


def proposals(session: Session, alert: Alert, by: str) -> list[Proposal]:
    """Exceptions for an alert, narrowest first; none covers an alert of its rule that was closed as right, whenever that was.

    For an alert of a drill there are none: what was made up is no reason for one.
    """
    if alert.drill is not None:
        return []
    since, end = last_days(session)
    alike = Alert.rule == alert.rule, Alert.site == alert.site
    recent = seen(session, *alike, Alert.first_seen >= since)
    true = right(session, *alike)
    false = seen(session, *alike, Alert.triage_disposition == "false_positive", Alert.id != alert.id)
    moment = datetime.fromtimestamp(now() // 1_000_000_000, UTC)
    found = propose(Seen.of(alert), false, true, moment, by)
    return [Proposal(exemption, tuple(preview(exemption, recent, end))) for exemption in found]
