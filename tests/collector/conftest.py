"""What tests of the store on Elasticsearch are given: one prefix of a cluster, empty before each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from collector.store.elastic_server import Server
from tests.collector.cluster import cluster, emptied

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collector.settings import ElasticsearchSettings
    from tests.services.elasticsearch import Elasticsearch


@pytest.fixture(scope="module")
def shared(elasticsearch_server: Elasticsearch) -> Iterator[ElasticsearchSettings]:
    """A prefix that is set up in the cluster of all tests; a module may have another here."""
    with cluster(elasticsearch_server.url) as chosen:
        yield chosen


@pytest.fixture
def elastic(shared: ElasticsearchSettings) -> Iterator[ElasticsearchSettings]:
    """That prefix, without what the test before has stored."""
    with emptied(shared) as chosen:
        yield chosen


@pytest.fixture
def server(elastic: ElasticsearchSettings) -> Iterator[Server]:
    """Its cluster, to be asked."""
    server = Server(elastic)
    yield server
    server.close()
