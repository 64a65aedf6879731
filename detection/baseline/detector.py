"""The baseline detector: what was not there while normality was learned. Pure: what it remembers is in its state."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import polars as pl

from detection import deviation
from detection.baseline.acts import FIRST, acts
from detection.baseline.facts import KINDS, SCHEMA, added, facts_of, unknown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.store import RecordBatch
    from detection.baseline.facts import Kind

SHOWN: Final = 8
"""Things that a deviation names as normal in its place."""

LATE_PARTS: Final = 3
"""The share of facts that were first seen in the last third of learning tells how much of what comes later will be new anyway."""

PROVISIONAL: Final = 0.7
"""Confidence in a provisional baseline in whose last third nothing new came."""


@dataclass(frozen=True, slots=True)
class BaselineState:
    """What is normal in one run, and what was told as new.

    Attributes:
        start: when learning began, nanoseconds since 1970.
        until: when it ended.
        facts: what was seen so far, with the columns of `facts.SCHEMA`.
        forgotten: facts that were not taken in because there were too many.
    """

    start: int
    until: int
    facts: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=SCHEMA))
    forgotten: int = 0


def step(state: BaselineState, batches: Sequence[RecordBatch]) -> tuple[BaselineState, pl.DataFrame]:
    """Take the batches of whole cuts of one run in; the deviations in order of their records, as rows of table `deviation`.

    A thing that is new is told once a day (UTC), for as long as it is not part of what is normal.
    """
    done = acts(batches, state.until)
    if done.is_empty():
        return state, _NOTHING
    fresh = facts_of(done)
    new = unknown(fresh, state.facts)
    facts, over = added(state.facts, fresh)
    grown = BaselineState(state.start, state.until, facts, state.forgotten + over)
    if new.is_empty() or not facts.get_column("learning").any():
        # Where nothing was learned, everything is new, and nothing can be said of it.
        return grown, _NOTHING
    return grown, _deviations(new, grown)


_NOTHING: Final = pl.DataFrame(schema={**deviation.IDENTITY, **deviation.DEVIATION.schema})


def _deviations(new: pl.DataFrame, state: BaselineState) -> pl.DataFrame:
    """New facts as rows of table `deviation`: of one record the weightiest only."""
    learned = state.facts.filter("learning")
    parties = new.filter(pl.col("kind") == "party").select("client", newcomer=pl.lit(value=True)).unique("client")
    order = pl.col("kind").replace_strict({name: place for place, name in enumerate(KINDS)}, return_dtype=pl.Int8)
    weightiest = (
        new.filter(pl.col("kind") != "party")
        .with_columns(order=order)
        .sort(*FIRST, "order")
        .unique(list(FIRST), keep="first", maintain_order=True)
        .drop("order")
    )
    parts = [
        _with_normal(part, KINDS[str(part.item(0, "kind"))], learned, state)
        for part in weightiest.partition_by("kind", maintain_order=True)
    ]
    talks = learned.filter(pl.col("kind") == "conversation").select("client", "server", "protocol", acquainted=pl.lit(value=True))
    rows = (
        pl.concat(parts)
        .join(parties, on="client", how="left")
        .join(talks, on=["client", "server", "protocol"], how="left")
        .sort(FIRST)
    )
    return rows.select(
        *(pl.col(name).cast(kind) for name, kind in deviation.IDENTITY.items()),
        *(expr.cast(deviation.DEVIATION.schema[name]).alias(name) for name, expr in _COLUMNS.items()),
    )


_MODBUS: Final = pl.col("protocol") == "modbus"

_COLUMNS: Final = {
    "ts": pl.col("event").cast(pl.Datetime("ns", "UTC")),
    "client.ip": pl.col("client"),
    "server.ip": pl.col("server"),
    "deviation.kind": pl.col("kind"),
    "deviation.phase": pl.lit("provisional"),
    "deviation.protocol": pl.col("protocol"),
    "modbus.unit_id": pl.when(_MODBUS).then(pl.col("unit")),
    "deviation.operation": pl.col("operation"),
    "deviation.access": pl.col("access"),
    "deviation.point": pl.col("point"),
    "deviation.newcomer": pl.col("newcomer").fill_null(value=False),
    "deviation.acquainted": pl.col("acquainted").fill_null(value=False),
    "deviation.known": pl.col("known"),
    "deviation.last_normal": pl.col("last_normal").cast(pl.Datetime("ns", "UTC")),
    "deviation.period": pl.col("period").cast(pl.Duration("ns")),
    "deviation.rarity": pl.col("rarity"),
    "deviation.confidence": pl.col("confidence"),
}


def _with_normal(new: pl.DataFrame, kind: Kind, learned: pl.DataFrame, state: BaselineState) -> pl.DataFrame:
    """New facts of one kind with what is normal in their place."""
    same = learned.filter(pl.col("kind") == kind.name)
    normal = (
        same.sort("count", *FIRST, descending=[True, False, False, False])
        .group_by(kind.peers, maintain_order=True)
        .agg(known=pl.col(kind.shown).unique(maintain_order=True).head(SHOWN).str.join(", "), last_normal=pl.col("last").max())
    )
    records = int(learned.filter(pl.col("kind") == "conversation").get_column("count").sum())
    once = same.filter(pl.col("count") == 1).height
    late_from = state.until - (state.until - state.start) // LATE_PARTS
    late = same.filter(pl.col("event") >= late_from).height / same.height if same.height else 0.0
    return new.join(normal, on=list(kind.peers), how="left", nulls_equal=True, maintain_order="left").with_columns(
        period=pl.lit(state.until - state.start, pl.Int64),
        rarity=pl.lit(min(1.0, (once + 1) / (records + 1))),
        confidence=pl.lit(PROVISIONAL * (1 - late)),
    )
