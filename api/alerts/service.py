"""Finding alerts and deciding about them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

import sqlalchemy as sa

from api.alerts import tally, told
from api.alerts.models import SEVERITIES, STATES, TRIAGED, Alert, AlertEvent, AlertTechnique, State
from api.audit import service as audit
from api.database import Counter, advance, row_of
from api.pages import read_cursor, write_cursor
from api.problems import Problem
from api.times import now
from api.users import assignees
from api.windows.models import WindowAlert

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy.orm import InstrumentedAttribute, Session

    from api.alerts.schemas import AlertFilter, AlertQuery, CloseInput, Sort
    from api.audit.service import Actor
    from api.filters import AnyOf
    from api.incidents.schemas import CloseIncidentInput

_TAG: Final = re.compile(r'"\d+\.\d+\.[0-9a-f]+\.[A-Za-z-]+"')

SORTS: Final[dict[str, InstrumentedAttribute[int] | InstrumentedAttribute[float]]] = {
    "rank": Alert.rank,
    "first_seen": Alert.first_seen,
    "last_seen": Alert.last_seen,
    "count": Alert.count,
    "updated_at": Alert.updated_at,
}
"""What a list can be sorted by; the alert's id breaks ties."""


FEW: Final = 2_000
"""So many alerts of a technique are read and put in order; where more have it, all are gone through in their order."""

_OVERLAYS: Final = {"snoozed": Alert.snoozed_until, "suppressed": Alert.suppressed_by}
"""Columns that have a value where something lies over the state."""


def find(session: Session, query: AlertQuery) -> tuple[Sequence[Alert], str | None]:
    """One page of alerts, and the cursor of the next one."""
    sort: Sort = query.sort
    column = SORTS[sort.removeprefix("-")]
    key = sa.tuple_(column, Alert.id)
    question = query.question()
    either = None if query.ip is None or query.ip.negated else query.ip
    statement = sa.select(Alert).where(*_asked(query if either is None else query.model_copy(update={"ip": None})))
    few = _few(session, query.technique)
    if few is not None:
        statement = statement.where(few)
    if query.cursor is not None:
        kind = float if column is Alert.rank else int
        place = sa.tuple_(*read_cursor(question, query.cursor, (kind, str)))
        statement = statement.where(key < place if sort.startswith("-") else key > place)
    # Those of a window are few, and those of some techniques: SQLite would go through all alerts in their order, unless that is
    # none that an index has.
    by = column if few is None and query.window is None else column + 0
    if either is not None:
        # By each end an index has them in order, by either none has: a page of both is among the pages of each.
        ends = [_page(statement.where(either.on(end)), query, by) for end in (Alert.client_ip, Alert.server_ip)]
        ids = (sa.select(page.with_only_columns(Alert.id).subquery().c.id) for page in ends)
        statement, by = sa.select(Alert).where(Alert.id.in_(sa.union_all(*ids))), column + 0
    rows = session.scalars(_page(statement, query, by)).all()
    if len(rows) <= query.limit:
        return rows, None
    last = rows[query.limit - 1]
    return rows[: query.limit], write_cursor(question, getattr(last, column.key), last.id)


def _page(statement: sa.Select[Alert], query: AlertQuery, by: sa.SQLColumnExpression[Any]) -> sa.Select[Alert]:
    """The first alerts of a statement in the order that is asked for, and one more."""
    order = (by.desc(), Alert.id.desc()) if query.sort.startswith("-") else (by, Alert.id)
    return statement.order_by(*order).limit(query.limit + 1)


def _few(session: Session, technique: AnyOf | None) -> sa.ColumnElement[bool] | None:
    """The condition to begin with those that have a technique, where these are few; None where nothing is won by that."""
    if technique is None or technique.negated:
        return None
    having = sa.select(AlertTechnique.alert_id).where(AlertTechnique.technique.in_(technique.values)).limit(FEW + 1)
    if (session.scalar(sa.select(sa.func.count()).select_from(having.subquery())) or 0) > FEW:
        return None
    return technique.on_one_of(Alert.id, AlertTechnique.alert_id, AlertTechnique.technique)


