"""Making jobs, carrying them out some alerts at a time, and taking them back.

What a job does to some alerts, what it says of each, and how far it then is are one transaction. Whoever goes on with it, in this
process or another, now or after a crash, goes on from there: no alert is decided on twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from api.alerts import service as alerts
from api.alerts.models import TRIAGED, Alert, AlertEvent
from api.alerts.schemas import AlertFilter, CloseInput
from api.audit import service as audit
from api.database import advance
from api.database.scope import scope_of
from api.jobs.models import Job, JobItem
from api.pages import read_cursor, write_cursor
from api.problems import Problem
from api.times import NANOSECONDS, now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from api.jobs.schemas import ItemQuery, JobInput, JobQuery
    from api.security.access import Caller

AT_A_TIME: Final = 50
"""Alerts that are decided on in one transaction: others wait for so long to write."""

UNDO_SECONDS: Final = 24 * 3600
"""How long a job can be taken back after it has ended."""

OPEN: Final = ("waiting", "running")
"""States of jobs that are not at their end."""

DONE: Final = "done"
"""Result of an alert that was decided on."""

CHANGED: Final = "precondition_failed"
"""Result of an alert about which somebody decided otherwise meanwhile."""


def make(session: Session, caller: Caller, asked: JobInput) -> Job:
    """Make a job."""
    chosen = {"ids": sorted(set(asked.ids or ()))} if asked.filter is None else {"filter": asked.filter.absolute()}
    said = {"note": asked.note, "disposition": asked.disposition, "permit": asked.permit, "to": asked.to, **chosen}
    return _add(session, caller, said, Job(action=asked.action, dry_run=asked.dry_run, undoes=None))


def undo(session: Session, caller: Caller, job: Job) -> Job:
    """Take back what a job did, where nobody decided otherwise since. Raises Problem `job_open`, `job_undone`, `job_late`."""
    if job.state in OPEN:
        raise Problem("job_open", number=job.number)
    if job.dry_run or job.action == "undo" or undone_by(session, job) is not None:
        raise Problem("job_undone", number=job.number)
    until = undo_until(job)
    if until is None or until < now():
        raise Problem("job_late", number=job.number)
    return _add(session, caller, {"note": job.said["note"]}, Job(action="undo", dry_run=False, undoes=job.number))


def stop(session: Session, caller: Caller, job: Job) -> None:
    """Leave the rest of a job undone. Raises Problem `job_ended`."""
    if job.state not in OPEN:
        raise Problem("job_ended", number=job.number)
    job.state, job.ended_at = "stopped", now()
    audit.record(session, caller.actor, "job.stop", str(job.number), {"done": job.done, "refused": job.refused})


def get(session: Session, caller: Caller, number: int) -> Job:
    """A job that the caller may see. Raises Problem `job_unknown`."""
    job = session.get(Job, {"organisation": scope_of(session).organisation, "number": number})
    if job is None or not _is_seen(job, caller):
        raise Problem("job_unknown", number=number)
    return job


def find(session: Session, caller: Caller, query: JobQuery) -> tuple[Sequence[Job], str | None]:
    """One page of jobs, newest first, and the cursor of the next one. Raises Problem `cursor_invalid`."""
    statement = sa.select(Job).order_by(Job.number.desc()).limit(query.limit + 1)
    if caller.sites is not None:
        statement = statement.where(Job.made_by == caller.name)
    if query.cursor is not None:
        (place,) = read_cursor("jobs", query.cursor, (int,))
        statement = statement.where(Job.number < place)
    found = session.scalars(statement).all()
    if len(found) <= query.limit:
        return found, None
    return found[: query.limit], write_cursor("jobs", found[query.limit - 1].number)


def items(session: Session, job: Job, query: ItemQuery) -> tuple[Sequence[JobItem], str | None]:
    """One page of what came of alerts, by id, and the cursor of the next one. Raises Problem `cursor_invalid`."""
    question = f"job {job.number} {query.refused}"
    statement = sa.select(JobItem).where(JobItem.job == job.number).order_by(JobItem.alert_id).limit(query.limit + 1)
    if query.refused:
        statement = statement.where(JobItem.result != DONE)
    if query.cursor is not None:
        (place,) = read_cursor(question, query.cursor, (str,))
        statement = statement.where(JobItem.alert_id > place)
    found = session.scalars(statement).all()
    if len(found) <= query.limit:
        return found, None
    return found[: query.limit], write_cursor(question, found[query.limit - 1].alert_id)


def undone_by(session: Session, job: Job) -> int | None:
    """The job that takes this one back, or has done so; one that did not come to its end leaves room for another."""
    return session.scalar(sa.select(Job.number).where(Job.undoes == job.number, Job.state.not_in(("stopped", "failed"))))


def undo_until(job: Job) -> int | None:
    """Until when a job can be taken back; None where it cannot be at all."""
    if job.dry_run or job.action == "undo" or job.ended_at is None:
        return None
    return job.ended_at + UNDO_SECONDS * NANOSECONDS


def open_jobs(session: Session) -> list[tuple[int, list[Any] | None]]:
    """The jobs that are not at their end, oldest first, and the sites of who made each."""
    found = sa.select(Job.number, Job.sites).where(Job.state.in_(OPEN)).order_by(Job.number)
    return [(number, sites) for number, sites in session.execute(found)]


def go_on(session: Session, number: int) -> bool:
    """Carry a job on by some alerts, in a session that sees what its maker sees; whether there is more to do."""
    job = session.get(Job, {"organisation": scope_of(session).organisation, "number": number})
    if job is None or job.state not in OPEN:
        return False
    job.state = "running"
    chosen = _chosen(session, job)
    for alert_id, alert in chosen:
        result, before = _decided(session, job, alert)
        version = None if alert is None or before is None or job.dry_run else alert.triage_version
        session.add(
            JobItem(
                job=number, alert_id=alert_id, result=result, before=None if job.dry_run else before, version=version
            )
        )  # fmt: skip
        if result == DONE:
            job.done += 1
        else:
            job.refused += 1
        job.place = alert_id
    if len(chosen) == AT_A_TIME:
        return True
    job.state, job.ended_at = "done", now()
    actor = audit.Actor(job.made_by, job.address)
    audit.record(session, actor, "job.end", str(number), {"done": job.done, "refused": job.refused})
    return False


def fail(session: Session, number: int) -> None:
    """Give up a job that cannot be carried on: a fault of the product, which the log tells."""
    job = session.get(Job, {"organisation": scope_of(session).organisation, "number": number})
    if job is not None and job.state in OPEN:
        job.state, job.ended_at = "failed", now()
        audit.record(session, audit.Actor(audit.SYSTEM), "job.fail", str(number), {"done": job.done, "refused": job.refused})


def _add(session: Session, caller: Caller, said: dict[str, Any], job: Job) -> Job:
    """Make a job whole, and write it down."""
    job.number, job.said, job.state, job.place = advance(session, "job"), said, "waiting", ""
    job.made_by, job.address, job.sites = caller.name, caller.address, None if caller.sites is None else sorted(caller.sites)
    job.at, job.change, job.done, job.refused, job.ended_at = now(), alerts.newest_change(session), 0, 0, None
    session.add(job)
    session.flush()
    told = {**said, "ids": len(said["ids"])} if "ids" in said else said
    told = {**told, "dry_run": job.dry_run, "undoes": job.undoes}
    audit.record(session, caller.actor, f"job.{job.action}", str(job.number), told)
    return job


def _is_seen(job: Job, caller: Caller) -> bool:
    """Whoever is limited to sites sees his own jobs: others may name alerts of other sites."""
    return caller.sites is None or job.made_by == caller.name


def _chosen(session: Session, job: Job) -> list[tuple[str, Alert | None]]:
    """The next alerts of a job by id; None for one that there is not."""
    if job.undoes is not None:
        done = (
            sa.select(JobItem.alert_id)
            .where(JobItem.job == job.undoes, JobItem.result == DONE, JobItem.alert_id > job.place)
            .order_by(JobItem.alert_id)
            .limit(AT_A_TIME)
        )
        ids = list(session.scalars(done))
    elif "ids" in job.said:
        ids = [each for each in job.said["ids"] if each > job.place][:AT_A_TIME]
    else:
        return _matching(session, job)
    found = {alert.id: alert for alert in session.scalars(sa.select(Alert).where(Alert.id.in_(ids)))}
    return [(each, found.get(each)) for each in ids]


def _matching(session: Session, job: Job) -> list[tuple[str, Alert | None]]:
    """The next alerts that match a filter and were there when the job was made."""
    asked = AlertFilter.model_validate(job.said["filter"])
    place, found = job.place, list[tuple[str, Alert | None]]()
    while len(found) < AT_A_TIME:
        statement = sa.select(Alert).where(*alerts.conditions(asked), Alert.id > place).order_by(Alert.id).limit(AT_A_TIME)
        some = session.scalars(statement).all()
        changed = [alert.id for alert in some if alert.change > job.change]
        raised = sa.select(AlertEvent.alert_id).where(
            AlertEvent.alert_id.in_(changed), AlertEvent.kind == "raised", AlertEvent.at >= job.at
        )
        later = set(session.scalars(raised)) if changed else set[str]()
        found += [(alert.id, alert) for alert in some if alert.id not in later]
        if len(some) < AT_A_TIME:
            break
        place = some[-1].id
    return found[:AT_A_TIME]


def _decided(session: Session, job: Job, alert: Alert | None) -> tuple[str, dict[str, Any] | None]:
    """What comes of an alert: its result, and what was decided about it before where it was changed."""
    if alert is None:
        return "alert_unknown", None
    if job.undoes is None and alert.triage_at is not None and alert.triage_at > job.at:
        # Somebody was faster: what he decided is not decided over unseen.
        return CHANGED, None
    before = {name: getattr(alert, name) for name in TRIAGED}
    actor = audit.Actor(job.made_by, job.address)
    try:
        if job.dry_run:
            with session.begin_nested() as nested:
                _decide(session, job, alert, actor)
                nested.rollback()
        else:
            _decide(session, job, alert, actor)
    except Problem as problem:
        return problem.code, None
    return DONE, before


def _decide(session: Session, job: Job, alert: Alert, actor: audit.Actor) -> None:
    if job.undoes is not None:
        item = session.get(JobItem, {"organisation": alert.organisation, "job": job.undoes, "alert_id": alert.id})
        if item is None or item.before is None or item.version != alert.triage_version:
            raise Problem(CHANGED, by=alert.triage_by or audit.SYSTEM)
        alerts.take_back(session, alert, actor, item.before)
    elif job.action == "close":
        outcome = {name: job.said[name] for name in ("note", "disposition", "permit")}
        alerts.close(session, alert, actor, CloseInput.model_validate(outcome))
    elif job.action == "assign":
        alerts.assign(session, alert, actor, str(job.said["to"]), str(job.said["note"]))
    else:
        alerts.acknowledge(session, alert, actor, str(job.said["note"]))
