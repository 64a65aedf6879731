"""The record store on Elasticsearch against a bare loop that sends the same documents in bulk, paired and alternated.

The bare loop sends lines that were made before, as many requests at a time as the store, and looks at nothing but the flag for
errors; the store makes the lines, sends them, looks at each outcome, makes the records visible and commits the position. Both
write into indices of the same templates and end with a refresh.
"""

from __future__ import annotations

import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from collector.records import decode
from collector.settings import ElasticsearchSettings
from collector.store.elastic_lines import chunks_by_index
from collector.store.elastic_server import Server
from collector.store.elasticsearch import ElasticsearchRecordStore
from collector.stream import Position
from sensor.spool_format import BatchHeader
from tests.batches import EPOCH, START, encode, sample
from tests.benchmarks.distributed.system import used

if TYPE_CHECKING:
    from collections.abc import Callable

    from collector.store import RecordBatch
    from tests.benchmarks.distributed.system import System

BATCH_ROWS: Final = 2_000
"""Rows of a batch."""

STEP: Final = 1_000_000
"""Nanoseconds from record to record: all of a round happen on one day."""

TABLE: Final = "modbus"


@dataclass(frozen=True, slots=True)
class Turn:
    """Seconds that one way took: by the clock, of this process' CPU, and of the node's."""

    wall: float
    own: float
    node: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Turns of both ways with so many requests at a time."""

    requests: int
    rows: int
    bare: list[Turn]
    store: list[Turn]
    lines: float
    """CPU seconds that making the lines alone takes."""

    def ratio(self) -> float:
        """Rate of the store by that of the bare loop: the median of the pairs."""
        return statistics.median(bare.wall / own.wall for bare, own in zip(self.bare, self.store, strict=True))

    def cpu_ratio(self) -> float:
        """The same by CPU seconds of both processes together."""
        return statistics.median(
            (bare.own + bare.node) / (own.own + own.node) for bare, own in zip(self.bare, self.store, strict=True)
        )


def compare(system: System, requests: int, rows: int, rounds: int) -> Comparison:
    """Store the same both ways, in turns, with so many requests at a time."""
    settings = ElasticsearchSettings(
        hosts=system.elasticsearch.url, prefix=system.settings.prefix, replicas=0, bulk_requests=requests
    )
    bare: list[Turn] = []
    store: list[Turn] = []
    for number in range(-1, rounds):
        pair = [(bare, _bare), (store, _store)]
        for turns, way in pair if number % 2 else reversed(pair):
            taken = way(system, settings, batches(rows, f"{way.__name__}{requests}-{number}"))
            # The first of each pays for what is made once.
            if number >= 0:
                turns.append(taken)
    begin = time.process_time()
    made = _requests(settings, batches(rows, "lines"))
    lines = time.process_time() - begin
    assert made
    return Comparison(requests, rows, bare, store, lines)


def batches(rows: int, sensor: str) -> list[RecordBatch]:
    """Batches of so many rows in all."""
    made: list[RecordBatch] = []
    for sequence in range(rows // BATCH_ROWS):
        columns = sample(TABLE, BATCH_ROWS, seed=sequence, start=START + sequence * BATCH_ROWS * STEP, step=STEP)
        header = BatchHeader(sensor, EPOCH, sequence, TABLE, BATCH_ROWS, "plant")
        made.append(decode(header, encode(header, columns)))
    return made


def _store(system: System, settings: ElasticsearchSettings, given: list[RecordBatch]) -> Turn:
    store = ElasticsearchRecordStore(settings, writer=True)

    def work() -> None:
        done = store.append(given, consumer=given[0].header.sensor, position=Position({"0": len(given)}, {}))
        assert done.batches == len(given)

    taken = _timed(system, work)
    store.close()
    return taken


def _bare(system: System, settings: ElasticsearchSettings, given: list[RecordBatch]) -> Turn:
    requests = _requests(settings, given)
    server = Server(settings)

    def send(request: tuple[str, bytes]) -> None:
        index, lines = request
        answer = json.loads(server.bytes("POST", f"/{index}/_bulk", lines, lines=True, filter_path="errors"))
        assert not answer["errors"]

    def work() -> None:
        with ThreadPoolExecutor(settings.bulk_requests) as threads:
            list(threads.map(send, requests))
        server.ask("POST", f"/{requests[0][0]}/_refresh")

    taken = _timed(system, work)
    server.close()
    return taken


def _requests(settings: ElasticsearchSettings, given: list[RecordBatch]) -> list[tuple[str, bytes]]:
    """Index and bytes of the requests that the store makes of batches."""
    made = chunks_by_index(given, settings.prefix, settings.bulk_bytes)
    return [(part.index, "".join(part.rows["line"].to_list()).encode()) for part in made]


def _timed(system: System, work: Callable[[], None]) -> Turn:
    process = system.elasticsearch.process
    assert process is not None
    node, own, wall = used(process.pid), time.process_time(), time.perf_counter()
    work()
    return Turn(time.perf_counter() - wall, time.process_time() - own, used(process.pid) - node)
