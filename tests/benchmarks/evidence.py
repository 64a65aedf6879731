"""`python -m tests.benchmarks.evidence`: how long a slice takes from a large ring, and what keeping packets costs a reader.

The ring is made by repeating half an hour of the virtual plant, each time a day later, through standard input.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Final

import numpy as np

from sensor import packets
from sensor._core import Reader
from sensor.packets import ALWAYS, MIB, Asked, Statement

DAY_SECONDS: Final = 86_400
ASKED: Final = Asked("benchmark", 0, "local")


def main() -> None:
    """Make the ring, slice it, print one JSON object a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1536, help="size of the ring")
    size_mib: int = parser.parse_args().mib
    # Blocks are longer than records of pcap.
    if shutil.disk_usage(tempfile.gettempdir()).free < 2 * size_mib * MIB:
        sys.exit(f"error: {2 * size_mib} MiB free are needed in {tempfile.gettempdir()}")
    with tempfile.TemporaryDirectory(prefix="icsight-ring-") as folder:
        capture = Path(folder) / "plant.pcap"
        subprocess.run([sys.executable, "-m", "tests.plant", "day", "--out", str(capture), "--hours", "0.5"], check=True)
        ring = Path(folder) / "ring"
        print(json.dumps({"reading": _read(capture, ring, size_mib)}), flush=True)
        flow, moment = _quiet_flow(capture)
        questions = {
            "an alert's addresses, 15 s": Statement(moment, moment + 15 * 10**9, pairs=(("10.20.1.10", "10.20.2.12"),)),
            "a conversation, all of time": Statement(*ALWAYS, flows=(flow,)),
            "all packets of a minute": Statement(moment, moment + 60 * 10**9),
            "addresses, all of time, 64 MiB": Statement(*ALWAYS, pairs=(("10.20.1.10", "10.20.2.12"),)),
        }
        for name, statement in questions.items():
            told: dict[str, object] = {"slice": name}
            for disk in ("cold", "warm"):
                if disk == "cold" and not _forgotten():
                    continue
                start, busy = time.perf_counter(), time.process_time()
                found = packets.take(ring, statement, ASKED)
                told[f"{disk} seconds"] = round(time.perf_counter() - start, 3)
                told[f"{disk} CPU seconds"] = round(time.process_time() - busy, 3)
                told["packets"] = found.manifest["packets"]
            print(json.dumps(told), flush=True)


def _forgotten() -> bool:
    """Whether the system has forgotten what it read of the disk: only root may ask for that."""
    try:
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        return False
    return True


def _read(capture: Path, ring: Path, size_mib: int) -> dict[str, float]:
    """Send the capture again and again, with a ring and without."""
    told: dict[str, float] = {}
    times = size_mib * MIB // capture.stat().st_size
    for name in ("without", "with"):
        code = (
            "import sys; from sensor._core import Reader\n"
            f"for _ in Reader('-', packets={(str(ring), 4 * size_mib * MIB) if name == 'with' else None!r}): pass"
        )
        start = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
        if process.stdin is None:
            raise RuntimeError("no pipe")
        _repeat(capture, times, process.stdin)
        process.stdin.close()
        process.wait()
        told[f"seconds {name} a ring"] = round(time.perf_counter() - start, 2)
    told["ring MiB"] = round(sum(path.stat().st_size for path in ring.iterdir()) / MIB)
    told["index MiB"] = round(sum(path.stat().st_size for path in ring.glob("*.index")) / MIB, 1)
    return told


def _repeat(capture: Path, times: int, out: IO[bytes]) -> None:
    content = capture.read_bytes()
    out.write(content[:24])
    body = np.frombuffer(bytearray(content[24:]), dtype=np.uint8)
    starts: list[int] = []
    place = 0
    while place < len(body):
        starts.append(place)
        place += 16 + int(struct.unpack_from("<I", content, 24 + place + 8)[0])
    # The seconds of each record: its first four bytes.
    places = np.array(starts)[:, None] + np.arange(4)
    for _ in range(times):
        out.write(body.tobytes())
        seconds = np.ascontiguousarray(body[places]).view("<u4") + np.uint32(DAY_SECONDS)
        body[places] = seconds.view(np.uint8)


def _quiet_flow(capture: Path) -> tuple[str, int]:
    """A conversation of the plant, and a time in the midst of its fifth day."""
    import polars as pl  # noqa: PLC0415

    flows = pl.concat([pl.DataFrame(batch) for batch in Reader(str(capture)) if batch.table == "flow"])
    row = flows.sort("flow.packets_out").row(0, named=True)
    return str(row["network.community_id"]), int(flows["ts"].cast(pl.Int64).max() or 0) + 4 * DAY_SECONDS * 10**9  # pyright: ignore[reportArgumentType]  a number


if __name__ == "__main__":
    main()