def told_by_itself(*, hidden: bool = False, laid: bool = False) -> sa.ColumnElement[bool]:
    """Alerts that no stronger one tells and, unless these are wanted, no exception or window hides and nobody laid aside.

    What a person has taken on stays where it was found, unless it was laid aside or merged into another.
    """
    if not hidden and not laid:
        return tally.TOLD
    alone = [Alert.part_of.is_(None)]
    if not hidden:
        alone.append(Alert.exception.is_(None))
    if laid:
        return sa.and_(sa.or_(sa.and_(*alone), Alert.triage_state != "new"), Alert.merged_into.is_(None))
    alone.append(Alert.suppressed_by.is_(None))
    told = sa.or_(sa.and_(*alone), Alert.triage_state != "new")
    return sa.and_(told, Alert.snoozed_until.is_(None), Alert.merged_into.is_(None))


def _asked(query: AlertQuery) -> list[sa.ColumnElement[bool]]:
    """The conditions of a list."""
    if query.updated_since is None:
        return conditions(query)
    # Whoever keeps a copy must hear that an alert is told by another, or hidden, by now.
    return [Alert.updated_at >= query.updated_since, *_filters(query)]


def conditions(query: AlertFilter) -> list[sa.ColumnElement[bool]]:
    """The conditions of a filter on what is told by itself; all must hold."""
    laid = query.overlay is not None or query.window is not None
    return [told_by_itself(hidden=query.exception is not None, laid=laid), *_filters(query)]


def _filters(query: AlertFilter) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if query.severity is not None:
        found.append(query.severity.on(Alert.severity, SEVERITIES.index))
    for asked, column in (
        (query.state, Alert.triage_state),
        (query.disposition, Alert.triage_disposition),
        (query.assignee, Alert.triage_by),
        (query.site, Alert.site),
        (query.rule, Alert.rule),
        (query.exception, Alert.exception),
        (query.client_ip, Alert.client_ip),
        (query.server_ip, Alert.server_ip),
    ):
        if asked is not None:
            found.append(asked.on(column))
    if query.ip is not None:
        found.append(query.ip.on_any(Alert.client_ip, Alert.server_ip))
    if query.technique is not None:
        found.append(query.technique.has_one_of(Alert.id, AlertTechnique.alert_id, AlertTechnique.technique))
    if query.overlay is not None:
        laid = [_OVERLAYS[name] for name in query.overlay.values]
        # Above 0, not "not null": SQLite looks in the index for that alone.
        there = sa.or_(*(column > 0 for column in laid))
        found.append(sa.and_(*(column.is_(None) for column in laid)) if query.overlay.negated else there)
    if query.drill is not None:
        found.append(Alert.drill.is_not(None) if query.drill else Alert.drill.is_(None))
    if query.window is not None:
        covered = sa.select(WindowAlert.alert_id).where(WindowAlert.window_number == query.window)
        found.append(Alert.id.in_(covered))
    if query.since is not None:
        found.append(Alert.last_seen >= query.since)
    if query.until is not None:
        found.append(Alert.first_seen < query.until)
    return found


def counts(session: Session) -> dict[tuple[str, str], int]:
    """How many alerts there are by (severity, state), without those of drills."""
    found = {(severity, state): 0 for severity in SEVERITIES for state in STATES}
    for (severity, state), count in tally.by_severity_and_state(session).items():
        found[SEVERITIES[severity], cast("State", state)] = count
    return found


def get(session: Session, alert_id: str) -> Alert:
    """One alert. Raises Problem `alert_unknown`."""
    alert = row_of(session, Alert, alert_id)
    if alert is None:
        raise Problem("alert_unknown", id=alert_id)
    return alert


def records(alert: Alert, related: str | None = None) -> list[str]:
    """Identities of the records behind an alert, or behind the findings of another rule that belong to it."""
    if related is None:
        return alert.body["records"]
    return [identity for findings in alert.body["related"] if findings["rule"] == related for identity in findings["records"]]


def history(session: Session, alert_id: str, cursor: str | None, limit: int) -> tuple[Sequence[AlertEvent], str | None]:
    """One page of what has happened to an alert, oldest first, and the cursor of the next one.

    Raises Problem `alert_unknown`, `cursor_invalid`.
    """
    get(session, alert_id)
    question = f"history {alert_id}"
    statement = sa.select(AlertEvent).where(AlertEvent.alert_id == alert_id)
    if cursor is not None:
        statement = statement.where(AlertEvent.id > read_cursor(question, cursor, (int,))[0])
    found = session.scalars(statement.order_by(AlertEvent.id).limit(limit + 1)).all()
    return found[:limit], write_cursor(question, found[limit - 1].id) if len(found) > limit else None


def newest_change(session: Session) -> int:
    """The number of the latest change of any alert."""
    return session.scalar(sa.select(Counter.value).where(Counter.name == "change")) or 0


