"""Bytes of a record on Kafka and on Elasticsearch, of live batches and of large ones: what lies on the disks, for one copy."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from collector.settings import ElasticsearchSettings
from collector.store.elastic_server import Server
from collector.store.elasticsearch import ElasticsearchRecordStore
from collector.store.local import LocalRecordStore
from tests.benchmarks.distributed import sample

if TYPE_CHECKING:
    from pathlib import Path

    from collector.stream import Outgoing
    from tests.benchmarks.distributed.system import System

SENSOR: Final = "sizes"
SITE: Final = "works"
PATIENCE_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of the same records in each place."""

    batches: int
    rows: int
    plain: int
    spool: int
    kafka: int
    elasticsearch: int
    files: int

    def lines(self, name: str) -> list[str]:
        """A table."""
        places = {
            "as batches": self.plain, "in the spool": self.spool, "on Kafka": self.kafka,
            "on Elasticsearch, merged": self.elasticsearch, "as files": self.files,
        }  # fmt: skip
        told = "; ".join(f"{place} {size / self.rows:,.0f}" for place, size in places.items())
        return [f"bytes a record, {name} ({self.batches:,} batches, {self.rows:,} records): {told}"]


def measure(system: System, name: str, batches: list[Outgoing]) -> Sizes:
    """Ship and store the batches, and look at what lies on the disks."""
    data = system.folder / f"sizes-{name}"
    data.mkdir()
    sample.spooled(data / "spool", batches, SENSOR, SITE)
    uplink = system.uplink(data)
    uplink.wait_until(lambda: f'"position": {len(batches)},\n' in _told(data / "uplink.json"))
    uplink.stop()
    system.run("collect", "--exit-when-done")
    files = system.folder / f"files-{name}"
    into_files = system.begin("collect", "--data", str(files), "--exit-when-done", ICSIGHT_ELASTICSEARCH_HOSTS="")
    into_files.process.wait(PATIENCE_SECONDS)
    topic = system.topics.records
    kept = system.kafka.folder / "data"
    store = LocalRecordStore(files / "records")
    of_files = sum(stored.bytes for stored in store.tables())
    store.close()
    return Sizes(
        len(batches),
        sum(batch.header.rows for batch in batches),
        sum(len(batch.data) for batch in batches),
        sum(path.stat().st_size for path in (data / "spool").glob("*.segment")),
        sum(path.stat().st_size for path in kept.glob(f"{topic}-*/*.log")),
        _on_the_node(system),
        of_files,
    )


def _on_the_node(system: System) -> int:
    """Bytes of the records' indices once their segments are merged."""
    settings = ElasticsearchSettings(hosts=system.elasticsearch.url, prefix=system.settings.prefix, replicas=0)
    server = Server(settings)
    server.bytes("POST", f"/{settings.prefix}-*/_forcemerge", max_num_segments="1", seconds=PATIENCE_SECONDS)
    server.close()
    time.sleep(2)  # segments that were merged are removed a moment later
    store = ElasticsearchRecordStore(settings)
    size = sum(stored.bytes for stored in store.tables())
    store.close()
    return size


def _told(path: Path) -> str:
    return path.read_text() if path.exists() else ""
