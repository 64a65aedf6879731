"""`/api/baseline`: what is normal, how far learning is, what drifts; decisions about it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api.baseline import presentation, service
from api.baseline.schemas import BaselineOutput, DecisionInput, DecisionOutput
from api.decisions import service as decisions
from api.openapi import problems
from api.pages import PAGE_ROWS, Cursor, Limit, name_next
from api.security.access import Caller, Provided, needs

router = APIRouter(prefix="/api/baseline", tags=["baseline"])

Reader = Annotated[Caller, needs("baseline.read")]
Decider = Annotated[Caller, needs("baseline.decide")]
Days = Annotated[int, Query(ge=1, le=366, description="Days after which what is normal and was not seen is told as gone.")]


@router.get("", responses=problems("signed_out", "baseline_unknown"))
def baseline(caller: Reader, provided: Provided, days: Days = 14) -> list[BaselineOutput]:
    """What is normal in the records of each sensor, of those heard latest first: few lines that a person reads."""
    del caller
    return [presentation.output(site, each, days) for site, each in service.learned(provided)]


@router.get("/decisions", responses=problems("signed_out", "cursor_invalid"))
def made(
    caller: Reader, request: Request, response: Response, provided: Provided, cursor: Cursor = None, limit: Limit = PAGE_ROWS
) -> list[DecisionOutput]:
    """Decisions that were taken here, newest first. The header Link names the next page."""
    del caller
    with provided.database.read() as session:
        waiting = decisions.waiting(session)
        found, following = service.latest(session, cursor, limit)
        name_next(request, response, following)
        return [presentation.stored(each, waiting) for each in found]


@router.post(
    "/decisions",
    status_code=202,
    responses=problems(
        "signed_out",
        "cross_site",
        "baseline_unknown",
        "baseline_changed",
        "decision_unfit",
        "site_missing",
        "site_unknown",
    ),
)
def decide(body: DecisionInput, caller: Decider, provided: Provided) -> DecisionOutput:
    """Decide about what is normal, as `icsight baseline` does. It holds for what detection looks at from then on."""
    # Looked at before anything is locked: what was learned may have to be read from Kafka, for as long as that takes.
    found = service.looked_at(provided, body)
    with provided.database.write() as session:
        site, decision = service.decide(session, provided, body, caller.actor, found)
    decisions.send(provided)
    with provided.database.read() as session:
        return presentation.decision(site, decision, waiting=decision.id in decisions.waiting(session))
