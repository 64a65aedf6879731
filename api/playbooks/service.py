"""Playbooks that can be begun, and the tasks of incidents."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from api.alerts.models import Alert
from api.audit import service as audit
from api.database import row_of
from api.incidents import gate, timeline
from api.incidents import service as incidents
from api.incidents.models import Incident
from api.obligations.clocks import SLACK
from api.ordering import page
from api.playbooks import cacao, content
from api.playbooks.models import LESSON, IncidentTask, StoredPlaybook
from api.problems import Problem
from api.times import NANOSECONDS, now
from api.users import assignees
from api.versions import check_version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import InstrumentedAttribute, Session

    from api.audit.service import Actor
    from api.incidents.lifecycle import Phase
    from api.playbooks.content import Playbook
    from api.playbooks.schemas import AssignInput, TaskInput, TaskMove, TaskQuery
    from api.reviews.schemas import LessonInput
    from api.security.permissions import Permission

MOST_STORED: Final = 500
"""Most playbooks that an organisation brings in."""

MOST_TASKS: Final = 1_000
"""Most tasks of an incident."""

MOST_CHARACTERS: Final = 1_000_000
"""Longest CACAO playbook, as JSON."""

UNDONE: Final = ("open", "doing")

WORKS: Final[Permission] = "incident.work"
"""What whoever has a task must be allowed to do at the incident's site."""


def known(session: Session) -> dict[str, tuple[Playbook, bool]]:
    """All playbooks by key, and whether each was brought in."""
    brought = session.scalars(sa.select(StoredPlaybook).where(StoredPlaybook.withdrawn.is_(False)))
    stored = {each.key: content.Playbook.model_validate(each.content) for each in brought}
    every = {**content.built_in(), **stored}
    return {key: (every[key], key in stored) for key in sorted(every)}


def get(session: Session, key: str) -> tuple[Playbook, bool]:
    """One playbook, and whether it was brought in. Raises Problem `playbook_unknown`."""
    stored = row_of(session, StoredPlaybook, key)
    if stored is not None and not stored.withdrawn:
        return content.Playbook.model_validate(stored.content), True
    built_in = content.built_in().get(key)
    if built_in is None:
        raise Problem("playbook_unknown", playbook=key)
    return built_in, False


def etag(playbook: Playbook) -> str:
    """The entity tag of a playbook."""
    return f'"{playbook.version}"'


def bring_in(session: Session, given: Mapping[str, Any], actor: Actor, if_match: str | None) -> Playbook:
    """Take a CACAO playbook in; one of the same key is replaced by it, where the caller saw that one.

    All of it is in the audit trail, so that what is replaced is not lost.

    Raises Problem `playbook_unfit`, `playbooks_full`, `precondition_required`, `precondition_failed`.
    """
    if len(json.dumps(given)) > MOST_CHARACTERS:
        raise Problem("playbook_unfit", reason=f"it is longer than {MOST_CHARACTERS} characters")
    try:
        playbook = cacao.read(given)
    except cacao.CacaoError as error:
        raise Problem("playbook_unfit", reason=str(error)) from error
    stored = row_of(session, StoredPlaybook, playbook.key)
    before = content.built_in().get(playbook.key)
    if stored is not None and not stored.withdrawn:
        check_version(stored.version, if_match, stored.changed_by)
    elif before is not None:
        check_version(before.version, if_match, audit.SYSTEM)
    if stored is None or stored.withdrawn:
        held = sa.select(sa.func.count(StoredPlaybook.key)).where(StoredPlaybook.withdrawn.is_(False))
        if (session.scalar(held) or 0) >= MOST_STORED:
            raise Problem("playbooks_full", most=MOST_STORED)
    if stored is None:
        stored = StoredPlaybook(key=playbook.key, version=0)
        session.add(stored)
    stored.version = 1 + max(stored.version, 0 if before is None else before.version)
    stored.withdrawn = False
    playbook = playbook.model_copy(update={"version": stored.version})
    stored.content = playbook.model_dump(mode="json", by_alias=True)
    stored.changed_by, stored.changed_at = actor.name, now()
    told = {"version": stored.version, "title": playbook.title.en, "tasks": len(playbook.tasks), "content": stored.content}
    audit.record(session, actor, "playbook.bring_in", playbook.key, told)
    session.flush()
    return playbook


