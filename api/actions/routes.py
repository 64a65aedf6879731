"""`/api/actions`: actions in the plant, approved by two people, carried out by people, verified in the traffic."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Header, Path, Request, Response

from api.actions import presentation, proof, service
from api.actions.schemas import ActionOutput, ExecuteInput, ProposeInput, StepInput, VerdictOutput, VerifyInput
from api.audit import service as audit
from api.incidents import service as incidents
from api.openapi import problems
from api.problems import Problem
from api.security.access import Caller, Provided, needs
from api.texts import language_of
from api.times import now

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from api.actions.models import Action
    from api.incidents.models import Incident
    from api.services import Services

router = APIRouter(prefix="/api", tags=["actions"])

Reader = Annotated[Caller, needs("incident.read")]
Proposer = Annotated[Caller, needs("action.propose")]
Security = Annotated[Caller, needs("action.approve_security")]
Operations = Annotated[Caller, needs("action.approve_operations")]
Doer = Annotated[Caller, needs("action.execute")]
Identity = Annotated[int, Path(ge=1, le=2**53, examples=[5])]
Number = Annotated[int, Path(ge=1, le=2**53, examples=[17])]
IfMatch = Annotated[
    str | None,
    Header(max_length=1024, examples=['"2"'], description="ETag of the action as the caller saw it; without it 428, else 412."),
]

_DECISION = ("signed_out", "cross_site", "query_too_long")
_STEP = (*_DECISION, "action_unknown", "action_state", "precondition_failed", "precondition_required")
_OPEN = (*_STEP, "incident_closed", "incident_merged")
_RECORDS = ("records_missing", "baseline_unknown")


@router.get("/incidents/{number}/actions", responses=problems("signed_out", "incident_unknown"))
def actions(number: Number, caller: Reader, request: Request, provided: Provided) -> list[ActionOutput]:
    """The actions of an incident and of those merged into it."""
    del caller
    with provided.database.read() as session:
        incident = incidents.get(session, number)
        found = service.of_incident(session, number)
        return [presentation.output(each, incident, language_of(request)) for each in found]


@router.post(
    "/incidents/{number}/actions", status_code=201,
    responses=problems(*_DECISION, "incident_unknown", "incident_closed", "incident_merged", "action_window", "actions_full"),
)  # fmt: skip
def propose(
    number: Number, body: ProposeInput, caller: Proposer, request: Request, response: Response, provided: Provided
) -> ActionOutput:
    """Propose an action in the plant, with all that must be known before anybody acts there."""
    with provided.database.write() as session:
        incident = incidents.get(session, number)
        made = service.propose(session, incident, body, caller.actor)
        shown = presentation.output(made, incident, language_of(request))
    provided.hub.notify()
    response.headers["ETag"] = service.etag(made)
    return shown


@router.get("/actions/{identity}", responses=problems("signed_out", "action_unknown"))
def action(identity: Identity, caller: Reader, request: Request, response: Response, provided: Provided) -> ActionOutput:
    """One action. The header ETag is what `If-Match` of a step must bring."""
    del caller
    with provided.database.read() as session:
        found, incident = service.get(session, identity)
        response.headers["ETag"] = service.etag(found)
        return presentation.output(found, incident, language_of(request))


@router.get(
    "/actions/{identity}/verdict", responses=problems("signed_out", "action_unknown", "proof_none", "query_too_long", *_RECORDS)
)
def verdict(identity: Identity, caller: Doer, request: Request, provided: Provided) -> VerdictOutput:
    """What traffic shows now of an action that was carried out. Nothing is changed; the audit trail says who looked."""
    found = _look(identity, provided)
    if found is None:
        raise Problem("proof_none", id=identity)
    shown = presentation.verdict(found, language_of(request))
    told = {"verdict": shown.verdict, "records": [*shown.acts, *shown.unreadable]}
    audit.record_read(provided.database, caller.actor, "action.look", str(identity), told)
    return shown


@router.post("/actions/{identity}/security", responses=problems(*_OPEN))
def approve_security(
    identity: Identity, body: StepInput, caller: Security, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> ActionOutput:  # fmt: skip
    """Approve an action for security: that it is right against the attack."""

    def change(session: Session, found: Action, incident: Incident) -> None:
        service.approve_security(session, found, incident, caller.actor, body.note)

    return _changed(identity, if_match, change, request, response, provided)


@router.post("/actions/{identity}/operations", responses=problems(*_OPEN, "approver_same", "approval_lapsed"))
def approve_operations(
    identity: Identity, body: StepInput, caller: Operations, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> ActionOutput:  # fmt: skip
    """Approve an action for operations, as another person: that the process stands it."""

    def change(session: Session, found: Action, incident: Incident) -> None:
        service.approve_operations(session, found, incident, caller.actor, body.note)

    return _changed(identity, if_match, change, request, response, provided)


@router.post("/actions/{identity}/reject", responses=problems(*_STEP))
def reject(
    identity: Identity, body: StepInput, caller: Proposer, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> ActionOutput:  # fmt: skip
    """Reject an action that waits for approval: whoever may approve it for security or for operations."""

    def change(session: Session, found: Action, incident: Incident) -> None:
        if not (caller.may(service.SECURITY) or caller.may(service.OPERATIONS)):
            raise Problem("forbidden", permission=service.OPERATIONS)
        service.reject(session, found, incident, caller.actor, body.note)

    return _changed(identity, if_match, change, request, response, provided)


@router.post("/actions/{identity}/withdraw", responses=problems(*_STEP))
def withdraw(
    identity: Identity, body: StepInput, caller: Proposer, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> ActionOutput:  # fmt: skip
    """Take an action back before it is carried out."""

    def change(session: Session, found: Action, incident: Incident) -> None:
        del incident
        service.withdraw(session, found, caller.actor, body.note)

    return _changed(identity, if_match, change, request, response, provided)


@router.post("/actions/{identity}/execute", responses=problems(*_OPEN, "action_window", "approval_lapsed"))
def execute(
    identity: Identity, body: ExecuteInput, caller: Doer, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> ActionOutput:  # fmt: skip
    """Say that people carry an action out that both have approved, and may approve now too. Nothing is done from here."""

    def change(session: Session, found: Action, incident: Incident) -> None:
        service.execute(session, found, incident, caller.actor, body.note, body.at)

    return _changed(identity, if_match, change, request, response, provided)


@router.post(
    "/actions/{identity}/verify",
    responses=problems(*_STEP, "verifier_executed", "proof_broken", "proof_early", "proof_blind", *_RECORDS),
)
def verify(
    identity: Identity, body: VerifyInput, caller: Doer, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> ActionOutput:  # fmt: skip
    """Say that an action holds. Where traffic can show it, it must have been silent for so long while the sensors watched.

    Where nobody can tell from traffic (`proof_blind` says why), another person than who carried it out may vouch for it
    (`vouched`); the verdict stays `blind`.
    """
    found_in_traffic = _look(identity, provided)
    reasons = "" if found_in_traffic is None else presentation.doubts(found_in_traffic, language_of(request))

    def change(session: Session, found: Action, incident: Incident) -> None:
        del incident
        service.verify(session, found, caller.actor, body.note, found_in_traffic, body.vouched, reasons)

    return _changed(identity, if_match, change, request, response, provided)


@router.post("/actions/{identity}/fail", responses=problems(*_STEP))
def fail(
    identity: Identity, body: StepInput, caller: Doer, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> ActionOutput:  # fmt: skip
    """Say that an action does not hold. What traffic shows is written down where it can be asked."""
    found_in_traffic = None
    with suppress(Problem):
        found_in_traffic = _look(identity, provided)

    def change(session: Session, found: Action, incident: Incident) -> None:
        del incident
        service.fail(session, found, caller.actor, body.note, found_in_traffic)

    return _changed(identity, if_match, change, request, response, provided)


@router.post("/actions/{identity}/roll-back", responses=problems(*_STEP))
def roll_back(
    identity: Identity, body: StepInput, caller: Doer, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> ActionOutput:  # fmt: skip
    """Say that an action was taken back in the plant."""

    def change(session: Session, found: Action, incident: Incident) -> None:
        del incident
        service.roll_back(session, found, caller.actor, body.note)

    return _changed(identity, if_match, change, request, response, provided)


def _look(identity: int, provided: Services) -> dict[str, Any] | None:
    """What traffic shows now; None where it cannot, or the action was not carried out. Raises Problem as `proof.look`."""
    with provided.database.read() as session:
        found, incident = service.get(session, identity)
        asked, site = service.silence_of(found), incident.site
    if asked is None:
        return None
    moment = now()
    return service.told(proof.look(provided, site, *asked, moment), moment)


def _changed(
    identity: int,
    if_match: str | None,
    change: Callable[[Session, Action, Incident], None],
    request: Request,
    response: Response,
    provided: Services,
) -> ActionOutput:
    """The action after a step that was taken on what the caller saw."""
    with provided.database.write() as session:
        found, incident = service.get(session, identity)
        service.check_precondition(found, if_match)
        change(session, found, incident)
        session.flush()
        shown = presentation.output(found, incident, language_of(request))
    provided.hub.notify()
    response.headers["ETag"] = service.etag(found)
    return shown
