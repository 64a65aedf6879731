"""Command `icsight baseline`."""

from __future__ import annotations

import ipaddress
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
import polars as pl

from detection.alerts import moment
from detection.anomaly.learned import LearnedError, state_of
from detection.anomaly.promise import promise_of
from detection.baseline.decisions import RELEARN_HOURS, TEXT, Decision
from detection.baseline.difference import difference, drifted, lines, shown, told_facts
from detection.baseline.held import live
from detection.baseline.held import progress as progress_of
from detection.baseline.kinds import KINDS
from detection.baseline.normality import BaselineError, Normality
from detection.captures import learn as learn_capture
from detection.inbox import Inbox, InboxError, fits
from sensor._core import CaptureError
from sensor.terminal import CommandError, progress, warn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detection.anomaly.promise import Promise
    from detection.remembered import Learned

FILE = click.Path(path_type=Path)
FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)
SECOND = 1_000_000_000
MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])
BY = click.option("--by", "name", required=True, metavar="NAME", help="Who decides it; is kept.")
SENSOR = click.option("--sensor", default="", metavar="NAME", help="Of a live system: the sensor whose records it is about.")
WRITERS = 40
"""Most writers that are printed one by one."""


def given(lessons: Sequence[str], file: Path | None, site: str) -> Normality | None:
    """What the options `--learn` and `--baseline` say is normal; None where neither is given. Raises CommandError."""
    if lessons and file is not None:
        raise CommandError("--learn and --baseline are both given: give one of them")
    if lessons:
        return _learned(lessons, site)
    return None if file is None else _loaded(file)


@click.group()
def baseline() -> None:
    """Learn, show, compare and approve what is normal."""


@baseline.command()
@click.argument("captures", metavar="CAPTURE...", nargs=-1, required=True)
@click.option("-o", "--out", metavar="FILE", required=True, type=FILE, help="File of the baseline.")
@click.option("--site", default="", metavar="NAME", help="Site that the captures are of.")
def learn(captures: tuple[str, ...], out: Path, site: str) -> None:
    """Learn from captures who does what to what, as a proposal to be looked at and approved."""
    normal = _learned(captures, site)
    try:
        normal.save(out)
    except BaselineError as error:
        raise CommandError(str(error)) from error
    click.echo(f"{out}: {normal.facts.height:,} facts, proposed; `icsight baseline approve` enforces them")


@baseline.command()
@click.argument("place", metavar="FILE|DIR", type=FILE)
@SENSOR
@click.option("--facts", is_flag=True, help="Print each fact as a line of JSON instead.")
def show(place: Path, sensor: str, *, facts: bool) -> None:
    """Print what is normal by a baseline, or by what a system has learned live, and how complete it is."""
    normal = _held(place, sensor)
    if facts:
        for fact in told_facts(normal).iter_rows(named=True):
            click.echo(json.dumps({name: value for name, value in fact.items() if value is not None}, ensure_ascii=False))
        return
    click.echo(f"{place}: {_standing(place, sensor, normal)}")
    click.echo(
        f"site {normal.site or '–'}, learned {normal.learned_ns / SECOND / 3600:,.1f} h from {', '.join(normal.sources) or '–'}"
    )
    click.echo(f"records from {moment(normal.start)} to {moment(normal.until)}")
    for server, phase in sorted(normal.assets.items()):
        click.echo(f"{server}: {phase}")
    for address, party in sorted(normal.parties.items()):
        click.echo(f"{address} is {party}")
    click.echo(f"\n{'kind':<20}{'facts':>9}{'still new in the last third':>30}")
    counts = dict(normal.normal.get_column("kind").value_counts().rows())
    for kind, share in normal.novelty().items():
        click.echo(f"{kind:<20}{counts.get(kind, 0):>9,}{share:>29.0%}")
    promise = _live(place, sensor)[2] if place.is_dir() else promise_of(state_of(normal.extras, normal.phase))
    _paragraph("models:", [] if promise is None else promised(promise))
    _paragraph("normal, the weightiest first:", lines(shown(normal.normal)))
    _paragraph(
        "rare while learning, and not normal until somebody approves or accepts it:", lines(shown(normal.facts.filter("apart")))
    )
    click.echo("\nwriters and what changes programs:")
    weighty = normal.normal.filter(pl.col("kind").is_in(["program", "writer"]))
    ordered = weighty.sort("kind", "client", "server", "unit", "operation")
    for row in ordered.head(WRITERS).iter_rows(named=True):
        what = row["operation"] or "writes"
        unit = "" if row["unit"] is None else f" unit {row['unit']}"
        who = f"{row['client']} {row['protocol']} {row['server']}{unit}"
        click.echo(f"  {who}: {what}, {row['count']} times, last {moment(row['last'])}")
    if ordered.height > WRITERS:
        click.echo(f"  and {ordered.height - WRITERS} more: --facts prints all")


