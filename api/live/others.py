"""What else changes that pages show, besides alerts and incidents: windows, exceptions, handovers and jobs, by the trail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from api.audit.models import AuditEntry
from api.exceptions.models import SiteException
from api.handovers.models import Handover
from api.jobs.models import Job
from api.windows.models import MaintenanceWindow

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from sqlalchemy.orm import InstrumentedAttribute, Session

    from api.security.access import Caller
    from api.security.permissions import Permission

MOST_ENTRIES: Final = 100_000
"""Entries of the trail that are looked through at most for who comes back."""


MOST_TOLD: Final = 1_000
"""Most of one kind that are told of at once."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of what changes.

    Attributes:
        name: what events call it.
        noun: what the audit trail calls it.
        key: the identifier of one.
        read: makes the identifier of what the trail names.
        permission: who hears of it.
    """

    name: str
    noun: str
    key: InstrumentedAttribute[Any]
    read: Callable[[str], Any]
    permission: Permission


KINDS: Final = (
    Kind("windows", "window", MaintenanceWindow.number, int, "exception.read"),
    Kind("exceptions", "exception", SiteException.name, str, "exception.read"),
    Kind("handovers", "handover", Handover.id, int, "situation.read"),
    Kind("jobs", "job", Job.number, int, "alert.read"),
)
"""All kinds; nothing else of the trail is told."""


@dataclass(frozen=True, slots=True)
class Touched:
    """One that has changed.

    Attributes:
        kind: its kind.
        identity: its identifier.
        by: who made it, where whoever is limited to sites hears of his own only.
    """

    kind: Kind
    identity: str
    by: str | None = None


def newest(session: Session) -> int:
    """The newest entry of the trail; 0 where there is none."""
    return session.scalar(sa.select(AuditEntry.number).order_by(AuditEntry.number.desc()).limit(1)) or 0


def touched_since(session: Session, entry: int, reached: int) -> dict[Touched, int] | None:
    """What has changed after an entry of the trail, each with its newest one; None where that is too far back, or too much.

    Whoever is limited to sites is told of what he may see, and nobody of what is there no more.
    """
    if reached - entry > MOST_ENTRIES:
        return None
    named = sa.or_(*(AuditEntry.action.startswith(f"{kind.noun}.") for kind in KINDS))
    lately = sa.select(AuditEntry.number, AuditEntry.action, AuditEntry.subject).where(AuditEntry.number > entry, named)
    by_kind: dict[str, dict[str, int]] = {kind.noun: {} for kind in KINDS}
    for number, action, subject in session.execute(lately.order_by(AuditEntry.number)):
        by_kind[action.partition(".")[0]][subject] = number
    if max(map(len, by_kind.values())) > MOST_TOLD:
        return None
    found: dict[Touched, int] = {}
    for kind in KINDS:
        found |= {
            Touched(kind, identity, by): by_kind[kind.noun][identity] for identity, by in _seen(session, kind, by_kind[kind.noun])
        }
    return found


def _seen(session: Session, kind: Kind, identities: Collection[str]) -> Iterable[tuple[str, str | None]]:
    """Those of these that the session sees, and who made them, where that matters."""
    if not identities:
        return []
    known = kind.key.in_([kind.read(identity) for identity in identities])
    if kind.key.class_ is Job:
        rows = session.execute(sa.select(Job.number, Job.made_by).where(known))
        return [(str(number), by) for number, by in rows]
    return [(str(key), None) for key in session.scalars(sa.select(kind.key).where(known))]


def told_to(caller: Caller, touched: Iterable[Touched]) -> Mapping[str, list[str]]:
    """What a caller is told of what has changed: identifiers, by kind."""
    found: dict[str, list[str]] = {}
    for each in touched:
        own = each.by is None or caller.sites is None or each.by == caller.name
        if own and caller.may(each.kind.permission):
            found.setdefault(each.kind.name, []).append(each.identity)
    return found