def take_out(session: Session, key: str, actor: Actor, if_match: str | None) -> None:
    """Take a playbook out that was brought in; one of the product with its key is there again. Tasks that were begun stay.

    Raises Problem `playbook_unknown`, `playbook_of_product`, `precondition_required`, `precondition_failed`.
    """
    playbook, is_of_site = get(session, key)
    stored = row_of(session, StoredPlaybook, key)
    if not is_of_site or stored is None:
        raise Problem("playbook_of_product", playbook=key)
    check_version(stored.version, if_match, stored.changed_by)
    audit.record(session, actor, "playbook.take_out", key, {"version": playbook.version, "content": stored.content})
    stored.withdrawn, stored.version, stored.content = True, stored.version + 1, {}
    stored.changed_by, stored.changed_at = actor.name, now()
    session.flush()


def proposed(session: Session, incident: Incident) -> list[tuple[Playbook, bool, int]]:
    """The playbooks that fit an incident: each, whether it was brought in, and how well it fits; best first."""
    rules: Counter[str] = Counter()
    for some in incidents.in_parts(incidents.alert_ids(session, incident.number)):
        counted = sa.select(Alert.rule, sa.func.count(Alert.id)).where(Alert.id.in_(some)).group_by(Alert.rule)
        for name, count in session.execute(counted):
            rules[name] += count
    every = known(session)
    found = content.fit((playbook for playbook, _ in every.values()), rules, incident.category)
    return [(playbook, every[playbook.key][1], score) for playbook, score in found]


def begun(session: Session, number: int) -> set[str]:
    """Keys of the playbooks whose tasks an incident has."""
    return {str(each.playbook) for each in tasks(session, number) if each.playbook is not None}


def begin(session: Session, incident: Incident, key: str, actor: Actor, reason: str) -> list[IncidentTask]:
    """Give an incident the tasks of a playbook, each with its time from now.

    Raises Problem `playbook_unknown`, `playbook_begun`, `tasks_full`, `incident_closed`, `incident_merged`.
    """
    incidents.check_open(incident)
    playbook, _ = get(session, key)
    if key in begun(session, incident.number):
        raise Problem("playbook_begun", playbook=key, number=incident.number)
    _check_room(session, incident, len(playbook.tasks))
    moment = now()
    made = [
        IncidentTask(
            incident=incident.number, version=1, playbook=key, playbook_version=playbook.version, key=task.key,
            title=task.title.model_dump(by_alias=True), text=task.text.model_dump(by_alias=True), phase=task.phase,
            role=task.role, mandatory=task.mandatory, state="open", made_at=moment, late_told=False,
            due_at=moment + task.within_minutes * 60 * NANOSECONDS,
        )
        for task in playbook.tasks
    ]  # fmt: skip
    session.add_all(made)
    title = playbook.title.model_dump(by_alias=True)
    detail = {"playbook": key, "title": title, "version": playbook.version, "count": len(made)}
    timeline.write(session, incident.number, actor, "playbook_begun", note=reason, detail=detail)
    session.flush()
    return made


def add(session: Session, incident: Incident, given: TaskInput, actor: Actor) -> IncidentTask:
    """Add a task by hand. Raises Problem `incident_closed`, `incident_merged`, `tasks_full`, `assignee_unfit`."""
    incidents.check_open(incident)
    made = _by_hand(session, incident, given, given.phase, mandatory=given.mandatory)
    _tell(session, made, actor, "task_added")
    return made


def add_lesson(session: Session, incident: Incident, given: LessonInput, actor: Actor) -> IncidentTask:
    """Add a lesson of a closed incident: a task that outlives it and gates nothing.

    Raises Problem `tasks_full`, `assignee_unfit`.
    """
    made = _by_hand(session, incident, given, LESSON, mandatory=False)
    _tell(session, made, actor, "lesson_added", owner=made.owner or "–")
    return made


def lessons(session: Session, number: int) -> list[IncidentTask]:
    """The lessons of an incident, in the order in which they were added."""
    return [each for each in tasks(session, number) if each.phase == LESSON]


