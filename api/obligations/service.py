"""Reports that must be made: which an incident has, what becomes of each, and when it is warned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import sqlalchemy as sa

from api.audit import service as audit
from api.database.scope import scope_of
from api.incidents import timeline
from api.incidents.models import Incident
from api.obligations import clocks
from api.obligations.models import UNDONE, Obligation, SiteOperator
from api.obligations.rules import Case, Operator, Rule, applies, required, rule_set
from api.obligations.schemas import OperatorInput
from api.pages import read_cursor, write_cursor
from api.problems import Problem
from api.times import LATEST, now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from api.audit.service import Actor
    from api.obligations.schemas import AcknowledgeReportInput, DraftInput, ObligationQuery, SubmitInput

ASSUMED: Final = OperatorInput(name="–", cii=False, data_processor=True, nis2="none")
"""What an operator is taken for of which nobody has said anything."""

MOST: Final = 200
"""Most reports of one incident."""

LOOKED_AT: Final = 500
"""Most warnings that one look gives; the next goes on."""


def operator_of(session: Session, site: str) -> tuple[OperatorInput, int]:
    """What the operator of a site is, and the version of that; 0 where nobody has said."""
    stored = session.get(SiteOperator, {"organisation": scope_of(session).organisation, "site": site})
    return (ASSUMED, 0) if stored is None else (OperatorInput.model_validate(stored.content), stored.version)


def say_operator(session: Session, site: str, given: OperatorInput, actor: Actor, if_match: str | None) -> None:
    """Say what the operator of a site is, and look again what its open incidents ask for.

    Raises Problem `precondition_required`, `precondition_failed`.
    """
    before, version = operator_of(session, site)
    check_version(version, if_match, actor.name)
    stored = session.get(SiteOperator, {"organisation": scope_of(session).organisation, "site": site})
    if stored is None:
        stored = SiteOperator(site=site)
        session.add(stored)
    stored.content, stored.version = given.model_dump(mode="json"), version + 1
    audit.record(session, actor, "operator.say", site, {"before": before.model_dump(), "after": given.model_dump()})
    session.flush()
    for incident in session.scalars(sa.select(Incident).where(Incident.site == site, Incident.state != "closed")):
        sync(session, incident, actor)


def case_of(session: Session, incident: Incident) -> Case:
    """What of an incident decides which rules apply."""
    said, _ = operator_of(session, incident.site)
    kinds: set[Operator] = set()
    if said.china:
        kinds.add("cii" if said.cii else "other")
    if said.data_processor:
        kinds.add("data_processor")
    if said.nis2 != "none":
        kinds.add("nis2_essential" if said.nis2 == "essential" else "nis2_important")
    return Case(frozenset(kinds), incident.grades, incident.facts)


def of_incident(session: Session, number: int) -> list[Obligation]:
    """The reports of an incident and of those merged into it, in the order in which they are due."""
    mine = sa.select(Obligation).where(Obligation.incident.in_(timeline.told_by(session, number)))
    return sorted(session.scalars(mine), key=lambda each: (each.due_at or LATEST, each.id))


def sync(session: Session, incident: Incident, actor: Actor) -> None:
    """Bring the reports of an incident to what it is now: new ones, those that are asked for no more, and their clocks.

    One that was submitted stays. One that is asked for no more lapses, and comes back as it was where it is asked for again.
    """
    if incident.merged_into is not None:
        return
    case = case_of(session, incident)
    known = of_incident(session, incident.number)
    wanted = {rule.key: rule for rule in required(case)}
    for each in known:
        rule = rule_set().rule(each.rule)
        if each.state in UNDONE and not applies(rule, case):
            each.state, each.look_at = "lapsed", None
            _told(session, incident, actor, "obligation_lapsed", each)
        elif each.state == "lapsed" and applies(rule, case):
            each.state = _state_by_content(each)
            _told(session, incident, actor, "obligation_back", each)
    there = {each.rule for each in known}
    for key, rule in wanted.items():
        if key not in there:
            known.append(_made(session, incident, rule, actor))
    _start_clocks(session, incident, known)


def add_supplement(session: Session, incident: Incident, key: str, actor: Actor, reason: str) -> Obligation:
    """Add a further report to a series. Raises Problem `rule_unfit`, `obligations_full`."""
    try:
        rule = rule_set().rule(key)
    except KeyError:
        raise Problem("rule_unfit", rule=key) from None
    if rule.kind != "supplement" or not applies(rule, case_of(session, incident)):
        raise Problem("rule_unfit", rule=key)
    if len(of_incident(session, incident.number)) >= MOST:
        raise Problem("obligations_full", most=MOST)
    return _made(session, incident, rule, actor, reason)


def _made(session: Session, incident: Incident, rule: Rule, actor: Actor, reason: str | None = None) -> Obligation:
    made = Obligation(
        incident=incident.number, rule=rule.key, rules_version=rule_set().version, kind=rule.kind, state="pending", version=1,
        made_at=now(), due_certain=True, told=[], contents={}, drafters=[],
    )  # fmt: skip
    session.add(made)
    session.flush()
    _told(session, incident, actor, "obligation_made", made, **({} if reason is None else {"note": reason}))
    return made


def _start_clocks(session: Session, incident: Incident, known: Sequence[Obligation]) -> None:
    zone = operator_of(session, incident.site)[0].time_zone
    submitted = {each.rule: each.submitted_at for each in known if each.submitted_at is not None}
    starts: dict[str, int | None] = {"discovered": incident.discovered_at, "resolved": incident.resolved_at}
    for each in known:
        if each.state not in UNDONE:
            continue
        rule = rule_set().rule(each.rule)
        after = rule.start.removeprefix("submitted:")
        start = submitted.get(after) if after != rule.start else starts.get(rule.start, each.made_at)
        due = None if start is None else clocks.due(start, rule.term, zone)
        if each.started_at is None:
            each.told = []  # a clock that starts anew warns anew
        before = each.started_at, each.due_at
        each.started_at = start
        each.due_at, each.due_certain = (None, True) if due is None else (due.at, due.certain)
        each.version += before != (each.started_at, each.due_at)
        _set_look(each)


def _set_look(each: Obligation) -> None:
    runs = each.state in UNDONE and each.started_at is not None and each.due_at is not None
    each.look_at = clocks.next_look(cast("int", each.started_at), cast("int", each.due_at), each.told) if runs else None


def is_due(session: Session, moment: int) -> bool:
    """Whether a warning is to be given."""
    return session.scalar(sa.select(Obligation.id).where(Obligation.look_at <= moment).limit(1)) is not None


def warn(session: Session, moment: int) -> int:
    """Give the warnings whose time has come, each once, and return how many there were."""
    given = 0
    due = sa.select(Obligation).where(Obligation.look_at <= moment).order_by(Obligation.look_at, Obligation.id)
    for each in session.scalars(due.limit(LOOKED_AT)).all():
        if each.started_at is not None and each.due_at is not None and each.state in UNDONE:
            for share in clocks.warnings(each.started_at, each.due_at, each.told, moment):
                each.told = [*each.told, share]
                detail = {**_detail(each), "share": share, "due_at": each.due_at}
                timeline.write(session, each.incident, audit.Actor(audit.SYSTEM), "obligation_warned", detail=detail)
                given += 1
        _set_look(each)
    return given


def tell_clock_set(session: Session, seconds: int) -> None:
    """Write into the timelines of all incidents whose clocks run that the clock of this machine was set."""
    running = sa.select(Obligation.incident).where(Obligation.look_at.is_not(None)).distinct()
    for number in session.scalars(running).all():
        timeline.write(session, number, audit.Actor(audit.SYSTEM), "clock_set", detail={"seconds": seconds})


def get(session: Session, identity: int) -> tuple[Obligation, Incident]:
    """One report and its incident. Raises Problem `obligation_unknown`."""
    found = session.scalar(sa.select(Obligation).where(Obligation.id == identity))
    incident = None if found is None else session.scalar(sa.select(Incident).where(Incident.number == found.incident))
    if found is None or incident is None:
        raise Problem("obligation_unknown", id=identity)
    return found, incident


def find(session: Session, query: ObligationQuery) -> tuple[Sequence[Obligation], str | None]:
    """One page of reports, those due first before others, and the cursor of the next one."""
    due = sa.func.coalesce(Obligation.due_at, LATEST)
    sites = scope_of(session).sites
    statement = sa.select(Obligation)
    if sites is not None:
        mine = sa.select(Incident.number).where(Incident.site.in_(sorted(sites)))
        statement = statement.where(Obligation.incident.in_(mine))
    if query.state is not None:
        statement = statement.where(query.state.on(Obligation.state))
    if query.due_before is not None:
        statement = statement.where(Obligation.due_at < query.due_before)
    question = query.question()
    if query.cursor is not None:
        place = sa.tuple_(*read_cursor(question, query.cursor, (int, int)))
        statement = statement.where(sa.tuple_(due, Obligation.id) > place)
    rows = session.scalars(statement.order_by(due, Obligation.id).limit(query.limit + 1)).all()
    if len(rows) <= query.limit:
        return rows, None
    last = rows[query.limit - 1]
    return rows[: query.limit], write_cursor(question, LATEST if last.due_at is None else last.due_at, last.id)


def etag(found: Obligation) -> str:
    """The entity tag of a report."""
    return f'"{found.version}"'


def check_precondition(found: Obligation, if_match: str | None) -> None:
    """Whether a change is made on what the report is now. Raises Problem `precondition_required`, `precondition_failed`."""
    check_version(found.version, if_match, found.submitted_by or found.approved_by or (found.drafters or [audit.SYSTEM])[-1])


def check_version(version: int, if_match: str | None, by: str) -> None:
    """Whether a change is made on a version. Raises Problem `precondition_required`, `precondition_failed`."""
    if if_match is None:
        raise Problem("precondition_required")
    tags = [tag.strip().removeprefix("W/") for tag in if_match.split(",")]
    if "*" not in tags and f'"{version}"' not in tags:
        raise Problem("precondition_failed", by=by)


def draft(session: Session, found: Obligation, incident: Incident, given: DraftInput, actor: Actor) -> None:
    """Write what a report says; one that was approved must be approved again.

    Raises Problem `obligation_state`, `contents_unfit`.
    """
    _in(found, "draft", "pending", "drafted", "approved")
    rule = rule_set().rule(found.rule)
    unfit = sorted(set(given.contents) - set(rule.contents))
    if unfit:
        raise Problem("contents_unfit", keys=", ".join(unfit))
    before = found.contents
    found.contents = {key: text for key, text in given.contents.items() if text}
    changed = sorted(key for key in {*before, *found.contents} if before.get(key) != found.contents.get(key))
    found.drafters = list(dict.fromkeys([*found.drafters, actor.name]))
    found.state, found.approved_by, found.approved_at = "drafted", None, None
    _told(session, incident, actor, "obligation_drafted", found, fields=", ".join(changed))


def approve(session: Session, found: Obligation, incident: Incident, actor: Actor, note: str) -> None:
    """Approve a report: another person than any that wrote in it, once it says what it must.

    Raises Problem `obligation_state`, `approver_wrote`, `contents_missing`.
    """
    _in(found, "approve", "drafted")
    if actor.name in found.drafters:
        raise Problem("approver_wrote")
    missing = [key for key in rule_set().rule(found.rule).minimum if not found.contents.get(key)]
    if missing:
        raise Problem("contents_missing", keys=", ".join(missing))
    found.state, found.approved_by, found.approved_at = "approved", actor.name, now()
    _told(session, incident, actor, "obligation_approved", found, note=note)


def submit(session: Session, found: Obligation, incident: Incident, given: SubmitInput, actor: Actor) -> None:
    """Say that a report was submitted: its clock stops. Raises Problem `obligation_state`, `incident_times`."""
    _in(found, "submit", "approved")
    moment = now() if given.at is None else given.at
    if moment > now() or moment < incident.discovered_at:
        raise Problem("incident_times")
    found.state, found.submitted_by, found.submitted_at, found.channel = "submitted", actor.name, moment, given.channel
    found.look_at = None
    _told(session, incident, actor, "obligation_submitted", found, note=given.note, channel=given.channel)
    if incident.merged_into is None:
        sync(session, incident, actor)


def acknowledge(session: Session, found: Obligation, incident: Incident, given: AcknowledgeReportInput, actor: Actor) -> None:
    """Say that the authority has acknowledged a report. Raises Problem `obligation_state`."""
    _in(found, "acknowledge", "submitted")
    found.state, found.receipt, found.acknowledged_at = "acknowledged", given.receipt, now()
    _told(session, incident, actor, "obligation_acknowledged", found, note=given.note, receipt=given.receipt)


def blockers(session: Session, incident: Incident) -> list[str]:
    """Reports that stand against closing an incident: those that were not submitted, but supplements."""
    undone = [each for each in of_incident(session, incident.number) if each.state in UNDONE and each.kind != "supplement"]
    return [f"{each.rule} ({each.state})" for each in undone]


def _in(found: Obligation, action: str, *states: str) -> None:
    if found.state not in states:
        raise Problem("obligation_state", id=found.id, state=found.state, action=action)


def _state_by_content(each: Obligation) -> str:
    return "approved" if each.approved_by is not None else "drafted" if each.contents else "pending"


def _told(session: Session, incident: Incident, actor: Actor, kind: str, found: Obligation, **more: str) -> None:
    """Write a line about a report: `note` is what the person said, the rest fills the text."""
    found.version += 1
    note = more.pop("note", None)
    timeline.write(session, incident.number, actor, kind, note=note, detail={**_detail(found), **more})
    session.flush()


def _detail(found: Obligation) -> dict[str, Any]:
    return {"obligation": found.id, "rule": found.rule}
