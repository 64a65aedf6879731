"""The port `RecordStore`: records at rest, found by table, time and condition, and by identity.

A record is one row of a batch; (sensor, epoch, sequence, row), written `sensor/epoch/sequence/row`, identifies it for ever.
Every table has the columns of `sensor.tables` and these four. `collector.store.local` keeps Parquet files; a store on
Elasticsearch fits the same port.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, runtime_checkable

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from collector.stream import Position, Run
    from sensor.spool_format import BatchHeader

__all__ = [
    "IDENTITY",
    "Appended",
    "Filter",
    "Grouping",
    "Groups",
    "Identity",
    "Operator",
    "Order",
    "Page",
    "Query",
    "QueryError",
    "QueryTimeoutError",
    "RecordBatch",
    "RecordStore",
    "StoreError",
    "Stored",
    "Unstorable",
]  # fmt: skip

IDENTITY = ("sensor", "epoch", "sequence", "row")
"""The columns that every stored table has besides its own: who a record is."""

PAGE_ROWS = 10_000
"""Most rows of one page of `RecordStore.query`."""

GROUPS = 100_000
"""Most groups of one answer of `RecordStore.groups`."""

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "in", "contains", "starts_with", "is_null", "is_not_null"]
"""What a filter asks. "contains" and "starts_with" are for text and heed case; no operator but "is_null" is true for a null."""

Value = str | int | float | bool | None
"""A value to compare with. Times are nanoseconds since 1970, durations nanoseconds."""


class StoreError(Exception):
    """A store cannot be used. The text is one line that says what happened, to what, and what to do next."""


class Unstorable(StoreError):  # noqa: N818 - named for what the batches are
    """What batches hold cannot be stored, however often it is tried; the store is well. None of them is stored."""


class QueryError(StoreError):
    """A question cannot be answered as it was put: unknown table or column, bad SQL, not a SELECT, out of time or memory."""


class QueryTimeoutError(QueryError):
    """A question took longer than the caller or the settings allow."""


class Identity(NamedTuple):
    """Who a record is."""

    sensor: str
    epoch: str
    sequence: int
    row: int

    def __str__(self) -> str:
        return f"{self.sensor}/{self.epoch}/{self.sequence}/{self.row}"

    @classmethod
    def parse(cls, text: str) -> Identity:
        """The identity written `sensor/epoch/sequence/row`. Raises QueryError."""
        parts = text.rsplit("/", 3)
        if len(parts) != 4 or not (parts[2].isdecimal() and parts[3].isdecimal()):
            raise QueryError(f"{text!r} is not a record: write sensor/epoch/sequence/row")
        return cls(parts[0], parts[1], int(parts[2]), int(parts[3]))


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """A decoded batch: its header and its rows in the columns of its table (`collector.records.decode`).

    Of a batch that has lost rows for want of room (`header.dropped`) `numbers` are the row numbers of those that are left.
    `data` are the bytes that it was decoded from, for a store that cannot take it. `written` is how many bytes it is, at most,
    once each row has its texts by itself: rows share them, and a few kilobytes can be hundreds of megabytes. `size` is how
    many they are as they lie in memory, and `left_out` are the columns that its table does not know.
    """

    header: BatchHeader
    rows: pl.DataFrame
    numbers: pl.Series | None = None
    data: bytes = b""
    written: int = 0
    size: int = 0
    left_out: Sequence[str] = ()

    @property
    def row(self) -> pl.Series:
        """The number of each row in its batch, which is a part of its identity."""
        if self.numbers is not None:
            return self.numbers
        return pl.Series(range(self.rows.height), dtype=pl.UInt32)


@dataclass(frozen=True, slots=True)
class Appended:
    """What an append did: batches and rows that were new, and batches that were there already."""

    batches: int
    rows: int
    repeated: int


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition on one column. `value` is a sequence for "in" and is not looked at for "is_null" and "is_not_null"."""

    column: str
    operator: Operator
    value: Value | Sequence[Value] = None


@dataclass(frozen=True, slots=True)
class Order:
    """How rows are sorted: by one column, then by identity, nulls last."""

    column: str = "ts"
    descending: bool = True


