"""The record store on Elasticsearch against a bare loop that sends the same documents in bulk, in one run, as a ratio.

    python -m tests.benchmarks.distributed_store [ROWS] [ROUNDS]

The bare loop sends lines that were made before, one request after another, and looks at nothing but the flag for errors; the
store makes the lines, sends them, looks at each outcome, makes the records visible and commits the position. Both write into
indices of the same templates and end with a refresh. They take turns; the ratio is of the medians of records a second. Also told:
bytes per record on the disk of Elasticsearch after its segments are merged, and those of the same records as Parquet.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from collector.records import decode
from collector.store.elastic_indices import indices
from collector.store.elastic_server import Server
from collector.store.elasticsearch import ElasticsearchRecordStore
from collector.store.local import LocalRecordStore
from collector.stream import Position
from sensor.spool_format import BatchHeader
from tests.batches import EPOCH, START, encode, sample
from tests.collector.cluster import cluster
from tests.services.elasticsearch import Elasticsearch

if TYPE_CHECKING:
    from collector.settings import ElasticsearchSettings
    from collector.store import RecordBatch

BATCH_ROWS: Final = 2_000
"""Rows of a batch."""

STEP: Final = 1_000_000
"""Nanoseconds from record to record: all of a round happen on one day."""

TABLE: Final = "modbus"


def batches(rows: int, sensor: str) -> list[RecordBatch]:
    """Batches of so many rows in all."""
    made: list[RecordBatch] = []
    for sequence in range(rows // BATCH_ROWS):
        columns = sample(TABLE, BATCH_ROWS, seed=sequence, start=START + sequence * BATCH_ROWS * STEP, step=STEP)
        header = BatchHeader(sensor, EPOCH, sequence, TABLE, BATCH_ROWS, "plant")
        made.append(decode(header, encode(header, columns)))
    return made


def through_the_store(settings: ElasticsearchSettings, given: list[RecordBatch], sensor: str) -> float:
    """Seconds that the store takes."""
    store = ElasticsearchRecordStore(settings, writer=True)
    start = time.perf_counter()
    done = store.append(given, consumer=sensor, position=Position({"0": len(given)}, {}))
    taken = time.perf_counter() - start
    assert done.batches == len(given)
    store.close()
    return taken


def through_a_bare_loop(settings: ElasticsearchSettings, given: list[RecordBatch]) -> float:
    """Seconds that a bare loop takes."""
    store = ElasticsearchRecordStore(settings, writer=True)
    requests = [(part.index, "".join(part.rows["line"].to_list()).encode()) for part in store._chunks(given)]  # pyright: ignore[reportPrivateUsage] - the same documents
    store.close()
    server = Server(settings)
    start = time.perf_counter()
    for index, lines in requests:
        answer = json.loads(server.bytes("POST", f"/{index}/_bulk", lines, lines=True, filter_path="errors"))
        assert not answer["errors"]
    server.ask("POST", f"/{requests[0][0]}/_refresh")
    taken = time.perf_counter() - start
    server.close()
    return taken


def main(rows: int = 40_000, rounds: int = 3) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="icsight-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        node = Elasticsearch(folder / "elasticsearch").start()
        try:
            with cluster(node.url) as settings:
                through_a_bare_loop(settings, batches(rows, "warm"))
                bare: list[float] = []
                own: list[float] = []
                for number in range(rounds):
                    bare.append(rows / through_a_bare_loop(settings, batches(rows, f"bare{number}")))
                    own.append(rows / through_the_store(settings, batches(rows, f"own{number}"), f"own{number}"))
                print(f"bare loop {', '.join(f'{rate:,.0f}' for rate in bare)} records/s")
                print(f"store     {', '.join(f'{rate:,.0f}' for rate in own)} records/s")
                print(f"ratio {statistics.median(own) / statistics.median(bare):.2f}")
                server = Server(settings)
                server.ask("POST", f"/{settings.prefix}-{TABLE}-*/_forcemerge", max_num_segments=1)
                server.ask("POST", f"/{settings.prefix}-{TABLE}-*/_flush")
                time.sleep(11)  # the node measures its files every 10 s
                held = indices(server)
                stored = sum(index.rows for index in held)
                print(f"Elasticsearch {sum(index.bytes for index in held) / stored:.0f} bytes a record ({stored:,} records)")
                server.close()
        finally:
            node.kill()
        local = LocalRecordStore(folder / "records", writer=True)
        local.append(batches(rows, "local"))
        (modbus,) = (held for held in local.tables() if held.table == TABLE)
        print(f"Parquet {modbus.bytes / modbus.rows:.0f} bytes a record ({modbus.rows:,} records)")
        local.close()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
