"""The chain of custody: what is hashed of a piece of evidence and of each entry about it.

The first entry's `previous_hash` is the hash of all that is said of the piece, so that neither that nor any entry can be changed,
taken away or moved without the chain telling. `verify.py`, which goes with each package, follows it in the same way.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import rfc8785

from api.times import iso

if TYPE_CHECKING:
    from collections.abc import Sequence

    from api.custody.models import CustodyEntry, EvidenceItem


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


def first_broken(item: EvidenceItem, entries: Sequence[CustodyEntry]) -> int | None:
    """Number of the first entry that does not hold; None where all do. One behind the last where there is none at all."""
    before = digest(of_item(item))
    for number, entry in enumerate(entries, start=1):
        if (entry.number, entry.previous_hash, entry.hash) != (number, before, digest(of_entry(entry))):
            return number
        before = entry.hash
    return None if entries else 1
