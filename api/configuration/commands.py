"""The commands `icsight config show` and `icsight config check`."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from api.configuration import files, services
from api.configuration.checks import Check, Finding, findings, warning, wrong
from api.configuration.documents import documents
from api.configuration.shown import shown
from api.notification_settings import NotificationSettings
from api.oidc_settings import OidcSettings
from api.settings import DatabaseSettings, ServeSettings
from api.texts import LANGUAGES, preferred, text
from collector.settings import ElasticsearchSettings
from sensor.configuration import ConfigurationError, configuration_file, configured, tables
from sensor.kafka_settings import KafkaSettings
from sensor.observability_settings import ObservabilitySettings
from sensor.secrets import redacted
from sensor.sections import nearest, sections
from sensor.terminal import EXIT_COULD_NOT, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from api.notification_settings import ChannelSettings
    from sensor.configuration import Section

EXIT_WRONG: Final = 1
"""Exit status where a check found that something is wrong."""


_LANGUAGE: Final = click.option(
    "--language", type=click.Choice(LANGUAGES), default=preferred, help="Language of what is said; that of the terminal else."
)


@click.group()
def config() -> None:
    """Show the settings in force, and check that they work."""


@config.command()
@_LANGUAGE
def show(language: str) -> None:
    """Print each setting in force and where it came from, as a file of settings. Secrets are masked."""
    told: list[str] = []
    failed: list[str] = []
    tables()
    for table, section in sections().items():
        try:
            settings = configured(section)
        except ConfigurationError as error:
            failed.append(str(error))
            continue
        told.append(f"[{table}]")
        for each in shown(settings):
            origin = text(language, f"config.origin.{each.origin}", place=each.place)
            value = f"# {each.name}" if each.value is None else f"{each.name} = {each.value}"
            told.append(f"{value}  # {' '.join(origin.splitlines())}")
        told.append("")
    click.echo(redacted("\n".join(told).rstrip()))
    for line in failed:
        say("error", redacted(line), "red")
    if failed:
        raise click.exceptions.Exit(EXIT_COULD_NOT)


@config.command()
@click.option("--data", metavar="DIR", type=click.Path(file_okay=False, path_type=Path), help="Data folder to look at as well.")
@_LANGUAGE
def check(data: Path | None, language: str) -> None:
    """Connect to all that the settings name, look at files, certificates and ports, and say what is wrong."""
    count = {"ok": 0, "warning": 0, "wrong": 0}
    for finding in _found(data):
        count[finding.level] += 1
        click.echo(finding.line(language))
    key = "check.wrong" if count["wrong"] else "check.passed"
    click.echo(text(language, key, file=configuration_file() or "-", **count))
    if count["wrong"]:
        raise click.exceptions.Exit(EXIT_WRONG)


def _found(data: Path | None) -> Iterator[Finding]:
    try:
        written = tables()
    except ConfigurationError as error:
        yield wrong("icsight.toml", "reason", reason=error)
        return
    yield from _variables()
    usable: dict[type[Section], Any] = {}
    for table, section in sections().items():
        try:
            usable[section] = configured(section)
        except ConfigurationError as error:
            yield wrong(table, "reason", reason=error)
    checks = [each for settings in usable.values() for each in files.files_of(settings)]
    checks += _services(usable, data)
    is_served = "serve" in written or any(name.upper().startswith("ICSIGHT_SERVE_") for name in os.environ)
    checks += _ports(usable, is_served=is_served)
    if is_served or data is not None:
        checks.append(Check("documents", documents))
    if data is not None:
        checks.append(Check("--data", lambda: files.folder("--data", data)))
    yield from findings(checks)


def _services(usable: dict[type[Section], Any], data: Path | None) -> Iterator[Check]:
    kafka, cluster, database, provider, notices = (
        usable.get(each) for each in (KafkaSettings, ElasticsearchSettings, DatabaseSettings, OidcSettings, NotificationSettings)
    )
    if kafka is not None and kafka.bootstrap:
        yield Check("kafka", lambda: services.kafka(kafka))
    if cluster is not None and cluster.addresses:
        yield Check("elasticsearch", lambda: services.elasticsearch(cluster))
    if provider is not None and provider.issuer:
        yield Check("oidc", lambda: services.openid(provider))
    channels: dict[str, ChannelSettings] = {} if notices is None else notices.channels
    for name, channel in channels.items():
        yield Check(f"notifications.channels.{name}", partial(services.channel, name, channel))
    if database is not None and database.url:
        yield Check("database", lambda: services.postgresql(database))
    elif database is not None and data is not None:
        yield Check("database", lambda: services.sqlite(data / "icsight.db"))


def _ports(usable: dict[type[Section], Any], *, is_served: bool) -> Iterator[Check]:
    serve, watched = usable.get(ServeSettings), usable.get(ObservabilitySettings)
    if serve is not None and is_served:
        yield Check("serve.port", lambda: files.listening("serve.port", serve.host, serve.port))
    if watched is not None and watched.address is not None:
        yield Check("observability.listen", lambda: files.listening("observability.listen", *watched.address))


def _variables() -> Iterator[Finding]:
    """Variables of the environment that look like settings and are none."""
    known = {f"ICSIGHT_{table}_{name}".upper(): table for table, section in sections().items() for name in section.model_fields}
    for variable in sorted(os.environ):
        name = variable.upper()
        if not name.startswith("ICSIGHT_") or name in known:
            continue
        begins = tuple(f"ICSIGHT_{table}_".upper() for table in sections())
        if name.startswith(begins):
            yield wrong(variable, "variable.unknown", nearest=nearest(name, list(map(str.lower, known))).upper())
        elif meant := [each for each, table in known.items() if each == name.replace("ICSIGHT_", f"ICSIGHT_{table}_".upper(), 1)]:
            yield warning(variable, "variable.nameless", meant=", ".join(meant))
