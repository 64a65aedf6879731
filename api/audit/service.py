"""Adding to the audit trail, and reading it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from api.audit.chain import FIRST_PREVIOUS, FORM, digest, plain
from api.audit.models import AuditEntry
from api.database import Counter, advance
from api.database.scope import scope_of
from api.pages import read_cursor, write_cursor
from api.times import now

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import Session

    from api.audit.schemas import AuditQuery
    from api.database import Database

SYSTEM: Final = "system"
"""Actor of what no person did."""

MACHINE: Final = " at the command line"
"""What the name of an actor ends with who gave a command on the machine itself."""

CHUNK: Final = 1000
"""Entries that are held at a time where all are read."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes a change, and from where."""

    name: str
    address: str = ""


def record(session: Session, actor: Actor, action: str, subject: str, detail: Mapping[str, Any] | None = None) -> AuditEntry:
    """Add an entry in the transaction of the change that it tells of, so that neither is there without the other."""
    return record_all(session, actor, action, [(subject, detail or {})])[0]


def record_all(session: Session, actor: Actor, action: str, told: Sequence[tuple[str, Mapping[str, Any]]]) -> list[AuditEntry]:
    """Add an entry for each subject with its detail, in their order and as `record` does: many are added as fast as one."""
    number = advance(session, "audit", len(told)) - len(told)
    previous = session.scalar(sa.select(AuditEntry.hash).where(AuditEntry.number == number)) or FIRST_PREVIOUS
    entries: list[AuditEntry] = []
    for place, (subject, detail) in enumerate(told, start=number + 1):
        entry = AuditEntry(
            organisation=scope_of(session).organisation,
            number=place,
            form=FORM,
            at=now(),
            actor=actor.name,
            address=actor.address,
            action=action,
            subject=subject,
            detail=plain(detail),
            previous_hash=previous,
        )
        entry.hash = previous = digest(entry)
        entries.append(entry)
    session.add_all(entries)
    session.flush()
    return entries


def record_read(database: Database, actor: Actor, action: str, subject: str, detail: Mapping[str, Any] | None = None) -> None:
    """Add an entry about a read of what is sensitive, before the answer is given: nobody is shown what is not on record."""
    with database.write() as session:
        record(session, actor, action, subject, detail)


def find(session: Session, query: AuditQuery) -> tuple[Sequence[AuditEntry], str | None]:
    """One page of entries, and the cursor of the next one. Raises Problem `cursor_invalid`."""
    statement = sa.select(AuditEntry)
    for asked, column in (
        (query.actor, AuditEntry.actor),
        (query.action, AuditEntry.action),
        (query.subject, AuditEntry.subject),
    ):
        if asked is not None:
            statement = statement.where(asked.on(column))
    if query.since is not None:
        statement = statement.where(AuditEntry.at >= query.since)
    if query.until is not None:
        statement = statement.where(AuditEntry.at < query.until)
    newest_first, question = query.sort.startswith("-"), query.question()
    if query.cursor is not None:
        (place,) = read_cursor(question, query.cursor, (int,))
        statement = statement.where(AuditEntry.number < place if newest_first else AuditEntry.number > place)
    order = AuditEntry.number.desc() if newest_first else AuditEntry.number
    found = session.scalars(statement.order_by(order).limit(query.limit + 1)).all()
    if len(found) <= query.limit:
        return found, None
    return found[: query.limit], write_cursor(question, found[query.limit - 1].number)


def newest(session: Session) -> tuple[int, str]:
    """Number and hash of the newest entry; 0 and the hash before the first where there is none."""
    statement = sa.select(AuditEntry.number, AuditEntry.hash).order_by(AuditEntry.number.desc()).limit(1)
    found = session.execute(statement).one_or_none()
    return (0, FIRST_PREVIOUS) if found is None else (found.number, found.hash)


def written(session: Session) -> int:
    """How many entries were ever added, as the counter says."""
    return session.scalar(sa.select(Counter.value).where(Counter.name == "audit")) or 0


def following(session: Session, number: int) -> Sequence[AuditEntry]:
    """The entries after a number, oldest first, at most `CHUNK`."""
    statement = sa.select(AuditEntry).where(AuditEntry.number > number).order_by(AuditEntry.number).limit(CHUNK)
    return session.scalars(statement).all()
