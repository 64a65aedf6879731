"""Command `icsight baseline`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from detection.alerts import moment
from detection.anomaly.learned import LearnedError, state_of
from detection.baseline.difference import difference
from detection.baseline.facts import KINDS
from detection.baseline.normality import BaselineError, Normality
from detection.captures import learn as learn_capture
from sensor._core import CaptureError
from sensor.terminal import CommandError, progress, warn

if TYPE_CHECKING:
    from collections.abc import Sequence

FILE = click.Path(path_type=Path)
SECOND = 1_000_000_000


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
@click.argument("file", metavar="FILE", type=FILE)
def show(file: Path) -> None:
    """Print what a baseline says is normal, and how complete it is."""
    normal = _loaded(file)
    approval = f"enforced, approved by {normal.approved_by} {moment(normal.approved)}" if normal.approved else normal.phase
    click.echo(f"{file}: {approval}")
    click.echo(f"site {normal.site or '–'}, learned {normal.learned_ns / SECOND / 3600:,.1f} h from {', '.join(normal.sources)}")
    click.echo(f"records from {moment(normal.start)} to {moment(normal.until)}")
    click.echo(f"\n{'kind':<16}{'facts':>9}{'still new in the last third':>30}")
    counts = dict(normal.facts.get_column("kind").value_counts().rows())
    for kind, share in normal.novelty().items():
        click.echo(f"{kind:<16}{counts.get(kind, 0):>9,}{share:>29.0%}")
    click.echo("\nwriters and what changes programs:")
    weighty = normal.facts.filter(normal.facts.get_column("kind").is_in([*KINDS][:2]))
    for row in weighty.sort("kind", "client", "server", "unit", "operation").iter_rows(named=True):
        what = row["operation"] or "writes"
        unit = "" if row["unit"] is None else f" unit {row['unit']}"
        who = f"{row['client']} {row['protocol']} {row['server']}{unit}"
        click.echo(f"  {who}: {what}, {row['count']} times, last {moment(row['last'])}")


@baseline.command()
@click.argument("old", metavar="OLD", type=FILE)
@click.argument("new", metavar="NEW", type=FILE)
def diff(old: Path, new: Path) -> None:
    """Print in few lines what one baseline has that the other has not."""
    come, gone = difference(_loaded(old), _loaded(new))
    for sign, lines in (("+", come), ("-", gone)):
        for line in lines:
            click.echo(f"{sign} {line}")
    if not come and not gone:
        click.echo("the same facts")


@baseline.command()
@click.argument("file", metavar="FILE", type=FILE)
@click.option("--by", "name", required=True, metavar="NAME", help="Who approves it; is kept in the file.")
def approve(file: Path, name: str) -> None:
    """Say that a baseline is right: what differs from it is told with full weight from now on."""
    try:
        _loaded(file).approved_as(name, time.time_ns()).save(file)
    except BaselineError as error:
        raise CommandError(str(error)) from error
    click.echo(f"{file}: enforced")


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
