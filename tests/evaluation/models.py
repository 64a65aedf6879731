"""The models beside pipelines of scikit-learn, at equal false alarms a day, on days of the virtual plant.

    python -m tests.evaluation.models /var/tmp/plant-days

Nothing here knows rules or what is new: the models and the pipelines learn from the day that is there to learn from, and score
the other days of the small plant. What each would tell is ordered by how unusual it says it is; from the top down it may tell as
much as costs so many false alarms a day. A false alarm is a minute of a server outside of any event, told apart by half an hour.
An event is found by what is told of one of its hosts while it lasts or in the minute after. scikit-learn is not a dependency of
the product: install it to run this.
"""

# scikit-learn ships no type information.
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingModuleSource=false, reportUnknownLambdaType=false

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from detection.anomaly.detector import step
from detection.anomaly.extremes import WINDOW_NS
from detection.anomaly.history import FALSE_ALARMS_A_DAY
from detection.anomaly.learned import members, state_of
from detection.anomaly.state import AnomalyState
from detection.anomaly.table import MODELS
from detection.captures import cuts
from sensor._core import Reader, capture_span

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from collector.store import RecordBatch

BUDGETS: Final = (1.0, 2.0, 5.0, 10.0)
"""False alarms a day at which all are compared."""

SEED: Final = 20_261
ALL: Final = 1_000.0
"""A rate of false alarms at which the models tell nearly all that lies outside, to be ordered."""

APART_NS: Final = 1_800_000_000_000
"""Alarms about one server that follow one another more closely are one."""


@dataclass(frozen=True, slots=True)
class Day:
    """What was heard on a day, and its events."""

    name: str
    cuts: list[list[RecordBatch]]
    events: list[dict[str, Any]]


def read(capture: Path) -> Day:
    """A day's capture with its events."""
    truth = capture.with_suffix(".jsonl")
    events = [json.loads(line) for line in truth.read_text(encoding="utf-8").splitlines()] if truth.is_file() else []
    return Day(capture.name, list(cuts(Reader(str(capture)), "")), events)


