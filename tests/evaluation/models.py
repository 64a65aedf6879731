"""The models beside pipelines of scikit-learn, at equal false alarms a day, on days of the virtual plant.

    python -m tests.evaluation.models DIR/development
    python -m tests.evaluation.models DIR/evaluation

The models and the pipelines learn from the day that is there to learn from, and judge the other days of the small plant. Both say
how rare what they tell is by conformal p-values of the whole site; from the rarest on they may tell as much as costs so many
false alarms a day, each by itself, and a pipeline together with the models.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from detection.anomaly.detector import step
from detection.anomaly.extremes import WINDOW_NS
from detection.anomaly.history import BLOCKS_A_DAY, FALSE_ALARMS_A_DAY, allowed
from detection.anomaly.learned import members, state_of
from detection.anomaly.state import AnomalyState
from detection.baseline.detector import BaselineState
from detection.baseline.detector import step as compared
from detection.baseline.normality import Normality
from detection.captures import ALWAYS, cuts
from sensor._core import Reader, capture_span
from tests.evaluation.budgets import BUDGETS, alarms, at_budgets, told_of
from tests.evaluation.features import counts, minutes, processes, requests, values
from tests.evaluation.pipelines import PIPELINES, Judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from collector.store import RecordBatch
    from tests.evaluation.budgets import Event
    from tests.evaluation.features import Seen, Thing
    from tests.evaluation.pipelines import Pipeline

ALL: Final = 1_000.0
"""A rate of false alarms at which the models tell nearly all that lies outside, to be ordered."""

MODELS: Final = "simple models"
BASELINE: Final = "baseline"


@dataclass(frozen=True, slots=True)
class Day:
    """What was heard on a day, its events, and the time that it spans, nanoseconds since 1970."""

    name: str
    cuts: Sequence[Sequence[RecordBatch]]
    events: Sequence[dict[str, Any]] = ()
    span: tuple[int, int] = (0, 0)

    @property
    def batches(self) -> list[RecordBatch]:
        """All batches."""
        return [batch for cut in self.cuts for batch in cut]


def read(capture: Path) -> Day:
    """A day's capture with its events."""
    truth = capture.with_suffix(".jsonl")
    events = [json.loads(line) for line in truth.read_text(encoding="utf-8").splitlines()] if truth.is_file() else []
    return Day(capture.name, list(cuts(Reader(str(capture)), "")), events, capture_span(str(capture)) or (0, 0))


def learned(lesson: Day) -> tuple[Normality, AnomalyState]:
    """What is normal by a day, and what the models know after it."""
    start, end = lesson.span
    state, facts = AnomalyState.learning(start, end + WINDOW_NS), BaselineState.learning(start, ALWAYS)
    for cut in lesson.cuts:
        state, _ = step(state, cut)
        facts, _ = compared(facts, cut)
    known = state_of(members(state), "proposed")
    if known is None:
        raise SystemExit("nothing was learned")
    normal = Normality(facts.whole.facts, start, end, end - start, "proposed", "", (lesson.name,))
    return normal.with_rare_apart(), known


def told_by_baseline(normal: Normality, day: Day) -> pl.DataFrame:
    """What is new on a day: `window`, `hosts`, and `score`, which is 0."""
    state = BaselineState(normal)
    rows: list[pl.DataFrame] = []
    for cut in day.cuts:
        state, found = compared(state, cut)
        rows.append(found)
    return pl.concat(rows).select(window=_WINDOW, hosts=_HOSTS, score=pl.lit(0.0))


_WINDOW: Final = pl.col("ts").dt.epoch("ns") // WINDOW_NS
_HOSTS: Final = pl.concat_list(pl.col("client.ip").cast(pl.String), pl.col("server.ip").cast(pl.String))


def told_by_models(state: AnomalyState, day: Day, rate: float = ALL) -> tuple[pl.DataFrame, AnomalyState]:
    """What the models tell of a day at a rate of false alarms: `window`, `hosts`, `score` (-log p); and what they know then."""
    rows: list[pl.DataFrame] = []
    for cut in day.cuts:
        state, found = step(state, cut, rate)
        rows.append(found)
    return pl.concat(rows).select(window=_WINDOW, hosts=_HOSTS, score=-pl.col("anomaly.p_value").log()), state


@dataclass(slots=True)
class Comparison:
    """What came of it.

    Attributes:
        told: what was told of all days, with the columns of `budgets.TOLD`, by who told it.
        events: how many events there are.
        length: days heard.
    """

    told: dict[str, pl.DataFrame] = field(default_factory=dict[str, pl.DataFrame])
    events: int = 0
    length: float = 0.0

    def found(self, name: str) -> Mapping[float, set[Event]]:
        """The events that are found, by budget."""
        return at_budgets(self.told[name], self.length)


