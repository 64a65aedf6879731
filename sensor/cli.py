"""Commands of the edge: `icsight read` and `icsight fields`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import polars as pl

from sensor import expression
from sensor._core import CaptureError, Reader
from sensor.output import FORMATS, Format, Sink, sink
from sensor.tables import LOCAL_SENSOR, METADATA, SCHEMA_VERSION, TABLES
from sensor.terminal import EXIT_COULD_NOT, CommandError, progress, say, warn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensor._core import Batch


@click.command()
@click.argument("captures", metavar="CAPTURE...", nargs=-1, required=True)
@click.option("--table", default="modbus", show_default=True, type=click.Choice(list(TABLES)), help="Record table to print.")
@click.option("--where", "condition", metavar="EXPR", help="SQL condition on its columns, as in: modbus.function_code = 16")
@click.option("--output", default="table", show_default=True, type=click.Choice(FORMATS), help="Format of the output.")
@click.option("--limit", metavar="N", type=click.IntRange(min=0), help="Stop after so many rows.")
def read(captures: tuple[str, ...], table: str, condition: str | None, output: Format, limit: int | None) -> None:
    """Print what captures (pcap or pcapng, plain, gzip or zstd; - for standard input) say, as records."""
    columns = [*TABLES[table].schema, "record"]
    try:
        keep = expression.where(condition, columns) if condition else None
    except ValueError as error:
        raise CommandError(str(error)) from error
    out = sink(output, unlimited=limit is None)
    left = limit
    failed = False
    for capture in captures:
        try:
            left = _read_one(capture, table, keep, out, left)
        except CaptureError as error:
            say("error", str(error), "red")
            failed = True
    out.close()
    if failed:
        raise click.exceptions.Exit(EXIT_COULD_NOT)


def _read_one(capture: str, table: str, keep: pl.Expr | None, out: Sink, left: int | None) -> int | None:
    """Write the rows of one capture; returns how many may still follow."""
    reader = Reader(capture, sensor=LOCAL_SENSOR)
    with progress(capture) as line:
        for batch in reader:
            line.update(reader.position, reader.size, reader.packets)
            if batch.table != table:
                continue
            frame = frame_of(batch, reader.epoch)
            if keep is not None:
                frame = frame.filter(keep)
            if left is not None:
                frame = frame.head(left)
                left -= frame.height
            out.write(frame)
            if left == 0:
                reader.stop()
                break
    for warning in reader.warnings:
        warn(warning)
    return left


def frame_of(batch: Batch, epoch: str, sensor: str = LOCAL_SENSOR) -> pl.DataFrame:
    """The rows of a batch, with the identity of each in a last column `record`: sensor/epoch/sequence/row."""
    frame = pl.DataFrame(batch)
    prefix = f"{sensor}/{epoch}/{batch.sequence}/"
    return frame.with_columns(record=pl.lit(prefix) + pl.int_range(pl.len(), dtype=pl.UInt32).cast(pl.String))


@click.command()
@click.argument("table", required=False, type=click.Choice(list(TABLES)))
def fields(table: str | None) -> None:
    """Print the record tables, or the columns of one TABLE with type, values and meaning."""
    if table is None:
        for name, declared in TABLES.items():
            click.echo(f"{click.style(name, bold=True):<12} {declared.meaning} ({len(declared.columns)} columns)")
        click.echo(f"\nEvery batch carries (version {SCHEMA_VERSION} of the tables):")
        for key, meaning in METADATA.items():
            click.echo(f"  {key:<20} {meaning}")
        return
    for line in _field_lines(table):
        click.echo(line)


def _field_lines(table: str) -> Iterator[str]:
    declared = TABLES[table]
    yield f"{click.style(table, bold=True)}: {declared.meaning}"
    for column in declared.columns:
        kind = column.kind + ("?" if column.nullable else "")
        yield f"  {column.name:<24} {kind:<22} {column.meaning}"
        if column.values:
            yield f"  {'':<24} {'':<22} one of: {', '.join(column.values)}"
