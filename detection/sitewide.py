"""What is told of a site as a whole: stories and the alarm budget, over the alerts of all its sensors. Pure.

What becomes one alert is decided run by run (`grouping`), so that runs may be worked on side by side. What follows from all
alerts of the site together is decided here, for one site after the other in one thread, in one order: alerts begin in the order
in which the cuts that show them are let through (`merging`), and within a cut in the order of its records. So the same records
give the same stories and digests however many cuts are looked at together, and however many runs side by side.

That order follows from the stream, and from where in it nothing came for as long as the allowance. That place is durable before
what waited there is looked at (`worker`), so that a crash changes nothing. Who looks at the same stream anew from its beginning
may let other cuts wait, and so have other stories and ranks where a sensor was later than the allowance.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import polars as pl

from detection.budget import Purse, Spent, digest_alert
from detection.gathering import ORDER
from detection.limits import parse
from detection.rules import Findings
from detection.sigma.correlate import KNOWN
from detection.sigma.rule import LEVELS
from detection.stories import Stories, Teller
from detection.upsert import upsert

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from collector.store import RecordBatch
    from collector.stream import Run
    from detection.alerts import Alert
    from detection.grouping import AlertState, Begun, Grouped
    from detection.opened import OpenAlert
    from detection.sigma.rule import Rule
    from detection.site import Site

OPEN_ALERTS: Final = 50_000
"""Alerts of one run that are held open; beyond that those that were quiet longest are let go, and a recurrence is a new alert."""


@dataclass(frozen=True, slots=True)
class SiteState:
    """What is remembered of one site over all its runs."""

    stories: Stories = field(default_factory=Stories)
    """What goes on over several alerts."""
    spent: Spent = field(default_factory=Spent)
    """What has been spent of the alarm budget."""


class Turn(NamedTuple):
    """A cut of a run in the order of all."""

    place: int
    """Its place among the cuts of all runs that are looked at together."""
    until: int
    """Event time up to which its run is known with it, nanoseconds since 1970."""
    last: int
    """Sequence of its last batch."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What a step over cuts of one run found."""

    run: Run
    site: str
    """The site of its sensor."""
    turns: Sequence[Turn]
    """Its cuts, in order."""
    grouped: Grouped
    seconds: dict[str, float] = field(default_factory=dict[str, float], compare=False)
    """How long the detectors took, by name (`timing`)."""

    def place(self, begun: Begun) -> int:
        """The place of the cut that showed an alert first: that of the record, or a later one where time had to go by."""
        event, sequence, *_ = begun.order
        at = max(bisect_left(self.turns, event, key=_until), bisect_left(self.turns, sequence, key=_last))
        return self.turns[min(at, len(self.turns) - 1)].place


def by_cut(findings: Findings, turns: Sequence[Turn]) -> list[Findings]:
    """Findings of a step by the cut that showed each, as `Looked.place` places alerts; for each cut those that there are."""
    if len(turns) == 1:
        return [findings]
    parts = [Findings() for _ in turns]
    untils, lasts = np.array([turn.until for turn in turns]), np.array([turn.last for turn in turns])
    for name, rows in findings.items():
        event, sequence, _ = KNOWN if KNOWN[0] in rows.columns else ORDER
        by_time = np.searchsorted(untils, rows.get_column(event).to_numpy())
        by_sequence = np.searchsorted(lasts, rows.get_column(sequence).to_numpy())
        at = np.minimum(np.maximum(by_time, by_sequence), len(turns) - 1)
        for number in np.unique(at).tolist():
            parts[number][name] = rows.filter(pl.Series(at == number))
    return parts


def _until(turn: Turn) -> int:
    return turn.until


def _last(turn: Turn) -> int:
    return turn.last


def in_order(batches: Sequence[RecordBatch]) -> list[list[RecordBatch]]:
    """The cuts of runs that wait for nobody, each with its batches, in the order in which `merging` would let them through."""
    cuts: dict[tuple[Run, int], list[RecordBatch]] = {}
    known: dict[Run, int] = {}
    until: dict[tuple[Run, int], int] = {}
    for batch in batches:
        run, cut = batch.header.run, batch.header.cut
        cuts.setdefault((run, cut), []).append(batch)
        until[run, cut] = known[run] = max(known.get(run, 0), batch.header.cut_end)
    return [cuts[each] for each in sorted(cuts, key=lambda each: (until[each], each[0]))]


def growing(alerts: Mapping[Run, AlertState]) -> dict[Run, AlertState]:
    """Open alerts of runs of one sensor, those of the run that was quiet longest first, without those that can change no more.

    Those that stay for the sake of stories and of the budget stay where these are told.
    """
    since = _since(alerts)
    return {
        run: replace(state, open=_bounded({name: alert for name, alert in state.open.items() if alert.touched >= since[run]}))
        for run, state in alerts.items()
    }


def _since(alerts: Mapping[Run, AlertState]) -> dict[Run, int]:
    """Of each run from when on an alert must have changed to change again: runs that have ended are as far as what followed."""
    newest = {run[0]: run for run in alerts}
    return {run: max(state.since, alerts[newest[run[0]]].since) for run, state in alerts.items()}


