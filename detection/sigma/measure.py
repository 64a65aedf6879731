"""Sum, average, median and percentiles of a field in sliding windows, over whole arrays.

A percentile is that of the nearest rank: the least value with at least so many per cent of the window's values at or below it; a
median is the 50th. Whether it passes a limit is a matter of counting the values below the limit, so that no window is sorted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]
    Places = NDArray[np.int64]
    Marks = NDArray[np.bool_]

MEASURES: Final = frozenset({"value_sum", "value_avg", "value_median", "value_percentile"})
"""Kinds of correlation that measure the values of a field."""

MEDIAN: Final = 50

NEAR: Final = 1e-11
"""Sums this near to their limit, as a share of the largest number in them, are taken for it: what is beyond depends on where
summing began."""

OPERATORS: Final[Mapping[str, Callable[[Numbers, float], Marks]]] = {
    "gt": np.greater,
    "gte": np.greater_equal,
    "lt": np.less,
    "lte": np.less_equal,
    "eq": np.equal,
    "neq": np.not_equal,
}
"""Comparisons of a measure with its limit."""


@dataclass(frozen=True, slots=True)
class Measure:
    """What is measured of a window, and what it is compared with.

    Attributes:
        kind: one of MEASURES.
        operator: one of OPERATORS.
        limit: what the measure is compared with.
        percentile: 1 to 100, for value_percentile.
    """

    kind: str
    operator: str
    limit: float
    percentile: int = MEDIAN

    def passes(self, values: Numbers, starts: Places) -> Marks:
        """For each row, whether the measure of its window passes.

        Args:
            values: the field's values; NaN where a row has none, which then does not count.
            starts: first row of each row's window, which ends with the row itself.
        """
        size = _between(~np.isnan(values), starts)
        if self.kind in {"value_sum", "value_avg"}:
            total = _totals(self.kind, values, starts)
            near = np.abs(total - self.limit) <= NEAR * max(abs(self.limit), float(np.nanmax(np.abs(values), initial=0.0)))
            return (size > 0) & OPERATORS[self.operator](np.where(near, self.limit, total), self.limit)
        rank = np.ceil(size * self._percentile / 100)
        below, upto = _between(values < self.limit, starts), _between(values <= self.limit, starts)
        found = {
            "gte": below < rank,
            "gt": upto < rank,
            "lt": below >= rank,
            "lte": upto >= rank,
            "eq": (below < rank) & (upto >= rank),
            "neq": (below >= rank) | (upto < rank),
        }
        return (size > 0) & found[self.operator]

    def of(self, window: Numbers) -> float:
        """The measure of one window. Raises IndexError for one without values."""
        held = np.sort(window[~np.isnan(window)])
        match self.kind:
            case "value_sum":
                return float(held.sum())
            case "value_avg":
                return float(held.mean())
            case _:
                return float(held[int(np.ceil(len(held) * self._percentile / 100)) - 1])

    @property
    def _percentile(self) -> int:
        return self.percentile if self.kind == "value_percentile" else MEDIAN


def _totals(kind: str, values: Numbers, starts: Places) -> Numbers:
    """The sum or average of each row's window; NaN for an average of nothing."""
    sums = np.concatenate(([0.0], np.nancumsum(values)))
    total = sums[1:] - sums[starts]
    if kind == "value_sum":
        return total
    size = _between(~np.isnan(values), starts)
    return np.divide(total, size, out=np.full(len(total), np.nan), where=size > 0)


def _between(marks: Marks, starts: Places) -> Places:
    """How many rows of each row's window are marked."""
    counts = np.concatenate(([0], np.cumsum(marks)))
    return counts[1:] - counts[starts]
