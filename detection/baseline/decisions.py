"""What people decide about what is normal. Decisions come down the stream `control`; applied in order, each at its place."""

from __future__ import annotations

import json
import math
import secrets
import time
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import polars as pl

from detection.anomaly.table import MODELS
from detection.baseline.acts import HOUR_NS
from detection.baseline.facts import NORMAL, added, keyed
from detection.baseline.kinds import IMPLIED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detection.baseline.detector import BaselineState
    from detection.baseline.normality import Normality

Choice = Literal["propose", "approve", "relearn", "merge", "accept"]

CHOICES: Final[tuple[Choice, ...]] = ("propose", "approve", "relearn", "merge", "accept")

TEXT: Final = 1_024
"""Most characters of a text in a decision: as long as the longest point that is recorded, a node identifier."""

RELEARN_HOURS: Final = 24
"""How long is learned anew after a planned change, unless another time is given."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision of a person.

    Attributes:
        choice: propose: live learning ends with this hour. approve: what is proposed is right. relearn: after a planned change,
            what is there since then is normal, what is gone is not, and what comes in the next hours is learned. merge: addresses
            are one party. accept: what was told as new, or set apart as rare, is normal.
        by: name of the person.
        reason: in their words.
        server: address that it is about; "": all.
        client: address that it is about; "": all.
        kind: kind of facts that is accepted, with what that implies (`kinds.IMPLIED`) where no point is named; "": all. Or the
            model whose anomaly is (`anomaly.table.MODELS`).
        point: point, operation or other thing that is accepted; "": all.
        unit: unit identifier of what is accepted; "": all.
        observed: what was seen of an anomaly that is accepted, as it was told.
        value: the same as a number.
        rare: whether only what was set apart as rare while learning is accepted, of just this kind.
        run: sensor and epoch whose normality it is about; empty: all that there are.
        until: end of the learning that was looked at (`Normality.until`): approval holds for no other; 0: for what is proposed.
        since: time of the planned change, nanoseconds since 1970.
        hours: how long to learn after it.
        with_rare: whether approval covers what was rare, too.
        parties: the addresses that are one; facts name the first.
        id: identity of the decision.
        at: when it was taken, nanoseconds since 1970.
    """

    choice: Choice
    by: str
    reason: str = ""
    server: str = ""
    client: str = ""
    kind: str = ""
    point: str = ""
    run: tuple[str, ...] = ()
    until: int = 0
    since: int = 0
    hours: int = RELEARN_HOURS
    with_rare: bool = False
    parties: tuple[str, ...] = ()
    unit: str = ""
    rare: bool = False
    observed: str = ""
    value: float | None = None
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    at: int = field(default_factory=time.time_ns)

    def to_json(self) -> str:
        """The decision as text."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Decision:
        """The decision that `to_json` wrote. Raises ValueError for any other text."""
        try:
            content = cast("Mapping[str, Any]", json.loads(text))
            given: dict[str, Any] = {
                each.name: _read(content[each.name], str(each.type))
                for each in fields(cls)
                if each.name in content or each.name not in _LATER
            }
            decision = cls(**given)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a decision about what is normal: {text[:80]!r}") from error
        if decision.choice not in CHOICES or not decision.by or not 0 <= decision.hours <= 24 * 366:
            raise ValueError(f"not a decision about what is normal: {text[:80]!r}")
        return decision


_LATER: Final = frozenset({"unit", "rare", "observed", "value"})
"""Fields that decisions which were taken before there were these do not have."""


def _read(value: Any, kind: str) -> Any:
    """A value of a decision, of the type that its field has. Raises TypeError."""
    if kind.startswith("tuple"):
        parts = tuple(value)
        if not all(isinstance(part, str) and len(part) <= TEXT for part in parts):
            raise TypeError
        return parts
    if kind == "float | None":
        if value is not None and (type(value) not in {int, float} or not math.isfinite(value)):
            raise TypeError
        return value
    wanted: type = {"int": int, "bool": bool}.get(kind, str)
    if type(value) is not wanted or (wanted is str and len(value) > TEXT):
        raise TypeError
    return value


@dataclass(frozen=True, slots=True)
class Scope:
    """What is learned anew, and until when."""

    server: str
    client: str
    since: int
    """Time of the planned change, nanoseconds since 1970."""
    until: int
    """Event time, nanoseconds since 1970; a full hour."""

    @property
    def holds(self) -> pl.Expr:
        """Whether a fact that was seen now is in it."""
        return in_scope(self.client, self.server) & (pl.col("event") < self.until)

    @property
    def learned(self) -> pl.Expr:
        """Whether a fact was learned in it: its record that showed it first lies in it."""
        return self.holds & pl.col("learned") & (pl.col("event") >= self.since)


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a person took as normal, however rare it is."""

    server: str
    client: str
    kind: str
    point: str
    unit: str = ""
    rare: bool = False

    @property
    def holds(self) -> pl.Expr:
        """Whether a fact is meant."""
        meant = in_scope(self.client, self.server)
        if self.kind:
            implied = () if self.point or self.rare else IMPLIED.get(self.kind, ())
            meant &= pl.col("kind").is_in([self.kind, *implied])
        if self.rare:
            meant &= pl.col("apart")
        if self.unit:
            meant &= (pl.col("unit") == self.unit).fill_null(value=False)
        if self.point:
            meant &= pl.any_horizontal(
                (pl.col(name) == self.point).fill_null(value=False) for name in ("point", "operation", "unit")
            )
        return meant


