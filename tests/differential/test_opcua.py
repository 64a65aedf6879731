"""Every OPC UA message that tshark sees in the real captures, we see too, with the same content; each difference is explained."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from tests.differential.opcua_statement import Statement, of_records, of_tshark

DIFFERENCES: Final = Path(__file__).with_name("opcua_differences.json")
PORT: Final = 4840


@pytest.fixture(scope="module")
def opcua_captures(captures: Path) -> list[Path]:
    found = sorted(path for path in (captures / "opcua").rglob("*.pcap*"))
    assert found
    return found


def counted(captures: Path) -> dict[str, int]:
    """Messages on the server's port as the list of captures counts them."""
    counts: dict[str, int] = {}
    for line in (captures / "MANIFEST.tsv").read_text(encoding="utf-8").splitlines():
        cells = line.split("\t")
        if cells[0].startswith("opcua/") and "opcua_msgs" in cells[-1]:
            counts[cells[0].removeprefix("opcua/")] = json.loads(cells[-1])["opcua_msgs"]
    return counts


def test_every_message_that_tshark_dissects_agrees_or_is_explained(opcua_captures: list[Path], captures: Path) -> None:
    explained = {entry["capture"]: entry for entry in json.loads(DIFFERENCES.read_text(encoding="utf-8"))}
    manifest = counted(captures)
    messages = compared = different = 0
    surprises: list[str] = []
    for path in opcua_captures:
        name = str(path.relative_to(captures / "opcua"))
        chunks, ports, ours = of_records(path)
        count, theirs = of_tshark(path, ports | {PORT})
        mine, known = Counter(ours), Counter(theirs)
        only_theirs, only_ours = known - mine, mine - known
        messages, compared = messages + count, compared + known.total()
        seen = {
            "manifest": manifest.get(name, count) - count,
            "messages": chunks - count,
            "tshark_only": only_theirs.total(),
            "ours_only": only_ours.total(),
        }
        different += only_theirs.total() + only_ours.total()
        entry: dict[str, Any] = explained.get(name, dict.fromkeys(seen, 0))
        if any(entry[key] != seen[key] for key in seen):
            surprises.append(f"{name}: {seen}, tshark only {some(only_theirs)}, ours only {some(only_ours)}")
    print(f"{messages:,} messages and {compared:,} statements compared with tshark, {different} differ, each explained")
    assert not surprises, "\n".join(surprises)
    assert all(entry["reason"] for entry in explained.values())


def some(statements: Counter[Statement]) -> list[tuple[Any, ...]]:
    return [tuple(statement) for statement in list(statements)[:3]]
