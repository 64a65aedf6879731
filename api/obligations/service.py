"""Reports that must be made: which an incident has, what becomes of each, and when it is warned."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, cast

import rfc8785
import sqlalchemy as sa

from api.audit import service as audit
from api.database.scope import scope_of
from api.documents.models import ReportDocument
from api.incidents import gate, grades, timeline
from api.incidents import service as incidents
from api.incidents.models import Incident
from api.obligations import clocks, operators
from api.obligations.course import Course
from api.obligations.models import UNDONE, Obligation, SiteOperator
from api.obligations.rules import Case, Rule, RuleSet, applies, made_under, required, rule_set
from api.obligations.schemas import OperatorInput
from api.ordering import page
from api.problems import Problem
from api.texts import LANGUAGES
from api.times import LATEST, iso, now
from api.versions import check_version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import InstrumentedAttribute, Session

    from api.audit.service import Actor
    from api.obligations.rules import Both, Sector
    from api.obligations.schemas import AcknowledgeReportInput, DraftInput, ObligationQuery, SubmitInput

MOST: Final = 200
"""Most reports of one incident."""

DONE: Final = ("submitted", "acknowledged")
"""States of a report that was made."""


def operator_of(session: Session, site: str) -> tuple[OperatorInput, int]:
    """What the operator of a site is, and the version of that; 0 where nobody has said."""
    stored = session.get(SiteOperator, {"organisation": scope_of(session).organisation, "site": site})
    return (operators.ASSUMED, 0) if stored is None else (OperatorInput.model_validate(stored.content), stored.version)


def say_operator(session: Session, site: str, given: OperatorInput, actor: Actor, if_match: str | None) -> None:
    """Say what the operator of a site is, and look again what its open incidents ask for.

    Raises Problem `precondition_required`, `precondition_failed`.
    """
    before, version = operator_of(session, site)
    stored = session.get(SiteOperator, {"organisation": scope_of(session).organisation, "site": site})
    check_version(version, if_match, (stored and stored.said_by) or audit.SYSTEM)
    if stored is None:
        stored = SiteOperator(site=site)
        session.add(stored)
    stored.content, stored.version, stored.said_by = given.model_dump(mode="json"), version + 1, actor.name
    audit.record(session, actor, "operator.say", site, {"before": before.model_dump(), "after": given.model_dump()})
    session.flush()
    for incident in session.scalars(sa.select(Incident).where(Incident.site == site, Incident.state != "closed")):
        sync(session, incident, actor)
    here = sa.select(Incident.number).where(Incident.site == site)
    waiting = sa.select(Obligation).where(
        Obligation.incident.in_(here), Obligation.state.in_(UNDONE), Obligation.approved_at.is_(None)
    )
    for each in session.scalars(waiting):
        # Who approves it, of a closed incident too, must have seen whom it goes to.
        if rule_of(each).recipient(before.sector) != rule_of(each).recipient(given.sector):
            each.version += 1


def recipient(found: Obligation, operator: OperatorInput) -> Both:
    """To whom a report goes: by the operator's sector, as it was when the report was approved."""
    return rule_of(found).recipient(operator.sector if found.approved_at is None else cast("Sector | None", found.sector))


def case_of(session: Session, incident: Incident) -> Case:
    """What of an incident decides which rules apply."""
    said, _ = operator_of(session, incident.site)
    # Until somebody has decided, what the facts propose holds: the clocks of the law do not wait for a decision.
    proposed = {each.scheme: each.level for each in grades.proposals(incident) if each.level is not None}
    return Case(operators.kinds(said), said.sector, {**proposed, **incident.grades}, incident.facts)


def is_provisional(rule: Rule, incident: Incident) -> bool:
    """Whether a report follows from a grade that the facts of its incident propose, and nobody has decided."""
    return rule.applies.scheme is not None and rule.applies.scheme not in incident.grades


def rules_of(found: Obligation) -> RuleSet:
    """The rules that a report was made under: its clock and what it must say follow these, whatever rules came since."""
    return made_under(found.rules_version, found.rule)


def rule_of(found: Obligation) -> Rule:
    """The rule that a report follows from, as it was when the report was made."""
    return rules_of(found).rule(found.rule)


def of_incident(session: Session, number: int) -> list[Obligation]:
    """The reports of an incident and of those merged into it, in the order in which they are due."""
    mine = sa.select(Obligation).where(Obligation.incident.in_(timeline.told_by(session, number)))
    return sorted(session.scalars(mine), key=lambda each: (each.due_at or LATEST, each.id))


