"""What every `RecordStore` does, whichever way it is built."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from collector.records import decode
from collector.store import Filter, Grouping, Identity, Order, Query, QueryError, RecordBatch, RecordStore, StoreError
from collector.store.elasticsearch import ElasticsearchRecordStore
from collector.store.local import LocalRecordStore
from collector.stream import Position
from sensor.spool_format import BatchHeader
from sensor.tables import TABLES
from tests.batches import EPOCH, START, encode, sample
from tests.collector.cluster import cluster, emptied
from tests.collector.faulty_proxy import proxy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from collector.settings import ElasticsearchSettings
    from tests.services.elasticsearch import Elasticsearch

Open = Callable[[], RecordStore]
"""Opens the same store again, as after a restart."""

DAY = 86_400 * 10**9


@pytest.fixture(scope="module")
def elastic(elasticsearch_server: Elasticsearch) -> Iterator[ElasticsearchSettings]:
    """A cluster that is set up once: each template is a change of its state, which takes a while."""
    with cluster(elasticsearch_server.url) as settings:
        yield settings


@pytest.fixture(params=["local", "elasticsearch"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Each implementation by name."""
    stores: list[RecordStore] = []
    with ExitStack() as stack:
        make: Open = lambda: LocalRecordStore(tmp_path / "records", writer=True)  # noqa: E731
        if request.param == "elasticsearch":
            settings = stack.enter_context(emptied(request.getfixturevalue("elastic")))
            make = lambda: ElasticsearchRecordStore(settings, writer=True)  # noqa: E731

        def open_again() -> RecordStore:
            for store in stores:
                store.close()
            stores.append(make())
            return stores[-1]

        yield open_again
        stores[-1].close()


@pytest.fixture
def store(reopen: Open) -> RecordStore:
    return reopen()


def batch(
    sequence: int,
    columns: Mapping[str, Sequence[Any]] | None = None,
    *,
    rows: int = 10,
    table: str = "modbus",
    epoch: str = EPOCH,
) -> RecordBatch:
    columns = columns or sample(table, rows, seed=sequence, start=START + sequence * rows * 1_000_000)
    header = BatchHeader("north", epoch, sequence, table, len(columns["ts"]), "plant")
    return decode(header, encode(header, columns))


