"""What becomes of documents that Elasticsearch does not take, without one."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import polars as pl
import pytest

from collector.records import decode
from collector.settings import ElasticsearchSettings
from collector.store import RecordBatch, StoreError, Unstorable
from collector.store.elastic_bulk import BulkWriter, Chunk, Outcome
from collector.store.elasticsearch import ElasticsearchRecordStore
from sensor.spool_format import BatchHeader
from tests.batches import EPOCH, encode, sample

if TYPE_CHECKING:
    from collections.abc import Iterable

    from collector.store.elastic_server import Server

FULL = (
    "Validation Failed: 1: this action would add [2] shards, but this cluster currently has [1000]/[1000] maximum normal shards"
    " open;"
)
"""What Elasticsearch says where it takes no further index (cluster.max_shards_per_node)."""


def writer(kind: str, reason: str) -> BulkWriter:
    """Of a cluster that refuses each document with this error."""

    def answer(*_: object, **__: object) -> bytes:
        item = {"create": {"status": 400, "error": {"type": kind, "reason": reason}}}
        return json.dumps({"errors": True, "items": [item]}).encode()

    def ask(_: str, path: str, **__: object) -> object:
        shards = {"active_shards": 0, "initializing_shards": 0, "unassigned_shards": 0}
        return {"number_of_data_nodes": 1, **shards} if path == "/_cluster/health" else {}

    settings = ElasticsearchSettings(hosts="http://localhost:1")
    return BulkWriter(cast("Server", SimpleNamespace(settings=settings, bytes=answer, ask=ask)))


def write(bulk: BulkWriter, index: str) -> Outcome:
    try:
        return bulk.write([Chunk(index, pl.DataFrame({"batch": [7], "line": ["{}"]}))])
    finally:
        bulk.close()


@pytest.mark.parametrize("kind", ["validation_exception", "illegal_argument_exception"])
def test_days_for_which_a_full_cluster_makes_no_index_are_refused_and_stop_no_others(kind: str) -> None:
    outcome = write(writer(kind, FULL), "icsight-modbus-1999.01.01")
    assert outcome.refused == {7: (1, f"{kind}: {FULL}")}


@pytest.mark.parametrize("kind", ["validation_exception", "illegal_argument_exception"])
def test_a_full_cluster_that_makes_no_index_for_today_is_told_and_nothing_is_put_aside(kind: str) -> None:
    for days in (-1, 0, 1):
        day = datetime.now(UTC) + timedelta(days=days)
        with pytest.raises(StoreError, match=r"takes no further index .*: remove old ones .*cluster\.max_shards_per_node"):
            write(writer(kind, FULL), f"icsight-modbus-{day:%Y.%m.%d}")


class Cluster:
    """An Elasticsearch store's own parts, that note what they are asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.settings = ElasticsearchSettings(hosts="http://localhost:1")

    def ask(self, method: str, path: str, *, ignore_unavailable: bool) -> None:
        assert ignore_unavailable
        self.asked.append(f"{method} {path}")

    def write(self, parts: Iterable[Chunk]) -> Outcome:
        return Outcome(indices={part.index for part in parts})

    def read(self, batches: Iterable[object]) -> None: ...

    def holds(self, run: object, sequence: int) -> bool:
        del run, sequence
        return False

    def hold(self, taken: object) -> None: ...

    def forget(self) -> None: ...


def store_over(cluster: Cluster) -> ElasticsearchRecordStore:
    store: Any = ElasticsearchRecordStore.__new__(ElasticsearchRecordStore)
    store._server = store._bulk = store._ledger = cluster
    store._prefix, store._letters = "icsight", None
    return store


def batch(sequence: int, start: int = 0) -> RecordBatch:
    header = BatchHeader("north", EPOCH, sequence, "modbus", 30, "plant")
    return decode(header, encode(header, sample("modbus", 30, start=start, step=86_400_000_000_000)))


def test_what_an_append_over_many_days_has_written_is_made_visible_in_requests_that_are_taken() -> None:
    cluster = Cluster()
    store_over(cluster).append([batch(number, number * 30 * 86_400_000_000_000) for number in range(20)])
    assert sum(path.count("icsight-modbus-") for path in cluster.asked) == 600
    assert all(path.endswith("/_refresh") and len(path) < 2_000 for path in cluster.asked)


def test_batches_that_cannot_be_written_as_documents_together_are_told_from_a_cluster_that_fails() -> None:
    batches = [batch(0), batch(1)]
    strange = [
        RecordBatch(each.header, each.rows.with_columns(new=pl.lit(value))) for each, value in zip(batches, (1, "b"), strict=True)
    ]
    store = store_over(Cluster())
    with pytest.raises(Unstorable, match="cannot be written as documents"):
        store.append(strange)
    for each in strange:
        assert store.append([each]).batches == 1
