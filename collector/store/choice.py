"""Which record store a process works with: Elasticsearch where the configuration names a cluster, else files of this machine."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from collector.settings import ElasticsearchSettings
from collector.store import StoreError
from sensor.configuration import ConfigurationError, configured

if TYPE_CHECKING:
    from pathlib import Path

    from collector.dead_letters import DeadLetters
    from collector.store import RecordStore


def cluster_settings() -> ElasticsearchSettings | None:
    """The cluster that the configuration names; None where it names none. Raises StoreError where it cannot be used."""
    try:
        settings = configured(ElasticsearchSettings)
    except ConfigurationError as error:
        raise StoreError(str(error)) from error
    return settings if settings.addresses else None


def open_store(folder: Path, *, writer: bool = False, letters: DeadLetters | None = None) -> RecordStore:
    """The record store of this process.

    Args:
        folder: where files of this machine lie, for a system without a cluster.
        writer: whether this process appends.
        letters: takes batches that a cluster cannot store.

    Raises:
        StoreError: it cannot be opened.
    """
    cluster = cluster_settings()
    # Each is loaded where it is used: one needs DuckDB alone, the other the client of Elasticsearch too.
    try:
        if cluster is None:
            local: Any = import_module("collector.store.local")
            return local.LocalRecordStore(folder, writer=writer)
        remote: Any = import_module("collector.store.elasticsearch")
        return remote.ElasticsearchRecordStore(cluster, writer=writer, letters=letters)
    except ConfigurationError as error:
        raise StoreError(str(error)) from error
