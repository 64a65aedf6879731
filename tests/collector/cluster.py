"""A corner of the tests' Elasticsearch of one's own: a prefix that is set up before a test and removed after it."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from collector.settings import ElasticsearchSettings
from collector.store.elastic_server import Server
from collector.store.elastic_setup import apply
from collector.store.elastic_templates import ledger_index, pattern

if TYPE_CHECKING:
    from collections.abc import Generator


PATIENCE_SECONDS = 240.0
"""How long setting up and removing may take on a busy machine: no test is about that."""


def settings(url: str, **more: Any) -> ElasticsearchSettings:
    """Settings of a cluster of one node, with a prefix that nobody else has."""
    chosen: dict[str, Any] = {"hosts": url, "prefix": f"t{secrets.token_hex(6)}", "replicas": 0, **more}
    return ElasticsearchSettings(**chosen)


@contextmanager
def cluster(url: str, **more: Any) -> Generator[ElasticsearchSettings]:
    """The same, set up, and removed in the end."""
    chosen = settings(url, **more)
    server = Server(chosen.model_copy(update={"request_seconds": PATIENCE_SECONDS}))
    try:
        apply(server)
        yield chosen
    finally:
        empty(server)
        server.ask("DELETE", f"/_index_template/{chosen.prefix}-*", absent=True)
        server.ask("DELETE", f"/_component_template/{chosen.prefix}-*", absent=True)
        server.close()


def empty(server: Server) -> None:
    """Remove all indices of a prefix."""
    prefix = server.settings.prefix
    found = server.ask("GET", f"/_cat/indices/{pattern(prefix)},{ledger_index(prefix)}", format="json", h="index", absent=True)
    if found:
        server.ask("DELETE", f"/{','.join(line['index'] for line in found)}")


@contextmanager
def emptied(chosen: ElasticsearchSettings) -> Generator[ElasticsearchSettings]:
    """A cluster that others have used, without what they have stored."""
    server = Server(chosen)
    try:
        empty(server)
        apply(server)
        yield chosen
    finally:
        server.close()
