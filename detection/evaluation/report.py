"""The figures for people (a table, Markdown) and for machines (JSON)."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from detection.evaluation.metrics import Figures, Result, by_kind, figures, quiet

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from detection.evaluation.events import Event
    from detection.evaluation.metrics import Quiet, Rate, Share, Simple

DAY_HOURS: Final = 24.0
RULES_SHOWN: Final = 12
"""Rules with false alerts in a table, most first."""


@dataclass(frozen=True, slots=True)
class Report:
    """What `icsight evaluate` says."""

    results: Sequence[Result]
    without: Sequence[str] = ()
    """Kinds whose rules were switched off in all runs."""
    left_out: Mapping[str, tuple[Figures, int]] | None = None
    """For each kind: figures of its events with the rules written for it switched off, and how many rules those are."""

    @property
    def total(self) -> Figures:
        """Figures over all captures."""
        return figures(self.results)

    def parts(self) -> dict[str, Figures]:
        """Figures by data set, in order of their names."""
        names = sorted({result.dataset for result in self.results})
        return {name: figures([result for result in self.results if result.dataset == name]) for name in names}


def as_json(report: Report) -> dict[str, Any]:
    """Everything, for machines."""
    return {
        "without_rules_for": list(report.without),
        "total": _plain(report.total),
        "data_sets": {name: _plain(part) for name, part in report.parts().items()},
        "kinds": {kind: _plain(part) for kind, part in by_kind(report.results).items()},
        "left_out": {kind: {"rules_off": rules, **_plain(part)} for kind, (part, rules) in (report.left_out or {}).items()},
        "without_events": {name: _quiet_plain(part) for name, part in quiet(report.results).items()},
        "captures": [_capture(result) for result in report.results],
    }


def as_lines(report: Report, *, markdown: bool) -> list[str]:
    """Tables: by data set, by kind, missed events, false alerts."""
    lines = _table(
        ["data set", "captures", "events found", "shown by records", "shown on the wire", "delay s", "first technique",
         "technique", "of any", "alerts true", "false", "a day (95 %)", "high or critical", "posture",
         "always: recall, precision", "random: recall, precision"],
        [[name, *_row(part)] for name, part in [*report.parts().items(), ("all", report.total)]],
        markdown=markdown,
    )  # fmt: skip
    left_out = report.left_out or {}
    head = [
        "kind",
        "events found",
        "shown by records",
        "delay s",
        "first technique",
        "technique of the strongest",
        "of any",
        *(["left out"] if left_out else []),
    ]
    lines += _table(
        head,
        [[kind, *_kind(part), *([_left(left_out[kind])] if left_out else [])] for kind, part in by_kind(report.results).items()],
        markdown=markdown,
    )
    lines += _table(
        ["missed", "kind", "shown", "why"],
        [[event.id, event.kind, event.shown, event.why] for event in missed(report.results)],
        markdown=markdown,
    )
    lines += _table(
        ["captures without events", "captures", "false alerts", "an hour (95 %)", "high or critical", "more than one"],
        [_quiet(name, part) for name, part in quiet(report.results).items() if part.captures],
        markdown=markdown,
    )
    lines += _table(
        [
            "models in normal traffic",
            "minutes with a false alarm promised",
            "measured",
            "promised a day",
            "measured a day (95 %)",
        ],
        [_promise(name, part) for name, part in [*report.parts().items(), ("all", report.total)] if part.models.hours],
        markdown=markdown,
    )
    rules = list(report.total.false_rules.items())[:RULES_SHOWN]
    return lines + _table(["false alerts of", "count"], [[name, str(count)] for name, count in rules], markdown=markdown)


def missed(results: Iterable[Result]) -> list[Event]:
    """Events that no alert found, those that records show first."""
    order = ("records", "wire", "nothing")
    events = [event for result in results for event, alerts in result.judged.found if not alerts]
    return sorted(events, key=lambda event: (order.index(event.shown), event.id))


def events_table(events: Iterable[tuple[str, Event]], *, markdown: bool) -> list[str]:
    """Each event with where it shows and why, by data set."""
    rows = [[dataset, event.id, event.kind, " ".join(event.techniques), event.shown, event.why] for dataset, event in events]
    return _table(["data set", "event", "kind", "techniques", "shown", "why"], rows, markdown=markdown)


def _quiet(name: str, part: Quiet) -> list[str]:
    hour = part.false_alerts.each(1.0)
    rate = "–" if hour is None else f"{hour[0]:.2f} ({hour[1]:.2f} to {hour[2]:.2f}) in {part.false_alerts.hours:.2f} h"
    return [name, str(part.captures), str(part.false_alerts.count), rate, str(part.severe), str(part.noisy)]


def _promise(name: str, part: Figures) -> list[str]:
    promised = part.models_promised
    day = promised * DAY_HOURS / part.models.hours
    return [name, f"{promised:.1f}", str(part.models.count), f"{day:g}", _rate(part.models)]


def _row(part: Figures) -> list[str]:
    return [
        str(part.captures),
        share(part.found),
        share(part.found_in_records),
        share(part.found_on_the_wire),
        _delay(part),
        share(part.technique_first),
        share(part.technique_of_strongest),
        share(part.technique_of_any),
        share(part.true_alerts),
        str(part.false_alerts.count),
        _rate(part.false_alerts),
        str(part.false_severe),
        str(part.posture),
        _simple(part.always),
        _simple(part.random),
    ]


def _kind(part: Figures) -> list[str]:
    return [
        share(part.found),
        share(part.found_in_records),
        _delay(part),
        share(part.technique_first),
        share(part.technique_of_strongest),
        share(part.technique_of_any),
    ]


def _left(left: tuple[Figures, int]) -> str:
    part, rules = left
    return f"{share(part.found)} without {rules} rules"


def share(part: Share) -> str:
    """As in 0.95 (19 of 20)."""
    return "–" if part.value is None else f"{part.value:.2f} ({part.part} of {part.whole})"


def _rate(rate: Rate) -> str:
    day = rate.each(DAY_HOURS)
    return "–" if day is None else f"{day[0]:.1f} ({day[1]:.1f} to {day[2]:.1f}) in {rate.hours:.2f} h"


def _delay(part: Figures) -> str:
    """Median and longest."""
    return f"{median(part.delay_seconds):.0f}, at most {part.delay_seconds[-1]:.0f}" if part.delay_seconds else "–"


def _simple(simple: Simple) -> str:
    numbers = (simple.recall, simple.precision)
    return ", ".join("–" if number is None else f"{number:.2f}" for number in numbers)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, markdown: bool) -> list[str]:
    """A table with an empty line after it; nothing without rows."""
    if not rows:
        return []
    if markdown:
        return [_cells(head), _cells(["---"] * len(head)), *(_cells(row) for row in rows), ""]
    widths = [max(len(row[place]) for row in [head, *rows]) for place in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [head, *rows]]
    return [*(line.rstrip() for line in lines), ""]


def _cells(row: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"


def _plain(part: Figures) -> dict[str, Any]:
    hour, day = part.false_alerts.each(1.0), part.false_alerts.each(DAY_HOURS)
    models = part.models.each(DAY_HOURS)
    return {
        "captures": part.captures,
        "records": part.records,
        "events": part.found.whole,
        "events_found": part.found.part,
        "recall": part.found.value,
        "recall_shown_by_records": part.found_in_records.value,
        "events_shown_by_records": part.found_in_records.whole,
        "recall_shown_on_the_wire": part.found_on_the_wire.value,
        "events_shown_on_the_wire": part.found_on_the_wire.whole,
        "delay_seconds_median": median(part.delay_seconds) if part.delay_seconds else None,
        "delay_seconds_most": part.delay_seconds[-1] if part.delay_seconds else None,
        "first_technique_of_strongest_alert": part.technique_first.value,
        "technique_of_strongest_alert": part.technique_of_strongest.value,
        "technique_of_any_alert": part.technique_of_any.value,
        "alerts": part.true_alerts.whole,
        "alerts_true": part.true_alerts.part,
        "precision": part.true_alerts.value,
        "false_alerts": part.false_alerts.count,
        "false_alerts_severe": part.false_severe,
        "false_alerts_by_severity": dict(part.false_severities),
        "false_alerts_by_rule": dict(part.false_rules),
        "posture_findings": part.posture,
        "normal_hours": part.false_alerts.hours,
        "false_alerts_per_hour": None if hour is None else dict(zip(("rate", "least", "most"), hour, strict=True)),
        "false_alerts_per_day": None if day is None else dict(zip(("rate", "least", "most"), day, strict=True)),
        "models": {
            "normal_hours": part.models.hours,
            "minutes_promised": part.models_promised,
            "minutes_measured": part.models.count,
            "measured_per_day": None if models is None else dict(zip(("rate", "least", "most"), models, strict=True)),
        },
        "always_alert": _simple_plain(part.always),
        "random_at_same_rate": _simple_plain(part.random),
    }


def _quiet_plain(part: Quiet) -> dict[str, Any]:
    return {
        "captures": part.captures,
        "hours": part.false_alerts.hours,
        "false_alerts": part.false_alerts.count,
        "captures_with_high_or_critical": part.severe,
        "captures_with_more_than_one": part.noisy,
    }


def _simple_plain(simple: Simple) -> dict[str, float | None]:
    return {"recall": simple.recall, "precision": simple.precision, "false_alerts_per_day": simple.false_per_day}


def _capture(result: Result) -> dict[str, Any]:
    return {
        "data_set": result.dataset,
        "capture": result.capture.name,
        "records": result.observation.records,
        "normal_seconds": result.normal_seconds,
        "events": [
            {
                "id": event.id,
                "kind": event.kind,
                "shown": event.shown,
                "found": bool(alerts),
                "rules": [alert.rule for alert in alerts],
            }
            for event, alerts in result.judged.found
        ],
        "false_alerts": [
            {"id": alert.id, "rule": alert.rule, "severity": alert.severity, "hosts": sorted(alert.hosts)}
            for alert in result.judged.false
        ],
    }
