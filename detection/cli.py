"""Commands of detection: `icsight detect` and `icsight rules`."""

from __future__ import annotations

import json
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from detection import attack, splitting
from detection.alerts import flat, moment
from detection.baseline.cli import given
from detection.captures import detect as detect_capture
from detection.pipeline import Pipeline
from detection.rules import RuleDetector, unfit_overrides
from detection.ruleset import RuleFiles
from detection.sigma import check as checks
from detection.sigma import coverage as coverages
from detection.sigma.importing import STATUS_FILE, import_rules
from detection.sigma.rule import LANGUAGES, Rule, RuleError, load, rules_folder
from detection.site import Site, SiteError, with_budget
from detection.site import load as load_site
from sensor._core import CaptureError
from sensor.terminal import EXIT_COULD_NOT, CommandError, progress, say, warn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from detection.alerts import Alert

EXIT_ALERTS = 1
"""Exit status of `detect` when there were alerts."""

COLOURS = {"critical": "magenta", "high": "red", "medium": "yellow", "low": "cyan", "informational": "white"}

RULES_OPTION = click.option(
    "--rules",
    "folders",
    metavar="PATH",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Rule file or folder; may be repeated.",
)


@click.command()
@click.argument("captures", metavar="CAPTURE...", nargs=-1)
@click.option(
    "--worker",
    metavar="NAME",
    help="Name of the worker that looks at records on Kafka; that of this machine where none is given.",
)
@click.option(
    "--forget",
    metavar="SITE",
    help="Throw away what workers on Kafka remember of this site, while none runs, and end: it is learned anew.",
)
@click.option("--site", "site_file", metavar="FILE", type=click.Path(path_type=Path), help="Facts of the site (site.yml).")
@click.option(
    "--learn", "lessons", metavar="CAPTURE", multiple=True, help="Learn from this capture what is normal; may be repeated."
)
@click.option(
    "--baseline",
    "baseline_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="What is normal, from `icsight baseline learn`.",
)
@click.option(
    "--budget", metavar="N/TIME[,...]", help="Alerts that people can look at, as in 144/day,10/10min; the site's own else."
)
@RULES_OPTION
@click.option("--language", default="en", show_default=True, type=click.Choice(LANGUAGES), help="Language of the texts.")
@click.option("--output", default="table", show_default=True, type=click.Choice(["table", "json"]), help="Format of the output.")
def detect(  # noqa: PLR0913, PLR0917 - a command's parameters are its face
    captures: tuple[str, ...],
    worker: str | None,
    forget: str | None,
    site_file: Path | None,
    lessons: tuple[str, ...],
    baseline_file: Path | None,
    budget: str | None,
    folders: tuple[Path, ...],
    language: str,
    output: Literal["table", "json"],
) -> None:
    """Find attacks in captures and print them as alerts, strongest first.

    What is more than the budget, the lowest ranked, is folded into a digest for each window; high and critical alerts pass.

    What is new is told against what `--learn` or `--baseline` says is normal, otherwise against each capture's own first fifth.

    What an exception of the site hides is counted; JSON has it too, with `exception`.

    Without a capture it is a worker that looks at the records on Kafka, as icsight.toml says, until it is stopped. There may
    be as many as the topic of records has partitions; rules and facts of sites come from `icsight rules publish`.

    Exit status: 0 nothing found, 1 alerts, 2 a capture could not be read.
    """
    if worker is not None or forget is not None or not captures:
        if captures or site_file or lessons or baseline_file or budget or folders:
            raise click.UsageError(
                "name a capture; a worker on Kafka has no other option: what holds comes from `icsight rules publish`"
            )
        if forget is not None:
            click.confirm(f"All that was learned of site {forget!r} goes. Is that what you want?", abort=True)
            click.echo(_on_kafka().forget_site(forget))
            return
        _on_kafka().work(worker)
        return
    pipeline, told = _pipeline(site_file, folders, budget)
    for alert in told:
        click.echo(json.dumps(flat(alert, language), ensure_ascii=False) if output == "json" else _paragraph(alert, language))
    normal = given(lessons, baseline_file, pipeline.site.site)
    found, failed = bool(told), False
    for capture in captures:
        try:
            with progress(capture) as line:
                found_there, warnings = detect_capture(
                    capture, pipeline, lambda reader: line.update(reader.position, reader.size, reader.packets), normal
                )
        except CaptureError as error:
            say("error", str(error), "red")
            failed = True
            continue
        for warning in warnings:
            warn(warning)
        # What became part of a stronger alert is told there.
        alerts = [alert for alert in found_there if alert.part_of is None]
        shown = [alert for alert in alerts if alert.exception is None]
        found |= bool(shown)
        if output == "json":
            for alert in alerts:
                click.echo(json.dumps(flat(alert, language), ensure_ascii=False))
            continue
        for alert in shown:
            click.echo(_paragraph(alert, language))
        if not alerts:
            click.echo(f"{capture}: nothing found by {len(_active(pipeline))} rules")
        for name, count in sorted(
            Counter(str((alert.exception or {}).get("name")) for alert in alerts if alert.exception).items()
        ):
            click.echo(f"{capture}: {count} hidden by the site's exception {name}; --output json prints them too")
    raise click.exceptions.Exit(EXIT_COULD_NOT if failed else EXIT_ALERTS if found else 0)


