"""`/api/jobs`: decisions about many alerts at once, how far they are, what came of each, and taking them back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Header, Path, Query, Response

from api.jobs import service
from api.jobs.schemas import ItemQuery, JobInput, JobItemOutput, JobItemPage, JobOutput, JobPage, JobQuery
from api.openapi import problems
from api.security.access import Caller, Provided, needs
from api.times import iso
from api.versions import check_version

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from api.jobs.models import Job

router = APIRouter(prefix="/api/jobs", tags=["jobs"])

Reader = Annotated[Caller, needs("alert.read")]
Decider = Annotated[Caller, needs("alert.decide")]

Number = Annotated[int, Path(ge=1, le=2**63 - 1, examples=[7])]
IfMatch = Annotated[
    str | None,
    Header(max_length=1024, examples=['W/"open"'], description="ETag of the job as the caller saw it; without it 428, else 412."),
]

_STEP = ("signed_out", "cross_site", "job_unknown", "precondition_failed", "precondition_required")


@router.post("", status_code=202, responses=problems("signed_out", "cross_site", "jobs_full"))
def make(body: JobInput, caller: Decider, response: Response, provided: Provided) -> JobOutput:
    """Decide about many alerts: it begins at once, and `GET /api/jobs/{number}` says how far it is.

    Each alert is decided on as by itself, with its entry in the audit trail; one to which something happens after the job was
    made, that somebody decides or that it comes back into the list, is left as it is. What is raised later is not meant. A job
    goes on for as long as who made it may decide.
    """
    with provided.database.write() as session:
        job = service.make(session, caller, body)
        made = _tagged(session, job, response)
    provided.jobs.set()
    response.headers["Location"] = f"/api/jobs/{made.number}"
    return made


@router.get("", responses=problems("signed_out", "cursor_invalid"))
def jobs(query: Annotated[JobQuery, Query()], caller: Reader, provided: Provided) -> JobPage:
    """Jobs, newest first; for callers of some sites, their own."""
    with provided.database.read() as session:
        found, cursor = service.find(session, caller, query)
        return JobPage(items=[_output(session, job) for job in found], next=cursor)


@router.get("/{number}", responses=problems("signed_out", "job_unknown"))
def job(number: Number, caller: Reader, response: Response, provided: Provided) -> JobOutput:
    """A job, and how far it is. The header ETag, which its progress leaves as it is, is what `If-Match` of a step must bring."""
    with provided.database.read() as session:
        return _tagged(session, service.get(session, caller, number), response)


@router.get("/{number}/items", responses=problems("signed_out", "job_unknown", "cursor_invalid"))
def items(number: Number, query: Annotated[ItemQuery, Query()], caller: Reader, provided: Provided) -> JobItemPage:
    """What came of each alert so far, or would, by the alerts' ids."""
    with provided.database.read() as session:
        found, cursor = service.items(session, service.get(session, caller, number), query)
        shown = [JobItemOutput(id=item.alert_id, result=item.result) for item in found]
    return JobItemPage(items=shown, next=cursor)


@router.post(
    "/{number}/undo",
    status_code=202,
    responses=problems(*_STEP, "job_open", "job_undone", "job_late", "jobs_full"),
)
def undo(number: Number, caller: Decider, response: Response, provided: Provided, if_match: IfMatch = None) -> JobOutput:
    """Take a job back, as a job of its own: each alert is then as it was, unless something was decided about it since."""
    with provided.database.write() as session:
        found = service.get(session, caller, number)
        check_version(service.step_of(session, found), if_match, found.made_by)
        made = _tagged(session, service.undo(session, caller, found), response)
    provided.jobs.set()
    response.headers["Location"] = f"/api/jobs/{made.number}"
    return made


@router.post("/{number}/stop", responses=problems(*_STEP, "job_ended"))
def stop(number: Number, caller: Decider, response: Response, provided: Provided, if_match: IfMatch = None) -> JobOutput:
    """Leave the rest of a job undone. What it did stays, and can be taken back."""
    with provided.database.write() as session:
        found = service.get(session, caller, number)
        check_version(service.step_of(session, found), if_match, found.made_by)
        service.stop(session, caller, found)
        return _tagged(session, found, response)


def _tagged(session: Session, found: Job, response: Response) -> JobOutput:
    response.headers["ETag"] = f'W/"{service.step_of(session, found)}"'
    return _output(session, found)


def _output(session: Session, found: Job) -> JobOutput:
    undone, until = service.undone_by(session, found), service.undo_until(found)
    said = {name: found.said.get(name) for name in ("note", "disposition", "permit", "to")}
    return JobOutput.model_validate(
        {
            "number": found.number, "action": found.action, "dry_run": found.dry_run, "state": found.state, "by": found.made_by,
            "at": iso(found.at), "ended_at": None if found.ended_at is None else iso(found.ended_at), **said,
            "done": found.done, "refused": found.refused, "undoes": found.undoes, "undone_by": undone,
            "undo_until": None if until is None or undone is not None else iso(until),
        }
    )  # fmt: skip
