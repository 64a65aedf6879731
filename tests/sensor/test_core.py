"""The packet core as Python sees it: tables, batches, files that are no captures, and captures that are damaged."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import os
import random
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

import polars as pl
import pyarrow as pa
import pytest

from sensor import _core
from sensor.tables import BATCH_ROWS, METADATA, SCHEMA_VERSION, TABLES

HEAD_BYTES: Final = 4096
"""Every capture is cut at each byte of this many first ones."""

MEMORY_BYTES: Final = 96 * 1024 * 1024
"""What damaged captures may make the process grow by."""


def within(folder: Path) -> list[Path]:
    """All captures in a folder."""
    return sorted(path for path in folder.rglob("*") if path.suffix in {".pcap", ".pcapng", ".cap"})


def frame(payload: bytes, *, sequence: int, from_client: bool) -> bytes:
    """An Ethernet frame with a TCP segment between a client and port 502."""
    client, server = b"\x0a\x00\x00\x01", b"\x0a\x00\x00\x02"
    ports = (40_000, 502) if from_client else (502, 40_000)
    segment = struct.pack(">HHIIBBHHH", *ports, sequence, 1, 0x50, 0x18, 8192, 0, 0) + payload
    addresses = client + server if from_client else server + client
    packet = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(segment), 0, 0, 64, 6, 0) + addresses + segment
    return bytes(12) + b"\x08\x00" + packet


def pcap(exchanges: int) -> bytes:
    """A capture of so many reads of three registers, one a millisecond."""
    out = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)]
    for index in range(exchanges):
        head = struct.pack(">HH", index & 0xFFFF, 0)
        request = frame(head + bytes.fromhex("0006010300640003"), sequence=1 + index * 12, from_client=True)
        response = frame(head + bytes.fromhex("0009010306000100020003"), sequence=1 + index * 15, from_client=False)
        for microseconds, data in ((index * 1000, request), (index * 1000 + 200, response)):
            seconds, rest = divmod(microseconds, 1_000_000)
            out.append(struct.pack("<IIII", 1_700_000_000 + seconds, rest, len(data), len(data)) + data)
    return b"".join(out)


def arrow_table(source: object) -> Any:
    """What Arrow makes of an Arrow stream or of an IPC stream's bytes."""
    arrow: Any = pa
    return arrow.ipc.open_stream(source).read_all() if isinstance(source, bytes) else arrow.table(source)


def ipc_metadata(content: bytes) -> dict[str, str]:
    """Schema metadata of an IPC stream."""
    return {key.decode(): value.decode() for key, value in arrow_table(content).schema.metadata.items()}


@pytest.fixture(name="plain")
def _plain(tmp_path: Path) -> Path:
    path = tmp_path / "plain.pcap"
    path.write_bytes(pcap(100_000))
    return path


@pytest.mark.parametrize("name", TABLES)
def test_the_core_builds_the_declared_columns(name: str) -> None:
    table = TABLES[name]
    assert _core.schema(name) == [(column.name, column.kind, column.nullable) for column in table.columns]
    for column in table.columns:
        if column.kind == "choice":
            assert _core.choices(name, column.name) == list(column.values)
        else:
            with pytest.raises(KeyError):
                _core.choices(name, column.name)


def test_an_unknown_table_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        _core.schema("opcua_item_")


def test_batches_are_numbered_bounded_and_carry_their_metadata(plain: Path) -> None:
    reader = _core.Reader(str(plain), site="works", sensor="north")
    batches = list(reader)
    assert [batch.sequence for batch in batches] == list(range(len(batches)))
    assert sum(batch.rows for batch in batches if batch.table == "modbus") == 100_000
    assert max(batch.rows for batch in batches) <= BATCH_ROWS
    assert reader.packets == 200_000
    assert reader.position == reader.size == plain.stat().st_size
    assert reader.format == "pcap"
    order = list(TABLES)
    for before, after in itertools.pairwise(batches):
        if before.cut == after.cut:
            assert not before.cut_last
            assert order.index(before.table) < order.index(after.table)
        else:
            assert (before.cut_last, after.cut, after.cut_start) == (True, before.cut + 1, before.cut_end)
    for batch in batches:
        metadata = ipc_metadata(batch.ipc())
        assert set(metadata) == set(METADATA)
        expected = {
            "icsight.table": batch.table,
            "icsight.schema": str(SCHEMA_VERSION),
            "icsight.site": "works",
            "icsight.sensor": "north",
            "icsight.epoch": reader.epoch,
            "icsight.sequence": str(batch.sequence),
            "icsight.cut": str(batch.cut),
            "icsight.cut_start": str(batch.cut_start),
            "icsight.cut_end": str(batch.cut_end),
            "icsight.cut_last": str(int(batch.cut_last)),
        }
        assert metadata == expected


def test_polars_and_arrow_take_a_batch_as_it_is(plain: Path) -> None:
    batch = next(batch for batch in _core.Reader(str(plain)) if batch.table == "modbus")
    frame_ = pl.DataFrame(batch)
    assert dict(frame_.schema) == TABLES["modbus"].schema
    assert frame_.row(0, named=True)["modbus.values"] == [1, 2, 3]
    assert arrow_table(batch).equals(arrow_table(batch.ipc()))
    assert pl.read_ipc_stream(batch.ipc()).equals(frame_)


