"""SQL over records in Elasticsearch: what a SELECT needs is fetched and asked as the local store's files are.

Elasticsearch has no SQL on every server, and none in which a question to the local store could be put unchanged. So the rows
that a SELECT can use are fetched, its columns only, into Parquet files that live as long as the question, and the same DuckDB
answers it. A question that needs more than `sql_rows` rows of a table is refused: it is never answered in part.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import duckdb
import polars as pl

from collector.records import IDENTITY_TYPES
from collector.store import PAGE_ROWS, QueryError, QueryTimeoutError
from collector.store.elastic_documents import read, source
from collector.store.elastic_query import condition
from collector.store.elastic_server import TooSlow
from collector.store.elastic_templates import pattern
from collector.store.files import write_file
from collector.store.query import kinds
from collector.store.sql import SqlSession
from collector.store.statement import needs
from collector.store.views import relation
from sensor.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collector.settings import StoreSettings
    from collector.store.elastic_server import Server
    from collector.store.statement import Need

KEPT: Final = "1m"
"""How long the cluster keeps a point in time between two pages."""

FILE_ROWS: Final = 100_000
"""Rows of one file that is asked, less those of the last page."""


def ask(server: Server, settings: StoreSettings, select: str, max_rows: int, first: int | None) -> pl.DataFrame:
    """The answer to one SELECT. Raises QueryError, StoreError."""
    until = time.monotonic() + settings.query_seconds
    with tempfile.TemporaryDirectory(prefix="icsight-sql-") as name:
        session = SqlSession(Path(name), settings)
        try:
            needed = needs(session.parsed(select), _moment)
            for table in TABLES:
                fetched = _fetched(server, table, needed[table], until) if table in needed else ()
                files = [write_file(Path(name), table, "fetched", rows) for rows in fetched]
                session.define(table, relation(Path(name), table, files))
            return session.ask(select, max_rows, first)
        finally:
            session.close()


def _fetched(server: Server, table: str, need: Need, until: float) -> Iterator[pl.DataFrame]:
    """The rows of a table that are needed, in pieces. Raises QueryError, StoreError."""
    known = kinds(table)
    columns = list(dict.fromkeys(["ts", *need.columns, *IDENTITY_TYPES]))
    most = server.settings.sql_rows
    opened = server.ask("POST", f"/{pattern(server.settings.prefix, table)}/_pit", keep_alive=KEPT, ignore_unavailable=True)
    point = opened["id"]
    try:
        body: dict[str, Any] = {
            "size": PAGE_ROWS,
            "query": {"bool": {"filter": [condition(known, item, table) for item in need.filters]}},
            "sort": ["_shard_doc"],
            "_source": source(columns),
            "track_total_hits": most + 1,
        }
        pieces: list[pl.DataFrame] = []
        while True:
            left = until - time.monotonic()
            if left <= 0:
                raise _too_long(table)
            body["pit"] = {"id": point, "keep_alive": KEPT}
            try:
                answer = server.bytes("POST", "/_search", body, seconds=left, allow_partial_search_results=False)
            except TooSlow as error:
                raise _too_long(table) from error
            page = read(answer, table, columns)
            if page.total is not None and page.total > most:
                raise QueryError(
                    f"the SELECT needs more than {most:,} rows of {table}: add a WHERE on ts or another column, "
                    "or raise ICSIGHT_ELASTICSEARCH_SQL_ROWS"
                )
            pieces.append(page.rows)
            done = page.rows.height < PAGE_ROWS
            if done or sum(piece.height for piece in pieces) >= FILE_ROWS:
                whole = pl.concat(pieces)
                if whole.height:
                    yield whole
                pieces = []
            if done:
                return
            point = page.point or point
            body["search_after"] = [page.last]
            body["track_total_hits"] = False
    finally:
        server.ask("DELETE", "/_pit", {"id": point}, absent=True)


def _too_long(table: str) -> QueryTimeoutError:
    return QueryTimeoutError(
        f"fetching the rows of {table} that the SELECT needs takes too long: add a WHERE, or raise ICSIGHT_STORE_QUERY_SECONDS"
    )


def _moment(text: str) -> int | None:
    """A text as nanoseconds since 1970, as SQL reads it in UTC; None where it is no time."""
    with duckdb.connect(":memory:") as connection:
        try:
            row = (
                connection.execute("SET TimeZone = 'UTC'").execute("SELECT epoch_ns(?::VARCHAR::TIMESTAMPTZ)", [text]).fetchone()
            )
        except duckdb.Error:
            return None
    return None if row is None or row[0] is None else int(row[0])
