"""Questions to `/api/records` have the same answers, order and pages on files and on a cluster."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from api import system
from api.problems import Problem
from api.records.schemas import RecordQuery
from api.records.service import find
from api.settings import Settings
from collector.records import decode
from collector.store.elasticsearch import ElasticsearchRecordStore
from sensor.spool_format import BatchHeader
from tests.batches import EPOCH, encode, sample
from tests.collector.cluster import cluster

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from api.services import Services
    from tests.services.elasticsearch import Elasticsearch

Systems = tuple["Services", "Services"]


@pytest.fixture(scope="module")
def systems(tmp_path_factory: pytest.TempPathFactory, elasticsearch_server: Elasticsearch) -> Iterator[Systems]:
    folder: Path = tmp_path_factory.mktemp("records")
    with cluster(elasticsearch_server.url) as settings, ExitStack() as stack:
        local = stack.enter_context(system.opened(Settings(data=folder)))
        store = ElasticsearchRecordStore(settings, writer=True)
        stack.callback(store.close)
        both = local, replace(local, records=store)
        for each in both:
            for sequence, table in enumerate(("modbus", "opcua_item", "point")):
                columns = sample(table, 60, seed=sequence)
                if table == "modbus":
                    columns["client.ip"] = [
                        ["10.0.0.1", "10.0.0.2", None, "fe80::1", "a,b", "10.0.0.10"][turn % 6] for turn in range(60)
                    ]
                    columns["modbus.address"] = [5, None, 100] * 20
                header = BatchHeader("north", EPOCH, sequence, table, 60, "plant")
                each.records.append([decode(header, encode(header, columns))])
        yield both


@pytest.mark.parametrize(
    ("table", "where"),
    [
        ("modbus", []),
        ("modbus", ["client.ip = 10.0.0.1"]),
        ("modbus", ["client.ip != 10.0.0.1"]),
        ("modbus", ["client.ip in 10.0.0.1, fe80::1"]),
        ("modbus", ["client.ip starts_with 10.0.0.1"]),
        ("modbus", ["client.ip contains ,"]),
        ("modbus", ["client.ip is_null"]),
        ("modbus", ["client.ip is_not_null", "modbus.address >= 5", "modbus.address < 100"]),
        ("modbus", ["modbus.address is_null"]),
        ("modbus", ["modbus.values is_not_null"]),
        ("modbus", ["ts > 2025-11-24T16:00:00.030Z"]),
        ("modbus", ["modbus.function contains register"]),
        ("opcua_item", ["opcua.kind in read,write"]),
        ("opcua_item", ["opcua.node_id starts_with ns="]),
        ("point", ["point.number > 0.5"]),
        ("point", ["point.number <= 0.5", "point.access = read"]),
    ],
)
@pytest.mark.parametrize("sort", ["-ts", "ts", "client.ip", "-server.ip"])
def test_a_question_has_the_same_answer_on_both(systems: Systems, table: str, where: list[str], sort: str) -> None:
    told: list[list[object]] = []
    for services in systems:
        items: list[object] = []
        cursor: str | None = None
        while True:
            page = find(services, table, RecordQuery(where=where, sort=sort, limit=17, cursor=cursor))
            items += page.items
            cursor = page.next
            if cursor is None:
                break
        told.append(items)
    assert told[0] == told[1]


@pytest.mark.parametrize(
    "where",
    ["nothing = 1", "modbus.address = x", "modbus.values = 5", "client.ip ~ 1", "ts = yesterday", "modbus.address contains 5"],
)
def test_a_question_that_makes_no_sense_is_refused_alike(systems: Systems, where: str) -> None:
    told: list[tuple[str, object]] = []
    for services in systems:
        with pytest.raises(Problem) as caught:
            find(services, "modbus", RecordQuery(where=[where]))
        told.append((caught.value.code, caught.value.values["reason"]))
    assert told[0] == told[1]
    assert told[0][0] == "query_invalid"
