"""`/api/incidents`: declared, found, changed, moved, held, closed, opened again; their alerts, timeline and grades."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Header, Path, Query, Request, Response

from api.actions import service as actions
from api.incidents import grades, merging, presentation, service, timeline
from api.incidents.schemas import (
    AlertsInput,
    CloseIncidentInput,
    DeclareInput,
    EntryInput,
    FactsInput,
    GradeEntry,
    GradeInput,
    HoldInput,
    IncidentOutput,
    IncidentPage,
    IncidentQuery,
    IncidentUpdate,
    MergeInput,
    MoveInput,
    ProposalOutput,
    ReasonInput,
    SplitInput,
    TimelineEntry,
    TimelinePage,
    Vocabulary,
)
from api.obligations import service as obligations
from api.openapi import problems
from api.pages import CURSOR_CHARACTERS, PAGE_ROWS, PAGE_ROWS_MOST, read_cursor, write_cursor
from api.playbooks import service as playbooks
from api.problems import Problem
from api.security.access import Caller, Provided, needs
from api.services import Services
from api.site import service as site
from api.texts import language_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from api.audit.service import Actor
    from api.incidents.models import Incident

router = APIRouter(prefix="/api/incidents", tags=["incidents"])

Reader = Annotated[Caller, needs("incident.read")]
Declarer = Annotated[Caller, needs("incident.declare")]
Worker = Annotated[Caller, needs("incident.work")]
Lead = Annotated[Caller, needs("incident.move")]
Grader = Annotated[Caller, needs("incident.grade")]
Reopener = Annotated[Caller, needs("incident.reopen")]
Number = Annotated[int, Path(ge=1, le=2**53, examples=[17])]
IfMatch = Annotated[
    str | None,
    Header(max_length=1024, examples=['"3"'], description="ETag of the incident as the caller saw it; without it 428, else 412."),
]

_LOOK = ("signed_out", "incident_unknown")
_DECISION = ("signed_out", "cross_site", "query_too_long")
_CHANGE = (
    *_DECISION, "incident_unknown", "incident_closed", "incident_merged", "precondition_failed", "precondition_required",
)  # fmt: skip


@router.get("", responses=problems("signed_out", "cursor_invalid", "query_too_long"))
def incidents(query: Annotated[IncidentQuery, Query()], caller: Reader, request: Request, provided: Provided) -> IncidentPage:
    """Incidents that match all filters, the latest declared first."""
    del caller
    with provided.database.read() as session:
        rows, cursor = service.find(session, query)
        language = language_of(request)
        return IncidentPage(items=[presentation.item(row, language) for row in rows], next=cursor)


@router.get("/vocabulary", responses=problems("signed_out"))
def vocabulary(caller: Reader, request: Request) -> Vocabulary:
    """The facts that grading asks for, and the classes of incidents by GB/T 20986-2023."""
    del caller
    return presentation.vocabulary(language_of(request))


@router.post(
    "", status_code=201,
    responses=problems(
        *_DECISION, "alert_unknown", "alert_state", "alert_elsewhere", "alert_other_site", "category_unknown", "drill_mixed",
        "incident_full", "incident_times", "site_missing", "site_unknown", "story_unknown",
    ),
)  # fmt: skip
def declare(body: DeclareInput, caller: Declarer, request: Request, response: Response, provided: Provided) -> IncidentOutput:
    """Declare an incident from alerts, from a story, or from what somebody reported (by phone, say).

    Its alerts are escalated. Alerts that join the story later join the incident while it is open.
    """
    with provided.database.write() as session:
        made = service.declare(session, caller.actor, body, _site(session, provided, body))
        shown = presentation.output(session, made, language_of(request))
    provided.hub.notify()
    response.headers["ETag"] = service.etag(made)
    response.headers["Location"] = f"/api/incidents/{made.number}"
    return shown


@router.get("/{number}", responses=problems(*_LOOK))
def incident(number: Number, caller: Reader, request: Request, response: Response, provided: Provided) -> IncidentOutput:
    """One incident. The header ETag is what `If-Match` of a change must bring."""
    del caller
    with provided.database.read() as session:
        found = service.get(session, number)
        response.headers["ETag"] = service.etag(found)
        return presentation.output(session, found, language_of(request))


@router.put("/{number}", responses=problems(*_CHANGE, "category_unknown", "incident_times"))
def update(
    number: Number, body: IncidentUpdate, caller: Worker, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> IncidentOutput:  # fmt: skip
    """Say otherwise what an incident is called, what it is, who leads, and when it was found or began."""

    def change(session: Session, found: Incident) -> None:
        service.update(session, found, body, caller.actor)

    return _changed(number, if_match, change, caller.actor, request, response, provided)


@router.post("/{number}/move", responses=problems(*_CHANGE, "incident_held", "incident_state", "incident_times"))
def move(
    number: Number, body: MoveInput, caller: Lead, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> IncidentOutput:  # fmt: skip
    """Move an incident to another state, with a reason. Back is possible while it is open."""

    def change(session: Session, found: Incident) -> None:
        service.move(session, found, body.to, service.Step(caller.actor, body.reason, body.at))

    return _changed(number, if_match, change, caller.actor, request, response, provided)


@router.post("/{number}/hold", responses=problems(*_CHANGE, "incident_times"))
def hold(
    number: Number, body: HoldInput, caller: Lead, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> IncidentOutput:  # fmt: skip
    """Lay an incident aside until a time, at which it wakes by itself. Legal clocks go on."""

    def change(session: Session, found: Incident) -> None:
        service.hold(session, found, body.until, caller.actor, body.reason)

    return _changed(number, if_match, change, caller.actor, request, response, provided)


@router.post("/{number}/resume", responses=problems(*_CHANGE, "incident_not_held"))
def resume(
    number: Number, body: ReasonInput, caller: Lead, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> IncidentOutput:  # fmt: skip
    """Take up an incident that is on hold."""

    def change(session: Session, found: Incident) -> None:
        service.resume(session, found, caller.actor, body.reason)

    return _changed(number, if_match, change, caller.actor, request, response, provided)


@router.post("/{number}/close", responses=problems(*_CHANGE, "incident_gate", "incident_held", "incident_state"))
def close(
    number: Number, body: CloseIncidentInput, caller: Lead, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> IncidentOutput:  # fmt: skip
    """Close an incident with what it turned out to be, and its alerts with it.

    Alerts that come later never join it: what goes on opens an incident of its own that names this one.
    """

    def change(session: Session, found: Incident) -> None:
        blockers = [each for part in (playbooks, actions, obligations) for each in part.blockers(session, found)]
        if blockers and body.override is not None and not caller.may("incident.override"):
            raise Problem("forbidden", permission="incident.override")
        service.close(session, found, caller.actor, body, blockers)

    return _changed(number, if_match, change, caller.actor, request, response, provided)


@router.post("/{number}/reopen", responses=problems(*_CHANGE, "incident_state"))
def reopen(
    number: Number, body: ReasonInput, caller: Reopener, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> IncidentOutput:  # fmt: skip
    """Open a closed incident again. Its alerts stay as they are."""

    def change(session: Session, found: Incident) -> None:
        closed_at = found.closed_at
        service.reopen(session, found, caller.actor, body.reason)
        if closed_at is not None:
            playbooks.open_again(session, number, closed_at)

    return _changed(number, if_match, change, caller.actor, request, response, provided)


@router.post(
    "/{number}/alerts",
    responses=problems(
        *_CHANGE, "alert_unknown", "alert_state", "alert_elsewhere", "alert_other_site", "drill_mixed", "incident_full"
    ),
)
def add_alerts(
    number: Number, body: AlertsInput, caller: Worker, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> IncidentOutput:  # fmt: skip
    """Put alerts into an incident: they are escalated. Those that it has already are passed over."""

    def change(session: Session, found: Incident) -> None:
        chosen = [service.alerts.get(session, alert_id) for alert_id in dict.fromkeys(body.alerts)]
        service.add_alerts(session, found, chosen, caller.actor, body.note)

    return _changed(number, if_match, change, caller.actor, request, response, provided)


@router.post("/{number}/alerts/remove", responses=problems(*_CHANGE, "alert_unknown", "alert_not_in_incident"))
def remove_alerts(
    number: Number, body: AlertsInput, caller: Worker, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> IncidentOutput:  # fmt: skip
    """Take alerts out of an incident: they are triaged again."""

    def change(session: Session, found: Incident) -> None:
        service.remove_alerts(session, found, body.alerts, caller.actor, body.note)

    return _changed(number, if_match, change, caller.actor, request, response, provided)


@router.get("/{number}/timeline", responses=problems(*_LOOK, "cursor_invalid"))
def lines(
    number: Number,
    caller: Reader,
    request: Request,
    provided: Provided,
    cursor: Annotated[
        str | None, Query(max_length=CURSOR_CHARACTERS, description="`next` of the page before, in the same order.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_ROWS_MOST, description="Most lines on the page.")] = PAGE_ROWS,
    sort: Annotated[Literal["at", "-at"], Query(description="Order, by when it happened; with `-` the latest first.")] = "at",
) -> TimelinePage:
    """What happened, in the order in which it happened; with the lines of incidents that were merged into this one."""
    del caller
    question = f"timeline {number} {sort}"
    after = None if cursor is None else read_cursor(question, cursor, (int, int))
    with provided.database.read() as session:
        service.get(session, number)
        place = None if after is None else (int(after[0]), int(after[1]))
        rows = timeline.lines(session, number, place, limit + 1, latest_first=sort == "-at")
        shown = [presentation.line(row, language_of(request)) for row in rows[:limit]]
        last = rows[limit - 1] if len(rows) > limit else None
        return TimelinePage(items=shown, next=None if last is None else write_cursor(question, last.at, last.id))


@router.post("/{number}/timeline", status_code=201, responses=problems(*_DECISION, "incident_unknown", "incident_times"))
def write_line(number: Number, body: EntryInput, caller: Worker, request: Request, provided: Provided) -> TimelineEntry:
    """Write a line by hand: what happened when, and where it is known from. A line is never changed."""
    with provided.database.write() as session:
        service.get(session, number)
        service.check_past(body.at)
        entry = timeline.write_by_hand(session, number, caller.actor, body)
        shown = presentation.line(entry, language_of(request))
    provided.hub.notify()
    return shown


@router.post("/{number}/merge", responses=problems(*_CHANGE, "merge_unfit"))
def merge(
    number: Number, body: MergeInput, caller: Lead, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> IncidentOutput:  # fmt: skip
    """Let this incident tell another one too: its alerts move here, its lines are read with these, and it is closed.

    The earlier discovery holds: a legal clock never starts later by a merge.
    """

    def change(session: Session, found: Incident) -> None:
        merging.merge(session, found, service.get(session, body.other), caller.actor, body.reason)

    return _changed(number, if_match, change, caller.actor, request, response, provided)


@router.post("/{number}/split", status_code=201, responses=problems(*_CHANGE, "alert_not_in_incident", "split_unfit"))
def split(
    number: Number, body: SplitInput, caller: Lead, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> IncidentOutput:  # fmt: skip
    """Make a new incident of some alerts and lines of this one. Answers with the new one; lines are told in both."""
    with provided.database.write() as session:
        found = service.get(session, number)
        service.check_precondition(found, if_match)
        made = merging.split(session, found, body, caller.actor)
        shown = presentation.output(session, made, language_of(request))
    provided.hub.notify()
    response.headers["ETag"] = service.etag(made)
    response.headers["Location"] = f"/api/incidents/{made.number}"
    return shown


@router.put("/{number}/facts", responses=problems(*_CHANGE, "facts_invalid"))
def state_facts(
    number: Number, body: FactsInput, caller: Worker, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> IncidentOutput:  # fmt: skip
    """Say what is known for grading. `GET …/grading` then says what grade each scheme proposes."""

    def change(session: Session, found: Incident) -> None:
        grades.state_facts(session, found, body.facts, caller.actor, body.reason)

    return _changed(number, if_match, change, caller.actor, request, response, provided)


@router.get("/{number}/grading", responses=problems(*_LOOK))
def proposals(number: Number, caller: Reader, request: Request, provided: Provided) -> list[ProposalOutput]:
    """The grade that each scheme proposes for the facts, the conditions that are met, and what is not known."""
    del caller
    with provided.database.read() as session:
        return presentation.proposals(service.get(session, number), language_of(request))


@router.post("/{number}/grade", responses=problems(*_CHANGE, "scheme_unknown"))
def decide_grade(
    number: Number, body: GradeInput, caller: Grader, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> IncidentOutput:  # fmt: skip
    """Decide the grade by a scheme, or decide it anew. Each decision is kept with the facts that it was made on."""

    def change(session: Session, found: Incident) -> None:
        grades.decide(session, found, body, caller.actor)

    return _changed(number, if_match, change, caller.actor, request, response, provided)


@router.get("/{number}/grades", responses=problems(*_LOOK))
def grade_history(number: Number, caller: Reader, provided: Provided) -> list[GradeEntry]:
    """Every decision about the grade, oldest first."""
    del caller
    with provided.database.read() as session:
        service.get(session, number)
        return [presentation.grade(each) for each in grades.history(session, number)]


def _site(session: Session, provided: Services, body: DeclareInput) -> str:
    """The site of a new incident: that of its first alert, or the one that is meant."""
    first = body.alerts[0] if body.alerts else body.story
    if first is not None and body.site is None:
        return service.alerts.get(session, first).site
    return site.meant(session, provided, body.site)


def _changed(
    number: int, if_match: str | None, change: Callable[[Session, Incident], None], actor: Actor, request: Request,
    response: Response, provided: Services,
) -> IncidentOutput:  # fmt: skip
    """The incident after a change that was made on what the caller saw."""
    with provided.database.write() as session:
        found = service.get(session, number)
        service.check_precondition(found, if_match)
        change(session, found)
        session.flush()
        obligations.sync(session, found, actor)
        session.flush()
        shown = presentation.output(session, found, language_of(request))
    provided.hub.notify()
    response.headers["ETag"] = service.etag(found)
    return shown
