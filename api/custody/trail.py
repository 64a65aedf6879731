"""What the audit trail says of the custody of evidence: whether the two are the same."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import sqlalchemy as sa

from api.audit import service as audit
from api.audit.chain import Fault
from api.audit.models import AuditEntry
from api.custody import chain, service
from api.custody.earlier import Earlier
from api.custody.models import EvidenceItem

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class Following:
    """Follows the custody of pieces, by itself and by the trail, in one state of the database."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._earlier: Earlier | None = None

    @property
    def earlier(self) -> Earlier:
        """What the trail told before it had entries of custody: read where a piece asks for it, and once."""
        if self._earlier is None:
            self._earlier = Earlier(self._session)
        return self._earlier

    def follow(self, item: EvidenceItem) -> chain.Chain:
        """The custody of a piece."""
        session = self._session
        found = chain.Chain(item, service.all_entries(session, item.id), service.trail_of(session, item.id))
        if found.untold and self.earlier.tells(item, islice(service.all_entries(session, item.id), found.untold)):
            found.trail = "older"
        return found


def differing(session: Session) -> Fault | None:
    """The first piece of whose custody the trail says something else; None where there is none. Files are not looked at."""
    last, _ = audit.newest(session)
    following, known = Following(session), set[str]()
    for item in session.scalars(sa.select(EvidenceItem).order_by(EvidenceItem.id)):
        found = following.follow(item)
        if found.first_broken is not None or found.trail not in chain.SOUND:
            return Fault("custody", last, {"evidence": item.id})
        known.add(service.subject(item))
    told = sa.select(AuditEntry.subject).where(AuditEntry.action == service.CUSTODY).order_by(AuditEntry.subject).distinct()
    gone = [subject for subject in session.scalars(told) if subject not in known]
    return Fault("custody", last, {"evidence": gone[0].removeprefix(service.subject_of(""))}) if gone else None
