"""`icsight query`: ask the stored records in SQL."""

from __future__ import annotations

from pathlib import Path

import click

from collector.store import StoreError
from collector.store.choice import cluster_settings, open_store
from sensor.output import FORMATS, Format, sink
from sensor.terminal import CommandError, warn


@click.command(short_help="Ask the stored records in SQL.")
@click.argument("select")
@click.option(
    "--data", "folder", type=click.Path(path_type=Path), metavar="DIR", help="Data folder of `icsight run`; none with a cluster."
)
@click.option("--output", type=click.Choice(FORMATS), default="table", show_default=True, help="How rows are written.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Print at most N rows.")
def query(select: str, folder: Path | None, output: Format, limit: int | None) -> None:
    r"""Ask the stored records in SQL: one SELECT over the record tables (flow, modbus, sensor and others).

    Names of columns may be written as they are, client.ip, or in double quotes. Each record also has sensor, epoch, sequence and
    row, which identify it. Durations are nanoseconds. `icsight fields` lists the tables and their columns.

    \b
    icsight query 'SELECT client.ip, count(*) FROM modbus GROUP BY ALL' --data plant
    """
    try:
        clustered = cluster_settings() is not None
    except StoreError as error:
        raise CommandError(str(error)) from error
    if folder is None and not clustered:
        raise CommandError("which records? Give --data DIR, or name a cluster: hosts in table elasticsearch of icsight.toml.")
    records = (folder or Path()) / "records"
    if not clustered and not (records / "catalog.db").is_file():
        raise CommandError(f"{folder}: no records are stored here. Store some with: icsight run --capture FILE --data {folder}")
    out = sink(output, unlimited=limit is None)
    try:
        store = open_store(records)
        try:
            # One row more than is printed tells whether there are more.
            rows = store.sql(select, first=None if limit is None else limit + 1)
        finally:
            store.close()
    except StoreError as error:
        raise CommandError(str(error)) from error
    out.write(rows if limit is None else rows.head(limit))
    out.close()
    if limit is not None and rows.height > limit:
        warn(f"there are more rows than the {limit:,} that --limit allows: raise it to see them")
