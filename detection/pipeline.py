"""All detectors in a row, over whole cuts: records in, alert upserts out. Pure.

What is found, and what becomes one alert, is of one run (one sensor's records, or one capture) at a time. Runs do not share a
clock: a capture of last year may come after today's traffic, and two sensors may see the same packets. So runs may be worked on
side by side, and what is found in one does not depend on any other. What is told of it does: stories and the alarm budget are of
the site, over all its runs (`sitewide`).
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Self

import polars as pl

from collector.store import RecordBatch
from detection.anomaly.accepting import decided
from detection.anomaly.detector import Course
from detection.anomaly.relearning import step as model
from detection.anomaly.state import AnomalyState
from detection.anomaly.table import ANOMALY
from detection.baseline.detector import BaselineState
from detection.baseline.detector import step as learn
from detection.deviation import DEVIATION
from detection.gathering import gathered
from detection.grouping import AlertState, group
from detection.outcomes import Outcome
from detection.own_alerts import NOT_LOADED, OVERRIDE_UNFIT, own_alerts
from detection.rules import RuleDetector, RuleState, unfit_overrides
from detection.sigma.proof import prove
from detection.sigma.rule import load, rules_folder
from detection.sitewide import Looked, SiteState, Turn, by_cut, in_order, tell
from detection.timing import BASELINE, GROUPING, MODELS, RULES, timed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from collector.stream import BatchHeader, Run
    from detection.alerts import Alert
    from detection.baseline.decisions import Decision
    from detection.rules import Findings
    from detection.ruleset import Ruleset
    from detection.sigma.rule import Rule
    from detection.site import Site

STEP_ROWS: Final = 262_144
"""Records that whole cuts which wait are taken in with at once, so that who is behind catches up: much of what a step costs does
not depend on how many records it is about."""

RUNS: Final = 1_000
"""Runs that are remembered; beyond that those that were quiet longest are forgotten."""


_BESIDE: Final = ThreadPoolExecutor(thread_name_prefix="beside")
"""Where rules and what is normal are looked at while the models look at the same records."""


@dataclass(frozen=True, slots=True)
class RunState:
    """What detection remembers of one run."""

    rules: RuleState = field(default_factory=RuleState)
    alerts: AlertState = field(default_factory=AlertState)
    baseline: BaselineState | None = None
    """What is normal in it; None where nothing is learned."""
    anomaly: AnomalyState | None = None
    """What the models know of it; None where nothing is learned."""
    site: str = ""
    """The site of its sensor."""


@dataclass(frozen=True, slots=True)
class State:
    """What detection remembers between steps."""

    runs: Mapping[Run, RunState] = field(default_factory=dict["Run", RunState])
    """By run; the one that was quiet longest comes first."""
    sites: Mapping[str, SiteState] = field(default_factory=dict[str, SiteState])
    """What is of a site over all its runs."""
    forgotten: int = 0
    """Runs forgotten because there were more than `RUNS`."""
    shares: int = 1
    """Of so many shares runs are told: each may remember `RUNS`."""

    @property
    def limited(self) -> int:
        """How often a bound has bitten: rows of correlations, open alerts, facts and runs that were forgotten."""
        runs = self.runs.values()
        learned = sum(run.baseline.forgotten for run in runs if run.baseline is not None)
        learned += sum(run.anomaly.forgotten for run in runs if run.anomaly is not None)
        stories = sum(site.stories.full for site in self.sites.values())
        return self.forgotten + learned + stories + sum(run.rules.forgotten + run.alerts.forgotten for run in runs)

    @property
    def findings(self) -> int:
        """Records in findings so far, over the runs that are remembered."""
        return sum(run.alerts.findings for run in self.runs.values())

    def together(self, cuts: Sequence[BatchHeader]) -> int:
        """How many of these cuts, given by their last batches in the order of all, may be told at once: at least one.

        What is remembered of a site changes where a run is forgotten, comes from another site, or ends the run before it of its
        sensor: that must come between the same two cuts however many are looked at at once.
        """
        sites = {run: held.site for run, held in self.runs.items()}
        newest = {(site, run[0]): run for run, site in sites.items()}
        for place, cut in enumerate(cuts):
            sensor = cut.site, cut.sensor
            if place and (sites.get(cut.run, cut.site) != cut.site or newest.get(sensor, cut.run) != cut.run):
                return place
            sites[cut.run], newest[sensor] = cut.site, cut.run
            if len(sites) > RUNS * self.shares:
                return place + 1
        return len(cuts)

    def with_run(self, run: Run, after: RunState) -> State:
        """The state with a run's own renewed, before what was found is told."""
        return replace(self, runs={**self.runs, run: after})

    def told(self, looked: Sequence[Looked], rules: Mapping[str, Rule], facts: Site) -> tuple[State, list[Alert]]:
        """The state after what steps with these rules and facts found is told, and the alerts that are new or have grown.

        The steps are over cuts that are told `together`. Of too many runs that which was quiet longest is forgotten then.
        """
        upserts: list[Alert] = []
        active = [each.run for each in sorted(looked, key=lambda each: each.turns[-1].place)]
        runs = {run: held for run, held in self.runs.items() if run not in active}
        runs |= {run: self.runs[run] for run in active}
        sites = dict(self.sites)
        for name in dict.fromkeys(each.site for each in looked):
            of_site = {run: held.alerts for run, held in runs.items() if held.site == name}
            there = [each for each in looked if each.site == name]
            sites[name], changed, alerts = tell(sites.get(name) or SiteState(), of_site, there, rules, facts)
            runs |= {run: replace(runs[run], alerts=after) for run, after in changed.items()}
            upserts += alerts
        over = max(0, len(runs) - RUNS * self.shares)
        runs = dict(list(runs.items())[over:])
        named = {held.site for held in runs.values()}
        kept = {name: site for name, site in sites.items() if name in named}
        return replace(self, runs=runs, sites=kept, forgotten=self.forgotten + over), upserts


