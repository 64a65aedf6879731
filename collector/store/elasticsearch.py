"""`ElasticsearchRecordStore`: an index for each table and day, and beside them the ledger of what is stored.

    icsight-<table>-<yyyy.mm.dd>   the records of a table that happened on a day (UTC), as documents
    icsight.ledger                 which batches are stored, and where consumers stand

An append writes documents, each under an identifier and into an index that follow from the record alone, then the batches that
are whole into the ledger, then the consumer's position. Whatever moment the process dies at, what it did not enter into the
ledger is written once more and changes nothing. Templates have to be there before (`icsight elasticsearch apply`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from collector.records import IDENTITY_TYPES, plain, reason_of
from collector.settings import StoreSettings
from collector.store import (
    Appended,
    Identity,
    Page,
    Query,
    QueryError,
    QueryTimeoutError,
    RecordBatch,
    Stored,
    StoreError,
    Unstorable,
    elastic_groups,
)
from collector.store import elastic_sql as sql
from collector.store.elastic_bulk import BulkWriter
from collector.store.elastic_documents import identifier, read, source
from collector.store.elastic_indices import Index, indices, last_moment, moments
from collector.store.elastic_ledger import Ledger
from collector.store.elastic_lines import chunks_by_index
from collector.store.elastic_query import search
from collector.store.elastic_server import Refused, Server, TooSlow
from collector.store.elastic_setup import check
from collector.store.elastic_templates import ledger_index, pattern
from collector.store.query import cursor_behind, kinds, nanoseconds, selected
from sensor.configuration import configured
from sensor.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from collector.dead_letters import DeadLetters
    from collector.settings import ElasticsearchSettings
    from collector.store import Grouping, Groups
    from collector.store.elastic_bulk import Chunk
    from collector.stream import Position
    from sensor.spool_format import Run

ANSWER_MARGIN_SECONDS: Final = 2.0
"""How much longer than a search may take the store waits for its answer."""

INDICES_PER_REFRESH: Final = 50
"""Indices that are named in one request: Elasticsearch takes a first line of 4,096 bytes."""

IDENTIFIERS_PER_SEARCH: Final = 1_000
"""Records that are looked for by identity at once."""


class ElasticsearchRecordStore:
    """Records in a cluster as a `collector.store.RecordStore`. Several processes may append, each batches of runs of its own.

    Args:
        cluster: where the cluster is.
        writer: whether this process appends.
        settings: bounds of queries; from the environment where none are given.
        letters: takes batches that have rows which an index cannot take. The other rows are stored; the batch counts as stored
            only once it is appended again and all are.

    Raises:
        ConfigurationError: a secret cannot be read.
        StoreError: the cluster cannot be reached or is not set up, or what is there is of a newer version.
    """

    def __init__(
        self,
        cluster: ElasticsearchSettings,
        *,
        writer: bool = False,
        settings: StoreSettings | None = None,
        letters: DeadLetters | None = None,
    ) -> None:
        self.settings: Final = settings or configured(StoreSettings)
        self._prefix = cluster.prefix
        self._letters = letters
        self._server = Server(cluster)
        self._ledger = Ledger(self._server, ledger_index(cluster.prefix))
        self._bulk = BulkWriter(self._server) if writer else None
        try:
            check(self._server)
        except StoreError:
            self.close()
            raise

    def append(self, batches: Iterable[RecordBatch], *, consumer: str = "", position: Position | None = None) -> Appended:
        """As `RecordStore.append`. Where it raises, some rows may be there already; they do not count and are not doubled."""
        if self._bulk is None:
            raise StoreError(f"{self._server.settings.hosts}: opened for reading only")
        try:
            given = list(batches)
            self._ledger.read((batch.header.run, batch.header.sequence) for batch in given)
            new: list[RecordBatch] = []
            taken: dict[Run, set[int]] = {}
            for batch in given:
                run, sequence = batch.header.run, batch.header.sequence
                if sequence not in taken.setdefault(run, set()) and not self._ledger.holds(run, sequence):
                    taken[run].add(sequence)
                    new.append(batch)
            outcome = self._bulk.write(self._storable(new))
            written = sorted(outcome.indices)
            for start in range(0, len(written), INDICES_PER_REFRESH):
                # One that the cluster made no index for, or that retention has just removed, must not hold up the others.
                names = ",".join(written[start : start + INDICES_PER_REFRESH])
                self._server.ask("POST", f"/{names}/_refresh", ignore_unavailable=True)
            refused: list[tuple[RecordBatch, str]] = []
            for number, (rows, reason) in outcome.refused.items():
                header = new[number].header
                refused.append((new[number], f"{rows} of {header.rows} rows are not stored: {reason}"))
                taken[header.run].discard(header.sequence)
            self._set_aside(refused)
            self._ledger.hold(taken)
            if consumer and position is not None:
                self._ledger.stand(consumer, position)
        except BaseException:
            self._ledger.forget()
            raise
        return Appended(sum(map(len, taken.values())), outcome.created, len(given) - len(new))

    def position(self, consumer: str) -> Position | None:
        """As `RecordStore.position`."""
        return self._ledger.position(consumer)

    def check(self) -> None:
        """As `RecordStore.check`."""
        self._server.probe()

    def holds(self, run: Run, sequence: int) -> bool:
        """As `RecordStore.holds`."""
        self._ledger.read([(run, sequence)])
        return self._ledger.holds(run, sequence)

    def query(self, query: Query) -> Page:
        """As `RecordStore.query`."""
        known = kinds(query.table)
        columns = selected(query)
        body = search(query)
        body["_source"] = source(columns)
        found = self._search(query.table, body, query.seconds)
        hits = read(found, query.table, columns).rows
        rows = hits.head(query.limit)
        cursor = None
        if hits.height > query.limit:
            last = rows.tail(1).with_columns(
                pl.selectors.datetime().dt.epoch("ns"), pl.selectors.duration().dt.total_nanoseconds()
            )
            cursor = cursor_behind(query, last.to_dicts()[0])
        asked = [*(query.columns or known), *(name for name in IDENTITY_TYPES if name not in (query.columns or known))]
        return Page(rows.select(asked), cursor)

    def groups(self, grouping: Grouping) -> Groups:
        """As `RecordStore.groups`."""
        seconds = min(grouping.seconds or self.settings.query_seconds, self.settings.query_seconds)
        return elastic_groups.ask(self._server, grouping, seconds)

    def records(self, identities: Iterable[Identity]) -> Mapping[Identity, Mapping[str, object]]:
        """As `RecordStore.records`."""
        asked = list(dict.fromkeys(identities))
        found: dict[Identity, Mapping[str, object]] = {}
        for start in range(0, len(asked), IDENTIFIERS_PER_SEARCH):
            names = [identifier(identity) for identity in asked[start : start + IDENTIFIERS_PER_SEARCH]]
            searches = [
                (pattern(self._prefix, table), {"size": len(names), "query": {"ids": {"values": names}}}) for table in TABLES
            ]
            # Each table is asked by itself, since its rows are read by its own types.
            for table, (index, body) in zip(TABLES, searches, strict=True):
                answer = self._server.bytes("POST", f"/{index}/_search", body, ignore_unavailable=True)
                for record in plain(read(answer, table, list(kinds(table))).rows):
                    identity = (
                        str(record["sensor"]),
                        str(record["epoch"]),
                        int(str(record["sequence"])),
                        int(str(record["row"])),
                    )
                    found[Identity(*identity)] = {"table": table, **record}
        return {identity: found[identity] for identity in asked if identity in found}

    def sql(self, select: str, *, max_rows: int | None = None, first: int | None = None) -> pl.DataFrame:
        """As `RecordStore.sql`; a SELECT that needs more than `sql_rows` rows of one table is refused."""
        most = min(max_rows or self.settings.query_rows, self.settings.query_rows)
        return sql.ask(self._server, self.settings, select, most, first)

    def tables(self) -> Sequence[Stored]:
        """As `RecordStore.tables`."""
        held = indices(self._server)
        found = moments(self._server)
        return [
            Stored(
                table,
                sum(index.rows for index in held if index.table == table),
                sum(index.bytes for index in held if index.table == table),
                *found[table],
            )
            for table in TABLES
        ]

    def retain(self, *, before: datetime | None = None, max_bytes: int | None = None) -> int:
        """As `RecordStore.retain`; an index, which holds one day of a table, goes as a whole."""
        if self._bulk is None:
            raise StoreError(f"{self._server.settings.hosts}: opened for reading only")
        oldest_first = sorted(indices(self._server), key=lambda index: (index.day, index.name))
        gone: dict[str, Index] = {}
        if before is not None:
            moment = nanoseconds(before)
            for index in oldest_first:
                # An index holds nothing of a later day than its own.
                if index.ends <= moment or (index.begins < moment and last_moment(self._server, index) < moment):
                    gone[index.name] = index
        if max_bytes is not None:
            size = sum(index.bytes for index in oldest_first if index.name not in gone)
            for index in oldest_first:
                if size <= max_bytes:
                    break
                if index.name not in gone:
                    gone[index.name] = index
                    size -= index.bytes
        for name in gone:
            self._server.ask("DELETE", f"/{name}", absent=True)
        return sum(index.rows for index in gone.values())

    def merge(self) -> int:
        """Nothing: Elasticsearch merges by itself."""
        return 0

    def close(self) -> None:
        """As `RecordStore.close`."""
        if self._bulk is not None:
            self._bulk.close()
        self._server.close()

    def _storable(self, batches: Sequence[RecordBatch]) -> Iterator[Chunk]:
        """The rows of batches as documents, by index. Raises Unstorable where they cannot be written so."""
        try:
            yield from chunks_by_index(batches, self._prefix, self._server.settings.bulk_bytes)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise Unstorable(f"rows cannot be written as documents: {reason_of(error)}") from error

    def _set_aside(self, refused: Sequence[tuple[RecordBatch, str]]) -> None:
        """Make dead letters of batches that cannot be stored for a reason. Raises StoreError where nobody can take them."""
        try:
            for batch, reason in refused:
                if self._letters is None:
                    raise StoreError(f"{batch.header.sensor}/{batch.header.epoch}/{batch.header.sequence}: {reason}")
                self._letters.keep(reason, batch.header, batch.data)
            if self._letters is not None:
                self._letters.settle()
        except OSError as error:
            raise StoreError(f"a batch that cannot be stored cannot be kept either ({error}): check the disk") from error

    def _search(self, table: str, body: Mapping[str, Any], seconds: float | None) -> bytes:
        """The answer to a search. Raises QueryError, StoreError."""
        seconds = min(seconds or self.settings.query_seconds, self.settings.query_seconds)
        path = f"/{pattern(self._prefix, table)}/_search"
        body = {**body, "timeout": f"{max(1, int(seconds * 1000))}ms"}
        try:
            return self._server.bytes(
                "POST",
                path,
                body,
                seconds=seconds + ANSWER_MARGIN_SECONDS,
                ignore_unavailable=True,
                filter_path="timed_out,_shards.failed,hits.hits._source",
            )
        except TooSlow as error:
            raise QueryTimeoutError(
                f"the query took longer than {seconds:g} s: ask for less, or raise ICSIGHT_STORE_QUERY_SECONDS"
            ) from error
        except Refused as error:
            if error.status in {400, 429}:
                raise QueryError(f"the query is refused ({error.kind}: {error.reason})") from error
            raise
