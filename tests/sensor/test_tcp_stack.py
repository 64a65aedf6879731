"""What the opening of a connection shows of the stacks of both sides, and when it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from sensor._core import Reader
from tests.sensor.test_packets import wrote

if TYPE_CHECKING:
    from pathlib import Path

    from scapy.packet import Packet

WINDOWS = [("MSS", 1460), ("NOP", None), ("WScale", 8), ("NOP", None), ("NOP", None), ("SAckOK", b"")]
LINUX = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (7, 0)), ("NOP", None), ("WScale", 7)]
CLIENT, SERVER = ("02:00:00:00:00:01", "10.0.0.1"), ("02:00:00:00:00:02", "10.0.0.2")


def packet(*, asked: bool, flags: str, port: int = 50_000, ttl: int = 128, window: int = 8192, options: object = ()) -> Packet:
    """A segment of a connection to port 502 that nothing is said on."""
    source, target = (CLIENT, SERVER) if asked else (SERVER, CLIENT)
    ports = {"sport": port, "dport": 502} if asked else {"sport": 502, "dport": port}
    sequence = 100 if asked else 200
    if "S" not in flags:
        sequence += 1
    acknowledged = ((200 if asked else 100) + 1) if "A" in flags else 0
    segment = TCP(**ports, flags=flags, seq=sequence, ack=acknowledged, window=window, options=list(options))  # pyright: ignore[reportCallIssue, reportArgumentType]  scapy's fields
    return Ether(src=source[0], dst=target[0]) / IP(src=source[1], dst=target[1], ttl=ttl, flags="DF", id=1) / segment


def facts(path: Path, packets: list[Packet]) -> list[tuple[str, str, str, float]]:
    """Address, attribute, value and confidence of what is told of stacks, in order; counters as address `sensor`."""
    told: list[tuple[str, str, str, float]] = []
    capture = wrote(path / "made.pcap", [(number * 20_000_000_000, bytes(each)) for number, each in enumerate(packets)])
    for batch in Reader(str(capture)):
        frame = pl.DataFrame(batch)
        if batch.table == "device":
            rows = frame.filter(pl.col("device.source").cast(pl.String) == "tcp stack")
            told += rows.select(
                pl.col("device.ip", "device.attribute", "device.value").cast(pl.String), "device.confidence"
            ).rows()
        if batch.table == "sensor":
            drops: list[dict[str, Any]] = frame.row(-1, named=True)["sensor.drops"] or []
            told += [("sensor", each["name"], "", each["count"]) for each in drops if each["name"] == "fingerprints_limited"]
    return told


def test_the_stacks_of_both_sides_are_told_with_little_confidence_once_the_connection_is_open(tmp_path: Path) -> None:
    opening = [
        packet(asked=True, flags="S", options=WINDOWS),
        packet(asked=False, flags="SA", ttl=64, window=29_200, options=LINUX),
        packet(asked=True, flags="A"),
    ]
    assert facts(tmp_path, opening) == [
        ("10.0.0.1", "fingerprint", "4:128:0:1460:8192,8:mss,nop,ws,nop,nop,sok:df,id+:0", 0.3),
        ("10.0.0.1", "os", "Windows", 0.3),
        ("10.0.0.2", "fingerprint", "4:64:0:1460:mss*20,7:mss,sok,ts,nop,ws:df,id+:0", 0.3),
        ("10.0.0.2", "os", "Linux", 0.3),
    ]


def test_an_opening_that_does_not_come_about_tells_nothing(tmp_path: Path) -> None:
    """Its sender's address may be forged."""
    forged = [packet(asked=True, flags="S", options=WINDOWS), packet(asked=False, flags="SA", options=LINUX)]
    assert facts(tmp_path, forged) == []
    assert facts(tmp_path, [*forged, packet(asked=False, flags="R")]) == []


def test_the_same_stack_is_told_once_and_of_very_many_only_the_first_ones(tmp_path: Path) -> None:
    many = [
        packet(asked=asked, flags=flags, port=50_000 + number, window=1_000 + number // 2)
        for number in range(60)
        for asked, flags in ((True, "S"), (False, "SA"), (True, "A"))
    ]
    told = facts(tmp_path, many)
    for address in (CLIENT[1], SERVER[1]):
        windows = [value.split(":")[4] for ip, attribute, value, _ in told if (ip, attribute) == (address, "fingerprint")]
        assert windows == [f"{1_000 + number},0" for number in range(16)]
    assert ("sensor", "fingerprints_limited", "", 2 * (60 - 32)) in told
