"""Seeds for the fuzz targets of the packet core: `python -m tests.fuzzing TARGET FOLDER` cuts them from captures.

The captures are those under `ICSIGHT_CAPTURES`, or the rules' own where that is not set. What a seed looks like is what its
target reads (`sensor/core/fuzz/fuzz_targets`): a capture's first bytes, a packet behind a byte for its link layer, or payloads
of both sides behind two bytes each. The bodies of OPC UA messages are those that the core's own tests have.
"""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

CAPTURE_BYTES: Final = 4_096
"""First bytes of a capture that become a seed of target `capture`."""

PACKETS: Final = 40
"""Packets of each capture that are used."""

PACKET_SEEDS: Final = 10
"""Packets of each capture that become seeds of target `packet`."""

LINKS: Final = (0, 1, 12, 101, 108, 113, 228, 229, 276)
"""Link layers of target `packet`, by the position that a seed's first byte tells."""

MAGICS: Final = {b"\xd4\xc3\xb2\xa1": "<", b"\x4d\x3c\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">", b"\xa1\xb2\x3c\x4d": ">"}
"""First bytes of a pcap file, and the byte order that they tell."""


OPCUA_BODIES: Final = Path(__file__).parents[2] / "sensor/core/wire/tests/opcua/messages.txt"
"""Bodies of OPC UA messages: a name and hexadecimal digits in each line."""


def captures() -> list[Path]:
    """All capture files there are."""
    folder = os.environ.get("ICSIGHT_CAPTURES")
    root = Path(folder) if folder else Path(__file__).parents[2] / "rules"
    return sorted(path for path in root.rglob("*") if path.suffix in {".pcap", ".pcapng", ".cap"})


def packets(head: bytes) -> Iterator[tuple[int, bytes]]:
    """Link layer and bytes of each packet that is whole at the start of a pcap file; nothing of any other file."""
    order = MAGICS.get(head[:4])
    if order is None or len(head) < 24:
        return
    link = struct.unpack_from(f"{order}I", head, 20)[0] & 0xFFFF
    at = 24
    while at + 16 <= len(head):
        length = struct.unpack_from(f"{order}I", head, at + 8)[0]
        data = head[at + 16 : at + 16 + length]
        if len(data) < length:
            return
        yield link, data
        at += 16 + length


def payload(frame: bytes) -> tuple[bool, bytes] | None:
    """Whether it goes to port 502, and the payload of a TCP segment in IPv4 in Ethernet; None for any other packet."""
    if frame[12:14] != b"\x08\x00" or len(frame) < 54 or frame[23] != 6:
        return None
    end = 14 + int.from_bytes(frame[16:18])
    tcp = 14 + (frame[14] & 15) * 4
    if tcp + 13 > len(frame):
        return None
    data = frame[tcp + (frame[tcp + 12] >> 4) * 4 : end]
    return (int.from_bytes(frame[tcp + 2 : tcp + 4]) == 502, data) if data else None


def seeds(target: str, path: Path) -> Iterator[bytes]:
    """The seeds that a capture gives for a target."""
    with path.open("rb") as file:
        head = file.read(CAPTURE_BYTES * 16)
    if target == "capture":
        yield head[:CAPTURE_BYTES]
        return
    found = [packet for _, packet in zip(range(PACKETS), packets(head), strict=False)]
    if target == "packet":
        yield from (bytes([LINKS.index(link)]) + data for link, data in found[-PACKET_SEEDS:] if link in LINKS)
        return
    pieces = [piece for _, data in found if (piece := payload(data)) is not None]
    # An even byte goes to the server, and each packet comes so many times 10 ms behind the one before.
    yield b"".join(bytes([0 if to_server else 1, min(len(data), 255)]) + data[:255] for to_server, data in pieces)


def opcua_bodies() -> set[bytes]:
    """The seeds of target `opcua_message`."""
    lines = OPCUA_BODIES.read_text().splitlines()
    return {bytes.fromhex(line.split()[1]) for line in lines if not line.startswith("#")}


def main() -> None:
    """Writes the seeds of one target into a folder."""
    target, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    if target == "opcua_message":
        distinct = sorted(opcua_bodies())
    else:
        distinct = sorted({seed for path in captures() for seed in seeds(target, path) if seed})
    for at, seed in enumerate(distinct):
        (folder / f"seed-{at:05}").write_bytes(seed)
    print(f"{target}: {len(distinct)} seeds")


main()