def tell(
    before: SiteState, alerts: Mapping[Run, AlertState], looked: Sequence[Looked], rules: Mapping[str, Rule], facts: Site
) -> tuple[SiteState, dict[Run, AlertState], list[Alert]]:
    """Take in what began and changed in runs of one site.

    Args:
        before: what is remembered of the site.
        alerts: the open alerts of all its runs, those of the run that was quiet longest first. Of the runs of one sensor all
            but the last have ended.
        looked: what steps found, over cuts of which none is missing that comes before one of them.
        rules: the rules of all these steps.
        facts: the facts of the site in all of them.

    Returns:
        What is remembered then, the open alerts of the runs of which they are others now, and the alerts that are new or have
        grown, in order of first finding.
    """
    changed = {name: None for each in looked for name in each.grouped.changed}
    if not changed:
        return before, {}, []
    held, teller = _Held(alerts), Teller(before.stories)
    purse = Purse(before.spent, parse(facts.budget), looked[0].site, held.holds)
    began = [(each.place(begun), begun.order, each.run, begun) for each in looked for begun in each.grouped.begun]
    for _, (moment, *_), run, begun in sorted(began, key=lambda each: each[:2]):
        name, rule = begun.alert.id, rules[begun.alert.rule]
        held.put(name, story=teller.begin(begun.alert, rule, moment, run))
        for other in begun.taken_in:
            purse.release(other)
        for other, digest in purse.begin(name, LEVELS.index(rule.level), begun.weight, moment):
            folded = held.put(other, digest=digest)
            if folded is not None:
                purse.hold(digest, folded)
                changed[other] = None
    stories = {alert.story: None for name in changed if (alert := held.find(name)) is not None and alert.story is not None}
    said, anew = teller.grown(stories, held.find, rules)
    found = (held.find(name) for name in dict.fromkeys((*changed, *anew)))
    told = [alert for alert in found if alert is not None and alert.raised and alert.rule in rules]
    upserts = [upsert(alert, rules, facts, *said.get(alert.story or "", (None, 0))) for alert in told]
    upserts += [digest_alert(digest, rules) for digest in purse.changed.values()]
    upserts.sort(key=lambda alert: (alert.first_seen, alert.id))
    after, alive = held.kept({each.run for each in looked}, purse.kept, teller.live)
    return SiteState(teller.kept(alive), purse.spent()), after, upserts


class _Held:
    """The open alerts of all runs of a site while some are changed."""

    def __init__(self, alerts: Mapping[Run, AlertState]) -> None:
        self._alerts = alerts
        self._put: dict[Run, dict[str, OpenAlert]] = {}
        self._run_of = {name: run for run, state in alerts.items() for name in state.open}
        newest = {run[0]: run for run in alerts}
        self._ended = {run for run in alerts if newest[run[0]] != run}
        self._since = _since(alerts)

    def holds(self, name: str) -> bool:
        """Whether an alert is still open."""
        return name in self._run_of

    def find(self, name: str) -> OpenAlert | None:
        """An alert by its id, of whichever run; None where it is not open any more."""
        run = self._run_of.get(name)
        return None if run is None else self._put.get(run, {}).get(name) or self._alerts[run].open[name]

    def put(self, name: str, **changes: str | None) -> OpenAlert | None:
        """An alert with another story or digest."""
        run, alert = self._run_of.get(name), self.find(name)
        if run is None or alert is None:
            return None
        changed = replace(alert, **changes)
        self._put.setdefault(run, {})[name] = changed
        return changed

    def kept(
        self, runs: AbstractSet[Run], foldable: AbstractSet[str], live: AbstractSet[str]
    ) -> tuple[dict[Run, AlertState], set[str]]:
        """The open alerts of these runs, of others that were changed and of those that ended, and the stories that have one.

        Of these runs the alerts remain that can still change, that may be folded, and those of their stories: what is said of a
        story rests on all its alerts. So it is of those that ended, which are as far as the run of their sensor that goes on.
        """
        whole = {run: {**state.open, **self._put[run]} if run in self._put else state.open for run, state in self._alerts.items()}
        going = {
            alert.story
            for run, alerts in whole.items()
            for name, alert in alerts.items()
            if alert.touched >= self._since[run] or name in foldable
        } | live
        after: dict[Run, AlertState] = {}
        alive: set[str] = set()
        for run, alerts in whole.items():
            state = self._alerts[run]
            if run in runs or (run in self._ended and alerts):
                kept = {
                    name: alert
                    for name, alert in alerts.items()
                    if alert.touched >= self._since[run] or name in foldable or (alert.story is not None and alert.story in going)
                }
                bounded = _bounded(kept)
                after[run] = replace(state, open=bounded, forgotten=state.forgotten + len(kept) - len(bounded))
            elif run in self._put:
                after[run] = replace(state, open=alerts)
            alive |= {alert.story for alert in after.get(run, state).open.values() if alert.story is not None}
        return after, alive


def _bounded(held: Mapping[str, OpenAlert]) -> Mapping[str, OpenAlert]:
    """At most `OPEN_ALERTS`, those without that were quiet longest."""
    over = len(held) - OPEN_ALERTS
    if over <= 0:
        return held
    # What belongs to an alert goes before it: its last change is never later.
    oldest = sorted(held.values(), key=lambda alert: (alert.touched, alert.parent is None, alert.id))
    gone = {alert.id for alert in oldest[:over]}
    kept = {name: alert for name, alert in held.items() if name not in gone}
    return {name: alert for name, alert in kept.items() if alert.parent is None or alert.parent in kept}
