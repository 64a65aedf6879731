"""How the local store lies on disk, and that no crash or neighbour changes what it answers."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from collector.records import decode
from collector.settings import StoreSettings
from collector.store import RecordBatch, StoreError
from collector.store import files as store_files
from collector.store.catalog import FORMAT_VERSION, Catalog
from collector.store.local import LocalRecordStore
from collector.stream import Position
from sensor.spool_format import BatchHeader
from tests.batches import EPOCH, START, encode, sample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

DAY = 86_400 * 10**9


def batch(
    sequence: int, columns: Mapping[str, Sequence[Any]] | None = None, *, rows: int = 4, table: str = "modbus"
) -> RecordBatch:
    columns = columns or sample(table, rows, seed=sequence, start=START + sequence * rows * 1_000_000)
    header = BatchHeader("north", EPOCH, sequence, table, len(columns["ts"]), "plant")
    return decode(header, encode(header, columns))


def parquet_files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).parent.as_posix() for path in folder.rglob("*.parquet"))


def count(store: LocalRecordStore) -> int:
    return int(store.sql("SELECT count(*) FROM modbus").item())


def test_rows_are_filed_by_table_and_day(tmp_path: Path) -> None:
    store = LocalRecordStore(tmp_path, writer=True)
    store.append([batch(0, {"ts": [START, START + DAY]}), batch(1, table="point")])
    assert parquet_files(tmp_path) == ["modbus/2025-11-24", "modbus/2025-11-25", "point/2025-11-24"]
    assert all(path.stat().st_mode & 0o77 == 0 for path in tmp_path.iterdir() if path.is_dir())


def test_wild_times_make_no_flood_of_files_and_are_still_found(tmp_path: Path) -> None:
    store = LocalRecordStore(tmp_path, writer=True)
    store.append([batch(0, {"ts": [START + day * DAY for day in range(200)]})])
    assert parquet_files(tmp_path) == ["modbus/2025-11-24"]
    assert store.sql(f"SELECT row FROM modbus WHERE epoch_ns(ts) = {START + 150 * DAY}").item() == 150


def test_batches_of_one_append_share_a_file(tmp_path: Path) -> None:
    store = LocalRecordStore(tmp_path, writer=True)
    store.append([batch(sequence) for sequence in range(50)])
    assert len(parquet_files(tmp_path)) == 1


def test_a_second_process_that_appends_is_refused_and_readers_are_not(tmp_path: Path) -> None:
    store = LocalRecordStore(tmp_path, writer=True)
    with pytest.raises(StoreError, match="another process appends"):
        LocalRecordStore(tmp_path, writer=True)
    reader = LocalRecordStore(tmp_path)
    with pytest.raises(StoreError, match="reading only"):
        reader.append([batch(0)])
    store.append([batch(0)])
    assert count(reader) == 4
    store.append([batch(1)])
    assert count(reader) == 8


def test_what_a_crash_left_before_it_counted_is_removed_and_nothing_else(tmp_path: Path) -> None:
    store = LocalRecordStore(tmp_path, writer=True)
    store.append([batch(0)])
    store.close()
    folder = tmp_path / "modbus" / "2025-11-24"
    (folder / "0123.parquet").write_bytes(b"whole, but not named")
    (folder / "4567.parquet.draft").write_bytes(b"half")
    reader = LocalRecordStore(tmp_path)
    assert count(reader) == 4
    assert len(list(folder.iterdir())) == 3
    store = LocalRecordStore(tmp_path, writer=True)
    assert len(list(folder.iterdir())) == 1
    assert count(store) == 4


@pytest.mark.parametrize("fail_at", [1, 2, 3])
def test_an_append_that_fails_at_any_file_stores_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fail_at: int) -> None:
    store = LocalRecordStore(tmp_path, writer=True)
    calls = 0
    real = store_files.write_file

    def failing(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == fail_at:
            raise OSError(28, "No space left on device")
        return real(*arguments)

    wanted = [
        batch(0),
        batch(1, table="point"),
        batch(2, {"ts": [START]}, table="modbus"),
        batch(3, table="device", columns={"ts": [1]}),
    ]
    with monkeypatch.context() as patch:
        patch.setattr("collector.store.local.write_file", failing)
        with pytest.raises(StoreError, match="No space left"):
            store.append(wanted, consumer="a", position=Position({"0": 4}))
    assert parquet_files(tmp_path) == []
    assert store.position("a") is None
    assert [stored.rows for stored in store.tables()] == [0] * len(store.tables())
    assert store.append(wanted).batches == 4


def test_a_commit_that_fails_stores_nothing_and_the_next_opening_cleans_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalRecordStore(tmp_path, writer=True)
    store.append([batch(0)])

    def fail(*_: object) -> None:
        raise StoreError("the disk failed")

    with monkeypatch.context() as patch:
        patch.setattr(Catalog, "stand", fail)
        with pytest.raises(StoreError):
            store.append([batch(1)], consumer="a", position=Position({"0": 2}))
    assert count(store) == 4
    store.close()
    store = LocalRecordStore(tmp_path, writer=True)
    assert len(parquet_files(tmp_path)) == 1
    assert store.append([batch(1)]).rows == 4


def test_many_small_files_become_few_and_each_record_stays_once(tmp_path: Path) -> None:
    settings = StoreSettings(merge_files=4, query_seconds=0.001, file_rows=1000)
    store = LocalRecordStore(tmp_path, writer=True, settings=settings)
    for sequence in range(64):
        store.append([batch(sequence)])
        while store.merge():
            assert store._catalog.summary("modbus").rows == 4 * (sequence + 1)  # pyright: ignore[reportPrivateUsage]
    assert len(store._catalog.files()) <= 6  # pyright: ignore[reportPrivateUsage]
    rows = pl.concat([pl.read_parquet(tmp_path / file.name) for file in store._catalog.files()])  # pyright: ignore[reportPrivateUsage]
    assert sorted(zip(rows["sequence"], rows["row"], strict=True)) == [
        (sequence, row) for sequence in range(64) for row in range(4)
    ]


def test_a_day_that_is_over_is_merged_whole(tmp_path: Path) -> None:
    store = LocalRecordStore(tmp_path, writer=True)
    for sequence in range(5):
        store.append([batch(sequence)])
    assert store.merge() == 0
    store.append([batch(5, {"ts": [START + DAY]})])
    assert store.merge() == 5
    assert store.merge() == 0


def test_a_file_of_other_types_keeps_no_others_from_being_merged(tmp_path: Path) -> None:
    store = LocalRecordStore(tmp_path, writer=True, settings=StoreSettings(merge_files=2))
    strange = batch(0)
    of_old = strange.rows.with_columns(pl.lit(None, pl.Enum(["x"])).alias("client.ip"))
    store.append([RecordBatch(strange.header, of_old)])
    for number in (1, 2):
        store.append([batch(number)])
    assert store.merge() == 2
    assert store.merge() == 0
    assert count(store) == 12


def test_merged_files_stay_within_their_bounds(tmp_path: Path) -> None:
    store = LocalRecordStore(tmp_path, writer=True, settings=StoreSettings(file_rows=1000, merge_files=2))
    for sequence in range(6):
        store.append([batch(sequence, rows=400)])
    while store.merge():
        pass
    assert sorted(file.rows for file in store._catalog.files()) == [800, 800, 800]  # pyright: ignore[reportPrivateUsage]


def test_files_merged_away_stay_while_a_query_may_read_them(tmp_path: Path) -> None:
    store = LocalRecordStore(tmp_path, writer=True, settings=StoreSettings(merge_files=2))
    store.append([batch(0)])
    store.append([batch(1)])
    assert store.merge() == 2
    assert store.merge() == 0
    assert len(parquet_files(tmp_path)) == 3
    store.close()
    store = LocalRecordStore(tmp_path, writer=True, settings=StoreSettings(merge_files=2, query_seconds=0.000_001))
    assert len(parquet_files(tmp_path)) == 3
    store.merge()
    assert len(parquet_files(tmp_path)) == 1


def test_answers_are_whole_batches_while_another_thread_appends_and_merges(tmp_path: Path) -> None:
    settings = StoreSettings(merge_files=2)
    store = LocalRecordStore(tmp_path, writer=True, settings=settings)
    store.append([batch(0)])
    reader = LocalRecordStore(tmp_path, settings=settings)
    done = threading.Event()
    seen: list[tuple[int, int]] = []

    def ask() -> None:
        while not done.is_set():
            total, distinct = reader.sql("SELECT count(*), count(DISTINCT (sequence, row)) FROM modbus").row(0)
            seen.append((int(total), int(distinct)))

    thread = threading.Thread(target=ask)
    thread.start()
    for sequence in range(1, 60):
        store.append([batch(sequence)])
        store.merge()
    done.set()
    thread.join()
    assert len(seen) > 1
    assert all(total == distinct and total % 4 == 0 for total, distinct in seen)
    assert [total for total, _ in seen] == sorted(total for total, _ in seen)


def test_a_column_that_older_files_lack_is_null_there(tmp_path: Path) -> None:
    store = LocalRecordStore(tmp_path, writer=True)
    given = batch(0)
    store.append([given])
    newer = batch(1)
    store.append([RecordBatch(newer.header, newer.rows.with_columns(pl.lit("x").alias("modbus.later")))])
    assert store.sql('SELECT "modbus.later" AS later, count(*) FROM modbus GROUP BY later ORDER BY later').rows() == [
        ("x", 4),
        (None, 4),
    ]


def test_a_store_of_a_newer_version_is_refused_and_left_to_the_byte(tmp_path: Path) -> None:
    store = LocalRecordStore(tmp_path, writer=True)
    store.append([batch(0)])
    store.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "catalog.db", isolation_level=None)) as database:
        # That version may keep its journal another way, too.
        database.execute("PRAGMA journal_mode = DELETE")
        database.execute(f"PRAGMA user_version = {FORMAT_VERSION + 1}")

    def everything() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != "lock"}

    before = everything()
    for writer in (False, True):
        with pytest.raises(
            StoreError, match=r"catalog\.db: written by a newer version \(format 2, this one reads 1\): update icsight"
        ):
            LocalRecordStore(tmp_path, writer=writer)
    assert everything() == before


def test_held_batches_are_remembered_in_a_few_intervals(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog.db")
    run = ("s", "e")
    for sequence in [5, 1, 3, 2, 9, 4, 7, 8, 6]:
        with catalog.transaction():
            catalog.hold(run, [sequence])
    assert [catalog.holds(run, sequence) for sequence in (0, 1, 5, 9, 10)] == [False, True, True, True, False]
    assert catalog._rows("SELECT first, last FROM held") == [(1, 9)]  # pyright: ignore[reportPrivateUsage]
