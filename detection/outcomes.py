"""What became of the findings in one cut of a run, for whoever tells the alerts of the site elsewhere: JSON can hold it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self

from detection.grouping import AlertState, Begun, Grouped, of_rules
from detection.opened import OpenAlert, Part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collector.stream import Run
    from detection.opened import Place
    from detection.sigma.rule import Rule


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the findings in one cut.

    Attributes:
        grouped: what began and what changed.
        alerts: what changed, as it is then, by id; in whose stories and digests it is, is not known where it was found.
        findings: records in findings of the run so far.
        since: as `AlertState.since`.
    """

    grouped: Grouped
    alerts: Mapping[str, OpenAlert]
    findings: int
    since: int

    @classmethod
    def of(cls, after: AlertState, grouped: Grouped) -> Self:
        """Of a step that left these open alerts."""
        return cls(grouped, {name: after.open[name] for name in grouped.changed}, after.findings, after.since)

    def over(self, before: AlertState, rules: Mapping[str, Rule]) -> AlertState:
        """Open alerts of the run where they are told, with it taken in; stories and digests stay."""
        held = of_rules(before.open, rules)
        for name, alert in self.alerts.items():
            known = held.get(name)
            held[name] = alert if known is None else replace(alert, story=known.story, digest=known.digest)
        return AlertState(held, before.forgotten, self.findings, self.since)

    def to_json(self) -> dict[str, Any]:
        """As values that JSON can hold."""
        begun = [[alert_fields(each.alert), each.order, each.weight, each.taken_in] for each in self.grouped.begun]
        alerts = [alert_fields(alert) for alert in self.alerts.values()]
        return {"begun": begun, "alerts": alerts, "findings": self.findings, "since": self.since}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """What `to_json` gave. Raises KeyError, TypeError or ValueError for anything else."""
        begun = [
            Begun(open_alert(alert), (int(event), int(sequence), int(row), str(rule)), float(weight), tuple(map(str, taken_in)))
            for alert, (event, sequence, row, rule), weight, taken_in in content["begun"]
        ]
        alerts = {alert.id: alert for alert in map(open_alert, content["alerts"])}
        return cls(Grouped(begun, dict.fromkeys(alerts)), alerts, int(content["findings"]), int(content["since"]))


@dataclass(frozen=True, slots=True)
class Found:
    """What became of a cut, as its share tells it.

    Attributes:
        run: its run.
        last: sequence of its last batch.
        outcome: what it was; None where nothing was found.
    """

    run: Run
    last: int
    outcome: Outcome | None

    def to_json(self) -> list[Any]:
        """As values that JSON can hold."""
        return [*self.run, self.last, None if self.outcome is None else self.outcome.to_json()]

    @classmethod
    def from_json(cls, content: Sequence[Any]) -> Self:
        """What `to_json` gave. Raises KeyError, TypeError or ValueError for anything else."""
        sensor, epoch, last, outcome = content
        return cls((str(sensor), str(epoch)), int(last), None if outcome is None else Outcome.from_json(outcome))

    @property
    def rules(self) -> set[str]:
        """The names of the rules of which alerts began."""
        return set() if self.outcome is None else {begun.alert.rule for begun in self.outcome.grouped.begun}


def alert_fields(alert: OpenAlert) -> dict[str, Any]:
    """An alert as values that JSON can hold: all open ones are written at each commit, so nothing is copied."""
    return {**_fields(alert), "related": {name: _fields(part) for name, part in alert.related.items()}}


def _fields(of: OpenAlert | Part) -> dict[str, Any]:
    return {each.name: getattr(of, each.name) for each in fields(of)}


def open_alert(content: Mapping[str, Any]) -> OpenAlert:
    """The alert that `alert_fields` gave the fields of. Raises KeyError, TypeError or ValueError for anything else."""
    tuples: dict[str, Any] = {name: tuple(content[name]) for name in ("cause", "records_first", "records_last")}
    related = {name: _part(part) for name, part in content["related"].items()}
    target = tuple((str(name), str(value)) for name, value in content["target"])
    earliest, latest = content["seen"]
    seen = (int(earliest), int(latest))
    places = _places(content["places"])
    fields: dict[str, Any] = {**content, **tuples, "target": target, "seen": seen, "places": places, "related": related}
    return OpenAlert(**fields)


def _part(content: Mapping[str, Any]) -> Part:
    return Part(int(content["count"]), int(content["first"]), int(content["last"]), _places(content["places"]))


def _places(encoded: list[list[Any]]) -> tuple[Place, ...]:
    return tuple((int(event), int(sequence), int(row), str(identity)) for event, sequence, row, identity in encoded)
