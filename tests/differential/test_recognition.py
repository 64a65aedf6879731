"""What real captures are known to hold is named, nothing else is taken for Modbus or OPC UA; each difference is explained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.differential.recognition import DIFFERENCES, MESSAGES, NAMES, Compared, compared, confusion, manifest, seen_in

DOCUMENT = Path(__file__).parents[2] / "deploy/docs/recognition.md"


@pytest.fixture(scope="module")
def found(captures: Path) -> list[Compared]:
    """All captures of other protocols, compared."""
    return list(compared(captures))


def test_what_the_captures_hold_is_named_and_each_difference_is_explained(found: list[Compared]) -> None:
    explained: dict[str, dict[str, str]] = json.loads(DIFFERENCES.read_text(encoding="utf-8"))
    met = {(each.path, difference) for each in found for difference in each.differences}
    surprises = [
        f"{each.path}: {difference}; counts {each.counts}, conversations {dict(each.seen.conversations)}"
        for each in found
        for difference in each.differences
        if not explained.get(each.path, {}).get(difference)
    ]
    assert not surprises, "\n".join(surprises)
    stale = {(path, difference) for path, reasons in explained.items() for difference in reasons} - met
    assert not stale, f"explained and not met: {sorted(stale)}"


def test_the_table_in_the_documentation_is_what_is_found(found: list[Compared]) -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == confusion(found), "python -m tests.differential.recognition writes it anew"


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
