"""What the database knows of a moment. Every question is bounded, and has an index: a million alerts are no reason to wait."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from api.alerts.models import Alert, AlertEvent, AlertTally, AlertTechnique
from api.assets.models import Asset
from api.decisions.models import Decision
from api.incidents.models import Incident
from api.obligations.models import UNDONE, Obligation
from api.situation.load import BUCKET_SECONDS
from api.times import LATEST, NANOSECONDS
from api.zones.models import ZonePlan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import InstrumentedAttribute, Session

OPEN: Final = ("new", "triaging", "escalated")
"""States of alerts that are open."""

LOOKED: Final = 300
"""Open alerts of each site and state that are looked at, those that rank highest."""

AT_ONCE: Final = 1_000
"""Alerts that one statement asks for."""

BODIES: Final = 200
"""Of these, how many whole."""

COUNTED: Final = 100_000
"""Open alerts of a state at a past time that are counted at most."""

LOAD_COUNTED: Final = 50_000
"""Alerts of a day that are counted at most."""

MOVED: Final = 20_000
"""Alerts that people decided about after a past time, of which is looked up what they were then."""

INCIDENTS: Final = 50
"""Open incidents that are told."""

AFTER: Final[Mapping[str, str]] = {
    "raised": "new",
    "acknowledged": "triaging",
    "released": "triaging",
    "recurred": "triaging",
    "escalated": "escalated",
    "closed": "closed",
}
"""The state of an alert after a step of its history; other steps leave it as it was."""

REAL: Final = Alert.drill.is_(None)
"""Alerts that are of no drill: nothing else is the situation."""

SHOWN: Final = sa.and_(Alert.part_of.is_(None), Alert.exception.is_(None), Alert.suppressed_by.is_(None), REAL)
"""Real alerts that stand for themselves, hidden by no exception and no window; the condition of the index `ix_alert_shown`."""

COLUMNS: Final = (
    Alert.id, Alert.site, Alert.severity, Alert.rank, Alert.first_seen, Alert.last_seen, Alert.client_ip, Alert.server_ip,
    Alert.triage_state, Alert.triage_by,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Looked:
    """An open alert, without its texts."""

    id: str
    site: str
    severity: int
    rank: float
    first_seen: int
    last_seen: int
    client: str | None
    server: str | None
    state: str
    by: str | None


@dataclass(frozen=True, slots=True)
class Moment:
    """Of when, and of which sites.

    Attributes:
        at: nanoseconds since 1970.
        past: whether that is not now.
        sites: names of the sites, in order.
        whole: whether these are all of them.
    """

    at: int
    past: bool
    sites: Sequence[str]
    whole: bool

    def until(self, column: InstrumentedAttribute[Any]) -> sa.ColumnElement[bool]:
        """Whether something was there already. Now everything is, whatever the clock says: it may have been set back since."""
        return column <= self.at if self.past else sa.true()


def open_alerts(session: Session, moment: Moment) -> tuple[list[Looked], dict[tuple[int, str], int], bool]:
    """The open alerts that rank highest, how many there are by severity and state, and whether some were not looked at."""
    found: list[Looked] = []
    counts: Counter[tuple[int, str]] = Counter()
    limited = False
    for site in moment.sites:
        for state in OPEN:
            conditions = [Alert.site == site, Alert.triage_state == state, REAL]
            # What a person has taken on stays where it was found, unless he merged it into another.
            conditions.append(SHOWN if state == "new" else Alert.merged_into.is_(None))
            if moment.past:
                conditions += [Alert.first_seen <= moment.at, sa.or_(Alert.triage_at.is_(None), Alert.triage_at <= moment.at)]
            rows = session.execute(
                sa.select(*COLUMNS).where(*conditions).order_by(Alert.rank.desc(), Alert.id.desc()).limit(LOOKED)
            )
            some = [Looked(*row) for row in rows]
            found += some
            if len(some) < LOOKED:
                counts.update((each.severity, state) for each in some)
                continue
            limited = True
            counts.update(_counted(session, site, state, conditions if moment.past else None))
    if moment.past:
        moved = _moved_since(session, moment)
        found += moved
        counts.update((each.severity, each.state) for each in moved)
    found.sort(key=lambda each: (-each.rank, each.id))
    return found, dict(counts), limited


def _counted(
    session: Session, site: str, state: str, conditions: Sequence[sa.ColumnElement[bool]] | None
) -> dict[tuple[int, str], int]:
    """How many alerts a site has in a state, by severity: those on which conditions hold, or by the tally those of now."""
    if conditions is None:
        asked = sa.select(AlertTally.severity, AlertTally.count).where(AlertTally.site == site, AlertTally.triage_state == state)
    else:
        few = sa.select(Alert.severity).where(*conditions).limit(COUNTED).subquery()
        asked = sa.select(few.c.severity, sa.func.count()).group_by(few.c.severity)
    return {(severity, state): count for severity, count in session.execute(asked)}


def _moved_since(session: Session, moment: Moment) -> list[Looked]:
    """Alerts that were open at a past time and that somebody, or a recurrence, has moved since."""
    moved = sa.select(*COLUMNS).where(Alert.triage_at > moment.at, Alert.first_seen <= moment.at, REAL)
    if not moment.whole:
        moved = moved.where(Alert.site.in_(moment.sites))
    rows = {row.id: row for row in session.execute(moved.order_by(Alert.triage_at).limit(MOVED))}
    latest: dict[str, str] = {}
    names = list(rows)
    for start in range(0, len(names), AT_ONCE):
        some = names[start : start + AT_ONCE]
        steps = sa.select(AlertEvent.alert_id, AlertEvent.kind).where(
            AlertEvent.alert_id.in_(some), AlertEvent.at <= moment.at, AlertEvent.kind.in_(list(AFTER))
        )
        # The last of each is what stays.
        latest |= {row.alert_id: row.kind for row in session.execute(steps.order_by(AlertEvent.id))}
    found: list[Looked] = []
    for name, row in rows.items():
        # What was raised later, from records of before, was not there yet.
        state = AFTER.get(latest.get(name, ""), "closed")
        if state in OPEN:
            found.append(Looked(*row[:8], state, None))
    return found


def bodies(session: Session, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What detection wrote of alerts."""
    return {row.id: row.body for row in session.execute(sa.select(Alert.id, Alert.body).where(Alert.id.in_(list(ids))))}


