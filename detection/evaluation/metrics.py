"""Figures: recall by events, delay, false alerts a day, techniques, and what the simplest detectors would reach.

Nothing is point-adjusted: an event counts once if an alert finds it, an alert once as true or false.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from detection.evaluation.events import any_technique
from detection.evaluation.matching import SECOND, Judged, bounds, shares_host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from detection.evaluation.events import Event
    from detection.evaluation.observation import Observation, Sighting

CONFIDENCE: Final = 0.95
"""Of the interval of a rate."""

ALWAYS_SECONDS: Final = 60.0
"""How often the detector that always alerts does so, for each conversation."""

LONG_SECONDS: Final = 3_600.0
"""From where a rate of false alerts an hour says something of a capture."""

MINUTE_NS: Final = 60 * SECOND
MINUTES_AN_HOUR: Final = 60

SEVERE: Final = frozenset({"high", "critical"})


@dataclass(frozen=True, slots=True)
class Result:
    """One capture, evaluated."""

    dataset: str
    capture: Path
    observation: Observation
    events: tuple[Event, ...]
    judged: Judged
    tolerance_seconds: float

    @property
    def normal_seconds(self) -> float:
        """How long the capture shows normal traffic: what was heard without the time of its events, tolerance included."""
        covered = _union([bounds(event, self.tolerance_seconds) for event in self.events])
        inside = sum(
            max(0, min(end, self.observation.end) - max(start, self.observation.start)) / SECOND for start, end in covered
        )
        return max(0.0, self.observation.active_seconds - inside)

    @property
    def models(self) -> tuple[Rate, float]:
        """Minutes in which models told something in normal traffic, in the hours of it that they judged; how many they promise.

        All of an event's time counts as heard, so that the rate is rather too high than too low.
        """
        seen = self.observation.models
        if seen is None:
            return Rate(0, 0.0), 0.0
        covered = _union([bounds(event, self.tolerance_seconds) for event in self.events])
        spans = [(start // MINUTE_NS, -(-end // MINUTE_NS)) for start, end in covered]
        inside = sum(max(0, min(end, seen.last + 1) - max(start, seen.first)) for start, end in _union(spans))
        told = sum(not any(start <= minute < end for start, end in spans) for minute in seen.told)
        hours = max(0, seen.heard - inside) / MINUTES_AN_HOUR
        return Rate(told, hours), seen.promised * hours / 24


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many."""

    part: int
    whole: int

    @property
    def value(self) -> float | None:
        """From 0 to 1; None of nothing."""
        return self.part / self.whole if self.whole else None


@dataclass(frozen=True, slots=True)
class Rate:
    """Alerts in a time."""

    count: int
    hours: float

    def each(self, hours: float) -> tuple[float, float, float] | None:
        """The rate in so many hours with its exact Poisson interval; None where no time was heard."""
        if self.hours <= 0:
            return None
        factor = hours / self.hours
        least, most = poisson_interval(self.count)
        return self.count * factor, least * factor, most * factor


@dataclass(frozen=True, slots=True)
class Simple:
    """What a detector that knows nothing would reach: the expected figures."""

    recall: float | None
    """Over all events."""
    precision: float | None
    false_per_day: float | None