def in_scope(client: str, server: str) -> pl.Expr:
    """Whether a fact is about these addresses; "" for any."""
    by = pl.lit(value=True) if not client else pl.col("client") == client
    to = (
        pl.lit(value=True)
        if not server
        else (pl.col("server") == server) | (pl.col("server").is_null() & (pl.col("client") == server))
    )
    return by.fill_null(value=False) & to.fill_null(value=False)


def decide(state: BaselineState, decision: Decision, run: tuple[str, str]) -> BaselineState:
    """The state after a decision; the same where it is not about it."""
    if decision.run and decision.run != run:
        return state
    return _CHOSEN[decision.choice](state, decision)


def _propose(state: BaselineState, decision: Decision) -> BaselineState:
    # A run that begins later is not meant.
    return replace(state, ending=True) if state.learns == "live" and decision.run else state


def _approve(state: BaselineState, decision: Decision) -> BaselineState:
    normal = state.normal
    if state.learns or normal.phase != "proposed" or (decision.until and decision.until != normal.until):
        return state
    if not decision.server:
        return replace(state, normal=normal.approved_as(decision.by, decision.at, with_rare=decision.with_rare))
    server = normal.parties.get(decision.server, decision.server)
    facts = normal.facts
    if decision.with_rare:
        facts = facts.with_columns(pl.col("apart") & ~in_scope("", server))
    return replace(state, normal=replace(normal, facts=facts, assets={**normal.assets, server: "enforced"}))


def _accept(state: BaselineState, decision: Decision) -> BaselineState:
    if decision.kind in MODELS:
        # The model that told it takes it in, and no fact is about it.
        return state
    normal = _whole(state)
    server, client = _party(normal, decision.server), _party(normal, decision.client)
    accepted = Accepted(server, client, decision.kind, decision.point, decision.unit, decision.rare)
    facts = normal.facts.with_columns(learned=pl.col("learned") | accepted.holds, apart=pl.col("apart") & ~accepted.holds)
    if accepted.rare:
        # What is like it and is rare in another time of learning is another thing.
        return _with(state, replace(normal, facts=facts))
    others = [each for each in state.accepted if each != accepted]
    return replace(_with(state, replace(normal, facts=facts)), accepted=(*others, accepted)[-ACCEPTED:])


def _relearn(state: BaselineState, decision: Decision) -> BaselineState:
    normal = _whole(state)
    client, server = _party(normal, decision.client), _party(normal, decision.server)
    meant = in_scope(client, server)
    came = meant & ~NORMAL & (pl.col("event") >= decision.since)
    gone = meant & NORMAL & (pl.col("seen") < decision.since)
    facts = normal.facts.with_columns(
        learned=(pl.col("learned") | came) & ~gone,
        apart=pl.col("apart") & ~came,
        # It was not told yet, on whatever day it was seen.
        day=pl.when(gone).then(-1).otherwise("day"),
    )
    scope = Scope(server, client, decision.since, -(-state.mark // HOUR_NS) * HOUR_NS + decision.hours * HOUR_NS)
    assets = {**normal.assets, server: "proposed"} if server and normal.phase == "enforced" else normal.assets
    return replace(_with(state, replace(normal, facts=facts, assets=assets)), scopes=(*state.scopes, scope)[-SCOPES:])


SCOPES: Final = 64
"""Most scopes that are learned anew at a time; beyond that the oldest ends."""

ACCEPTED: Final = 1_000
"""Most things whose acceptance is remembered against a later look for what was rare; beyond that the oldest goes."""

PARTIES: Final = 10_000
"""Most addresses that stand for another."""


def _merge(state: BaselineState, decision: Decision) -> BaselineState:
    if len(decision.parties) < 2:
        return state
    normal = _whole(state)
    first = _party(normal, decision.parties[0])
    named = {**normal.parties, **{other: first for other in decision.parties if other != first}}
    # Whoever stood for an address that now stands for another stands for that.
    parties = {address: named.get(party, party) for address, party in named.items()}
    if len(parties) > PARTIES:
        return state
    renamed = keyed(normal.facts.with_columns(pl.col("client", "server").replace(parties)))
    return _with(state, replace(normal, facts=added(renamed.clear(), renamed), parties=parties))


def _party(normal: Normality, address: str) -> str:
    return normal.parties.get(address, address)


def _whole(state: BaselineState) -> Normality:
    """Normality with what was seen since the last full hour."""
    return replace(state.normal, facts=added(state.normal.facts, state.pending))


def _with(state: BaselineState, normal: Normality) -> BaselineState:
    return replace(state, normal=normal, pending=state.pending.clear())


_CHOSEN: Final = {"propose": _propose, "approve": _approve, "accept": _accept, "relearn": _relearn, "merge": _merge}