def talks(day: Day) -> pl.DataFrame:
    """What each pair of client and server does in each minute, as numbers."""
    frames = [
        batch.rows.select(
            "ts",
            client=pl.col("client.ip").cast(pl.String),
            server=pl.col("server.ip").cast(pl.String),
            function=pl.col("modbus.function").cast(pl.String),
            address=pl.col("modbus.address").cast(pl.Int64),
            writes=pl.col("modbus.access").cast(pl.String).is_in(["write", "read_write"]),
            refused=pl.col("modbus.exception_code").is_not_null(),
            answered=pl.col("modbus.response_time").dt.total_nanoseconds() / 1e6,
            bytes=pl.col("modbus.bytes").cast(pl.Float64),
        )
        for cut in day.cuts
        for batch in cut
        if batch.header.table == "modbus"
    ]
    rows = pl.concat(frames).sort("ts")
    pause = pl.col("ts").diff().dt.total_nanoseconds() / 1e9
    return (
        rows.group_by("client", "server", window=pl.col("ts").dt.epoch("ns") // WINDOW_NS)
        .agg(
            requests=pl.len().cast(pl.Float64),
            functions=pl.col("function").n_unique().cast(pl.Float64),
            addresses=pl.col("address").n_unique().cast(pl.Float64),
            writes=pl.col("writes").sum().cast(pl.Float64),
            refused=pl.col("refused").sum().cast(pl.Float64),
            unanswered=pl.col("answered").null_count().cast(pl.Float64),
            answered=pl.col("answered").mean().fill_null(0.0),
            bytes=pl.col("bytes").mean(),
            pause=pause.mean().fill_null(0.0),
            jitter=pause.std().fill_null(0.0),
        )
        .sort("window", "client", "server")
    )


def values(day: Day) -> pl.DataFrame:
    """The last value of each register of each server in each minute, long."""
    frames = [
        batch.rows.select(
            window=pl.col("ts").dt.epoch("ns") // WINDOW_NS,
            server=pl.col("server.ip").cast(pl.String),
            point=pl.col("point.id").cast(pl.String),
            number="point.number",
        )
        for cut in day.cuts
        for batch in cut
        if batch.header.table == "point"
    ]
    return pl.concat(frames).group_by("server", "window", "point", maintain_order=True).last()


def pipelines() -> Mapping[str, Callable[[], Any]]:
    """The pipelines of scikit-learn that are compared; each has `fit` and `score_samples`."""
    from sklearn.decomposition import PCA  # noqa: PLC0415 - not a dependency: only this comparison has it
    from sklearn.ensemble import IsolationForest  # noqa: PLC0415
    from sklearn.neighbors import LocalOutlierFactor  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415
    from sklearn.svm import OneClassSVM  # noqa: PLC0415

    return {
        "isolation forest": lambda: make_pipeline(StandardScaler(), IsolationForest(n_estimators=100, random_state=SEED)),
        "one-class SVM": lambda: make_pipeline(StandardScaler(), OneClassSVM(nu=0.01, gamma="scale")),
        "local outlier factor": lambda: make_pipeline(StandardScaler(), LocalOutlierFactor(n_neighbors=35, novelty=True)),
        # The log-likelihood of probabilistic PCA (Tipping and Bishop).
        "PCA": lambda: make_pipeline(StandardScaler(), PCA(n_components=0.95, svd_solver="full")),
    }


SAMPLE: Final = 1_000
"""Minutes that a pipeline learns from at most: SVM and neighbours take the square of it."""


def scored_talks(make: Callable[[], Any], lesson: pl.DataFrame, day: pl.DataFrame) -> pl.DataFrame:
    """A day's minutes of the conversations that were learned, one pipeline for each: `window`, `hosts`, `score`."""
    return _scored(make, lesson, day, ["client", "server"])


def scored_values(make: Callable[[], Any], lesson: pl.DataFrame, day: pl.DataFrame) -> pl.DataFrame:
    """A day's minutes of the values of each server together, one pipeline for each server: `window`, `hosts`, `score`."""
    parts: list[pl.DataFrame] = []
    for (server,), known in lesson.group_by("server", maintain_order=True):
        wide = (
            known.pivot("point", index="window", values="number", sort_columns=True).sort("window").fill_null(strategy="forward")
        )
        now = day.filter(pl.col("server") == server)
        # Only points that are read in most minutes: the rest of a backup is no process value.
        read_on = [name for name in wide.columns if name != "window" and known.filter(pl.col("point") == name).height > 200]
        if len(read_on) < 2 or now.is_empty():
            continue
        later = now.filter(pl.col("point").is_in(read_on)).pivot("point", index="window", values="number").sort("window")
        missing = [pl.lit(None, pl.Float64).alias(name) for name in read_on if name not in later.columns]
        both = [
            frame.select("window", *read_on).fill_null(strategy="forward").drop_nulls().with_columns(server=pl.lit(server))
            for frame in (wide, later.with_columns(missing))
        ]
        if both[0].height and both[1].height:
            parts.append(_scored(make, both[0], both[1], ["server"]))
    return pl.concat(parts)


def _scored(make: Callable[[], Any], lesson: pl.DataFrame, day: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    numbers = [name for name in lesson.columns if name not in {*by, "window"}]
    parts: list[pl.DataFrame] = []
    for key, known in lesson.group_by(by, maintain_order=True):
        now = day
        for name, value in zip(by, key, strict=True):
            now = now.filter(pl.col(name) == value)
        if known.height < 100 or now.is_empty():
            continue
        learned = known.select(numbers).to_numpy()
        fitted = make().fit(learned[:: -(-len(learned) // SAMPLE)])
        usual = -fitted.score_samples(learned)
        raw = -fitted.score_samples(now.select(numbers).to_numpy())
        # Scores of pipelines of different things are made alike by what each gave while learning.
        middle, wide = np.median(usual), np.quantile(usual, 0.99) - np.median(usual)
        hosts = pl.concat_list([pl.lit(str(value)) for value in key])
        parts.append(now.select("window", hosts=hosts, score=pl.Series((raw - middle) / max(wide, 1e-9))))
    return pl.concat(parts)


def told_by_models(state: AnomalyState, day: Day) -> tuple[pl.DataFrame, int, float]:
    """What the models tell of a day, the rarest first; minutes that they told at the promised rate; and how many days it had."""
    rows: list[pl.DataFrame] = []
    for cut in day.cuts:
        state, found = step(state, cut, ALL)
        rows.append(found)
    whole = pl.concat(rows)
    hosts = pl.concat_list(pl.col("client.ip").cast(pl.String), pl.col("server.ip").cast(pl.String))
    told = whole.select(window=pl.col("ts").dt.epoch("ns") // WINDOW_NS, hosts=hosts, score=-pl.col("anomaly.p_value").log())
    return told, state.since.blocks, state.since.blocks / 1_440


def alarms(told: pl.DataFrame, day: Day) -> tuple[list[tuple[float, bool, str, str]], int]:
    """What is told as alarms: score, whether it is of an event, which, and the server; and how many events the day has."""
    found: list[tuple[float, bool, str, str]] = []
    for window, hosts, score in told.sort("score", descending=True).select("window", "hosts", "score").iter_rows():
        begin, end = window * WINDOW_NS, (window + 1) * WINDOW_NS
        event = next(
            (
                each["name"]
                for each in day.events
                if each["start"] < end and each["end"] + WINDOW_NS > begin and set(hosts) & set(each["hosts"])
            ),
            "",
        )
        found.append((float(score), bool(event), event or str(window * WINDOW_NS // APART_NS), str(hosts[-1])))
    return found, len(day.events)


def at_budgets(days: list[tuple[list[tuple[float, bool, str, str]], int]], length: float) -> dict[float, tuple[int, int]]:
    """For each budget how many events are found, and of how many, when the alarms of all days are told from the top down."""
    everything = sorted(
        (
            (score, real, (number, what, "" if real else server))
            for number, (day, _) in enumerate(days)
            for score, real, what, server in day
        ),
        key=lambda each: -each[0],
    )
    total = sum(events for _, events in days)
    outcome: dict[float, tuple[int, int]] = {}
    for budget in BUDGETS:
        false: set[object] = set()
        found: set[object] = set()
        for _, real, what in everything:
            if real:
                found.add(what)
                continue
            false.add(what)
            if len(false) > budget * length:
                break
        outcome[budget] = len(found), total
    return outcome


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    chosen = parser.parse_args().folder
    lesson_file = next(path for path in chosen.glob("learned-*.pcap") if "large" not in path.name)
    captures = sorted(path for path in chosen.glob("*-[1-6]-*.pcap"))
    start, end = capture_span(str(lesson_file)) or (0, 0)
    lesson = read(lesson_file)
    state = AnomalyState.learning(start, end + WINDOW_NS)
    for cut in lesson.cuts:
        state, _ = step(state, cut)
    known = state_of(members(state), "proposed")
    if known is None:
        raise SystemExit("nothing was learned")
    lesson_talks, lesson_values = talks(lesson), values(lesson)
    outcomes: dict[str, list[tuple[list[tuple[float, bool, str, str]], int]]] = {}
    length, promised, measured = 0.0, 0.0, 0
    for capture in captures:
        day = read(capture)
        told, _, days = told_by_models(known, day)
        outcomes.setdefault("simple models", []).append(alarms(told, day))
        length += days
        promised += FALSE_ALARMS_A_DAY * days
        rare = told.filter(pl.col("score") >= -np.log(FALSE_ALARMS_A_DAY / len(MODELS) / 1_440))
        measured += len({(what, server) for _, real, what, server in alarms(rare, day)[0] if not real})
        day_talks, day_values = talks(day), values(day)
        for name, make in pipelines().items():
            scored = scored_talks(make, lesson_talks, day_talks)
            outcomes.setdefault(f"{name}, conversations", []).append(alarms(scored.filter(pl.col("score") > 1), day))
            scored = scored_values(make, lesson_values, day_values)
            outcomes.setdefault(f"{name}, values", []).append(alarms(scored.filter(pl.col("score") > 1), day))
        print(capture.name, flush=True)
    print("\n| | " + " | ".join(f"{budget:g} a day" for budget in BUDGETS) + " |\n|---|" + "---|" * len(BUDGETS))
    for name, per_day in outcomes.items():
        cells = [f"{found} of {total}" for found, total in at_budgets(per_day, length).values()]
        print(f"| {name} | " + " | ".join(cells) + " |")
    print(f"\nfalse alarms in {length:.1f} days: promised {promised:.1f}, measured {measured}")


if __name__ == "__main__":
    main()