def sync(session: Session, incident: Incident, actor: Actor) -> None:
    """Bring the reports of an incident to what it is now: new ones, those that are asked for no more, and their clocks.

    One that was submitted stays. One that is asked for no more lapses, and comes back as it was where it is asked for again.
    Of incidents that were merged each may have the same report: once one is made, it tells what happened, and the others lapse.
    """
    if incident.merged_into is not None:
        return
    case = case_of(session, incident)
    known = of_incident(session, incident.number)
    course = _course(session, incident, known)
    wanted = {rule.key: rule for rule in required(case) if course.asks(rule)}
    made = {each.rule: each.id for each in reversed(known) if each.state in DONE and each.kind != "supplement"}
    for each in known:
        rule = rule_of(each)
        # What newer rules ask for under the same key is asked for, whatever those say that it was made under.
        asked = (applies(rule, case) or each.rule in wanted) and course.asks(rule) and each.rule not in made
        if each.state in UNDONE and not asked:
            each.state, each.look_at = "lapsed", None
            if each.rule in made and applies(rule, case):
                _told(session, incident, actor, "obligation_covered", each, other=str(made[each.rule]))
            else:
                _told(session, incident, actor, "obligation_lapsed", each)
        elif each.state == "lapsed" and asked:
            each.state = _state_by_content(each)
            _told(session, incident, actor, "obligation_back", each)
    there = {each.rule for each in known}
    for key, rule in wanted.items():
        if key not in there:
            known.append(_made(session, incident, rule, actor))
    _start_clocks(session, known, course)


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
        made_at=now(), due_certain=True, told=[], contents={}, drafters=[], before_approval=False,
    )  # fmt: skip
    session.add(made)
    session.flush()
    _told(session, incident, actor, "obligation_made", made, **({} if reason is None else {"note": reason}))
    return made


def _course(session: Session, incident: Incident, known: Sequence[Obligation]) -> Course:
    submitted: dict[str, int] = {}
    for each in known:
        if each.submitted_at is not None:
            # What was told first counts: of incidents that were merged the law has known since then.
            submitted[each.rule] = min(each.submitted_at, submitted.get(each.rule, each.submitted_at))
    zone = operator_of(session, incident.site)[0].time_zone
    return Course(incident.discovered_at, incident.resolved_at, submitted, zone)


def _start_clocks(session: Session, known: Sequence[Obligation], course: Course) -> None:
    for each in known:
        if each.state not in UNDONE:
            continue
        rule = rule_of(each)
        start, term = course.start(rule, each.made_at)
        if rule.start != "discovered" and start is not None and each.started_at is not None:
            # Only people put a clock off that runs: by another discovery, or by opening again what was over.
            start = min(start, each.started_at)
        due = course.due(start, term)
        if each.started_at is None:
            each.told = []  # a clock that starts anew warns anew
        before = each.started_at, each.due_at
        each.started_at = start
        each.due_at, each.due_certain = (None, True) if due is None else (due.at, due.certain)
        each.version += before != (each.started_at, each.due_at)
        _take_back(session, each, now())
        _set_look(each)


def _set_look(each: Obligation) -> None:
    runs = _span(each)
    each.look_at = None if runs is None else clocks.next_look(*runs, each.told)


def _span(each: Obligation) -> tuple[int, int] | None:
    """From when until when the clock of a report runs; None where none does."""
    if each.state not in UNDONE or each.started_at is None or each.due_at is None:
        return None
    return each.started_at, each.due_at


def due(session: Session, moment: int) -> Sequence[int]:
    """The reports of which a warning is to be given, by id, those that wait longest first."""
    found = sa.select(Obligation.id).where(Obligation.look_at <= moment).order_by(Obligation.look_at, Obligation.id)
    return session.scalars(found).all()


def warn(session: Session, identity: int, moment: int) -> int:
    """Give the warnings of a report whose time has come, each once, and return how many there were."""
    each = session.scalar(sa.select(Obligation).where(Obligation.id == identity))
    if each is None or each.look_at is None or each.look_at > moment:
        return 0
    runs = _span(each)
    given = [] if runs is None else clocks.warnings(*runs, each.told, moment)
    for share in given:
        detail = {**_detail(each), "share": share, "due_at": each.due_at}
        timeline.write(session, each.incident, audit.Actor(audit.SYSTEM), "obligation_warned", detail=detail)
    each.told = [*each.told, *given]
    _set_look(each)
    return len(given)


