"""What detection has learned, and decisions about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from api.audit import service as audit
from api.decisions import service as decisions
from api.problems import Problem
from api.site import service as site
from detection.baseline.decisions import CHOICES, Decision
from detection.checkpoint import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from api.audit.service import Actor
    from api.baseline.schemas import DecisionInput
    from api.decisions.models import Decision as Stored
    from api.services import Services
    from detection.remembered import Learned

OF_RUN: Final = frozenset({"propose", "approve"})
"""Decisions about the records of one sensor, of which what was learned tells the site."""

COMMAND: Final = "command"
"""Where a decision comes from that was left in the data folder by a command, in place of an address."""


def learned(services: Services) -> list[tuple[str, Learned]]:
    """What was learned of each sensor's records, and what the models promise, with its site, of those heard latest first.

    Of the sites that the caller may see.

    Raises Problem `baseline_unknown` where that cannot be read.
    """
    try:
        of_sites = services.learned()
    except CheckpointError as error:
        raise Problem("baseline_unknown") from error
    holds = services.database.scope.holds
    found = [(site_name, each) for site_name, known in of_sites.items() if holds(site_name) for each in known]
    return sorted(found, key=lambda each: (-each[1][1].mark, each[0], each[1][0]))


def decide(session: Session, services: Services, asked: DecisionInput, actor: Actor, found: str | None) -> tuple[str, Decision]:
    """Write a decision down, and answer its site and the decision.

    Args:
        session: the session.
        services: the services.
        asked: what is decided.
        actor: who decides.
        found: the site, as `looked_at` answers.

    Raises Problem `site_unknown` or `site_missing` where it is not known which site is meant.
    """
    site_name = site.meant(session, services, asked.site) if found is None else found
    decision = Decision(
        asked.choice,
        actor.name,
        asked.reason,
        server=asked.server,
        client=asked.client,
        kind=asked.kind,
        point=asked.point,
        run=(asked.sensor, asked.epoch) if asked.choice in OF_RUN else (),
        until=asked.learned_until or 0,
        since=asked.since or 0,
        hours=asked.hours,
        with_rare=asked.with_rare,
        parties=tuple(asked.parties),
    )
    leave(session, decision, site_name, actor)
    return site_name, decision


def adopt(session: Session, taken: Sequence[Decision], site_name: str) -> None:
    """Write down which decisions detection has taken up at a site; those that a command left get entries in the audit trail."""
    for decision in decisions.take_up(session, taken):
        leave(session, decision, site_name, audit.Actor(decision.by[:64], COMMAND), taken=True)


def leave(session: Session, decision: Decision, site_name: str, actor: Actor, *, taken: bool = False) -> None:
    """Write a decision about a site down, with its entry in the audit trail."""
    decisions.leave(session, decision, site_name, taken=taken)
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


def latest(session: Session, cursor: str | None, limit: int) -> tuple[Sequence[Stored], str | None]:
    """One page of the decisions, newest first, and the cursor of the next one. Raises Problem `cursor_invalid`."""
    return decisions.latest(session, CHOICES, cursor, limit)


def looked_at(services: Services, asked: DecisionInput) -> str | None:
    """The site of a decision, where what was learned tells it; else None.

    That is so of what is to be proposed or approved, which is what the person looked at, and of a site of which nothing else is
    known.

    What was learned is read for that, which may take long: no session that writes is open meanwhile. Whoever decides about the
    same is not kept out by one either: it is detection that takes decisions up, in their order.

    Raises Problem `baseline_unknown` or `baseline_changed` where it is about what is no more.
    """
    if asked.choice not in OF_RUN:
        return asked.site if asked.site is not None and _only_learned(services, asked.site) else None
    # Two sites may have read the same capture.
    of_runs = {run: (name, state) for name, (run, state, _) in learned(services) if asked.site in {None, name}}
    if (asked.sensor, asked.epoch) not in of_runs:
        raise Problem("baseline_unknown")
    site_name, state = of_runs[asked.sensor, asked.epoch]
    if asked.choice == "propose":
        fits = state.learns == "live"
    else:
        fits = not state.learns and state.normal.phase == "proposed" and state.normal.until == asked.learned_until
    if not fits:
        raise Problem("baseline_changed")
    return site_name


def _only_learned(services: Services, name: str) -> bool:
    """Whether something was learned at a site of which nothing else is known."""
    if services.site is not None:
        return False
    with services.database.read() as session:
        known = site.names(session)
    return name not in known and any(each == name for each, _ in learned(services))