@dataclass(frozen=True, slots=True)
class Quiet:
    """Captures in which there is nothing to find."""

    captures: int
    false_alerts: Rate
    severe: int
    """Captures with an alert of severity high or critical."""
    noisy: int
    """Captures with more than one alert."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures over some captures."""

    captures: int
    records: int
    found: Share
    """Over all events."""
    found_on_the_wire: Share
    """Over those that records or packets show."""
    found_in_records: Share
    """Over those that records show."""
    delay_seconds: tuple[float, ...]
    """From an event's first packet to when its first alert was told, of each event found, rising."""
    technique_of_strongest: Share
    """Found events with a technique, whose strongest alert names it."""
    technique_first: Share
    """The same, counting only the technique that the strongest alert names first."""
    technique_of_any: Share
    """Found events with a technique that one of their alerts names, itself or by a related rule that it tells."""
    true_alerts: Share
    """Of all alerts."""
    false_alerts: Rate
    """Over the time of normal traffic. A false alert in the time of an event is counted as well."""
    false_severities: Mapping[str, int]
    """False alerts by severity."""
    false_rules: Mapping[str, int]
    """False alerts by rule or detector, most first."""
    posture: int
    """Alerts about how servers are set up; they are neither true nor false, and find no event."""
    models: Rate
    """Minutes of normal traffic, after learning, in which models told something."""
    models_promised: float
    """How many of these they promise at most."""
    always: Simple
    """An alert each minute for each pair of addresses."""
    random: Simple
    """As many alerts in each capture as there were, each at a random time for a random pair of addresses."""

    @property
    def false_severe(self) -> int:
        """False alerts of severity high or critical."""
        return sum(count for severity, count in self.false_severities.items() if severity in SEVERE)


def figures(results: Sequence[Result]) -> Figures:
    """Figures over some captures together."""
    found = [(event, alerts) for result in results for event, alerts in result.judged.found]
    named = [(event, alerts) for event, alerts in found if alerts and event.techniques]
    false = [alert for result in results for alert in result.judged.false]
    true = sum(len(result.judged.true) for result in results)
    models = [result.models for result in results]
    return Figures(
        captures=len(results),
        records=sum(result.observation.records for result in results),
        found=_found(found, lambda _: True),
        found_on_the_wire=_found(found, lambda event: event.shown != "nothing"),
        found_in_records=_found(found, lambda event: event.shown == "records"),
        delay_seconds=tuple(sorted(delay(event, alerts) for event, alerts in found if alerts)),
        technique_of_strongest=_share(any_technique(alerts[0].techniques, event.techniques) for event, alerts in named),
        technique_first=_share(any_technique([alerts[0].first_technique], event.techniques) for event, alerts in named),
        technique_of_any=_share(any(any_technique(alert.told, event.techniques) for alert in alerts) for event, alerts in named),
        true_alerts=Share(true, true + len(false)),
        false_alerts=Rate(len(false), sum(result.normal_seconds for result in results) / 3_600),
        false_severities=dict(Counter(alert.severity for alert in false)),
        false_rules=dict(Counter(alert.rule for alert in false).most_common()),
        posture=sum(len(result.observation.posture) for result in results),
        models=Rate(sum(rate.count for rate, _ in models), sum(rate.hours for rate, _ in models)),
        models_promised=sum(promised for _, promised in models),
        always=_simple(results, lambda result: result.observation.active_seconds / ALWAYS_SECONDS, certain=True),
        random=_simple(results, lambda result: float(len(result.observation.sightings)), certain=False),
    )


def by_kind(results: Sequence[Result]) -> dict[str, Figures]:
    """Figures of the events of each kind, in order of kind; alerts, true or false, are those of the captures that have it."""
    kinds = sorted({event.kind for result in results for event in result.events})
    return {kind: figures([_only(result, kind) for result in results if _has(result, kind)]) for kind in kinds}


def quiet(results: Sequence[Result]) -> dict[str, Quiet]:
    """False alerts on captures without events: those of an hour and more, and shorter ones."""
    plain = [result for result in results if not result.events]
    long = [result for result in plain if result.observation.active_seconds >= LONG_SECONDS]
    return {
        "an hour and more": _quiet(long),
        "shorter": _quiet([result for result in plain if result.observation.active_seconds < LONG_SECONDS]),
    }


def _quiet(results: Sequence[Result]) -> Quiet:
    false = [result.judged.false for result in results]
    return Quiet(
        captures=len(results),
        false_alerts=Rate(sum(map(len, false)), sum(result.normal_seconds for result in results) / 3_600),
        severe=sum(any(alert.severity in SEVERE for alert in alerts) for alerts in false),
        noisy=sum(len(alerts) > 1 for alerts in false),
    )


