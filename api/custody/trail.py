"""What the audit trail says of the custody of evidence: whether the two are the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from api.audit import service as audit
from api.audit.chain import Fault
from api.audit.models import AuditEntry
from api.custody import chain, service
from api.custody.models import EvidenceItem

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def followed(session: Session, item: EvidenceItem) -> chain.Chain:
    """The custody of a piece, by itself and by the trail."""
    return chain.Chain(item, service.all_entries(session, item.id), service.trail_of(session, item.id))


def differing(session: Session) -> Fault | None:
    """The first piece of whose custody the trail says something else; None where there is none. Files are not looked at."""
    last, _ = audit.newest(session)
    known: set[str] = set()
    for item in session.scalars(sa.select(EvidenceItem).order_by(EvidenceItem.id)):
        found = followed(session, item)
        if found.first_broken is not None or found.trail != "intact":
            return Fault("custody", last, {"evidence": item.id})
        known.add(service.subject(item))
    told = sa.select(AuditEntry.subject).where(AuditEntry.action == service.CUSTODY).order_by(AuditEntry.subject).distinct()
    gone = [subject for subject in session.scalars(told) if subject not in known]
    return Fault("custody", last, {"evidence": gone[0].removeprefix(service.subject_of(""))}) if gone else None
