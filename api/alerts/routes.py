"""`/api/alerts`: list, counts, one, its records, its history; acknowledge, assign, comment, snooze, merge, close and accept."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request, Response

from api.alerts import acceptance as accepting
from api.alerts import merging, presentation, service, snoozing, tuning
from api.alerts import similar as likes
from api.alerts.models import Alert
from api.alerts.schemas import (
    AcceptanceOutput,
    AcceptInput,
    AcknowledgeInput,
    AlertCount,
    AlertItem,
    AlertOutput,
    AlertPage,
    AlertQuery,
    AssignAlertInput,
    CloseInput,
    CommentInput,
    DetachInput,
    HistoryEntry,
    MergeAlertsInput,
    MergeOutput,
    ProposedException,
    Similar,
    SnoozeInput,
    WakeInput,
)
from api.audit import service as audit
from api.baseline import service as baseline
from api.decisions import service as decisions
from api.exceptions import service as exceptions_service
from api.openapi import problems
from api.pages import PAGE_ROWS_MOST, Cursor, Limit, name_next
from api.problems import Problem
from api.records import service as records
from api.records.schemas import AlertRecords
from api.security.access import Caller, Provided, needs
from api.services import Services
from api.texts import language_of
from api.users import assignees as people
from detection.tuning import Exemption

router = APIRouter(prefix="/api/alerts", tags=["alerts"])

Reader = Annotated[Caller, needs("alert.read")]
RecordReader = Annotated[Caller, needs("records.read")]
Decider = Annotated[Caller, needs("alert.decide")]
Tuner = Annotated[Caller, needs("exception.write")]
Teacher = Annotated[Caller, needs("baseline.decide")]
AlertId = Annotated[str, Path(min_length=1, max_length=64, examples=["9c1f0e6a52d14f0b"])]
RelatedRule = Annotated[
    str | None,
    Query(
        max_length=128,
        examples=["second_client_for_unit"],
        description="Rule of what is related to the alert: its records instead; none where nothing of that rule is.",
    ),
]
MergeNumber = Annotated[int, Path(ge=1, le=2**63 - 1, examples=[4])]
IfMatch = Annotated[
    str | None,
    Header(
        max_length=1024,
        examples=['"3.0.en"'],
        description="ETag of the alert as the caller saw it. Needed: without it 428, with an old one 412.",
    ),
]
IfNoneMatch = Annotated[str | None, Header(max_length=1024, description="ETag that the caller has; the answer is then 304.")]


@router.get("", responses=problems("signed_out", "cursor_invalid", "query_too_long"))
def alerts(query: Annotated[AlertQuery, Query()], caller: Reader, request: Request, provided: Provided) -> AlertPage:
    """Alerts that match all filters, the highest ranked first unless another order is asked for.

    A page holds its place while alerts come in: none is shown twice because another was put before it.
    """
    del caller
    with provided.database.read() as session:
        rows, cursor = service.find(session, query)
        language = language_of(request)
        return AlertPage(items=[presentation.item(row, language) for row in rows], next=cursor)


@router.get("/counts", responses=problems("signed_out", "query_too_long"))
def counts(caller: Reader, provided: Provided) -> list[AlertCount]:
    """How many alerts there are, by severity and state. Those of drills do not count."""
    del caller
    with provided.database.read() as session:
        found = service.counts(session)
    return [AlertCount.model_validate({"severity": key[0], "state": key[1], "count": count}) for key, count in found.items()]


@router.get(
    "/{alert_id}",
    responses={**problems("signed_out", "alert_unknown"), 304: {"description": "Not modified"}},
    response_model=AlertOutput,
)
def alert(
    alert_id: AlertId, caller: Reader, request: Request, response: Response, provided: Provided, if_none_match: IfNoneMatch = None
) -> AlertOutput | Response:
    """One alert. The header ETag is what `If-Match` of a decision must bring."""
    del caller
    with provided.database.read() as session:
        found = service.get(session, alert_id)
        tag = service.etag(found, language_of(request))
        headers = {"ETag": tag, "Cache-Control": "no-store", "Vary": "Accept-Language, Cookie"}
        if if_none_match is not None and tag in [part.strip().removeprefix("W/") for part in if_none_match.split(",")]:
            return Response(status_code=304, headers=headers)
        response.headers.update(headers)
        return presentation.output(found, language_of(request), merging.taken_in(session, found))


@router.get("/{alert_id}/records", responses=problems("signed_out", "alert_unknown", "records_missing"))
def alert_records(alert_id: AlertId, caller: RecordReader, provided: Provided, related: RelatedRule = None) -> AlertRecords:
    """The exact records behind an alert, or behind what is related to it, by table, in the order in which they came.

    The audit trail says who looked.
    """
    with provided.database.read() as session:
        identities = service.records(service.get(session, alert_id), related)
    found = records.of_identities(provided.records, identities)
    audit.record_read(provided.database, caller.actor, "alert.records", alert_id, {"related": related} if related else None)
    return found


@router.get("/{alert_id}/history", responses=problems("signed_out", "alert_unknown", "cursor_invalid"))
def history(
    alert_id: AlertId, caller: Reader, request: Request, response: Response, provided: Provided, cursor: Cursor = None,
    limit: Limit = PAGE_ROWS_MOST,
) -> list[HistoryEntry]:  # fmt: skip
    """What has happened to an alert, oldest first. The header Link names the next page."""
    del caller
    with provided.database.read() as session:
        found, following = service.history(session, alert_id, cursor, limit)
        name_next(request, response, following)
        return [presentation.history_entry(event) for event in found]


@router.get("/{alert_id}/similar", responses=problems("signed_out", "alert_unknown", "query_too_long"))
def similar(alert_id: AlertId, caller: Reader, request: Request, provided: Provided) -> Similar:
    """Closed alerts of the site that are like this one, by rule, client, server, target and technique, and how they ended."""
    del caller
    with provided.database.read() as session:
        return presentation.similar(likes.similar(session, service.get(session, alert_id)), language_of(request))


@router.get("/{alert_id}/exceptions", responses=problems("signed_out", "alert_unknown", "query_too_long"))
def exceptions(alert_id: AlertId, caller: Tuner, provided: Provided) -> list[ProposedException]:
    """Exceptions of the site that could be made for an alert that was false, narrowest first, and what each would have hidden.

    Each further one names fewer conditions, and is there only if it covers more alerts that were closed as false; none covers one
    that was closed as right. Empty where such a one cannot be told from this one. `POST /api/exceptions` makes one.
    """
    with provided.database.read() as session:
        found = tuning.proposals(session, service.get(session, alert_id), caller.name)
        return [presentation.proposal(each.exemption, each.hides) for each in found]


_DECISION = (
    "signed_out",
    "cross_site",
    "alert_unknown",
    "alert_state",
    "precondition_failed",
    "precondition_required",
)


@router.post("/{alert_id}/acknowledge", responses=problems(*_DECISION))
def acknowledge(
    alert_id: AlertId, body: AcknowledgeInput, caller: Decider, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> AlertItem:  # fmt: skip
    """Take a new alert on: it is then `triaging`, with the caller's name and note."""
    with provided.database.write() as session:
        found = service.get(session, alert_id)
        service.check_precondition(found, if_match)
        service.acknowledge(session, found, caller.actor, body.note)
    return _decided(found, request, response, provided)


