"""`icsight evaluate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from detection.evaluation import subject
from detection.evaluation.datasets import Case, DatasetError, load
from detection.evaluation.matching import TOLERANCE_SECONDS, judge
from detection.evaluation.metrics import Figures, Result, by_kind, figures
from detection.evaluation.observation import observe, slices_of
from detection.evaluation.report import Report, as_json, as_lines, events_table, missed
from detection.evaluation.subject import Subject
from detection.sigma.rule import RuleError
from detection.site import SiteError
from sensor._core import CaptureError
from sensor.terminal import EXIT_COULD_NOT, CommandError, say, warn

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_MISSED = 1
"""Exit status when an event that records show was missed, or a false alert was high or critical."""


@click.command()
@click.argument("datasets", metavar="DATASET...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--rules", "folders", metavar="PATH", multiple=True, type=click.Path(path_type=Path), help="Rule file or folder.")
@click.option(
    "--tolerance",
    "tolerance_seconds",
    metavar="SECONDS",
    default=TOLERANCE_SECONDS,
    show_default=True,
    type=click.FloatRange(0),
    help="How far after an event an alert may still be about it.",
)
@click.option(
    "--without-rules-for",
    "without",
    metavar="KIND",
    multiple=True,
    help="Switch off the rules written for a kind of attack (all: every rule); may be repeated.",
)
@click.option("--leave-one-out", is_flag=True, help="Run each kind again without the rules written for it.")
@click.option("--events", "only_events", is_flag=True, help="Print the events and where they show; detect nothing.")
@click.option("--output", default="table", show_default=True, type=click.Choice(["table", "json", "markdown"]), help="Format.")
def evaluate(  # noqa: PLR0913 - one parameter for each option
    datasets: tuple[Path, ...],
    folders: tuple[Path, ...],
    tolerance_seconds: float,
    without: tuple[str, ...],
    output: Literal["table", "json", "markdown"],
    *,
    leave_one_out: bool,
    only_events: bool,
) -> None:
    """Measure detection on captures with labels: events found, delay, false alerts a day, techniques.

    Exit status: 0 measured, and nothing to regret; 1 an event that records show was missed, or a false alert was high or
    critical; 2 a data set or a capture could not be read.
    """
    _check(without)
    try:
        cases = [case for dataset in datasets for case in load(dataset)]
        if only_events:
            _print_events(cases, output)
            return
        detection = Subject(folders, without)
        results, failed = run(cases, detection, tolerance_seconds)
        left_out = _left_out(cases, results, detection, tolerance_seconds) if leave_one_out else None
    except (DatasetError, RuleError, SiteError) as error:
        raise CommandError(str(error)) from error
    report = Report(results, without, left_out)
    if output == "json":
        click.echo(json.dumps(as_json(report), ensure_ascii=False, indent=2))
    else:
        click.echo("\n".join(as_lines(report, markdown=output == "markdown")).rstrip())
    regret = report.total.false_severe or any(event.shown == "records" for event in missed(results))
    raise click.exceptions.Exit(EXIT_COULD_NOT if failed else EXIT_MISSED if regret else 0)


def run(
    cases: Sequence[Case], detection: Subject, tolerance_seconds: float = TOLERANCE_SECONDS
) -> tuple[list[Result], list[Path]]:
    """Evaluate detection on captures; those that could not be read are told, and returned apart. Raises SiteError."""
    results: list[Result] = []
    failed: list[Path] = []
    for case in cases:
        spans = [(span.start, span.end) for span, _ in case.spans]
        known = [(start, end) for start, end in spans if start is not None and end is not None]
        slices = slices_of(known) if len(known) == len(spans) else None
        try:
            seen = observe(case.capture, detection.pipeline(case), slices, detection.normal(case))
        except CaptureError as error:
            say("error", str(error), "red")
            failed.append(case.capture)
            continue
        for warning in seen.warnings:
            warn(warning)
        events = case.events(seen.start, seen.end)
        judged = judge(events, seen.sightings, tolerance_seconds)
        results.append(Result(case.dataset, case.capture, seen, tuple(events), judged, tolerance_seconds))
    return results, failed


def _left_out(
    cases: Sequence[Case], results: Sequence[Result], detection: Subject, tolerance_seconds: float
) -> dict[str, tuple[Figures, int]]:
    """Each kind again, on the captures that have it, without the rules written for it."""
    having = {
        kind: {(result.dataset, result.capture) for result in results if any(event.kind == kind for event in result.events)}
        for kind in by_kind(results)
    }
    _check(list(having))
    found: dict[str, tuple[Figures, int]] = {}
    for kind, names in having.items():
        rest = detection.leaving_out(kind)
        again, _ = run([case for case in cases if (case.dataset, case.capture) in names], rest, tolerance_seconds)
        found[kind] = by_kind(again).get(kind, figures([])), len(rest.silent)
    return found


def _check(kinds: Sequence[str]) -> None:
    unknown = sorted(set(kinds) - subject.kinds().keys())
    if unknown:
        raise CommandError(
            f"no rules are known to be written for {', '.join(unknown)}; detection/evaluation/kinds.yml names the kinds"
        )


def _print_events(cases: Sequence[Case], output: str) -> None:
    events = [(case.dataset, event) for case in cases for event in case.events(0, 0)]
    if output == "json":
        for dataset, event in events:
            content = {"data_set": dataset, "event": event.id, "kind": event.kind, "techniques": event.techniques}
            click.echo(json.dumps({**content, "shown": event.shown, "why": event.why}, ensure_ascii=False))
    else:
        click.echo("\n".join(events_table(events, markdown=output == "markdown")).rstrip())