@baseline.command()
@click.argument("old", metavar="OLD", type=FILE)
@click.argument("new", metavar="NEW", type=FILE)
def diff(old: Path, new: Path) -> None:
    """Print in few lines what one baseline has that the other has not. Either may be a file or a data folder."""
    come, gone = difference(_held(old), _held(new))
    for sign, made in (("+", come), ("-", gone)):
        for line in made:
            click.echo(f"{sign} {line}")
    if not come and not gone:
        click.echo("the same facts")


@baseline.command()
@click.argument("place", metavar="FILE|DIR", type=FILE)
@SENSOR
@click.option("--days", default=14, show_default=True, type=click.IntRange(1, 366), help="How long unseen is long.")
def drift(place: Path, sensor: str, days: int) -> None:
    """Print what is normal and was not seen for long, and what is not normal and comes regularly."""
    gone, come = (lines(facts) for facts in drifted(_held(place, sensor), days))
    _paragraph(f"normal, and not seen for {days} days:", gone)
    _paragraph("not normal, and regular: `icsight baseline accept` makes it normal:", come)
    if not gone and not come:
        click.echo("no drift")


@baseline.command()
@click.argument("place", metavar="FILE|DIR", type=FILE)
@BY
@SENSOR
@click.option("--server", default="", metavar="ADDRESS", help="Of a live system: what concerns this server only.")
@click.option("--with-rare", is_flag=True, help="What was rare while learning is normal, too.")
def approve(place: Path, name: str, sensor: str, server: str, *, with_rare: bool) -> None:
    """Say that what is proposed is right: what differs from it is told with full weight from now on."""
    if place.is_dir():
        run, state, _ = _live(place, sensor)
        if state.normal.phase != "proposed":
            raise CommandError(f"{place}: nothing is proposed: {progress_of(state) or state.normal.phase}")
        until = state.normal.until
        _decide(place, Decision("approve", name, run=run, until=until, server=_address(server), with_rare=with_rare))
        return
    if server:
        raise CommandError("--server is for a live system: give its data folder")
    try:
        _loaded(place).approved_as(name, time.time_ns(), with_rare=with_rare).save(place)
    except BaselineError as error:
        raise CommandError(str(error)) from error
    click.echo(f"{place}: enforced")


@baseline.command()
@click.argument("data", metavar="DIR", type=FOLDER)
@BY
@SENSOR
def propose(data: Path, name: str, sensor: str) -> None:
    """End live learning with the hour that runs: what was learned is then proposed."""
    run, state, _ = _live(data, sensor)
    if state.learns != "live":
        raise CommandError(f"{data}: learning has ended: {state.normal.phase}")
    _decide(data, Decision("propose", name, run=run))


@baseline.command()
@click.argument("data", metavar="DIR", type=FOLDER)
@BY
@click.option("--server", default="", metavar="ADDRESS", help="What concerns this server.")
@click.option("--client", default="", metavar="ADDRESS", help="What this client does.")
@click.option("--since", required=True, metavar="TIME", type=MOMENT, help="Time of the change (UTC): 2026-11-28T06:00.")
@click.option("--hours", default=RELEARN_HOURS, show_default=True, type=click.IntRange(1, 24 * 366), help="How long to learn.")
@click.option("--reason", default="", metavar="TEXT", help="What was changed.")
def relearn(data: Path, name: str, server: str, client: str, since: datetime, hours: int, reason: str) -> None:  # noqa: PLR0913, PLR0917 - a command's parameters are its face
    """Learn a part anew after a planned change: what came since is normal, what is gone is not, what comes is learned."""
    if not server and not client:
        raise CommandError("what shall be learned anew? Give --server, --client or both.")
    at = int(since.replace(tzinfo=UTC).timestamp()) * SECOND
    _decide(
        data, Decision("relearn", name, reason[:TEXT], server=_address(server), client=_address(client), since=at, hours=hours)
    )


@baseline.command()
@click.argument("data", metavar="DIR", type=FOLDER)
@click.argument("addresses", metavar="ADDRESS...", nargs=-1, required=True)
@BY
@click.option("--reason", default="", metavar="TEXT", help="Why they are one.")
def merge(data: Path, addresses: tuple[str, ...], name: str, reason: str) -> None:
    """Say that addresses are one party, such as a redundant pair or a host with changing addresses."""
    if len(set(addresses)) < 2:
        raise CommandError("give at least two addresses")
    _decide(data, Decision("merge", name, reason[:TEXT], parties=tuple(_address(address) for address in addresses)))