@router.get("/{alert_id}/assignees", responses=problems("signed_out", "alert_unknown"))
def assignees(alert_id: AlertId, caller: Decider, provided: Provided) -> list[str]:
    """Names of the accounts that an alert can be given to: those that may decide on alerts of its site."""
    del caller
    with provided.database.read() as session:
        return people.of_site(session, "alert.decide", service.get(session, alert_id).site)


@router.post("/{alert_id}/assign", responses=problems(*_DECISION, "assignee_unfit"))
def assign(
    alert_id: AlertId, body: AssignAlertInput, caller: Decider, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> AlertItem:  # fmt: skip
    """Give an alert to a colleague, or take over one that somebody has.

    A new alert is acknowledged in the caller's name first. One of an incident stays there.
    """
    with provided.database.write() as session:
        found = service.get(session, alert_id)
        service.check_precondition(found, if_match)
        service.assign(session, found, caller.actor, body.to, body.note)
    return _decided(found, request, response, provided)


@router.post("/{alert_id}/close", responses=problems(*_DECISION, "alert_escalated"))
def close(
    alert_id: AlertId, body: CloseInput, caller: Decider, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> AlertItem:  # fmt: skip
    """Close an alert with what it turned out to be. It opens again when it recurs.

    A new alert is acknowledged in the caller's name first. One that belongs to an incident is closed with that.
    """
    with provided.database.write() as session:
        found = service.get(session, alert_id)
        service.check_precondition(found, if_match)
        service.close(session, found, caller.actor, body)
    return _decided(found, request, response, provided)


@router.post("/{alert_id}/comments", status_code=201, responses=problems("signed_out", "cross_site", "alert_unknown"))
def comment(alert_id: AlertId, body: CommentInput, caller: Decider, provided: Provided) -> HistoryEntry:
    """Write something into the history of an alert, whatever its state, a closed one too. Nothing else of it changes.

    Needs no `If-Match`: a comment is added to what others write and decide meanwhile.
    """
    with provided.database.write() as session:
        made = service.comment(session, service.get(session, alert_id), caller.actor, body.note)
        shown = presentation.history_entry(made)
    provided.hub.notify()
    return shown


@router.post("/{alert_id}/snooze", responses=problems(*_DECISION, "records_missing", "snooze_times"))
def snooze(
    alert_id: AlertId, body: SnoozeInput, caller: Decider, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> AlertItem:  # fmt: skip
    """Lay an alert aside until a time, or until something joins it; its state stays, and lists leave it out meanwhile.

    It comes back by itself; at once where its severity rises, or somebody decides about it. One that is laid aside already is so
    anew. One of an incident, or a closed one, cannot be; nor one that something joined, an address or findings of another rule,
    since the caller saw it (412).
    """
    with provided.database.read() as session:
        before = service.get(session, alert_id)
        identities = merging.records(session, before) if "function" in body.conditions else []
    known = before.revision, snoozing.functions(provided.records, identities)
    with provided.database.write() as session:
        found = service.get(session, alert_id)
        service.check_precondition(found, if_match, joined=True)
        snoozing.snooze(session, found, caller.actor, body, known)
    return _decided(found, request, response, provided)


@router.post("/{alert_id}/wake", responses=problems(*_DECISION, "alert_not_snoozed"))
def wake(
    alert_id: AlertId, body: WakeInput, caller: Decider, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> AlertItem:  # fmt: skip
    """Bring an alert back that was laid aside, before its time."""
    with provided.database.write() as session:
        found = service.get(session, alert_id)
        service.check_precondition(found, if_match)
        snoozing.wake(session, found, caller.actor, body.note)
    return _decided(found, request, response, provided)


@router.get("/{alert_id}/merges", responses=problems("signed_out", "alert_unknown", "cursor_invalid"))
def merges(
    alert_id: AlertId, caller: Reader, request: Request, response: Response, provided: Provided, cursor: Cursor = None,
    limit: Limit = 100,
) -> list[MergeOutput]:  # fmt: skip
    """What was merged into an alert or taken out of it, and what it was merged into or taken out of; the latest first.

    The header Link names the next page.
    """
    del caller
    with provided.database.read() as session:
        found, following = merging.merges(session, service.get(session, alert_id), cursor, limit)
        name_next(request, response, following)
        return [presentation.merge(each) for each in found]


@router.post(
    "/{alert_id}/merge",
    responses=problems(
        *_DECISION,
        "alert_escalated",
        "alert_merge_full",
        "alert_merge_hidden",
        "alert_merge_sites",
        "alert_merge_unfit",
        "alert_merged",
        "drill_mixed",
    ),
)
def merge(
    alert_id: AlertId, body: MergeAlertsInput, caller: Decider, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> AlertItem:  # fmt: skip
    """Let this alert tell others of its site: they leave lists and counts, and keep their history, records and evidence.

    It is shown as severe, and ranks as high, as the highest of all. Where one of them goes on, it opens again. A new one is
    acknowledged in the caller's name first. `If-Match` is of this one; each of the others brings the version that was seen.
    """
    with provided.database.write() as session:
        found = service.get(session, alert_id)
        service.check_precondition(found, if_match)
        merging.merge(session, found, caller.actor, {each.id: each.version for each in body.alerts}, body.note)
    return _decided(found, request, response, provided)


@router.post("/{alert_id}/detach", responses=problems(*_DECISION, "alert_not_merged"))
def detach(
    alert_id: AlertId, body: DetachInput, caller: Decider, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> AlertItem:  # fmt: skip
    """Let an alert be told by itself from now on, whoever put it into another: a person, or detection."""
    with provided.database.write() as session:
        found = service.get(session, alert_id)
        service.check_precondition(found, if_match)
        merging.detach(session, found, caller.actor, body.note)
    return _decided(found, request, response, provided)


@router.post("/{alert_id}/merges/{number}/undo", responses=problems(*_DECISION, "alert_merged", "merge_changed", "merge_unknown"))
def undo_merge(
    alert_id: AlertId, number: MergeNumber, caller: Decider, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> AlertItem:  # fmt: skip
    """Take back a merge of this alert, or that one was detached: each is told as it was before.

    What was decided since stays decided. Where one of them was merged or detached otherwise since, that is taken back first.
    """
    with provided.database.write() as session:
        found = service.get(session, alert_id)
        service.check_precondition(found, if_match)
        merging.undo(session, found, number, caller.actor)
    return _decided(found, request, response, provided)


@router.get(
    "/{alert_id}/acceptance",
    responses=problems("signed_out", "alert_unknown", "acceptance_none", "alert_of_drill", "query_too_long"),
)
def acceptance(alert_id: AlertId, caller: Teacher, provided: Provided) -> AcceptanceOutput:
    """What accepting as normal what an alert tells would mean, and what would not have been told. Nothing is changed."""
    with provided.database.read() as session:
        return presentation.accepted(accepting.acceptance(session, service.get(session, alert_id), caller.name, "–"))


@router.post(
    "/{alert_id}/accept",
    responses=problems(
        *_DECISION,
        "acceptance_none",
        "alert_of_drill",
        "decision_unfit",
        "exception_hides_more",
        "exception_taken",
        "exceptions_full",
        "query_too_long",
    ),
)
def accept(
    alert_id: AlertId, body: AcceptInput, caller: Teacher, request: Request, response: Response, provided: Provided,
    if_match: IfMatch = None,
) -> AlertItem:  # fmt: skip
    """Accept as normal what an alert tells: a fact of the baseline where it is a deviation, else an exception without an end.

    The alert itself stays as it is.
    """
    with provided.database.read() as session:
        meant = accepting.acceptance(session, service.get(session, alert_id), caller.name, body.note)
    if len(meant.hides.alerts) > body.seen:
        raise Problem("exception_hides_more", hides=len(meant.hides.alerts), seen=body.seen)
    with provided.database.write() as session:
        found = service.get(session, alert_id)
        service.check_precondition(found, if_match)
        if isinstance(meant.meant, Exemption):
            exceptions_service.make(session, meant.meant, caller.actor, found.site, alert_id)
        else:
            baseline.leave(session, meant.meant, found.site, caller.actor)
        service.accept(session, found, caller.actor, body.note)
    decisions.send(provided)
    return _decided(found, request, response, provided)


def _decided(found: Alert, request: Request, response: Response, provided: Services) -> AlertItem:
    provided.hub.notify()
    response.headers["ETag"] = service.etag(found, language_of(request))
    return presentation.item(found, language_of(request))
