"""The baseline detector: what was not there while normality was learned. Pure: what it remembers is in its state.

Time goes in hours. What is seen in an hour waits beside the facts and is taken in at its end, when learning may end, too; what a
deviation says of normality rests on the facts alone. So the same records give the same deviations however they are cut.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal, Self

import polars as pl

from detection.baseline import rarity
from detection.baseline.acts import FIRST, HOUR_NS, acts
from detection.baseline.decisions import Accepted, Scope, decide
from detection.baseline.deviations import NOTHING, Strangers, deviations, overflow_row, rare_rows
from detection.baseline.facts import FACTS, NORMAL, NOT_NORMAL, SCHEMA, SHARE, added, facts_of, held, unknown
from detection.baseline.kinds import GRAVE
from detection.baseline.learning import SEED_NS, ends
from detection.baseline.normality import Normality
from detection.site import Learning

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collector.store import RecordBatch
    from detection.baseline.decisions import Decision

NEW_AN_HOUR: Final = 1_000
"""New facts of a kind that are taken in and told in an hour once learning has ended; beyond that they are counted, and one
deviation of kind `overflow` tells of it: whoever makes a million addresses costs no memory."""

DEFAULT: Final = Learning()


@dataclass(frozen=True, slots=True)
class BaselineState:
    """What is normal in one run, and what was told as new.

    Attributes:
        normal: what is normal, and all that was seen besides it, up to the last full hour.
        pending: facts since then.
        mark: event time at which they are taken in, nanoseconds since 1970.
        learns: span: until the mark; live: until it is mature; "": no more.
        heard_hours: hours with records that were learned from live.
        told: new facts since the last full hour, by kind.
        ending: whether live learning shall end with this hour.
        scopes: what is learned anew after planned changes.
        accepted: what people took as normal: it is not looked at for how rare it was.
        forgotten: facts that were not taken in, or let go, because there were too many.
        decided: decisions that were taken in.
    """

    normal: Normality
    pending: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=SCHEMA))
    mark: int = 0
    learns: Literal["", "span", "live"] = ""
    heard_hours: int = 0
    told: Mapping[str, int] = field(default_factory=dict[str, int])
    ending: bool = False
    scopes: tuple[Scope, ...] = ()
    accepted: tuple[Accepted, ...] = ()
    forgotten: int = 0
    decided: int = 0

    @classmethod
    def learning(cls, start: int, until: int) -> Self:
        """A state that learns between two times, nanoseconds since 1970."""
        return cls(Normality(_NO_FACTS, start, until, until - start, "provisional"), mark=until, learns="span")

    @classmethod
    def live(cls, site: str = "") -> Self:
        """A state that learns from the first act on until what comes is no longer new."""
        return cls(Normality(_NO_FACTS, 0, 0, 0, "provisional", site), learns="live")

    @property
    def known_from(self) -> int:
        """Event time from which on it is known what is normal; all of a run where that does not come with the run."""
        if self.learns == "live":
            return 2**63 - 1
        return self.normal.until if self.heard_hours or self.normal.phase == "provisional" else 0

    @property
    def whole(self) -> Normality:
        """What is normal, with what was seen since the last full hour."""
        return replace(self.normal, facts=added(self.normal.facts, self.pending))


_NO_FACTS: Final = pl.DataFrame(schema=SCHEMA)


def step(
    state: BaselineState, batches: Sequence[RecordBatch], decisions: Sequence[Decision] = (), limits: Learning = DEFAULT
) -> tuple[BaselineState, pl.DataFrame]:
    """Take the batches of whole cuts of one run in; the deviations in order of their records, as rows of table `deviation`.

    A thing that is new is told once a day (UTC), for as long as it is not part of what is normal.

    Args:
        state: the state before.
        batches: batches of one run.
        decisions: all decisions of people that hold for these batches, in order; those taken in before are passed over.
        limits: when live learning ends.
    """
    for decision in decisions[state.decided :]:
        state = decide(state, decision, batches[0].header.run)
    state = replace(state, decided=max(state.decided, len(decisions)))
    now, later = acts(batches, state.mark, state.normal.parties)
    if state.mark == 0 and state.learns == "live" and later.height:
        start = int(later.item(0, "event"))
        state = replace(state, normal=replace(state.normal, start=start, until=start), mark=start + SEED_NS)
        now, later = acts(batches, state.mark, state.normal.parties)
    state, rows = _absorbed(state, now)
    found = [rows]
    while later.height:
        state, rows = _closed(state, later.row(0, named=True), limits)
        found.append(rows)
        this = pl.col("hour") == later.item(0, "hour")
        state, rows = _absorbed(replace(state, mark=(later.item(0, "hour") + 1) * HOUR_NS), later.filter(this))
        later = later.filter(~this)
        found.append(rows)
    told = [rows for rows in found if rows.height]
    return state, pl.concat(told) if told else NOTHING


def _absorbed(state: BaselineState, done: pl.DataFrame) -> tuple[BaselineState, pl.DataFrame]:
    """Take in acts that lie before the mark."""
    if done.is_empty():
        return state, NOTHING
    normal = state.normal
    fresh = facts_of(done, learned=bool(state.learns))
    if state.scopes:
        again = pl.any_horizontal(scope.holds for scope in state.scopes)
        fresh = fresh.with_columns(learned=pl.col("learned") | again)
    known = [normal.facts, state.pending]
    new = unknown(fresh, known) if not state.learns else _absent(fresh, known)
    kept, over, told = _bounded(state, new)
    if over.height:
        fresh = fresh.join(over.select("key"), on="key", how="anti", maintain_order="left")
    grown = replace(
        state, pending=added(state.pending, fresh.select(list(SCHEMA))), told=told, forgotten=state.forgotten + over.height
    )
    rows: list[pl.DataFrame] = []
    if over.height and not _overflowed(state):
        rows.append(overflow_row(over.row(0, named=True), normal))
    if state.learns != "span":
        # Of what is being learned only grave things are told.
        told_now = kept.filter(~pl.col("learned") | pl.col("kind").is_in(GRAVE))
        rows.append(deviations(told_now, normal, _strangers(state)))
    shown = [each for each in rows if each.height]
    return grown, pl.concat(shown).sort(FIRST, maintain_order=True) if shown else NOTHING


def _strangers(state: BaselineState) -> Strangers | None:
    """Who is a stranger for a day: whoever came while normality was learned live, until a person approves of it."""
    if (state.learns != "live" and not state.heard_hours) or state.normal.phase == "enforced":
        return None
    return Strangers(state.normal.start + SEED_NS, _accepted(state))


def _accepted(state: BaselineState) -> pl.Expr:
    """Condition on facts that people took as normal."""
    return pl.any_horizontal(each.holds for each in state.accepted) if state.accepted else pl.lit(value=False)


def _absent(fresh: pl.DataFrame, known: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Fresh facts that were never seen, each once, in their order."""
    before = pl.concat(held(fresh, part).select("key") for part in known)
    first = fresh.sort(FIRST, maintain_order=True).unique("key", keep="first", maintain_order=True)
    return first.join(before, on="key", how="anti", maintain_order="left")


