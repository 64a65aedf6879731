"""The baseline detector: what was not there while normality was learned. Pure: what it remembers is in its state."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

import polars as pl

from detection import deviation
from detection.baseline.acts import FIRST, acts
from detection.baseline.facts import KINDS, SCHEMA, added, facts_of, unknown
from detection.baseline.normality import Normality

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.store import RecordBatch
    from detection.baseline.facts import Kind

SHOWN: Final = 8
"""Things that a deviation names as normal in its place."""

TRUST: Final = {"provisional": 0.7, "proposed": 0.85, "enforced": 1.0}
"""Confidence in normality of a phase, were nothing still new at the end of learning."""

NEVER: Final = -(2**63)
"""A time before all."""

SETTLED_NS: Final = 60 * 1_000_000_000
"""A provisional baseline of less says who talks, writes and programs; what is asked, and where, takes a while to show."""

HEARD_SHARE: Final = 2
"""A provisional baseline that heard something over less than half of its time says nothing: as in captures that were joined."""

SLOW_KINDS: Final = ("written_point", "operation", "block")
"""The kinds of facts that take a while to show."""

COMMON_PROTOCOLS: Final = ("dns", "mdns", "llmnr", "netbios_ns", "netbios_dgm", "ntp", "ptp", "dhcp", "ssdp", "syslog")
"""Protocols in which every host asks or tells something; that a controller does says nothing of its role."""


@dataclass(frozen=True, slots=True)
class BaselineState:
    """What is normal in one run, and what was told as new.

    Attributes:
        normal: what is normal, and all that was seen besides it.
        learns: whether what comes before `normal.until` is learned still.
        forgotten: facts that were not taken in because there were too many.
    """

    normal: Normality
    learns: bool = False
    forgotten: int = 0

    @classmethod
    def learning(cls, start: int, until: int) -> Self:
        """A state that learns between two times, nanoseconds since 1970."""
        return cls(Normality(pl.DataFrame(schema=SCHEMA), start, until, until - start, "provisional"), learns=True)


def step(state: BaselineState, batches: Sequence[RecordBatch]) -> tuple[BaselineState, pl.DataFrame]:
    """Take the batches of whole cuts of one run in; the deviations in order of their records, as rows of table `deviation`.

    A thing that is new is told once a day (UTC), for as long as it is not part of what is normal.
    """
    normal = state.normal
    done = acts(batches, normal.until if state.learns else NEVER)
    if done.is_empty():
        return state, _NOTHING
    fresh = facts_of(done)
    new = unknown(fresh, normal.facts)
    facts, over = added(normal.facts, fresh)
    grown = BaselineState(replace(normal, facts=facts), state.learns, state.forgotten + over)
    if new.is_empty() or not _knows(grown.normal):
        # Where nothing was learned, everything is new, and nothing can be said of it.
        return grown, _NOTHING
    return grown, _deviations(new, grown.normal)


def _knows(normal: Normality) -> bool:
    """Whether enough was heard to say what is new."""
    learned = normal.facts.filter("learning")
    if learned.is_empty() or normal.phase != "provisional":
        return not learned.is_empty()
    first, last = learned.select(pl.col("event").min(), pl.col("last").max()).row(0)
    return HEARD_SHARE * int(last - first) >= normal.learned_ns


_NOTHING: Final = pl.DataFrame(schema={**deviation.IDENTITY, **deviation.DEVIATION.schema})


def _deviations(new: pl.DataFrame, normal: Normality) -> pl.DataFrame:
    """New facts as rows of table `deviation`: of one record the weightiest only."""
    normal = replace(normal, facts=normal.facts.filter("learning"))
    learned = normal.facts
    parties = new.filter(pl.col("kind") == "party").select("client", newcomer=pl.lit(value=True)).unique("client")
    order = pl.col("kind").replace_strict({name: place for place, name in enumerate(KINDS)}, return_dtype=pl.Int8)
    settled = normal.phase != "provisional" or normal.learned_ns >= SETTLED_NS
    weightiest = (
        new.filter(pl.col("kind") != "party")
        .with_columns(order=order)
        .sort(*FIRST, "order")
        .unique(list(FIRST), keep="first", maintain_order=True)
        .drop("order")
        .filter(pl.lit(settled) | ~pl.col("kind").is_in(SLOW_KINDS))
    )
    if weightiest.is_empty():
        return _NOTHING
    parts = [
        _with_normal(part, KINDS[str(part.item(0, "kind"))], normal)
        for part in weightiest.partition_by("kind", maintain_order=True)
    ]
    talks = learned.filter(pl.col("kind") == "conversation").select("client", "server", "protocol", acquainted=pl.lit(value=True))
    rows = (
        pl.concat(parts)
        .with_columns(answered_only=pl.col("client").is_in(_answering_only(learned).implode()))
        .join(parties, on="client", how="left")
        .join(talks, on=["client", "server", "protocol"], how="left")
        .sort(FIRST)
    )
    return rows.select(
        *(pl.col(name).cast(kind) for name, kind in deviation.IDENTITY.items()),
        *(expr.cast(deviation.DEVIATION.schema[name]).alias(name) for name, expr in _COLUMNS.items()),
    )


def _answering_only(learned: pl.DataFrame) -> pl.Series:
    """Hosts that answered while normality was learned and asked nobody, as controllers do."""
    talks = learned.filter(pl.col("kind") == "conversation", ~pl.col("protocol").is_in(COMMON_PROTOCOLS))
    return talks.filter(~pl.col("server").is_in(talks.get_column("client").implode())).get_column("server").unique()


_MODBUS: Final = pl.col("protocol") == "modbus"

_COLUMNS: Final = {
    "ts": pl.col("event").cast(pl.Datetime("ns", "UTC")),
    "client.ip": pl.col("client"),
    "server.ip": pl.col("server"),
    "deviation.kind": pl.col("kind"),
    "deviation.phase": pl.col("phase"),
    "deviation.protocol": pl.col("protocol"),
    "modbus.unit_id": pl.when(_MODBUS).then(pl.col("unit")),
    "deviation.operation": pl.col("operation"),
    "deviation.access": pl.col("access"),
    "deviation.point": pl.col("point"),
    "deviation.newcomer": pl.col("newcomer").fill_null(value=False),
    "deviation.acquainted": pl.col("acquainted").fill_null(value=False),
    "deviation.answered_only": pl.col("answered_only"),
    "deviation.known": pl.col("known"),
    "deviation.last_normal": pl.col("last_normal").cast(pl.Datetime("ns", "UTC")),
    "deviation.period": pl.col("period").cast(pl.Duration("ns")),
    "deviation.rarity": pl.col("rarity"),
    "deviation.confidence": pl.col("confidence"),
}


def _with_normal(new: pl.DataFrame, kind: Kind, normal: Normality) -> pl.DataFrame:
    """New facts of one kind with what is normal in their place."""
    same = normal.facts.filter(pl.col("kind") == kind.name)
    known = (
        same.sort("count", *FIRST, descending=[True, False, False, False])
        .group_by(kind.peers, maintain_order=True)
        .agg(known=pl.col(kind.shown).unique(maintain_order=True).head(SHOWN).str.join(", "), last_normal=pl.col("last").max())
    )
    records = int(normal.facts.filter(pl.col("kind") == "conversation").get_column("count").sum())
    once = same.filter(pl.col("count") == 1).height
    return new.join(known, on=list(kind.peers), how="left", nulls_equal=True, maintain_order="left").with_columns(
        phase=pl.lit(normal.phase),
        period=pl.lit(normal.learned_ns, pl.Int64),
        rarity=pl.lit(min(1.0, (once + 1) / (records + 1))),
        confidence=pl.lit(TRUST[normal.phase] * (1 - normal.novelty()[kind.name])),
    )
