"""The command `icsight tune`: exceptions for the alerts of a site, after a look at what they would have hidden."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import click
import yaml
from pydantic import ValidationError

from detection.site import SiteError, load
from detection.tuning import LOOK_BACK, Exemption, preview, propose
from sensor.terminal import CommandError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SHOWN: Final = 20
"""Alerts of a preview that are printed; the rest is counted."""

_FILE: Final = click.Path(path_type=Path)


@dataclass(frozen=True, slots=True)
class Printed:
    """An alert as `icsight detect --output json` printed it."""

    id: str
    rule: str
    client_ip: str | None
    server_ip: str | None
    first_seen: int
    body: Mapping[str, Any]
    title: str
    severity: str

    @classmethod
    def of(cls, line: str) -> Printed:
        """The alert of a line. Raises KeyError, TypeError or ValueError where it is none."""
        fields = cast("dict[str, Any]", json.loads(line))
        client, server = fields["client.ip"], fields["server.ip"]
        first = _ns(fields["first_seen"])
        return cls(fields["id"], fields["rule"], client, server, first, {"target": fields}, fields["title"], fields["severity"])


@click.group()
def tune() -> None:
    """Make exceptions for alerts of a site, and see first what they would have hidden."""


@tune.command("except")
@click.argument("alerts", metavar="ALERTS...", nargs=-1, required=True, type=_FILE)
@click.option(
    "--site", "site_file", metavar="FILE", required=True, type=_FILE, help="The site's file; the exception goes into it."
)
@click.option("--name", required=True, help="Name of the exception.")
@click.option("--kind", default="suppress", show_default=True, type=click.Choice(["suppress", "normal", "maintenance"]))
@click.option("--rule", "rules", multiple=True, help="Rule, or a pattern; may be repeated.")
@click.option("--client", "clients", multiple=True, help="Address or network; may be repeated.")
@click.option("--server", "servers", multiple=True, help="Address or network; may be repeated.")
@click.option("--target", "targets", metavar="FIELD=VALUE", multiple=True, help="What it is about; may be repeated.")
@click.option("--start", metavar="TIME", help="From when it holds, with offset from UTC.")
@click.option("--end", metavar="TIME", help="Until when it holds, with offset from UTC.")
@click.option("--reason", required=True, help="Why.")
@click.option("--by", required=True, help="Who decides it.")
@click.option("--yes", is_flag=True, help="Write it into the site's file; without, only show what it would have hidden.")
def make(alerts: tuple[Path, ...], site_file: Path, *, yes: bool, **given: Any) -> None:
    """Show what an exception would have hidden of ALERTS (`detect --output json`) in their last 30 days; with --yes make it."""
    exemption = _exemption(given)
    printed = _read(alerts)
    _show(preview(exemption, printed, max((alert.first_seen for alert in printed), default=0)))
    if yes:
        _write(site_file, exemption)
        click.echo(f"{site_file}: exception {exemption.name} written")
    else:
        click.echo("Nothing was changed; --yes makes the exception.")


@tune.command("propose")
@click.argument("alerts", metavar="ALERTS...", nargs=-1, required=True, type=_FILE)
@click.option(
    "--false",
    "false",
    metavar="ID",
    multiple=True,
    required=True,
    help="Alert that was a false positive; the first is asked about.",
)
@click.option("--true", "true", metavar="ID", multiple=True, help="Alert that was right; may be repeated.")
@click.option("--by", default="unknown", help="Who decides it.")
def proposals(alerts: tuple[Path, ...], false: tuple[str, ...], true: tuple[str, ...], by: str) -> None:
    """Propose exceptions for a false positive, narrowest first: none covers an alert that was right."""
    printed = _read(alerts)
    known = {alert.id: alert for alert in printed}
    unknown = [name for name in (*false, *true) if name not in known]
    if unknown:
        raise CommandError(f"no alert has the id {unknown[0]}; ids are those of `icsight detect --output json`")
    now = datetime.fromtimestamp(time.time(), UTC).replace(microsecond=0)
    found = propose(known[false[0]], [known[name] for name in false[1:]], [known[name] for name in true], now, by)
    if not found:
        raise CommandError("an alert that was right has the same rule, client, server and target: no exception tells them apart")
    latest = max(alert.first_seen for alert in printed)
    for exemption in found:
        click.echo(f"# would have hidden {len(preview(exemption, printed, latest))} alerts of the last {LOOK_BACK.days} days")
        click.echo(_yaml(exemption))


def _exemption(given: Mapping[str, Any]) -> Exemption:
    """The exception of the options. Raises CommandError."""
    target: dict[str, str] = {}
    for pair in given["targets"]:
        name, equals, value = str(pair).partition("=")
        if not equals:
            raise CommandError(f"--target {pair}: give a field and its value, as in modbus.unit_id=3")
        target[name] = value
    fields = {name: value for name, value in given.items() if name != "targets" and value not in {None, ()}}
    try:
        return Exemption.model_validate({**fields, "target": target})
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"--{part}: " for part in first["loc"][:1])
        raise CommandError(f"{place}{str(first['msg']).removeprefix('Value error, ')}") from error


def _read(files: Sequence[Path]) -> list[Printed]:
    """The alerts of files of JSON lines. Raises CommandError."""
    found: list[Printed] = []
    for file in files:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{file}: cannot be read ({error}). Check the path.") from error
        for number, line in enumerate(lines, 1):
            try:
                found.append(Printed.of(line))
            except (KeyError, TypeError, ValueError) as error:
                raise CommandError(f"{file}: line {number} is no alert; make it by `icsight detect --output json`") from error
    return found


def _show(hidden: Sequence[Printed]) -> None:
    """What would have been hidden, in lines."""
    severities = ", ".join(f"{count} {severity}" for severity, count in Counter(alert.severity for alert in hidden).most_common())
    click.echo(
        f"In the last {LOOK_BACK.days} days it would have hidden {len(hidden)} alerts" + (f": {severities}." if hidden else ".")
    )
    for alert in hidden[:SHOWN]:
        began = datetime.fromtimestamp(alert.first_seen // 1_000_000_000, UTC)
        click.echo(f"  {began:%Y-%m-%d %H:%M:%S}  {alert.severity:<14}{alert.title}  {alert.client_ip} → {alert.server_ip}")
    if len(hidden) > SHOWN:
        click.echo(f"  and {len(hidden) - SHOWN} more")


def _yaml(exemption: Exemption) -> str:
    """An exception as an item of the list in a site's file."""
    fields = exemption.model_dump(mode="json", exclude_defaults=True)
    return yaml.safe_dump([fields], allow_unicode=True, sort_keys=False, width=1_000).rstrip()


