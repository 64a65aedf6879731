"""The timeline of an incident: written by itself as things happen, and by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from api.audit import service as audit
from api.incidents.models import Incident, IncidentEntry
from api.times import now, rising

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import Session

    from api.audit.service import Actor
    from api.incidents.schemas import EntryInput

HAND: Final = "note"
"""Kind of a line that a person wrote."""

MOST_MERGED: Final = 1_000
"""Most incidents whose lines are told together."""


def write(  # noqa: PLR0913 - what a line says has a name each
    session: Session,
    number: int,
    actor: Actor,
    kind: str,
    *,
    at: int | None = None,
    note: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> IncidentEntry:
    """Write what happened into the timeline and into the audit trail, in the transaction of what happened."""
    moment = now()
    entry = IncidentEntry(
        incident=number, kind=kind, at=moment if at is None else at, written_at=moment, actor=actor.name, by_hand=False,
        note=note, detail=dict(detail or {}),
    )  # fmt: skip
    session.add(entry)
    _touch(session, number)
    told = {**(detail or {}), **({} if note is None else {"note": note}), **({} if at is None else {"at": at})}
    audit.record(session, actor, f"incident.{kind}", str(number), told)
    return entry


def write_by_hand(session: Session, number: int, actor: Actor, given: EntryInput) -> IncidentEntry:
    """Write what a person knows: when it happened, and where they have it from."""
    entry = IncidentEntry(
        incident=number, kind=HAND, at=given.at, written_at=now(), actor=actor.name, by_hand=True,
        origin=given.source, note=given.text, detail={},
    )  # fmt: skip
    session.add(entry)
    _touch(session, number)
    audit.record(session, actor, "incident.note", str(number), given.model_dump())
    session.flush()
    return entry


def copy(session: Session, entry: IncidentEntry, number: int) -> None:
    """Tell a line in another incident too; the first stays where it is."""
    _touch(session, number)
    detail = {**entry.detail, "copied_from": entry.detail.get("copied_from", entry.incident)}
    session.add(
        IncidentEntry(
            incident=number, kind=entry.kind, at=entry.at, written_at=entry.written_at, actor=entry.actor, by_hand=entry.by_hand,
            origin=entry.origin, note=entry.note, detail=detail,
        )
    )  # fmt: skip


def _touch(session: Session, number: int) -> None:
    """Something of an incident has changed."""
    session.execute(sa.update(Incident).where(Incident.number == number).values(updated_at=rising()))


def told_by(session: Session, number: int) -> list[int]:
    """The incident and those that were merged into it, and into them."""
    found, new = [number], [number]
    while new and len(found) < MOST_MERGED:
        merged = sa.select(Incident.number).where(Incident.merged_into.in_(new)).order_by(Incident.number)
        new = [each for each in session.scalars(merged) if each not in found]
        found += new
    return found


def lines(
    session: Session, number: int, after: tuple[int, int] | None, limit: int, *, latest_first: bool = False
) -> Sequence[IncidentEntry]:  # fmt: skip
    """Lines of an incident and of those merged into it, in the order in which things happened, behind a place (time, id).

    Or in the opposite order, the latest first.
    """
    statement = sa.select(IncidentEntry).where(IncidentEntry.incident.in_(told_by(session, number)))
    if after is not None:
        key, place = sa.tuple_(IncidentEntry.at, IncidentEntry.id), sa.tuple_(*after)
        statement = statement.where(key < place if latest_first else key > place)
    by = (IncidentEntry.at.desc(), IncidentEntry.id.desc()) if latest_first else (IncidentEntry.at, IncidentEntry.id)
    return session.scalars(statement.order_by(*by).limit(limit)).all()


def newest(session: Session) -> int:
    """The newest line of all; 0 where there is none."""
    return session.scalar(sa.select(IncidentEntry.id).order_by(IncidentEntry.id.desc()).limit(1)) or 0


def written_since(session: Session, line: int, *also: sa.ColumnElement[bool]) -> dict[int, int]:
    """The incidents of which something was written after a line, each with its newest one; `also` is so of each."""
    told = sa.select(Incident.number, sa.func.max(IncidentEntry.id)).where(Incident.number == IncidentEntry.incident)
    found = session.execute(told.where(IncidentEntry.id > line, *also).group_by(Incident.number))
    return dict(found.all())


def by_hand(session: Session, number: int, limit: int) -> Sequence[IncidentEntry]:
    """The lines that people wrote for an incident, and for those merged into it, the first first."""
    mine = sa.select(IncidentEntry).where(IncidentEntry.incident.in_(told_by(session, number)), IncidentEntry.by_hand.is_(True))
    return session.scalars(mine.order_by(IncidentEntry.at, IncidentEntry.id).limit(limit)).all()


def chosen(session: Session, number: int, identities: Sequence[int]) -> list[IncidentEntry]:
    """The lines of an incident with these ids; those of others are left out."""
    mine = sa.select(IncidentEntry).where(
        IncidentEntry.incident.in_(told_by(session, number)), IncidentEntry.id.in_(list(identities))
    )
    return list(session.scalars(mine.order_by(IncidentEntry.id)))