def test_reading_twice_gives_the_same_bytes_however_the_file_is_packed(plain: Path, tmp_path: Path) -> None:
    packed = tmp_path / "packed.pcap.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes(), 1))
    first, again = ([batch.ipc() for batch in _core.Reader(str(plain))] for _ in range(2))
    assert first == again
    unpacked, repacked = _core.Reader(str(plain)), _core.Reader(str(packed))
    assert repacked.format == "pcap, gzip"
    assert unpacked.epoch != repacked.epoch
    for one, other in zip(unpacked, repacked, strict=True):
        assert pl.DataFrame(one).equals(pl.DataFrame(other))
        assert (one.cut, one.cut_start, one.cut_end) == (other.cut, other.cut_start, other.cut_end)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"PK\x03\x04 and more", "zip archive"),
        (b"just some text\n", "text"),
        (bytes(200), "zeros"),
        (b"\xd4\xc3\xb2\xa1\x02\x00", "cut off in its header"),
    ],
)
def test_what_is_no_capture_is_one_line_that_names_it(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "plant.pcap"
    path.write_bytes(content)
    with pytest.raises(_core.CaptureError) as caught:
        _core.Reader(str(path))
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert reason in text
    assert "\n" not in text


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(_core.CaptureError, match="no such file"):
        _core.Reader(str(tmp_path / "none.pcap"))


def test_what_is_readable_of_a_truncated_capture_is_kept_and_said(tmp_path: Path) -> None:
    path = tmp_path / "cut.pcap"
    path.write_bytes(pcap(10)[:-5])
    reader = _core.Reader(str(path))
    rows = [batch for batch in reader if batch.table == "modbus"]
    assert sum(batch.rows for batch in rows) == 10
    assert reader.packets == 19
    [warning] = reader.warnings
    assert reader.take_warnings() == [warning]
    assert reader.take_warnings() == []
    assert warning.startswith(f"{path}: cut off")


def test_standard_input_is_cut_by_time_and_goes_on_with_its_epoch() -> None:
    program = (
        "import sys\nfrom sensor import _core\n"
        f"reader = _core.Reader('-', epoch='{'ab' * 16}', first_sequence=7)\n"
        "for batch in reader:\n    print(batch.table, batch.sequence, reader.epoch, reader.size, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(pcap(5))
        process.stdin.flush()
        # The pipe stays open: only time makes this cut.
        assert process.stdout.readline().split() == [b"modbus", b"7", b"ab" * 16, b"None"]
        process.stdin.close()
        assert b"sensor" in process.stdout.read()


def test_stop_from_another_thread_ends_the_reading_with_the_records_so_far() -> None:
    readable, writable = os.pipe()
    with os.fdopen(writable, "wb") as pipe:
        pipe.write(pcap(50))
        pipe.flush()
        reader = _core.Reader(f"/dev/fd/{readable}")
        rows: list[int] = []
        thread = threading.Thread(target=lambda: rows.extend(batch.rows for batch in reader if batch.table == "modbus"))
        thread.start()
        deadline = time.monotonic() + 10
        while reader.packets < 100 and time.monotonic() < deadline:
            thread.join(0.01)
        reader.stop()
        thread.join(10)
        assert not thread.is_alive()
    os.close(readable)
    assert sum(rows) == 50


def test_an_epoch_that_is_none_is_refused(plain: Path) -> None:
    with pytest.raises(ValueError, match="32 hexadecimal digits"):
        _core.Reader(str(plain), epoch="today", live=True)


def test_every_capture_can_be_read(captures: Path) -> None:
    for path in within(captures):
        reader = _core.Reader(str(path))
        flows = [pl.DataFrame(batch) for batch in reader if batch.table == "flow"]
        assert reader.packets > 0, path
        assert not reader.warnings or "cut off" in reader.warnings[0] or "link" in reader.warnings[0], (path, reader.warnings)
        for frame_ in flows:
            assert frame_["flow.duration"].min() is not None


def resident_bytes() -> int:
    """Resident memory of this process, without the mapped files."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["RssAnon"].split()[0]) * 1024


def read_whatever(path: Path) -> None:
    """Reads a damaged capture: records and warnings, or a line that says why not."""
    with contextlib.suppress(_core.CaptureError):
        for batch in _core.Reader(str(path)):
            assert batch.rows <= BATCH_ROWS


def sample(folder: Path, count: int) -> list[Path]:
    """Some captures, always the same ones: the smallest of each folder, so that formats and protocols vary."""
    chosen: dict[Path, Path] = {}
    for path in sorted(within(folder), key=lambda path: (path.stat().st_size, path)):
        chosen.setdefault(path.parent, path)
    return list(chosen.values())[:count]


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("share", [pytest.param(12, id="some"), pytest.param(None, id="all", marks=pytest.mark.full)])
def test_a_capture_cut_at_any_of_its_first_bytes_does_no_harm(captures: Path, tmp_path: Path, share: int | None) -> None:
    before = resident_bytes()
    path = tmp_path / "cut.pcap"
    for source in sample(captures, share) if share else within(captures):
        with source.open("rb") as file:
            path.write_bytes(file.read(HEAD_BYTES))
        for length in range(path.stat().st_size - 1, -1, -1):
            os.truncate(path, length)
            read_whatever(path)
    assert resident_bytes() - before < MEMORY_BYTES


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("share", [pytest.param(200, id="some"), pytest.param(20_000, id="all", marks=pytest.mark.full)])
def test_a_capture_with_flipped_bytes_does_no_harm(captures: Path, tmp_path: Path, share: int) -> None:
    chance = random.Random(20_040_826)
    sources = [path for path in within(captures) if path.stat().st_size < 1024 * 1024]
    path = tmp_path / "flipped.pcap"
    before = resident_bytes()
    for _ in range(share):
        content = bytearray(chance.choice(sources).read_bytes())
        for _ in range(chance.randrange(1, 64)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        path.write_bytes(content)
        read_whatever(path)
    assert resident_bytes() - before < MEMORY_BYTES