def techniques(session: Session, ids: Sequence[str]) -> dict[str, list[str]]:
    """The techniques of alerts, by alert."""
    found: dict[str, list[str]] = {}
    for start in range(0, len(ids), AT_ONCE):
        asked = sa.select(AlertTechnique.alert_id, AlertTechnique.technique)
        for row in session.execute(asked.where(AlertTechnique.alert_id.in_(list(ids[start : start + AT_ONCE])))):
            found.setdefault(row.alert_id, []).append(row.technique)
    return found


def told(session: Session, moment: Moment) -> tuple[dict[int, int], bool]:
    """Alerts that people were told in 24 hours, by spans of ten minutes since 1970; and whether there were more."""
    since = moment.at - 86_400 * NANOSECONDS
    # What people merged into another they had been told.
    merged = sa.and_(Alert.merged_into.is_not(None), Alert.exception.is_(None), Alert.suppressed_by.is_(None), REAL)
    found = sa.select(Alert.first_seen).where(sa.or_(SHOWN, merged), Alert.first_seen > since, Alert.first_seen <= moment.at)
    if not moment.whole:
        found = found.where(Alert.site.in_(moment.sites))
    some = found.order_by(Alert.first_seen.desc()).limit(LOAD_COUNTED + 1).subquery()
    bucket = some.c.first_seen // (BUCKET_SECONDS * NANOSECONDS)
    buckets = {int(place): int(count) for place, count in session.execute(sa.select(bucket, sa.func.count()).group_by(bucket))}
    return buckets, sum(buckets.values()) > LOAD_COUNTED


def steps(session: Session, moment: Moment, since: int) -> dict[str, int]:
    """How many steps alerts took from a time on, by kind."""
    taken = sa.select(AlertEvent.kind, sa.func.count(AlertEvent.id)).where(AlertEvent.at > since, moment.until(AlertEvent.at))
    # Those of drills are few, and found by their index.
    taken = taken.where(AlertEvent.alert_id.not_in(sa.select(Alert.id).where(Alert.drill.is_not(None))))
    if not moment.whole:
        # Asked of each step, which are few: of a join SQLite takes all alerts of the site first, and PostgreSQL is slower, too.
        of = sa.select(Alert.site).where(Alert.id == AlertEvent.alert_id, Alert.organisation == AlertEvent.organisation)
        taken = taken.where(of.correlate(AlertEvent).scalar_subquery().in_(moment.sites))
    return {str(kind): int(count) for kind, count in session.execute(taken.group_by(AlertEvent.kind))}


def changed(session: Session, moment: Moment, since: int) -> dict[str, int]:
    """How much else changed from a time on, by what."""
    questions: dict[str, tuple[Any, Any]] = {
        "assets": (Asset, Asset.changed_at),
        "zones": (ZonePlan, ZonePlan.at),
        "decisions": (Decision, Decision.at),
        "incidents_declared": (Incident, Incident.declared_at),
        "incidents_closed": (Incident, Incident.closed_at),
    }
    found: dict[str, int] = {}
    for name, (table, at) in questions.items():
        counted = sa.select(sa.func.count(at)).where(at > since, moment.until(at))
        if table is Incident:
            counted = counted.where(Incident.drill.is_(False))
        if not moment.whole:
            counted = counted.where(table.site.in_(moment.sites))
        found[name] = session.scalar(counted) or 0
    return found


def incidents(session: Session, moment: Moment) -> Sequence[Incident]:
    """Incidents that are, or were, not closed: the worst first, of these the longest."""
    conditions: list[sa.ColumnElement[bool]] = [moment.until(Incident.declared_at)]
    if moment.past:
        conditions.append(sa.or_(Incident.closed_at.is_(None), Incident.closed_at > moment.at))
    else:
        conditions.append(Incident.state != "closed")
    if not moment.whole:
        conditions.append(Incident.site.in_(moment.sites))
    order = (sa.func.coalesce(Incident.grade, 5), Incident.discovered_at)
    return session.scalars(sa.select(Incident).where(*conditions).order_by(*order).limit(INCIDENTS)).all()


def clocks(session: Session, numbers: Sequence[int]) -> dict[int, list[Obligation]]:
    """Reports of incidents that are not submitted, by incident, the one that is due first first."""
    asked = sa.select(Obligation).where(Obligation.incident.in_(list(numbers)), Obligation.state.in_(UNDONE))
    found: dict[int, list[Obligation]] = {}
    for each in session.scalars(asked.order_by(sa.func.coalesce(Obligation.due_at, LATEST), Obligation.id)):
        found.setdefault(each.incident, []).append(each)
    return found


def assets(session: Session, moment: Moment) -> Sequence[Asset]:
    """Registered assets that were there."""
    found = sa.select(Asset).where(moment.until(Asset.made_at))
    return session.scalars(found if moment.whole else found.where(Asset.site.in_(moment.sites))).all()
