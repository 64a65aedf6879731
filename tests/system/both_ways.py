"""`make equivalence`: captures and a day of the virtual plant through both ways, which must give the same alerts and records.

One way is that of one machine: a spool, the loop of `icsight run`, the store of files. The other is that of several: Kafka, a
worker of `icsight detect`, Elasticsearch. Alerts must be equal to the byte, records by query: all rows of all tables, in order.
Captures that are split are seen by three sensors of one site, each with the packets of some pairs of hosts, and are delivered in
several interleavings that follow from seeds.
"""

# scapy's readers are partly typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import argparse
import itertools
import os
import random
import sys
import tempfile
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from scapy.utils import RawPcapReader, RawPcapWriter

from collector.dead_letters import LetterFolder
from collector.store import PAGE_ROWS, Order, Query
from collector.store.elastic_server import Server
from collector.store.elastic_setup import apply
from collector.store.elasticsearch import ElasticsearchRecordStore
from collector.store.local import LocalRecordStore
from collector.stream import Outgoing
from collector.stream.kafka import KafkaStream
from collector.stream.local import LocalStream
from collector.writer import Writer
from detection.control import Control
from detection.pipeline import Pipeline
from detection.published import publish_rules
from detection.ruleset import RuleFiles
from detection.settings import DetectionSettings
from detection.sigma.rule import rules_folder
from detection.site import Site
from detection.worker import Worker
from sensor._core import Reader
from sensor.spool import Spool
from sensor.spool_format import BatchHeader
from sensor.tables import TABLES
from tests.collector.cluster import PATIENCE_SECONDS, settings
from tests.detection.on_kafka import System
from tests.detection.test_everything import published
from tests.detection.test_grouping import mixed_rules
from tests.detection.test_merging import shuffled
from tests.detection.test_sitewide import last
from tests.plant.attacks import ATTACKS
from tests.plant.day import day
from tests.plant.scenarios import SCENARIOS
from tests.services.elasticsearch import Elasticsearch
from tests.services.kafka import Kafka

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import polars as pl

    from collector.settings import ElasticsearchSettings
    from collector.store import RecordStore
    from detection.alerts import Alert
    from detection.ruleset import Ruleset

OPCUA: Final = "opcua/cisagov+icsnpp-opcua-binary/pcaps/open62541_"
MONT: Final = "modbus/resilmesh2+MONT-Dataset-OT-ICS-attacks/Scenario-2/"
LEMAY: Final = "modbus/antoine-lemay+Modbus_dataset/"

SPLIT: Final = (
    "modbus/zeek+zeek/testing/btest/Traces/modbus/modbusSmall.pcap",
    f"{LEMAY}moving_two_files_modbus_6RTU.pcap",
    f"{LEMAY}CnC_uploading_exe_modbus_6RTU_with_operate.pcap",
    f"{LEMAY}characterization_modbus_6RTU_with_operate.pcap",
    "modbus/arkime+arkime/tests/pcap/modbus.pcap",
)
"""Captures that are split over three sensors, by hosts."""

WHOLE: Final = (
    f"{MONT}1-Reconnaissance/normal_scan.pcap",
    f"{OPCUA}client-server_mainloop-ActivateSession-diagInfo.pcap",
    "modbus/digitalbond+Quickdraw-Snort/modbus_test_data_part1.pcap",
    "modbus/digitalbond+Quickdraw-Snort/modbus_test_data_part2.pcap",
    "modbus/digitalbond+Quickdraw-Snort/modicon_test.pcap",
    "modbus/ITI+ICS-Security-Tools/pcaps/ModbusTCP/ModbusTCP.pcap",
    "modbus/ITI+ICS-Security-Tools/pcaps/ModbusTCP/Modbus/modbus_test.pcap",
    "modbus/zeek+zeek/testing/btest/Traces/modbus/modbus-and-non-modbus-p502.pcap",
    "modbus/OISF+suricata-verify/tests/modbus/modbus.pcap",
    f"{MONT}6-Impact/impact_traffic.pcap",
    f"{OPCUA}client-server_mainloop-not-localhost-non-standard-port.pcap",
    "opcua/node-opcua+node-opcua/packets/OpcUaConversation1.pcapng",
    "other-ot/cisagov+icsnpp-profinet-io-cm/testing/traces/profinet_io_cm_control.pcapng",
    "other-ot/zeek+zeek/testing/btest/Traces/dnp3/dnp3.pcap",
    "background-it/chrissanders+packets/synscan.pcapng",
)
"""Captures of one sensor."""

