"""Values that come again: stretches of a point's changes that repeat, value by value, what came before at any point.

A recording that is played back repeats all of it, and a point with noise repeats nothing. Of each eight changes in a row a number
is made; where that number is even, it is looked up among those of the hours before and written down there.
Which are looked up depends on the values alone, so that a repeated stretch is looked up where the first one was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from detection.anomaly import keyed
from detection.anomaly.extremes import Scale

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

SCALES: Final[Mapping[str, Scale]] = {"repeats": Scale("upper", least=1.0, most=2.0)}
"""The model of this module. Its value is how many stretches in a row were looked up and found."""

STRETCH: Final = 8
"""Changes of a stretch; each shifts the number by eight of its 64 bits."""

SAMPLED: Final = 2
"""One in so many stretches is looked up."""

KINDS: Final = 4
"""Steps of different size that a stretch must have: what goes up by one again and again says nothing when it comes again."""

SLOTS: Final = 1 << 20
"""Stretches that are remembered, of all points together; a later one takes the place of an earlier. Four bytes each."""

CARRIED: Final = pl.Schema(
    {
        "key": pl.UInt64(), "server": pl.Categorical(), "point": pl.Categorical(),
        "gram": pl.UInt64(), "steps": pl.UInt64(), "grams": pl.Int64(), "run": pl.Int64(),
    }
)  # fmt: skip
"""Columns of what is carried of each point. gram: number of its last eight changes; steps: a byte for
the size of each; grams: changes so far, eight at most; run:
stretches in a row that were found."""

NOTHING: Final = pl.DataFrame(schema=CARRIED)


def no_stretches() -> NDArray[np.uint32]:
    """The memory of stretches, empty."""
    return np.zeros(SLOTS, dtype=np.uint32)


def features(
    memory: NDArray[np.uint32], carried: pl.DataFrame, known: pl.DataFrame
) -> tuple[dict[str, pl.DataFrame], NDArray[np.uint32], pl.DataFrame]:
    """What the model is to look at, the memory afterwards, and what is then carried of these points.

    Args:
        memory: stretches before; it is not changed.
        carried: of all points, with the columns of CARRIED, in order of the key.
        known: rows of points as `points.features` knows them, in order within each point, those of a point together.
    """
    named = ["key", "event", "sequence", "row", "ts", "client", "server", "point"]
    changed = known.filter(pl.col("step") > 0)
    if changed.is_empty():
        return {}, memory, carried.clear()
    points = changed.select("key", "server", "point").unique("key", maintain_order=True)
    before = keyed.beside(points, carried.drop("server", "point"), "")
    keys = changed.get_column("key").to_numpy()
    first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    sizes = np.diff(np.r_[first, len(keys)])
    place = np.arange(len(keys)) - np.repeat(first, sizes)
    gram = _shifted(_bits(changed, "number"), place, np.repeat(_filled(before, "gram", np.uint64), sizes))
    size = _bits(changed, "step") & np.uint64(0xFF)
    steps = _shifted(size, place, np.repeat(_filled(before, "steps", np.uint64), sizes))
    count = np.minimum(place + 1 + np.repeat(_filled(before, "grams", np.int64), sizes), STRETCH)
    number = _mixed(gram)
    asked = (count == STRETCH) & (number % np.uint64(SAMPLED) == 0)
    asked[asked] = _kinds(steps[asked]) >= KINDS
    found, memory = _looked_up(memory, number, asked, changed)
    run = _runs(found, asked, first, sizes, _filled(before, "run", np.int64))
    last = first + sizes - 1
    latest = points.with_columns(
        gram=pl.Series(gram[last]),
        steps=pl.Series(steps[last]),
        grams=pl.Series(count[last], dtype=pl.Int64),
        run=pl.Series(run[last], dtype=pl.Int64),
    )
    earlier = np.r_[np.int64(0), run[:-1]]
    earlier[first] = _filled(before, "run", np.int64)
    # A run is over with the first stretch that is new; until then it is judged and counts for nothing.
    rows = changed.select(named).with_columns(
        value=pl.Series(np.where(found, np.nan, earlier)).fill_nan(None),
        judged=pl.Series(run.astype(np.float64)),
        earlier=pl.Series(earlier.astype(np.float64)),
    )
    rows = rows.filter(pl.Series(asked))
    return {"repeats": rows}, memory, latest.select(list(CARRIED))


def _filled(frame: pl.DataFrame, name: str, kind: Any) -> NDArray[Any]:
    return frame.get_column(name).fill_null(0).to_numpy().astype(kind)


def _bits(rows: pl.DataFrame, name: str) -> NDArray[np.uint64]:
    """Numbers as bits, mixed."""
    return _mixed((rows.get_column(name).to_numpy() + 0.0).view(np.uint64))


def _shifted(bits: NDArray[np.uint64], place: NDArray[np.int64], before: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """For each change the sum of its bits and those of the seven before it, each shifted by its age: what is older has gone."""
    whole = bits.copy()
    for back in (1, 2, 4):
        # The sum of the latest `back` changes is there: that of as many before them is added to it.
        whole[back:] += np.where(place[back:] >= back, whole[:-back] << np.uint64(8 * back), np.uint64(0))
    # What was carried is as old as the changes of this step are many.
    carried = np.flatnonzero(place < STRETCH - 1)
    whole[carried] += before[carried] << (8 * (place[carried] + 1)).astype(np.uint64)
    return whole


def _kinds(steps: NDArray[np.uint64]) -> NDArray[np.int64]:
    """How many different bytes each number has."""
    parts = np.sort(steps.view(np.uint8).reshape(len(steps), STRETCH), axis=1)
    return 1 + (parts[:, 1:] != parts[:, :-1]).sum(axis=1)


def _mixed(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Bits mixed (SplitMix64's finaliser), the same in every process."""
    mixed = bits + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _looked_up(
    memory: NDArray[np.uint32], number: NDArray[np.uint64], asked: NDArray[np.bool_], rows: pl.DataFrame
) -> tuple[NDArray[np.bool_], NDArray[np.uint32]]:
    """For each stretch whether it was there before, those of this step before it included; and the memory with all of them."""
    found = np.zeros(len(number), dtype=np.bool_)
    chosen = np.flatnonzero(asked)
    if not len(chosen):
        return found, memory
    order = (
        rows.select("event", "sequence", "row").with_row_index("place").filter(pl.Series(asked)).sort("event", "sequence", "row")
    )
    chosen = order.get_column("place").to_numpy()
    slot = (number[chosen] >> np.uint64(3)) % np.uint64(SLOTS)
    print_ = (number[chosen] >> np.uint64(32)).astype(np.uint32) | np.uint32(1)
    by_slot = np.argsort(slot, kind="stable")
    sorted_slot, sorted_print = slot[by_slot], print_[by_slot]
    same = np.r_[False, sorted_slot[1:] == sorted_slot[:-1]]
    there = np.where(same, np.r_[np.uint32(0), sorted_print[:-1]], memory[sorted_slot])
    hit = np.zeros(len(chosen), dtype=np.bool_)
    hit[by_slot] = there == sorted_print
    found[chosen] = hit
    memory = memory.copy()
    last = np.r_[~same[1:], True]
    memory[sorted_slot[last]] = sorted_print[last]
    return found, memory


def _runs(
    found: NDArray[np.bool_],
    asked: NDArray[np.bool_],
    first: NDArray[np.int64],
    sizes: NDArray[np.int64],
    before: NDArray[np.int64],
) -> NDArray[np.int64]:
    """For each change how many stretches in a row of its point were found, up to it."""
    hits = np.cumsum(found)
    at_first: NDArray[np.int64] = np.repeat(hits[first] - found[first], sizes)
    missed = asked & ~found
    place = np.arange(len(found))
    # Hits up to the latest miss within the point; none: those that were carried count as well.
    latest = np.maximum.accumulate(np.where(missed, place, -1))
    inside = latest >= np.repeat(first, sizes)
    since = np.where(inside, hits[np.maximum(latest, 0)], at_first - np.repeat(before, sizes))
    return (hits - since).astype(np.int64)
