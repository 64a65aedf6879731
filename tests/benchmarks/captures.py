"""The generated captures, each made once and kept in $ICSIGHT_BENCH_DIR, or in icsight-bench in the system's temporary folder."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.generate import CONNECTIONS


def folder() -> Path:
    """Where captures are kept."""
    found = Path(os.environ.get("ICSIGHT_BENCH_DIR") or Path(tempfile.gettempdir()) / "icsight-bench")
    found.mkdir(parents=True, exist_ok=True)
    return found


def generated(packets: int, protocol: str = "modbus", *, connections: int = CONNECTIONS, seed: int = 1) -> Path:
    """The generated capture of so many packets over so many connections."""
    told = "" if (connections, seed) == (CONNECTIONS, 1) else f"-{connections}-{seed}"
    path = folder() / f"{protocol}-{packets}{told}.pcap"
    module = "tests.benchmarks.generate" + ("_opcua" if protocol == "opcua" else "")
    if not path.exists():
        print(f"generating {packets:,} packets …", file=sys.stderr)
        options = ["--packets", str(packets), "--connections", str(connections), "--seed", str(seed)]
        subprocess.run([sys.executable, "-m", module, *options, "--out", f"{path}.part"], check=True)
        Path(f"{path}.part").rename(path)
    return path
