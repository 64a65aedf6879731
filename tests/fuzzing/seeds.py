"""Seeds of the fuzz targets: what their inputs look like, made of real traffic.

They are cut from the captures under `ICSIGHT_CAPTURES` and from the corpus of OPC UA messages there, or from the rules' captures
where that is not set; and from the bodies and datagrams that the core's own tests have. Each target says in its first lines how
it reads an input (`sensor/core/fuzz/fuzz_targets`, and `src/script.rs` for those that play a conversation).
"""

from __future__ import annotations

import functools
import itertools
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

TARGETS: Final = {
    "capture": 4_096,
    "packet": 2_048,
    "reassembly": 256,
    "engine": 2_048,
    "identity": 256,
    "modbus": 320,
    "modbus_message": 260,
    "opcua": 512,
    "opcua_message": 512,
    "opcua_pubsub": 256,
    "certificate": 2_048,
    "dictionary": 2_048,
}
"""The targets, and the longest input of each: short ones are fast, and what is broken is seldom broken only in long ones."""

CAPTURE_BYTES: Final = 4_096
"""First bytes of a capture that become a seed of target `capture`."""

HEAD_BYTES: Final = 65_536
"""First bytes of a capture in which packets are looked for."""

PACKETS: Final = 40
"""Packets of each capture that are used."""

PACKET_SEEDS: Final = 10
"""Packets of each capture that become seeds of target `packet`."""

LINKS: Final = (0, 1, 12, 101, 108, 113, 228, 229, 276)
"""Link layers of target `packet`, by the position that a seed's first byte tells."""

