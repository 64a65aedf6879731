"""What goes when a spool has no room for all, what stays, and how readers are told."""

from __future__ import annotations

import io
import os
import random
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl
import pytest

from collector.records import decode, identified
from collector.stream.local import LocalStream
from sensor import spool_reader
from sensor.spool import BatchHeader, Spool, SpoolReader, SpoolSettings
from sensor.spool_format import ROW, segment_path, segments
from sensor.spool_reader import read_mark
from sensor.spool_room import Room
from sensor.spool_thinning import Thinning
from sensor.tables import TABLES
from sensor.value import BULK, ORDER, READS
from tests.batches import EPOCH, encode, sample

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sensor.spool_format import Mark

MODBUS = ("read", "write", "read", "diagnostic", "read_write")
"""Accesses of the rows of a batch of `modbus`, in turn."""

SETTINGS = SpoolSettings(segment_bytes=64 * 1024, quota_bytes=512 * 1024, overflow="least_valuable")
CUT = ("modbus", "point", "violation")
ROWS = 40


def header(sequence: int, table: str, rows: int = ROWS) -> BatchHeader:
    cut, place = divmod(sequence, len(CUT))
    return BatchHeader("north", EPOCH, sequence, table, rows, "plant", cut, cut, cut + 1, place == len(CUT) - 1)


def batch(sequence: int, rows: int = ROWS) -> tuple[BatchHeader, bytes]:
    """A batch of the stream that these tests append: in each cut Modbus requests, points and violations."""
    table = CUT[sequence % len(CUT)]
    columns = sample(table, rows, seed=sequence)
    if table == "modbus":
        columns["modbus.access"] = [MODBUS[row % len(MODBUS)] for row in range(rows)]
        # What no compression makes small: segments fill.
        columns["modbus.data"] = [os.urandom(60) for _ in range(rows)]
    if table == "point":
        columns["point.number"] = [float(value) for value in os.urandom(rows)]
    return header(sequence, table, rows), encode(header(sequence, table, rows), columns)


def append(spool: Spool, start: int, end: int) -> list[tuple[BatchHeader, bytes]]:
    made = [batch(sequence) for sequence in range(start, end)]
    for known, data in made:
        spool.append(known, data)
    return made


def stay(table: str, levels: int) -> list[int]:
    """Row numbers of a batch that are left when so many classes of value have gone."""
    if levels >= 1 and table == "point":
        return []
    if levels >= 2 and table == "modbus":
        return [row for row in range(ROWS) if MODBUS[row % len(MODBUS)] != "read"]
    return list(range(ROWS))


def held(folder: Path) -> list[tuple[BatchHeader, bytes]]:
    return [(each.header, each.data) for each in SpoolReader(folder).read(0)]


def rows_of(known: BatchHeader, data: bytes) -> list[int]:
    """Row numbers of a batch as it is held."""
    if not known.rows:
        assert data == b""
        return []
    frame = pl.read_ipc_stream(io.BytesIO(data))
    assert frame.height == known.rows
    return frame[ROW].to_list() if known.dropped else list(range(known.rows))


def test_values_go_first_then_reads_each_from_the_oldest_on_and_nothing_else(tmp_path: Path) -> None:
    with Spool(tmp_path, settings=SETTINGS) as spool:
        made = append(spool, 0, 400)
        assert spool.size_bytes + SETTINGS.segment_bytes <= SETTINGS.quota_bytes
        room, removed = spool.room, spool.removed_rows
    found = held(tmp_path)
    first = found[0][0].sequence
    assert [known.sequence for known, _ in found] == list(range(first, 400)), "a batch has no place any more"
    level = len(ORDER)
    for (known, data), (was, before) in zip(found, made[first:], strict=True):
        left = rows_of(known, data)
        assert replace(known, rows=was.rows, dropped=0) == was
        assert known.rows + known.dropped == was.rows
        possible = [level for level in range(len(ORDER) + 1) if stay(was.table, level) == left]
        assert possible, f"{was.table}: rows {left}"
        # How many classes are gone never rises on the way from the oldest to the newest.
        level = min(level, possible[-1])
        assert possible[0] <= level, "something newer went before something older"
        whole = decode(was, before)
        thinned = decode(known, data)
        assert thinned.rows.equals(whole.rows[left])
        assert identified([thinned]).equals(identified([whole])[left])
    dropped = {table: sum(known.dropped for known, _ in found if known.table == table) for table in CUT}
    assert dropped["violation"] == 0
    assert room.values > 0
    assert room.reads > 0
    # All that was appended is there, or counted.
    assert sum(known.rows + known.dropped for known, _ in found) + removed == 400 * ROWS
    assert removed == first * ROWS
    assert room.values + room.reads + room.records == removed + sum(dropped.values())


