"""What may be asked in SQL, and what may not be reached by it."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

import duckdb
import pytest

from collector.records import decode
from collector.settings import StoreSettings
from collector.store import QueryError
from collector.store.local import LocalRecordStore
from collector.store.sql import SqlSession
from sensor.spool_format import BatchHeader
from tests.batches import EPOCH, encode, sample

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalRecordStore]:
    settings = StoreSettings(query_seconds=0.5, query_memory_bytes=128 * 1024**2, query_rows=1000)
    store = LocalRecordStore(tmp_path / "it's a plant" / "records", writer=True, settings=settings)
    header = BatchHeader("north", EPOCH, 0, "modbus", 100, "plant")
    store.append([decode(header, encode(header, sample("modbus", 100)))])
    (tmp_path / "secret.csv").write_text("a\nsecret\n")
    yield store
    store.close()


@pytest.mark.parametrize(
    "select",
    [
        "SELECT client.ip FROM modbus",
        "select CLIENT.IP from MODBUS",
        'SELECT "client.ip" FROM modbus',
        "SELECT modbus.client.ip FROM modbus",
        "SELECT m.client.ip FROM modbus AS m ORDER BY m.client.ip, client.port",
        "WITH busy AS (SELECT client.ip, row FROM modbus GROUP BY client.ip, row) SELECT client.ip FROM busy",
        "SELECT client.ip FROM modbus WHERE client.ip IN (SELECT server.ip FROM modbus) OR true",
        "/* client.ip */ SELECT client.ip -- 'client.ip'\nFROM modbus;",
        "SELECT 'é', client.ip FROM modbus",
        "FROM modbus",
    ],
)
def test_dotted_names_are_columns_wherever_a_column_can_stand(store: LocalRecordStore, select: str) -> None:
    answer = store.sql(select)
    assert answer.height == 100
    assert set(answer["client.ip"].str.head(3).to_list()) == {"10."}


def test_a_dotted_name_in_a_text_stays_text(store: LocalRecordStore) -> None:
    assert store.sql("SELECT 'client.ip' AS a, '''client.ip' AS b FROM modbus LIMIT 1").row(0) == ("client.ip", "'client.ip")


def test_elements_of_lists_and_the_columns_named_like_their_table_can_be_asked(store: LocalRecordStore) -> None:
    answer = store.sql("SELECT modbus.values[1] AS first, len(modbus.values) FROM modbus ORDER BY row LIMIT 3")
    assert answer.rows() == [(0, 4), (1, 4), (2, 4)]


def test_columns_of_one_name_are_told_apart(store: LocalRecordStore) -> None:
    assert store.sql("SELECT row, row, row FROM modbus LIMIT 1").columns == ["row", "row_2", "row_3"]


@pytest.mark.parametrize(
    "statement",
    [
        "DROP VIEW modbus",
        "CREATE TABLE t (x int)",
        "INSERT INTO modbus SELECT * FROM modbus",
        "COPY modbus TO '/tmp/x.csv'",
        "COPY (SELECT 1) TO '/tmp/x.csv'",
        "ATTACH '/tmp/x.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "PRAGMA database_list",
        "EXPORT DATABASE '/tmp/x'",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP VIEW modbus",
        "",
        "   ;",
        "SELECT",
        "nonsense",
    ],
)
def test_anything_but_one_select_is_refused_in_one_line(store: LocalRecordStore, statement: str) -> None:
    with pytest.raises(QueryError) as caught:
        store.sql(statement)
    assert "\n" not in str(caught.value)
    assert str(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        "read_csv('{folder}/secret.csv')",
        "read_text('{folder}/secret.csv')",
        "read_blob('{folder}/records/catalog.db')",
        "'{folder}/secret.csv'",
        '"{folder}/secret.csv"',
        "parquet_metadata('{folder}/records/*/*/*.parquet')",
        "glob('{folder}/*')",
        "query('SELECT 1')",
        "query_table('modbus')",
        "json_execute_serialized_sql('x')",
        "duckdb_settings()",
        "duckdb_secrets()",
        "information_schema.tables",
        "pg_catalog.pg_tables",
        "sqlite_master",
        "memory.main.modbus",
        "system.information_schema.tables",
        "(SHOW TABLES)",
    ],
)
def test_files_settings_and_catalogues_cannot_be_reached(store: LocalRecordStore, source: str, tmp_path: Path) -> None:
    source = source.format(folder=str(tmp_path))
    for select in (
        f"SELECT * FROM {source}",
        f"SELECT (SELECT count(*) FROM {source}) FROM modbus",
        f"WITH a AS (SELECT * FROM {source}) SELECT * FROM a",
        f"SELECT 1 UNION ALL SELECT count(*) FROM {source}",
        f"SELECT * FROM modbus WHERE EXISTS (SELECT 1 FROM {source})",
    ):
        with pytest.raises(QueryError):
            store.sql(select)


def test_the_engine_itself_refuses_files_and_changes_of_settings(store: LocalRecordStore, tmp_path: Path) -> None:
    session = store._sql  # pyright: ignore[reportPrivateUsage] - behind the check of what is asked
    for statement in (
        f"SELECT * FROM read_csv('{tmp_path}/secret.csv')",
        f"SELECT * FROM '{tmp_path}/secret.csv'",
        f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
        "SET enable_external_access = true",
        "SET memory_limit = '100GB'",
        f"ATTACH '{tmp_path}/other.db'",
        "LOAD httpfs",
    ):
        with pytest.raises(QueryError):
            session.run(statement, (), 10)
    assert not (tmp_path / "out.csv").exists()
    assert not (tmp_path / "other.db").exists()


def test_a_query_that_takes_too_long_is_stopped_and_the_next_one_runs(store: LocalRecordStore) -> None:
    with pytest.raises(QueryError, match=r"took longer than 0\.5 s"):
        store.sql("SELECT count(*) FROM range(100000000000)")
    assert store.sql("SELECT count(*) FROM modbus").item() == 100


def test_a_query_that_needs_too_much_memory_is_refused(tmp_path: Path) -> None:
    settings = StoreSettings(query_seconds=60, query_memory_bytes=64 * 1024**2)
    store = LocalRecordStore(tmp_path / "records", settings=settings)
    with pytest.raises(QueryError, match="more than 64 MiB"):
        store.sql("SELECT list(a.range) FROM range(100000000) a")
    store.close()


def test_an_answer_of_too_many_rows_is_refused_not_cut(store: LocalRecordStore) -> None:
    assert store.sql("SELECT * FROM range(1000)").height == 1000
    with pytest.raises(QueryError, match="more than 1,000 rows"):
        store.sql("SELECT * FROM range(1001)")
    with pytest.raises(QueryError, match="more than 5 rows"):
        store.sql("SELECT * FROM modbus", max_rows=5)


def test_a_sum_of_integers_is_an_integer(store: LocalRecordStore) -> None:
    assert store.sql("SELECT sum(modbus.bytes) FROM modbus").rows() == [(2900,)]


def test_the_order_that_was_asked_for_is_kept(store: LocalRecordStore) -> None:
    assert store.sql("SELECT range r FROM range(1000) ORDER BY r DESC")["r"].to_list() == list(range(999, -1, -1))


def test_an_unknown_column_is_named(store: LocalRecordStore) -> None:
    with pytest.raises(QueryError, match="nothing"):
        store.sql("SELECT nothing FROM modbus")


def test_a_session_is_closed_while_others_use_it(tmp_path: Path) -> None:
    for _ in range(20):
        session = SqlSession(tmp_path, StoreSettings())
        begun = threading.Event()

        def define(session: SqlSession = session, begun: threading.Event = begun) -> None:
            with contextlib.suppress(duckdb.Error):
                while True:
                    begun.set()
                    session.define("x", "SELECT 1 AS a")

        thread = threading.Thread(target=define)
        thread.start()
        begun.wait()
        session.close()
        thread.join()


def test_a_session_is_closed_while_a_question_is_answered_which_is_given_up(tmp_path: Path) -> None:
    session = SqlSession(tmp_path, StoreSettings())
    ended: list[str] = []

    def ask() -> None:
        try:
            session.run("SELECT count(*) FROM range(100000000000) WHERE range % 3 = 1", (), 10)
        except QueryError as error:
            ended.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    while not session._asked:  # pyright: ignore[reportPrivateUsage]  nothing else tells that it has begun
        time.sleep(0.01)
    time.sleep(0.3)
    session.close()
    thread.join(30)
    assert not thread.is_alive()
    assert len(ended) == 1