@baseline.command()
@click.argument("data", metavar="DIR", type=FOLDER)
@BY
@click.option("--server", default="", metavar="ADDRESS", help="What concerns this server.")
@click.option("--client", default="", metavar="ADDRESS", help="What this client does.")
@click.option("--kind", default="", type=click.Choice(["", *KINDS]), help="Facts of this kind only.")
@click.option("--point", default="", metavar="TEXT", help="This point, operation or unit only.")
@click.option("--reason", default="", metavar="TEXT", help="Why it is normal.")
def accept(data: Path, name: str, server: str, client: str, kind: str, point: str, reason: str) -> None:  # noqa: PLR0913, PLR0917 - a command's parameters are its face
    """Take as normal what was told as new or set apart as rare."""
    if not server and not client:
        raise CommandError("what shall be normal? Give --server, --client or both.")
    if len(point) > TEXT:
        raise CommandError(f"--point has {len(point)} characters: give the point as it was told, of at most {TEXT}")
    _decide(
        data,
        Decision("accept", name, reason[:TEXT], server=_address(server), client=_address(client), kind=kind, point=point),
    )


def _standing(place: Path, sensor: str, normal: Normality) -> str:
    if normal.approved:
        return f"enforced, approved by {normal.approved_by} {moment(normal.approved)}"
    return (progress_of(_live(place, sensor)[1]) if place.is_dir() else "") or normal.phase


def promised(promise: Promise) -> list[str]:
    """The promised rate of false alarms beside the measured one of all alarms, and whether the promise holds."""
    history, heard = (f"{hours:,.1f} h" for hours in (promise.history_hours, promise.heard_hours))
    least = f"promised: at most {promise.promised:g} minutes with a false alarm a day, by {history} of history"
    if promise.measured is None:
        return [least, "measured: nothing yet, for nothing was heard since"]
    measured = (
        f"measured: {promise.measured:.2g} minutes with an alarm a day, {promise.minutes:,} in {heard} heard, right ones included"
    )
    hours = f"{promise.alarmed:,} of {promise.hours:,} hours with records had one"
    holds = "the promise holds" if promise.broken is None else f"the promise does not hold since {moment(promise.broken)}"
    return [least, measured, f"{holds}: {hours}"]


def _paragraph(title: str, made: Sequence[str]) -> None:
    if made:
        click.echo(f"\n{title}")
        for line in made:
            click.echo(f"  {line}")


def _address(text: str) -> str:
    """An address as records write it. Raises CommandError for what is none."""
    try:
        return str(ipaddress.ip_address(text)) if text else ""
    except ValueError as error:
        raise CommandError(f"{text[:60]} is no address: give one such as 10.0.0.5") from error


def _decide(data: Path, decision: Decision) -> None:
    if not fits(decision):
        raise CommandError(
            f"detection would not read this decision: give names of at most {TEXT} characters, and fewer addresses"
        )
    try:
        Inbox(data).put(decision)
    except InboxError as error:
        raise CommandError(str(error)) from error
    click.echo(f"{data}: {decision.choice} by {decision.by}; detection takes it up within a second, or when it runs again")


def _live(data: Path, sensor: str) -> Learned:
    try:
        return live(data, sensor)
    except BaselineError as error:
        raise CommandError(str(error)) from error


def _held(place: Path, sensor: str = "") -> Normality:
    return _live(place, sensor)[1].whole if place.is_dir() else _loaded(place)


def _loaded(file: Path) -> Normality:
    try:
        normal = Normality.load(file)
        state_of(normal.extras, normal.phase)
    except BaselineError as error:
        raise CommandError(str(error)) from error
    except LearnedError as error:
        raise CommandError(f"{file}: {error}") from error
    return normal


def _learned(captures: Sequence[str], site: str) -> Normality:
    """What all captures together say is normal."""
    whole: Normality | None = None
    for capture in captures:
        try:
            with progress(capture) as line:
                part, warnings = learn_capture(
                    capture, site, lambda reader: line.update(reader.position, reader.size, reader.packets)
                )
        except CaptureError as error:
            raise CommandError(str(error)) from error
        for warning in warnings:
            warn(warning)
        whole = part if whole is None else whole.with_more(part)
    if whole is None or whole.facts.is_empty():
        raise CommandError("nothing can be learned: the captures show no conversation")
    return whole
