"""What the spool promises to its one writer and its many readers."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sensor.spool import (
    BatchHeader,
    DamagedFrame,
    SequenceGap,
    Spool,
    SpoolError,
    SpoolFull,
    SpoolLocked,
    SpoolReader,
    SpoolSettings,
)
from sensor.spool_format import FORMAT_VERSION, FRAME_BYTES, segment_path, segments

ROOT = Path(__file__).parents[2]
SMALL = SpoolSettings(segment_bytes=64 * 1024, quota_bytes=256 * 1024, retention_bytes=0)
TIGHT = SpoolSettings(segment_bytes=64 * 1024, quota_bytes=512 * 1024, overflow="least_valuable")


def header(sequence: int, *, epoch: str = "e1", cut: int | None = None, last: bool = True) -> BatchHeader:
    cut = sequence if cut is None else cut
    return BatchHeader("north", epoch, sequence, "modbus", 7, "plant", cut, 10 * cut, 10 * cut + 9, last)


def payload(sequence: int, size: int = 40) -> bytes:
    # Nothing that packing would make smaller, so that sizes are what they seem.
    return random.Random(sequence).randbytes(size)


def fill(folder: Path, count: int, size: int = 40, settings: SpoolSettings | None = None) -> None:
    with Spool(folder, sensor="north", site="plant", settings=settings) as spool:
        for sequence in range(count):
            spool.append(header(sequence), payload(sequence, size))


def append_all(spool: Spool, count: int) -> None:
    for sequence in range(count):
        spool.append(header(sequence), payload(sequence, 10_000))


def sequences(folder: Path, start: int = 0) -> list[int]:
    return [batch.header.sequence for batch in SpoolReader(folder).read(start)]


def last_segment(folder: Path) -> Path:
    return segment_path(folder, segments(folder)[-1])


def test_a_batch_comes_back_as_it_was_appended(tmp_path: Path) -> None:
    with Spool(tmp_path, sensor="north", site="plant") as spool:
        assert spool.append(header(0), payload(0)) == 0
        assert spool.append(header(1), memoryview(payload(1))) == 1
    first, second = SpoolReader(tmp_path).read(0)
    assert (first.number, first.header, first.data) == (0, header(0), payload(0))
    assert (second.number, second.header, second.data) == (1, header(1), payload(1))


def test_reading_starts_at_any_number_and_stops_at_a_count(tmp_path: Path) -> None:
    fill(tmp_path, 10)
    assert sequences(tmp_path, 7) == [7, 8, 9]
    assert [batch.number for batch in SpoolReader(tmp_path).read(2, 3)] == [2, 3, 4]
    assert sequences(tmp_path, 10) == []


def test_a_sequence_already_held_is_not_appended_again(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    with Spool(tmp_path) as spool:
        assert spool.append(header(1), b"other") is None
        assert spool.append(header(3), payload(3)) == 3
        assert spool.counters.repeated == 1
    assert sequences(tmp_path) == [0, 1, 2, 3]


def test_a_gap_in_a_run_is_refused_and_nothing_is_appended(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.append(header(0), payload(0))
        with pytest.raises(SequenceGap, match="1 comes next"):
            spool.append(header(2), payload(2))
        with pytest.raises(SequenceGap, match="0 comes next"):
            spool.append(header(1, epoch="e2"), payload(1))
    assert sequences(tmp_path) == [0]


def test_several_runs_count_for_themselves(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        for epoch, sequence in (("e1", 0), ("e2", 0), ("e1", 1), ("e2", 1)):
            spool.append(header(sequence, epoch=epoch), payload(sequence))
        assert spool.highest("north", "e1") == 1
        assert spool.highest("north", "unknown") is None
    assert SpoolReader(tmp_path).standing() == (4, {("north", "e1"): 1, ("north", "e2"): 1})


def test_the_epoch_of_the_live_source_is_random_and_stays(tmp_path: Path) -> None:
    with Spool(tmp_path / "a", sensor="north", site="plant") as spool:
        first = spool.identity
    with Spool(tmp_path / "a") as spool:
        assert spool.identity == first
    with Spool(tmp_path / "b") as spool:
        assert spool.identity.epoch != first.epoch
    assert len(bytes.fromhex(first.epoch)) == 16


def test_a_spool_of_another_sensor_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, 1)
    with pytest.raises(SpoolError, match="belongs to sensor 'north'"):
        Spool(tmp_path, sensor="south")


def test_a_second_writer_is_refused_and_says_who_holds_it(tmp_path: Path) -> None:
    with Spool(tmp_path), pytest.raises(SpoolLocked, match=str(os.getpid())):
        Spool(tmp_path)
    Spool(tmp_path).close()


def test_a_second_writer_in_another_process_is_refused(tmp_path: Path) -> None:
    with Spool(tmp_path):
        program = f"from sensor.spool import Spool; Spool({str(tmp_path)!r})"
        done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "SpoolLocked" in done.stderr


def test_readers_see_a_cut_once_all_of_it_is_on_the_disk(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.append(header(0, cut=0, last=False), payload(0))
        assert sequences(tmp_path) == []
        spool.append(header(1, cut=0, last=True), payload(1))
        assert sequences(tmp_path) == [0, 1]
        spool.append(header(2, cut=1, last=False), payload(2))
        spool.sync()
        assert sequences(tmp_path) == [0, 1, 2]


@pytest.mark.parametrize(("policy", "flushes"), [("batch", 4), ("cut", 2), ("explicit", 1)])
def test_the_policy_says_when_the_disk_is_flushed(tmp_path: Path, policy: str, flushes: int) -> None:
    spool = Spool(tmp_path, settings=SpoolSettings(sync=policy))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - by parameter
    for sequence in range(4):
        spool.append(header(sequence, cut=sequence // 2, last=sequence % 2 == 1), payload(sequence))
    spool.sync()
    assert spool.counters.syncs == flushes
    spool.close()


def test_a_full_segment_is_followed_by_a_new_one_and_reading_goes_over_the_border(tmp_path: Path) -> None:
    fill(tmp_path, 30, 10_000, SpoolSettings(segment_bytes=64 * 1024))
    assert len(segments(tmp_path)) == 5
    assert sequences(tmp_path) == list(range(30))
    assert sequences(tmp_path, 13) == list(range(13, 30))
    with Spool(tmp_path) as spool:
        assert spool.highest("north", "e1") == 29


def test_released_segments_are_removed_and_what_the_run_had_is_still_known(tmp_path: Path) -> None:
    with Spool(tmp_path, settings=SMALL) as spool:
        for sequence in range(20):
            spool.append(header(sequence), payload(sequence, 10_000))
        assert spool.release(9) > 0
        assert sequences(tmp_path)[0] == 7
        spool.release(20)
    with Spool(tmp_path, settings=SMALL) as spool:
        assert spool.append(header(3), payload(3)) is None
        assert spool.highest("north", "e1") == 19


def test_a_run_is_known_when_all_its_batches_lie_in_earlier_segments(tmp_path: Path) -> None:
    with Spool(tmp_path, settings=SMALL) as spool:
        spool.append(header(0, epoch="e0"), payload(0))
        append_all(spool, 20)
        spool.release(20)
    assert next(SpoolReader(tmp_path).read(0)).number > 0
    with Spool(tmp_path, settings=SMALL) as spool:
        assert spool.highest("north", "e0") == 0
    assert SpoolReader(tmp_path).standing() == (21, {("north", "e0"): 0, ("north", "e1"): 19})


def test_at_the_quota_a_batch_is_refused_while_consumers_need_the_rest(tmp_path: Path) -> None:
    with Spool(tmp_path, settings=SMALL) as spool:
        with pytest.raises(SpoolFull, match="quota"):
            append_all(spool, 40)
        held = spool.next_number
        assert spool.counters.refused == 1
        assert sequences(tmp_path) == list(range(held))
        spool.release(held)
        assert spool.append(header(held), payload(held, 10_000)) == held


def test_at_the_quota_the_oldest_go_where_that_is_the_policy_and_are_counted(tmp_path: Path) -> None:
    with Spool(tmp_path, settings=TIGHT) as spool:
        for sequence in range(80):
            spool.append(header(sequence), payload(sequence, 10_000))
        assert spool.size_bytes + TIGHT.segment_bytes <= TIGHT.quota_bytes
        kept = sequences(tmp_path)
        assert kept == list(range(kept[0], 80))
        # Not of any table that values or reads could be dropped from: their bytes are no batch.
        assert spool.room.records == spool.removed_rows == 7 * kept[0] > 0


def test_cut_at_any_byte_of_the_last_segment_a_spool_opens_at_the_last_whole_batch(tmp_path: Path) -> None:
    source = tmp_path / "source"
    fill(source, 4)
    (source / "mark").unlink()  # a power cut may lose it: it is never flushed
    content = last_segment(source).read_bytes()
    names = len("north" + "plant" + "e1" + "modbus")
    frame = FRAME_BYTES + names + 40
    head = len(content) - 4 * frame
    for length in range(len(content) + 1):
        folder = tmp_path / "cut"
        shutil.copytree(source, folder)
        last_segment(folder).write_bytes(content[:length])
        whole = max(0, length - head) // frame
        with Spool(folder) as spool:
            assert spool.highest("north", "e1") == (whole - 1 if whole else None)
            assert spool.append(header(whole), payload(whole)) == whole
        assert [(batch.header, batch.data) for batch in SpoolReader(folder).read(0)] == [
            (header(sequence), payload(sequence)) for sequence in range(whole + 1)
        ]
        shutil.rmtree(folder)


@pytest.mark.parametrize("tail", [b"\0" * 5000, b"ICSB" + b"\xff" * 300, os.urandom(777)])
def test_rubbish_behind_the_last_whole_batch_is_cut_off(tmp_path: Path, tail: bytes) -> None:
    fill(tmp_path, 3)
    with last_segment(tmp_path).open("ab") as file:
        file.write(tail)
    with Spool(tmp_path) as spool:
        assert spool.counters.torn_bytes == len(tail)
        spool.append(header(3), payload(3))
    assert sequences(tmp_path) == [0, 1, 2, 3]


def test_acknowledged_batches_missing_at_the_end_are_counted_and_their_names_not_given_again(tmp_path: Path) -> None:
    fill(tmp_path, 5)
    with Spool(tmp_path) as spool:
        epoch = spool.identity.epoch
    path = last_segment(tmp_path)
    path.write_bytes(path.read_bytes()[:-10])  # a disk that lied about its flush
    with Spool(tmp_path) as spool:
        assert spool.counters.damaged == 1
        assert spool.identity.epoch != epoch
        assert spool.append(header(4), payload(4)) == 5
    assert read_with_damage(tmp_path) == ([0, 1, 2, 3, 4], 1)


def read_with_damage(folder: Path) -> tuple[list[int], int]:
    """Sequences that can be read, and how many damages were reported on the way."""
    found: list[int] = []
    damages = number = 0
    reader = SpoolReader(folder)
    while True:
        try:
            for batch in reader.read(number):
                found.append(batch.header.sequence)
                number = batch.number + 1
        except DamagedFrame as damage:
            damages += 1
            number = damage.resume
        else:
            return found, damages


def test_a_flipped_bit_anywhere_is_reported_and_costs_no_other_batch(tmp_path: Path) -> None:
    source = tmp_path / "source"
    fill(source, 6)
    content = last_segment(source).read_bytes()
    frame = FRAME_BYTES + len("north" + "plant" + "e1" + "modbus") + 40
    start = len(content) - 6 * frame
    for place in range(start, len(content), 3):
        flipped = bytearray(content)
        flipped[place] ^= 1 << (place % 8)
        folder = tmp_path / "flipped"
        shutil.copytree(source, folder)
        last_segment(folder).write_bytes(flipped)
        lost = (place - start) // frame
        rest = [sequence for sequence in range(6) if sequence != lost]
        assert read_with_damage(folder) == (rest, 1), place
        with Spool(folder) as spool:
            assert spool.counters.damaged == 1, place
            again = (spool.highest("north", "e1") or 0) + 1
            spool.append(header(again), payload(again))
        found, damages = read_with_damage(folder)
        assert damages == 1, place
        assert found == [*rest, again], place
        shutil.rmtree(folder)


def test_damage_tells_which_batch_it_is_and_hands_over_the_bytes(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    path = last_segment(tmp_path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedFrame, match="north/e1/2") as caught:
        list(SpoolReader(tmp_path).read(2))
    assert caught.value.header == header(2)
    assert caught.value.data == bytes(content[-40:])


def test_a_disk_full_in_the_middle_of_a_batch_leaves_nothing_of_it(tmp_path: Path) -> None:
    program = f"""