def due(session: Session, before: int, site: str | None, most: int) -> Sequence[IncidentTask]:
    """Tasks of a site, or of all, that are to be done before a time: those due first before others."""
    found = sa.select(IncidentTask).join(Incident, Incident.number == IncidentTask.incident)
    found = found.where(IncidentTask.state.in_(UNDONE), IncidentTask.due_at <= before)
    # Of an incident that is over nothing is to be done but its lessons.
    found = found.where((Incident.state != "closed") | (IncidentTask.phase == LESSON))
    if site is not None:
        found = found.where(Incident.site == site)
    return session.scalars(found.order_by(IncidentTask.due_at, IncidentTask.id).limit(most)).all()


SORTS: Final[Mapping[str, InstrumentedAttribute[Any]]] = {
    "due_at": IncidentTask.due_at,
    "made_at": IncidentTask.made_at,
    "updated_at": IncidentTask.updated_at,
}
"""What a list can be sorted by; the identifier breaks ties."""


def find(session: Session, query: TaskQuery) -> tuple[Sequence[IncidentTask], str | None]:
    """One page of the tasks of all incidents, and the cursor of the next one. Raises Problem `cursor_invalid`."""
    # What a session does not see of incidents, it does not see of their tasks.
    statement = sa.select(IncidentTask).join(Incident, Incident.number == IncidentTask.incident)
    for asked, column in ((query.state, IncidentTask.state), (query.owner, IncidentTask.owner), (query.site, Incident.site)):
        if asked is not None:
            statement = statement.where(asked.on(column))
    if query.lesson is not None:
        statement = statement.where((IncidentTask.phase == LESSON) if query.lesson else (IncidentTask.phase != LESSON))
    if query.due_before is not None:
        statement = statement.where(IncidentTask.due_at < query.due_before)
    if query.updated_since is not None:
        statement = statement.where(IncidentTask.updated_at >= query.updated_since)
    return page(session, statement, SORTS, IncidentTask.id, query)


def tasks(session: Session, number: int) -> Sequence[IncidentTask]:
    """The tasks of an incident and of those merged into it, in the order in which they were given."""
    mine = sa.select(IncidentTask).where(IncidentTask.incident.in_(timeline.told_by(session, number)))
    return session.scalars(mine.order_by(IncidentTask.id)).all()


def task(session: Session, identity: int) -> tuple[IncidentTask, Incident]:
    """One task, and the incident that it is of now. Raises Problem `task_unknown`."""
    found = session.scalar(sa.select(IncidentTask).where(IncidentTask.id == identity))
    incident = None if found is None else session.scalar(sa.select(Incident).where(Incident.number == found.incident))
    if found is None or incident is None:
        raise Problem("task_unknown", id=identity)
    return found, incidents.teller(session, incident)


def task_etag(found: IncidentTask) -> str:
    """The entity tag of a task."""
    return f'"{found.version}"'


def assign(session: Session, found: IncidentTask, incident: Incident, given: AssignInput, actor: Actor) -> None:
    """Say who does a task, and by when.

    Raises Problem `incident_closed`, `task_state` for one that is done, `lesson_unowned` for a lesson without both,
    `assignee_unfit`.
    """
    _check_workable(found, incident)
    if found.state not in UNDONE:
        raise Problem("task_state", id=found.id, state=found.state, action="assign")
    if found.phase == LESSON and (given.owner is None or given.due_at is None):
        raise Problem("lesson_unowned", id=found.id)
    owner = _owner(session, given.owner, incident)
    if found.due_at != given.due_at:
        found.late_told = False
    found.owner, found.due_at = owner, given.due_at
    found.version += 1
    _tell(session, found, actor, "task_assigned", owner=owner or "–")


def move(session: Session, found: IncidentTask, incident: Incident, given: TaskMove, actor: Actor) -> None:
    """Say how a task stands. Raises Problem `incident_closed`, `task_state` where it stands so already."""
    _check_workable(found, incident)
    if found.state == given.to:
        raise Problem("task_state", id=found.id, state=found.state, action=given.to)
    before, found.state, found.note = found.state, given.to, given.note
    ended = given.to not in UNDONE
    found.done_by, found.done_at = (actor.name, now()) if ended else (None, None)
    if given.to == "doing" and found.owner is None:
        found.owner = actor.name
    found.version += 1
    _tell(session, found, actor, f"task_{given.to}", note=given.note, before=before)