LATENESS_SECONDS: Final = 60.0
"""How far sensors may be behind one another; longer than a worker is idle here, so that no clock but that of the topic counts."""

SEEDS: Final = 10
"""Interleavings of each capture that is split."""

PLANT_SEED: Final = 12
"""Seed of the plant's day."""


class DifferenceError(Exception):
    """The two ways differ. The text says where."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What sensors of one site sent, and what it was made of."""

    source: str
    batches: Sequence[Outgoing]

    @property
    def records(self) -> int:
        """How many records they sent."""
        return sum(batch.header.rows for batch in self.batches)


def recorded(path: Path, site: str, sensor: str) -> list[Outgoing]:
    """The batches of a capture, as a sensor ships them."""
    reader = Reader(str(path), site=site, sensor=sensor)
    made: list[Outgoing] = []
    for batch in reader:
        header = BatchHeader(
            sensor, reader.epoch, batch.sequence, batch.table, batch.rows, site,
            batch.cut, batch.cut_start, batch.cut_end, batch.cut_last,
        )  # fmt: skip
        made.append(Outgoing(header, batch.ipc()))
    return made


def split(path: Path, folder: Path) -> list[Path]:
    """A capture as three sensors see it: each has all packets of some pairs of hosts."""
    folder.mkdir()
    files = [folder / f"{number}.pcap" for number in range(3)]
    with RawPcapReader(str(path)) as reader:
        writers: list[Any] = [RawPcapWriter(str(file), linktype=reader.linktype, nano=reader.nano) for file in files]
        for writer in writers:
            writer.write_header(None)
        for data, meta in reader:
            pair = sorted((data[26:30], data[30:34])) if data[12:14] == b"\x08\x00" else []
            writer = writers[zlib.crc32(b"".join(pair)) % 3]
            writer.write_packet(data, sec=meta.sec, usec=meta.usec, caplen=meta.caplen, wirelen=meta.wirelen)
        for writer in writers:
            writer.close()
    return files


def of_three(path: Path, folder: Path, site: str, seed: int) -> list[Outgoing]:
    """The batches of three sensors in an interleaving; each sensor's in its order."""
    folder.mkdir()
    parts = [recorded(file, site, f"{site}-{number}") for number, file in enumerate(split(path, folder / "split"))]
    whole = [[list(cut) for _, cut in itertools.groupby(part, key=lambda batch: batch.header.cut)] for part in parts if part]
    return [batch for cut in shuffled(whole, random.Random(seed)) for batch in cut]


def rules(folder: Path) -> Ruleset:
    """The rules of the product, and some that correlate and fire on much."""
    folder.mkdir()
    mixed_rules(folder)
    return RuleFiles([rules_folder(), folder]).read()


def on_one_machine(folder: Path, ruleset: Ruleset, batches: Sequence[Outgoing]) -> list[str]:
    """The alerts of the loop on one machine."""
    folder.mkdir()
    with Spool(folder / "spool", sensor="test") as spool:
        LocalStream(folder / "spool", spool).publish(batches)
    with Spool(folder / "alerts", sensor="detection") as spool, Spool(folder / "control", sensor="control") as held:
        pipeline, _ = Pipeline.proved(ruleset, Site(site=batches[0].header.site))
        worker = Worker(
            LocalStream(folder / "spool"), LocalStream(folder / "alerts", spool), pipeline, folder / "detection.zip",
            Control(LocalStream(folder / "control", held)), settings=DetectionSettings(lateness_seconds=LATENESS_SECONDS),
        )  # fmt: skip
        worker.drain()
    return last(published(folder))


