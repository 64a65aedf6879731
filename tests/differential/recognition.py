"""`python -m tests.differential.recognition [--files]`: what captures hold, by tshark's counts, against what it is named here.

Without `--files` it prints `deploy/docs/recognition.md`, which a test holds to be true.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from sensor._core import Reader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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


FOLDERS: Final = ("other-ot", "background-it")
"""Folders of captures without Modbus and OPC UA."""


@dataclass(frozen=True)
class Compared:
    """One capture: what it is counted to hold, what was seen, where that differs."""

    path: str
    counts: dict[str, int]
    seen: Seen
    differences: tuple[str, ...]


def compared(captures: Path) -> Iterator[Compared]:
    """All captures of `FOLDERS`."""
    for path, counts in manifest(captures, *FOLDERS):
        seen = seen_in(captures / path)
        yield Compared(path, counts, seen, tuple(differences(counts, seen)))


def confusion(found: Iterable[Compared]) -> str:
    """The document: for each protocol that captures are counted to hold, what conversations with content in them are named."""
    files: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    named: dict[str, Counter[str]] = {}
    total = 0
    for each in found:
        total += 1
        for protocol in each.counts.keys() & NAMES.keys() or {"none of these"}:
            files[protocol] += 1
            missed[protocol] += any(difference.startswith(f"{protocol} is") for difference in each.differences)
            named.setdefault(protocol, Counter()).update(each.seen.conversations)
    rows: list[str] = []
    for protocol, names in sorted(named.items()):
        own = NAMES.get(protocol, set())
        mine = {name: count for name, count in names.items() if count and name in own}
        others = {name: count for name, count in names.items() if count and name not in own}

        def text(of: dict[str, int]) -> str:
            return ", ".join(f"{name} {count:,}" for name, count in sorted(of.items(), key=lambda item: (-item[1], item[0])))

        rows.append(f"| {protocol} | {files[protocol]} | {text(mine)} | {missed[protocol]} | {text(others)} |")
    return "\n".join(
        [
            "# Names of conversations in public captures",
            "",
            f"{total} captures of other industrial protocols and office traffic. A row has those in which tshark 4.0.17 counts",
            "a protocol; the figures are conversations with content, `?` those without a name. What is said in the same captures",
            "besides stands in the last column, so that a wrong name would stand there too; no row has Modbus or OPC UA.",
            "Differences are explained one by one in `tests/differential/recognition_differences.json`.",
            "",
            "`python -m tests.differential.recognition` writes this; with `--files` it prints a line for each capture.",
            "",
            "| tshark counts | captures | so named | captures that differ | named otherwise in the same captures |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--captures", type=Path, default=os.environ.get("ICSIGHT_CAPTURES"), help="folder of captures")
    parser.add_argument("--files", action="store_true", help="a line for each capture: counts, names, differences")
    options = parser.parse_args()
    if options.captures is None:
        sys.exit("error: --captures DIR, or ICSIGHT_CAPTURES")
    found = compared(options.captures)
    if not options.files:
        print(confusion(found), end="")
        return
    for each in found:
        conversations = {name: count for name, count in sorted(each.seen.conversations.items()) if count}
        print(each.path, json.dumps(each.counts), json.dumps(conversations), "; ".join(each.differences), sep="\t")


if __name__ == "__main__":
    main()
