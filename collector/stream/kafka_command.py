"""`icsight kafka`: topics and rights on the cluster as they are declared, and those of sensors."""

from __future__ import annotations

from pathlib import Path

import click

from collector.stream.kafka_sensors import needs
from collector.stream.kafka_topics import DECLARATION, DeclarationError, Declared, apply, declared, plan
from sensor.configuration import ConfigurationError, configured
from sensor.kafka_client import KafkaUnusable
from sensor.kafka_settings import KafkaSettings
from sensor.terminal import CommandError
from sensor.topics import principal_of


@click.group()
def kafka() -> None:
    """Prepare a Kafka cluster."""


@kafka.command("apply")
@click.option(
    "--topics", "path", default=DECLARATION, metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
    help="What is declared; the product's own deploy/kafka/topics.toml else.",
)  # fmt: skip
@click.option("--replication", metavar="N", type=click.IntRange(1, 9), help="Copies of each partition, in place of the declared.")
@click.option("--dry-run", is_flag=True, help="Show the plan and do nothing; exit status 1 where there is something to do.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
def apply_declared(path: Path, replication: int | None, *, dry_run: bool, yes: bool) -> None:
    """Make topics, their settings and rights as they are declared. Shows what it would change, and asks."""
    settings = configured(KafkaSettings)
    try:
        _make(settings, declared(path, settings.prefix, replication), dry_run=dry_run, yes=yes)
    except (DeclarationError, KafkaUnusable, ConfigurationError) as error:
        raise CommandError(str(error)) from error


def _make(settings: KafkaSettings, wanted: Declared, *, dry_run: bool, yes: bool) -> None:
    """Show what is to be done, ask, and do it. Raises KafkaUnusable, ConfigurationError, CommandError."""
    changes = plan(settings, wanted)
    for line in changes.lines():
        click.echo(line)
    if changes.is_empty:
        click.echo(f"{settings.bootstrap}: as declared, nothing to do")
        return
    if dry_run:
        raise click.exceptions.Exit(1)
    if not yes and not click.confirm("Do this?"):
        raise CommandError("nothing was done")
    apply(settings, wanted)
    click.echo(f"{settings.bootstrap}: done")


@kafka.group()
def sensor() -> None:
    """Let sensors in that have certificates of another authority; `icsight sensor revoke` shuts them out."""


@sensor.command("add")
@click.argument("name")
@click.option("--replication", default=3, show_default=True, metavar="N", type=click.IntRange(1, 9), help="Copies of its topic.")
@click.option("--dry-run", is_flag=True, help="Show the plan and do nothing; exit status 1 where there is something to do.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
def add(name: str, replication: int, *, dry_run: bool, yes: bool) -> None:
    """Make the topic in which sensor NAME is asked, and give it the rights it needs. Shows what it would change, and asks."""
    settings = configured(KafkaSettings)
    try:
        _make(settings, needs(settings.prefix, name, replication), dry_run=dry_run, yes=yes)
    except (KafkaUnusable, ConfigurationError) as error:
        raise CommandError(str(error)) from error
    click.echo(f"its certificate must have the common name {principal_of(name)}")
