"""What real faults leave of a spool: a writer killed at any moment, a full file system."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from sensor.spool import Spool, SpoolReader, SpoolSettings
from tests.sensor.test_spool_thinning import ROWS, rows_of, stay

ROOT = Path(__file__).parents[2]

WRITER = """
import sys
from pathlib import Path
from sensor.spool import BatchHeader, Spool, SpoolSettings
folder, batches = Path(sys.argv[1]), int(sys.argv[2])
settings = SpoolSettings(segment_bytes=64 * 1024, quota_bytes=1 << 30)
with Spool(folder, sensor="s", site="p", settings=settings) as spool:
    for sequence in range(batches):
        data = sequence.to_bytes(4, "big") * (sequence * 7919 % 4000)
        spool.append(BatchHeader("s", "e", sequence, "flow", 1, "p", sequence // 3, 0, 0, sequence % 3 == 2), data)
        if sequence % 3 == 2:
            print(sequence, flush=True)
"""


def content(sequence: int) -> bytes:
    return sequence.to_bytes(4, "big") * (sequence * 7919 % 4000)


@pytest.mark.parametrize("seed", range(20))
def test_a_writer_killed_at_any_moment_loses_nothing_it_had_acknowledged(tmp_path: Path, seed: int) -> None:
    source = random.Random(seed)
    acknowledged = -1
    # Killed three times on the way, then left to finish: it starts over each time, as a reader of a capture file does.
    for _ in range(3):
        command = [sys.executable, "-c", WRITER, str(tmp_path), "600"]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            after = source.randrange(1, 150)
            for count, line in enumerate(writer.stdout):
                acknowledged = max(acknowledged, int(line))
                if count == after:
                    writer.kill()
            # Lines behind the kill were acknowledged as well; the loop has read them to the end.
        batches = list(SpoolReader(tmp_path).read(0))
        assert [batch.header.sequence for batch in batches] == list(range(len(batches)))
        assert len(batches) > acknowledged
        assert all(batch.data == content(batch.header.sequence) for batch in batches)
    subprocess.run([sys.executable, "-c", WRITER, str(tmp_path), "600"], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    assert [batch.header.sequence for batch in SpoolReader(tmp_path).read(0)] == list(range(600))


FULL_DISK = """
import os, subprocess, sys
from pathlib import Path
from sensor.spool import BatchHeader, Spool, SpoolFull, SpoolReader, SpoolSettings
disk = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=True)
ballast = disk / "ballast"
ballast.write_bytes(b"x" * 300_000)
settings = SpoolSettings(segment_bytes=64 * 1024, quota_bytes=1 << 30)
data = [os.urandom(20_000) for _ in range(110)]

def append(spool, sequence):
    spool.append(BatchHeader("s", "e", sequence, "flow", 1), data[sequence])

refused = 0
with Spool(disk / "spool", sensor="s", site="p", settings=settings) as spool:
    for sequence in [*range(100), *[0] * 5]:
        try:
            append(spool, spool.next_number)
        except SpoolFull as error:
            assert "disk is full" in str(error), error
            refused += 1
    held = spool.next_number
    assert 0 < held < 50 and refused == 105 - held == spool.counters.refused, (held, refused)
    assert [batch.number for batch in SpoolReader(disk / "spool").read(0)] == list(range(held))
    spool.release(held // 2)
    append(spool, held)
    held += 1
    ballast.unlink()
    append(spool, held)
with Spool(disk / "spool") as spool:
    assert spool.highest("s", "e") == held and spool.counters.damaged == 0
assert all(batch.data == data[batch.number] for batch in SpoolReader(disk / "spool").read(0))
assert SpoolReader(disk / "spool").first > 0
print("done")
"""
"""Runs in a mount namespace of its own, so that the small file system is gone with the process."""


def test_a_full_disk_refuses_batches_keeps_the_rest_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    namespace = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--user", "--map-root-user"]
    command = [*namespace, sys.executable, "-c", FULL_DISK, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "done\n", done.stderr


GATEWAY = """
import os, sys
from pathlib import Path
from sensor.spool import Spool, SpoolSettings
from tests.sensor.test_spool_thinning import batch
folder, batches = Path(sys.argv[1]), int(sys.argv[2])
made = [batch(sequence) for sequence in range(batches)]
settings = SpoolSettings(segment_bytes=64 * 1024, quota_bytes=512 * 1024, overflow="least_valuable")
print("ready", flush=True)
with Spool(folder, sensor="s", site="p", settings=settings) as spool:
    for header, data in made:
        spool.append(header, data)
        if header.cut_last:
            print(header.sequence, flush=True)
"""


@pytest.mark.parametrize("seed", range(6))
def test_a_gateway_killed_at_any_moment_loses_nothing_but_what_its_quota_took_and_counted(tmp_path: Path, seed: int) -> None:
    source = random.Random(seed)
    acknowledged, removed = -1, 0
    for _ in range(3):
        command = [sys.executable, "-c", GATEWAY, str(tmp_path), "450"]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            after = source.randrange(40, 149)
            for count, line in enumerate(writer.stdout):
                acknowledged = max(acknowledged, int(line))
                if count == after:
                    writer.kill()
        with Spool(
            tmp_path, settings=SpoolSettings(segment_bytes=64 * 1024, quota_bytes=512 * 1024, overflow="least_valuable")
        ) as spool:
            removed, end = spool.removed_rows, spool.next_number
        found = list(SpoolReader(tmp_path).read(0))
        first = found[0].number
        assert [each.header.sequence for each in found] == list(range(first, end))
        assert end > acknowledged
        assert removed == first * ROWS
        for each in found:
            header = each.header
            assert header.rows + header.dropped == ROWS
            left = rows_of(header, each.data)
            assert left in [stay(header.table, level) for level in range(3)]
            removed += header.dropped
    assert removed > 0, "the quota was never reached"


FULL_GATEWAY = """
import os, subprocess, sys
from pathlib import Path
from sensor.spool import Spool, SpoolReader, SpoolSettings
from tests.sensor.test_spool_thinning import batch
disk = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", str(disk)], check=True)
# Its quota is far more than the disk has: something else has taken the rest.
settings = SpoolSettings(segment_bytes=64 * 1024, quota_bytes=1 << 30, overflow="least_valuable")
with Spool(disk / "spool", sensor="s", site="p", settings=settings) as spool:
    for sequence in range(500):
        spool.append(*batch(sequence))
        if not spool.room.reads:
            assert spool.room.records == 0, "records went while there were values and reads"
    assert spool.counters.refused == 0
    assert spool.room.values and spool.room.reads and spool.room.records
    removed = spool.removed_rows
found = list(SpoolReader(disk / "spool").read(0))
assert [each.number for each in found] == list(range(found[0].number, 500))
assert sum(each.header.rows + each.header.dropped for each in found) + removed == 500 * 40
print("done")
"""


def test_on_a_full_disk_a_gateway_goes_on_and_the_least_valuable_goes(tmp_path: Path) -> None:
    namespace = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--user", "--map-root-user"]
    command = [*namespace, sys.executable, "-c", FULL_GATEWAY, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "done\n", done.stderr
