"""Command `icsight devices`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click
import polars as pl

from detection.inventory import COLUMNS, inventory
from detection.sigma.rule import LANGUAGES
from sensor._core import CaptureError, Reader
from sensor.output import sink
from sensor.tables import LOCAL_SENSOR, TABLES
from sensor.terminal import EXIT_COULD_NOT, progress, say, warn

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.command()
@click.argument("captures", metavar="CAPTURE...", nargs=-1, required=True)
@click.option("--language", default="en", show_default=True, type=click.Choice(LANGUAGES), help="Language of the reasons.")
@click.option("--output", default="table", show_default=True, type=click.Choice(["table", "json"]), help="Format of the output.")
@click.option("--limit", metavar="N", type=click.IntRange(min=0), help="Stop after so many devices.")
def devices(captures: tuple[str, ...], language: str, output: Literal["table", "json"], limit: int | None) -> None:
    """Print the devices that captures show: addresses, what they say of themselves, and what they are for, with the reason.

    Exit status: 0 everything was read, 2 a capture could not be read.
    """
    frames: dict[str, list[pl.DataFrame]] = {table: [] for table in COLUMNS}
    failed = False
    for capture in captures:
        try:
            _read(capture, frames)
        except CaptureError as error:
            say("error", str(error), "red")
            failed = True
    found = inventory({table: _joined(table, parts) for table, parts in frames.items()}, language)
    out = sink(output, unlimited=limit is None)
    shown = found if output == "json" else found.select(_short(found))
    out.write(shown if limit is None else shown.head(limit))
    out.close()
    if failed:
        raise click.exceptions.Exit(EXIT_COULD_NOT)


def _read(capture: str, frames: Mapping[str, list[pl.DataFrame]]) -> None:
    """Add what the inventory needs of one capture."""
    reader = Reader(capture, sensor=LOCAL_SENSOR)
    with progress(capture) as line:
        for batch in reader:
            line.update(reader.position, reader.size, reader.packets)
            if batch.table in frames:
                frames[batch.table].append(pl.DataFrame(batch).select(COLUMNS[batch.table]))
    for warning in reader.warnings:
        warn(warning)


def _joined(table: str, frames: list[pl.DataFrame]) -> pl.DataFrame:
    schema = TABLES[table].schema
    return pl.concat(frames) if frames else pl.DataFrame(schema={name: schema[name] for name in COLUMNS[table]})


def _short(found: pl.DataFrame) -> list[pl.Expr]:
    """Columns for a person: of the roles the surest, and no list of all that was said."""
    plain = [pl.col(name) for name in found.columns if name not in {"macs", "ips", "roles", "attributes"}]
    role = pl.col("roles").list.first()
    return [
        plain[0],
        pl.col("ips").list.join(" ").alias("addresses"),
        *plain[1:],
        role.struct.field("role"),
        role.struct.field("confidence"),
        role.struct.field("reason"),
    ]