MAGICS: Final = {b"\xd4\xc3\xb2\xa1": "<", b"\x4d\x3c\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">", b"\xa1\xb2\x3c\x4d": ">"}
"""First bytes of a pcap file, and the byte order that they tell."""

ROOT: Final = Path(__file__).parents[2]
"""The repository."""

OPCUA_BODIES: Final = ROOT / "sensor/core/wire/tests/opcua/messages.txt"
"""Bodies of OPC UA messages: a name and hexadecimal digits in each line."""

OPCUA_CORPUS: Final = "opcua-fuzz-corpus"
"""Folder of OPC UA messages, one in each file, under `ICSIGHT_CAPTURES`."""

CHUNK_HEADERS: Final = 24
"""Bytes of an OPC UA chunk in front of its body: header, channel, token, sequence number, request (OPC 10000-6, 6.7.2)."""

CERTIFICATES: Final = ROOT / "tests/plant/opcua/certificates"
"""Certificates of the virtual plant's applications."""

DICTIONARY: Final = (
    b'<opc:TypeDictionary xmlns:opc="http://opcfoundation.org/BinarySchema/" xmlns:ua="http://opcfoundation.org/UA/" '
    b'xmlns:tns="urn:plant" DefaultByteOrder="LittleEndian" TargetNamespace="urn:plant">%s</opc:TypeDictionary>'
)
"""A data type dictionary without types (OPC 10000-3, annex C)."""

DICTIONARY_TYPES: Final = (
    b'<opc:EnumeratedType Name="State" LengthInBits="32"><opc:EnumeratedValue Name="Off" Value="0"/></opc:EnumeratedType>',
    b'<opc:StructuredType Name="Batch" BaseType="ua:ExtensionObject"><opc:Field Name="Name" TypeName="opc:String"/>'
    b'<opc:Field Name="NoOfSteps" TypeName="opc:Int32"/>'
    b'<opc:Field Name="Steps" TypeName="tns:State" LengthField="NoOfSteps"/></opc:StructuredType>',
    b'<opc:StructuredType Name="Choice"><opc:Field Name="Which" TypeName="opc:UInt32"/>'
    b'<opc:Field Name="One" TypeName="opc:Double" SwitchField="Which" SwitchValue="1"/></opc:StructuredType>',
)
"""Types of it: an enumeration, a structure with an array, a union."""

UADP: Final = (
    bytes.fromhex("71070103 00020a00 0b000800 02000101 00062a00 00008103"),
    bytes.fromhex("91100701 05000000 00010203") + b"\x09" * 32,
)
"""UADP messages: two data sets of publisher 7, and a signed one (OPC 10000-14, 7.2.4)."""

DATA, DATAGRAMS, FROM_START, COMPLETED = 0, 2, 4, 8
"""Bits of the manner of target `modbus`."""


class Payload(NamedTuple):
    """What a TCP segment or a UDP datagram carries."""

    transport: int
    """IP protocol: 6 TCP, 17 UDP."""
    ports: tuple[int, int]
    """Source and destination."""
    data: bytes
    """Its bytes, at least one."""


def folder() -> Path | None:
    """The folder of real captures, where there is one."""
    named = os.environ.get("ICSIGHT_CAPTURES")
    return Path(named) if named else None


@functools.cache
def captures() -> tuple[Path, ...]:
    """All capture files there are."""
    root = folder() or ROOT / "rules"
    return tuple(sorted(path for path in root.rglob("*") if path.suffix in {".pcap", ".pcapng", ".cap"}))


def head(path: Path, size: int) -> bytes:
    """The first bytes of a file."""
    with path.open("rb") as file:
        return file.read(size)


@functools.cache
def packets(path: Path) -> tuple[tuple[int, bytes], ...]:
    """Link layer and bytes of the first packets of a pcap file; nothing of any other file."""
    data = head(path, HEAD_BYTES)
    order = MAGICS.get(data[:4])
    found: list[tuple[int, bytes]] = []
    if order is None or len(data) < 24:
        return ()
    link = struct.unpack_from(f"{order}I", data, 20)[0] & 0xFFFF
    at = 24
    while at + 16 <= len(data) and len(found) < PACKETS:
        length = struct.unpack_from(f"{order}I", data, at + 8)[0]
        packet = data[at + 16 : at + 16 + length]
        if len(packet) < length:
            break
        found.append((link, packet))
        at += 16 + length
    return tuple(found)


def payload(frame: bytes) -> Payload | None:
    """What a TCP segment or a UDP datagram in IPv4 in Ethernet carries; None for any other packet, and for none."""
    if frame[12:14] != b"\x08\x00" or len(frame) < 42 or frame[23] not in {6, 17}:
        return None
    end = 14 + int.from_bytes(frame[16:18])
    at = 14 + (frame[14] & 15) * 4
    ports = (int.from_bytes(frame[at : at + 2]), int.from_bytes(frame[at + 2 : at + 4]))
    header = 8 if frame[23] == 17 else (frame[at + 12] >> 4) * 4 if at + 12 < len(frame) else len(frame)
    data = frame[at + header : end]
    return Payload(frame[23], ports, data) if data else None


@functools.cache
def payloads(path: Path) -> tuple[Payload, ...]:
    """What the first packets of a capture carry."""
    found = (payload(frame) for link, frame in packets(path) if link == 1)
    return tuple(each for each in found if each)


def event(data: bytes, *, is_client: bool) -> bytes:
    """Bytes of one side as events of a script: at most 1,023 each."""
    parts = (data[at : at + 1_023] for at in range(0, len(data), 1_023))
    return b"".join(bytes([(0 if is_client else 1) | len(part) >> 8 << 3, len(part) & 255]) + part for part in parts)


def script(manner: int, events: Iterable[bytes], most: int) -> bytes:
    """An input of a target that plays a conversation: as many events as there is room for."""
    whole = bytes([manner])
    for each in events:
        if len(whole) + len(each) > most:
            break
        whole += each
    return whole


def capture_seeds() -> Iterator[bytes]:
    """First bytes of each capture."""
    yield from (head(path, CAPTURE_BYTES) for path in captures())


def packet_seeds() -> Iterator[bytes]:
    """Packets behind a byte for their link layer."""
    for path in captures():
        yield from (bytes([LINKS.index(link)]) + data for link, data in packets(path)[-PACKET_SEEDS:] if link in LINKS)


def engine_seeds() -> Iterator[bytes]:
    """Payloads of both sides behind two bytes each: the side and time, and the length."""
    for path in captures():
        pieces = [each for each in payloads(path) if each.transport == 6]
        to_server = [502 not in each.ports or each.ports[1] == 502 for each in pieces]
        yield b"".join(
            bytes([not to, min(len(each.data), 255)]) + each.data[:255] for to, each in zip(to_server, pieces, strict=True)
        )


def reassembly_seeds() -> Iterator[bytes]:
    """Segments in order, out of order, with a hole, overlapping, in front of the end; near the end of the sequence numbers."""
    places = ((256, b"abcd"), (264, b"ijkl"), (260, b"efgh"), (262, b"XXXX"), (280, b"yz"))
    segments = [bytes([0, at >> 8, at & 255, len(data)]) + data for at, data in places]
    for manner in (0, 1, 2):
        yield bytes([manner]) + b"\xff\xff\xff\xfc" + b"".join(segments) + b"\x06\x17" + segments[0]


def identity_seeds() -> Iterator[bytes]:
    """First payloads of each capture, and what Ethernet frames carry."""
    for path in captures():
        yield from (each.data[: TARGETS["identity"]] for each in payloads(path)[:10])
        yield from (frame[14 : TARGETS["identity"]] for link, frame in packets(path)[:5] if link == 1)


def modbus_seeds() -> Iterator[bytes]:
    """Exchanges on port 502: as they are, and without the headers that the target makes."""
    for path in captures():
        spoken = [each for each in payloads(path) if 502 in each.ports]
        for transport, carrier in ((6, DATA), (17, DATAGRAMS)):
            said = [(each.data, each.ports[1] == 502) for each in spoken if each.transport == transport]
            for start in range(0, len(said), 8):
                part = said[start : start + 8]
                yield script(carrier | FROM_START, (event(data, is_client=asks) for data, asks in part), TARGETS["modbus"])
                units = [(data[6:], asks) for data, asks in part if len(data) > 7]
                for rtu in (0, 1):
                    manner = carrier | FROM_START | COMPLETED | rtu
                    yield script(manner, (event(data, is_client=asks) for data, asks in units), TARGETS["modbus"])


def modbus_message_seeds() -> Iterator[bytes]:
    """A request and what is said next on port 502, without their headers, behind the unit and the request's length."""
    for path in captures():
        said = [each for each in payloads(path) if 502 in each.ports and len(each.data) > 8]
        for one, other in itertools.pairwise(said):
            request, answer = one.data[7:], other.data[7:]
            yield bytes([one.data[6], min(len(request), 255)]) + request + answer
            yield one.data


def opcua_corpus() -> list[bytes]:
    """The messages of the corpus, in order of their names: a test's messages follow each other."""
    root = folder()
    return [path.read_bytes() for path in sorted((root / OPCUA_CORPUS).rglob("*")) if path.is_file()] if root else []


def opcua_payloads() -> Iterator[list[tuple[bytes, bool]]]:
    """What both sides say in each capture in segments that begin with a chunk, and whether the client says it."""
    for path in captures():
        said = [each for each in payloads(path) if each.data[:3] in {b"HEL", b"ACK", b"ERR", b"OPN", b"MSG", b"CLO"}]
        yield [(each.data, each.ports[0] > each.ports[1]) for each in said]


def opcua_bodies() -> set[bytes]:
    """Bodies of messages: those that the core's own tests have, and those of the corpus and of the captures."""
    lines = OPCUA_BODIES.read_text().splitlines()
    own = {bytes.fromhex(line.split()[1]) for line in lines if not line.startswith("#")}
    seen = [*opcua_corpus(), *(data for said in opcua_payloads() for data, _ in said)]
    return own | {data[CHUNK_HEADERS:] for data in seen if data.startswith(b"MSGF") and len(data) > CHUNK_HEADERS}


def opcua_seeds() -> Iterator[bytes]:
    """Connections of the corpus and of the captures as they are, and bodies of which the target makes chunks."""
    most = TARGETS["opcua"]
    corpus = opcua_corpus()
    for start, data in enumerate(corpus):
        yield script(1, [event(data, is_client=True)], most)
        yield script(1, (event(each, is_client=True) for each in corpus[start : start + 8]), most)
    for said in opcua_payloads():
        for start in range(0, len(said), 4):
            yield script(0 if start else 1, (event(data, is_client=asks) for data, asks in said[start:]), most)
    for body in opcua_bodies():
        yield script(3, [event(body, is_client=True)], most)
        yield script(3, [event(body, is_client=False)], most)


def pubsub_seeds() -> Iterator[bytes]:
    """Datagrams and frames with one or two messages."""
    for manner in (0, 1):
        yield from (script(manner, [event(data, is_client=True)], TARGETS["opcua_pubsub"]) for data in UADP)
        yield script(manner, [event(data, is_client=True) for data in UADP], TARGETS["opcua_pubsub"])


def certificate_seeds() -> Iterator[bytes]:
    """Certificates, and two of them as a chain."""
    certificates = [path.read_bytes() for path in sorted(CERTIFICATES.glob("*.der"))]
    yield from certificates
    yield from (one + other for one, other in itertools.pairwise(certificates))


def dictionary_seeds() -> Iterator[bytes]:
    """Dictionaries of each type, and of all."""
    yield from (DICTIONARY % each for each in (b"", *DICTIONARY_TYPES, b"".join(DICTIONARY_TYPES)))


MAKERS: Final[dict[str, Callable[[], Iterable[bytes]]]] = {
    "capture": capture_seeds,
    "packet": packet_seeds,
    "reassembly": reassembly_seeds,
    "engine": engine_seeds,
    "identity": identity_seeds,
    "modbus": modbus_seeds,
    "modbus_message": modbus_message_seeds,
    "opcua": opcua_seeds,
    "opcua_message": opcua_bodies,
    "opcua_pubsub": pubsub_seeds,
    "certificate": certificate_seeds,
    "dictionary": dictionary_seeds,
}
"""What makes the seeds of each target."""


def seeds(target: str) -> Iterator[bytes]:
    """The seeds of a target, none longer than what it takes."""
    yield from (seed for seed in MAKERS[target]() if 0 < len(seed) <= TARGETS[target])
