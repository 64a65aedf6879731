"""The chain of custody: what is hashed of a piece of evidence and of each entry about it.

The first entry's `previous_hash` is the hash of all that is said of the piece, so that neither that nor any entry can be changed,
moved or taken out of the middle without the chain telling. The audit trail has the hash of each entry: it tells what was made
anew as a whole, and what was cut at the end. `verify.py`, which goes with each package, follows both in the same way.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, Literal

import rfc8785

from api.times import iso

if TYPE_CHECKING:
    from collections.abc import Iterable

    from api.audit.models import AuditEntry
    from api.custody.models import CustodyEntry, EvidenceItem

Trail = Literal["intact", "older", "differs", "missing"]
"""What the audit trail says of the custody of a piece."""

SOUND: Final[tuple[Trail, ...]] = ("intact", "older")
"""Where nothing that it says speaks against the custody."""


def of_item(item: EvidenceItem) -> dict[str, Any]:
    """All that is said of a piece of evidence but where its file is."""
    return {
        "description": item.description, "id": item.id, "incident": item.incident, "kind": item.kind,
        "media_type": item.media_type, "name": item.name, "organisation": item.organisation, "origin": item.origin,
        "sha256": item.sha256, "size": item.size, "sm3": item.sm3, "taken_at": iso(item.taken_at), "taken_by": item.taken_by,
    }  # fmt: skip


def of_entry(entry: CustodyEntry) -> dict[str, Any]:
    """All that an entry says but its hash."""
    return {
        "actor": entry.actor, "at": iso(entry.at), "evidence": entry.evidence, "from": entry.giver, "kind": entry.kind,
        "number": entry.number, "organisation": entry.organisation, "previous_hash": entry.previous_hash, "reason": entry.reason,
        "to": entry.receiver,
    }  # fmt: skip


def digest(content: dict[str, Any]) -> str:
    """SHA-256 of what is said, in canonical JSON (RFC 8785)."""
    return hashlib.sha256(rfc8785.dumps(content)).hexdigest()


class Chain:
    """Follows the custody of a piece of evidence.

    Attributes:
        entries: entries that there are.
        first_broken: number of the first entry that does not hold by itself; None where all do.
        clock_back: number of the first entry whose time is before that of the one before; their order holds all the same.
        trail: whether the audit trail has the same entries; `missing`: it has none of them. `older`, which `api.custody.trail`
            finds: the first are from before custody was in the trail, and it has the same of all others.
        untold: how many entries there are before those that the trail has, where it has the same of all others; else None.
    """

    def __init__(self, item: EvidenceItem, entries: Iterable[CustodyEntry], trail: Iterable[AuditEntry]) -> None:
        self.entries = 0
        self.first_broken: int | None = None
        self.clock_back: int | None = None
        before, last, hashes = digest(of_item(item)), 0, list[list[object]]()
        for number, entry in enumerate(entries, start=1):
            said = (entry.number, entry.previous_hash, entry.hash)
            if self.first_broken is None and said != (number, before, digest(of_entry(entry))):
                self.first_broken = number
            if self.clock_back is None and entry.at < last:
                self.clock_back = number
            before, last, self.entries = entry.hash, entry.at, number
            hashes.append([entry.number, entry.hash])
        if not self.entries:
            self.first_broken = 1
        told = [[entry.detail.get("number"), entry.detail.get("hash")] for entry in trail]
        before_told = len(hashes) - len(told)
        self.untold = before_told if before_told >= 0 and told == hashes[before_told:] else None
        self.trail: Trail = "intact" if self.untold == 0 else "differs" if told else "missing"
