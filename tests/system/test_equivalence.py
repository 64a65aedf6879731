"""Real captures both ways: the same alerts to the byte on Kafka and on one machine, from three sensors too in any order."""

# scapy's readers are partly typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import itertools
import random
import zlib
from typing import TYPE_CHECKING, Any, Final

import pytest
from scapy.utils import RawPcapReader, RawPcapWriter

from collector.stream import Outgoing
from collector.stream.local import LocalStream
from detection.control import Control
from detection.pipeline import Pipeline
from detection.ruleset import RuleFiles
from detection.settings import DetectionSettings
from detection.site import Site
from detection.worker import Worker
from sensor._core import Reader
from sensor.spool import Spool
from sensor.spool_format import BatchHeader
from tests.detection.on_kafka import System
from tests.detection.test_everything import published
from tests.detection.test_merging import shuffled
from tests.detection.test_sitewide import last

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from detection.alerts import Alert
    from tests.services.kafka import Kafka

OPCUA: Final = "opcua/cisagov+icsnpp-opcua-binary/pcaps/open62541_"
MONT: Final = "modbus/resilmesh2+MONT-Dataset-OT-ICS-attacks/Scenario-2/"
LEMAY: Final = "modbus/antoine-lemay+Modbus_dataset/"

SPLIT: Final = (
    "modbus/zeek+zeek/testing/btest/Traces/modbus/modbusSmall.pcap",
    f"{LEMAY}moving_two_files_modbus_6RTU.pcap",
    f"{LEMAY}CnC_uploading_exe_modbus_6RTU_with_operate.pcap",
    f"{MONT}6-Impact/impact_traffic.pcap",
    f"{MONT}4-Lateral-movement/lateral_movement_traffic.pcap",
)
"""Captures that are split over three sensors, by hosts."""

WHOLE: Final = (
    f"{MONT}1-Reconnaissance/normal_scan.pcap",
    f"{OPCUA}read_service_test_data.pcap",
    "modbus/digitalbond+Quickdraw-Snort/modbus_test_data_part1.pcap",
    "modbus/digitalbond+Quickdraw-Snort/modbus_test_data_part2.pcap",
    "modbus/digitalbond+Quickdraw-Snort/modicon_test.pcap",
    "modbus/ITI+ICS-Security-Tools/pcaps/ModbusTCP/Modbus/modbus_test.pcap",
    "modbus/ITI+ICS-Security-Tools/pcaps/ModbusTCP/Modbus/modbus_test_2.pcap",
    f"{OPCUA}browse_next.pcap",
    f"{OPCUA}browse_has_server_idx.pcap",
    f"{OPCUA}browse_with_diagnostic_info.pcap",
    f"{OPCUA}create_monitored_items.pcap",
    f"{OPCUA}discover_getendpoints_discover_urls.pcap",
    "opcua/node-opcua+node-opcua/packets/OpcUaConversation1.pcapng",
    "background-it/chrissanders+packets/synscan.pcapng",
    "background-it/chrissanders+packets/arppoison.pcapng",
)
"""Captures of one sensor."""

LATENESS_SECONDS: Final = 3.0


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


def on_one_machine(folder: Path, batches: list[Outgoing]) -> list[str]:
    """The alerts of the loop on one machine."""
    with Spool(folder / "spool", sensor="test") as spool:
        LocalStream(folder / "spool", spool).publish(batches)
    with Spool(folder / "alerts", sensor="detection") as spool, Spool(folder / "control", sensor="control") as held:
        pipeline, _ = Pipeline.proved(RuleFiles().read(), Site(site=batches[0].header.site))
        worker = Worker(
            LocalStream(folder / "spool"), LocalStream(folder / "alerts", spool), pipeline, folder / "detection.zip",
            Control(LocalStream(folder / "control", held)), settings=DetectionSettings(lateness_seconds=LATENESS_SECONDS),
        )  # fmt: skip
        worker.drain()
    return last(published(folder))


def equal(kafka: Kafka, folder: Path, whole: Sequence[Path], parts: Sequence[Path], seeds: int) -> int:
    """Hold the alerts of captures both ways against each other; how many there are."""
    system = System(kafka, folder, 4, lateness_seconds=LATENESS_SECONDS)
    streams = {f"w{number}": recorded(name, f"w{number}", f"s{number}") for number, name in enumerate(whole)}
    for number, name in enumerate(parts):
        for seed in range(seeds):
            site = f"p{number}-{seed}"
            streams[site] = of_three(name, folder / site, site, seed)
    wanted: dict[str, list[str]] = {}
    for site, batches in streams.items():
        (folder / f"one-{site}").mkdir()
        wanted[site] = on_one_machine(folder / f"one-{site}", batches)
        system.send(batches)
    done = system.work(idle_seconds=LATENESS_SECONDS + 4.0)
    assert done.damaged == done.gaps == 0
    found: dict[str, list[Alert]] = {site: [] for site in streams}
    for site, alert in system.alerts_by_site():
        found[site].append(alert)
    for site in streams:
        assert last(found[site]) == wanted[site], site
    return sum(map(len, wanted.values()))


def test_captures_give_the_same_alerts_on_kafka_as_on_one_machine(kafka: Kafka, tmp_path: Path, captures: Path) -> None:
    assert equal(kafka, tmp_path, [captures / name for name in WHOLE[:2]], [captures / SPLIT[0]], 2) > 0


@pytest.mark.full
@pytest.mark.timeout(3_000)
def test_twenty_captures_five_of_them_in_ten_interleavings_give_the_same_alerts(
    kafka: Kafka, tmp_path: Path, captures: Path
) -> None:
    assert equal(kafka, tmp_path, [captures / name for name in WHOLE], [captures / name for name in SPLIT], 10) > 20