class Pipeline:
    """Detection for one site: the rules of some folders, made alerts.

    Raises:
        RuleError: a rule cannot be loaded.
    """

    def __init__(self, site: Site, rules: Sequence[Path] = ()) -> None:
        self.site = site
        self.rules = load(rules or [rules_folder()])
        """The rules as they stand in their files."""
        self.detector = RuleDetector(self.rules, site)

    @classmethod
    def of(cls, rules: Sequence[Rule], site: Site) -> Self:
        """A pipeline of rules that are loaded already."""
        pipeline = cls.__new__(cls)
        pipeline.site = site
        pipeline.rules = list(rules)
        pipeline.detector = RuleDetector.at(rules, site)
        return pipeline

    @classmethod
    def proved(cls, ruleset: Ruleset, site: Site) -> tuple[Self, list[Alert]]:
        """A pipeline of the rules that can be used, and an alert for each that cannot be, or is not fired by its own record."""
        rules, faults = prove(ruleset.rules, site)
        told = own_alerts(NOT_LOADED, [*ruleset.faults, *faults], ruleset.changed)
        told += own_alerts(OVERRIDE_UNFIT, unfit_overrides(rules, site), ruleset.changed)
        return cls.of(rules, site), told

    def at_site(self, site: Site) -> Self:
        """The same detectors at a site that has other exceptions, and nothing else otherwise."""
        pipeline = copy(self)
        pipeline.site = site
        return pipeline

    def _unless_learned(self, findings: Findings, known_from: int) -> Findings:
        """Findings without those that count only where nobody knows what is normal, from when on it is known."""
        early = pl.col("event") < known_from
        learned = {name: self.detector.rules[name].section.unless_learned for name in findings}
        return {name: rows.filter(early) if learned[name] else rows for name, rows in findings.items()}

    def step(self, state: State, batches: Sequence[RecordBatch]) -> tuple[State, list[Alert]]:
        """Take the batches of whole cuts in, in order of sequence within each run; the alerts that are new or have grown."""
        upserts: list[Alert] = []
        waiting = in_order(batches)
        while waiting:
            count = state.together([cut[-1].header for cut in waiting])
            state, told = self._tell(state, waiting[:count])
            waiting = waiting[count:]
            upserts += told
        return state, upserts

    def _tell(self, state: State, cuts: Sequence[Sequence[RecordBatch]]) -> tuple[State, list[Alert]]:
        """Take cuts in that are told together, in the order of all."""
        parts: dict[Run, list[RecordBatch]] = {}
        turns: dict[Run, list[Turn]] = {}
        for place, cut in enumerate(cuts):
            last = cut[-1].header
            parts.setdefault(last.run, []).extend(cut)
            turns.setdefault(last.run, []).append(Turn(place, last.cut_end, last.sequence))
        looked: list[Looked] = []
        for run, order in turns.items():
            after, found = self.step_run(state.runs.get(run) or RunState(), parts[run], order)
            state = state.with_run(run, after)
            looked.append(found)
        return state.told(looked, self.detector.rules, self.site)

    def step_run(
        self, before: RunState, taken: Sequence[RecordBatch], order: Sequence[Turn], decisions: Sequence[Decision] | None = None
    ) -> tuple[RunState, Looked]:
        """Take the batches of whole cuts of one run in. Nothing else counts, so that runs may be worked on side by side.

        What it found is told by `State.told`. `order` says where these cuts stand among those of other runs. `decisions` are all
        that people decided about what is normal and that hold for these batches, in order; where they are given, even if there
        are none, what is normal is learned live.
        """
        after, findings, seconds = self._found(before, taken, decisions)
        header = taken[-1].header
        told = timed(seconds, GROUPING, group, before.alerts, header.run, findings, self.detector.rules, self.site)
        alerts, grouped = told
        return replace(after, alerts=alerts), Looked(header.run, header.site, order, grouped, seconds)

    def step_cuts(
        self, before: RunState, taken: Sequence[RecordBatch], order: Sequence[Turn], decisions: Sequence[Decision] | None = None
    ) -> tuple[RunState, list[Outcome | None], dict[str, float]]:
        """As `step_run`, where it is told elsewhere: what became of each cut by itself (None: nothing), and the times taken."""
        after, findings, seconds = self._found(before, taken, decisions)
        run, alerts, outcomes = taken[-1].header.run, before.alerts, list[Outcome | None]()
        for part in by_cut(findings, order):
            known, told = alerts, timed(seconds, GROUPING, group, alerts, run, part, self.detector.rules, self.site)
            alerts, grouped = told
            outcomes.append(None if alerts is known else Outcome.of(alerts, grouped))
        return replace(after, alerts=alerts), outcomes, seconds

    def _found(
        self, before: RunState, taken: Sequence[RecordBatch], decisions: Sequence[Decision] | None
    ) -> tuple[RunState, Findings, dict[str, float]]:
        """What detectors find in batches of one run, before it is made alerts; the state but for these."""
        baseline, derived = before.baseline, list[RecordBatch]()
        if baseline is None and decisions is not None:
            baseline = BaselineState.live(self.site.site)
            before = replace(before, anomaly=AnomalyState.learning_live())
        seconds: dict[str, float] = {}
        taken = gathered(taken)
        matching = _BESIDE.submit(timed, seconds, RULES, self.detector.match, taken)
        learning, course = None, None
        if baseline is not None:
            learning = _BESIDE.submit(timed, seconds, BASELINE, learn, baseline, taken, decisions or (), self.site.learning)
            if baseline.heard_hours or baseline.learns == "live":
                course = _course_of(learning, seconds)
        anomaly, anomalies = before.anomaly, None
        if anomaly is not None:
            mark = 0 if before.baseline is None else before.baseline.mark
            anomaly = decided(anomaly, decisions or (), taken[-1].header.run, mark)
            anomaly, anomalies = timed(seconds, MODELS, model, anomaly, taken, self.site.false_alarms_a_day, course)
        if learning is not None:
            baseline, deviations = learning.result()
            derived.append(_derived(taken[-1].header, DEVIATION.name, deviations))
        if anomalies is not None:
            derived.append(_derived(taken[-1].header, ANOMALY.name, anomalies))
        matched = matching.result()
        rules, findings = timed(seconds, RULES, self.detector.step, before.rules, derived, matched)
        if baseline is not None:
            findings = self._unless_learned(findings, baseline.known_from)
        return RunState(rules, before.alerts, baseline, anomaly, taken[-1].header.site), findings, seconds


def _course_of(learning: Future[tuple[BaselineState, pl.DataFrame]], seconds: dict[str, float]) -> Callable[[], Course]:
    """How far live learning is after a step that runs beside, for the models; it waits only for who asks.

    The time for which they wait is not theirs.
    """

    def course() -> Course:
        start = time.perf_counter()
        baseline = learning.result()[0]
        seconds[MODELS] = seconds.get(MODELS, 0.0) - (time.perf_counter() - start)
        normal = baseline.normal
        return Course(normal.phase, normal.assets, normal.start, baseline.mark, baseline.learns != "live", normal.until)

    return course


def _derived(last: BatchHeader, table: str, rows: pl.DataFrame) -> RecordBatch:
    """What a detector found as a batch for rules, beside the batches of which the last is given."""
    return RecordBatch(replace(last, table=table, rows=rows.height), rows)
