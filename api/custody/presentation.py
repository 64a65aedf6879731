"""Evidence as the API shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.custody.schemas import CustodyOutput, EvidenceOutput
from api.times import iso

if TYPE_CHECKING:
    from api.custody.models import CustodyEntry, EvidenceItem


def item(found: EvidenceItem) -> EvidenceOutput:
    """A piece of evidence."""
    names = (
        "id", "incident", "kind", "name", "media_type", "description", "size", "sha256", "sm3", "taken_by", "origin",
    )  # fmt: skip
    return EvidenceOutput.model_validate({**{name: getattr(found, name) for name in names}, "taken_at": iso(found.taken_at)})


def entry(found: CustodyEntry) -> CustodyOutput:
    """A custody entry."""
    names = ("number", "kind", "actor", "giver", "receiver", "reason", "previous_hash", "hash")
    return CustodyOutput.model_validate({**{name: getattr(found, name) for name in names}, "at": iso(found.at)})
