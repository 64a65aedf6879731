"""What a run records, and what must come of it: rows in a store, alerts of one machine without Kafka."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from collector.records import decode, identified, plain
from collector.store import IDENTITY, Filter, Query
from collector.stream.local import LocalStream
from detection.pipeline import Pipeline
from detection.ruleset import RuleFiles
from detection.settings import DetectionSettings
from detection.site import Site
from detection.worker import Worker
from sensor.spool import Spool
from tests.detection.test_everything import published
from tests.detection.test_sitewide import last
from tests.sensor.faults import parts_of
from tests.system.both_ways import recorded

if TYPE_CHECKING:
    from collector.store import RecordStore
    from collector.stream import Outgoing
    from detection.ruleset import Ruleset

CAPTURE: Final = "modbus/resilmesh2+MONT-Dataset-OT-ICS-attacks/Scenario-2/1-Reconnaissance/normal_scan.pcap"
"""A real capture, of a scan, in which rules of the product fire."""

PARTS: Final = 12
"""Files that it is cut into, each of which is recorded on its own: so many moments lie between them."""

RULES: Final = ("port_scan", "half_open_connections", "connections_in_vain", "address_sweep")
"""Rules of the product that are in force: few, since it is not rules that are tried."""

LATENESS_SECONDS: Final = 1.0


def rules(root: Path) -> Ruleset:
    """The rules in force."""
    return RuleFiles([path for name in RULES for path in root.glob(f"rules/**/{name}.yml")]).read()


def cut(capture: Path, folder: Path) -> list[Path]:
    """A pcap file in `PARTS` files in a new folder, one behind the other in time."""
    folder.mkdir()
    return parts_of(Path(shutil.copy(capture, folder)), PARTS)


def batches_of(files: list[Path], site: str, sensor: str) -> list[Outgoing]:
    """The batches that a sensor makes of the parts, in order."""
    return [batch for file in files for batch in recorded(file, site, sensor)]


def alerts_of(batches: list[Outgoing], ruleset: Ruleset, folder: Path) -> list[str]:
    """The alerts of these batches on one machine, without Kafka and without a fault, in the last revision of each."""
    with Spool(folder / "spool", sensor="one") as spool:
        LocalStream(folder / "spool", spool).publish(batches)
    return alerts_in(folder, batches[0].header.site, ruleset)


def alerts_in(folder: Path, site: str, ruleset: Ruleset) -> list[str]:
    """The same of what lies in the spool of a folder."""
    with Spool(folder / "alerts", sensor="detection") as spool:
        pipeline, _ = Pipeline.proved(ruleset, Site(site=site))
        out = LocalStream(folder / "alerts", spool)
        limits = DetectionSettings(lateness_seconds=LATENESS_SECONDS)
        Worker(LocalStream(folder / "spool"), out, pipeline, folder / "detection.zip", settings=limits).drain()
    return last(published(folder))


@dataclass(frozen=True, slots=True)
class Stored:
    """What a store has of a sensor, held against what it should have.

    Attributes:
        records: records that should be there.
        lost: records that are not.
        doubled: records that are there more than once, or are of no batch that the sensor made.
        changed: records that are there and say something else.
    """

    records: int
    lost: int
    doubled: int
    changed: int


def stored(store: RecordStore, batches: list[Outgoing]) -> Stored:
    """Hold what a store has of a sensor against the sensor's batches."""
    sensor = batches[0].header.sensor
    wanted: dict[str, str] = {}
    found: list[tuple[str, str]] = []
    for table in sorted({batch.header.table for batch in batches}):
        frame = identified([decode(each.header, bytes(each.data)) for each in batches if each.header.table == table])
        page = store.query(Query(table, [Filter("sensor", "=", sensor)], limit=10_000))
        assert page.cursor is None, "a run has fewer records than a page"
        wanted |= dict(_digests(frame.select(page.rows.columns)))
        found += _digests(page.rows)
    there = dict(found)
    return Stored(
        records=len(wanted),
        lost=len(wanted.keys() - there.keys()),
        doubled=len(found) - len(there.keys() & wanted.keys()),
        changed=sum(there[name] != digest for name, digest in wanted.items() if name in there),
    )


def _digests(frame: pl.DataFrame) -> list[tuple[str, str]]:
    """The identity of each row, and a digest of all its values."""
    names = frame.select(pl.concat_str(IDENTITY, separator="/")).to_series().to_list()
    texts = [json.dumps(row, sort_keys=True, default=str) for row in plain(frame)]
    return [(name, hashlib.sha256(text.encode()).hexdigest()) for name, text in zip(names, texts, strict=True)]