def at(nanoseconds: int) -> datetime:
    return datetime.fromtimestamp(nanoseconds // 10**9, UTC) + timedelta(microseconds=nanoseconds % 10**9 // 1000)


def identities(rows: pl.DataFrame) -> list[tuple[int, int]]:
    return list(zip(rows["sequence"].to_list(), rows["row"].to_list(), strict=True))


def test_a_store_is_what_the_port_says(store: RecordStore) -> None:
    assert isinstance(store, RecordStore)


def test_every_table_can_be_asked_before_anything_is_stored(store: RecordStore) -> None:
    for name, table in TABLES.items():
        page = store.query(Query(name))
        assert page.rows.height == 0
        assert page.cursor is None
        assert page.rows.columns == [*(column.name for column in table.columns), "sensor", "epoch", "sequence", "row"]
        assert store.sql(f"SELECT * FROM {name}").height == 0
    assert [(stored.table, stored.rows, stored.first) for stored in store.tables()] == [(name, 0, None) for name in TABLES]


def test_records_come_back_as_they_were_stored(store: RecordStore) -> None:
    columns: dict[str, Sequence[Any]] = {
        "ts": [START + 1, START + 2],
        "client.ip": ["10.0.0.1", "fe80::1"],
        "modbus.unit_id": [7, 255],
        "modbus.function": ["write_file_record", "report_server_id"],
        "modbus.values": [[1, 65_535], None],
        "modbus.file_records": [[{"file": 1, "record": 2, "length": 3, "data": b"\x00\xff"}], None],
        "modbus.device_id": [None, [{"object": 0, "value": "生产商"}]],
        "modbus.data": [b"\x01\x02", None],
        "modbus.response_time": [1_234_567, None],
    }
    given = batch(0, columns)
    store.append([given])
    rows = store.query(Query("modbus", order=Order(descending=False))).rows
    wanted = given.rows.with_columns(pl.selectors.categorical().cast(pl.String()))
    assert rows.select(wanted.columns).equals(wanted)
    assert rows.select("sensor", "epoch", "sequence", "row").rows() == [("north", EPOCH, 0, 0), ("north", EPOCH, 0, 1)]


def test_a_batch_is_stored_once_in_whatever_order_and_company_it_comes(reopen: Open) -> None:
    store = reopen()
    assert store.append([batch(0), batch(1), batch(0)]).repeated == 1
    done = store.append([batch(4), batch(1), batch(3, table="point")])
    assert (done.batches, done.rows, done.repeated) == (2, 20, 1)
    store = reopen()
    assert store.append([batch(2), batch(3, table="point"), batch(0)]).batches == 1
    assert store.append([batch(sequence) for sequence in (0, 1, 2, 4)]).rows == 0
    assert store.append([batch(0, epoch="f" * 32)]).rows == 10
    rows = store.sql("SELECT sequence, count(*) n FROM modbus GROUP BY sequence ORDER BY sequence").rows()
    assert rows == [(0, 20), (1, 10), (2, 10), (4, 10)]


def test_the_position_is_stored_with_the_batches(reopen: Open) -> None:
    store = reopen()
    assert store.position("a") is None
    position = Position({"0": 3}, {("north", EPOCH): 2})
    store.append([batch(0)], consumer="a", position=position)
    store.append([], consumer="b", position=Position({"0": 1}, {}))
    store = reopen()
    assert store.position("a") == position
    assert store.position("b") == Position({"0": 1}, {})


def test_the_newest_records_come_first_and_pages_follow_without_overlap(store: RecordStore) -> None:
    store.append([batch(0), batch(1)])
    store.append([batch(2), batch(3)])
    found: list[tuple[int, int]] = []
    cursor = None
    while True:
        page = store.query(Query("modbus", limit=7, columns=["client.ip"], cursor=cursor))
        assert page.rows.height <= 7
        found += identities(page.rows)
        cursor = page.cursor
        if cursor is None:
            break
    assert found == [(sequence, row) for sequence in (3, 2, 1, 0) for row in range(9, -1, -1)]


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("column", ["ts", "client.ip", "modbus.transaction_id", "modbus.response_time", "vlan"])
def test_pages_are_whole_when_many_rows_are_alike_or_null(store: RecordStore, column: str, descending: bool) -> None:
    columns = sample("modbus", 30)
    columns["ts"] = [START] * 30
    columns["vlan"] = [None, 1, 2] * 10
    columns["client.ip"] = ["10.0.0.1"] * 15 + ["10.0.0.2"] * 10 + [None] * 5
    columns["modbus.response_time"] = [5, None] * 15
    store.append([batch(0, columns)])
    found: list[tuple[int, int]] = []
    values: list[Any] = []
    query = Query("modbus", limit=4, columns=[column], order=Order(column, descending=descending))
    while True:
        page = store.query(query)
        found += identities(page.rows)
        values += page.rows[column].to_list()
        if page.cursor is None:
            break
        query = Query("modbus", limit=4, columns=[column], order=query.order, cursor=page.cursor)
    assert sorted(found) == [(0, row) for row in range(30)]
    there = [value for value in values if value is not None]
    assert there == sorted(there, reverse=descending)
    assert values == there + [None] * (30 - len(there))


def test_records_that_arrive_between_two_pages_do_not_disturb_them(store: RecordStore) -> None:
    store.append([batch(0)])
    first = store.query(Query("modbus", limit=5))
    store.append([batch(1)])
    second = store.query(Query("modbus", limit=5, cursor=first.cursor))
    assert identities(second.rows) == [(0, row) for row in range(4, -1, -1)]


def test_filters_hold_together(store: RecordStore) -> None:
    columns = sample("modbus", 6)
    columns["client.ip"] = ["10.0.0.1", "10.0.0.2", None, "10.0.0.1", "192.168.1.1", "a'b"]
    columns["modbus.address"] = [1, 2, 3, None, 5, 6]
    store.append([batch(0, columns)])

    def rows(*filters: Filter) -> list[int]:
        return sorted(store.query(Query("modbus", filters)).rows["row"].to_list())

    assert rows(Filter("client.ip", "=", "10.0.0.1")) == [0, 3]
    assert rows(Filter("client.ip", "!=", "10.0.0.1")) == [1, 4, 5]
    assert rows(Filter("client.ip", "in", ["10.0.0.2", "a'b"])) == [1, 5]
    assert rows(Filter("client.ip", "starts_with", "10.")) == [0, 1, 3]
    assert rows(Filter("client.ip", "contains", "168")) == [4]
    assert rows(Filter("client.ip", "is_null")) == [2]
    assert rows(Filter("modbus.address", ">=", 2), Filter("modbus.address", "<", 6)) == [1, 2, 4]
    assert rows(Filter("modbus.address", "is_not_null"), Filter("client.ip", "=", "10.0.0.1")) == [0]
    assert rows(Filter("ts", ">", START + 3_000_000)) == [4, 5]
    assert rows(Filter("row", "=", 4)) == [4]


def test_a_time_range_takes_its_start_and_leaves_its_end(store: RecordStore) -> None:
    store.append([batch(0, {"ts": [START, START + 10**9, START + DAY, START + 2 * DAY]})])
    rows = store.query(Query("modbus", since=at(START + 10**9), until=at(START + 2 * DAY))).rows
    assert sorted(rows["row"].to_list()) == [1, 2]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        (Query("nothing"), "no table 'nothing'"),
        (Query("modbus", columns=["x"]), "no column 'x'"),
        (Query("modbus", [Filter('x" OR 1=1 --', "=", 1)]), "no column"),
        (Query("modbus", [Filter("client.ip", "=", 5)]), "cannot be compared"),
        (Query("modbus", [Filter("modbus.address", "=", "5")]), "cannot be compared"),
        (Query("modbus", [Filter("modbus.address", "contains", 5)]), "holds no text"),
        (Query("modbus", [Filter("modbus.values", "=", 5)]), "only be asked whether it is null"),
        (Query("modbus", [Filter("client.ip", "in", "10.0.0.1")]), "list of values"),
        (Query("modbus", [Filter("client.ip", "or", "x")]), "no operator"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        (Query("modbus", order=Order("x")), "cannot be sorted"),
        (Query("modbus", order=Order("modbus.values")), "cannot be sorted"),
        (Query("modbus", limit=0), "limit is 0"),
        (Query("modbus", limit=10_001), "limit is 10001"),
        (Query("modbus", cursor="nonsense"), "cursor"),
        (Query("modbus", cursor=""), "cursor"),
        (Query("modbus", since=datetime(2026, 1, 1)), "time zone"),  # noqa: DTZ001 - that is the point
    ],
)
def test_a_question_that_makes_no_sense_is_refused_in_one_line(store: RecordStore, query: Query, says: str) -> None:
    with pytest.raises(QueryError, match=says) as caught:
        store.query(query)
    assert "\n" not in str(caught.value)


