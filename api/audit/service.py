"""Adding to the audit trail, reading it, and checking that nobody has altered it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from api.audit.models import AuditEntry
from api.database import Counter, advance
from api.times import now

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import Session

SYSTEM: Final = "system"
"""Actor of what no person did."""

FIRST_PREVIOUS: Final = "0" * 64
"""`previous_hash` of entry 1."""

_CHUNK: Final = 1000


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes a change, and from where."""

    name: str
    address: str = ""


def record(session: Session, actor: Actor, action: str, subject: str, detail: Mapping[str, Any] | None = None) -> AuditEntry:
    """Add an entry in the transaction of the change that it tells of, so that neither is there without the other."""
    number = advance(session, "audit")
    previous = session.scalar(sa.select(AuditEntry.hash).where(AuditEntry.number == number - 1))
    entry = AuditEntry(
        number=number,
        at=now(),
        actor=actor.name,
        address=actor.address,
        action=action,
        subject=subject,
        detail=dict(detail or {}),
        previous_hash=previous or FIRST_PREVIOUS,
    )
    entry.hash = digest(entry)
    session.add(entry)
    session.flush()
    return entry


def digest(entry: AuditEntry) -> str:
    """SHA-256 of an entry: its columns but `hash`, as a JSON array without spaces, keys sorted, in UTF-8."""
    content = [
        entry.number, entry.at, entry.actor, entry.address, entry.action, entry.subject, entry.detail, entry.previous_hash,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


def page(session: Session, before: int | None, limit: int) -> Sequence[AuditEntry]:
    """Entries before a number, newest first."""
    statement = sa.select(AuditEntry).order_by(AuditEntry.number.desc()).limit(limit)
    if before is not None:
        statement = statement.where(AuditEntry.number < before)
    return session.scalars(statement).all()


def verify(session: Session) -> tuple[int, int | None]:
    """How many entries there are, and the number of the first that does not hold (None where all do).

    An entry holds where its hash is that of its content and its `previous_hash` that of the entry before, without a gap. The
    counter says how many there must be, so that a cut end shows too.
    """
    expected, previous = 1, FIRST_PREVIOUS
    while True:
        statement = sa.select(AuditEntry).where(AuditEntry.number >= expected).order_by(AuditEntry.number).limit(_CHUNK)
        entries = session.scalars(statement).all()
        for entry in entries:
            if entry.number != expected or entry.previous_hash != previous or entry.hash != digest(entry):
                return expected - 1, expected
            expected, previous = expected + 1, entry.hash
        session.expunge_all()
        if len(entries) < _CHUNK:
            break
    return expected - 1, None if _count(session) == expected - 1 else expected


def _count(session: Session) -> int:
    return session.scalar(sa.select(Counter.value).where(Counter.name == "audit")) or 0