def too_early(session: Session, moment: int) -> Sequence[int]:
    """The reports of which was warned before the time, by id: the clock of a machine was wrong then."""
    running = session.scalars(sa.select(Obligation).where(Obligation.state.in_(UNDONE), Obligation.due_at > moment))
    return [
        each.id for each in running if (runs := _span(each)) is not None and clocks.in_time(*runs, each.told, moment) != each.told
    ]


def take_back(session: Session, identity: int, moment: int) -> int:
    """Count the warnings of a report that came too early for nothing: each is given again when its time comes."""
    each = session.scalar(sa.select(Obligation).where(Obligation.id == identity))
    if each is None:
        return 0
    taken = _take_back(session, each, moment)
    _set_look(each)
    return taken


def _take_back(session: Session, each: Obligation, moment: int) -> int:
    runs = _span(each)
    if runs is None:
        return 0
    kept = clocks.in_time(*runs, each.told, moment)
    early = [share for share in each.told if share not in kept]
    if early:
        each.told = kept
        detail = {**_detail(each), "shares": ", ".join(str(share) for share in early), "due_at": each.due_at}
        timeline.write(session, each.incident, audit.Actor(audit.SYSTEM), "obligation_unwarned", detail=detail)
    return len(early)


def tell_clock_set(session: Session, seconds: int) -> None:
    """Write into the timelines of all incidents whose clocks run that the clock of this machine was set."""
    running = sa.select(Obligation.incident).where(Obligation.state.in_(UNDONE), Obligation.due_at.is_not(None)).distinct()
    for number in session.scalars(running).all():
        timeline.write(session, number, audit.Actor(audit.SYSTEM), "clock_set", detail={"seconds": seconds})


def get(session: Session, identity: int) -> tuple[Obligation, Incident]:
    """One report and its incident. Raises Problem `obligation_unknown`."""
    found = session.scalar(sa.select(Obligation).where(Obligation.id == identity))
    incident = None if found is None else session.scalar(sa.select(Incident).where(Incident.number == found.incident))
    if found is None or incident is None:
        raise Problem("obligation_unknown", id=identity)
    return found, incident


SORTS: Final[Mapping[str, InstrumentedAttribute[Any]]] = {
    "due_at": Obligation.due_at,
    "made_at": Obligation.made_at,
    "updated_at": Obligation.updated_at,
}
"""What a list can be sorted by; the identifier breaks ties."""


def find(session: Session, query: ObligationQuery) -> tuple[Sequence[Obligation], str | None]:
    """One page of reports, and the cursor of the next one. Raises Problem `cursor_invalid`."""
    sites = scope_of(session).sites
    statement = sa.select(Obligation)
    if sites is not None:
        mine = sa.select(Incident.number).where(Incident.site.in_(sorted(sites)))
        statement = statement.where(Obligation.incident.in_(mine))
    if query.state is not None:
        statement = statement.where(query.state.on(Obligation.state))
    if query.due_before is not None:
        statement = statement.where(Obligation.due_at < query.due_before)
    if query.updated_since is not None:
        statement = statement.where(Obligation.updated_at >= query.updated_since)
    return page(session, statement, SORTS, Obligation.id, query)


def etag(found: Obligation) -> str:
    """The entity tag of a report."""
    return f'"{found.version}"'


def check_precondition(found: Obligation, if_match: str | None) -> None:
    """Whether a change is made on what the report is now. Raises Problem `precondition_required`, `precondition_failed`."""
    check_version(found.version, if_match, found.submitted_by or found.approved_by or (found.drafters or [audit.SYSTEM])[-1])


def draft(session: Session, found: Obligation, incident: Incident, given: DraftInput, actor: Actor) -> None:
    """Write what a report says; one that was approved must be approved again.

    Raises Problem `obligation_state`, `contents_unfit`.
    """
    _in(found, "draft", "pending", "drafted", "approved")
    rule = rule_of(found)
    unfit = sorted(set(given.contents) - set(rule.contents))
    if unfit:
        raise Problem("contents_unfit", keys=", ".join(unfit))
    before = found.contents
    found.contents = {key: text for key, text in given.contents.items() if text}
    changed = sorted(key for key in {*before, *found.contents} if before.get(key) != found.contents.get(key))
    found.drafters = list(dict.fromkeys([*found.drafters, actor.name]))
    found.state, found.approved_by, found.approved_at, found.sector = "drafted", None, None, None
    # Each version is kept whole where nobody can change it: what was approved is found by its hash whatever is written later.
    kept = {"contents": found.contents, "sha256": contents_hash(found)}
    audit.record(session, actor, "obligation.text", str(found.id), kept)
    _told(session, incident, actor, "obligation_drafted", found, fields=", ".join(changed), sha256=contents_hash(found))


