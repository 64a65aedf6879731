"""What real captures are known to hold is named, nothing else is taken for Modbus or OPC UA; each difference is explained."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from sensor._core import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator

DIFFERENCES = Path(__file__).with_name("recognition_differences.json")

NAMES = {
    "ams": {"ads"},
    "bacapp": {"bacnet"},
    "cip": {"enip"},
    "cipio": {"enip"},
    # PROFINET's context manager speaks DCE/RPC.
    "dcerpc": {"dcerpc", "profinet_cm"},
    "dnp3": {"dnp3"},
    "dns": {"dns"},
    "enip": {"enip"},
    "goose": {"goose"},
    "hart_ip": {"hart_ip"},
    "http": {"http"},
    "iec60870_104": {"iec104"},
    "iec60870_asdu": {"iec104"},
    "mms": {"mms"},
    "modbus_pdus": {"modbus"},
    "mbtcp": {"modbus"},
    "opcua_msgs": {"opcua"},
    "pn_dcp": {"profinet_dcp"},
    "pn_io": {"profinet_rt"},
    "pn_io_device": {"profinet_cm"},
    # tshark counts the frame identifier, which discovery has too.
    "pn_rt": {"profinet_rt", "profinet_dcp"},
    "s7comm": {"s7comm"},
    # Announcements of Windows machines are SMB in NetBIOS datagrams.
    "smb": {"smb", "netbios_dgm"},
    "synphasor": {"synchrophasor"},
    "tls": {"tls"},
}
"""Protocols that MANIFEST.tsv counts → how the sensor names conversations that carry them."""

MESSAGES = ("modbus_pdus", "opcua_msgs")
"""Counts of messages, of which a packet may hold several; the others are counts of frames."""


@dataclass
class Seen:
    """What the sensor made of one capture."""

    packets: Counter[str] = field(default_factory=Counter[str])
    """Packets of conversations by their name."""
    conversations: Counter[str] = field(default_factory=Counter[str])
    """Conversations with content, by name; `?` where there is none."""
    tables: set[str] = field(default_factory=set[str])
    """Tables that have rows."""


def seen_in(capture: Path) -> Seen:
    seen = Seen()
    for batch in Reader(str(capture)):
        seen.tables.add(batch.table)
        if batch.table != "flow":
            continue
        final = pl.DataFrame(batch).filter(pl.col("flow.final"))
        rows = final.select(
            pl.col("network.application").cast(pl.String).fill_null("?"),
            pl.col("flow.packets_out") + pl.col("flow.packets_in"),
            pl.col("flow.bytes_out") + pl.col("flow.bytes_in") > 0,
        )
        for name, packets, has_content in rows.iter_rows():
            seen.packets[name] += packets
            seen.conversations[name] += has_content
    return seen


def manifest(captures: Path, *folders: str) -> Iterator[tuple[str, dict[str, int]]]:
    """Captures in these folders with their counts."""
    for line in (captures / "MANIFEST.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        path, _, _, _, link, *_, counts = line.split("\t")
        if link and path.split("/")[0] in folders:
            yield path, json.loads(counts) if counts else {}


@pytest.fixture(scope="module")
def explained() -> dict[str, dict[str, str]]:
    """Capture → difference → its reason."""
    return json.loads(DIFFERENCES.read_text(encoding="utf-8"))


def differences(counts: dict[str, int], seen: Seen) -> Iterator[str]:
    """What is counted and not named, what is named in too few packets, and what is named and not counted."""
    for protocol, frames in counts.items():
        if protocol not in NAMES:
            continue
        packets = sum(seen.packets[name] for name in NAMES[protocol])
        if packets == 0:
            yield f"{protocol} is not named"
        elif packets < frames and protocol not in MESSAGES:
            yield f"{protocol} is named in fewer packets than it has"
    counted = set[str]().union(*(NAMES.get(protocol, set()) for protocol in counts))
    known = set[str]().union(*NAMES.values()) - counted
    for name, conversations in sorted(seen.conversations.items()):
        if name in known and conversations:
            yield f"{name} is named"


def test_what_the_captures_hold_is_named_and_each_difference_is_explained(
    captures: Path, explained: dict[str, dict[str, str]]
) -> None:
    table: dict[str, Counter[str]] = {}
    surprises: list[str] = []
    files = 0
    met: set[tuple[str, str]] = set()
    for path, counts in manifest(captures, "other-ot", "background-it"):
        seen = seen_in(captures / path)
        files += 1
        for protocol in counts.keys() & NAMES.keys() or {"-"}:
            table.setdefault(protocol, Counter()).update(seen.conversations)
        for difference in differences(counts, seen):
            met.add((path, difference))
            if not explained.get(path, {}).get(difference):
                surprises.append(f"{path}: {difference}; counts {counts}, conversations {dict(seen.conversations)}")
    for protocol, names in sorted(table.items()):
        print(f"{protocol:14} {', '.join(f'{name} {count}' for name, count in names.most_common() if count)}")
    print(f"{files} captures, {len(met)} differences, each explained in {DIFFERENCES.name}")
    assert not surprises, "\n".join(surprises)
    stale = {(path, difference) for path, reasons in explained.items() for difference in reasons} - met
    assert not stale, f"explained and not met: {sorted(stale)}"


def test_nothing_but_modbus_is_named_modbus_and_nothing_but_opc_ua_is_named_opc_ua(captures: Path) -> None:
    wrong: list[str] = []
    checked = 0
    for path, _ in manifest(captures, "other-ot", "background-it", "modbus", "opcua"):
        seen = seen_in(captures / path)
        folder = path.split("/")[0]
        for name in ("modbus", "opcua"):
            checked += 1
            if folder != name and (seen.packets[name] or name in seen.tables):
                wrong.append(f"{path}: {dict(seen.conversations)}, tables {sorted(seen.tables)}")
    print(f"{checked // 2} captures looked through for Modbus and OPC UA")
    assert checked > 0
    assert not wrong, "\n".join(wrong)


def test_modbus_and_opc_ua_are_named_on_whatever_port(captures: Path) -> None:
    missed = [
        path
        for path, counts in manifest(captures, "modbus", "opcua")
        for protocol in MESSAGES
        if counts.get(protocol, 0) and not any(seen_in(captures / path).packets[name] for name in NAMES[protocol])
    ]
    assert not missed


def test_a_protocol_on_a_port_that_is_not_its_own_is_named_by_content(captures: Path) -> None:
    zeek = captures / "other-ot/zeek+zeek/testing/btest/Traces/dnp3/dnp3_read_p20001.pcap"
    ftp = captures / "background-it/chrissanders+packets/wrongdissector.pcapng"
    assert seen_in(zeek).conversations["dnp3"] == 1
    # On port 443: tshark takes one of its packets for TLS.
    assert seen_in(ftp).conversations["ftp"] == 1
    assert seen_in(ftp).conversations["tls"] == 0