def test_a_cursor_of_another_question_is_refused(store: RecordStore) -> None:
    store.append([batch(0)])
    cursor = store.query(Query("modbus", limit=5)).cursor
    for other in (
        Query("modbus", [Filter("modbus.unit_id", "=", 1)], limit=5, cursor=cursor),
        Query("modbus", order=Order("ts", descending=False), limit=5, cursor=cursor),
    ):
        with pytest.raises(QueryError, match="another question"):
            store.query(other)


def test_exact_records_are_found_by_identity_in_the_order_asked_for(store: RecordStore) -> None:
    store.append([batch(0), batch(1, table="point"), batch(2)])
    store.append([batch(3), batch(0, epoch="f" * 32)])
    wanted = [Identity("north", *place) for place in [(EPOCH, 3, 9), (EPOCH, 1, 0), ("f" * 32, 0, 4), (EPOCH, 0, 4)]]
    absent = [Identity("north", EPOCH, 0, 10), Identity("north", EPOCH, 9, 0), Identity("south", EPOCH, 0, 0)]
    found = store.records([*wanted, *absent, wanted[0]])
    assert list(found) == wanted
    assert [record["table"] for record in found.values()] == ["modbus", "point", "modbus", "modbus"]
    for identity, record in found.items():
        assert Identity(*(record[name] for name in ("sensor", "epoch", "sequence", "row"))) == identity  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    first = found[wanted[0]]
    assert first["ts"] == "2025-11-24T16:00:00.039000000Z"
    assert first["modbus.values"] == [9, 2, 3, 4]
    assert first["modbus.exception"] is None


def test_an_identity_is_written_and_read_as_text() -> None:
    identity = Identity("north/east", EPOCH, 5, 7)
    assert str(identity) == f"north/east/{EPOCH}/5/7"
    assert Identity.parse(str(identity)) == identity
    for text in ("", "a/b/c", "a/b/-1/2", "a/b/1/x"):
        with pytest.raises(QueryError, match="is not a record"):
            Identity.parse(text)


