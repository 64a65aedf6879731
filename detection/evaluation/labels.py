"""Labels of others: each reader knows one format and says what spans of a capture it calls an attack.

`READERS` names the formats. A span without times is the whole capture. Labels of single packets are read with the capture beside
them: their loop over packets is over thousands, once, and no record table holds numbers of packets.
"""

from __future__ import annotations

import csv
import ipaddress
import json
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

if TYPE_CHECKING:
    from pathlib import Path

SECOND: Final = 1_000_000_000

PACKET_GAP_SECONDS: Final = 5
"""Labelled packets that lie further apart than this are two attacks."""

_MAGICS: Final = {0xA1B2C3D4: 1_000, 0xA1B23C4D: 1}
"""Magic number of a pcap file → nanoseconds of its fraction of a second."""

_ETHERNET: Final = 1
_ADDRESS: Final = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b")


class LabelError(Exception):
    """Labels cannot be read. The text is one line: the file, what is wrong, what to do."""


@dataclass(frozen=True, slots=True)
class Span:
    """What labels call an attack."""

    name: str
    """Its name among those of the capture."""
    start: int | None = None
    """Nanoseconds since 1970; None: the capture's start."""
    end: int | None = None
    """Nanoseconds since 1970; None: the capture's end."""
    hosts: frozenset[str] = frozenset()
    kind: str = ""
    """What the labels call it; empty where they do not."""
    technique: str = ""
    """Technique that the labels name; empty where they do not."""


def packets(capture: Path, file: Path) -> Iterator[Span]:
    """Lines `packet number;label`, numbers from 1, label 1 for a packet of an attack (the Lemay Modbus set)."""
    labelled: set[int] = set()
    for line in file.read_text(encoding="utf-8").splitlines():
        number, _, label = line.partition(";")
        if label.strip() == "1":
            labelled.add(int(number))
    run: list[_Seen] = []
    count = 0
    for number, seen in enumerate(_pcap(capture), 1):
        if number not in labelled:
            continue
        if run and seen.ts - run[-1].ts > PACKET_GAP_SECONDS * SECOND:
            count += 1
            yield _span(str(count), run)
            run = []
        run.append(seen)
    if run:
        yield _span(str(count + 1), run)


def windows(capture: Path, file: Path) -> Iterator[Span]:
    """A JSON list of `start` and `end` in seconds since 1970 (the windows of ipal_datasets); hosts are those of the packets."""
    content = cast("list[dict[str, Any]]", json.loads(file.read_text(encoding="utf-8"), parse_float=Decimal))
    if not content:
        raise LabelError(f"{file}: names no attack. Use other labels, or name the capture without labels if it has none.")
    seen = list(_pcap(capture)) if capture.suffix == ".pcap" else []
    for number, window in enumerate(content, 1):
        start, end = (int(Decimal(window[name]) * SECOND) for name in ("start", "end"))
        inside = [packet for packet in seen if start <= packet.ts <= end]
        hosts = frozenset[str]().union(*(packet.hosts for packet in inside))
        yield Span(str(number), start, end, hosts)


def flows(capture: Path, file: Path) -> Iterator[Span]:
    """A table of flows whose last column is 1 for a malicious one, without times (the MONT set): the whole capture if one is."""
    del capture
    with file.open(encoding="utf-8", newline="") as lines:
        rows = csv.reader(lines)
        next(rows, None)
        if any(row and row[-1].strip() == "1" for row in rows):
            yield Span("1")


def qut(capture: Path, file: Path) -> Iterator[Span]:
    """Lines `packet number,summary,attack` (the QUT S7 set). Each capture is cut to one attack, so that it is the whole of it.

    Some captures have no such lines; their folder is named `time.attack`.
    """
    kind, hosts = capture.parent.name.partition(".")[2], frozenset[str]()
    if file.is_file():
        with file.open(encoding="utf-8", newline="") as lines:
            rows = [row for row in csv.reader(lines) if len(row) == 3]
        kinds = sorted({row[2].strip() for row in rows})
        kind = kinds[0] if len(kinds) == 1 else kind
        hosts = frozenset(address for row in rows for address in _ADDRESS.findall(row[1]))
    yield Span("1", hosts=hosts, kind=kind)