def _pipeline(site_file: Path | None, folders: Sequence[Path], budget: str | None) -> tuple[Pipeline, list[Alert]]:
    """The detectors, and what is to be told of rules that are not in use."""
    try:
        site = load_site(site_file) if site_file else Site()
        return Pipeline.proved(RuleFiles(folders).read(), site if budget is None else with_budget(site, budget))
    except (SiteError, RuleError) as error:
        raise CommandError(str(error)) from error


def _active(pipeline: Pipeline) -> list[Rule]:
    return [rule for rule in pipeline.detector.rules.values() if rule.alerts and rule.name not in pipeline.detector.inactive]


def _paragraph(alert: Alert, language: str) -> str:
    """An alert for a person: what happened, what was expected and seen, what to do."""
    shown = flat(alert, language)
    severity = click.style(alert.severity.upper(), fg=COLOURS[alert.severity], bold=True)
    techniques = ", ".join(f"{name} {attack.techniques()[name].name}" for name in alert.body["techniques"])
    lines = [
        f"{severity}  {click.style(shown['title'], bold=True)}  ({alert.rule}, {alert.count} records)",
        f"  {shown['summary']}",
        f"  first {moment(alert.first_seen)}  last {moment(alert.last_seen)}",
        f"  expected: {shown['expected']}",
        f"  observed: {shown['observed']}",
        *([f"  technique: {techniques}"] if techniques else []),
        *([f"  story: {shown['story']['sentence']}"] if shown["story"] else []),
        *(f"  next: {step}" for step in shown["next_steps"]),
        *(f"  with it: {each['title']} ({each['count']} records)" for each in shown["related"]),
        *(
            f"  records: {name}" + (f" and {alert.count - 1} more" if alert.count > 1 else "")
            for name in alert.body["records"][:1]
        ),
    ]
    return "\n".join(lines) + "\n"


@click.group()
def rules() -> None:
    """Check, list and test detection rules."""


@rules.command()
@RULES_OPTION
@click.option("--traffic/--no-traffic", default=True, show_default=True, help="Run the rules' test captures.")
def check(folders: tuple[Path, ...], *, traffic: bool) -> None:
    """Refuse rules that are incomplete, cannot fire, or are not fired by their own test traffic."""
    loaded = _load(folders)
    faults = list(checks.check(loaded, traffic=traffic))
    for fault in faults:
        say("error", str(fault), "red")
    alerting = [rule for rule in loaded if rule.alerts]
    if faults:
        raise click.exceptions.Exit(EXIT_COULD_NOT)
    click.echo(f"{len(alerting)} rules hold")


@rules.command("list")
@RULES_OPTION
@click.option("--site", "site_file", metavar="FILE", type=click.Path(path_type=Path), help="Facts of the site (site.yml).")
@click.option("--language", default="en", show_default=True, type=click.Choice(LANGUAGES), help="Language of the titles.")
def list_rules(folders: tuple[Path, ...], site_file: Path | None, language: str) -> None:
    """Print the rules, and which of them the site leaves inactive or sets otherwise."""
    loaded = [rule for rule in _load(folders) if rule.alerts]
    try:
        site = load_site(site_file) if site_file else Site()
    except SiteError as error:
        raise CommandError(str(error)) from error
    for rule in sorted(loaded, key=lambda rule: (rule.path.parent.name, rule.name)):
        missing = sorted(name for name in rule.placeholders if not site.defines(name))
        state = f"  inactive: the site defines no {', '.join(missing)}" if missing else ""
        override = site.rules.get(rule.name)
        if override is not None:
            limit = "" if override.threshold is None else f"threshold {override.threshold:g}"
            state += f"  {limit if override.enabled else 'off'}: {override.reason}"
        name = f"{rule.path.parent.name}/{rule.name}"
        click.echo(f"{rule.level:<14}{name:<52}{rule.text(language).title}{state}")
    for fault in unfit_overrides(loaded, site):
        warn(f"{site_file}: rules: {fault.rule}: {fault.text}")


@rules.command("coverage")
@RULES_OPTION
@click.option("--site", "site_file", metavar="FILE", type=click.Path(path_type=Path), help="Count active rules only.")
@click.option(
    "--output",
    default="table",
    show_default=True,
    type=click.Choice(["table", "json", "navigator"]),
    help="Format; navigator: a layer for the ATT&CK Navigator.",
)
def rules_coverage(folders: tuple[Path, ...], site_file: Path | None, output: Literal["table", "json", "navigator"]) -> None:
    """Print which techniques of ATT&CK for ICS the rules cover."""
    loaded = _load(folders)
    if site_file is not None:
        try:
            detector = RuleDetector(loaded, load_site(site_file))
        except (SiteError, RuleError) as error:
            raise CommandError(str(error)) from error
        loaded = [rule for rule in detector.rules.values() if rule.name not in detector.inactive]
    matrix = coverages.coverage(loaded)
    if output == "table":
        for line in coverages.table(matrix):
            click.echo(line if line.startswith(" ") else click.style(line, bold=True))
        return
    content = coverages.layer(matrix) if output == "navigator" else coverages.fields(matrix)
    click.echo(json.dumps(content, ensure_ascii=False, indent=1))