def approve(session: Session, found: Obligation, incident: Incident, actor: Actor, note: str) -> None:
    """Approve a report: another person than any that wrote in it, once it says what it must.

    Raises Problem `obligation_state`, `approver_wrote`, `contents_missing`.
    """
    _in(found, "approve", "drafted")
    if actor.name in found.drafters:
        raise Problem("approver_wrote")
    missing = [key for key in rule_of(found).minimum if not found.contents.get(key)]
    if missing:
        raise Problem("contents_missing", keys=", ".join(missing))
    found.state, found.approved_by, found.approved_at = "approved", actor.name, now()
    found.sector = operator_of(session, incident.site)[0].sector
    _told(session, incident, actor, "obligation_approved", found, note=note, sha256=contents_hash(found))


def submit(session: Session, found: Obligation, incident: Incident, given: SubmitInput, actor: Actor) -> None:
    """Say that a report was submitted: its clock stops.

    Raises Problem `obligation_state`, `incident_times`, `document_unknown`, `report_unapproved`.
    """
    _in(found, "submit", "approved")
    moment = now() if given.at is None else given.at
    # What is told to be now comes after all that there is, whatever a clock said that was ahead and was set right since.
    if given.at is not None and not incident.discovered_at - clocks.SLACK <= moment <= now() + clocks.SLACK:
        raise Problem("incident_times")
    early = given.at is not None and found.approved_at is not None and moment < found.approved_at
    if early and not given.before_approval and moment < (found.approved_at or 0) - clocks.SLACK:
        raise Problem("report_unapproved", id=found.id)
    if given.document is not None and given.document not in _kept(session, found):
        raise Problem("document_unknown", sha256=given.document)
    found.document = given.document
    found.state, found.submitted_by, found.submitted_at, found.channel = "submitted", actor.name, moment, given.channel
    found.look_at = None
    said = {"channel": given.channel, "submitted_at": iso(moment), "sha256": contents_hash(found)}
    found.before_approval = early and given.before_approval
    if found.before_approval:
        said["before_approval"] = "yes"
    if given.document is not None:
        said["document"] = given.document
    _told(session, incident, actor, "obligation_submitted", found, note=given.note, **said)
    session.flush()
    sync(session, incidents.teller(session, incident), actor)


def acknowledge(session: Session, found: Obligation, incident: Incident, given: AcknowledgeReportInput, actor: Actor) -> None:
    """Say that the authority has acknowledged a report. Raises Problem `obligation_state`."""
    _in(found, "acknowledge", "submitted")
    found.state, found.receipt, found.acknowledged_at = "acknowledged", given.receipt, now()
    _told(session, incident, actor, "obligation_acknowledged", found, note=given.note, receipt=given.receipt)


def contents_hash(found: Obligation) -> str:
    """SHA-256 of what a report says, as JSON in canonical form (RFC 8785)."""
    return hashlib.sha256(rfc8785.dumps(found.contents)).hexdigest()


def blockers(session: Session, incident: Incident) -> list[dict[str, Any]]:
    """Reports that stand against closing an incident: those not submitted, but supplements and what is due only if it goes on."""
    moment = now()
    undone = [
        each
        for each in of_incident(session, incident.number)
        if each.state in UNDONE
        and each.kind != "supplement"
        and (each.kind != "progress" or (each.due_at is not None and each.due_at < moment))
    ]
    return [gate.blocker("report", each.id, _titles(each), each.state) for each in undone]


def _titles(found: Obligation) -> dict[str, str]:
    """What a report is called, by language."""
    return {language: rule_of(found).name(language) for language in LANGUAGES}


def _kept(session: Session, found: Obligation) -> set[str]:
    """Hashes of the documents of a report as it was approved."""
    mine = sa.select(ReportDocument.sha256).where(
        ReportDocument.obligation == found.id, ReportDocument.approved_at == found.approved_at
    )
    return set(session.scalars(mine))


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
