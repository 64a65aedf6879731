"""Making jobs, carrying them out some alerts at a time, and taking them back.

What is to be done next is looked for where nobody waits to write. What a job then does to some alerts, what it says of each, and
how far it then is are one transaction. Whoever goes on with it, in this process or another, now or after a crash, goes on from
there: no alert is decided on twice.
"""

from __future__ import annotations

from dataclasses import dataclass
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
from api.security.permissions import permissions_of
from api.times import NANOSECONDS, now
from api.tokens import service as tokens
from api.users import service as users

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from api.jobs.models import JobState
    from api.jobs.schemas import ItemQuery, JobInput, JobQuery
    from api.security.access import Caller
    from api.security.permissions import Permission

AT_A_TIME: Final = 50
"""Alerts that are decided on in one transaction: others wait for so long to write."""

SEARCHED: Final = 5_000
"""Alerts among which those that match a filter are looked for at a time."""

MOST_OPEN: Final = 20
"""Most jobs of an account that are not at their end."""

UNDO_SECONDS: Final = 24 * 3600
"""How long a job can be taken back after it has ended."""

DRY_RUN_SECONDS: Final = 24 * 3600
"""How long it is kept what a dry run said."""

KEPT_SECONDS: Final = 90 * 24 * 3600
"""How long any other job is kept after its end. What it did stays in the audit trail."""

FORGOTTEN_AT_A_TIME: Final = 1_000
"""What came of so many alerts is removed in one transaction."""

NEEDED: Final[Permission] = "alert.decide"
"""What who made a job must be permitted for as long as it is at work."""

OPEN: Final = ("waiting", "running")
"""States of jobs that are not at their end."""

DONE: Final = "done"
"""Result of an alert that was decided on."""

CHANGED: Final = "precondition_failed"
"""Result of an alert that something happened to since the job was made: somebody decided, or it came back into the list."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a job does next.

    Attributes:
        sites: the sites of who made it; None for all.
        after: where it is.
        ids: the alerts to decide on.
        place: where it is then.
        more: whether something comes after.
    """

    sites: frozenset[str] | None
    after: str
    ids: Sequence[str]
    place: str
    more: bool


def make(session: Session, caller: Caller, asked: JobInput) -> Job:
    """Make a job. Raises Problem `jobs_full`."""
    said: dict[str, Any] = {"note": asked.note, "disposition": asked.disposition, "permit": asked.permit, "to": asked.to}
    if asked.filter is not None:
        said["filter"] = asked.filter.absolute()
    ids = None if asked.ids is None else sorted(set(asked.ids))
    return _add(session, caller, said, Job(action=asked.action, dry_run=asked.dry_run, undoes=None, ids=ids))


def undo(session: Session, caller: Caller, job: Job) -> Job:
    """Take back what a job did, where nobody decided otherwise since.

    Raises Problem `job_open`, `job_undone`, `job_late`, `jobs_full`.
    """
    if job.state in OPEN:
        raise Problem("job_open", number=job.number)
    if job.dry_run or job.action == "undo" or undone_by(session, job) is not None:
        raise Problem("job_undone", number=job.number)
    until = undo_until(job)
    if until is None or until < now():
        raise Problem("job_late", number=job.number)
    return _add(session, caller, {"note": job.said["note"]}, Job(action="undo", dry_run=False, undoes=job.number, ids=None))


def stop(session: Session, caller: Caller, job: Job) -> None:
    """Leave the rest of a job undone. Raises Problem `job_ended`."""
    if job.state not in OPEN:
        raise Problem("job_ended", number=job.number)
    _end(session, job, "stopped", caller.actor, "job.stop")


def step_of(session: Session, job: Job) -> str:
    """Where a job stands for who stops it or takes it back; how far it is does not matter for that."""
    if job.state in OPEN:
        return "open"
    undone = undone_by(session, job)
    return job.state if undone is None else f"{job.state}-{undone}"


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


def open_jobs(session: Session) -> list[tuple[int, bool]]:
    """The jobs that are not at their end, oldest first, and whether each is a dry run."""
    found = sa.select(Job.number, Job.dry_run).where(Job.state.in_(OPEN)).order_by(Job.number)
    return [(number, dry_run) for number, dry_run in session.execute(found)]


