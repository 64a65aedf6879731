"""Batches as sensors make them, and as many more of the same as a measurement needs.

A capture is read at once: its batches are as large as they get, as after an outage or of a busy plant. The simulated plant speaks
in real time into the packet core: its batches are those of a live sensor, a few rows each, every half second.
"""

# pyarrow ships no type information.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, Self

import pyarrow as pa
import pyarrow.compute as pc

from collector.stream import Outgoing
from sensor._core import Reader
from sensor.spool import Spool
from sensor.spool_format import BatchHeader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

EPOCH: Final = "5a" * 16
SECOND: Final = 1_000_000_000
ROOT: Final = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class Original:
    """A batch that others are made of."""

    header: BatchHeader
    rows: Any

    @classmethod
    def of(cls, batch: Outgoing) -> Self:
        """Take a batch apart."""
        with pa.ipc.open_stream(batch.data) as stream:
            return cls(batch.header, stream.read_all().combine_chunks())

    def again(self, sensor: str, sequence: int, *, site: str, seconds: float = 0, cut: int | None = None) -> Outgoing:
        """The batch as another sensor's, or another time's: all its times are so many seconds later."""
        shift = round(seconds * SECOND)
        header = replace(
            self.header, sensor=sensor, epoch=EPOCH, sequence=sequence, site=site,
            cut=self.header.cut if cut is None else cut,
            cut_start=self.header.cut_start + shift, cut_end=self.header.cut_end + shift,
        )  # fmt: skip
        rows = self.rows
        for number, field in enumerate(rows.schema):
            if shift and pa.types.is_timestamp(field.type):
                later = pc.call_function("add", [rows.column(number), pa.scalar(shift, pa.duration("ns"))])
                rows = rows.set_column(number, field, later)
        told = dict(self.rows.schema.metadata)
        for name in ("sensor", "epoch", "sequence", "site", "cut", "cut_start", "cut_end"):
            told[f"icsight.{name}".encode()] = str(getattr(header, name)).encode()
        rows = rows.replace_schema_metadata(told)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
            writer.write_table(rows)
        return Outgoing(header, sink.getvalue().to_pybytes())


def capture(path: Path, sensor: str, site: str) -> list[Outgoing]:
    """The batches of a capture that is read at once."""
    return list(_batches(Reader(str(path), site=site, sensor=sensor), sensor, site))


def live(seconds: float, speed: float, sensor: str = "live", site: str = "works") -> list[Outgoing]:
    """The batches of the simulated plant as it speaks for so long; whole cuts.

    Args:
        seconds: real ones.
        speed: factor of the plant's clock: its five controllers then say as much as so many times five.
        sensor: name of the sensor.
        site: name of the site.
    """
    with TemporaryDirectory(prefix="icsight-bench-") as folder:
        pipe = Path(folder) / "live.pcap"
        os.mkfifo(pipe)
        with subprocess.Popen(
            ["/bin/sh", "-c", f'exec "$0" -m tests.plant live --seed 1 --speed {speed} > "$1"', sys.executable, pipe], cwd=ROOT
        ) as plant:
            reader = Reader(str(pipe), site=site, sensor=sensor, live=True, epoch=EPOCH)
            timer = threading.Timer(seconds, reader.stop)
            timer.start()
            found = list(_batches(reader, sensor, site))
            timer.cancel()
            plant.terminate()
    # The last cut ends the flows that are open, and is none of a live sensor's.
    last = max(batch.header.cut for batch in found)
    return [batch for batch in found if batch.header.cut < last]


def repeated(batches: Iterable[Outgoing], sensor: str, site: str, times: int, seconds: float) -> Iterator[Outgoing]:
    """Batches again and again, each time so many seconds later, as one run of a sensor."""
    originals = [Original.of(batch) for batch in batches]
    cuts = max(original.header.cut for original in originals) + 1
    for turn in range(times):
        for number, original in enumerate(originals):
            yield original.again(
                sensor, turn * len(originals) + number, site=site, seconds=turn * seconds, cut=turn * cuts + original.header.cut
            )


def renamed(batch: Outgoing, *, sensor: str, site: str) -> Outgoing:
    """The batch as another sensor's, whose name and site's name are as long as its own: in its bytes they are plain text."""
    header = batch.header
    data = bytes(batch.data)
    for before, after in ((header.sensor, sensor), (header.site, site)):
        assert len(before) == len(after)
        data = data.replace(before.encode(), after.encode())
    return Outgoing(replace(header, sensor=sensor, site=site), data)


def spooled(folder: Path, batches: Iterable[Outgoing], sensor: str, site: str) -> int:
    """A spool that holds the batches; how many they are."""
    count = 0
    with Spool(folder, sensor=sensor, site=site) as spool:
        for batch in batches:
            spool.append(batch.header, batch.data)
            count += 1
        spool.sync()
    return count


def _batches(reader: Reader, sensor: str, site: str) -> Iterator[Outgoing]:
    for batch in reader:
        header = BatchHeader(
            sensor, reader.epoch, batch.sequence, batch.table, batch.rows, site,
            batch.cut, batch.cut_start, batch.cut_end, batch.cut_last,
        )  # fmt: skip
        yield Outgoing(header, batch.ipc())
