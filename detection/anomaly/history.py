"""How rare a score is at this site: conformal p-values against minutes of its own history, and what they promise.

A block is a minute in which records were heard; its score, for each model, is the highest that the model gave anything at the
site in that minute. These minutes were scored as they came and were learned from afterwards only, as those are that are judged.
So, as long as minutes of one kind follow minutes of the same kind, a new minute's highest score is greater than all of n minutes
before with probability 1/(n + 1), however many points and conversations the site has.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import polars as pl

from detection.anomaly.extremes import WINDOW_NS
from detection.anomaly.table import MODELS

FALSE_ALARMS_A_DAY: Final = 1.0
"""Minutes with a false alarm that all models of a site together may have in a day.

Each has an equal share (Bonferroni): that the sum of the shares bounds the rate of all holds however models depend on each other,
and those about one thing do. A minute in which several are unusual together has a share of its own (`together`).
"""

KEPT_BY: Final[tuple[str, ...]] = ()
"""Columns by which histories are kept apart: there are none, for a score is judged by the highest of the site in each minute."""

BLOCKS_A_DAY: Final = 86_400_000_000_000 // WINDOW_NS

TAIL: Final = 2.0
"""Beyond the highest score of history, p falls with this power of the score: a tail of finite mean and infinite variance, heavier
than most processes have."""

LEAST: Final = 1.0
"""The score from which p falls where history had a lower one only: one unit outside."""

BLOCKS: Final = 200_000
"""Minutes of history with a score that are held, over all models; beyond that the oldest are forgotten, and counted."""

SCHEMA: Final = pl.Schema({"model": pl.String(), "window": pl.Int64(), "score": pl.Float64()})

HOURS: Final = 20_000
"""Hours of which it is held how many minutes were heard in them; beyond that the oldest are forgotten, which are not needed."""

HEARD: Final = pl.Schema({"hour": pl.Int64(), "minutes": pl.Int64()})

_HOUR: Final = 3_600_000_000_000 // WINDOW_NS


@dataclass(frozen=True, slots=True)
class History:
    """Minutes that were scored.

    Attributes:
        highest: for each model the highest score of each minute in which it gave one, with the columns of SCHEMA.
        blocks: minutes in which records were heard.
        first: the earliest of these minutes.
        last: the latest of them.
        forgotten: rows of `highest` that had no room.
        heard: minutes by hour since 1970, with the columns of HEARD; the latest hours.
    """

    highest: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=SCHEMA))
    blocks: int = 0
    first: int = -1
    last: int = -1
    forgotten: int = 0
    heard: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=HEARD))

    def with_more(self, heard: pl.Series, scored: pl.DataFrame) -> History:
        """With the minutes of more records, none before those there are, and with rows of `model`, `window` and `score`."""
        minutes = heard.unique()
        minutes = minutes.filter(minutes > self.last)
        last = self.last if minutes.is_empty() else int(minutes.max())  # pyright: ignore[reportArgumentType] - integers
        if minutes.is_empty() and scored.is_empty():
            return self
        highest = self.highest if scored.is_empty() else self._higher(scored.select(list(SCHEMA)))
        over = max(0, highest.height - BLOCKS)
        first = self.first if self.blocks or minutes.is_empty() else int(minutes.min())  # pyright: ignore[reportArgumentType] - as above
        hours = self.heard
        if not minutes.is_empty():
            fresh = pl.DataFrame({"hour": minutes // _HOUR}).group_by("hour").agg(minutes=pl.len().cast(pl.Int64))
            hours = pl.concat([self.heard, fresh]).group_by("hour").agg(pl.col("minutes").sum()).sort("hour")
        return History(highest.tail(BLOCKS), self.blocks + len(minutes), first, last, self.forgotten + over, hours.tail(HOURS))

    def _higher(self, scored: pl.DataFrame) -> pl.DataFrame:
        """The highest scores with more; what lies before the first of their minutes stays as it is."""
        earlier = self.highest.filter(pl.col("window") < scored.get_column("window").min())
        again = pl.concat([self.highest.slice(earlier.height), scored])
        again = again.group_by("model", "window").agg(pl.col("score").max()).sort("window", "model")
        return pl.concat([earlier, again], rechunk=True)

    def after(self, hour: int) -> History:
        """The minutes from an hour on, counted since 1970."""
        hours = self.heard.filter(pl.col("hour") >= hour)
        blocks = int(hours.get_column("minutes").sum())
        highest = self.highest.filter(pl.col("window") >= hour * _HOUR)
        return History(highest, blocks, max(self.first, hour * _HOUR) if blocks else -1, self.last, self.forgotten, hours)

    def joined(self, more: History) -> History:
        """Both together. Where their times overlap, as of a redundant pair, the minutes of the longer count."""
        highest = pl.concat([self.highest, more.highest]).group_by("model", "window").agg(pl.col("score").max())
        apart = self.last < more.first or more.last < self.first or not self.blocks or not more.blocks
        blocks = self.blocks + more.blocks if apart else max(self.blocks, more.blocks)
        first = min(each.first for each in (self, more) if each.blocks) if self.blocks or more.blocks else -1
        last, forgotten = max(self.last, more.last), self.forgotten + more.forgotten
        hours = pl.concat([self.heard, more.heard]).group_by("hour").agg(pl.col("minutes").max()).sort("hour")
        return History(highest.sort("window", "model"), blocks, first, last, forgotten, hours.tail(HOURS))

    def p_values(self, model: str, scores: pl.Series) -> tuple[pl.Series, pl.Series]:
        """For each score the p-value of a minute that had it, and whether it lies beyond all history."""
        past = np.sort(self.highest.filter(pl.col("model") == model).get_column("score").to_numpy())
        asked = scores.to_numpy()
        as_high = len(past) - np.searchsorted(past, asked, side="left")
        p = (1 + as_high) / (self.blocks + 1)
        farthest = max(LEAST, float(past[-1])) if len(past) else LEAST
        beyond = asked > farthest
        p = np.where(beyond, (farthest / np.maximum(asked, farthest)) ** TAIL / (self.blocks + 1), p)
        return pl.Series("p_value", p), pl.Series("extrapolated", beyond)

    def least(self, model: str, most: float) -> float:
        """The least score that has a p-value of at most `most`."""
        past = np.sort(self.highest.filter(pl.col("model") == model).get_column("score").to_numpy())[::-1]
        room = int(most * (self.blocks + 1) + 1e-9) - 1
        if room < 0:
            farthest = max(LEAST, float(past[0])) if len(past) else LEAST
            return farthest * float(1.0 / ((self.blocks + 1) * most)) ** (1.0 / TAIL)
        return float(np.nextafter(past[room], np.inf)) if len(past) > room else 0.0


def allowed(false_alarms_a_day: float) -> float:
    """The highest p-value that is told, for a rate of false alarms of a whole site."""
    return false_alarms_a_day / len(MODELS) / BLOCKS_A_DAY