import resource, signal
from sensor.spool import Spool, SpoolFull
from tests.sensor.test_spool import header, payload
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
spool = Spool({str(tmp_path)!r}, sensor="north", site="plant")
try:
    for sequence in range(100):
        spool.append(header(sequence), payload(sequence, 30_000))
except SpoolFull as error:
    print(sequence, spool.counters.refused, "disk is full" in str(error))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["3", "1", "True"]
    assert sequences(tmp_path) == [0, 1, 2]
    with Spool(tmp_path) as spool:
        assert spool.append(header(3), payload(3)) == 3
        assert spool.counters.damaged == 0


def test_a_failed_flush_takes_back_what_was_not_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Spool(tmp_path) as spool:
        spool.append(header(0), payload(0))
        spool.append(header(1, cut=1, last=False), payload(1))

        def fail(file: int) -> None:
            raise OSError(5, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", fail)
            with pytest.raises(SpoolError, match="disk failed"):
                spool.append(header(2, cut=1), payload(2))
        assert spool.highest("north", "e1") == 0
        assert sequences(tmp_path) == [0]
        spool.append(header(1), b"second attempt")
    assert [batch.data for batch in SpoolReader(tmp_path).read(1)] == [b"second attempt"]


def test_a_reader_that_follows_gets_each_batch_while_the_writer_writes(tmp_path: Path) -> None:
    stop = threading.Event()
    seen: list[int] = []

    def follow() -> None:
        for batch in SpoolReader(tmp_path).follow(0, stop):
            seen.append(batch.header.sequence)
            if len(seen) == 200:
                stop.set()

    reader = threading.Thread(target=follow)
    reader.start()
    fill(tmp_path, 200, 1000, SpoolSettings(segment_bytes=64 * 1024))
    reader.join(timeout=30)
    assert seen == list(range(200))


def test_waiting_ends_when_the_batch_is_there_and_when_the_time_is_up(tmp_path: Path) -> None:
    reader = SpoolReader(tmp_path)
    assert not reader.wait(0, 0.01)
    writer = threading.Thread(target=fill, args=(tmp_path, 1))
    writer.start()
    assert reader.wait(0, 30)
    writer.join()


def test_a_reader_before_the_oldest_kept_batch_starts_there(tmp_path: Path) -> None:
    fill(tmp_path, 80, 10_000, TIGHT)
    reader = SpoolReader(tmp_path)
    assert next(reader.read(0)).number == reader.first > 0


def everything(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != "lock"}


def test_a_spool_of_a_newer_version_is_refused_and_not_touched(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    path = last_segment(tmp_path)
    content = bytearray(path.read_bytes())
    content[8] = FORMAT_VERSION + 1
    path.write_bytes(content)
    (tmp_path / "of-that-version.draft").write_bytes(b"?")
    before = everything(tmp_path)
    with pytest.raises(SpoolError, match="newer version"):
        Spool(tmp_path)
    with pytest.raises(SpoolError, match="newer version"):
        sequences(tmp_path)
    assert everything(tmp_path) == before


def test_a_spool_whose_identity_a_newer_version_wrote_is_refused_and_not_touched(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    (tmp_path / "identity.json").write_text(json.dumps({"version": FORMAT_VERSION + 1, "who": "north"}))
    before = everything(tmp_path)
    with pytest.raises(SpoolError, match=r"identity.json: written by a newer version \(format 3, this one reads 2\): update"):
        Spool(tmp_path)
    assert everything(tmp_path) == before


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError, match="cannot be written") as caught:
        Spool(tmp_path / "file" / "spool")
    assert "\n" not in str(caught.value)


def test_settings_out_of_bounds_are_refused() -> None:
    with pytest.raises(ValueError, match="segment_bytes is 1: it must lie between"):
        SpoolSettings(segment_bytes=1)
    with pytest.raises(ValueError, match="quota_bytes is 1: with these segments it must be at least 134217728"):
        SpoolSettings(quota_bytes=1)


def test_only_the_owner_can_read_a_spool(tmp_path: Path) -> None:
    fill(tmp_path / "spool", 1)
    assert (tmp_path / "spool").stat().st_mode & 0o77 == 0
    assert all(path.stat().st_mode & 0o77 == 0 for path in (tmp_path / "spool").iterdir())
