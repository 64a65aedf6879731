"""Writing documents in bulk: requests of bounded size, split where they are too large, held back where the cluster is busy.

A document is created or it is there already; its identifier and its index follow from the record, so that any request can be
sent again. One that the index cannot take (its mapping says otherwise, or there is no room for the index) is handed back with the
reason.
"""

from __future__ import annotations

import random
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import polars as pl

from collector.store import StoreError
from collector.store.elastic_room import Room, is_of_now
from collector.store.elastic_server import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from collector.store.elastic_server import Server

FIRST_WAIT_SECONDS: Final = 0.1
"""First pause after the cluster was too busy; it doubles each time, up to `LONGEST_WAIT_SECONDS`."""

LONGEST_WAIT_SECONDS: Final = 10.0
"""Longest pause of the same."""

BUSY: Final = frozenset({429, 502, 503, 504})
"""Statuses of a cluster that may take the same later."""

_ANSWER: Final = pl.Struct(
    {
        "errors": pl.Boolean(),
        "items": pl.List(
            pl.Struct(
                {"create": pl.Struct({"status": pl.Int32(), "error": pl.Struct({"type": pl.String(), "reason": pl.String()})})}
            )
        ),
    }
)
_PATHS: Final = "errors,items.create.status,items.create.error.type,items.create.error.reason"


@dataclass(frozen=True, slots=True)
class Chunk:
    """Documents of one index.

    Attributes:
        index: name of the index.
        rows: `line`, as `elastic_documents.documents` makes it, and `batch`, the number of the batch that it is of.
    """

    index: str
    rows: pl.DataFrame


@dataclass(slots=True)
class Outcome:
    """What became of documents.

    Attributes:
        created: documents that were new.
        present: documents that were there already.
        refused: by batch, how many of its documents cannot be taken, and the reason for one of them.
        waits: times that the cluster was too busy.
        splits: times that a request was too large.
        indices: indices that were written to.
    """

    created: int = 0
    present: int = 0
    refused: dict[int, tuple[int, str]] = field(default_factory=dict[int, tuple[int, str]])
    waits: int = 0
    splits: int = 0
    indices: set[str] = field(default_factory=set[str])

    def add(self, other: Outcome) -> None:
        """Count what became of other documents too."""
        self.created += other.created
        self.present += other.present
        self.waits += other.waits
        self.splits += other.splits
        self.indices |= other.indices
        for batch, (rows, reason) in other.refused.items():
            self.refused[batch] = (rows + self.refused.get(batch, (0, ""))[0], reason)


def chunks(index: str, rows: pl.DataFrame, size_bytes: int) -> Iterator[Chunk]:
    """Documents in chunks of at most `size_bytes`, but one document at least."""
    ends = rows["line"].str.len_bytes().cum_sum()
    number = (ends - 1) // size_bytes
    for part in rows.with_columns(number.alias("chunk")).partition_by("chunk", maintain_order=True, include_key=False):
        yield Chunk(index, part)


