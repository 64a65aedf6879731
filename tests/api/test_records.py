"""Records through the API: by query, behind an alert, and the health of sensors from what they report."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest

from api.records.service import FIRST_COLUMNS
from collector.records import decode
from collector.store import local
from sensor.spool_format import BatchHeader
from sensor.tables import TABLES
from tests.api.alerts import upsert, with_related
from tests.batches import EPOCH, START, encode, sample

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.api.conftest import Running


def store(served: Running, table: str, columns: dict[str, Any], sequence: int = 0, sensor: str = "local") -> None:
    header = BatchHeader(sensor, EPOCH, sequence, table, len(columns["ts"]))
    served.services.records.append([decode(header, encode(header, columns))])


def identity(row: int, sequence: int = 0) -> str:
    return f"local/{EPOCH}/{sequence}/{row}"


def test_an_alert_opens_on_its_exact_records(system_running: Running) -> None:
    store(system_running, "modbus", dict(sample("modbus", 5)))
    wanted = [identity(3), identity(1), identity(4, sequence=9)]
    system_running.alerts(upsert(1, body={**upsert(1).body, "records": wanted}))
    found = system_running.signed_in("viewer").get(f"/api/alerts/{1:032x}/records").json()
    assert found["missing"] == [identity(4, sequence=9)]
    (table,) = found["tables"]
    assert table["table"] == "modbus"
    assert [item["record"] for item in table["items"]] == wanted[:2]
    assert table["columns"][:4] == ["ts", "client.ip", "server.ip", "modbus.unit_id"]
    assert all(item["modbus.quantity"] == 4 for item in table["items"])


@pytest.mark.parametrize("table", list(TABLES))
def test_an_alert_opens_on_records_of_any_table(system_running: Running, table: str) -> None:
    store(system_running, table, dict(sample(table, 2)))
    system_running.alerts(upsert(1, body={**upsert(1).body, "records": [identity(1)]}))
    answer = system_running.signed_in("viewer").get(f"/api/alerts/{1:032x}/records")
    (found,) = answer.json()["tables"]
    assert (found["table"], [item["record"] for item in found["items"]]) == (table, [identity(1)])
    assert set(FIRST_COLUMNS[table]) <= TABLES[table].schema.keys()


def test_the_page_knows_which_columns_are_durations() -> None:
    script = (files("api") / "console" / "records.js").read_text(encoding="utf-8")
    listed = re.search(r"DURATIONS = new Set\(\[(.*?)\]\)", script, re.DOTALL)
    declared = {column.name for table in TABLES.values() for column in table.columns if column.kind == "duration"}
    assert listed is not None
    assert set(re.findall(r'"([^"]+)"', listed[1])) == declared


def test_what_is_related_to_an_alert_opens_on_its_own_records(system_running: Running) -> None:
    store(system_running, "modbus", dict(sample("modbus", 5)))
    system_running.alerts(with_related(1, records=(identity(2), identity(0))))
    path = f"/api/alerts/{1:032x}/records"
    client = system_running.signed_in("viewer")
    (table,) = client.get(path, params={"related": "sweep"}).json()["tables"]
    assert [item["record"] for item in table["items"]] == [identity(2), identity(0)]
    assert client.get(path).json()["tables"] == client.get(path, params={"related": "other"}).json()["tables"] == []


def test_records_page_through_a_query_once_each(system_running: Running) -> None:
    store(system_running, "modbus", dict(sample("modbus", 25)))
    client = system_running.signed_in()
    seen: list[str] = []
    cursor = ""
    while cursor is not None:
        more = {"cursor": cursor} if cursor else {}
        page = client.get("/api/records/modbus", params={"limit": 10, "sort": "ts", **more}).json()
        seen += [item["record"] for item in page["items"]]
        cursor = page["next"]
        assert page["limited"] is (cursor is not None)
    assert seen == [identity(row) for row in range(25)]


@pytest.mark.parametrize(
    ("where", "keep"),
    [
        ("modbus.function_code = 16", {"modbus.function_code": {16}}),
        ("modbus.address >= 100", {"modbus.address": set(range(100, 200))}),
        ("client.ip in 10.0.0.1, 10.0.0.2", {"client.ip": {"10.0.0.1", "10.0.0.2"}}),
        ("client.ip starts_with 10.0.0.1", {"client.ip": {"10.0.0.1", *(f"10.0.0.{host}" for host in range(10, 20))}}),
        ("modbus.exception is_null", {}),
        ("modbus.exception is_not_null", {"modbus.unit_id": set[int]()}),
    ],
)
def test_conditions_keep_what_they_say(system_running: Running, where: str, keep: dict[str, set[Any]]) -> None:
    columns = dict(sample("modbus", 60))
    store(system_running, "modbus", columns)
    rows = [{name: values[row] for name, values in columns.items()} for row in range(60)]
    expected = [identity(row) for row in range(60) if all(rows[row][name] in wanted for name, wanted in keep.items())]
    answer = system_running.signed_in().get("/api/records/modbus", params={"where": where, "sort": "ts", "limit": 100})
    assert [item["record"] for item in answer.json()["items"]] == expected


@pytest.mark.parametrize(
    "params",
    [
        {"where": "nothing = 1"},
        {"where": "modbus.address = high"},
        {"where": "modbus.address ~ 1"},
        {"where": "modbus.values = 1"},
        {"where": "ts > yesterday"},
        {"sort": "-nothing"},
        {"cursor": "nonsense"},
        {"where": "modbus.address = 1; DROP TABLE modbus"},
    ],
)
def test_a_question_that_cannot_be_asked_is_refused_with_the_reason(system_running: Running, params: dict[str, str]) -> None:
    store(system_running, "modbus", dict(sample("modbus", 3)))
    answer = system_running.signed_in().get("/api/records/modbus", params=params)
    assert (answer.status_code, answer.json()["code"]) == (422, "query_invalid"), answer.text


def test_an_unknown_table_is_a_problem(system_running: Running) -> None:
    answer = system_running.signed_in().get("/api/records/catalog")
    assert (answer.status_code, answer.json()["code"]) == (404, "table_unknown")


@pytest.mark.parametrize("path", ["/api/records/modbus", "/api/sensors"])
def test_a_query_of_records_that_takes_too_long_is_given_up(
    start: Callable[..., Running], monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    served = start(query_seconds=0.2)
    store(served, "modbus", dict(sample("modbus", 5)))
    store(served, "sensor", dict(sample("sensor", 5)), sequence=1)
    client = served.signed_in()
    real = local.relation

    def endless(*given: Any) -> str:
        return f"SELECT held.* FROM ({real(*given)}) held, range(100000000000) t WHERE hash(t.range) = 7"

    monkeypatch.setattr(local, "relation", endless)
    answer = client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (503, "query_too_long")


def test_a_time_range_holds_its_start_and_not_its_end(system_running: Running) -> None:
    store(system_running, "modbus", dict(sample("modbus", 10, step=1_000_000_000)))
    answer = system_running.signed_in().get(
        "/api/records/modbus", params={"since": "2025-11-24T16:00:02Z", "until": "2025-11-24T16:00:05Z", "sort": "ts"}
    )
    assert [item["record"] for item in answer.json()["items"]] == [identity(row) for row in (2, 3, 4)]


def test_what_is_stored_is_told_by_table(system_running: Running) -> None:
    store(system_running, "modbus", dict(sample("modbus", 7)))
    stored = {table["table"]: table for table in system_running.signed_in().get("/api/records").json()}
    assert stored["modbus"]["rows"] == 7
    assert stored["flow"]["rows"] == 0
    assert stored["modbus"]["first"].startswith("2025-11-24T16:00:00")


def test_a_sensor_is_told_with_its_rate_and_its_drops(system_running: Running) -> None:
    store(
        system_running,
        "sensor",
        {
            "ts": [START, START + 10_000_000_000],
            "sensor.packets": [1000, 6000],
            "sensor.bytes": [1, 2],
            "sensor.flows": [3, 4],
            "sensor.drops": [[], [{"name": "unknown_link_type", "count": 5}, {"name": "other", "count": 0}]],
        },
    )
    (sensor,) = system_running.signed_in().get("/api/sensors").json()["sensors"]
    assert (sensor["packets"], sensor["packets_per_second"], sensor["flows"]) == (6000, 500.0, 4)
    assert (sensor["dropped"], sensor["drops"]) == (5, {"unknown_link_type": 5})
