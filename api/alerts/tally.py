"""How many alerts there are by severity and state, kept as alerts change: to count a million takes longer than anybody waits.

Whatever writes an alert through a session changes the tally in the same transaction; what writes past sessions counts anew.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy import event

from api.alerts.models import Alert, AlertTally
from api.database.scope import ScopedSession, scope_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session, UOWTransaction


class Place(NamedTuple):
    """Where an alert is counted."""

    site: str
    severity: int
    state: str


TOLD: Final = sa.and_(
    sa.or_(
        sa.and_(Alert.part_of.is_(None), Alert.exception.is_(None), Alert.suppressed_by.is_(None)),
        Alert.triage_state != "new",
    ),
    Alert.snoozed_until.is_(None),
    Alert.merged_into.is_(None),
)
"""Alerts that lists show which ask for nothing else; those of drills among them are not counted."""


def by_severity_and_state(session: Session) -> dict[tuple[int, str], int]:
    """How many alerts there are of each severity, as a position in `SEVERITIES`, and state; none where there are none."""
    asked = sa.select(AlertTally.severity, AlertTally.triage_state, sa.func.sum(AlertTally.count))
    rows = session.execute(asked.group_by(AlertTally.severity, AlertTally.triage_state))
    return {(severity, state): int(count) for severity, state, count in rows}


def counted(session: Session) -> dict[Place, int]:
    """The same of each site, counted one by one: what the tally must say."""
    keys = (Alert.site, Alert.severity, Alert.triage_state)
    asked = sa.select(*keys, sa.func.count()).where(TOLD, Alert.drill.is_(None)).group_by(*keys)
    return {Place(*row[:3]): row[3] for row in session.execute(asked)}


def count_anew(session: Session) -> None:
    """Make the tally say what is there, after something wrote past sessions."""
    session.execute(sa.delete(AlertTally))
    session.add_all(
        AlertTally(site=place.site, severity=place.severity, triage_state=place.state, count=count)
        for place, count in counted(session).items()
    )
    session.flush()


@event.listens_for(ScopedSession, "before_flush")
def _keep(session: Session, context: UOWTransaction, instances: object) -> None:
    """Count what a flush writes: each alert where it is now, and no longer where it was."""
    del context, instances
    moved: Counter[Place] = Counter()
    for row in session.new:
        if isinstance(row, Alert):
            moved.update(_place(lambda name, alert=row: getattr(alert, name)))
    for row in session.dirty:
        if isinstance(row, Alert):
            moved.subtract(_place(lambda name, alert=row: _stored(alert, name)))
            moved.update(_place(lambda name, alert=row: getattr(alert, name)))
    for row in session.deleted:
        if isinstance(row, Alert):
            moved.subtract(_place(lambda name, alert=row: _stored(alert, name)))
    organisation = scope_of(session).organisation
    for place, more in moved.items():
        if not more:
            continue
        tally = session.get(AlertTally, (organisation, *place))
        if tally is None:
            tally = AlertTally(
                organisation=organisation, site=place.site, severity=place.severity, triage_state=place.state, count=0
            )
            session.add(tally)
        tally.count += more


def _stored(alert: Alert, name: str) -> Any:
    """What a column of an alert holds in the database."""
    _, unchanged, deleted = sa.inspect(alert).attrs[name].load_history()
    # What nobody has set yet is not there.
    found = [*(deleted or ()), *(unchanged or ())]
    return found[0] if found else None


def _place(value: Callable[[str], Any]) -> tuple[Place, ...]:
    """Where an alert with these columns is counted: in one place, or in none."""
    state = value("triage_state") or "new"
    hidden = state == "new" and any(value(name) is not None for name in ("part_of", "exception", "suppressed_by"))
    if hidden or any(value(name) is not None for name in ("snoozed_until", "merged_into", "drill")):
        return ()
    return (Place(value("site") or "", value("severity"), state),)
