"""The two record stores give the same rows for the same question, for every table, column and operator, also at the edges."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

import pytest

from collector.records import decode
from collector.store import Filter, Operator, Order, Query, RecordStore
from collector.store.elasticsearch import ElasticsearchRecordStore
from collector.store.local import LocalRecordStore
from sensor.spool_format import BatchHeader
from sensor.tables import TABLES
from tests.batches import EPOCH, START, encode
from tests.collector.cluster import cluster

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from sensor.tables import Column, Kind
    from tests.services.elasticsearch import Elasticsearch

ROWS: Final = 60
QUESTIONS_PER_COLUMN: Final = 4
_COMPARED: Final[Sequence[Operator]] = ("=", "!=", "<", "<=", ">", ">=", "in")
_OF_TEXT: Final[Sequence[Operator]] = ("contains", "starts_with")

_TEXTS: Final = ["", "a", "A", "ä", "*", "a?b", "a\\b", 'a"b', "生产", "two\nlines", "10.0.0.1", "a" * 1_024]
_VALUES: Final[Mapping[Kind, Sequence[Any]]] = {
    "timestamp": [START, 0, -1, -(10**18), START + 1],
    "duration": [0, -1, 10**12],
    "name": _TEXTS,
    "text": _TEXTS,
    "bool": [True, False],
    "u8": [0, 1, 255],
    "u16": [0, 1, 65_535],
    "u32": [0, 1, 2**32 - 1],
    "u64": [0, 1, 2**63 - 2],
    "f64": [0.0, 1.5, -1e300, 0.1, 5e-324, float("nan"), float("inf"), float("-inf")],
    "binary": [b"", b"\x00\xff", b"{}"],
    "list<u16>": [[], [1], [65_535, 0, 0]],
    "list<text>": [[], ["a"], ["*", 'a"b']],
    "list<file_record>": [[], [{"file": 1, "record": 2, "length": 3, "data": b"\x00\xff"}]],
    "list<device_object>": [[], [{"object": 0, "value": "生产商"}]],
    "list<counter>": [[], [{"name": "x", "count": 2**63}]],
}


@pytest.fixture(scope="module")
def both(
    elasticsearch_server: Elasticsearch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[RecordStore, RecordStore]]:
    """Both stores with the same random rows of all tables."""
    source = random.Random(7)
    folder: Path = tmp_path_factory.mktemp("stores")
    with cluster(elasticsearch_server.url) as settings:
        stores = LocalRecordStore(folder / "records", writer=True), ElasticsearchRecordStore(settings, writer=True)
        for sequence, table in enumerate(TABLES.values()):
            columns = {column.name: _random(column, source) for column in table.columns}
            columns["ts"] = sorted(source.choices(range(START, START + 20), k=ROWS))
            header = BatchHeader("north", EPOCH, sequence, table.name, ROWS, "plant")
            batch = decode(header, encode(header, columns))
            for store in stores:
                assert store.append([batch]).rows == ROWS
        yield stores
        for store in stores:
            store.close()


def _random(column: Column, source: random.Random) -> list[Any]:
    values = column.values if column.kind == "choice" else _VALUES[column.kind]
    return [source.choice([*values, None] if column.nullable else list(values)) for _ in range(ROWS)]


def _questions(column: Column, source: random.Random) -> Iterator[Filter]:
    """Some filters on a column."""
    yield Filter(column.name, "is_null")
    if column.kind.startswith("list") or column.kind == "binary":
        return
    operators: list[Operator] = [*_COMPARED]
    text = column.kind in {"choice", "name", "text"}
    if text:
        operators += _OF_TEXT
    values = list(column.values if column.kind == "choice" else _VALUES[column.kind])
    if column.kind.startswith("u"):
        values += [-1, 2**63 - 1, 300]
    for operator in source.sample(operators, QUESTIONS_PER_COLUMN):
        value = source.choice(values)
        yield Filter(column.name, operator, [value, values[0]] if operator == "in" else value)


@pytest.mark.parametrize("table", TABLES)
def test_rows_come_back_equal_from_both(both: tuple[RecordStore, RecordStore], table: str) -> None:
    local, elastic = (store.query(Query(table, order=Order(descending=False), limit=ROWS)).rows for store in both)
    assert elastic.schema == local.schema
    for column in local.columns:
        assert elastic[column].equals(local[column]), column


@pytest.mark.parametrize("table", TABLES)
def test_both_answer_every_filter_alike(both: tuple[RecordStore, RecordStore], table: str) -> None:
    source = random.Random(table)
    asked = 0
    for column in TABLES[table].columns:
        for question in _questions(column, source):
            query = Query(table, [question], columns=["ts"], limit=ROWS)
            local, elastic = (store.query(query).rows["row"].to_list() for store in both)
            assert elastic == local, question
            asked += 1
    assert asked > len(TABLES[table].columns)


@pytest.mark.parametrize("table", TABLES)
def test_both_sort_by_every_column_alike(both: tuple[RecordStore, RecordStore], table: str) -> None:
    for column in TABLES[table].columns:
        # Numbers that are no numbers are sorted last by one and first by the other; see deploy/docs/distributed.md.
        if column.kind.startswith("list") or column.kind in {"binary", "f64"}:
            continue
        for descending in (False, True):
            pages: list[list[int]] = []
            for store in both:
                query = Query(table, columns=["ts"], order=Order(column.name, descending=descending), limit=ROWS // 2 + 1)
                first = store.query(query)
                second = store.query(Query(table, columns=["ts"], order=query.order, limit=query.limit, cursor=first.cursor))
                pages.append([*first.rows["row"].to_list(), *second.rows["row"].to_list()])
            assert len(pages[0]) == ROWS
            assert pages[1] == pages[0], (column.name, descending)


def test_both_answer_sql_alike(both: tuple[RecordStore, RecordStore]) -> None:
    for select in (
        "SELECT modbus.function, count(*) n, max(modbus.response_time) FROM modbus GROUP BY ALL ORDER BY ALL",
        "SELECT p.ts, p.point.id, m.row FROM point p JOIN modbus m ON m.ts = p.ts ORDER BY ALL LIMIT 50",
        "SELECT * FROM modbus WHERE ts >= '2025-11-24' AND client.ip = 'a' ORDER BY row",
        "SELECT * FROM point WHERE point.number > 1.0 ORDER BY row",
        "WITH x AS (SELECT vlan FROM flow UNION ALL SELECT vlan FROM device) SELECT vlan, count(*) FROM x GROUP BY 1 ORDER BY 1",
        "SELECT count(f) FROM flow f",
        "SELECT * FROM sensor ORDER BY row",
    ):
        local, elastic = (store.sql(select) for store in both)
        assert local.height > 0, select
        assert elastic.equals(local), select