_OVER: Final = "overflow"
"""Mark in `BaselineState.told` that the bound was reached in this hour."""


def _overflowed(state: BaselineState) -> bool:
    return state.told.get(_OVER, 0) > 0


def _bounded(state: BaselineState, new: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, Mapping[str, int]]:
    """New facts for which there is room, those for which there is none, and how many of each kind there were in this hour."""
    if new.is_empty():
        return new, new, state.told
    room = {kind: _room(state, kind) for kind in new.get_column("kind").unique()}
    place = pl.int_range(pl.len()).over("kind")
    fits = place < pl.col("kind").replace_strict(room, return_dtype=pl.Int64)
    marked = new.with_columns(fits=fits)
    kept, over = marked.filter("fits").drop("fits"), marked.filter(~pl.col("fits")).drop("fits")
    if state.learns:
        left = max(0, FACTS - state.normal.facts.height - state.pending.height)
        over = pl.concat([over, kept.slice(left)])
        kept = kept.head(left)
    counts = dict(kept.get_column("kind").value_counts().rows())
    told = {kind: state.told.get(kind, 0) + int(counts.get(kind, 0)) for kind in sorted({*state.told, *counts})}
    return kept, over, told if over.is_empty() else {**told, _OVER: 1}


def _room(state: BaselineState, kind: str) -> int:
    """How many more new facts of a kind are taken in."""
    if not state.learns:
        return NEW_AN_HOUR - state.told.get(kind, 0)
    there = sum(int((part.get_column("kind") == kind).sum()) for part in (state.normal.facts, state.pending))
    return int(FACTS * SHARE) - there