def test_sql_answers_over_all_that_is_stored_with_dotted_names_quoted_or_not(store: RecordStore) -> None:
    store.append([batch(0), batch(1)])
    asked = """
        SELECT client.ip, m."server.ip", count(*) AS n, max(m.modbus.bytes)
        FROM modbus m GROUP BY ALL HAVING client.ip <> 'client.ip'
    """
    answer = store.sql(asked)
    assert answer.columns[:3] == ["client.ip", "server.ip", "n"]
    assert answer["n"].sum() == 20
    store.append([batch(2)])
    assert store.sql(asked)["n"].sum() == 30


def test_the_summary_counts_rows_and_times(store: RecordStore) -> None:
    store.append([batch(0), batch(1), batch(2, table="point")])
    summary = {stored.table: stored for stored in store.tables()}
    assert summary["modbus"].rows == 20
    assert (summary["modbus"].first, summary["modbus"].last) == (START, START + 19 * 1_000_000)
    assert summary["modbus"].bytes > 0
    assert summary["flow"].rows == 0


def test_retention_removes_what_is_older_and_never_takes_a_removed_batch_again(store: RecordStore) -> None:
    store.append([batch(0)])
    store.append([batch(1, {"ts": [START + DAY, START + DAY + 1]})])
    assert store.retain(before=at(START + DAY)) == 10
    assert store.sql("SELECT count(*) FROM modbus").item() == 2
    assert store.append([batch(0)]).repeated == 1
    assert store.retain(max_bytes=0) == 2
    assert store.query(Query("modbus")).rows.height == 0


def test_a_batch_is_held_from_when_it_is_stored_and_still_when_retention_has_removed_it(reopen: Open) -> None:
    store = reopen()
    run, other = ("north", EPOCH), ("north", "f" * 32)
    assert not store.holds(run, 0)
    store.append([batch(0), batch(1), batch(4)], consumer="a", position=Position({"0": 9}, {run: 8}))

    def held() -> list[int]:
        return [sequence for sequence in range(10) if store.holds(run, sequence)]

    # Where a consumer stands says nothing of what is stored.
    assert held() == [0, 1, 4]
    assert not store.holds(other, 0)
    assert not store.holds(("south", EPOCH), 0)
    assert store.retain(max_bytes=0) == 30
    assert held() == [0, 1, 4]
    store = reopen()
    assert held() == [0, 1, 4]
    store.append([batch(2)])
    assert held() == [0, 1, 2, 4]


def _hangs_up(path: str) -> bool:
    del path
    return True


@pytest.fixture(params=["local", "elasticsearch"])
def losing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[RecordStore, Callable[[], None]]]:
    """Each implementation by name, and what takes away what it stands on."""
    with ExitStack() as stack:
        if request.param == "local":
            store: RecordStore = LocalRecordStore(tmp_path / "records", writer=True)
            lose: Callable[[], None] = lambda: shutil.rmtree(tmp_path / "records")  # noqa: E731
        else:
            settings = stack.enter_context(emptied(request.getfixturevalue("elastic")))
            before = stack.enter_context(proxy(settings.hosts))
            store = ElasticsearchRecordStore(
                settings.model_copy(update={"hosts": before.url, "patience_seconds": 1.0}), writer=True
            )
            lose = lambda: setattr(before, "hangs_up", _hangs_up)  # noqa: E731
        stack.callback(store.close)
        yield store, lose


def test_the_check_fails_in_one_line_once_the_store_cannot_be_asked(losing: tuple[RecordStore, Callable[[], None]]) -> None:
    store, lose = losing
    store.check()
    store.append([batch(0)])
    store.check()
    lose()
    with pytest.raises(StoreError) as caught:
        store.check()
    assert len(str(caught.value).splitlines()) == 1


def test_retention_by_size_removes_the_oldest_first(store: RecordStore) -> None:
    for sequence in range(3):
        store.append([batch(sequence, {"ts": [START + sequence * DAY]})])
    size = sum(stored.bytes for stored in store.tables())
    assert store.retain(max_bytes=size - 1) == 1
    assert sorted(store.query(Query("modbus")).rows["sequence"].to_list()) == [1, 2]


def test_upkeep_changes_no_answer(store: RecordStore) -> None:
    for sequence in range(40):
        store.append([batch(sequence, rows=3)])
    before = store.query(Query("modbus", limit=1000)).rows
    while store.merge():
        pass
    assert store.query(Query("modbus", limit=1000)).rows.equals(before)
    assert store.records([Identity("north", EPOCH, 17, 2)])
    assert store.append([batch(17, rows=3)]).repeated == 1