def changed_since(session: Session, change: int, limit: int) -> list[Alert]:
    """Alerts that changed after a change, in order."""
    return list(session.scalars(sa.select(Alert).where(Alert.change > change).order_by(Alert.change).limit(limit)))


def etag(alert: Alert, language: str) -> str:
    """The entity tag of an alert: its latest change, the version of what people decided, its shape, the language of texts."""
    return f'"{alert.change}.{alert.triage_version}.{told.shape(alert)}.{language}"'


def check_precondition(alert: Alert, if_match: str | None, *, joined: bool = False) -> None:
    """Whether a decision was made on what the alert is now.

    What counts is the second part, the version of what people decided: that an attack goes on while someone reads about it is
    no conflict. Raises Problem `precondition_required` or `precondition_failed`.

    Args:
        alert: the alert.
        if_match: what the caller saw, as the header says it.
        joined: whether it is a conflict too that something joined it since: for decisions that take what it is as known.
    """
    if if_match is None:
        raise Problem("precondition_required")
    tags = [tag.strip() for tag in if_match.split(",")]
    if "*" in tags:
        return
    seen = [tag[1:-1].split(".")[1:3] for tag in tags if _TAG.fullmatch(tag)]
    if str(alert.triage_version) not in [version for version, _ in seen]:
        raise Problem("precondition_failed", by=alert.triage_by or audit.SYSTEM)
    if joined and [str(alert.triage_version), told.shape(alert)] not in seen:
        raise Problem("precondition_failed", by=audit.SYSTEM)


def acknowledge(session: Session, alert: Alert, actor: Actor, note: str) -> None:
    """Take an alert on: new → triaging. Raises Problem `alert_state`."""
    if alert.triage_state != "new":
        raise Problem("alert_state", state=alert.triage_state, action="acknowledge")
    _move(session, alert, actor, "triaging", note)
    audit.record(session, actor, "alert.acknowledge", alert.id, {"note": note})


def assign(session: Session, alert: Alert, actor: Actor, to: str, note: str) -> None:
    """Give an alert to somebody; its state stays. A new one is acknowledged by who gives it first.

    Raises Problem `alert_state` for a closed one, `assignee_unfit`.
    """
    if alert.triage_state == "closed":
        raise Problem("alert_state", state=alert.triage_state, action="assign")
    name = assignees.checked(session, to, "alert.decide", alert.site)
    if alert.triage_state == "new":
        acknowledge(session, alert, actor, note)
    before, alert.triage_by = alert.triage_by, name
    decided(session, alert, note)
    add_event(session, alert, "assigned", actor.name, note, name)
    audit.record(session, actor, "alert.assign", alert.id, {"before": before, "to": name, "note": note})


def close(session: Session, alert: Alert, actor: Actor, outcome: CloseInput) -> None:
    """Close an alert: triaging → closed. A new one is acknowledged by the same person first.

    Raises Problem `alert_state`, `alert_escalated` for one that belongs to an incident: it is closed with that.
    """
    if alert.triage_state == "closed":
        raise Problem("alert_state", state=alert.triage_state, action="close")
    if alert.triage_state == "escalated":
        raise Problem("alert_escalated", id=alert.id, number=alert.triage_incident)
    if alert.triage_state == "new":
        acknowledge(session, alert, actor, outcome.note)
    alert.triage_disposition, alert.triage_permit, alert.triage_count = outcome.disposition, outcome.permit, alert.count
    _move(session, alert, actor, "closed", outcome.note)
    audit.record(session, actor, "alert.close", alert.id, outcome.model_dump())


def escalate(session: Session, alert: Alert, actor: Actor, number: int, note: str) -> None:
    """Hand an alert over to an incident: triaging → escalated. A new one is acknowledged by the same person first.

    Raises Problem `alert_state`.
    """
    if alert.triage_state == "closed":
        raise Problem("alert_state", state=alert.triage_state, action="escalate")
    if alert.triage_state == "new":
        acknowledge(session, alert, actor, note)
    alert.triage_incident = number
    _move(session, alert, actor, "escalated", note)
    audit.record(session, actor, "alert.escalate", alert.id, {"incident": number, "note": note})


def release(session: Session, alert: Alert, actor: Actor, note: str) -> None:
    """Take an alert back from its incident: escalated or closed with it → triaging."""
    number, alert.triage_incident = alert.triage_incident, None
    alert.triage_disposition = alert.triage_permit = alert.triage_count = None
    _move(session, alert, actor, "triaging", note)
    audit.record(session, actor, "alert.release", alert.id, {"incident": number, "note": note})


