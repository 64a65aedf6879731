"""What is normal, as the API shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.baseline.schemas import (
    BaselineOutput,
    DecisionOutput,
    FactLine,
    FactLines,
    KindCount,
    PromiseOutput,
    Relearning,
)
from api.baseline.service import about
from api.times import iso
from detection.baseline.decisions import Decision
from detection.baseline.difference import drifted, shown, summed
from detection.baseline.learning import immaturity

if TYPE_CHECKING:
    import polars as pl

    from api.decisions.models import Decision as Stored
    from detection.anomaly.promise import Promise
    from detection.remembered import Learned


def output(site: str, learned: Learned, days: int) -> BaselineOutput:
    """What is normal in the records of one sensor of a site; `days` unseen is long."""
    run, state, promise = learned
    normal = state.whole
    counts = dict(normal.normal.get_column("kind").value_counts().rows())
    gone, come = drifted(normal, days)
    return BaselineOutput(
        site=site,
        sensor=run[0],
        epoch=run[1],
        learning=bool(state.learns),
        phase=normal.phase,
        immaturity=immaturity(normal),
        heard_hours=state.heard_hours,
        learned_from=iso(normal.start),
        learned_until=iso(normal.until),
        approved_by=normal.approved_by,
        approved_at=iso(normal.approved) if normal.approved else None,
        assets={address: str(phase) for address, phase in sorted(normal.assets.items())},
        parties=dict(sorted(normal.parties.items())),
        relearning=[
            Relearning(client=each.client, server=each.server, since=iso(each.since), until=iso(each.until))
            for each in state.scopes
        ],
        counts=[KindCount(kind=kind, facts=counts.get(kind, 0), new=share) for kind, share in normal.novelty().items()],
        promise=None if promise is None else _promise(promise),
        normal=_lines(shown(normal.normal)),
        rare=_lines(shown(normal.facts.filter("apart"))),
        gone=_lines(gone),
        come=_lines(come),
    )


def _promise(promise: Promise) -> PromiseOutput:
    return PromiseOutput(
        promised=promise.promised,
        measured=promise.measured,
        history_hours=promise.history_hours,
        heard_hours=promise.heard_hours,
        minutes=promise.minutes,
        hours=promise.hours,
        alarmed_hours=promise.alarmed,
        holds=promise.broken is None,
        broken_since=None if promise.broken is None else iso(promise.broken),
    )


def decision(site: str, decided: Decision, *, waiting: bool) -> DecisionOutput:
    """A decision about what is normal at a site."""
    return DecisionOutput(
        id=decided.id, site=site, choice=decided.choice, by=decided.by, at=iso(decided.at), reason=decided.reason,
        about=about(decided), waiting=waiting,
    )  # fmt: skip


def stored(found: Stored, waiting: set[str]) -> DecisionOutput:
    """A decision as it is stored; of one that cannot be read, who took it and when."""
    held = found.id in waiting
    try:
        return decision(found.site, Decision.from_json(found.content), waiting=held)
    except ValueError:
        said = {"id": found.id, "site": found.site, "choice": found.choice, "by": found.by, "at": iso(found.at), "reason": ""}
        return DecisionOutput.model_validate({**said, "about": {}, "waiting": held})


def _lines(facts: pl.DataFrame) -> FactLines:
    rows, more = summed(facts)
    lines = [
        FactLine(
            kind=row["kind"], client=row["client"], protocol=row["protocol"], server=row["first"], servers=row["servers"],
            thing=row["thing"], things=row["things"], facts=row["count"],
        )
        for row in rows
    ]  # fmt: skip
    return FactLines(lines=lines, more=more)