def grouped(store: RecordStore, grouping: Grouping) -> list[tuple[Any, ...]]:
    return sorted(store.groups(grouping).rows.rows(), key=repr)


def test_rows_are_counted_together_by_what_they_have_in_common(store: RecordStore) -> None:
    columns = sample("flow", 6)
    columns["ts"] = [START + second * 10**9 + 1_500_000 for second in range(6)]
    columns["client.ip"] = ["10.0.0.1", "10.0.0.1", "10.0.0.2", None, "10.0.0.1", "10.0.0.2"]
    columns["server.port"] = [502, 502, 502, 502, 102, 502]
    columns["flow.bytes_in"] = [1, 2, 4, 8, 16, 32]
    store.append([batch(0, {name: values[:4] for name, values in columns.items()}, table="flow")])
    store.append([batch(1, {name: values[4:] for name, values in columns.items()}, table="flow")])
    by = Grouping("flow", ["client.ip", "server.port"], sums=["flow.bytes_in"])
    at_ms = [START + second * 10**9 + 1_000_000 for second in range(6)]
    assert grouped(store, by) == [
        ("10.0.0.1", 102, 1, at_ms[4], at_ms[4], 16.0),
        ("10.0.0.1", 502, 2, at_ms[0], at_ms[1], 3.0),
        ("10.0.0.2", 502, 2, at_ms[2], at_ms[5], 36.0),
        (None, 502, 1, at_ms[3], at_ms[3], 8.0),
    ]
    some = replace(by, filters=[Filter("server.port", "=", 502)], since=at(START + 10**9), until=at(START + 3 * 10**9))
    assert [row[:3] for row in grouped(store, some)] == [("10.0.0.1", 502, 1), ("10.0.0.2", 502, 1)]
    assert store.groups(by).more is False
    fewer = store.groups(replace(by, limit=3))
    assert (fewer.rows.height, fewer.more) == (3, True)


def test_of_numbers_the_least_the_greatest_and_the_latest_are_told(store: RecordStore) -> None:
    columns = sample("point", 7)
    columns["ts"] = [START + place for place in (0, 1, 2, 2, 4, 5, 6)]
    columns["point.id"] = ["a", "a", "a", "a", "b", "b", "c"]
    columns["point.number"] = [5.0, -1.5, 2.0, 3.0, float("nan"), 7.0, float("inf")]
    store.append([batch(0, columns, table="point")])
    found = grouped(store, Grouping("point", ["point.id"], ranges=["point.number"]))
    assert [(row[0], row[1], *row[4:]) for row in found] == [
        ("a", 4, -1.5, 5.0, 3.0),
        ("b", 2, 7.0, 7.0, 7.0),
        ("c", 1, None, None, None),
    ]


def test_groups_come_whole_however_many_they_are(store: RecordStore) -> None:
    columns = sample("point", 1_200)
    columns["point.id"] = [f"holding:{number}@1" for number in range(1_200)]
    store.append([batch(0, columns, table="point")])
    found = store.groups(Grouping("point", ["point.id", "point.access"], ranges=["point.number"])).rows
    assert found["point.id"].n_unique() == found.height == 1_200
    assert store.groups(Grouping("modbus", ["client.ip"])).rows.height == 0


@pytest.mark.parametrize(
    ("grouping", "says"),
    [
        (Grouping("nothing", ["client.ip"]), "no table 'nothing'"),
        (Grouping("flow", ["x"]), "no column 'x'"),
        (Grouping("flow", ["ts"]), "cannot be grouped by 'ts'"),
        (Grouping("flow", []), "columns are wanted"),
        (Grouping("flow", ["client.ip"], sums=["server.ip"]), "nothing to add up in 'server.ip'"),
        (Grouping("flow", ["client.ip"], ranges=["vlan"]), "no range in 'vlan'"),
        (Grouping("flow", ["client.ip"], limit=0), "limit is 0"),
        (Grouping("flow", ["client.ip"], [Filter("client.ip", "=", 5)]), "cannot be compared"),
    ],
)
def test_a_grouping_that_makes_no_sense_is_refused(store: RecordStore, grouping: Grouping, says: str) -> None:
    with pytest.raises(QueryError, match=says):
        store.groups(grouping)
