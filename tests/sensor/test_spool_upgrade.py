"""A spool that the format before has written: read where it lies, and recorded on into.

`spool_of_format_1.tar.xz` was written by the last commit of that format: two segments, a live run and one of a capture, and a
consumer that has had two of six batches.
"""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from collector.dead_letters import LetterFolder
from collector.store.local import LocalRecordStore
from collector.stream import Position
from collector.stream.local import LocalStream
from collector.writer import Writer
from sensor.spool import BatchHeader, DamagedFrame, Spool, SpoolError, SpoolReader, SpoolSettings
from sensor.spool_format import (
    FORMAT_VERSION,
    Mark,
    decode_head,
    encode_mark,
    head_bytes,
    segment_path,
    segments,
)
from sensor.spool_search import search
from sensor.spool_thinning import Thinning, frames
from tests.batches import encode, sample

if TYPE_CHECKING:
    from collections.abc import Mapping

WRITTEN = Path(__file__).parent / "spool_of_format_1.tar.xz"
LIVE, CAPTURE = "9b364226622e673a9f3258e71878051f", "c" * 32
HELD = [(LIVE, 0), (LIVE, 1), (CAPTURE, 0), (LIVE, 2), (LIVE, 3), (CAPTURE, 1)]
ROWS = [4, 3, 2, 1500, 5, 2]
SMALL = SpoolSettings(segment_bytes=64 * 1024)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The spool as it was left."""
    with tarfile.open(WRITTEN) as archive:
        archive.extractall(tmp_path / "spool", filter="data")
    return tmp_path / "spool"


def next_live(sequence: int = 4) -> tuple[BatchHeader, bytes]:
    header = BatchHeader("north", LIVE, sequence, "modbus", 3, "plant", sequence)
    return header, encode(header, sample("modbus", 3))


def held(folder: Path, start: int = 0) -> list[tuple[str, int]]:
    return [(batch.header.epoch, batch.header.sequence) for batch in SpoolReader(folder).read(start)]


def held_beside_damage(folder: Path) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    reader, number = SpoolReader(folder), 0
    while number < reader.end:
        try:
            for batch in reader.read(number):
                found.append((batch.header.epoch, batch.header.sequence))
                number = batch.number + 1
        except DamagedFrame as damage:
            number = damage.resume
    return found


def contents(folder: Path) -> Mapping[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.segment")}


def version(folder: Path, first: int) -> int:
    content = segment_path(folder, first).read_bytes()
    decoded = decode_head(content, folder)
    assert decoded is not None
    return decoded[0].version


def test_it_is_read_where_it_lies(folder: Path) -> None:
    before = contents(folder)
    found = list(SpoolReader(folder).read(0))
    assert [batch.number for batch in found] == list(range(6))
    assert [batch.header.run[1] for batch in found] == [epoch for epoch, _ in HELD]
    assert [batch.header.rows for batch in found] == ROWS
    assert [batch.header.cut_last for batch in found] == [False, *[True] * 5]
    assert {(batch.header.sensor, batch.header.site, batch.header.dropped) for batch in found} == {("north", "plant", 0)}
    assert held(folder, 4) == HELD[4:]
    assert SpoolReader(folder).standing() == (6, {("north", LIVE): 3, ("north", CAPTURE): 1})
    assert contents(folder) == before


def test_recording_goes_on_in_a_segment_of_this_version_and_nothing_is_lost_or_doubled(folder: Path, tmp_path: Path) -> None:
    before = contents(folder)
    with Spool(folder, sensor="north", site="plant", settings=SMALL) as spool:
        assert (spool.counters.damaged, spool.counters.torn_bytes, spool.identity.epoch) == (0, 0, LIVE)
        assert spool.next_number == 6
        assert spool.append(*next_live(3)) is None, "it has this one already"
        assert spool.append(*next_live(4)) == 6
        assert spool.size_bytes == sum(path.stat().st_size for path in folder.glob("*.segment"))
    with Spool(folder) as spool:
        assert spool.append(*next_live(5)) == 7
    assert segments(folder) == [0, 4, 6]
    assert [version(folder, first) for first in segments(folder)] == [1, 1, FORMAT_VERSION]
    assert {name: content for name, content in contents(folder).items() if name in before} == before
    assert held(folder) == [*HELD, (LIVE, 4), (LIVE, 5)]
    store = LocalRecordStore(tmp_path / "records", writer=True)
    # Two batches were stored before; the consumer's own position was written by that version too.
    stream = LocalStream(folder)
    with stream.subscribe("store") as consumer:
        store.append([], consumer="store", position=consumer.position)
    writer = Writer(stream, store, LetterFolder(tmp_path / "dead"))
    assert writer.drain() == Position({"0": 8}, {("north", LIVE): 5, ("north", CAPTURE): 1})
    assert (writer.counters.batches, writer.counters.dead_letters, writer.counters.gaps) == (6, 0, 0)
    assert writer.counters.rows == sum(ROWS[2:]) + 6
    store.close()


def test_what_was_torn_by_a_power_cut_is_cut_off(folder: Path) -> None:
    path = segment_path(folder, 4)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[-3000:-100])
    with Spool(folder, settings=SMALL) as spool:
        assert spool.counters.torn_bytes == 2900
        assert spool.append(*next_live()) == 6
    assert path.read_bytes() == whole
    assert held(folder) == [*HELD, (LIVE, 4)]


def test_acknowledged_batches_that_are_gone_are_told_and_their_numbers_not_given_again(folder: Path) -> None:
    path = segment_path(folder, 4)
    path.write_bytes(path.read_bytes()[:-500])
    with Spool(folder, settings=SMALL) as spool:
        assert (spool.counters.damaged, spool.next_number) == (1, 6)
        assert spool.identity.epoch != LIVE


def test_damage_names_the_batch_and_reading_goes_on(folder: Path) -> None:
    path = segment_path(folder, 0)
    content = bytearray(path.read_bytes())
    content[list(frames(folder, 0))[1].payload + 10] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedFrame, match=f"batch 1 .north/{LIVE}/1. is damaged") as caught:
        held(folder)
    assert caught.value.resume == 2
    assert held(folder, 2) == HELD[2:]


def test_a_damaged_head_of_a_frame_is_passed(folder: Path) -> None:
    path = segment_path(folder, 0)
    content = bytearray(path.read_bytes())
    content[list(frames(folder, 0))[1].offset + 20] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedFrame, match="are no batch"):
        held(folder)
    assert held_beside_damage(folder) == [HELD[0], *HELD[2:]]


@pytest.mark.parametrize("damaged", [False, True])
def test_a_segment_that_is_thinned_becomes_one_of_this_version(folder: Path, damaged: bool) -> None:
    if damaged:
        path = segment_path(folder, 0)
        content = bytearray(path.read_bytes())
        content[list(frames(folder, 0))[1].payload + 10] ^= 1
        path.write_bytes(content)
    thinning = Thinning(folder, 0, 0)
    while not thinning.done:
        thinning.step(1024**2)
    thinning.finish()
    assert version(folder, 0) == FORMAT_VERSION
    if not damaged:
        assert held(folder) == HELD
        return
    with pytest.raises(DamagedFrame) as caught:
        held(folder)
    assert caught.value.header is None, "what an older version laid out otherwise is taken for one of this"
    assert held_beside_damage(folder) == [HELD[0], *HELD[2:]]


def test_a_last_segment_without_a_batch_gives_way_to_one_of_this_version(folder: Path) -> None:
    path = segment_path(folder, 4)
    content = path.read_bytes()
    path.write_bytes(content[: head_bytes(content)])
    (folder / "mark").write_bytes(encode_mark(Mark(4, 4, path.stat().st_size)))
    with Spool(folder, settings=SpoolSettings(segment_bytes=64 * 1024, retention_bytes=0)) as spool:
        assert spool.append(*next_live(3)) == 4
        assert spool.size_bytes == sum(path.stat().st_size for path in folder.glob("*.segment"))
        assert held(folder) == [*HELD[:4], (LIVE, 3)]
        spool.release(5)
    assert segments(folder) == [4]
    assert version(folder, 4) == FORMAT_VERSION
    assert held(folder) == [(LIVE, 3)]


def test_old_segments_are_removed_as_any_others_once_they_are_released(folder: Path) -> None:
    settings = SpoolSettings(segment_bytes=64 * 1024, retention_bytes=0)
    with Spool(folder, settings=settings) as spool:
        spool.append(*next_live())
        assert spool.release(6) > 100_000
    assert segments(folder) == [6]
    assert held(folder) == [(LIVE, 4)]


def test_a_batch_is_found_by_its_name(folder: Path) -> None:
    found = search(folder, ("north", LIVE), 3)
    assert found is not None
    assert (found.number, found.segment, found.highest) == (4, 4, 3)


def test_one_of_a_version_that_was_never_there_is_refused(folder: Path) -> None:
    for path in folder.glob("*.segment"):
        content = bytearray(path.read_bytes())
        content[8] = 0
        path.write_bytes(content)
    with pytest.raises(SpoolError, match=r"older version \(format 0, this one reads 1 to 2\)"):
        Spool(folder)