def equal_alerts(system: System, folder: Path, ruleset: Ruleset, sites: Mapping[str, Sent]) -> dict[str, int]:
    """Hold the alerts of sites both ways against each other; how many there are of each. Raises DifferenceError."""
    publish_rules(system.kafka, system.topics, ruleset)
    wanted: dict[str, list[str]] = {}
    for name, site in sites.items():
        wanted[name] = on_one_machine(folder / f"one-{name}", ruleset, site.batches)
        system.send(site.batches)
        system.send_long_after(site.batches[-1])
    done = system.work(idle_seconds=5.0)
    if done.damaged or done.gaps:
        raise DifferenceError(f"{done.damaged} batches are damaged and {done.gaps} gaps on Kafka")
    if done.records != (records := sum(site.records for site in sites.values())):
        raise DifferenceError(f"the worker on Kafka ended after {done.records} of {records} records: was it stopped?")
    found: dict[str, list[Alert]] = {name: [] for name in sites}
    for name, alert in system.alerts_by_site():
        found[name].append(alert)
    for name in sites:
        told = last(found[name])
        if told != wanted[name]:
            both = enumerate(itertools.zip_longest(told, wanted[name]))
            places = [place for place, (one, other) in both if one != other]
            first = slice(places[0], places[0] + 1)
            raise DifferenceError(
                f"{name}, {sites[name].source}: {len(told)} alerts on Kafka and {len(wanted[name])} on one machine, "
                f"{len(places)} differ, the first is\n{told[first]}\n{wanted[name][first]}"
            )
    return {name: len(alerts) for name, alerts in wanted.items()}


def equal_records(system: System, folder: Path, sites: Mapping[str, Sent], elastic: ElasticsearchSettings) -> dict[str, int]:
    """Hold the records of sites both ways against each other; how many there are in each table. Raises DifferenceError."""
    with Spool(folder / "all", sensor="test") as spool:
        for site in sites.values():
            LocalStream(folder / "all", spool).publish(site.batches)
    stores = LocalRecordStore(folder / "records", writer=True), ElasticsearchRecordStore(elastic, writer=True)
    streams = LocalStream(folder / "all"), KafkaStream(system.kafka, system.topics.records)
    try:
        for stream, store in zip(streams, stores, strict=True):
            letters = LetterFolder(folder / f"letters-{type(store).__name__}")
            Writer(stream, store, letters).drain()
            if list(letters.letters()):
                raise DifferenceError(f"{type(store).__name__}: a batch cannot be stored")
        return {table: _equal_rows(table, *stores) for table in TABLES}
    finally:
        for store in stores:
            store.close()


def _equal_rows(table: str, *stores: RecordStore) -> int:
    rows = 0
    for number, pages in enumerate(itertools.zip_longest(*(_pages(table, store) for store in stores))):
        one, other = pages
        if one is None or other is None or not one.equals(other):
            raise DifferenceError(f"table {table}: page {number} of its rows is not the same in both stores")
        rows += one.height
    return rows


def _pages(table: str, store: RecordStore) -> Iterator[pl.DataFrame]:
    cursor: str | None = None
    while True:
        page = store.query(Query(table, order=Order(descending=False), limit=PAGE_ROWS, cursor=cursor))
        yield page.rows
        cursor = page.cursor
        if cursor is None:
            return


def plant_day(folder: Path, hours: float) -> Path:
    """A day of the small plant, on which people work and attacks happen."""
    file = folder / "plant.pcap"
    with file.open("wb") as out:
        day(out, seed=PLANT_SEED, hours=hours, scenario_names=list(SCENARIOS), attack_names=list(ATTACKS))
    return file