def blockers(session: Session, incident: Incident) -> list[dict[str, Any]]:
    """Mandatory tasks of an incident that are not done: they stand against closing it."""
    undone = [each for each in tasks(session, incident.number) if each.mandatory and each.state != "done"]
    return [gate.blocker("task", each.id, each.title, each.state) for each in undone]


def overdue(session: Session, moment: int) -> Sequence[int]:
    """The tasks that are overdue and were not told to be yet, by id, those that are so longest first."""
    found = sa.select(IncidentTask.id).where(
        IncidentTask.state.in_(UNDONE), IncidentTask.due_at <= moment, IncidentTask.late_told.is_(False)
    )
    return session.scalars(found.order_by(IncidentTask.due_at, IncidentTask.id)).all()


def tell_overdue(session: Session, identity: int, moment: int) -> int:
    """Tell that a task is overdue, once; returns 1 if it was told."""
    found = session.scalar(sa.select(IncidentTask).where(IncidentTask.id == identity))
    if found is None or found.late_told or found.state not in UNDONE or found.due_at is None or found.due_at > moment:
        return 0
    found.late_told = True
    _, incident = task(session, identity)
    if incident.state == "closed" and found.phase != LESSON:
        # Nothing is to be done about what is over but its lessons.
        return 0
    _tell(session, found, audit.Actor(audit.SYSTEM), "task_overdue", owner=found.owner or "–")
    return 1


def open_again(session: Session, number: int, closed_at: int) -> None:
    """Let tasks be told again that fell due while their incident was closed, and so were told to nobody."""
    mine = sa.update(IncidentTask).where(
        IncidentTask.incident.in_(timeline.told_by(session, number)), IncidentTask.phase != LESSON,
        IncidentTask.state.in_(UNDONE), IncidentTask.due_at >= closed_at - SLACK,
    )  # fmt: skip
    session.execute(mine.values(late_told=False))


def too_early(session: Session, moment: int) -> Sequence[int]:
    """The tasks that were told to be overdue before they were, by id: the clock of a machine was wrong then."""
    found = sa.select(IncidentTask.id).where(
        IncidentTask.state.in_(UNDONE), IncidentTask.due_at > moment + SLACK, IncidentTask.late_told.is_(True)
    )
    return session.scalars(found).all()


def take_back(session: Session, identity: int, moment: int) -> int:
    """Count what was told of a task too early for nothing: it is told again when it is overdue."""
    found = session.scalar(sa.select(IncidentTask).where(IncidentTask.id == identity))
    if found is None or not found.late_told or found.due_at is None or found.due_at <= moment + SLACK:
        return 0
    found.late_told = False
    return 1


def _by_hand(
    session: Session, incident: Incident, given: TaskInput | LessonInput, phase: Phase, *, mandatory: bool
) -> IncidentTask:  # fmt: skip
    """A task that a person wrote, the same in both languages."""
    _check_room(session, incident, 1)
    owner = _owner(session, given.owner, incident)
    both = {"en": given.title, "zh-CN": given.title}, {"en": given.text, "zh-CN": given.text}
    made = IncidentTask(
        incident=incident.number, version=1, title=both[0], text=both[1], phase=phase, role=given.role, mandatory=mandatory,
        state="open", owner=owner, made_at=now(), due_at=given.due_at, late_told=False,
    )  # fmt: skip
    session.add(made)
    session.flush()
    return made


def _owner(session: Session, given: str | None, incident: Incident) -> str | None:
    """Who does a task, as the account is named. Raises Problem `assignee_unfit`."""
    return None if given is None else assignees.checked(session, given, WORKS, incident.site)


def _check_workable(found: IncidentTask, incident: Incident) -> None:
    """A lesson goes on whatever becomes of its incident."""
    if found.phase != LESSON:
        incidents.check_open(incident)


def _check_room(session: Session, incident: Incident, more: int) -> None:
    if len(tasks(session, incident.number)) + more > MOST_TASKS:
        raise Problem("tasks_full", most=MOST_TASKS)


def _tell(session: Session, found: IncidentTask, actor: Actor, kind: str, **more: str) -> None:
    note = more.pop("note", None)
    detail = {"task": found.id, "title": found.title, **more}
    timeline.write(session, found.incident, actor, kind, note=note, detail=detail)
    session.flush()
