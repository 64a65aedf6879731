"""Values of points: what each row of table `point` says about its range, its steps, how long it stays and who reads it.

A point has a row when it changes and once a minute, whoever reads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from detection.anomaly import keyed
from detection.anomaly.extremes import Scale
from detection.anomaly.rounding import divided
from detection.gathering import ENGINE, ORDER, gathered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collector.store import RecordBatch

SCALES: Final[Mapping[str, Scale]] = {
    # A constant that changes is outside by as much as it moves: in units of 2 % of itself, or of 1 where it was 0.
    "value": Scale("both", share=0.02),
    "step": Scale("upper"),
    "steady": Scale("upper", least=60.0, most=600.0),
    # A share of the value.
    "readers": Scale("upper", least=0.02),
}
"""The models of this module."""

SILENCE_NS: Final = 150_000_000_000
"""After a longer pause nothing is said of what lies between two rows: a point that is read has one a minute at least."""

READERS_NS: Final = 2_000_000_000
"""Two clients that read a point within this time should read the same."""

LATEST: Final = pl.Schema(
    {
        "key": pl.UInt64(), "server": pl.Categorical(), "point": pl.Categorical(), "client": pl.Categorical(),
        "number": pl.Float64(), "ts": pl.Int64(), "since": pl.Int64(),
    }
)  # fmt: skip
"""Columns of the latest row of each point. since: time of the row since which it has not changed."""


def rows_of(batches: Sequence[RecordBatch]) -> pl.DataFrame:
    """The rows of table `point` in batches of one run, in order, keyed by server and point."""
    for batch in gathered(batches):
        if batch.header.table == "point" and batch.rows.height:
            return (
                batch.rows.lazy()
                .filter(pl.col("point.number").is_finite())
                .select(
                    point_key(pl.col("server.ip"), pl.col("point.id")).alias("key"),
                    *ORDER,
                    ts=pl.col("ts").dt.epoch("ns"),
                    client="client.ip",
                    server="server.ip",
                    point="point.id",
                    number="point.number",
                )
                .collect(engine=ENGINE)
            )
    return ROWS


def point_key(server: pl.Expr, point: pl.Expr) -> pl.Expr:
    """A point's key, for this process only."""
    return server.hash(1) ^ point.hash(2)


ROWS: Final = pl.DataFrame(
    schema={
        "key": pl.UInt64(), "event": pl.Int64(), "sequence": pl.Int64(), "row": pl.Int64(), "ts": pl.Int64(),
        "client": pl.Categorical(), "server": pl.Categorical(), "point": pl.Categorical(), "number": pl.Float64(),
    }
)  # fmt: skip
"""No rows of points."""


def features(carried: pl.DataFrame, rows: pl.DataFrame) -> tuple[dict[str, pl.DataFrame], pl.DataFrame, pl.DataFrame]:
    """What each model is to look at, the latest row of each of these points afterwards, and the rows with what was before them.

    Those rows are in order within each point, all of a point together, with columns `before` and `step`: the number of the row
    before, where that is no longer ago than SILENCE_NS, and how far this one is from it.

    Args:
        carried: latest rows of points before, with the columns of LATEST, in order of the key.
        rows: what `rows_of` gave.
    """
    if rows.is_empty():
        return {}, carried.clear(), rows.with_columns(before=pl.lit(None, pl.Float64), step=pl.lit(None, pl.Float64))
    before = keyed.rows_of(carried, rows.get_column("key").unique()).lazy().with_columns(fresh=pl.lit(value=False))
    same = pl.col("key") == pl.col("key").shift()
    pause = pl.col("ts") - pl.col("ts").shift()
    spoken = same.fill_null(value=False) & (pause <= SILENCE_NS)
    before_ = pl.col("number").shift()
    step = (pl.col("number") - before_).abs()
    told = (
        pl.concat([before, rows.lazy().with_columns(fresh=pl.lit(value=True), since=pl.lit(None, pl.Int64))], how="diagonal")
        .sort("key", maintain_order=True)
        .with_columns(
            spoken=spoken,
            step=pl.when(spoken).then(step),
            before=pl.when(spoken).then(before_),
            other=spoken & (pause <= READERS_NS) & (pl.col("client") != pl.col("client").shift()),
        )
        .with_columns(since=pl.when(pl.col("fresh") & ((pl.col("step") != 0) | ~pl.col("spoken"))).then("ts").otherwise("since"))
        .with_columns(pl.col("since").forward_fill())
    )
    latest = told.filter(pl.col("key").ne_missing(pl.col("key").shift(-1))).select(list(LATEST))
    named = ["key", "event", "sequence", "row", "ts", "client", "server", "point"]
    differs = pl.col("step") / pl.max_horizontal(pl.col("number").abs(), (pl.col("number") - pl.col("step")).abs())
    steady = divided(pl.col("ts") - pl.col("since"), 1e9).clip(0)
    # A time is over when the value changes; until then it is judged each minute and counts for nothing.
    over = pl.when(pl.col("step") > 0).then(steady.shift())
    earlier = pl.when(pl.col("since") == pl.col("since").shift()).then(steady.shift())
    apart = pl.when("other").then(differs).otherwise(0.0).fill_nan(0.0)
    known = told.with_columns(steady=steady, over=over, earlier=earlier, apart=apart).filter("fresh")
    known, latest = pl.collect_all([known, latest], engine=ENGINE)
    each = pl.DataFrame([known.get_column(name) for name in named])

    def rows_with(**columns: str) -> pl.DataFrame:
        return each.hstack([known.get_column(name).alias(column) for column, name in columns.items()])

    steps = rows_with(value="step")
    found = {
        "value": rows_with(value="number"),
        "step": steps.filter(pl.col("value") > 0),
        "steady": rows_with(earlier="earlier", value="over", judged="steady"),
        "readers": rows_with(value="apart"),
    }
    return found, latest, known