def raw(day: Day) -> dict[str, pl.DataFrame]:
    """A day as pipelines look at it."""
    rows = requests(day.batches)
    return {
        "conversations": minutes(rows, ["client", "server"]),
        "servers": minutes(rows, ["server"]),
        "values": values(day.batches),
    }


def compare(lesson: Day, days: Iterable[Day], pipelines: Mapping[str, Callable[[], Pipeline]] = PIPELINES) -> Comparison:
    """Learn of a day, and judge the others."""
    normal, known = learned(lesson)
    parts = raw(lesson)
    looked_at: dict[str, tuple[str, Callable[[pl.DataFrame], Mapping[Thing, Seen]]]] = {
        "conversations": ("conversations", counts(parts["conversations"], by_hour=False)),
        "conversations by hour": ("conversations", counts(parts["conversations"], by_hour=True)),
        "servers": ("servers", counts(parts["servers"], by_hour=False)),
        "values together": ("values", processes(parts["values"])),
    }
    judges = {
        f"{name}, {what}": (what, Judge.learned(make, features(parts[source])))
        for what, (source, features) in looked_at.items()
        for name, make in pipelines.items()
    }
    outcome = Comparison()
    for number, day in enumerate(days):
        told, after = told_by_models(known, day)
        by = {BASELINE: told_by_baseline(normal, day), MODELS: told}
        parts = raw(day)
        seen = {what: features(parts[source]) for what, (source, features) in looked_at.items()}
        for name, (what, judge) in judges.items():
            by[name] = judge.told(seen[what]).filter(pl.col("score") >= -np.log(allowed(ALL)))
            by[f"{MODELS} and {name}"] = pl.concat([told, by[name]])
        for name, part in by.items():
            more = told_of(number, part, day.events)
            outcome.told[name] = pl.concat([outcome.told[name], more]) if name in outcome.told else more
        outcome.events += len(day.events)
        outcome.length += after.since.blocks / BLOCKS_A_DAY
    return outcome


def lines(outcome: Comparison) -> list[str]:
    """The table, and which events a pipeline finds that the models do not, and the other way round."""
    new, false = alarms(outcome.told[BASELINE])
    models = outcome.found(MODELS)
    made = [
        f"{outcome.events} events in {outcome.length:.1f} days. The baseline finds {len(new)} with {false} false alarms.",
        "Events found at equal false alarms: alone; together with the simple models; these or the baseline.",
        "",
        f"| | {' | '.join(f'{budget:g} a day' for budget in BUDGETS)} |",
        f"|---|{'---|' * len(BUDGETS)}",
        f"| {MODELS} | {' | '.join(f'{len(found)}; –; {len(found | new)}' for found in models.values())} |",
    ]
    changes: list[str] = []
    for name in outcome.told:
        if name == BASELINE or name.startswith(MODELS):
            continue
        alone, both = outcome.found(name), outcome.found(f"{MODELS} and {name}")
        cells = [f"{len(alone[budget])}; {len(both[budget])}; {len(both[budget] | new)}" for budget in BUDGETS]
        made.append(f"| {name} | {' | '.join(cells)} |")
        for budget in BUDGETS:
            told = [*_named("+", both[budget] - models[budget], new), *_named("-", models[budget] - both[budget], new)]
            changes += [f"{name}, {budget:g} a day: {', '.join(told)}"] if told else []
    rare = outcome.told[MODELS].filter(pl.col("score") >= -np.log(allowed(FALSE_ALARMS_A_DAY)), pl.col("event").is_null())
    return [
        *made,
        "",
        f"Minutes with a false alarm of the models: promised {FALSE_ALARMS_A_DAY * outcome.length:.1f}, "
        f"measured {rare.select('day', 'window').n_unique()}",
        "",
        "What changes when a pipeline is added to the models (!: the baseline does not find it):",
        *changes,
    ]


def _named(sign: str, events: set[Event], new: set[Event]) -> list[str]:
    return [f"{sign}{each[1]}{'' if each in new else ' !'}" for each in sorted(events)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pipelines", nargs="*", choices=[*PIPELINES], default=[*PIPELINES])
    options = parser.parse_args()
    lesson = next(path for path in options.folder.glob("learned-*.pcap") if "large" not in path.name)
    days = sorted(path for path in options.folder.glob("*-[1-6]-*.pcap"))
    chosen = {name: PIPELINES[name] for name in options.pipelines}
    print("\n".join(lines(compare(read(lesson), map(read, days), chosen))))


if __name__ == "__main__":
    main()
