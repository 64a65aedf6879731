"""Windows of points: how often each changes in five minutes, where and how widely its values lie, and what its lowest bit does.

The mean and the spread stand for the histogram of a window: they move where it is shifted, narrowed or widened, and need neither
bins nor a range that is known beforehand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from detection.anomaly.extremes import Scale
from detection.gathering import ENGINE

if TYPE_CHECKING:
    from collections.abc import Mapping

PERIOD_NS: Final = 300_000_000_000
"""Length of a window; a day is a whole number of them."""

SCALES: Final[Mapping[str, Scale]] = {
    "rate": Scale("both", least=2.0, share=0.1, mature=4),
    "level": Scale("both", share=0.01, mature=4),
    "spread": Scale("both", share=0.1, mature=4),
    "low_bits": Scale("both", least=0.1, mature=4),
}
"""The models of this module."""

CHANGES: Final = 12
"""Changes within a window from which on it has a mean, a spread and bits that say something."""

OPEN: Final = pl.Schema(
    {
        "key": pl.UInt64(), "window": pl.Int64(), "client": pl.Categorical(), "server": pl.Categorical(),
        "point": pl.Categorical(), "changes": pl.Int64(), "total": pl.Float64(), "squares": pl.Float64(),
        "zeros": pl.Int64(), "ones": pl.Int64(), "rises": pl.Int64(), "falls": pl.Int64(),
        "sequence": pl.Int64(), "row": pl.Int64(), "ts": pl.Int64(),
    }
)  # fmt: skip
"""Columns of a point's window. changes: values other than that before; total, squares: sums over them; zeros, ones, rises, falls:
how often the lowest bit of a whole number stayed 0, stayed 1, became 1, became 0; sequence, row, ts: of its last row."""

NOTHING: Final = pl.DataFrame(schema=OPEN)

_SUMS: Final = ("changes", "total", "squares", "zeros", "ones", "rises", "falls")


def counted(open_: pl.DataFrame, rows: pl.DataFrame, until: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The windows of points that are over, in order, and those that are not.

    Args:
        open_: windows that were not over before, with the columns of OPEN.
        rows: rows of points as `points.features` knows them, each with `step` and the number before it.
        until: event time up to which all rows are known.
    """
    whole = (pl.col("number") % 1 == 0) & (pl.col("before") % 1 == 0)
    bit, last = pl.col("number") % 2 != 0, pl.col("before") % 2 != 0
    changed = (pl.col("step") > 0).fill_null(value=False)
    # Sums must not depend on where records are cut: whole numbers add up exactly, others nearly so in half the digits.
    number = pl.when(changed).then(pl.col("number").cast(pl.Float32).cast(pl.Float64))
    fresh = (
        rows.lazy()
        .group_by("key", window=pl.col("event") // PERIOD_NS, maintain_order=True)
        .agg(
            pl.col("client", "server", "point").first(),
            changes=changed.sum().cast(pl.Int64),
            total=number.sum(),
            squares=(number * number).sum(),
            zeros=(changed & whole & ~bit & ~last).sum().cast(pl.Int64),
            ones=(changed & whole & bit & last).sum().cast(pl.Int64),
            rises=(changed & whole & bit & ~last).sum().cast(pl.Int64),
            falls=(changed & whole & ~bit & last).sum().cast(pl.Int64),
            sequence=pl.col("sequence").last(),
            row=pl.col("row").last(),
            ts=pl.col("ts").last(),
        )
        .collect(engine=ENGINE)
    )
    touched = open_.get_column("key").is_in(fresh.get_column("key").implode())
    both = (
        pl.concat([open_.filter(touched).lazy(), fresh.lazy().select(list(OPEN))])
        .group_by("key", "window", maintain_order=True)
        .agg(pl.col("client", "server", "point").first(), pl.col(_SUMS).sum(), pl.col("sequence", "row", "ts").last())
        .select(list(OPEN))
        .collect(engine=ENGINE)
    )
    held = pl.concat([open_.filter(~touched), both])
    over = (held.get_column("window") + 1) * PERIOD_NS <= until
    return (held.filter(over).sort("window", "server", "point"), held.filter(~over)) if over.any() else (held.clear(), held)


def features(over: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """What each model of windows is to look at."""
    if over.is_empty():
        return {}
    named = ["key", "event", "sequence", "row", "ts", "client", "server", "point"]
    many = pl.col("changes") >= CHANGES
    mean = pl.col("total") / pl.col("changes")
    variance = (pl.col("squares") / pl.col("changes") - mean * mean).clip(0)
    # What cancellation leaves of numbers of sixteen digits is no spread.
    spread = pl.when(variance > 1e-12 * mean * mean).then(variance.sqrt()).otherwise(0.0)
    bits = pl.sum_horizontal("zeros", "ones", "rises", "falls")
    known = over.with_columns(event=(pl.col("window") + 1) * PERIOD_NS)
    return {
        "rate": known.select(*named, value=pl.col("changes").cast(pl.Float64)),
        "level": known.filter(many).select(*named, value=mean.round_sig_figs(9)),
        "spread": known.filter(many).select(*named, value=spread.round_sig_figs(6)),
        "low_bits": known.filter(bits >= CHANGES).select(*named, value=_entropy(bits)),
    }


def _entropy(bits: pl.Expr) -> pl.Expr:
    """Bits of information in two lowest bits that follow each other: 2 for a coin's, less where they follow a rule."""
    shares = [pl.col(name) / bits for name in ("zeros", "ones", "rises", "falls")]
    return -pl.sum_horizontal(pl.when(share > 0).then(share * share.log(2)).otherwise(0.0) for share in shares)
