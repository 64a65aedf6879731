"""`icsight kafka apply`: topics and rights on the cluster as they are declared."""

from __future__ import annotations

from pathlib import Path

import click

from collector.stream.kafka_topics import DECLARATION, DeclarationError, apply, declared, plan
from sensor.configuration import ConfigurationError
from sensor.kafka_client import KafkaUnusable
from sensor.kafka_settings import KafkaSettings
from sensor.terminal import CommandError
from sensor.uplink_command import configured


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
        wanted = declared(path, settings.prefix, replication)
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
    except (DeclarationError, KafkaUnusable, ConfigurationError) as error:
        raise CommandError(str(error)) from error
    click.echo(f"{settings.bootstrap}: done")
