"""Which incidents and reports an authority knows of: the one place that says it, as a condition of each question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from api.documents.models import ReportDocument
from api.incidents import timeline
from api.incidents.models import Incident
from api.obligations.models import Obligation
from api.obligations.service import DONE
from api.ordering import page
from api.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import InstrumentedAttribute, Session

    from api.told.schemas import ToldQuery

SORTS: Final[Mapping[str, InstrumentedAttribute[Any]]] = {
    "declared_at": Incident.declared_at,
    "discovered_at": Incident.discovered_at,
}
"""What a list can be sorted by; the number breaks ties."""


def is_told() -> sa.ColumnElement[bool]:
    """What is so of the incidents that authorities know of: no drill, and a report of it was submitted.

    What an authority learns first of an incident is its first report, also one by phone that was written down afterwards: before
    that, declared is what the plant may still find to be nothing. One that tells a merged one, of which a report was submitted,
    is known, too: there the same goes on. Once known it stays so, for no report is taken back.
    """
    reported = sa.select(Obligation.incident.label("number")).where(Obligation.state.in_(DONE)).cte("reported", recursive=True)
    merged = aliased(Incident)
    tells = sa.select(merged.merged_into).where(merged.number == reported.c.number, merged.merged_into.is_not(None))
    known = reported.union(tells)
    return sa.and_(Incident.drill.is_(False), Incident.number.in_(sa.select(known.c.number)))


def find(session: Session, query: ToldQuery) -> tuple[Sequence[Incident], str | None]:
    """One page of incidents that authorities know of, and the cursor of the next one. Raises Problem `cursor_invalid`."""
    statement = sa.select(Incident).where(is_told())
    for asked, column in ((query.state, Incident.state), (query.site, Incident.site)):
        if asked is not None:
            statement = statement.where(asked.on(column))
    if query.grade is not None:
        statement = statement.where(query.grade.on(Incident.grade, int))
    if query.since is not None:
        statement = statement.where(Incident.declared_at >= query.since)
    if query.until is not None:
        statement = statement.where(Incident.declared_at < query.until)
    return page(session, statement, SORTS, Incident.number, query)


def incident(session: Session, number: int) -> Incident:
    """One incident that authorities know of. Raises Problem `incident_unknown`."""
    found = session.scalar(sa.select(Incident).where(Incident.number == number, is_told()))
    if found is None:
        raise Problem("incident_unknown", number=number)
    return found


def reports(session: Session, number: int) -> Sequence[Obligation]:
    """The reports of an incident and of those merged into it that were submitted, the first first."""
    mine = sa.select(Obligation).where(Obligation.incident.in_(timeline.told_by(session, number)), Obligation.state.in_(DONE))
    return session.scalars(mine.order_by(Obligation.submitted_at, Obligation.id)).all()


def report(session: Session, identity: int) -> tuple[Obligation, Incident]:
    """One report that was submitted, and its incident. Raises Problem `obligation_unknown`."""
    mine = sa.select(Obligation).where(Obligation.id == identity, Obligation.state.in_(DONE))
    found = session.scalar(mine)
    of = None if found is None else session.scalar(sa.select(Incident).where(Incident.number == found.incident, is_told()))
    if found is None or of is None:
        raise Problem("obligation_unknown", id=identity)
    return found, of


def document(session: Session, found: Obligation) -> ReportDocument:
    """The document of a report that was sent, as it was sent. Raises Problem `document_none`."""
    mine = sa.select(ReportDocument).where(ReportDocument.obligation == found.id, ReportDocument.sha256 == found.document)
    sent = session.scalars(mine.order_by(ReportDocument.id).limit(1)).first()
    if sent is None:
        raise Problem("document_none", id=found.id)
    return sent
