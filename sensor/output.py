"""How records are written for people and for machines: tables, JSON lines, Arrow, Parquet."""

from __future__ import annotations

import io
import shutil
import sys
from typing import TYPE_CHECKING, Final, Literal, Protocol

import click
import polars as pl

from sensor.terminal import CommandError, warn

if TYPE_CHECKING:
    from polars._typing import PolarsDataType

Format = Literal["table", "json", "arrow", "parquet"]
"""Output formats of the commands that print records."""

FORMATS: Final[tuple[Format, ...]] = ("table", "json", "arrow", "parquet")

TABLE_ROWS: Final = 50
"""Rows of a table for people when no limit is given."""


class Sink(Protocol):
    """Takes the frames of a result, one behind the other, then the end."""

    def write(self, frame: pl.DataFrame) -> None:
        """Write these rows."""
        ...

    def close(self) -> None:
        """Write what is left."""
        ...


def sink(output: Format, *, unlimited: bool) -> Sink:
    """Where rows go in this format. `unlimited`: no limit was given, so that a table for people stops at TABLE_ROWS.

    Raises CommandError if binary output would go to a terminal.
    """
    if output in {"arrow", "parquet"} and sys.stdout.isatty():
        raise CommandError(f"{output} is binary and standard output is a terminal. Redirect it to a file: … > records.{output}")
    if output == "json":
        return JsonLines()
    if output == "table":
        return Text(TABLE_ROWS if unlimited else None)
    return Binary(output)


class JsonLines:
    """One JSON object a row, flat with dotted keys."""

    def write(self, frame: pl.DataFrame) -> None:
        """Write these rows."""
        sys.stdout.write(printable(frame).write_ndjson())

    def close(self) -> None:
        """Flush."""
        sys.stdout.flush()


class Text:
    """A table as wide as the terminal needs, without the columns that are empty in all rows."""

    def __init__(self, rows: int | None) -> None:
        self._rows = rows
        self._frames: list[pl.DataFrame] = []
        self._held = 0
        self._total = 0

    def write(self, frame: pl.DataFrame) -> None:
        """Keep these rows, as far as they will be shown."""
        self._total += frame.height
        wanted = frame if self._rows is None else frame.head(self._rows - self._held)
        if wanted.height:
            self._held += wanted.height
            self._frames.append(wanted)

    def close(self) -> None:
        """Write the table."""
        if not self._frames:
            click.echo("no rows")
            return
        frame = printable(pl.concat(self._frames))
        frame = frame.select([name for name in frame.columns if frame[name].null_count() < frame.height])
        with pl.Config(
            tbl_rows=-1,
            tbl_cols=-1,
            tbl_width_chars=shutil.get_terminal_size((200, 50)).columns if sys.stdout.isatty() else 65_535,
            tbl_hide_column_data_types=True,
            tbl_hide_dataframe_shape=True,
            tbl_formatting="NOTHING",
            fmt_str_lengths=60,
            fmt_table_cell_list_len=8,
        ):
            click.echo(str(frame))
        if self._total > self._held:
            warn(f"{self._held} of {self._total:,} rows are shown: --limit {self._total} shows all")


class Binary:
    """Arrow IPC stream or Parquet."""

    def __init__(self, output: str) -> None:
        self._output = output
        self._frames: list[pl.DataFrame] = []

    def write(self, frame: pl.DataFrame) -> None:
        """Keep these rows: both formats want one schema and, for Parquet, a footer behind all rows."""
        self._frames.append(frame)

    def close(self) -> None:
        """Write the file."""
        frame = pl.concat(self._frames) if self._frames else pl.DataFrame()
        buffer = io.BytesIO()
        if self._output == "arrow":
            frame.write_ipc_stream(buffer, compression="lz4")
        else:
            frame.write_parquet(buffer)
        stdout = sys.stdout.buffer
        stdout.write(buffer.getbuffer())
        stdout.flush()


def printable(frame: pl.DataFrame) -> pl.DataFrame:
    """The same rows as JSON and terminals can show them: bytes in hexadecimal, times in ISO 8601, durations in nanoseconds."""
    return frame.select(_shown(kind, pl.col(name)).alias(name) for name, kind in frame.schema.items())


def _shown(kind: PolarsDataType, value: pl.Expr) -> pl.Expr:
    """A value of this type as JSON can hold it, also within lists and structures."""
    if isinstance(kind, pl.Binary):
        return value.bin.encode("hex")
    if isinstance(kind, pl.Datetime):
        return value.dt.strftime("%Y-%m-%dT%H:%M:%S%.9fZ")
    if isinstance(kind, pl.Duration):
        return value.dt.total_nanoseconds()
    if isinstance(kind, pl.List) and isinstance(kind.inner, (pl.Binary, pl.Datetime, pl.Duration, pl.List, pl.Struct)):
        return value.list.eval(_shown(kind.inner, pl.element()))
    if isinstance(kind, pl.Struct):
        fields = ((name, _shown(field, pl.field(name))) for name, field in kind.to_schema().items())
        return value.struct.with_fields(shown.alias(name) for name, shown in fields)
    return value