def main() -> int:
    """Read the command line, do it, and print what was held against what."""
    parser = argparse.ArgumentParser(prog="python -m tests.system.both_ways", description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0, help="of the plant's day; 0: without it")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="interleavings of each capture that is split")
    arguments = parser.parse_args()
    captures = os.environ.get("ICSIGHT_CAPTURES")
    if captures is None:
        print("error: ICSIGHT_CAPTURES names no folder of captures", file=sys.stderr)
        return 2
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="icsight-", ignore_cleanup_errors=True) as made:
        folder = Path(made)
        folder.chmod(0o755)
        kafka = Kafka(folder / "kafka").start()
        elastic = Elasticsearch(folder / "elasticsearch").start()
        try:
            ruleset = rules(folder / "rules")
            sites = _sites(folder, Path(captures), arguments.hours)
            _hold(folder, ruleset, sites, kafka, elastic.url)
            for name in SPLIT:
                _hold_interleavings(folder, ruleset, Path(captures) / name, kafka, arguments.seeds)
        except DifferenceError as difference:
            print(f"different: {difference}", file=sys.stderr)
            return 1
        finally:
            kafka.stop()
            elastic.stop()
    print(f"equal, in {(time.monotonic() - begin) / 60:.1f} minutes")
    return 0


def _sites(folder: Path, captures: Path, hours: float) -> dict[str, Sent]:
    """What sensors of sites sent: of each capture, and of the plant."""
    sites = {f"w{place}": Sent(name, recorded(captures / name, f"w{place}", f"s{place}")) for place, name in enumerate(WHOLE)}
    for place, name in enumerate(SPLIT):
        site = f"p{place}"
        sites[site] = Sent(f"{name}, 3 sensors", of_three(captures / name, folder / site, site, 0))
    if hours:
        sites["plant"] = Sent(f"{hours:g} hours of the plant", recorded(plant_day(folder, hours), "plant", "sensor"))
    return sites


def _hold(folder: Path, ruleset: Ruleset, sites: Mapping[str, Sent], kafka: Kafka, elastic: str) -> None:
    """Hold alerts and records against each other."""
    system = System(kafka, folder, 4, lateness_seconds=LATENESS_SECONDS)
    alerts = equal_alerts(system, folder, ruleset, sites)
    print("alerts   records  equal both ways")
    for name, site in sites.items():
        print(f"{alerts[name]:>6,} {site.records:>9,}  {site.source}")
    print(f"{sum(alerts.values()):>6,} {sum(site.records for site in sites.values()):>9,}  in all", flush=True)
    # The cluster ends with this program: nothing of it need be removed, which takes long.
    chosen = settings(elastic, request_seconds=PATIENCE_SECONDS, patience_seconds=PATIENCE_SECONDS)
    server = Server(chosen)
    apply(server)
    server.close()
    rows = equal_records(system, folder, sites, chosen)
    print(f"{sum(rows.values()):>16,}  rows equal by query, of {sum(map(bool, rows.values()))} tables", flush=True)


def _hold_interleavings(folder: Path, ruleset: Ruleset, capture: Path, kafka: Kafka, seeds: int) -> None:
    """Hold the alerts of a capture that three sensors saw against each other, in other orders than the first."""
    own = folder / f"orders of {capture.name}"
    own.mkdir()
    sites = {
        f"{capture.stem}-{seed}": Sent(capture.name, of_three(capture, own / str(seed), f"{capture.stem}-{seed}", seed))
        for seed in range(1, seeds)
    }
    if sites:
        found = equal_alerts(System(kafka, own, 4, lateness_seconds=LATENESS_SECONDS), own, ruleset, sites)
        records = sum(site.records for site in sites.values())
        print(f"{sum(found.values()):>6,} {records:>9,}  {capture.name} in {len(sites)} more orders", flush=True)


if __name__ == "__main__":
    sys.exit(main())
