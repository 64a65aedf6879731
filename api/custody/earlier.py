"""Custody from before the audit trail had an entry for each custody entry: what the trail told of it then.

Where custody entries in the trail begin is a place in its chain. Of what lies before it, the trail tells the taking of each piece
with its hashes, handing on, giving out, and merges: who, from whom, to whom and why. A piece whose taking it does not tell there,
or of which it tells anything else than the custody does, is not from before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from api.audit.chain import plain
from api.audit.models import AuditEntry
from api.custody import verify
from api.times import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.orm import Session

    from api.custody.models import CustodyEntry, EvidenceItem

TAKEN: Final = verify.TAKEN
_HANDED, _EXPORTED, _MERGED = "incident.evidence_handed", "incident.evidence_exported", "incident.merged"

_CHUNK: Final = 1_000

TOGETHER_SECONDS: Final = 600
"""What custody and trail tell of one deed was written within this: in one transaction, however long it waited."""


@dataclass(slots=True)
class _Told:
    """What the trail told of a piece.

    Attributes:
        said: of the piece itself, when it was taken.
        holder: the incident that it was of then.
        hands: kind, from whom, to whom, why, and by whom it was written, for each custody entry.
        at: when each of these was told.
    """

    said: dict[str, Any]
    holder: str
    hands: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])
    at: list[int] = field(default_factory=list[int])

    def add(self, at: int, *hands: str) -> None:
        """Keep what the trail told at a time."""
        self.hands.append(hands)
        self.at.append(at)


class Earlier:
    """Reads what the trail told of evidence before its first entry of custody.

    Attributes:
        since: number of that entry; None where there is none yet, and all of the trail is from before.
    """

    def __init__(self, session: Session) -> None:
        first = sa.select(AuditEntry).where(AuditEntry.action == verify.IN_TRAIL).order_by(AuditEntry.number).limit(1)
        found = session.scalar(first)
        self.since: Final = None if found is None else found.number
        self._told: dict[int, _Told] = {}
        asked = sa.select(AuditEntry).where(AuditEntry.action.in_((TAKEN, _HANDED, _EXPORTED, _MERGED)))
        if found is not None:
            # A merge is told before the custody that it writes: one that the first entry is of is not from before.
            moved = found.detail.get("kind") == "moved"
            asked = asked.where(
                AuditEntry.number < found.number, (AuditEntry.action != _MERGED) | (AuditEntry.number < found.number - moved)
            )
        for entry in session.scalars(asked.order_by(AuditEntry.number).execution_options(yield_per=_CHUNK)):
            self._take(entry)

    def tells(self, item: EvidenceItem, entries: Iterable[CustodyEntry]) -> bool:
        """Whether the trail told the taking of a piece, and of its first custody entries the same, and no more."""
        found = self._told.get(item.id)
        if found is None or found.said != _said(item) or not _together(item.taken_at, found.at[0]):
            return False
        written = list(entries)
        if found.hands != [(each.kind, each.giver, each.receiver, each.reason, each.actor) for each in written]:
            return False
        return all(_together(each.at, at) for each, at in zip(written, found.at, strict=True))

    def _take(self, entry: AuditEntry) -> None:
        detail, note = entry.detail, str(entry.detail.get("note", ""))
        match entry.action:
            case "incident.evidence_taken":
                said = {name: detail.get(name) for name in ("name", "size", "sha256", "sm3")}
                told = _Told(said | {"incident": entry.subject, "by": entry.actor, "description": note}, entry.subject)
                told.add(entry.at, "taken", str(detail.get("from")), entry.actor, note, entry.actor)
                self._told.setdefault(detail["item"], told)
            case "incident.evidence_handed":
                self._add(detail["item"], entry.at, "handed", str(detail.get("from")), str(detail.get("to")), note, entry.actor)
            case "incident.evidence_exported":
                for identity in detail["items"]:
                    self._add(identity, entry.at, "exported", entry.actor, str(detail.get("to")), note, entry.actor)
            case _:
                for told in self._told.values():
                    if told.holder == str(detail["other"]):
                        told.holder = entry.subject
                        told.add(entry.at, "moved", f"incident {detail['other']}", f"incident {entry.subject}", note, entry.actor)

    def _add(self, identity: int, at: int, *hands: str) -> None:
        if identity in self._told:
            self._told[identity].add(at, *hands)


def _said(item: EvidenceItem) -> dict[str, Any]:
    said = {"name": item.name, "size": item.size, "sha256": item.sha256, "sm3": item.sm3, "incident": str(item.incident)}
    return plain(said | {"by": item.taken_by, "description": item.description})


def _together(one: int, other: int) -> bool:
    """Whether two times are those of one transaction."""
    return abs(one - other) < TOGETHER_SECONDS * NANOSECONDS