class BulkWriter:
    """Sends documents, several requests at a time.

    Args:
        server: the cluster.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._settings = server.settings
        self._room = Room(server)
        self._threads = ThreadPoolExecutor(self._settings.bulk_requests, thread_name_prefix="bulk")

    def write(self, parts: Iterable[Chunk]) -> Outcome:
        """Send documents; all that were not refused are on the cluster's disks on return.

        Raises:
            StoreError: the cluster cannot be reached, was too busy for too long, or refused for another
                reason than a document.
        """
        done = Outcome()
        under_way: set[Future[Outcome]] = set()
        try:
            for part in parts:
                if (reason := self._room.refusal(part.index)) is not None:
                    done.add(Outcome(refused=_all_of(part, reason)))
                    continue
                if len(under_way) > self._settings.bulk_requests:
                    finished, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                    for future in finished:
                        done.add(future.result())
                under_way.add(self._threads.submit(self._send, part))
            for future in under_way:
                done.add(future.result())
        finally:
            # Requests that were sent are waited for: nobody may write behind the back of the one who tries again.
            wait(under_way)
        return done

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown()

    def _send(self, part: Chunk) -> Outcome:
        """Send a chunk until each document is taken or refused. Raises StoreError."""
        outcome = Outcome(indices={part.index})
        waiting = [part.rows]
        pause = FIRST_WAIT_SECONDS
        until = time.monotonic() + self._settings.patience_seconds
        while waiting:
            rows = waiting.pop()
            try:
                left = self._request(part.index, rows, outcome)
            except Refused as error:
                if error.status == 413:
                    outcome.splits += 1
                    waiting += _halves(rows, outcome, str(error))
                    continue
                if error.status not in BUSY:
                    raise
                if rows.height > 1:
                    outcome.splits += 1
                    half = rows.height // 2
                    waiting += [rows.slice(half), rows.slice(0, half)]
                else:
                    waiting.append(rows)
            else:
                if left.is_empty():
                    pause = FIRST_WAIT_SECONDS
                    continue
                waiting.append(left)
            outcome.waits += 1
            if time.monotonic() + pause > until:
                raise StoreError(
                    f"{self._settings.hosts}: too busy for {self._settings.patience_seconds:g} s: add nodes, or send less"
                )
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - so that several writers do not come back together
            pause = min(2 * pause, LONGEST_WAIT_SECONDS)
        return outcome

    def _request(self, index: str, rows: pl.DataFrame, outcome: Outcome) -> pl.DataFrame:
        """Send one request; returns the documents that the cluster was too busy to take. Raises StoreError."""
        lines = rows["line"].str.join("").item().encode()
        answer = self._server.bytes("POST", f"/{index}/_bulk", lines, lines=True, filter_path=_PATHS)
        items = pl.Series([answer.decode()]).str.json_decode(_ANSWER).struct.field("items").explode(empty_as_null=False)
        told = items.struct.field("create").struct.unnest()
        if told.height != rows.height:
            raise StoreError(
                f"{self._settings.hosts}: answered for {told.height} documents of {rows.height}: is a proxy between?"
            )
        status = told["status"]
        created, present = status.is_between(200, 299), status == 409
        busy = status.is_in(list(BUSY))
        outcome.created += int(created.sum())
        outcome.present += int(present.sum())
        failed = told.with_columns(rows["batch"]).filter(~(created | present | busy))
        for batch, count, kind, reason in (
            failed.group_by("batch", maintain_order=True)
            .agg(pl.len(), pl.col("error").struct.field("type").first(), pl.col("error").struct.field("reason").first())
            .rows()
        ):
            _check_is_the_documents(self._settings.hosts, index, str(kind), str(reason))
            outcome.add(Outcome(refused={int(batch): (int(count), f"{kind}: {' '.join(str(reason).split())[:300]}")}))
        return rows.filter(busy)


def _all_of(part: Chunk, reason: str) -> dict[int, tuple[int, str]]:
    """By batch all documents of a chunk, with why they are not taken."""
    return {int(batch): (int(count), reason) for batch, count in part.rows.group_by("batch", maintain_order=True).len().rows()}


def _halves(rows: pl.DataFrame, outcome: Outcome, reason: str) -> list[pl.DataFrame]:
    """A request that is too large in two; a single document is refused."""
    if rows.height == 1:
        outcome.add(Outcome(refused={int(rows["batch"].item()): (1, reason)}))
        return []
    half = rows.height // 2
    return [rows.slice(half), rows.slice(0, half)]


def _check_is_the_documents(hosts: str, index: str, kind: str, reason: str) -> None:
    """Raise StoreError where what is wrong is not the document: sending it again later may help."""
    if "maximum" in reason and "shards" in reason:
        # Whoever sends times of any day could have the cluster make indices until it takes none: that must not stop the others.
        if is_of_now(index):
            raise StoreError(
                f"{hosts}: takes no further index ({' '.join(reason.split())[:300]}): remove old ones (`icsight elasticsearch "
                "retain`, retention_days), add nodes, or raise cluster.max_shards_per_node"
            )
        return
    if kind not in {
        "document_parsing_exception",
        "mapper_parsing_exception",
        "illegal_argument_exception",
        "strict_dynamic_mapping_exception",
    }:
        raise StoreError(f"{hosts}: documents are refused ({kind}: {' '.join(reason.split())[:300]})")