def backtrack(capture: Path, file: Path) -> Iterator[Span]:
    """Lines such as `Cloned packet: 230 to 321` (the IEC 104 energy set): the whole capture.

    Each line counts packets of the file as the line before left it, so that they name no packets of the file as it is now.
    """
    del capture
    changes = [
        line.split()[0].lower() for line in file.read_text(encoding="utf-8").splitlines() if re.match(r"\w+ packets?: ", line)
    ]
    if changes:
        yield Span("1", kind=f"packets_{changes[0]}")


def plant(capture: Path, file: Path) -> Iterator[Span]:
    """The ground truth of the virtual plant: one attack a line as JSON, with name, technique, start, end and hosts."""
    del capture
    names: dict[str, int] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        attack = cast("dict[str, Any]", json.loads(line))
        name = str(attack["name"])
        names[name] = names.get(name, 0) + 1
        yield Span(
            name if names[name] == 1 else f"{name}-{names[name]}",
            int(attack["start"]),
            int(attack["end"]),
            frozenset(attack["hosts"]),
            str(attack.get("kind", name)),
            str(attack["technique"]),
        )


def whole(capture: Path, file: Path) -> Iterator[Span]:
    """The whole capture is an attack, for its publisher says so."""
    del capture, file
    yield Span("1")


Labeller = Callable[["Path", "Path"], "Iterator[Span]"]

READERS: Final[dict[str, Labeller]] = {
    "packets": packets,
    "windows": windows,
    "flows": flows,
    "qut": qut,
    "backtrack": backtrack,
    "plant": plant,
    "whole": whole,
}
"""Formats of labels by name."""


def read(reader: str, capture: Path, file: Path) -> list[Span]:
    """The spans that labels call attacks, in order. Raises LabelError."""
    try:
        return list(READERS[reader](capture, file))
    except OSError as error:
        raise LabelError(f"{file}: cannot be read ({error.strerror}). Check the path in the data set.") from error
    except (ValueError, KeyError, ArithmeticError, TypeError, struct.error) as error:
        raise LabelError(f"{file}: not labels of the format {reader!r} ({error}). Check the reader in the data set.") from error


class _Seen(NamedTuple):
    ts: int
    hosts: frozenset[str]


def _span(name: str, run: list[_Seen]) -> Span:
    return Span(name, run[0].ts, run[-1].ts, frozenset[str]().union(*(seen.hosts for seen in run)))


def _pcap(capture: Path) -> Iterator[_Seen]:
    """Times and IPv4 addresses of the packets of a pcap file on Ethernet."""
    data = capture.read_bytes()
    order = "<" if len(data) >= 24 and struct.unpack("<I", data[:4])[0] in _MAGICS else ">"
    fraction = _MAGICS.get(struct.unpack(f"{order}I", data[:4])[0]) if len(data) >= 24 else None
    if fraction is None or struct.unpack(f"{order}I", data[20:24])[0] & 0xFFFF != _ETHERNET:
        raise LabelError(f"{capture}: labels of packets and times need a pcap file on Ethernet; convert it first.")
    at = 24
    while at + 16 <= len(data):
        seconds, part, kept, _ = struct.unpack(f"{order}IIII", data[at : at + 16])
        frame = data[at + 16 : at + 16 + kept]
        at += 16 + kept
        pair = (frame[26:30], frame[30:34]) if frame[12:14] == b"\x08\x00" and len(frame) >= 34 else ()
        yield _Seen(seconds * SECOND + part * fraction, frozenset(str(ipaddress.IPv4Address(each)) for each in pair))
