"""What detection has learned, and decisions about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from api.audit import service as audit
from api.decisions import service as decisions
from api.problems import Problem
from detection.anomaly.promise import promise_of
from detection.baseline.decisions import CHOICES, Decision
from detection.checkpoint import CHECKPOINT_FILE, CheckpointError, read_learned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from api.audit.service import Actor
    from api.baseline.schemas import DecisionInput
    from api.decisions.models import Decision as Stored
    from api.services import Services
    from detection.remembered import Learned

COMMAND: Final = "command"
"""Where a decision comes from that was left in the data folder by a command, in place of an address."""

LATEST: Final = 50
"""Decisions that are listed."""


def learned(services: Services) -> list[Learned]:
    """What was learned of each sensor's records, and what the models promise, of those heard latest first.

    It is what detection remembers where it runs here, and what its checkpoint holds where it does not. Raises Problem
    `baseline_unknown` where that cannot be read.
    """
    if services.detection is not None:
        runs = services.detection.state.runs.items()
        found = [(run, each.baseline, promise_of(each.anomaly)) for run, each in runs if each.baseline is not None]
    else:
        try:
            _, found = read_learned(services.settings.data / CHECKPOINT_FILE)
        except FileNotFoundError:
            return []
        except CheckpointError as error:
            raise Problem("baseline_unknown") from error
    return sorted(found, key=lambda each: (-each[1].mark, each[0]))


def decide(session: Session, services: Services, asked: DecisionInput, actor: Actor) -> Decision:
    """Write a decision down. Raises Problem `baseline_unknown` or `baseline_changed` where it is about what is no more."""
    if asked.choice in {"propose", "approve"}:
        _check(services, asked)
    decision = Decision(
        asked.choice,
        actor.name,
        asked.reason,
        server=asked.server,
        client=asked.client,
        kind=asked.kind,
        point=asked.point,
        run=(asked.sensor, asked.epoch) if asked.choice in {"propose", "approve"} else (),
        until=asked.learned_until or 0,
        since=asked.since or 0,
        hours=asked.hours,
        with_rare=asked.with_rare,
        parties=tuple(asked.parties),
    )
    leave(session, decision, actor)
    return decision


def adopt(session: Session, taken: Sequence[Decision]) -> None:
    """Write down the decisions that detection has taken up and that a command left, with their entries in the audit trail."""
    for decision in decisions.unknown(session, taken):
        leave(session, decision, audit.Actor(decision.by[:64], COMMAND), taken=True)


def leave(session: Session, decision: Decision, actor: Actor, *, taken: bool = False) -> None:
    """Write a decision down, with its entry in the audit trail."""
    decisions.leave(session, decision, taken=taken)
    audit.record(session, actor, f"baseline.{decision.choice}", decision.id, {"reason": decision.reason, **about(decision)})


def about(decision: Decision) -> dict[str, str]:
    """What a decision is about, as it was given."""
    named = {
        "server": decision.server, "client": decision.client, "kind": decision.kind, "point": decision.point,
        "run": "/".join(decision.run), "parties": ", ".join(decision.parties),
        "hours": str(decision.hours) if decision.choice == "relearn" else "",
        "with_rare": "true" if decision.with_rare else "",
        "unit": decision.unit, "rare": "true" if decision.rare else "", "observed": decision.observed,
    }  # fmt: skip
    return {name: text for name, text in named.items() if text}


def latest(session: Session) -> Sequence[Stored]:
    """The latest decisions, newest first."""
    return decisions.latest(session, CHOICES, LATEST)


def _check(services: Services, asked: DecisionInput) -> None:
    """Whether what is to be proposed or approved is what the person looked at."""
    state = {run: baseline for run, baseline, _ in learned(services)}.get((asked.sensor, asked.epoch))
    if state is None:
        raise Problem("baseline_unknown")
    if asked.choice == "propose":
        fits = state.learns == "live"
    else:
        fits = not state.learns and state.normal.phase == "proposed" and state.normal.until == asked.learned_until
    if not fits:
        raise Problem("baseline_changed")
