"""Incidents and reports as authorities are told of them: of what the plant is shown, what the schemas here name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api.incidents import presentation as incidents
from api.obligations import presentation as obligations
from api.told import service
from api.told.schemas import ToldContents, ToldIncident, ToldItem, ToldReport

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from api.incidents.models import Incident
    from api.obligations.models import Obligation


def item(found: Incident, language: str) -> ToldItem:
    """An incident as it stands in a list."""
    return ToldItem.model_validate(_head(found, language))


def incident(session: Session, found: Incident, language: str) -> ToldIncident:
    """An incident with the reports that were submitted."""
    submitted = obligations.items(session, service.reports(session, found.number), language)
    told = [ToldReport.model_validate(each.model_dump()) for each in submitted]
    return ToldIncident.model_validate({**_head(found, language), "reports": told})


def contents(session: Session, found: Obligation, of: Incident, language: str) -> ToldContents:
    """A report with what it says."""
    return ToldContents.model_validate(obligations.output(session, found, of, language).model_dump())


def _head(found: Incident, language: str) -> dict[str, Any]:
    return {**incidents.item(found, language).model_dump(), "merged_into": found.merged_into}
