"""Small batches take a fraction of their bytes on the disk, and come back as they were."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.spool import BatchHeader, DamagedFrame, Spool, SpoolReader, SpoolSettings
from sensor.spool_format import segment_path, segments
from sensor.spool_packing import LEANING_BATCHES, PACKED_BYTES, Packer
from tests.batches import EPOCH, encode, sample

if TYPE_CHECKING:
    from pathlib import Path


def batches(count: int, rows: int = 6) -> list[tuple[BatchHeader, bytes]]:
    """What the cuts of a quiet plant look like: a few Modbus requests each."""
    made: list[tuple[BatchHeader, bytes]] = []
    for sequence in range(count):
        header = BatchHeader("north", EPOCH, sequence, "modbus", rows, "plant", sequence)
        made.append((header, encode(header, sample("modbus", rows, seed=sequence))))
    return made


def test_a_batch_of_a_few_rows_takes_a_tenth_of_its_bytes(tmp_path: Path) -> None:
    made = batches(200)
    with Spool(tmp_path) as spool:
        for header, data in made:
            spool.append(header, data)
        written, given_bytes = spool.size_bytes, sum(len(data) for _, data in made)
    assert [(each.header, each.data) for each in SpoolReader(tmp_path).read(0)] == made
    assert written < given_bytes / 10


def test_what_is_written_is_counted_to_the_byte(tmp_path: Path) -> None:
    with Spool(tmp_path, settings=SpoolSettings(segment_bytes=64 * 1024)) as spool:
        before = spool.bytes_written
        sizes = spool.size_bytes
        for header, data in batches(400):
            spool.append(header, data)
        # A mark is written with each flush of the disk, and once more with each new segment.
        marks = spool.counters.syncs + len(segments(tmp_path)) - 1
        mark_bytes = (tmp_path / "mark").stat().st_size
        assert spool.bytes_written - before == spool.size_bytes - sizes + marks * mark_bytes
        assert len(segments(tmp_path)) > 1


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.binary(max_size=400), st.integers(0, 300)), max_size=150))
def test_any_batches_come_back_wherever_reading_starts(
    tmp_path_factory: pytest.TempPathFactory, made: list[tuple[str, bytes, int]]
) -> None:
    folder = tmp_path_factory.mktemp("packed")
    contents = [piece * times for _, piece, times in made]
    with Spool(folder, settings=SpoolSettings(segment_bytes=64 * 1024, sync="explicit")) as spool:
        for sequence, ((table, _, _), data) in enumerate(zip(made, contents, strict=True)):
            spool.append(BatchHeader("s", "e", sequence, table, 1), data)
    assert [each.data for each in SpoolReader(folder).read(0)] == contents
    for start in range(0, len(contents), 7):
        assert [each.data for each in SpoolReader(folder).read(start, 3)] == contents[start : start + 3]


def test_large_batches_are_left_as_they_are() -> None:
    data = bytes(PACKED_BYTES + 1)
    assert Packer().pack("t", data, 0).data is data


def test_damage_to_a_batch_that_others_lean_on_costs_these_and_no_more_and_is_said(tmp_path: Path) -> None:
    made = batches(2 * LEANING_BATCHES + 10)
    with Spool(tmp_path) as spool:
        for header, data in made:
            spool.append(header, data)
    path = segment_path(tmp_path, segments(tmp_path)[-1])
    content = bytearray(path.read_bytes())
    content[2000] ^= 1  # in the bytes of the first batch
    path.write_bytes(content)
    found: list[int] = []
    lost: list[int] = []
    reader = SpoolReader(tmp_path)
    number = 0
    while number < len(made):
        try:
            for each in reader.read(number):
                assert each.data == made[each.number][1]
                found.append(each.number)
                number = each.number + 1
        except DamagedFrame as damage:
            lost.append(-1 if damage.header is None else damage.header.sequence)
            number = damage.resume
    assert lost == list(range(LEANING_BATCHES + 1))
    assert found == list(range(LEANING_BATCHES + 1, len(made)))


def test_what_was_taken_back_is_leant_on_by_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = batches(6)
    with Spool(tmp_path, settings=SpoolSettings(sync="explicit")) as spool:

        def fail(file: int) -> None:
            raise OSError(5, os.strerror(5))

        spool.append(*made[0])
        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", fail)
            with pytest.raises(Exception, match="disk failed"):
                spool.sync()
        for header, data in made:
            spool.append(header, data)
    assert [each.data for each in SpoolReader(tmp_path).read(0)] == [data for _, data in made]
