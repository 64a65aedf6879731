"""Alerts that people let one of them tell, and take out of it again.

What was merged leaves the list and the counts, and keeps its history, its records and its evidence. It is told by the one that
stays: that is shown as severe, and ranks as high, as the highest of all, and opens again when one of them goes on. Those that a
merged alert had taken in move with it, so that nothing is told at second hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from api.alerts import service
from api.alerts.models import TRIAGED, Alert, AlertMerge, AlertMergePart
from api.audit import service as audit
from api.database import advance, row_of
from api.database.scope import scope_of
from api.pages import read_cursor, write_cursor
from api.problems import Problem
from api.times import now

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy.orm import Session

    from api.audit.service import Actor

COUNTER: Final = "merge"
"""Counter that numbers merges."""

MOST: Final = 50
"""Most alerts that one takes in."""


@dataclass(frozen=True, slots=True)
class Done:
    """A merge, or that one alert was detached, and the alerts that it was about."""

    merge: AlertMerge
    parts: tuple[str, ...]


def written(alert: Alert) -> None:
    """Put what people decided over what detection wrote of an alert just now."""
    if alert.merged_into is not None or alert.detached_from is not None:
        alert.part_of = alert.merged_into
    if alert.own_severity is not None:
        alert.own_severity, alert.own_rank = alert.severity, alert.rank


def taken_in(session: Session, alert: Alert) -> Sequence[Alert]:
    """The alerts that an alert took in, in the order in which they began."""
    mine = sa.select(Alert).where(Alert.merged_into == alert.id).order_by(Alert.first_seen, Alert.id)
    return session.scalars(mine.limit(2 * MOST)).all()


def records(session: Session, alert: Alert) -> list[str]:
    """Identities of the records behind an alert and those that it took in."""
    return [identity for each in (alert, *taken_in(session, alert)) for identity in service.records(each)]


def merge(session: Session, alert: Alert, actor: Actor, given: Mapping[str, int], note: str) -> AlertMerge:
    """Let an alert tell others, of which these versions were seen. A new one is acknowledged first.

    Raises Problem `alert_state`, `alert_escalated`, `alert_unknown`, `alert_merge_full`, `alert_merge_hidden`,
    `alert_merge_sites`, `alert_merge_unfit`, `alert_merged`, `drill_mixed`, `precondition_failed`.
    """
    _check_open(alert)
    if alert.suppressed_by is not None:
        raise Problem("alert_merge_hidden", id=alert.id, number=alert.suppressed_by)
    chosen = [_fitting(session, alert, name, version) for name, version in sorted(given.items())]
    moving = [*chosen, *(inner for each in chosen for inner in taken_in(session, each))]
    if len(moving) + len(taken_in(session, alert)) > MOST:
        raise Problem("alert_merge_full", id=alert.id, most=MOST)
    made = _made(session, "merge", alert, actor, note)
    made.before = _triaged(alert)
    if alert.triage_state == "new":
        service.acknowledge(session, alert, actor, note)
    else:
        service.decided(session, alert, note)
    made.after = _triaged(alert)
    for each in moving:
        _write_down(session, made, each)
        each.merged_into, each.detached_from = alert.id, None
        _moved(session, each, actor, ("merged", note, alert.id))
    for each in chosen:
        service.add_event(session, alert, "took_in", actor.name, note, each.id)
    reckon(session, [*chosen, alert])
    told = {"merge": made.number, "alerts": [each.id for each in moving], "note": note}
    audit.record(session, actor, "alert.merge", alert.id, told)
    return made


def detach(session: Session, alert: Alert, actor: Actor, note: str) -> AlertMerge:
    """Let an alert be told by itself from now on, whoever put it into another. Raises Problem `alert_not_merged`."""
    if alert.part_of is None:
        raise Problem("alert_not_merged", id=alert.id)
    teller, name = row_of(session, Alert, alert.part_of), alert.part_of
    made = _made(session, "detach", alert, actor, note)
    made.alert_id = name
    _write_down(session, made, alert)
    alert.merged_into, alert.detached_from = None, name
    _moved(session, alert, actor, ("detached", note, name))
    if teller is not None:
        service.add_event(session, teller, "let_go", actor.name, note, alert.id)
        teller.change = advance(session, "change")
        reckon(session, [teller])
    audit.record(session, actor, "alert.detach", alert.id, {"merge": made.number, "from": name, "note": note})
    return made


def undo(session: Session, alert: Alert, number: int, actor: Actor) -> None:
    """Put back what told each alert before a merge of this one, or before one was detached.

    Raises Problem `merge_unknown`, `merge_changed` where that is not what is so now or it would be told by one that nobody sees
    or that another tells, `alert_state` where it would be told by one that is closed by now.
    """
    made = _get(session, alert, number)
    parts = {part.alert_id: part for part in _parts(session, [number])}
    moved = [service.get(session, name) for name in parts]
    as_left = (made.alert_id, None) if made.kind == "merge" else (None, made.alert_id)
    if made.undone_at is not None or any((each.merged_into, each.detached_from) != as_left for each in moved):
        raise Problem("merge_changed", number=number)
    tellers = {name: service.get(session, name) for part in parts.values() if (name := part.merged_into) is not None}
    for name, teller in tellers.items():
        if teller.triage_state == "closed":
            raise Problem("alert_state", state=teller.triage_state, action="merge")
        is_told = name not in parts and teller.merged_into is not None
        if is_told or teller.snooze is not None or teller.suppressed_by is not None:
            raise Problem("merge_changed", number=number)
    # Nothing is told at second hand: what has taken in others since goes under none.
    going = [name for name, part in parts.items() if part.merged_into is not None]
    others = sa.select(Alert.id).where(Alert.merged_into.in_(going), Alert.id.not_in(list(parts)))
    if session.scalars(others.limit(1)).first() is not None:
        raise Problem("merge_changed", number=number)
    for each in moved:
        part = parts[each.id]
        each.merged_into, each.detached_from = part.merged_into, part.detached_from
        _moved(session, each, actor, ("undone", None, made.alert_id))
    for teller in tellers.values():
        teller.change = advance(session, "change")
    stayed = row_of(session, Alert, made.alert_id)
    if stayed is not None and made.kind == "merge":
        if made.before is not None and _triaged(stayed) == made.after:
            for name in TRIAGED:
                setattr(stayed, name, made.before[name])
        _moved(session, stayed, actor, ("undone", None, None))
    reckon(session, [*tellers.values(), *([] if stayed is None else [stayed])])
    made.undone_by, made.undone_at = actor.name, now()
    audit.record(session, actor, "alert.unmerge", made.alert_id, {"merge": number, "alerts": sorted(parts)})


def merges(session: Session, alert: Alert, cursor: str | None, limit: int) -> tuple[list[Done], str | None]:
    """One page of what was merged into an alert or detached from it, and what it was merged into or detached from.

    The latest are first; with the cursor of the next one. Raises Problem `cursor_invalid`.
    """
    question = f"merges {alert.id}"
    part = sa.select(AlertMergePart.merge_number).where(AlertMergePart.alert_id == alert.id)
    mine = sa.select(AlertMerge).where(sa.or_(AlertMerge.alert_id == alert.id, AlertMerge.number.in_(part)))
    if cursor is not None:
        mine = mine.where(AlertMerge.number < read_cursor(question, cursor, (int,))[0])
    rows = session.scalars(mine.order_by(AlertMerge.number.desc()).limit(limit + 1)).all()
    found = rows[:limit]
    names: dict[int, list[str]] = {}
    for each in _parts(session, [merge.number for merge in found]):
        names.setdefault(each.merge_number, []).append(each.alert_id)
    shown = [Done(merge, tuple(names.get(merge.number, ()))) for merge in found]
    return shown, write_cursor(question, found[-1].number) if len(rows) > limit else None


def follow(session: Session, written_before: Iterable[tuple[Alert, int]]) -> list[Alert]:
    """Have alerts that took others in tell what these have come to, of which the counts were such before.

    Returns those that were closed and are open again, since one of them goes on.
    """
    grown: dict[str, bool] = {}
    for alert, count in written_before:
        if alert.merged_into is not None:
            grown[alert.merged_into] = grown.get(alert.merged_into, False) or alert.count > count
    if not grown:
        return []
    recurred: list[Alert] = []
    tellers = session.scalars(sa.select(Alert).where(Alert.id.in_(list(grown)))).all()
    for teller in sorted(tellers, key=lambda alert: alert.id):
        teller.change = advance(session, "change")
        if teller.snooze_revision is not None:
            # The clock looks at what grew since this revision.
            teller.snooze_revision = -1
        if teller.triage_state == "closed" and grown[teller.id]:
            service.recur(session, teller)
            recurred.append(teller)
    reckon(session, tellers)
    return recurred


def reckon(session: Session, alerts: Iterable[Alert]) -> None:
    """Show alerts as severe, and rank them as high, as the highest of what they took in; as they are where there is nothing."""
    session.flush()
    for alert in alerts:
        told = session.execute(sa.select(Alert.severity, Alert.rank).where(Alert.merged_into == alert.id)).all()
        own = (
            (alert.severity, alert.rank)
            if alert.own_severity is None or alert.own_rank is None
            else (alert.own_severity, alert.own_rank)
        )
        if told:
            alert.severity = max(own[0], *(each.severity for each in told))
            alert.rank = max(own[1], *(each.rank for each in told))
            alert.own_severity, alert.own_rank = own
        else:
            alert.severity, alert.rank = own
            alert.own_severity = alert.own_rank = None
    session.flush()


def _fitting(session: Session, alert: Alert, name: str, version: int) -> Alert:
    """An alert that can be taken in by another."""
    found = service.get(session, name)
    if alert.id in {found.id, found.merged_into}:
        raise Problem("alert_merge_unfit", id=name)
    if found.site != alert.site:
        raise Problem("alert_merge_sites", id=name, other=alert.id)
    if found.drill != alert.drill:
        raise Problem("drill_mixed")
    if found.triage_version != version:
        raise Problem("precondition_failed", by=found.triage_by or audit.SYSTEM)
    if found.triage_state == "escalated":
        raise Problem("alert_escalated", id=name, number=found.triage_incident)
    if found.triage_state == "closed":
        raise Problem("alert_state", state=found.triage_state, action="merge")
    return found


def _check_open(alert: Alert) -> None:
    """Whether an alert can tell others: people see it."""
    if alert.merged_into is not None:
        raise Problem("alert_merged", id=alert.id, into=alert.merged_into)
    if alert.triage_state == "closed":
        raise Problem("alert_state", state=alert.triage_state, action="merge")


def _made(session: Session, kind: str, alert: Alert, actor: Actor, note: str) -> AlertMerge:
    made = AlertMerge(
        number=advance(session, COUNTER), site=alert.site, kind=kind, alert_id=alert.id, note=note, made_by=actor.name, at=now(),
        before=None, after=None, undone_by=None, undone_at=None,
    )  # fmt: skip
    session.add(made)
    return made


def _write_down(session: Session, made: AlertMerge, alert: Alert) -> None:
    """Keep what told an alert before."""
    part = AlertMergePart(
        merge_number=made.number, alert_id=alert.id, merged_into=alert.merged_into, detached_from=alert.detached_from
    )
    session.add(part)


def _moved(session: Session, alert: Alert, actor: Actor, step: tuple[str, str | None, str | None]) -> None:
    """Write that an alert is told by another now, or by none."""
    by_person = alert.merged_into is not None or alert.detached_from is not None
    alert.part_of = alert.merged_into if by_person else alert.body.get("part_of")
    alert.triage_version += 1
    alert.change = advance(session, "change")
    kind, note, other = step
    service.add_event(session, alert, kind, actor.name, note, other)


def _triaged(alert: Alert) -> dict[str, Any]:
    return {name: getattr(alert, name) for name in TRIAGED}


def _get(session: Session, alert: Alert, number: int) -> AlertMerge:
    """A merge that an alert had part in. Raises Problem `merge_unknown`."""
    key = {"organisation": scope_of(session).organisation, "number": number}
    found = session.get(AlertMerge, key)
    part = {"organisation": key["organisation"], "merge_number": number, "alert_id": alert.id}
    if found is None or (found.alert_id != alert.id and session.get(AlertMergePart, part) is None):
        raise Problem("merge_unknown", number=number, id=alert.id)
    return found


def _parts(session: Session, numbers: Sequence[int]) -> Sequence[AlertMergePart]:
    mine = sa.select(AlertMergePart).where(AlertMergePart.merge_number.in_(numbers))
    return session.scalars(mine.order_by(AlertMergePart.merge_number, AlertMergePart.alert_id)).all()