def part(session: Session, number: int) -> Part | None:
    """What a job does next, in a session that sees all sites; None where it is at its end."""
    job = session.get(Job, {"organisation": scope_of(session).organisation, "number": number})
    if job is None or job.state not in OPEN:
        return None
    sites = None if job.sites is None else frozenset(job.sites)
    if "filter" in job.said:
        return _matching(session, job, sites)
    if job.undoes is None:
        ids = [each for each in job.ids or () if each > job.place][:AT_A_TIME]
    else:
        done = sa.select(JobItem.alert_id).where(JobItem.job == job.undoes, JobItem.result == DONE, JobItem.alert_id > job.place)
        ids = session.scalars(done.order_by(JobItem.alert_id).limit(AT_A_TIME)).all()
    return Part(sites, job.place, ids, ids[-1] if ids else job.place, more=len(ids) == AT_A_TIME)


def go_on(session: Session, number: int, given: Part) -> bool:
    """Carry a job on by a part, in a session that sees what its maker sees; whether there is more to do."""
    job = session.get(Job, {"organisation": scope_of(session).organisation, "number": number})
    if job is None or job.state not in OPEN:
        return False
    if job.place != given.after:
        return True  # another server was faster
    if not _may(session, job):
        _end(session, job, "stopped", audit.Actor(audit.SYSTEM), "job.stop")
        return False
    job.state, job.place = "running", given.place
    later = _later(session, job, given.ids)
    for alert_id in given.ids:
        # One by one: of many at a time SQLite would look for those of a site, or of a rule, and not for these.
        alert = session.scalar(sa.select(Alert).where(Alert.id == alert_id, *_conditions(job)))
        happened = later.get(alert_id, ())
        if "filter" in job.said and (alert is None or "raised" in happened):
            continue  # it matches no more, or was not there when the job was made
        result, before = _decided(session, job, alert, changed=bool(happened))
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
    if not given.more:
        _end(session, job, "done", _actor(job), "job.end")
    return given.more


def fail(session: Session, number: int) -> None:
    """Give up a job that cannot be carried on: a fault of the product, which the log tells."""
    job = session.get(Job, {"organisation": scope_of(session).organisation, "number": number})
    if job is not None and job.state in OPEN:
        _end(session, job, "failed", audit.Actor(audit.SYSTEM), "job.fail")


def forgettable(session: Session, moment: int) -> Sequence[int]:
    """The jobs that are to be kept no longer, by number."""
    kept = sa.case((Job.dry_run, DRY_RUN_SECONDS * NANOSECONDS), else_=KEPT_SECONDS * NANOSECONDS)
    # The first condition is what the index has; none that is open has an end.
    old = sa.and_(Job.ended_at <= moment - DRY_RUN_SECONDS * NANOSECONDS, Job.ended_at <= moment - kept)
    return session.scalars(sa.select(Job.number).where(old).order_by(Job.number)).all()


def forget(session: Session, number: int, moment: int) -> int:
    """Remove a job that is to be kept no longer, in parts: first what came of alerts; returns 1 if something was."""
    if number not in forgettable(session, moment):
        return 0
    some = sa.select(JobItem.alert_id).where(JobItem.job == number).order_by(JobItem.alert_id).limit(FORGOTTEN_AT_A_TIME)
    ids = session.scalars(some).all()
    session.execute(sa.delete(JobItem).where(JobItem.job == number, JobItem.alert_id.in_(ids)))
    if len(ids) < FORGOTTEN_AT_A_TIME:
        session.execute(sa.delete(Job).where(Job.number == number))
        audit.record(session, audit.Actor(audit.SYSTEM), "job.forget", str(number))
    return 1