def _closed(state: BaselineState, first: Mapping[str, object], limits: Learning) -> tuple[BaselineState, pl.DataFrame]:
    """Take in what waited until the mark, at the first act after it; what was rare is told when learning ends."""
    facts, let_go = _remembered(added(state.normal.facts, state.pending))
    normal = replace(state.normal, facts=facts)
    over = [scope for scope in state.scopes if scope.until <= state.mark]
    state = replace(
        state,
        normal=normal,
        pending=state.pending.clear(),
        told={},
        forgotten=state.forgotten + let_go,
        scopes=tuple(scope for scope in state.scopes if scope.until > state.mark),
    )
    ended = state.learns == "span"
    if state.learns == "live":
        heard = state.heard_hours + (state.mark % HOUR_NS == 0)
        # The first hour is heard in part: taken for a whole one, so little would look as if nothing were known in the next.
        normal = replace(normal, until=state.mark, learned_ns=min(heard * HOUR_NS, state.mark - normal.start))
        ended = ends(normal, heard, limits) or (state.ending and heard > 0)
        state = replace(state, normal=replace(normal, phase="proposed") if ended else normal, heard_hours=heard)
    known_at = int(str(first["event"]))
    if ended:
        state, rows = _judged(replace(state, learns="", ending=False), pl.col("learned"), state.normal.learned_ns, known_at)
        return state, rows
    found: list[pl.DataFrame] = []
    for scope in () if state.learns else over:
        state, rows = _judged(state, scope.learned, scope.until - scope.since, known_at)
        found.append(rows)
    told = [rows for rows in found if rows.height]
    return state, pl.concat(told) if told else NOTHING


def _judged(state: BaselineState, learned: pl.Expr, learned_ns: int, known_at: int) -> tuple[BaselineState, pl.DataFrame]:
    """Set apart what was rare of what has been learned, and tell it; not what people took as normal.

    Args:
        state: the state, with all facts taken in.
        learned: which facts are asked about.
        learned_ns: how long they were learned, nanoseconds.
        known_at: event time at which it could be known, nanoseconds since 1970.
    """
    facts = state.normal.facts
    rare = learned & ~pl.col("apart") & ~_accepted(state) & pl.col("key").is_in(rarity.rare(facts, learned_ns).implode())
    normal = replace(state.normal, facts=facts.with_columns(apart=pl.col("apart") | rare))
    newly = facts.filter(rare).with_columns(apart=pl.lit(value=True))
    return replace(state, normal=normal), rare_rows(rarity.told(newly), normal, known_at)


def _remembered(facts: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """The facts without those for which there is no room: of what is not normal, what was not seen longest; and how many went."""
    over = facts.height - int(facts.select(NORMAL.sum()).item()) - NOT_NORMAL
    if over <= 0:
        return facts, 0
    gone = facts.filter(~NORMAL).sort("seen", *FIRST, *SCHEMA.names()[1:2]).head(over)
    return facts.join(gone.select("key"), on="key", how="anti", maintain_order="left"), over
