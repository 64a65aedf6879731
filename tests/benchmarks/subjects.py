"""What is measured, one process each: `python -m tests.benchmarks.subjects NAME CAPTURE` prints what it made of the capture."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def read_every_byte(capture: str) -> dict[str, int]:
    """The bare limit: the mapped file, every byte looked at once."""
    import numpy as np

    data = np.memmap(capture, dtype=np.uint8, mode="r")
    words = data[: len(data) // 8 * 8].view(np.uint64)
    return {"checksum": int(np.bitwise_xor.reduce(words))}


def records(capture: str) -> dict[str, int]:
    """Capture to Arrow IPC with lz4, all tables, nothing kept."""
    from sensor._core import Reader

    rows = size_bytes = 0
    reader = Reader(capture)
    for batch in reader:
        rows += batch.rows
        size_bytes += len(batch.ipc())
    return {"packets": reader.packets, "rows": rows, "bytes": size_bytes}


def records_not_written(capture: str) -> dict[str, int]:
    """Capture to record batches in memory, not encoded."""
    from sensor._core import Reader

    reader = Reader(capture)
    return {"rows": sum(batch.rows for batch in reader), "packets": reader.packets}


def alerts(capture: str) -> dict[str, int]:
    """Capture to alerts, every rule on."""
    from click.testing import CliRunner

    from detection.cli import detect

    result = CliRunner().invoke(detect, [capture, "--output", "json"])
    if result.exit_code not in {0, 1}:
        raise SystemExit(result.output)
    return {"alerts": len(result.stdout.splitlines())}


def scapy(capture: str) -> dict[str, int]:
    """scapy with its Modbus layers, one packet after the other."""
    from scapy.contrib import modbus
    from scapy.utils import PcapReader

    messages = 0
    with PcapReader(capture) as packets:
        for packet in packets:
            messages += packet.haslayer(modbus.ModbusADURequest) or packet.haslayer(modbus.ModbusADUResponse)
    return {"messages": int(messages)}


def pyshark(capture: str) -> dict[str, int]:
    """pyshark, one packet after the other."""
    import pyshark

    messages = 0
    with pyshark.FileCapture(capture, keep_packets=False) as packets:
        for packet in cast("Iterable[Any]", packets):
            messages += "MODBUS" in packet
    return {"messages": messages}


SUBJECTS: Final[dict[str, Callable[[str], dict[str, int]]]] = {
    subject.__name__: subject for subject in (read_every_byte, records, records_not_written, alerts, scapy, pyshark)
}

if __name__ == "__main__":
    name, path = sys.argv[1:]
    sys.stdout.write(json.dumps(SUBJECTS[name](path)) + "\n")