@rules.command("split")
@RULES_OPTION
@click.option("--site", "site_file", metavar="FILE", type=click.Path(path_type=Path), help="Only what is active at this site.")
def rules_split(folders: tuple[Path, ...], site_file: Path | None) -> None:
    """Say which rules could work on records split by conversation, and why others could not.

    On Kafka a site is split over workers by its sensors, where its facts say so: all rules allow that. Within one sensor's
    records nothing is split; this tells what could be.
    """
    pipeline, _ = _pipeline(site_file, folders, None)
    found = splitting.of_rules(pipeline.detector)
    for each in (*found, *splitting.of_parts()):
        click.echo(f"{'split' if each.allowed else 'whole'}  {each.name}: {each.why}")
    click.echo(f"{sum(each.allowed for each in found)} of {len(found)} rules could be split by conversation")


@rules.command("import")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--into",
    "folder",
    metavar="DIR",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder that what can run is put into; give it to --rules.",
)
def import_files(files: tuple[Path, ...], folder: Path) -> None:
    """Take Sigma rules of others over, and say of each what cannot run here, by file and line.

    Exit status: 0 all can run, 2 some cannot.
    """
    try:
        outcomes = import_rules(files, folder)
    except RuleError as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise CommandError(f"{folder}: cannot be written: {error}") from error
    for outcome in outcomes:
        click.echo(str(outcome))
    refused = sum(outcome.status == "refused" for outcome in outcomes)
    click.echo(
        f"{len(outcomes) - refused} of {len(outcomes)} can run; they are in {folder}, and {STATUS_FILE} there says the same"
    )
    if refused:
        raise click.exceptions.Exit(EXIT_COULD_NOT)


@rules.command("publish")
@RULES_OPTION
@click.option("--site", "site_file", metavar="FILE", type=click.Path(path_type=Path), help="Facts of the site (site.yml).")
def publish_versions(folders: tuple[Path, ...], site_file: Path | None) -> None:
    """Put rules, or the facts of a site, in force on all workers, from each site's next records on.

    With --site, what is given holds for that site; without it, the rules hold for all sites that have none of their own.
    """
    if not folders and site_file is None:
        raise click.UsageError("give --rules, --site or both")
    try:
        site = None if site_file is None else load_site(site_file)
        ruleset = RuleFiles(folders).read()
        _, told = Pipeline.proved(ruleset, site or Site())
    except (SiteError, RuleError) as error:
        raise CommandError(str(error)) from error
    if told:
        raise CommandError(f"nothing is published: {told[0].body['texts']['en']['summary']}")
    for line in _on_kafka().publish(site, ruleset if folders else None):
        click.echo(line)


@rules.command("withdraw")
@click.option("--site", metavar="NAME", help="The site whose own rules are withdrawn; those of all sites where none is given.")
def withdraw_versions(site: str | None) -> None:
    """Let the rules go that were published: those of the product hold again, after each upgrade those of its new version.

    With --site, the rules of all sites hold for that site, where some are published.
    """
    click.echo(_on_kafka().withdraw(site))


def _on_kafka() -> ModuleType:
    """The module that needs the extra `scaleout`. Raises CommandError where that is not installed."""
    try:
        return import_module("detection.scaleout_command")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in {"detection", "collector", "sensor"}:
            raise
        raise CommandError(
            f"this needs the Python package {error.name}, which is not installed: pip install 'icsight[kafka,scaleout]'"
        ) from error


@rules.command("test")
@RULES_OPTION
@click.argument("names", metavar="[RULE...]", nargs=-1)
def test_rules(folders: tuple[Path, ...], names: tuple[str, ...]) -> None:
    """Run the test captures of all rules, or of those named."""
    loaded = _load(folders)
    unknown = set(names) - {rule.name for rule in loaded}
    if unknown:
        raise CommandError(f"no rule is named {', '.join(sorted(unknown))}; `icsight rules list` prints all")
    failed = False
    for rule in loaded:
        if rule.alerts and (not names or rule.name in names):
            faults = list(checks.run_tests(rule, loaded))
            failed |= bool(faults)
            click.echo(f"{'failed' if faults else 'passed'}  {rule.name}" + "".join(f": {fault}" for fault in faults))
    if failed:
        raise click.exceptions.Exit(EXIT_COULD_NOT)


def _load(folders: Sequence[Path]) -> list[Rule]:
    try:
        return load(folders or [rules_folder()])
    except RuleError as error:
        raise CommandError(str(error)) from error
