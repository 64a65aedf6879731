"""Actions in the plant: every step with a person, a reason and a time. The product itself never acts in the plant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import sqlalchemy as sa

from api.actions import lifecycle
from api.actions.models import Action
from api.actions.schemas import Silence
from api.audit.service import SYSTEM, Actor
from api.incidents import gate, timeline
from api.incidents import service as incidents
from api.incidents.models import Incident
from api.problems import Problem
from api.security.permissions import permissions_of
from api.times import NANOSECONDS, iso, now
from api.users import service as users
from api.versions import check_version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import Session

    from api.actions.lifecycle import State, Step
    from api.actions.schemas import ProposeInput
    from api.actions.sight import Judgement
    from api.security.permissions import Permission

MOST: Final = 200
"""Most actions of an incident."""

TOLD_SECONDS: Final = 8 * 3600
"""How long after its window people can tell that they carried an action out in it: who works has his hands full."""

NAMED: Final = 3
"""Records that a refusal names."""

SECURITY: Final[Permission] = "action.approve_security"
OPERATIONS: Final[Permission] = "action.approve_operations"


def propose(session: Session, incident: Incident, given: ProposeInput, actor: Actor) -> Action:
    """Propose an action. Raises Problem `incident_closed`, `incident_merged`, `actions_full`, `action_window`."""
    incidents.check_open(incident)
    if given.window_until <= now():
        raise Problem("action_window")
    if len(of_incident(session, incident.number)) >= MOST:
        raise Problem("actions_full", most=MOST)
    made = Action(
        incident=incident.number, version=0, title=given.title, state="proposed", safety=given.safety.model_dump(),
        proof=None if given.proof is None else given.proof.model_dump(), window_from=given.window_from,
        window_until=given.window_until, proposed_by=actor.name, moves=[],
    )  # fmt: skip
    session.add(made)
    session.flush()
    told = {"safety": made.safety, "proof": made.proof, "window_from": made.window_from, "window_until": made.window_until}
    _moved(session, made, actor, given.reason, more=told)
    return made


def of_incident(session: Session, number: int) -> Sequence[Action]:
    """The actions of an incident and of those merged into it, in the order in which they were proposed."""
    mine = sa.select(Action).where(Action.incident.in_(timeline.told_by(session, number)))
    return session.scalars(mine.order_by(Action.id)).all()


def get(session: Session, identity: int) -> tuple[Action, Incident]:
    """One action, and the incident that it is of now. Raises Problem `action_unknown`."""
    found = session.scalar(sa.select(Action).where(Action.id == identity))
    incident = None if found is None else session.scalar(sa.select(Incident).where(Incident.number == found.incident))
    if found is None or incident is None:
        raise Problem("action_unknown", id=identity)
    while incident.merged_into is not None:
        incident = incidents.get(session, incident.merged_into)
    return found, incident


def etag(found: Action) -> str:
    """The entity tag of an action."""
    return f'"{found.version}"'


def check_precondition(found: Action, if_match: str | None) -> None:
    """Whether a step is taken on what the action is now. Raises Problem `precondition_required`, `precondition_failed`."""
    check_version(found.version, if_match, found.moves[-1]["by"])


def approve_security(session: Session, found: Action, incident: Incident, actor: Actor, note: str) -> None:
    """Approve an action for security. Raises Problem `action_state`, `forbidden`, `incident_closed`."""
    incidents.check_open(incident)
    _step(found, "approve_security")
    _check_may(session, actor.name, SECURITY, incident)
    found.security_by = actor.name
    _moved(session, found, actor, note)


def approve_operations(session: Session, found: Action, incident: Incident, actor: Actor, note: str) -> None:
    """Approve an action for operations, as another person.

    Raises Problem `action_state`, `approver_same`, `approval_lapsed`, `forbidden`, `incident_closed`.
    """
    incidents.check_open(incident)
    _step(found, "approve_operations")
    if actor.name == found.security_by:
        raise Problem("approver_same")
    _check_may(session, actor.name, OPERATIONS, incident)
    _check_stands(session, found.security_by, SECURITY, incident)
    found.operations_by, found.operations_at = actor.name, now()
    _moved(session, found, actor, note)


def reject(session: Session, found: Action, incident: Incident, actor: Actor, note: str) -> None:
    """Reject an action that waits for approval: whoever may approve it for one side.

    Raises Problem `action_state`, `forbidden`.
    """
    _step(found, "reject")
    if not may(session, actor.name, OPERATIONS, incident):
        _check_may(session, actor.name, SECURITY, incident)
    _moved(session, found, actor, note)


def withdraw(session: Session, found: Action, actor: Actor, note: str) -> None:
    """Take an action back before it is carried out. Raises Problem `action_state`."""
    _step(found, "withdraw")
    _moved(session, found, actor, note)


def execute(  # noqa: PLR0913, PLR0917 - who says what of which action has a name each
    session: Session, found: Action, incident: Incident, actor: Actor, note: str, at: int | None
) -> None:
    """Say that people carry an action out, or did so in its window: they can tell until it expires.

    Both approvals must still stand: whoever gave one may approve such actions now, too. Raises Problem `action_state`,
    `action_window` outside its window, `approval_lapsed`, `incident_closed`.
    """
    incidents.check_open(incident)
    _step(found, "execute")
    told = now()
    moment = told if at is None else at
    # An approval by a clock that was ahead does not keep it up until then.
    approved = min(found.operations_at or told, told)
    if not max(found.window_from, approved) <= moment <= min(found.window_until, told):
        raise Problem("action_window")
    _check_stands(session, found.security_by, SECURITY, incident)
    _check_stands(session, found.operations_by, OPERATIONS, incident)
    found.executed_by, found.executed_at = actor.name, moment
    _moved(session, found, actor, note, at=moment)


def verify(  # noqa: PLR0913, PLR0917 - who says what of which action has a name each
    session: Session, found: Action, actor: Actor, note: str, verdict: Mapping[str, Any] | None, vouched: bool, reasons: str
) -> None:
    """Say that an action holds. Where traffic can show it, traffic must.

    Args:
        session: the session.
        found: the action.
        actor: who says so.
        note: what they say.
        verdict: what records say since it was carried out, as `told`; None where traffic cannot show it.
        vouched: whether the person vouches for it where nobody can tell from traffic.
        reasons: why nobody can tell, in words.

    Raises Problem `action_state`, `proof_broken`, `proof_early`, `proof_blind`, and `verifier_executed` for who carried it out
    where traffic does not show it; `precondition_failed` where it was carried out after somebody looked at what traffic shows.
    """
    _step(found, "verify")
    if verdict is None and silence_of(found) is not None:
        raise Problem("precondition_failed", by=found.executed_by or SYSTEM)
    if verdict is not None and found.proof is not None:
        if verdict["verdict"] == "broken":
            raise Problem("proof_broken", since=iso(verdict["since"]), records=", ".join(verdict["acts"][:NAMED]))
        if verdict["verdict"] == "too_early":
            due = cast("int", found.executed_at) + found.proof["minutes"] * 60 * NANOSECONDS
            raise Problem("proof_early", until=iso(due))
        if verdict["verdict"] == "blind" and not vouched:
            raise Problem("proof_blind", reasons=reasons)
    if (verdict is None or verdict["verdict"] != "silent") and actor.name == found.executed_by:
        raise Problem("verifier_executed")
    found.verdict = None if verdict is None else dict(verdict)
    _moved(session, found, actor, note)


def fail(session: Session, found: Action, actor: Actor, note: str, verdict: Mapping[str, Any] | None) -> None:
    """Say that an action does not hold, with what traffic shows where that is known. Raises Problem `action_state`."""
    _step(found, "fail")
    found.verdict = None if verdict is None else dict(verdict)
    _moved(session, found, actor, note)


def roll_back(session: Session, found: Action, actor: Actor, note: str) -> None:
    """Say that an action was taken back in the plant. Raises Problem `action_state`."""
    _step(found, "roll_back")
    _moved(session, found, actor, note)


def silence_of(found: Action) -> tuple[Silence, int] | None:
    """What traffic must show of an action that was carried out, and since when; None where it cannot."""
    return None if found.proof is None or found.executed_at is None else (Silence.model_validate(found.proof), found.executed_at)


def told(judged: Judgement, at: int) -> dict[str, Any]:
    """What traffic shows, as it is kept."""
    return {
        "verdict": judged.verdict, "at": at, "since": judged.window.since, "until": judged.window.until,
        "sensors": sorted(judged.seen.reports), "acts": list(judged.seen.acts), "unreadable": list(judged.seen.unreadable),
        "doubts": [{"reason": doubt.reason, "sensor": doubt.sensor} for doubt in judged.doubts],
    }  # fmt: skip


def over(session: Session, moment: int) -> Sequence[int]:
    """The actions whose window is over and that were not begun, by id, those that are so longest first."""
    found = sa.select(Action.id).where(_is_over(moment))
    return session.scalars(found.order_by(Action.window_until, Action.id)).all()


def expire(session: Session, identity: int, moment: int) -> int:
    """Let an action expire whose window is over; returns 1 if it was."""
    found = session.scalar(sa.select(Action).where(Action.id == identity, _is_over(moment)))
    if found is None:
        return 0
    _step(found, "expire")
    _moved(session, found, Actor(SYSTEM), "")
    return 1


def _is_over(moment: int) -> sa.ColumnElement[bool]:
    """Whether an action was not begun: one that both approved may have been, and is not told yet."""
    told = sa.and_(Action.state == "operations_approved", Action.window_until >= moment - TOLD_SECONDS * NANOSECONDS)
    return sa.and_(Action.state.in_(lifecycle.WAITING), Action.window_until < moment, sa.not_(told))


def blockers(session: Session, incident: Incident) -> list[dict[str, Any]]:
    """Actions that stand against closing an incident: those that are neither carried out and looked at, nor given up."""
    undone = [each for each in of_incident(session, incident.number) if each.state in lifecycle.UNDONE]
    return [gate.blocker("action", each.id, gate.in_all(each.title), each.state) for each in undone]


def may(session: Session, name: str, permission: Permission, incident: Incident) -> bool:
    """Whether an account has a permission at the site of an incident, as it is now."""
    user = users.account(session, name)
    if user is None or (user.limits is not None and incident.site not in user.limits):
        return False
    return permission in permissions_of(user.role, user.limits)


def _check_may(session: Session, name: str, permission: Permission, incident: Incident) -> None:
    """Raises Problem `forbidden` where the account has lost the permission since its request came in."""
    if not may(session, name, permission, incident):
        raise Problem("forbidden", permission=permission)


def _check_stands(session: Session, name: str | None, permission: Permission, incident: Incident) -> None:
    """Raises Problem `approval_lapsed` where whoever approved could not approve it now."""
    if name is None or not may(session, name, permission, incident):
        raise Problem("approval_lapsed", by=name or "–")


def _step(found: Action, step: Step) -> None:
    after = lifecycle.after(cast("State", found.state), step)
    if after is None:
        raise Problem("action_state", id=found.id, state=found.state, action=step)
    found.state = after


def _moved(  # noqa: PLR0913 - what a move says has a name each
    session: Session,
    found: Action,
    actor: Actor,
    note: str,
    *,
    at: int | None = None,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Write down that an action has come into its state."""
    found.version += 1
    found.moves = [*found.moves, {"state": found.state, "by": actor.name, "at": now(), "note": note}]
    detail: dict[str, Any] = {"action": found.id, "title": found.title, **(more or {})}
    if found.verdict is not None and found.state in {"verified", "failed"}:
        detail["verdict"] = found.verdict
    timeline.write(session, found.incident, actor, f"action_{found.state}", at=at, note=note or None, detail=detail)
    session.flush()
