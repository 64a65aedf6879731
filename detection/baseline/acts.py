"""Who did what to what, in one form for all protocols: records in, distinct acts with their first record and their number out.

Everything later works on these few rows: a poll that comes a thousand times in a batch is one act.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from detection.baseline.readers import DONE, READERS
from detection.gathering import ENGINE, ORDER, gathered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collector.store import RecordBatch

KEY: Final = ("topic", "client", "server", "protocol", "unit", "operation", "access", "point")
"""What makes two records the same act. Texts; null where a protocol has no such thing. topic: what the act tells of, as in
`readers.DONE`."""

FIRST: Final = ORDER
"""Which record showed an act first, in the order of all records of a run."""

ADDRESSES: Final = ("client.ip", "server.ip")
"""Addresses as the record has them, where two addresses are one party."""

SCHEMA: Final = pl.Schema(
    {
        **dict.fromkeys(KEY, pl.String()),
        "hour": pl.Int64(),
        **dict.fromkeys(FIRST, pl.Int64()),
        **dict.fromkeys(ADDRESSES, pl.String()),
        "last": pl.Int64(),
        "count": pl.Int64(),
    }
)
"""Columns of acts. hour: hours since 1970 of its records; last: event time of its latest record; count: its records."""

HOUR_NS: Final = 3_600_000_000_000

HOURS_A_DAY: Final = 24

_NOTHING: Final = pl.DataFrame(schema=SCHEMA)


def acts(batches: Sequence[RecordBatch], mark: int, parties: Mapping[str, str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The distinct acts of each hour in batches of one run, in order of their first records: those before a time, and the rest.

    Args:
        batches: batches of whole cuts.
        mark: event time, nanoseconds since 1970.
        parties: addresses that stand for another: address → the one under which its party is known.
    """
    found = [
        _distinct(topic, reader.read(batch.rows), mark)
        for batch in gathered(batches)
        for topic, reader in READERS.get(batch.header.table, {}).items()
        if reader.has(batch.rows)
    ]
    if not found:
        return _NOTHING, _NOTHING
    whole = pl.concat(found)
    if parties:
        whole = whole.with_columns(pl.col("client", "server").replace(parties))
    # An hour that the mark divides is told twice; what is before the mark stays with what is before.
    late = whole.get_column("last") >= mark
    return _merged(whole.filter(~late)), _merged(whole.filter(late))


def _merged(found: pl.DataFrame) -> pl.DataFrame:
    """Acts of several tables made distinct."""
    if found.is_empty():
        return _NOTHING
    return (
        found.lazy()
        .sort(FIRST)
        .group_by([*KEY, "hour"], maintain_order=True)
        .agg(pl.col(*FIRST, *ADDRESSES).first(), pl.col("last").max(), pl.col("count").sum())
        .select(list(SCHEMA))
        .collect(engine=ENGINE)
    )


def _distinct(topic: str, told: pl.LazyFrame, mark: int) -> pl.DataFrame:
    """The acts of one table about one topic."""
    first = pl.col("event").arg_min()
    key = [name for name in KEY if name != "topic"]
    return (
        told.filter(
            pl.col("client").is_not_null(), pl.col("protocol").is_not_null(), (topic != DONE) | pl.col("server").is_not_null()
        )
        .with_columns(hour=pl.col("event") // HOUR_NS, late=pl.col("event") >= mark)
        .group_by([*key, "hour", "late"])
        .agg(
            pl.col(FIRST).get(first),
            last=pl.col("event").max(),
            count=pl.len().cast(pl.Int64),
        )
        .with_columns(pl.col(key).cast(pl.String), topic=pl.lit(topic))
        .with_columns(pl.col("client").alias("client.ip"), pl.col("server").alias("server.ip"))
        .select(list(SCHEMA))
        .collect(engine=ENGINE)
    )
