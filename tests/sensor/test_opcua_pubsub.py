"""PubSub as a real stack (asyncua) publishes it over UDP: variants, data values and raw fields, by the names announced."""

# asyncua's own types are incomplete.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeArgument=false, reportUnknownParameterType=false, reportPrivateUsage=false
# pyright: reportArgumentType=false, reportPrivateImportUsage=false

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pytest
from asyncua import ua
from asyncua.pubsub.connection import PubSubConnection
from asyncua.pubsub.dataset import DataSetField, DataSetMeta, PublishedDataSet, PubSubDataSourceDict
from asyncua.pubsub.pubsub import PubSub
from asyncua.pubsub.udp import UdpSettings
from asyncua.pubsub.writer import DataSetWriter, WriterGroup
from asyncua.ua.ua_binary import struct_to_binary

from tests.plant.frames import checksum, pcap_header
from tests.sensor.records import rows

if TYPE_CHECKING:
    from pathlib import Path

PUBLISHER: Final = 2_234
GROUP: Final = 3
WRITERS: Final = {"variant": 10, "data_value": 11, "raw": 12}
FIELDS: Final = (
    ("Level", ua.VariantType.Double, 1.25),
    ("Pump", ua.VariantType.Boolean, True),
    ("Count", ua.VariantType.UInt32, 70_000),
    ("Offset", ua.VariantType.Int16, -7),
    ("Weight", ua.VariantType.Float, 2.5),
    ("Batch", ua.VariantType.String, "B 7"),
)
VALUES: Final = ["Level=1.25", "Pump=true", "Count=70000", "Offset=-7", "Weight=2.5"]
"""Fields but the text as records write them."""


class Listener(asyncio.DatagramProtocol):
    """Keeps what comes."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.has_six = asyncio.Event()

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ARG002
        self.seen.append(data)
        if len(self.seen) == 6:
            self.has_six.set()


async def publish() -> tuple[list[bytes], Any]:
    """Datagrams of a publisher with a group of three writers, and the metadata of their data set."""
    loop = asyncio.get_running_loop()
    transport, listener = await loop.create_datagram_endpoint(Listener, local_addr=("127.0.0.2", 0))
    port = transport.get_extra_info("sockname")[1]
    make: Any = DataSetField
    meta: Any = DataSetMeta.Create("Boiler", dataset_fields=[make.CreateScalar(name, kind) for name, kind, _ in FIELDS])
    source: Any = PubSubDataSourceDict(meta)
    source.datasources["Boiler"] = {name: ua.DataValue(ua.Variant(value, kind)) for name, kind, value in FIELDS}
    data_set = PublishedDataSet.Create("Boiler", meta, source)
    number: Any = ua.UInt16
    new: Any = DataSetWriter.new_uadp
    writers = [
        new(kind, "Boiler", number(writer), raw=kind == "raw", datavalue=kind == "data_value") for kind, writer in WRITERS.items()
    ]
    group: Any = WriterGroup.new_uadp("Line", number(GROUP), publishing_interval=50, writer=writers)
    settings: Any = UdpSettings(Addr=("127.0.0.2", port), Adapter=("127.0.0.1", port))
    connection: Any = PubSubConnection.udp_uadp("Publisher", number(PUBLISHER), settings, writer_groups=[group])
    pubsub: Any = PubSub.new(connections=[connection], datasets=[data_set])
    connection.set_if(pubsub)
    async with pubsub:
        async with asyncio.timeout(60):
            await listener.has_six.wait()
    transport.close()
    return listener.seen, meta._meta


def announcement(writer: int, metadata: Any) -> bytes:
    """Metadata of a writer as it is announced (OPC 10000-14, 7.2.4.6.4); the stack's own encoder writes the metadata alone."""
    head = struct.pack("<BBBHBHH", 0x91, 0x81, 0x08, PUBLISHER, 2, 1, writer)
    return head + struct_to_binary(metadata) + struct.pack("<I", 0)


def capture(datagrams: list[bytes]) -> bytes:
    """The datagrams on a wire, to the port that UADP has, a millisecond apart."""
    packets = [pcap_header()]
    for at, data in enumerate(datagrams):
        udp = struct.pack("!HHHH", 40_000, 4_840, len(data) + 8, 0) + data
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, len(udp) + 20, at, 0, 64, 17, 0, bytes([10, 1, 1, 1]), bytes([10, 1, 1, 2]))
        head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
        frame = bytes.fromhex("020000000002020000000001") + b"\x08\x00" + head + udp
        time = 1_790_000_000_000_000_000 + at * 1_000_000
        packets.append(struct.pack("<IIII", time // 10**9, time % 10**9, len(frame), len(frame)) + frame)
    return b"".join(packets)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """Rows of three messages, the announcements of their metadata, and three more."""
    datagrams, metadata = asyncio.run(publish())
    path: Path = tmp_path_factory.mktemp("pubsub") / "pubsub.pcap"
    path.write_bytes(capture([*datagrams[:3], *(announcement(writer, metadata) for writer in WRITERS.values()), *datagrams[3:6]]))
    assert rows(path, "violation").is_empty()
    return rows(path, "pubsub").with_columns(pl.lit(str(path)).alias("path"))


def test_data_sets_of_a_real_publisher_are_told_by_its_names(published: pl.DataFrame) -> None:
    told = published.filter(pl.col("pubsub.message_type") == "discovery_response")
    assert told["pubsub.name"].unique().to_list() == ["Boiler"]
    assert told["pubsub.values"].to_list()[0] == [f"{name}={kind.name}" for name, kind, _ in FIELDS]
    sets = published.filter(pl.col("pubsub.message_type") == "key_frame")
    assert set(sets["pubsub.publisher_id"]) == {str(PUBLISHER)}
    assert set(sets["pubsub.writer_group_id"]) == {GROUP}
    assert sets["pubsub.sequence_number"].diff().drop_nulls().is_in([0, 1]).all()
    for kind, writer in WRITERS.items():
        of_writer = sets.filter(pl.col("pubsub.data_set_writer_id") == writer)
        assert set(of_writer["pubsub.field_encoding"]) == {kind}
        assert of_writer["pubsub.data_set_sequence"].to_list() == list(range(1, of_writer.height + 1))
        before, after = of_writer["pubsub.values"].to_list()[0], of_writer["pubsub.values"].to_list()[-1]
        text = 'Batch="B 7"' if kind == "raw" else "Batch=B 7"
        assert after == [*VALUES, text]
        assert before == (None if kind == "raw" else [f"{at}={value.split('=')[1]}" for at, value in enumerate(after)])


def test_numbers_of_data_sets_are_points(published: pl.DataFrame) -> None:
    path: Any = published["path"][0]
    points = rows(path, "point")
    assert set(points["point.number"]) == {1.25, 1.0, 70_000.0, -7.0, 2.5}
    raw = points.filter(pl.col("point.id").str.starts_with(f"{PUBLISHER}/{WRITERS['raw']}/"))
    assert raw["point.name"].to_list() == [name for name, kind, _ in FIELDS if kind != ua.VariantType.String]
