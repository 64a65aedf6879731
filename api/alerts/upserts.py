"""Alerts from the stream into the database, each revision once.

A batch of table `alert` and the place where the consumer then stands are written in one transaction: after a crash at any moment
the stream is read on from there, and an upsert that comes again is passed over by its revision.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from api.alerts import merging, service, told
from api.alerts.models import ADDRESS_CHARACTERS, DETECTED, SEVERITIES, Alert, AlertTechnique, StreamPosition
from api.audit import service as audit
from api.database import advance, row_of
from api.incidents import following
from api.windows import hiding
from collector.stream import Position
from detection.alerts import RULE_CHARACTERS, TECHNIQUE_CHARACTERS, has_room

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy.orm import Session

    from detection.alerts import Alert as Revision

CONSUMER: Final = "alerts"
"""Name under which the stream of alerts is read."""

ASKED: Final = 10_000
"""Most alerts that one statement asks for; SQLite takes 32,766 values and PostgreSQL 65,535."""


def position(session: Session) -> Position:
    """Where the consumer of the stream of alerts stands."""
    stored = row_of(session, StreamPosition, CONSUMER)
    return Position() if stored is None else Position.from_json(stored.position)


def stand(session: Session, at: Position) -> None:
    """Write down where the consumer stands, in the transaction of what it did until there."""
    stored = row_of(session, StreamPosition, CONSUMER)
    if stored is None:
        session.add(StreamPosition(consumer=CONSUMER, position=at.to_json()))
    else:
        stored.position = _ahead(Position.from_json(stored.position), at).to_json()


def _ahead(one: Position, other: Position) -> Position:
    """Where the one is that is ahead, place by place: another server may have read further."""
    offsets = {name: max(one.offsets.get(name, 0), other.offsets.get(name, 0)) for name in {**one.offsets, **other.offsets}}
    seen = {run: max(one.seen.get(run, -1), other.seen.get(run, -1)) for run in {**one.seen, **other.seen}}
    return Position(offsets, seen)


def fitting(upsert: Revision) -> Revision:
    """A revision without addresses and techniques that no column takes, its rule's name cut to what one does.

    A sensor may tell any text as an address, and workers before loaded rules of any name: none may keep alerts out.
    """
    fits = {
        name: told is None or has_room(told, ADDRESS_CHARACTERS)
        for name, told in (("client_ip", upsert.client_ip), ("server_ip", upsert.server_ip))
    }
    if not has_room(upsert.rule, RULE_CHARACTERS):
        upsert = replace(upsert, rule="".join(filter(str.isprintable, upsert.rule))[:RULE_CHARACTERS])
    told = [str(technique) for technique in upsert.body["techniques"]]
    kept = [technique for technique in told if has_room(technique, TECHNIQUE_CHARACTERS)]
    if len(kept) < len(told):
        upsert = replace(upsert, body={**upsert.body, "techniques": kept})
    return upsert if all(fits.values()) else replace(upsert, **{name: None for name, does in fits.items() if not does})


def apply(session: Session, upserts: Sequence[Revision], site: str = "", drill: int | None = None) -> int:
    """Write the revisions of a site that are newer than what is stored; returns how many were.

    Of several revisions of one alert only the last is written. A closed alert has recurred whose count has risen, or that
    findings of a rule joined which had none among them: nothing else tells these. One that was merged into another is told by
    that, which opens again with it. Maintenance windows hide what they cover. Incidents hear of what they follow.

    Alerts of a drill are given with its number: no window hides them, and no incident follows them.
    """
    newest = {upsert.id: upsert for upsert in sorted(upserts, key=lambda upsert: upsert.revision)}
    stored = {
        alert.id: alert for some in _parts(list(newest)) for alert in session.scalars(sa.select(Alert).where(Alert.id.in_(some)))
    }
    changed = [upsert for upsert in newest.values() if upsert.id not in stored or upsert.revision > stored[upsert.id].revision]
    if not changed:
        return 0
    change = advance(session, "change", len(changed)) - len(changed)
    raised: list[Alert] = []
    seen: list[Alert] = []
    recurred: list[Alert] = []
    merged: list[tuple[Alert, int]] = []
    for upsert in sorted(changed, key=lambda upsert: (upsert.first_seen, upsert.id)):
        change += 1
        alert = stored.get(upsert.id)
        if alert is None:
            alert = Alert(id=upsert.id, site=site, drill=drill, triage_state="new", triage_version=0)
            _write(alert, upsert, change)
            raised.append(alert)
        else:
            _techniques(session, alert, upsert)
            joined, alone = told.rules(upsert.body) - told.rules(alert.body), _is_alone(alert)
            merged += [(alert, -1 if joined else alert.count)] if alert.merged_into is not None else []
            _write(alert, upsert, change)
            if _is_alone(alert) and not alone:
                service.add_event(session, alert, "alone", audit.SYSTEM)
            if alert.triage_state == "closed" and (joined or upsert.count > (alert.triage_count or upsert.count)):
                service.recur(session, alert, joined)
                recurred.append(alert)
        seen.append(alert)
    session.add_all(raised)
    merging.reckon(session, [alert for alert in seen if alert.own_severity is not None])
    again = merging.follow(session, merged)
    recurred += [alert for alert in again if alert not in recurred]
    for alert in raised:
        service.add_event(session, alert, "raised", audit.SYSTEM)
        session.add_all(AlertTechnique(technique=technique, alert_id=alert.id) for technique in alert.body["techniques"])
    if drill is not None:
        return len(changed)
    new = {alert.id for alert in raised}
    hiding.take(session, site, raised, [alert for alert in seen if alert.id not in new])
    following.follow(session, seen, recurred)
    return len(changed)


def _parts(identities: list[str]) -> Iterator[list[str]]:
    """The identities, as many at a time as a statement can ask for."""
    for start in range(0, len(identities), ASKED):
        yield identities[start : start + ASKED]


def _write(alert: Alert, upsert: Revision, change: int) -> None:
    hidden = None if upsert.exception is None else str(upsert.exception["name"])
    made = {"severity": SEVERITIES.index(upsert.severity), "exception": hidden, "body": dict(upsert.body), "change": change}
    for name in DETECTED:
        setattr(alert, name, made[name] if name in made else getattr(upsert, name))
    merging.written(alert)


def _is_alone(alert: Alert) -> bool:
    """Whether no other alert tells it and no exception hides it."""
    return alert.part_of is None and alert.exception is None


def _techniques(session: Session, alert: Alert, upsert: Revision) -> None:
    """Keep the techniques to filter by as those of the new revision."""
    before, after = set(alert.body["techniques"]), set(upsert.body["techniques"])
    if before - after:
        gone = sa.delete(AlertTechnique).where(AlertTechnique.alert_id == alert.id, AlertTechnique.technique.in_(before - after))
        session.execute(gone)
    session.add_all(AlertTechnique(technique=technique, alert_id=alert.id) for technique in after - before)
