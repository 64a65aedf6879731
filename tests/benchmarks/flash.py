"""`python -m tests.benchmarks.flash`: what a gateway writes to its disk while it listens to the virtual plant in real time.

Told by the sensor itself, by the account that the system keeps of the process, and by the block device below a file system of
its own (ext4, the journal counted). Needs root, loop devices and network name spaces.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.sensor.network import ROOT, Network
from tests.sensor.transmit import frames

SECTOR_BYTES: Final = 512
YEAR_SECONDS: Final = 365 * 86_400
MIB: Final = 1024 * 1024


def send(interface: str, capture: Path) -> None:
    """Put the frames of a little-endian pcap file on an interface at the times that they have."""
    import socket  # noqa: PLC0415 - the other half needs none

    content = capture.read_bytes()
    unit = 1e9 if content[:4] == b"\x4d\x3c\xb2\xa1" else 1e6
    place, first, begun = 24, None, time.monotonic()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind((interface, 0))
        for frame in frames(io.BytesIO(content)):
            seconds, fraction = struct.unpack_from("<II", content, place)
            at = seconds + fraction / unit
            first = at if first is None else first
            time.sleep(max(0.0, begun + at - first - time.monotonic()))
            wire.send(frame)
            place += 16 + len(frame)


def measure(folder: Path, minutes: float, options: list[str]) -> None:
    """Record the plant for some minutes on a disk of its own, and print what was written."""
    capture = folder / "plant.pcap"
    made = [sys.executable, "-m", "tests.plant", "day", "--out", str(capture), "--hours", str(minutes / 60)]
    subprocess.run([*made, "--attacks", "none"], cwd=ROOT, check=True, capture_output=True)
    image, disk = folder / "image", folder / "disk"
    with image.open("wb") as file:
        file.truncate(512 * MIB)
    # Nothing is left for the kernel to write later on its own account.
    subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(image)], check=True)
    disk.mkdir()
    subprocess.run(["mount", "-o", "loop", str(image), str(disk)], check=True)
    network = Network(f"icsight-flash-{os.getpid()}")
    try:
        network.connect()
        device = next(line.split()[0] for line in Path("/proc/mounts").read_text().splitlines() if f" {disk} " in line)
        before = _sectors(device)
        icsight = str(Path(sys.executable).with_name("icsight"))
        command = network.command(icsight, "sensor", "run", "--interface", "mon0", "--data", str(disk / "data"), *options)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sensor:
            assert sensor.stdout is not None
            sensor.stdout.readline()
            begun = time.monotonic()
            subprocess.run(
                network.command(sys.executable, "-m", "tests.benchmarks.flash", "--send", "gen0", str(capture)),
                cwd=ROOT,
                check=True,
            )
            time.sleep(1)
            seconds = time.monotonic() - begun
            sensor.send_signal(signal.SIGTERM)
            lines = sensor.stdout.read().splitlines()
        subprocess.run(["sync", "-f", str(disk)], check=True)
        device_bytes = (_sectors(device) - before) * SECTOR_BYTES
    finally:
        network.close()
        subprocess.run(["umount", str(disk)], check=False)
    print(*lines, sep="\n")
    rows = int(re.findall(r"([\d,]+) records", lines[-2])[0].replace(",", ""))
    year = device_bytes / seconds * YEAR_SECONDS / 1e9
    each = device_bytes / max(1, rows)
    print(f"{seconds:.0f} s; the device took {device_bytes:,} bytes ({each:,.0f} a record): {year:,.0f} GB a year")


def _sectors(device: str) -> int:
    """Sectors written to a block device since it was made."""
    return int(Path(f"/sys/block/{Path(device).name}/stat").read_text().split()[6])


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--send", nargs=2, metavar=("IF", "CAPTURE"))
    parser.add_argument("options", nargs="*", help="options of `icsight sensor run`, behind --")
    arguments = parser.parse_args()
    if arguments.send:
        send(arguments.send[0], Path(arguments.send[1]))
        return
    folder = Path(tempfile.mkdtemp(prefix="icsight-flash-"))
    try:
        measure(folder, arguments.minutes, arguments.options)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
