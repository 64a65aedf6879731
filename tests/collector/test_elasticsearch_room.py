"""A real node that has as many shards as it may, or half of them: what is stored, and what is put aside."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from collector.dead_letters import LetterFolder
from collector.records import decode
from collector.store import StoreError
from collector.store.elasticsearch import ElasticsearchRecordStore
from collector.stream import Position
from tests.collector.cluster import cluster
from tests.collector.test_elasticsearch_store import HOUR, batch, count
from tests.services.elasticsearch import Elasticsearch
from tests.services.packages import Missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from collector.settings import ElasticsearchSettings
    from collector.store.elastic_server import Server

YEARS_AGO = 1_234_567_890 * 10**9
"""2009-02-13T23:31:30Z."""

FIRST = Position({"0": 1}, {})


@pytest.fixture(scope="module")
def node() -> Iterator[Elasticsearch]:
    """A node of one's own: what it may hold is said of all that it holds."""
    with tempfile.TemporaryDirectory(prefix="icsight-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        try:
            node = Elasticsearch(Path(name), heap_mib=512).start()
        except Missing as error:
            pytest.fail(str(error))
        yield node
        node.kill()


@pytest.fixture(scope="module")
def shared(node: Elasticsearch) -> Iterator[ElasticsearchSettings]:
    with cluster(node.url) as chosen:
        yield chosen


@pytest.fixture
def max_shards(server: Server) -> Iterator[Callable[[int], None]]:
    """Sets how many shards a node may have, until the test ends."""

    def to(most: int | None) -> None:
        server.ask("PUT", "/_cluster/settings", {"persistent": {"cluster.max_shards_per_node": most}})

    yield to
    to(None)


def shards(server: Server) -> int:
    """How many the cluster holds."""
    health = server.ask("GET", "/_cluster/health")
    return int(health["active_shards"] + health["initializing_shards"] + health["unassigned_shards"])


def test_days_far_from_now_get_indices_while_the_cluster_is_half_full_and_these_days_beyond_that(
    elastic: ElasticsearchSettings, server: Server, tmp_path: Path, max_shards: Callable[[int], None]
) -> None:
    letters = LetterFolder(tmp_path)
    store = ElasticsearchRecordStore(elastic, writer=True, letters=letters)
    held = shards(server)
    # As many are there as are free: an index more of a day that is far would be beyond half.
    max_shards(2 * (held + 2))
    far = {"ts": [YEARS_AGO, YEARS_AGO + 24 * HOUR, YEARS_AGO + 48 * HOUR, time.time_ns()]}
    done = store.append([batch(0, far), batch(1, start=time.time_ns() - 10 * 24 * HOUR)], consumer="store", position=FIRST)
    assert (done.batches, done.rows) == (1, 13)
    assert store.position("store") == FIRST
    (letter,) = letters.letters()
    assert letter.reason.startswith("1 of 4 rows are not stored: no index is made for 2009.02.15: the cluster holds ")
    assert f"of the {2 * (held + 2):,} shards" in letter.reason
    assert "`icsight dead-letters replay`" in letter.reason
    # What is there takes rows of any day; others of these days are made.
    assert store.append([batch(2, start=YEARS_AGO), batch(3, start=time.time_ns() - 24 * HOUR, table="point")]).batches == 2
    assert letter.header is not None
    again = decode(letter.header, letter.data)
    assert store.append([again]).batches == 0
    max_shards(5_000)
    later = ElasticsearchRecordStore(elastic, writer=True, letters=letters)
    assert (later.append([again]).batches, later.append([again]).repeated) == (1, 1)
    assert count(later) == 14 + 20
    assert later.sql("SELECT sensor, sequence, row FROM modbus").is_unique().all()
    store.close()
    later.close()


def test_a_cluster_without_room_for_these_days_fails_the_append_and_puts_nothing_aside(
    elastic: ElasticsearchSettings, server: Server, tmp_path: Path, max_shards: Callable[[int], None]
) -> None:
    letters = LetterFolder(tmp_path)
    store = ElasticsearchRecordStore(elastic, writer=True, letters=letters)
    max_shards(shards(server))
    today = batch(0, start=time.time_ns())
    with pytest.raises(StoreError, match=r"takes no further index .*: remove old ones .*cluster\.max_shards_per_node"):
        store.append([today], consumer="store", position=FIRST)
    # A day that is late is refused by the cluster itself, and stops nothing.
    assert store.append([batch(1, start=time.time_ns() - 10 * 24 * HOUR)], consumer="store", position=FIRST).batches == 0
    (letter,) = letters.letters()
    assert letter.reason.startswith("10 of 10 rows are not stored: validation_exception: ")
    max_shards(5_000)
    assert store.append([today]).batches == 1
    store.close()
