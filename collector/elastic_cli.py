"""`icsight elasticsearch`: set a cluster up for the records, look at it, remove what is old, take snapshots."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from collector.store import StoreError
from collector.store import elastic_setup as setup
from collector.store.choice import cluster_settings
from collector.store.elastic_indices import indices
from collector.store.elastic_server import Server
from collector.store.elastic_templates import ledger, ledger_index, requests, role
from collector.store.elasticsearch import ElasticsearchRecordStore
from sensor.configuration import ConfigurationError
from sensor.tables import TABLES
from sensor.terminal import CommandError

if TYPE_CHECKING:
    from collections.abc import Generator

    from collector.settings import ElasticsearchSettings

MEGABYTE: Final = 10**6


@click.group()
def elasticsearch() -> None:
    """Set up and look after the cluster that keeps the records (table elasticsearch of icsight.toml)."""


@elasticsearch.command()
@click.option("--plan", is_flag=True, help="Only say what would be done.")
def apply(*, plan: bool) -> None:
    """Create or bring up to date templates, the ledger and columns. Doing it again changes nothing."""
    with _server() as server:
        changes = setup.plan(server)
        for change in changes:
            click.echo(f"{'create' if change.new else 'change'} {change.path}")
        if not changes:
            click.echo("nothing to do")
        elif not plan:
            setup.apply(server)
            click.echo(f"done: {len(changes)} changes")


@elasticsearch.command()
def show() -> None:
    """Print what `apply` tells a cluster, as requests for the console of Kibana."""
    settings = _settings()
    policy = None if settings.retention_days is None else f"{settings.prefix}-records"
    told = {**requests(settings, policy), f"/{ledger_index(settings.prefix)}": ledger(settings)}
    for path, body in told.items():
        click.echo(f"PUT {path}\n{json.dumps(body, indent=2)}\n")


@elasticsearch.command(name="role")
def role_() -> None:
    """Print the role that a process needs which stores records: no more than that."""
    prefix = _settings().prefix
    click.echo(f"PUT /_security/role/{prefix}-collector\n{json.dumps(role(prefix), indent=2)}")


@elasticsearch.command()
def status() -> None:
    """Say what the cluster offers, whether it is set up, and what it holds."""
    with _server() as server:
        offered = setup.probe(server)
        click.echo(f"Elasticsearch {offered.version}")
        click.echo(
            "index lifecycle management: offered"
            if offered.lifecycle
            else "index lifecycle management: not offered; `icsight elasticsearch retain` removes what is old"
        )
        if offered.repositories is None:
            click.echo("snapshots: not offered")
        else:
            click.echo(f"snapshot repositories: {', '.join(offered.repositories) or 'none registered'}")
        waiting = setup.plan(server)
        click.echo(f"set up: {f'no, {len(waiting)} changes: run icsight elasticsearch apply' if waiting else 'yes'}")
        held = indices(server)
        for table in TABLES:
            of_table = [index for index in held if index.table == table]
            rows, size = sum(index.rows for index in of_table), sum(index.bytes for index in of_table)
            if of_table:
                click.echo(f"{table}: {rows:,} records of {len(of_table)} days, {size / MEGABYTE:,.1f} MB")


@elasticsearch.command()
@click.option("--days", type=click.IntRange(min=1), help="Remove days that ended so many days ago.")
@click.option("--max-bytes", type=click.IntRange(min=0), help="Then remove the oldest days until so much is left.")
def retain(days: int | None, max_bytes: int | None) -> None:
    """Remove old records, whole days of a table at a time, by the day on which they happened."""
    if days is None and max_bytes is None:
        raise CommandError("what is to be removed? Give --days, --max-bytes or both.")
    before = None if days is None else datetime.fromtimestamp(datetime.now(UTC).timestamp() - 86_400 * days, UTC)
    with _told():
        store = ElasticsearchRecordStore(_settings(), writer=True)
        try:
            click.echo(f"removed {store.retain(before=before, max_bytes=max_bytes):,} records")
        finally:
            store.close()


@elasticsearch.command()
@click.argument("repository")
@click.option("--name", help="Name of the snapshot; the time of day else.")
def snapshot(repository: str, name: str | None) -> None:
    """Take a snapshot of all records, and of what tells which are stored, into a repository that the cluster knows."""
    with _server() as server:
        name = name or f"{server.settings.prefix}-{datetime.now(UTC):%Y.%m.%d-%H.%M.%S}"
        taken: Any = setup.snapshot(server, repository, name)
        click.echo(f"{repository}/{name}: {len(taken['indices'])} indices")


def _settings() -> ElasticsearchSettings:
    with _told():
        settings = cluster_settings()
    if settings is None:
        raise CommandError(
            "no cluster is named: set hosts in table elasticsearch of icsight.toml, or ICSIGHT_ELASTICSEARCH_HOSTS"
        )
    return settings


@contextmanager
def _server() -> Generator[Server]:
    settings = _settings()
    with _told():
        server = Server(settings)
        try:
            yield server
        finally:
            server.close()


@contextmanager
def _told() -> Generator[None]:
    """What goes wrong as one line."""
    try:
        yield
    except (StoreError, ConfigurationError) as error:
        raise CommandError(str(error)) from error
