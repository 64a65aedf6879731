"""A sensor at work in a network name space: `icsight sensor run`, what it says at its end, and what it has written."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from sensor.spool import SpoolReader

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.sensor.network import Network

ICSIGHT = Path(sys.executable).with_name("icsight")

STOP_SECONDS = 120.0
"""After this a sensor does not stop at all; it takes a moment, more where other work takes the processor."""


class Recording:
    """A sensor at work. `prefix` is put before its command, as in ("taskset", "-c", "0")."""

    def __init__(
        self, network: Network, data: Path, *options: str, interfaces: tuple[str, ...] = ("mon0",), prefix: tuple[str, ...] = ()
    ) -> None:
        self.data = data
        named = [word for name in interfaces for word in ("--interface", name)]
        command = network.command(*prefix, str(ICSIGHT), "sensor", "run", *named, "--data", str(data), *options)
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("recording "), (line, self.process.stderr and self.process.stderr.read())

    def stop(self) -> tuple[int, int, str]:
        """Stop it; returns the packets taken in, the packets lost, and what was said on standard error."""
        self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=STOP_SECONDS)
        assert self.process.returncode == 0, err
        found = re.search(r"([\d,]+) packets, ([\d,]+) lost", out)
        assert found is not None, out
        packets, lost = (int(number.replace(",", "")) for number in found.groups())
        return packets, lost, err

    def status(self) -> dict[str, str]:
        """What the kernel tells of the process (`/proc/PID/status`), as in "VmRSS": "51200 kB"."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def memory(self, name: str) -> int:
        """A size of the process in KiB: VmRSS, VmHWM, RssAnon, RssFile."""
        return int(self.status()[name].split()[0])

    def cpu_seconds(self) -> float:
        """What the process has used of processors so far, in user space and in the kernel on its behalf."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rows(self, table: str) -> pl.DataFrame:
        """What is in the spool of one table."""
        with SpoolReader(self.data / "spool") as spool:
            batches = [batch for batch in spool.read(0) if batch.header.table == table]
        frames = [pl.read_ipc_stream(io.BytesIO(batch.data)) for batch in batches]
        return pl.concat(frames) if frames else pl.DataFrame()

    def await_rows(self, table: str, seconds: float = 120) -> pl.DataFrame:
        """The same, once there are any."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with contextlib.suppress(FileNotFoundError):
                rows = self.rows(table)
                if rows.height:
                    return rows
            time.sleep(0.1)
        raise AssertionError(f"no row of {table} within {seconds} s")

    def drops(self) -> dict[str, int]:
        """What table `sensor` says last of losses: count by cause."""
        return {entry["name"]: entry["count"] for entry in self.rows("sensor")["sensor.drops"].to_list()[-1]}


@contextlib.contextmanager
def recording(
    network: Network, data: Path, *options: str, interfaces: tuple[str, ...] = ("mon0",), prefix: tuple[str, ...] = ()
) -> Generator[Recording]:
    """A sensor that is killed at the end, whatever has happened."""
    sensor = Recording(network, data, *options, interfaces=interfaces, prefix=prefix)
    try:
        yield sensor
    finally:
        sensor.process.kill()
        sensor.process.wait()