def test_nothing_but_values_goes_while_that_is_enough(tmp_path: Path) -> None:
    with Spool(tmp_path, settings=replace(SETTINGS, quota_bytes=960 * 1024)) as spool:
        append(spool, 0, 400)
        assert spool.room.values > 0
        assert (spool.room.reads, spool.room.records, spool.removed_rows) == (0, 0, 0)
    assert all(known.table == "point" for known, _ in held(tmp_path) if known.dropped)


def test_a_consumer_is_told_of_dropped_rows_and_of_no_gap(tmp_path: Path) -> None:
    with Spool(tmp_path, settings=replace(SETTINGS, quota_bytes=960 * 1024)) as spool:
        append(spool, 0, 400)
        spool.sync()
        consumer = LocalStream(tmp_path, spool).subscribe("store")
        deliveries = [delivery for _ in range(20) for delivery in consumer.poll(0)]
        assert [delivery.header.sequence for delivery in deliveries] == list(range(400))
        assert [delivery.gap for delivery in deliveries] == [None] * 400
        assert sum(delivery.header.dropped for delivery in deliveries) == spool.room.values
        decoded = [decode(delivery.header, delivery.data) for delivery in deliveries]
        assert all(each.rows.schema == TABLES[each.header.table].schema for each in decoded)
        cuts = [delivery.header.cut_last for delivery in deliveries]
        assert cuts == [sequence % len(CUT) == len(CUT) - 1 for sequence in range(400)]


def test_a_reader_in_a_segment_that_is_thinned_reads_it_to_its_end_as_it_was(tmp_path: Path) -> None:
    with Spool(tmp_path, settings=replace(SETTINGS, quota_bytes=1 << 30)) as spool:
        made = append(spool, 0, 60)
        with SpoolReader(tmp_path) as reader:
            reading = reader.read(0)
            found = [next(reading) for _ in range(5)]
            thin(tmp_path, segments(tmp_path)[0], 0)
            found += list(reading)
        border = segments(tmp_path)[1]
    assert [(each.header, each.data) for each in found[:border]] == made[:border]
    assert [each.number for each in found] == list(range(60))


