"""Alerts that windows hide: covered as they are raised, lifted where they become what is told all the same, restored at the end.

What was told before a window began, or before it was made, stays told. Only alerts about which nobody has decided are hidden:
whoever takes one on has it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from api.alerts import service as alerts
from api.alerts.models import SEVERITIES, Alert
from api.alerts.tuning import Seen
from api.audit import service as audit
from api.database import advance
from api.times import iso, now
from api.windows.ground import ground_of
from api.windows.models import MaintenanceWindow, WindowAlert
from api.windows.schemas import Scope
from api.windows.scope import Cover

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import Session

AT_A_TIME: Final = 1_000
"""Alerts that are restored, or looked at anew, in one transaction."""

NAMED: Final = 100
"""Alerts that a report names."""

KINDS: Final = 50
"""Rules and servers that a report counts."""

SYSTEM: Final = audit.Actor(audit.SYSTEM)


def cover_of(scope: Scope, number: int, span: tuple[int, int]) -> Cover:
    """What a window of a scope covers."""
    return Cover(
        number, scope.rules, scope.clients, scope.servers, frozenset(scope.assets), frozenset(scope.zones), *span
    )  # fmt: skip


def take(session: Session, site: str, raised: Sequence[Alert], grown: Sequence[Alert]) -> None:
    """Look at alerts of a site as they come in: new ones are covered, those that are covered may have to be told by now."""
    if raised:
        running = {window.number: window for window in _running(session, site, now())}
        _cover(session, running, [alert for alert in raised if alert.triage_state == "new"])
    hidden: dict[int, list[Alert]] = {}
    for alert in grown:
        if alert.suppressed_by is not None:
            hidden.setdefault(alert.suppressed_by, []).append(alert)
    # Whatever the time: a clock that was set back keeps nothing hidden.
    hiding = sa.select(MaintenanceWindow).where(MaintenanceWindow.number.in_(list(hidden))).order_by(MaintenanceWindow.number)
    for window in session.scalars(hiding).all() if hidden else ():
        _lift(session, window, hidden[window.number])


def begin(session: Session, window: MaintenanceWindow, moment: int) -> None:
    """Write down that a window has begun whose time has come."""
    if window.state == "planned" and window.starts_at <= moment:
        window.state = "running"
        audit.record(session, SYSTEM, "window.begin", str(window.number), {"permit": window.permit})


def review(session: Session, window: MaintenanceWindow) -> None:
    """Look at some of what a window hides that was changed, and restore what it covers no more."""
    if window.reviewed_to is None:
        return
    # By what no index has: for those by id SQLite would look at all alerts.
    place = Alert.id.concat("")
    mine = sa.select(Alert).where(Alert.suppressed_by == window.number, place > window.reviewed_to).order_by(place)
    some = session.scalars(mine.limit(AT_A_TIME)).all()
    window.reviewed_to = some[-1].id if len(some) == AT_A_TIME else None
    _renumber(session, _lift(session, window, some))


def restore(session: Session, window: MaintenanceWindow, moment: int) -> None:
    """Restore some of what a window that is over covered; when nothing is left it is at its end, and reports.

    What another window covers too stays hidden, by that.
    """
    # In no order: for one by id SQLite would look at all alerts.
    covered = sa.select(Alert).where(Alert.suppressed_by == window.number).limit(AT_A_TIME)
    some = sorted(session.scalars(covered), key=lambda alert: alert.id)
    if some:
        others = {each.number: each for each in _running(session, window.site, moment) if each.number != window.number}
        for alert in some:
            alert.suppressed_by = None
        _cover(session, others, some)
        back = [alert for alert in some if alert.suppressed_by is None]
        _outcomes(session, window, {each.id: "restored" if each.suppressed_by is None else "passed" for each in some})
        for alert in back:
            alerts.add_event(session, alert, "restored", audit.SYSTEM, _named(window))
        _renumber(session, some)
        audit.record(session, SYSTEM, "window.restore", str(window.number), {"alerts": [alert.id for alert in back]})
    if len(some) < AT_A_TIME:
        report = _report(session, window)
        window.state, window.ended_at, window.report = "ended", moment, report
        told = {name: report[name] for name in ("hidden", "restored", "passed", "lifted", "decided")}
        audit.record(session, SYSTEM, "window.end", str(window.number), {"permit": window.permit, **told})


def _running(session: Session, site: str, moment: int) -> Sequence[MaintenanceWindow]:
    """The windows of a site that hold at a time, whether their beginning was written down already or not."""
    return session.scalars(
        sa.select(MaintenanceWindow)
        .where(
            MaintenanceWindow.state.in_(("planned", "running")), MaintenanceWindow.site == site,
            MaintenanceWindow.starts_at <= moment, MaintenanceWindow.ends_at > moment,
        )
        .order_by(MaintenanceWindow.number)
    ).all()  # fmt: skip


def _cover_of(window: MaintenanceWindow) -> Cover:
    # As it was made: what may be said in a new one is no matter here.
    return cover_of(Scope.model_construct(**window.said), window.number, (window.starts_at, window.ends_at))


def _cover(session: Session, running: dict[int, MaintenanceWindow], raised: Sequence[Alert]) -> None:
    """Hide what a window covers; of several the first made."""
    if not running or not raised:
        return
    looked = {alert.id: Seen.of(alert) for alert in raised}
    ground = ground_of(session, raised[0].site, looked.values())
    taken: dict[int, list[Alert]] = {}
    covers = [_cover_of(window) for window in running.values()]
    for alert in raised:
        number = next((cover.number for cover in covers if cover.hides(looked[alert.id], ground)), None)
        if number is not None:
            taken.setdefault(number, []).append(alert)
    for number, some in taken.items():
        window = running[number]
        # One that hides has begun: whoever ends it must bring back what it hid.
        begin(session, window, window.starts_at)
        known = _outcomes(session, window, {alert.id: "covered" for alert in some})
        for alert in some:
            alert.suppressed_by = number
            if alert.id not in known:
                session.add(WindowAlert(window_number=number, alert_id=alert.id, at=now(), outcome="covered"))
            alerts.add_event(session, alert, "suppressed", audit.SYSTEM, _named(window))
        audit.record(session, SYSTEM, "window.suppress", str(number), {"alerts": [alert.id for alert in some]})


def _lift(session: Session, window: MaintenanceWindow, mine: Sequence[Alert]) -> list[Alert]:
    """Tell what a window covers no more; returns it."""
    looked = {alert.id: Seen.of(alert) for alert in mine}
    ground = ground_of(session, window.site, looked.values())
    cover = _cover_of(window)
    lifted = [alert for alert in mine if not cover.hides(looked[alert.id], ground)]
    for alert in lifted:
        alert.suppressed_by = None
        alerts.add_event(session, alert, "lifted", audit.SYSTEM, _named(window))
    if lifted:
        _outcomes(session, window, {alert.id: "lifted" for alert in lifted})
        audit.record(session, SYSTEM, "window.lift", str(window.number), {"alerts": [alert.id for alert in lifted]})
    return lifted


def _outcomes(session: Session, window: MaintenanceWindow, outcomes: Mapping[str, str]) -> set[str]:
    """Write down what became of alerts that a window has covered before; returns which these are."""
    mine = sa.select(WindowAlert).where(WindowAlert.window_number == window.number, WindowAlert.alert_id.in_(list(outcomes)))
    covered = session.scalars(mine).all()
    for each in covered:
        each.outcome = outcomes[each.alert_id]
    return {each.alert_id for each in covered}


def _renumber(session: Session, changed: Sequence[Alert]) -> None:
    """Tell whoever follows that these have changed."""
    if changed:
        number = advance(session, "change", len(changed)) - len(changed)
        for place, alert in enumerate(changed, start=1):
            alert.change = number + place
        session.flush()


def _named(window: MaintenanceWindow) -> str:
    return f"#{window.number} {window.permit}"


def _report(session: Session, window: MaintenanceWindow) -> dict[str, Any]:
    """What a window hid."""
    session.flush()
    mine = sa.select(WindowAlert.alert_id).where(WindowAlert.window_number == window.number)
    outcomes = session.execute(
        sa.select(WindowAlert.outcome, sa.func.count())
        .where(WindowAlert.window_number == window.number)
        .group_by(WindowAlert.outcome)
    )
    counts = Counter({str(outcome): int(count) for outcome, count in outcomes})
    covered = Alert.id.in_(mine)

    def by(column: Any) -> list[tuple[Any, int]]:
        rows = session.execute(sa.select(column, sa.func.count()).where(covered).group_by(column))
        return sorted(((name, int(count)) for name, count in rows if name is not None), key=lambda each: (-each[1], each[0]))

    first = session.scalar(sa.select(sa.func.min(Alert.first_seen)).where(covered))
    last = session.scalar(sa.select(sa.func.max(Alert.last_seen)).where(covered))
    ranked = sa.select(Alert.id).where(covered).order_by(Alert.rank.desc(), Alert.id.desc()).limit(NAMED)
    return {
        "hidden": counts.total(),
        "restored": counts["restored"],
        "passed": counts["passed"],
        "lifted": counts["lifted"],
        "decided": counts["covered"],
        "severities": {SEVERITIES[severity]: count for severity, count in by(Alert.severity)},
        "rules": [{"name": name, "count": count} for name, count in by(Alert.rule)[:KINDS]],
        "servers": [{"name": name, "count": count} for name, count in by(Alert.server_ip)[:KINDS]],
        "first_seen": None if first is None else iso(first),
        "last_seen": None if last is None else iso(last),
        "alerts": list(session.scalars(ranked)),
    }