def _add(session: Session, caller: Caller, said: dict[str, Any], job: Job) -> Job:
    """Make a job whole, and write it down. Raises Problem `jobs_full`."""
    count = sa.select(sa.func.count()).select_from(Job).where(Job.made_by == caller.name, Job.state.in_(OPEN))
    if (session.scalar(count) or 0) >= MOST_OPEN:
        raise Problem("jobs_full", most=MOST_OPEN)
    job.number, job.said, job.state, job.place = advance(session, "job"), said, "waiting", ""
    job.made_by, job.address, job.token = caller.name, caller.actor.address, caller.token_id
    job.sites = None if caller.sites is None else sorted(caller.sites)
    job.at, job.event, job.done, job.refused, job.ended_at = now(), _newest_event(session), 0, 0, None
    session.add(job)
    session.flush()
    told = said if job.ids is None else {**said, "ids": len(job.ids)}
    told = {**told, "dry_run": job.dry_run, "undoes": job.undoes}
    audit.record(session, caller.actor, f"job.{job.action}", str(job.number), told)
    return job


def _end(session: Session, job: Job, state: JobState, actor: audit.Actor, action: str) -> None:
    job.state, job.ended_at = state, now()
    audit.record(session, actor, action, str(job.number), {"done": job.done, "refused": job.refused})


def _actor(job: Job) -> audit.Actor:
    return audit.Actor(job.made_by, job.address)


def _newest_event(session: Session) -> int:
    """The number of the newest step of any alert: unlike a time it never goes back."""
    return session.scalar(sa.select(AlertEvent.id).order_by(AlertEvent.id.desc()).limit(1)) or 0


def _may(session: Session, job: Job) -> bool:
    """Whether who made a job may still decide about all that it reaches, with the token that it was made with."""
    user = users.account(session, job.made_by)
    if user is None or (user.limits is not None and (job.sites is None or not user.limits.issuperset(job.sites))):
        return False
    if job.token is None:
        return NEEDED in permissions_of(user.role, user.limits)
    return any(NEEDED in tokens.permissions(each) for each in tokens.alive(session, [job.token]))


def _is_seen(job: Job, caller: Caller) -> bool:
    """Whoever is limited to sites sees his own jobs, of sites that are his now: others may name alerts of other sites."""
    if caller.sites is None:
        return True
    return job.made_by == caller.name and job.sites is not None and caller.sites.issuperset(job.sites)


def _matching(session: Session, job: Job, sites: frozenset[str] | None) -> Part:
    """The next alerts that match a filter, of so many that looking for them takes no long time."""
    some = sa.select(Alert.id).where(Alert.id > job.place).order_by(Alert.id)
    end = session.scalar(some.limit(1).offset(SEARCHED - 1))
    some = some.where(*_conditions(job), *(() if end is None else (Alert.id <= end,)))
    ids = session.scalars(some.limit(AT_A_TIME)).all()
    if len(ids) == AT_A_TIME:
        return Part(sites, job.place, ids, ids[-1], more=True)
    return Part(sites, job.place, ids, end or (ids[-1] if ids else job.place), more=end is not None)


def _conditions(job: Job) -> list[sa.ColumnElement[bool]]:
    """What the alerts of a job must be, in a form that no index serves: they are looked for by id."""
    if "filter" not in job.said:
        return []
    asked = alerts.conditions(AlertFilter.model_validate(job.said["filter"]))
    if job.sites is not None:
        asked.append(Alert.site.in_(job.sites))
    return [sa.case((sa.and_(*asked), 1), else_=0) == 1]


def _later(session: Session, job: Job, ids: Sequence[str]) -> dict[str, set[str]]:
    """What happened to alerts after a job was made: kinds of steps by alert."""
    found: dict[str, set[str]] = {}
    steps = sa.select(AlertEvent.alert_id, AlertEvent.kind).where(AlertEvent.alert_id.in_(ids), AlertEvent.id > job.event)
    for alert_id, kind in session.execute(steps):
        found.setdefault(alert_id, set()).add(kind)
    return found


def _decided(session: Session, job: Job, alert: Alert | None, *, changed: bool) -> tuple[str, dict[str, Any] | None]:
    """What comes of an alert: its result, and what was decided about it before where it was changed."""
    if alert is None:
        return "alert_unknown", None
    if job.undoes is None and changed:
        # Somebody was faster, or it is there again: what the person did not see is not decided over.
        return CHANGED, None
    before = {name: getattr(alert, name) for name in TRIAGED}
    actor = _actor(job)
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
