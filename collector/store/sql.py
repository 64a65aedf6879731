"""SQL over stored files: one locked-down DuckDB for each store.

What a person writes is one SELECT. It is parsed before it runs, and refused where it names anything but the record tables and
its own, so that no file, no setting and no extension can be reached; DuckDB itself is set up to refuse the same. Names of
columns hold a dot (`client.ip`), which SQL reads as table and column: where the parser has found such a name it is put in double
quotes.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any, Final, cast

import duckdb
import polars as pl

from collector.store import QueryError, QueryTimeoutError
from collector.store.statement import checked, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from collector.settings import StoreSettings

FETCH_ROWS: Final = 65_536
"""Rows of an answer that are taken over at once."""

GIVE_UP_SECONDS: Final = 10.0
"""How long is waited at the end for questions that were given up."""


class SqlSession:
    """A DuckDB that sees the record tables as views and nothing else. Safe from any thread.

    Args:
        folder: the only folder that files are read from.
        settings: time, memory and threads.
    """

    def __init__(self, folder: Path, settings: StoreSettings) -> None:
        self._settings = settings
        self._turn = threading.Condition()
        self._asked: list[duckdb.DuckDBPyConnection] = []
        self._connection = duckdb.connect(
            ":memory:",
            config={
                "threads": str(settings.query_threads),
                "memory_limit": f"{settings.query_memory_bytes // 1024**2}MiB",
                "temp_directory": "",
                "python_enable_replacements": "false",
                "autoload_known_extensions": "false",
                "autoinstall_known_extensions": "false",
                "allow_community_extensions": "false",
            },
        )
        quoted = str(folder.resolve()).replace("'", "''")
        for statement in (
            "SET TimeZone = 'UTC'",
            f"SET allowed_directories = ['{quoted}/']",
            "SET enable_external_access = false",
            "SET lock_configuration = true",
        ):
            self._connection.execute(statement)

    def define(self, table: str, relation: str) -> None:
        """Make `table` mean what `relation` selects."""
        with self._turn:
            self._connection.execute(f'CREATE OR REPLACE VIEW "{table}" AS {relation}')

    def ask(self, select: str, max_rows: int, first: int | None = None) -> pl.DataFrame:
        """The answer to what a person asks, or its first rows. Raises QueryError."""
        return self.run(quoted(select, self.parsed(select)), (), max_rows, first=first)

    def run(
        self,
        statement: str,
        values: Sequence[object],
        max_rows: int,
        *,
        first: int | None = None,
        seconds: float | None = None,
    ) -> pl.DataFrame:
        """The rows of a statement of our own making; with `first`, so many of them.

        Raises:
            QueryTimeoutError: it takes longer than `seconds`, or than the settings allow.
            QueryError: it fails, takes too much memory, or has more than `max_rows` rows.
        """
        seconds = min(seconds or self._settings.query_seconds, self._settings.query_seconds)
        cursor = self._cursor()
        timer = threading.Timer(seconds, cursor.interrupt)
        timer.start()
        try:
            reader = cast("Any", cursor.sql(statement, params=list(values) or None)).to_arrow_reader(FETCH_ROWS)
            names = _distinct([str(name) for name in reader.schema.names])
            parts, rows = [reader.schema.empty_table()], 0
            for fetched in reader:
                part = fetched if first is None else fetched.slice(0, first - rows)
                rows += int(part.num_rows)
                if rows > max_rows:
                    raise QueryError(f"the answer has more than {max_rows:,} rows: add a LIMIT or a WHERE")
                parts.append(part)
                if first is not None and rows >= first:
                    break
            from_arrow = cast("Any", pl.from_arrow)  # pyright: ignore[reportUnknownMemberType] - polars leaves pyarrow's types open
            frames: list[pl.DataFrame] = [from_arrow(part.rename_columns(names)) for part in parts]
            return _whole_numbers(pl.concat(frames, how="vertical"))
        except duckdb.InterruptException as error:
            raise QueryTimeoutError(
                f"the query took longer than {seconds:g} s: ask for less, or raise ICSIGHT_STORE_QUERY_SECONDS"
            ) from error
        except duckdb.OutOfMemoryException as error:
            size = self._settings.query_memory_bytes // 1024**2
            raise QueryError(
                f"the query needs more than {size} MiB: ask for less, or raise ICSIGHT_STORE_QUERY_MEMORY_BYTES"
            ) from error
        except (duckdb.Error, pl.exceptions.PolarsError) as error:
            raise QueryError(_reason(error)) from error
        finally:
            timer.cancel()
            self._leave(cursor)

    def close(self) -> None:
        """Let go of DuckDB. Questions that are being answered are given up first."""
        with self._turn:
            for cursor in self._asked:
                cursor.interrupt()
            self._turn.wait_for(lambda: not self._asked, GIVE_UP_SECONDS)
            self._connection.close()

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        # DuckDB refuses a connection that another thread is just using, to be copied or closed too.
        with self._turn:
            cursor = self._connection.cursor()
            self._asked.append(cursor)
            return cursor

    def _leave(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Let go of a cursor: a connection closes those that were made from it, and refuses while one is at work."""
        with self._turn:
            cursor.close()
            self._asked[:] = [each for each in self._asked if each is not cursor]
            self._turn.notify_all()

    def parsed(self, select: str) -> Mapping[str, Any]:
        """What a person asks as DuckDB's parser understands it. Raises QueryError where it may not run."""
        cursor = self._cursor()
        try:
            row = cursor.execute("SELECT json_serialize_sql(?)", [select]).fetchone()
        except duckdb.Error as error:
            raise QueryError(_reason(error)) from error
        finally:
            self._leave(cursor)
        return checked(json.loads(str(row[0] if row else "{}")))


def _whole_numbers(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows with sums as integers: SQL adds integers up in 128 bits, which arrive as decimals."""
    for name, kind in frame.schema.items():
        if isinstance(kind, pl.Decimal) and kind.scale == 0:
            numbers = frame[name].cast(pl.Int64(), strict=False)
            if numbers.null_count() == frame[name].null_count():
                frame = frame.with_columns(numbers)
    return frame


def _distinct(names: Sequence[str]) -> list[str]:
    """The names of an answer's columns; one that comes again gets a number."""
    distinct: list[str] = []
    for name in names:
        candidate, number = name, 1
        while candidate in distinct:
            number += 1
            candidate = f"{name}_{number}"
        distinct.append(candidate)
    return distinct


def _reason(error: Exception) -> str:
    """The first lines of what DuckDB says, in one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(line for line in lines[:3] if not line.startswith(("LINE", "^"))) or type(error).__name__
