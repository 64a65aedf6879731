"""Maintenance windows: looked at before, made, changed, ended; by themselves begun, ended and reported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from api.alerts import tuning
from api.alerts.models import Alert
from api.assets.models import Asset
from api.audit import service as audit
from api.database import advance
from api.database.scope import scope_of
from api.exceptions.presentation import preview as shown
from api.obligations.clocks import SLACK
from api.ordering import page
from api.problems import Problem
from api.times import NANOSECONDS, now
from api.windows import hiding
from api.windows.ground import ground_of
from api.windows.models import OPEN, MaintenanceWindow
from api.windows.schemas import Scope, WindowPreview
from api.zones import service as zones

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import InstrumentedAttribute, Session

    from api.audit.service import Actor
    from api.windows.schemas import WindowChange, WindowQuery

COUNTER: Final = "window"
"""Counter that numbers windows."""

MOST: Final = 200
"""Most windows of a site that are not at their end."""

LONGEST_NANOSECONDS: Final = 31 * 86_400 * NANOSECONDS
"""How long a window may last: one that is forgotten must not hide alerts for ever."""

AHEAD_NANOSECONDS: Final = 366 * 86_400 * NANOSECONDS
"""How far ahead it may be planned."""

SYSTEM: Final = audit.Actor(audit.SYSTEM)


def get(session: Session, number: int) -> MaintenanceWindow:
    """One window. Raises Problem `window_unknown`."""
    found = session.get(MaintenanceWindow, {"organisation": scope_of(session).organisation, "number": number})
    if found is None:
        raise Problem("window_unknown", number=number)
    return found


SORTS: Final[Mapping[str, InstrumentedAttribute[Any]]] = {
    "number": MaintenanceWindow.number,
    "starts_at": MaintenanceWindow.starts_at,
    "ends_at": MaintenanceWindow.ends_at,
    "updated_at": MaintenanceWindow.updated_at,
}
"""What a list can be sorted by; the number breaks ties."""


def find(session: Session, query: WindowQuery) -> tuple[Sequence[MaintenanceWindow], str | None]:
    """One page of windows, and the cursor of the next one. Raises Problem `cursor_invalid`."""
    statement = sa.select(MaintenanceWindow)
    for asked, column in (
        (query.state, MaintenanceWindow.state),
        (query.site, MaintenanceWindow.site),
        (query.permit, MaintenanceWindow.permit),
    ):
        if asked is not None:
            statement = statement.where(asked.on(column))
    if query.updated_since is not None:
        statement = statement.where(MaintenanceWindow.updated_at >= query.updated_since)
    return page(session, statement, SORTS, MaintenanceWindow.number, query)


def etag(window: MaintenanceWindow) -> str:
    """The entity tag of a window: its version."""
    return f'"{window.version}"'


def check_precondition(window: MaintenanceWindow, if_match: str | None) -> None:
    """Whether a change was made on what it is now. Raises Problem `precondition_required` or `precondition_failed`."""
    if if_match is None:
        raise Problem("precondition_required")
    if etag(window) not in [tag.strip() for tag in if_match.split(",")] and if_match.strip() != "*":
        raise Problem("precondition_failed", by=window.changed_by)


def preview(session: Session, scope: Scope, site: str) -> WindowPreview:
    """What a window would have hidden at a site, had it held. Raises Problem `window_scope_unknown`."""
    check_scope(session, scope, site)
    cover = hiding.cover_of(scope, 0, (0, 0))
    since, end = tuning.last_days(session)
    plain = [name for name in scope.rules if not set(name) & set("*?[")]
    meant = [Alert.site == site, *([Alert.rule.in_(plain)] if plain and len(plain) == len(scope.rules) else [])]
    recent = tuning.seen(session, Alert.first_seen >= since, Alert.first_seen <= end, *meant)
    right = tuning.right(session, *meant)
    ground = ground_of(session, site, (*recent, *right))
    told: dict[str, int] = {}
    hides: list[tuning.Seen] = []
    for alert in recent:
        if not cover.fits(alert, ground):
            continue
        why = cover.told_anyway(alert, ground)
        if why is None:
            hides.append(alert)
        else:
            told[why] = told.get(why, 0) + 1
    covered = sum(cover.fits(alert, ground) and cover.told_anyway(alert, ground) is None for alert in right)
    found = tuning.Hidden(tuple(hides), covered, len(recent) == tuning.LOOKED_AT)
    return WindowPreview(**shown(found).model_dump(), told=told)


def check_seen(session: Session, given: WindowChange, site: str) -> None:
    """Whether a person saw what a window would have hidden. Raises Problem `window_hides_more`, `window_scope_unknown`."""
    hides = preview(session, given, site).hides
    if hides > given.seen:
        raise Problem("window_hides_more", hides=hides, seen=given.seen)


def check_scope(session: Session, scope: Scope, site: str) -> None:
    """Whether the site has the assets and zones that are named. Raises Problem `window_scope_unknown`."""
    known = set(session.scalars(sa.select(Asset.id).where(Asset.site == site, Asset.id.in_(scope.assets))))
    plan = {zone.name for zone in zones.plan(zones.in_force(session, site)).zones}
    unknown = [*(each for each in scope.assets if each not in known), *(each for each in scope.zones if each not in plan)]
    if unknown:
        raise Problem("window_scope_unknown", name=unknown[0])


def make(session: Session, actor: Actor, given: WindowChange, site: str) -> MaintenanceWindow:
    """Make a window of a site. Raises Problem `window_times`, `windows_full`."""
    standing = sa.select(sa.func.count()).select_from(MaintenanceWindow)
    if (session.scalar(standing.where(MaintenanceWindow.site == site, MaintenanceWindow.state.in_(OPEN))) or 0) >= MOST:
        raise Problem("windows_full", most=MOST)
    moment = now()
    window = MaintenanceWindow(
        number=advance(session, COUNTER), site=site, version=0, state="planned", made_by=actor.name, made_at=moment,
        starts_at=max(moment, given.starts_at or 0),
    )  # fmt: skip
    session.add(window)
    _write(session, window, given, actor, moment)
    audit.record(session, actor, "window.make", str(window.number), {**_told(window), "seen": given.seen})
    hiding.begin(session, window, moment)
    return window


def change(session: Session, window: MaintenanceWindow, given: WindowChange, actor: Actor) -> MaintenanceWindow:
    """Say something else of a window. What it covers no more is told at once. Raises Problem `window_over`, `window_times`."""
    _check_open(window)
    moment, before = now(), _told(window)
    covered = window.said, window.starts_at
    hiding.begin(session, window, moment)
    if window.state == "planned":
        window.starts_at = max(moment, given.starts_at or 0)
    _write(session, window, given, actor, moment)
    audit.record(session, actor, "window.change", str(window.number), {**_told(window), "seen": given.seen, "before": before})
    hiding.begin(session, window, moment)
    if (window.said, window.starts_at) != covered:
        window.reviewed_to = ""
        hiding.review(session, window)
    return window


def end(session: Session, window: MaintenanceWindow, actor: Actor, reason: str) -> None:
    """End a window before its time; one that has not begun is cancelled. Raises Problem `window_over`."""
    _check_open(window)
    moment = now()
    hiding.begin(session, window, moment)
    window.end_reason, window.version = reason, window.version + 1
    window.changed_by, window.changed_at = actor.name, moment
    window.state, window.ended_at = ("cancelled", moment) if window.state == "planned" else ("ending", None)
    window.ends_at = max(window.starts_at, moment) if window.state == "ending" else window.ends_at
    audit.record(session, actor, "window.end_early", str(window.number), {"reason": reason, "state": window.state})
    if window.state == "ending":
        hiding.restore(session, window, moment)


def due(session: Session, moment: int) -> Sequence[int]:
    """The windows that begin or end, or were changed and still hide what is to be looked at."""
    return session.scalars(_due(moment).with_only_columns(MaintenanceWindow.number).order_by(MaintenanceWindow.number)).all()


def tend(session: Session, number: int, moment: int) -> int:
    """Begin or end a window whose time has come, or look at what it hides after a change; returns whether there was one.

    What it covered is restored in parts.
    """
    window = session.scalar(_due(moment).where(MaintenanceWindow.number == number))
    if window is None:
        return 0
    hiding.begin(session, window, moment)
    if window.ends_at <= moment:
        window.state = "ending"
    if window.state == "ending":
        hiding.restore(session, window, moment)
    else:
        hiding.review(session, window)
    return 1


def too_early(session: Session, moment: int) -> Sequence[int]:
    """The windows that run before their time: the clock of a machine was ahead when they were made, or began."""
    return session.scalars(_too_early(moment).with_only_columns(MaintenanceWindow.number)).all()


def take_back(session: Session, number: int, moment: int) -> int:
    """End a window that runs before its time, which would hide for longer than it may; it is made anew where it is needed."""
    window = session.scalar(_too_early(moment).where(MaintenanceWindow.number == number))
    if window is None:
        return 0
    window.state = "ending"
    audit.record(session, SYSTEM, "window.take_back", str(number), {"permit": window.permit, "starts_at": window.starts_at})
    return 1


def _too_early(moment: int) -> sa.Select[MaintenanceWindow]:
    early = MaintenanceWindow.starts_at > moment + SLACK
    return sa.select(MaintenanceWindow).where(MaintenanceWindow.state == "running", early)


def _due(moment: int) -> sa.Select[MaintenanceWindow]:
    begins = sa.and_(MaintenanceWindow.state == "planned", MaintenanceWindow.starts_at <= moment)
    ends = sa.and_(MaintenanceWindow.state == "running", MaintenanceWindow.ends_at <= moment)
    changed = MaintenanceWindow.reviewed_to.is_not(None)
    return sa.select(MaintenanceWindow).where(
        MaintenanceWindow.state.in_(OPEN), sa.or_(begins, ends, changed, MaintenanceWindow.state == "ending")
    )


def _write(session: Session, window: MaintenanceWindow, given: WindowChange, actor: Actor, moment: int) -> None:
    ahead = window.starts_at > moment + AHEAD_NANOSECONDS
    if ahead or not moment < given.ends_at <= window.starts_at + LONGEST_NANOSECONDS or given.ends_at <= window.starts_at:
        raise Problem("window_times")
    window.said = given.model_dump(mode="json", include=set(Scope.model_fields))
    window.ends_at, window.permit, window.work, window.performed_by = (
        given.ends_at, given.permit, given.work, given.performed_by,
    )  # fmt: skip
    window.version, window.changed_by, window.changed_at = window.version + 1, actor.name, moment
    session.flush()


def _check_open(window: MaintenanceWindow) -> None:
    if window.state not in {"planned", "running"} or (window.state == "running" and window.ends_at <= now()):
        raise Problem("window_over", number=window.number)


def _told(window: MaintenanceWindow) -> dict[str, Any]:
    names = ("site", "starts_at", "ends_at", "permit", "work", "performed_by")
    return {**window.said, **{name: getattr(window, name) for name in names}}