def test_a_mark_that_was_read_before_its_segment_was_thinned_shows_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Spool(tmp_path, settings=replace(SETTINGS, quota_bytes=1 << 30)) as spool:
        append(spool, 0, 30)
        before = read_mark(tmp_path)
        assert before is not None
        append(spool, 30, 90)
        assert segments(tmp_path)[1] > 30, "the mark lies in another segment"
        thin(tmp_path, segments(tmp_path)[0], 0)
        # Where a batch lies in the new file has nothing to do with where it lay in the old one.
        stale = replace(before, offset=before.offset // 3)

        def read_stale(folder: Path) -> Mark:
            del folder
            return stale

        monkeypatch.setattr(spool_reader, "read_mark", read_stale)
        assert [each.number for each in SpoolReader(tmp_path).read(0)] == list(range(30))


def thin(folder: Path, first: int, level: int) -> Thinning:
    thinning = Thinning(folder, first, level)
    while not thinning.done:
        thinning.step(1000)
    thinning.finish()
    return thinning


def test_thinning_twice_keeps_row_numbers_and_counts_all_that_went(tmp_path: Path) -> None:
    with Spool(tmp_path, settings=replace(SETTINGS, quota_bytes=1 << 30)) as spool:
        append(spool, 0, 60)
    first, border = segments(tmp_path)[:2]
    counts = [thin(tmp_path, first, level).dropped for level in (0, 1)]
    found = held(tmp_path)[:border]
    assert sum(counts) == sum(known.dropped for known, _ in found)
    for known, data in found:
        assert rows_of(known, data) == stay(known.table, 2)
    # Once more finds nothing to drop.
    assert thin(tmp_path, first, 1).dropped == 0
    assert held(tmp_path)[:border] == found


def test_a_batch_that_loses_rows_of_two_classes_counts_both(tmp_path: Path) -> None:
    services = ["Publish", "Browse", "Write", "Publish"]
    with Spool(tmp_path, settings=replace(SETTINGS, quota_bytes=1 << 30)) as spool:
        for sequence in range(400):
            known = header(sequence, "opcua_item", 4)
            columns = {**sample("opcua_item", 4, seed=sequence), "opcua.service": services, "opcua.event_severity": [None] * 4}
            spool.append(known, encode(known, columns))
    first, border = segments(tmp_path)[:2]
    assert [thin(tmp_path, first, level).dropped for level in (0, 1)] == [2 * border, border]
    for known, data in held(tmp_path)[:border]:
        assert (known.rows, known.dropped) == (1, 3)
        assert rows_of(known, data) == [2]


def test_damage_in_a_segment_is_still_damage_when_it_has_been_thinned(tmp_path: Path) -> None:
    with Spool(tmp_path, settings=replace(SETTINGS, quota_bytes=1 << 30)) as spool:
        append(spool, 0, 60)
    first, border = segments(tmp_path)[:2]
    path = segment_path(tmp_path, first)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    before = damaged(tmp_path, border)
    assert before[1] > 0
    thin(tmp_path, first, 0)
    assert damaged(tmp_path, border) == before


def damaged(folder: Path, end: int) -> tuple[list[int], int]:
    """Numbers before `end` that can be read, and how many damages were met."""
    from sensor.spool import DamagedFrame  # noqa: PLC0415

    found: list[int] = []
    number = damages = 0
    reader = SpoolReader(folder)
    while number < end:
        try:
            for each in reader.read(number):
                number = each.number + 1
                found += [each.number] if each.number < end else []
        except DamagedFrame as damage:
            damages += damage.resume <= end
            number = damage.resume
    return found, damages


def test_bytes_that_are_no_batch_stay_as_they_are(tmp_path: Path) -> None:
    with Spool(tmp_path, settings=replace(SETTINGS, quota_bytes=1 << 30)) as spool:
        foreign = [(header(sequence, "opcua_item"), os.urandom(5000)) for sequence in range(30)]
        for known, data in foreign:
            spool.append(known, data)
    first, border = segments(tmp_path)[:2]
    assert thin(tmp_path, first, 0).dropped == 0
    assert held(tmp_path)[:border] == foreign[:border]


@pytest.mark.parametrize("change", [{"quota_bytes": 1024**2}, {"age_seconds": 3600}])
def test_bounds_that_are_made_smaller_are_reached_along_with_appends_and_hold_up_none(
    tmp_path: Path, change: dict[str, int]
) -> None:
    now = 0.0
    large = replace(SETTINGS, quota_bytes=16 * 1024**2, retention_bytes=16 * 1024**2)
    noise = random.Random(1)
    with Spool(tmp_path, settings=large, seconds=lambda: now) as spool:

        def take(sequence: int) -> None:
            nonlocal now
            now += 1
            spool.append(BatchHeader("s", spool.identity.epoch, sequence, "modbus", ROWS), noise.randbytes(20_000))

        for sequence in range(300):
            take(sequence)
        now += 2 * 3600
        spool.adjust(replace(large, **change))
        start = before = spool.size_bytes
        for sequence in range(300, 500):
            take(sequence)
            assert before - spool.size_bytes < 1.5 * 1024**2, "an append waited until all was done"
            before = spool.size_bytes
            assert before <= start + SETTINGS.segment_bytes
        assert spool.size_bytes <= spool.settings.quota_bytes
        oldest = next(SpoolReader(tmp_path).read(0)).header.sequence
        # Whole segments go: the last of those before may lie in one with the first of those behind.
        assert oldest > 290
        assert spool.removed_rows == oldest * ROWS


def test_an_append_does_not_wait_until_all_that_is_released_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remove = Room.remove_released
    begun = threading.Event()

    def slowly(room: Room) -> bool:
        begun.set()
        time.sleep(0.1)
        return remove(room)

    with Spool(tmp_path, settings=replace(SETTINGS, quota_bytes=16 * 1024**2, retention_bytes=16 * 1024**2)) as spool:
        for sequence in range(150):
            spool.append(BatchHeader("s", "e", sequence, "modbus", ROWS), os.urandom(20_000))
        spool.sync()
        segment_count = len(segments(tmp_path))
        spool.adjust(replace(spool.settings, retention_bytes=0))
        monkeypatch.setattr(Room, "remove_released", slowly)
        releasing = threading.Thread(target=spool.release, args=(150,))
        releasing.start()
        begun.wait()
        spool.append(BatchHeader("s", "e", 150, "modbus", ROWS), os.urandom(20_000))
        left = len(segments(tmp_path))
        releasing.join()
        assert left > segment_count / 2, "an append waited until all was done"
        assert len(segments(tmp_path)) <= 2


def test_what_consumers_have_released_goes_before_anything_is_dropped(tmp_path: Path) -> None:
    with Spool(tmp_path, settings=SETTINGS) as spool:
        for start in range(0, 400, 20):
            append(spool, start, start + 20)
            spool.release(start)
        assert (spool.room.values, spool.room.reads, spool.room.records, spool.removed_rows) == (0, 0, 0, 0)
        assert spool.depth <= 40
    assert held(tmp_path)[0][0].sequence > 0


def test_with_a_bound_of_age_what_is_older_goes_by_the_time_that_the_spool_was_open(tmp_path: Path) -> None:
    now = [1000.0]
    settings = replace(SETTINGS, quota_bytes=1 << 30, age_seconds=160)

    def open_spool() -> Spool:
        return Spool(tmp_path, settings=settings, seconds=lambda: now[0])

    spool, expired = open_spool(), 0
    for sequence in range(60):
        spool.append(*batch(sequence))
        now[0] += 10
        if sequence % 20 == 19:
            # Time in which it is closed is not counted; nor is what the clock says when it is started anew.
            expired += spool.room.expired
            spool.close()
            now[0] = 5.0 * sequence
            spool = open_spool()
    removed = spool.removed_rows
    spool.close()
    kept = [known.sequence for known, _ in held(tmp_path)]
    assert kept == list(range(kept[0], 60))
    # Whole segments go, and each spans a sixteenth of the age: ten seconds, one batch.
    assert 60 - 160 / 10 - 2 <= kept[0] <= 60 - 160 / 10 + 1
    assert expired == removed == kept[0] * ROWS


def test_no_class_names_what_tables_do_not_have() -> None:
    for value in ORDER:
        for table, rows in value.tables.items():
            if rows is None:
                assert table in TABLES
                continue
            column = TABLES[table].column(rows.column)
            known = ("true", "false") if column.kind == "bool" else column.values
            assert set(rows.values) <= set(known)
            assert rows.unless is None or TABLES[table].column(rows.unless).nullable
    assert not {"violation", "device", "sensor", "alert"} & {*BULK.tables, *READS.tables}


def test_an_event_of_opc_ua_is_no_value(tmp_path: Path) -> None:
    columns = {
        **sample("opcua_item", 4),
        "opcua.service": ["Publish", "Publish", "Write", "Browse"],
        "opcua.event_severity": [None, 700, None, None],
    }
    known = header(0, "opcua_item", 4)
    thinned, left = BULK.dropped_from("opcua_item", encode(known, columns))
    assert left == 3
    assert pl.read_ipc_stream(io.BytesIO(thinned))[ROW].to_list() == [1, 2, 3]
    again, left = READS.dropped_from("opcua_item", thinned)
    assert left == 2
    assert pl.read_ipc_stream(io.BytesIO(again))[ROW].to_list() == [1, 2]


@pytest.mark.parametrize("data", [b"", b"x" * 100, bytes(1000)])
def test_what_is_no_batch_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        READS.dropped_from("modbus", data)


def test_a_removal_that_a_kill_interrupted_is_finished_and_counted_once(tmp_path: Path) -> None:
    with Spool(tmp_path, settings=SETTINGS) as spool:
        append(spool, 0, 400)
        removed = spool.removed_rows
    oldest = segment_path(tmp_path, segments(tmp_path)[0]).read_bytes()
    first, below = segments(tmp_path)[:2]
    room = Room(tmp_path, least_valuable=True, reserve_bytes=SETTINGS.segment_bytes)
    while room.firsts[0] == first:
        room.give_way()
    counted = room.removed_rows
    assert counted > removed
    segment_path(tmp_path, first).write_bytes(oldest)
    with Spool(tmp_path, settings=SETTINGS) as spool:
        assert spool.removed_rows == counted
        assert segments(tmp_path)[0] == below


def sequences(found: Sequence[tuple[BatchHeader, bytes]]) -> list[int]:
    return [known.sequence for known, _ in found]


def test_a_kill_while_a_segment_is_thinned_leaves_it_as_it_was(tmp_path: Path) -> None:
    with Spool(tmp_path, settings=replace(SETTINGS, quota_bytes=1 << 30)) as spool:
        append(spool, 0, 60)
    before = held(tmp_path)
    thinning = Thinning(tmp_path, segments(tmp_path)[0], 0)
    thinning.step(20_000)
    # As a kill would leave it: the draft stays.
    with Spool(tmp_path, settings=replace(SETTINGS, quota_bytes=1 << 30)) as spool:
        assert list(tmp_path.glob("*.draft")) == []
        append(spool, 60, 63)
    assert held(tmp_path)[:60] == before
    assert sequences(held(tmp_path)) == list(range(63))