@dataclass(frozen=True, slots=True)
class Query:
    """A question to a table. All filters must hold.

    Attributes:
        table: name of the table.
        filters: conditions on columns.
        since: rows from this time on.
        until: rows before this time.
        columns: columns wanted, in this order; none means all. The identity is always there.
        order: how rows are sorted.
        limit: rows wanted, 1 to `PAGE_ROWS`.
        cursor: `Page.cursor` of the page before, with the rest of the question unchanged.
        seconds: most time that the caller waits; the store's own bound holds too.
    """

    table: str
    filters: Sequence[Filter] = ()
    since: datetime | None = None
    until: datetime | None = None
    columns: Sequence[str] = ()
    order: Order = Order()
    limit: int = 100
    cursor: str | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of rows, and where the next one starts; None on the last."""

    rows: pl.DataFrame
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Grouping:
    """How rows of a table are counted together: those that have the same values in some columns. All filters must hold.

    Attributes:
        table: name of the table.
        by: columns of text and whole numbers; rows that have none there are a group, too.
        filters: conditions on columns.
        since: rows from this time on.
        until: rows before this time.
        sums: columns of whole numbers to add up.
        ranges: columns of numbers (`f64`) of which the least, the greatest and the latest are wanted; those that are not finite
            do not count.
        limit: groups wanted, 1 to `GROUPS`.
        seconds: most time that the caller waits; the store's own bound holds too.
    """

    table: str
    by: Sequence[str]
    filters: Sequence[Filter] = ()
    since: datetime | None = None
    until: datetime | None = None
    sums: Sequence[str] = ()
    ranges: Sequence[str] = ()
    limit: int = GROUPS
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Groups:
    """Groups of rows, in no order.

    rows: the columns of `Grouping.by` as text and 64-bit integers, `rows` (how many), `first` and `last` (nanoseconds since 1970,
    cut to the millisecond), and for each column of sums and ranges `sum`, `least`, `greatest` and `latest` of it (float64), as in
    `sum flow.bytes_out`. more: whether there are more groups than were wanted; which are left out then, nobody says.
    """

    rows: pl.DataFrame
    more: bool


@dataclass(frozen=True, slots=True)
class Stored:
    """What a store holds of a table. Times are nanoseconds since 1970, None where there are no rows."""

    table: str
    rows: int
    bytes: int
    first: int | None
    last: int | None


@runtime_checkable
class RecordStore(Protocol):
    """Records at rest. Reading is safe from any thread; one process appends."""

    def append(self, batches: Iterable[RecordBatch], *, consumer: str = "", position: Position | None = None) -> Appended:
        """Store batches whole, and with them where `consumer` stands in its stream: both or neither, durable on return.

        A batch that is stored already, by (sensor, epoch, sequence), is passed over, in whatever order batches come.

        Raises:
            Unstorable: what a batch holds, or several hold together, cannot be stored. Nothing was stored.
            StoreError: there is no room or the disk failed. Nothing was stored.
        """
        ...

    def position(self, consumer: str) -> Position | None:
        """The position last stored for a consumer; None where there is none."""
        ...

    def check(self) -> None:
        """Look whether it can be asked at all; at little cost, from any thread. Raises StoreError where it cannot."""
        ...

    def holds(self, run: Run, sequence: int) -> bool:
        """Whether a batch is stored, or was until retention removed it. Raises StoreError."""
        ...

    def query(self, query: Query) -> Page:
        """The rows that answer a question. Raises QueryError."""
        ...

    def groups(self, grouping: Grouping) -> Groups:
        """Rows counted together by what they have in common. Raises QueryError."""
        ...

    def records(self, identities: Iterable[Identity]) -> Mapping[Identity, Mapping[str, object]]:
        """Exact records by identity, in the order asked for; an identity that is not stored is left out.

        A record is its columns by name as `collector.records.plain` gives them, the identity's four, and `table`.
        """
        ...

    def sql(self, select: str, *, max_rows: int | None = None, first: int | None = None) -> pl.DataFrame:
        """The answer to one SELECT over the tables. Column names with dots may be written with or without double quotes.

        An answer of more than `max_rows` rows is refused; with `first`, so many rows are given however many there are.

        Raises:
            QueryError: it is not one SELECT, names something unknown, reaches for files, or takes more time or memory than the
                settings allow.
        """
        ...

    def tables(self) -> Sequence[Stored]:
        """What is stored, for each record table in the order of `sensor.tables.TABLES`."""
        ...

    def retain(self, *, before: datetime | None = None, max_bytes: int | None = None) -> int:
        """Remove what is older than `before`, then the oldest until `max_bytes` are left; returns how many rows went.

        Rows go in whole files: a row younger than `before` is never removed by it, an older one may stay a while. Removed
        batches count as stored.
        """
        ...

    def merge(self) -> int:
        """Do one piece of the store's own upkeep, for the process that appends when it is idle; 0 where there is none to do.

        Raises:
            StoreError: there is no room or the disk failed. Nothing is lost.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...