def hand_over(session: Session, alert: Alert, actor: Actor, number: int, note: str) -> None:
    """Let an alert belong to another incident; its state stays."""
    before, alert.triage_incident = alert.triage_incident, number
    alert.triage_version += 1
    alert.change = advance(session, "change")
    add_event(session, alert, "moved", actor.name, note)
    audit.record(session, actor, "alert.move", alert.id, {"before": before, "incident": number, "note": note})


def close_with_incident(session: Session, alert: Alert, actor: Actor, outcome: CloseIncidentInput) -> None:
    """Close an alert with its incident, as what that turned out to be; one that is closed already stays as it is."""
    if alert.triage_state == "closed":
        return
    alert.triage_disposition, alert.triage_permit, alert.triage_count = outcome.disposition, outcome.permit, alert.count
    _move(session, alert, actor, "closed", outcome.reason)
    told = {"disposition": outcome.disposition, "permit": outcome.permit, "incident": alert.triage_incident}
    audit.record(session, actor, "alert.close", alert.id, told)


def accept(session: Session, alert: Alert, actor: Actor, note: str) -> None:
    """Write down that a person accepted as normal what an alert tells; its state stays as it is."""
    alert.triage_version += 1
    alert.change = advance(session, "change")
    add_event(session, alert, "accepted", actor.name, note)
    audit.record(session, actor, "alert.accept", alert.id, {"note": note})


def comment(session: Session, alert: Alert, actor: Actor, note: str) -> AlertEvent:
    """Write what a person has to say into the history of an alert, a closed one too; nothing else of it changes.

    Its version stays: who decides about it meanwhile is in nobody's way.
    """
    alert.change = advance(session, "change")
    made = AlertEvent(alert_id=alert.id, at=now(), kind="commented", actor=actor.name, note=note, count=alert.count)
    session.add(made)
    audit.record(session, actor, "alert.comment", alert.id, {"note": note})
    return made


def recur(session: Session, alert: Alert, joined: Collection[str] = ()) -> None:
    """What was closed goes on, or other rules' findings joined it: closed → triaging. What it was stays in the history."""
    alert.triage_disposition = alert.triage_permit = alert.triage_count = None
    alert.triage_state, alert.triage_at, alert.triage_version = "triaging", now(), alert.triage_version + 1
    add_event(session, alert, "recurred", audit.SYSTEM)
    audit.record(session, audit.Actor(audit.SYSTEM), "alert.recur", alert.id, {"count": alert.count, "joined": sorted(joined)})


def take_back(session: Session, alert: Alert, actor: Actor, before: Mapping[str, Any]) -> None:
    """Put what people had decided about an alert before in the place of what was decided last."""
    for name in TRIAGED:
        setattr(alert, name, before[name])
    alert.triage_version += 1
    alert.change = advance(session, "change")
    add_event(session, alert, "undone", actor.name)
    audit.record(session, actor, "alert.undo", alert.id, {"state": alert.triage_state})


def decided(session: Session, alert: Alert, note: str) -> None:
    """Write that a person decided something about an alert just now: whatever hid it or laid it aside hides it no more."""
    alert.triage_at, alert.triage_note = now(), note
    # Whoever decides about it has it before his eyes.
    alert.snoozed_until = alert.snooze = alert.snooze_revision = alert.suppressed_by = None
    alert.triage_version += 1
    alert.change = advance(session, "change")


def add_event(  # noqa: PLR0913, PLR0917  what stands in an entry
    session: Session, alert: Alert, kind: str, actor: str, note: str | None = None, other: str | None = None
) -> None:
    """Write a step into the history of an alert, with what was decided at it."""
    session.add(
        AlertEvent(
            alert_id=alert.id, at=now(), kind=kind, actor=actor, note=note, disposition=alert.triage_disposition,
            permit=alert.triage_permit, count=alert.count, other=other,
        )
    )  # fmt: skip


def _move(session: Session, alert: Alert, actor: Actor, state: State, note: str) -> None:
    taken_back = alert.triage_state != "new" and state == "triaging"
    kind = "released" if taken_back else {"triaging": "acknowledged"}.get(state, state)
    alert.triage_state, alert.triage_by = state, actor.name
    decided(session, alert, note)
    add_event(session, alert, kind, actor.name, note)
    session.flush()