def _write(site_file: Path, exemption: Exemption) -> None:
    """Add an exception to a site's file, whose other text stays. Raises CommandError where that is not possible."""
    try:
        before = site_file.read_text(encoding="utf-8")
        if exemption.name in {each.name for each in load(site_file).exceptions}:
            raise CommandError(f"{site_file} has an exception {exemption.name} already; give another --name")
        lines = before.splitlines()
        if "exceptions:" in lines:
            place = lines.index("exceptions:") + 1
            item = lines[place] if place < len(lines) else ""
            indent = " " * (len(item) - len(item.lstrip())) if item.lstrip().startswith("- ") else ""
        else:
            lines.append("exceptions:")
            place, indent = len(lines), ""
        lines[place:place] = [indent + line for line in _yaml(exemption).splitlines()]
        part = site_file.with_name(f"{site_file.name}.part")
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")
        try:
            load(part)
            part.replace(site_file)
        except SiteError as error:
            part.unlink()
            raise CommandError(f"{site_file}: add this to its list `exceptions` by hand:\n{_yaml(exemption)}") from error
    except (OSError, UnicodeDecodeError, SiteError) as error:
        raise CommandError(str(error)) from error


def _ns(text: str) -> int:
    """A time as `detect` prints it, in nanoseconds since 1970."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return int(datetime.fromisoformat(f"{whole}+00:00").timestamp()) * 1_000_000_000 + int((fraction or "0").ljust(9, "0")[:9])
