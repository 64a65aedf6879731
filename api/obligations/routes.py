"""`/api/obligations`: reports that the law asks for, with their clocks; drafted, approved, submitted, acknowledged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Header, Path, Query, Request, Response

from api.audit import service as audit
from api.incidents import service as incidents
from api.obligations import presentation, service
from api.obligations.schemas import (
    AcknowledgeReportInput,
    ApproveInput,
    DraftInput,
    ObligationItem,
    ObligationOutput,
    ObligationPage,
    ObligationQuery,
    OperatorInput,
    OperatorOutput,
    OperatorVocabulary,
    SubmitInput,
    SupplementInput,
)
from api.openapi import problems
from api.security.access import Caller, Provided, needs
from api.site import service as site
from api.texts import language_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from api.incidents.models import Incident
    from api.obligations.models import Obligation
    from api.services import Services

router = APIRouter(prefix="/api", tags=["obligations"])

Reader = Annotated[Caller, needs("report.read")]
Drafter = Annotated[Caller, needs("report.draft")]
Approver = Annotated[Caller, needs("report.approve")]
Submitter = Annotated[Caller, needs("report.submit")]
OperatorWriter = Annotated[Caller, needs("operator.write")]
Identity = Annotated[int, Path(ge=1, le=2**53, examples=[5])]
Number = Annotated[int, Path(ge=1, le=2**53, examples=[17])]
IfMatch = Annotated[
    str | None,
    Header(
        max_length=1024, examples=['"2"'], description="ETag of what is changed as the caller saw it; without it 428, else 412."
    ),
]
Site = Annotated[
    str | None,
    Query(max_length=255, examples=["waterworks"], description="Name of the site; it may be left out where there is only one."),
]

_DECISION = ("signed_out", "cross_site", "query_too_long")
_CHANGE = (*_DECISION, "obligation_unknown", "obligation_state", "precondition_failed", "precondition_required")


@router.get("/obligations", responses=problems("signed_out", "cursor_invalid", "query_too_long"))
def obligations(
    query: Annotated[ObligationQuery, Query()], caller: Reader, request: Request, provided: Provided
) -> ObligationPage:
    """Reports of all incidents that match all filters, those due first before others."""
    del caller
    with provided.database.read() as session:
        rows, cursor = service.find(session, query)
        return ObligationPage(items=presentation.items(session, rows, language_of(request)), next=cursor)


@router.get("/incidents/{number}/obligations", responses=problems("signed_out", "incident_unknown"))
def of_incident(number: Number, caller: Reader, request: Request, provided: Provided) -> list[ObligationItem]:
    """The reports of an incident and of those merged into it, in the order in which they are due."""
    del caller
    with provided.database.read() as session:
        incidents.get(session, number)
        return presentation.items(session, service.of_incident(session, number), language_of(request))


@router.post(
    "/incidents/{number}/obligations", status_code=201,
    responses=problems(*_DECISION, "incident_unknown", "incident_closed", "incident_merged", "obligations_full", "rule_unfit"),
)  # fmt: skip
def add_supplement(
    number: Number, body: SupplementInput, caller: Drafter, request: Request, response: Response, provided: Provided
) -> ObligationOutput:
    """Add a supplementary report to a series."""
    with provided.database.write() as session:
        incident = incidents.get(session, number)
        incidents.check_open(incident)
        made = service.add_supplement(session, incident, body.rule, caller.actor, body.reason)
        shown = presentation.output(session, made, incident, language_of(request))
    provided.hub.notify()
    response.headers["ETag"] = service.etag(made)
    return shown


@router.get("/obligations/{identity}", responses=problems("signed_out", "obligation_unknown"))
def obligation(identity: Identity, caller: Reader, request: Request, response: Response, provided: Provided) -> ObligationOutput:
    """One report with what it says. The header ETag is what `If-Match` of a change must bring.

    The audit trail says who read it.
    """
    with provided.database.read() as session:
        found, incident = service.get(session, identity)
        response.headers["ETag"] = service.etag(found)
        shown = presentation.output(session, found, incident, language_of(request))
    told = {"state": shown.state, "sha256": shown.sha256}
    audit.record_read(provided.database, caller.actor, "report.read", str(identity), told)
    return shown


@router.put("/obligations/{identity}/draft", responses=problems(*_CHANGE, "contents_unfit"))
def draft(
    identity: Identity, body: DraftInput, caller: Drafter, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> ObligationOutput:  # fmt: skip
    """Write what a report says. What was approved must be approved again."""

    def change(session: Session, found: Obligation, incident: Incident) -> None:
        service.draft(session, found, incident, body, caller.actor)

    return _changed(identity, if_match, change, request, response, provided)


@router.post("/obligations/{identity}/approve", responses=problems(*_CHANGE, "approver_wrote", "contents_missing"))
def approve(
    identity: Identity, body: ApproveInput, caller: Approver, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> ObligationOutput:  # fmt: skip
    """Approve a report, as another person than any that wrote in it, once it says what it must."""

    def change(session: Session, found: Obligation, incident: Incident) -> None:
        service.approve(session, found, incident, caller.actor, body.note)

    return _changed(identity, if_match, change, request, response, provided)


@router.post(
    "/obligations/{identity}/submit", responses=problems(*_CHANGE, "document_unknown", "incident_times", "report_unapproved")
)
def submit(
    identity: Identity, body: SubmitInput, caller: Submitter, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> ObligationOutput:  # fmt: skip
    """Say that a report was submitted, and how: its clock stops. People send it; nothing is sent from here."""

    def change(session: Session, found: Obligation, incident: Incident) -> None:
        service.submit(session, found, incident, body, caller.actor)

    return _changed(identity, if_match, change, request, response, provided)


@router.post("/obligations/{identity}/acknowledge", responses=problems(*_CHANGE))
def acknowledge(
    identity: Identity, body: AcknowledgeReportInput, caller: Submitter, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> ObligationOutput:  # fmt: skip
    """Say that the authority has acknowledged a report, and what it gave for it."""

    def change(session: Session, found: Obligation, incident: Incident) -> None:
        service.acknowledge(session, found, incident, body, caller.actor)

    return _changed(identity, if_match, change, request, response, provided)


@router.get("/operator", responses=problems("signed_out", "site_missing", "site_unknown"))
def operator(
    caller: Reader, request: Request, response: Response, provided: Provided,
    site_name: Annotated[Site, Query(alias="site")] = None,
) -> OperatorOutput:  # fmt: skip
    """What the operator of a site is in the eyes of the law; what is assumed where nobody has said it."""
    del caller
    with provided.database.read() as session:
        name = site.written(session, provided, site_name)
        said, version = service.operator_of(session, name)
    response.headers["ETag"] = f'"{version}"'
    return presentation.operator(name, said, version, language_of(request))


@router.get("/operator/vocabulary", responses=problems("signed_out"))
def operator_vocabulary(caller: Reader, request: Request, provided: Provided) -> OperatorVocabulary:
    """The sectors that an operator can be of, and the sites of which can be said what theirs is."""
    del caller
    with provided.database.read() as session:
        return presentation.vocabulary(site.visible(session, provided), language_of(request))


@router.put(
    "/operator",
    responses=problems(*_DECISION, "site_missing", "site_unknown", "precondition_failed", "precondition_required"),
)
def say_operator(
    body: OperatorInput, caller: OperatorWriter, request: Request, response: Response, provided: Provided,
    site_name: Annotated[Site, Query(alias="site")] = None, if_match: IfMatch = None,
) -> OperatorOutput:  # fmt: skip
    """Say what the operator of a site is. What open incidents of the site ask for is looked at again."""
    with provided.database.write() as session:
        name = site.written(session, provided, site_name)
        service.say_operator(session, name, body, caller.actor, if_match)
        said, version = service.operator_of(session, name)
    provided.hub.notify()
    response.headers["ETag"] = f'"{version}"'
    return presentation.operator(name, said, version, language_of(request))


def _changed(
    identity: int, if_match: str | None, change: Callable[[Session, Obligation, Incident], None], request: Request,
    response: Response, provided: Services,
) -> ObligationOutput:  # fmt: skip
    """The report after a change that was made on what the caller saw."""
    with provided.database.write() as session:
        found, incident = service.get(session, identity)
        service.check_precondition(found, if_match)
        change(session, found, incident)
        session.flush()
        shown = presentation.output(session, found, incident, language_of(request))
    provided.hub.notify()
    response.headers["ETag"] = service.etag(found)
    return shown
