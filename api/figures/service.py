"""Counting how long incidents and alerts took. The database counts; what comes back is a row for each group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from api.alerts.models import SEVERITIES, Alert, AlertEvent
from api.figures.periods import MOST, TooManyError, periods
from api.figures.schemas import AlertFigures, Duration, IncidentFigures
from api.incidents.models import Incident
from api.problems import Problem
from api.times import NANOSECONDS, now

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy.orm import Session

    from api.figures.periods import Length
    from api.figures.schemas import AlertFiguresQuery, IncidentFiguresQuery

DAYS: Final = 30
"""How far back is looked where nobody says."""

UNGRADED: Final = "none"

_NONE: Final = Duration(count=0, mean_seconds=None, median_seconds=None)

Name = str | None


def incidents(session: Session, query: IncidentFiguresQuery) -> list[IncidentFigures]:
    """How long incidents took, by group, in the order of the groups. Raises Problem `periods_many`."""
    since, until = _span(query)
    bucket, name = _bucket(query, Incident.declared_at, {"site": Incident.site, "grade": sa.func.coalesce(Incident.grade, 0)})
    conditions = [
        Incident.declared_at >= since, Incident.declared_at < until, Incident.merged_into.is_(None),
        Incident.drill.is_(query.drill),
    ]  # fmt: skip
    if query.site is not None:
        conditions.append(query.site.on(Incident.site))
    if query.grade is not None:
        conditions.append(query.grade.on(Incident.grade, int))

    def took(begin: Any, end: Any) -> dict[Name, Duration]:
        return _durations(session, sa.select(bucket.label("bucket"), (end - begin).label("took")).where(*conditions), name)

    declare = took(Incident.discovered_at, Incident.declared_at)
    acknowledge = took(Incident.declared_at, Incident.acknowledged_at)
    resolve = took(Incident.discovered_at, Incident.resolved_at)
    return [
        IncidentFigures(
            key=key, count=each.count, declare=each, acknowledge=acknowledge.get(key, _NONE), resolve=resolve.get(key, _NONE)
        )
        for key, each in declare.items()
    ]


def alerts(session: Session, query: AlertFiguresQuery) -> list[AlertFigures]:
    """How long alerts took, by group, in the order of the groups. Raises Problem `periods_many`."""
    since, until = _span(query)
    raised = aliased(AlertEvent)
    bucket, name = _bucket(query, raised.at, {"site": Alert.site, "severity": Alert.severity})
    conditions = [raised.kind == "raised", raised.at >= since, raised.at < until]
    conditions.append(Alert.drill.is_not(None) if query.drill else Alert.drill.is_(None))
    if query.site is not None:
        conditions.append(query.site.on(Alert.site))
    if query.severity is not None:
        conditions.append(query.severity.on(Alert.severity, SEVERITIES.index))
    if query.rule is not None:
        conditions.append(query.rule.on(Alert.rule))
    # Only a new one is acknowledged, once, and whoever closes or escalates a new one acknowledges it first.
    decided = aliased(AlertEvent)
    of_event = sa.and_(decided.alert_id == raised.alert_id, decided.kind == "acknowledged")
    of_alert = sa.and_(Alert.id == raised.alert_id, Alert.organisation == raised.organisation)
    acknowledge = _durations(
        session,
        sa.select(bucket.label("bucket"), (decided.at - raised.at).label("took"))
        .select_from(raised)
        .join(decided, of_event)
        .join(Alert, of_alert)
        .where(*conditions),
        name,
    )
    resolve = _durations(
        session,
        sa.select(bucket.label("bucket"), (Alert.triage_at - raised.at).label("took"))
        .select_from(raised)
        .join(Alert, of_alert)
        .where(*conditions, Alert.triage_state == "closed"),
        name,
    )
    return [AlertFigures(key=key, acknowledge=each, resolve=resolve.get(key, _NONE)) for key, each in acknowledge.items()]


def _span(query: IncidentFiguresQuery | AlertFiguresQuery) -> tuple[int, int]:
    moment = now()
    until = moment + 1 if query.until is None else query.until
    return max(0, moment - DAYS * 86_400 * NANOSECONDS) if query.since is None else query.since, until


def _bucket(
    query: IncidentFiguresQuery | AlertFiguresQuery, at: Any, columns: Mapping[str, Any]
) -> tuple[sa.ColumnElement[Any], Callable[[Any], Name]]:
    """What a row is counted under, and the name of that."""
    if query.by is None:
        return sa.literal(0), _together
    if query.by in columns:
        return columns[query.by], _NAMES[query.by]
    since, until = _span(query)
    try:
        found = periods(since, until, cast("Length", query.by), query.time_zone)
    except TooManyError:
        raise Problem("periods_many", most=MOST) from None
    cases = [(at < period.end, place) for place, period in enumerate(found)]
    names = [period.name for period in found]
    return sa.case(*cases, else_=len(found) - 1), names.__getitem__


def _together(_: Any) -> Name:
    return None


def _grade(grade: int) -> Name:
    return str(grade) if grade else UNGRADED


_NAMES: Final[Mapping[str, Callable[[Any], Name]]] = {"site": str, "grade": _grade, "severity": SEVERITIES.__getitem__}


def _durations(session: Session, rows: sa.Select[Any, Any], name: Callable[[Any], Name]) -> dict[Name, Duration]:
    """Count, mean and median of what each group took (nanoseconds; less than nothing, by clocks that differ, is nothing)."""
    given = rows.subquery()
    ranked = (
        sa.select(
            given.c.bucket,
            sa.case((given.c.took < 0, 0), else_=given.c.took).label("took"),
            sa.func.row_number().over(partition_by=given.c.bucket, order_by=given.c.took).label("place"),
            sa.func.count().over(partition_by=given.c.bucket).label("of_all"),
        )
        .where(given.c.took.is_not(None))
        .subquery()
    )
    # The one in the middle, or the two.
    middle = sa.case(((2 * ranked.c.place).between(ranked.c.of_all, ranked.c.of_all + 2), ranked.c.took))
    counted = sa.select(ranked.c.bucket, sa.func.count(), sa.func.avg(ranked.c.took), sa.func.avg(middle))
    found = session.execute(counted.group_by(ranked.c.bucket).order_by(ranked.c.bucket)).all()
    return {
        name(bucket): Duration(count=count, mean_seconds=_seconds(mean), median_seconds=_seconds(median))
        for bucket, count, mean, median in found
    }


def _seconds(nanoseconds: Any) -> float:
    return round(float(nanoseconds) / NANOSECONDS, 3)