def delay(event: Event, alerts: Sequence[Sighting]) -> float:
    """Seconds from an event's first packet to when the first of its alerts was told; not below 0."""
    return max(0.0, (min(alert.known for alert in alerts) - event.start) / SECOND)


def poisson_interval(count: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The exact interval of the mean of a Poisson distribution, given one count (Garwood, Biometrika 28, 1936).

    Its ends are the means under which so many or more, and so few or fewer, are just not too improbable. Found by bisection, so
    that one function does not bring scipy into the installation.
    """
    tail = (1 - confidence) / 2
    top = 2.0 * count + 20.0
    least = 0.0 if count == 0 else _root(lambda mean: 1 - _cumulative(count - 1, mean) - tail, top)
    return least, _root(lambda mean: tail - _cumulative(count, mean), top)


def _cumulative(count: int, mean: float) -> float:
    """Probability of so many or fewer; summed in logarithms."""
    if mean <= 0:
        return 1.0
    logarithms = [number * math.log(mean) - mean - math.lgamma(number + 1) for number in range(count + 1)]
    return min(1.0, math.fsum(math.exp(each) for each in logarithms))


def _root(rising: Callable[[float], float], top: float) -> float:
    """Where a rising function is 0, between 0 and `top`."""
    low, high = 0.0, top
    for _ in range(64):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return (low + high) / 2


def _found(found: Sequence[tuple[Event, tuple[Sighting, ...]]], counts: Callable[[Event], bool]) -> Share:
    return _share(bool(alerts) for event, alerts in found if counts(event))


def _share(truths: Iterable[bool]) -> Share:
    values = list(truths)
    return Share(sum(values), len(values))


def _has(result: Result, kind: str) -> bool:
    return any(event.kind == kind for event in result.events)


def _only(result: Result, kind: str) -> Result:
    found = tuple((event, alerts) for event, alerts in result.judged.found if event.kind == kind)
    judged = Judged(result.judged.true, result.judged.false, found)
    return Result(result.dataset, result.capture, result.observation, result.events, judged, result.tolerance_seconds)


def _simple(results: Sequence[Result], alerts_of: Callable[[Result], float], *, certain: bool) -> Simple:
    """Expected figures of alerts at random times for random pairs of addresses; `certain`: at all times for all pairs."""
    events = found = alerts = true = 0.0
    for result in results:
        pairs = result.observation.conversations or {("", "")}
        count = alerts_of(result) * (len(pairs) if certain else 1)
        hits = [_hit(result, [event], pairs) for event, _ in result.judged.found]
        events += len(hits)
        found += sum(float(hit > 0) if certain else 1 - (1 - hit) ** count for hit in hits)
        alerts += count
        true += count * _hit(result, result.events, pairs)
    hours = sum(result.normal_seconds for result in results) / 3_600
    return Simple(
        recall=found / events if events else None,
        precision=true / alerts if alerts else None,
        false_per_day=(alerts - true) * 24 / hours if hours > 0 else None,
    )


def _hit(result: Result, events: Sequence[Event], pairs: Iterable[tuple[str, str]]) -> float:
    """Probability that an alert at a random time of the capture for a random pair is about one of the events."""
    start, end = result.observation.start, result.observation.end
    length = max(1, end - start)
    shares: list[float] = []
    for pair in pairs:
        spans = _union([bounds(event, result.tolerance_seconds) for event in events if shares_host(pair, event)])
        inside = sum(max(0, min(last, end) - max(first, start)) for first, last in spans)
        # A capture of one moment lies wholly in an event of that moment.
        shares.append(min(1.0, inside / length) if end > start else float(bool(spans)))
    return sum(shares) / len(shares) if shares else 0.0


def _union(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans of time without what they have in common."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if joined and first <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], last)
        else:
            joined.append((first, last))
    return joined
