"""Records and rules for tests of detection: any rows a test wants, cut as the packet core would cut them."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import yaml

from collector.store import RecordBatch
from collector.stream import BatchHeader
from sensor.tables import MODBUS_FUNCTIONS, TABLES, polars_type

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SECOND: Final = 1_000_000_000
START: Final = 1_764_000_000 * SECOND
EPOCH: Final = "0123456789abcdef0123456789abcdef"

ACCESS: Final = {5: "write", 6: "write", 15: "write", 16: "write", 22: "write", 23: "read_write", 8: "diagnostic"}


def request(seconds: float, client: str = "10.0.0.1", server: str = "10.0.0.9", function: int = 3, **more: Any) -> dict[str, Any]:
    """A row of table modbus; `more` by column name, with _ for the dots after modbus."""
    return {
        "ts": START + round(seconds * SECOND),
        "client.ip": client,
        "server.ip": server,
        "modbus.unit_id": 1,
        "modbus.function_code": function,
        "modbus.function": MODBUS_FUNCTIONS.get(function, "reserved"),
        "modbus.access": ACCESS.get(function, "read"),
        "modbus.pairing": "both",
        "modbus.encapsulation": "tcp",
        "modbus.bytes": 12,
        **{f"modbus.{name}": value for name, value in more.items()},
    }


def rows(table: str, records: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """Rows of a table; columns that a record does not name are null."""
    columns = TABLES[table].columns
    data = {column.name: [record.get(column.name) for record in records] for column in columns}
    schema: dict[str, Any] = {column.name: polars_type(column.kind) for column in columns}
    return pl.DataFrame(data, schema=schema)


def cut(
    records: Sequence[dict[str, Any]], number: int = 0, start: int = START, *, table: str = "modbus", epoch: str = EPOCH
) -> list[RecordBatch]:
    """One cut of one batch."""
    end = max((record["ts"] for record in records), default=start)
    header = BatchHeader(
        sensor="test",
        epoch=epoch,
        sequence=number,
        table=table,
        rows=len(records),
        site="",
        cut=number,
        cut_start=start,
        cut_end=end,
        cut_last=True,
    )
    return [RecordBatch(header, rows(table, records))]


def cuts(records: Sequence[dict[str, Any]], borders: Sequence[int], *, epoch: str = EPOCH) -> list[list[RecordBatch]]:
    """Records in order of time as consecutive cuts, parted before these places."""
    edges = [0, *sorted({border for border in borders if 0 < border < len(records)}), len(records)]
    made: list[list[RecordBatch]] = []
    start = START
    for number, (first, last) in enumerate(itertools.pairwise(edges)):
        part = records[first:last]
        made.append(cut(part, number, start, epoch=epoch))
        start = max(start, *(record["ts"] for record in part)) if part else start
    return made


def busy_day(seed: int, size: int = 150) -> list[dict[str, Any]]:
    """Random requests of few clients to few servers in bursts over some hours, so that all kinds of rules fire."""
    source = random.Random(seed)
    moment = 0.0
    made: list[dict[str, Any]] = []
    for _ in range(size):
        moment += source.choice([0.0, 1, 2, 5, 20, 40, 700, 4_000]) if source.random() < 0.9 else 0.5
        made.append(
            request(
                moment,
                client=f"10.0.0.{source.randint(1, 3)}",
                server=f"10.0.0.{source.randint(8, 9)}",
                function=source.choice([3, 3, 6, 8, 16]),
                address=source.randint(0, 5),
                quantity=1,
                values=[source.randint(0, 9)],
            )
        )
    return made


def rule(name: str, level: str | None, detection: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A complete rule; `correlation` in place of a detection makes it one."""
    number = f"{sum(name.encode()) % 10_000:04d}{len(name):04d}"
    text = {
        "title": name,
        "summary": "{client.ip} {count}",
        "expected": "nothing",
        "observed": "{count}",
        "next_steps": ["Look."],
    }
    made: dict[str, Any] = {
        "title": name,
        "id": f"{number}-0000-4000-8000-{abs(hash(name)) % 10**12:012d}",
        "name": name,
        "status": "test",
        "references": ["https://example.org"],
        "tags": ["attack.t0846"],
        "falsepositives": ["None known."],
    }
    if detection is not None:
        made |= {"logsource": {"product": "ot", "service": "modbus"}, "detection": {**detection, "condition": "selection"}}
    if level is not None:
        icsight = {"confidence": 0.8, "test": "scapy", "texts": {"en": text, "zh-CN": text}, **more.pop("icsight", {})}
        made |= {"level": level, "icsight": icsight}
    return {**made, **more}


def correlation(kind: str, rules: Sequence[str], timespan: str, group: Sequence[str], **condition: Any) -> dict[str, Any]:
    """The section `correlation` of a rule."""
    section: dict[str, Any] = {"type": kind, "rules": list(rules), "timespan": timespan, "group-by": list(group)}
    return {**section, "condition": condition} if condition else section


def write_rules(folder: Path, *documents: dict[str, Any]) -> Path:
    """A rule file for each alerting document, what feeds it before it."""
    waiting: list[dict[str, Any]] = []
    for document in documents:
        waiting.append(document)
        if "level" in document:
            text = yaml.safe_dump_all(waiting, allow_unicode=True, sort_keys=False)
            (folder / f"{document['name']}.yml").write_text(text, encoding="utf-8")
            waiting = []
    if waiting:
        (folder / f"{waiting[-1]['name']}.yml").write_text(yaml.safe_dump_all(waiting), encoding="utf-8")
    return folder
