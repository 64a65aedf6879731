"""Sets of batch numbers as sorted closed intervals: few, however many batches there are, since sequences have no gaps."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Intervals = list[tuple[int, int]]
"""First and last number of each, in order, neither touching nor overlapping."""


def intervals(numbers: Iterable[int]) -> Intervals:
    """The numbers as intervals."""
    found: Intervals = []
    for number in sorted(set(numbers)):
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def contains(held: Sequence[tuple[int, int]], number: int) -> bool:
    """Whether a number is in one of them."""
    at = bisect_right(held, number, key=lambda interval: interval[0]) - 1
    return at >= 0 and held[at][1] >= number


def within(held: Sequence[tuple[int, int]], begin: int, end: int) -> Intervals:
    """What of the intervals lies from `begin` to `end`, both included."""
    return [(max(first, begin), min(last, end)) for first, last in held if first <= end and last >= begin]


def joined(held: Sequence[tuple[int, int]], more: Sequence[tuple[int, int]]) -> Intervals:
    """The intervals with others, which may overlap them."""
    result: Intervals = []
    for first, last in sorted([*held, *more]):
        if result and first <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(last, result[-1][1]))
        else:
            result.append((first, last))
    return result
