"""`make bench`: speed and memory against peers and against the bare limit, in one run, on one generated capture, as ratios.

Each subject runs in a process of its own, pinned to one core; CPU seconds and the peak of resident memory are the
operating system's account of that process and its children. Peers that take too long for the whole capture get a smaller one.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.benchmarks import detection, latency, live, open_flows
from tests.benchmarks.captures import folder, generated
from tests.benchmarks.replay import wire

if TYPE_CHECKING:
    from pathlib import Path

PACKETS: Final = 4_000_000
"""Packets of the capture."""

OPCUA_PACKETS: Final = 1_000_000
"""Packets of the OPC UA capture, most of which hold twenty values."""

SMALL: Final = {"tshark": 400_000, "scapy": 20_000, "pyshark": 5_000}
"""Packets that slow peers get."""

MEMORY_PACKETS: Final = (1_000_000, 4_000_000, 10_000_000)
"""Sizes at which memory is looked at."""

TSHARK_FIELDS: Final = (
    "frame.time_epoch", "ip.src", "ip.dst", "tcp.srcport", "mbtcp.trans_id", "mbtcp.unit_id", "modbus.func_code",
    "modbus.reference_num", "modbus.word_cnt", "modbus.regval_uint16",
)  # fmt: skip
"""The ten fields that tshark is asked for."""

TSHARK_OPCUA_FIELDS: Final = (
    "frame.time_epoch", "ip.src", "ip.dst", "tcp.srcport", "opcua.transport.type", "opcua.transport.scid", "opcua.security.rqid",
    "opcua.servicenodeid.numeric", "opcua.nodeid.string", "opcua.Double",
)  # fmt: skip
"""Those that it is asked for of OPC UA."""


TAIL_BYTES: Final = 4_096
"""Bytes of a subject's output that are looked at: its last line."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What one run took."""

    name: str
    packets: int
    cpu_seconds: float
    wall_seconds: float
    resident_mib: float
    output: str

    @property
    def rate(self) -> float:
        """Packets a CPU second."""
        return self.packets / self.cpu_seconds


_ACCOUNT: Final = """
import json, resource, subprocess, sys
code = subprocess.call(sys.argv[2:], stderr=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
json.dump([code, used.ru_utime + used.ru_stime, used.ru_maxrss], open(sys.argv[1], "w"))
"""
"""Runs a command and writes its exit status, CPU seconds and KiB of memory. A process of its own, and small: the system counts
as a child's memory what its parent held when it began."""


def measure(name: str, packets: int, command: list[str]) -> Figure:
    """Run a command on the first core and account for it. Raises CalledProcessError if it fails."""
    core = min(os.sched_getaffinity(0))
    start = time.monotonic()
    with tempfile.TemporaryFile() as output, tempfile.NamedTemporaryFile() as account:
        accountant = [sys.executable, "-I", "-S", "-c", _ACCOUNT, account.name]
        subprocess.run([*accountant, "taskset", "-c", str(core), *command], stdout=output, check=True)
        code, seconds, kib = json.load(account)
        if code != 0:
            raise subprocess.CalledProcessError(code, command)
        output.seek(max(0, output.seek(0, os.SEEK_END) - TAIL_BYTES))
        last = output.read().decode(errors="replace").rstrip().rpartition("\n")[2]
    return Figure(name, packets, seconds, time.monotonic() - start, kib / 1024, last)


def subject(name: str, capture: Path, packets: int, title: str = "") -> Figure:
    """Measure one of `subjects.py`."""
    return measure(title or name, packets, [sys.executable, "-m", "tests.benchmarks.subjects", name, str(capture)])


def tshark(capture: Path, packets: int, protocol: str = "modbus") -> Figure:
    """Measure tshark printing ten fields of each message of a protocol."""
    names, title = {
        "modbus": (TSHARK_FIELDS, "tshark, 10 fields"),
        "opcua": (TSHARK_OPCUA_FIELDS, "tshark, 10 fields, OPC UA"),
    }[protocol]
    fields = [argument for name in names for argument in ("-e", name)]
    return measure(title, packets, ["tshark", "-r", str(capture), "-Y", protocol, "-T", "fields", *fields])


def opcua() -> tuple[Figure, Figure]:
    """Measure the packet core on the generated OPC UA capture, and tshark on a smaller one."""
    whole = generated(OPCUA_PACKETS, "opcua")
    small = generated(SMALL["tshark"], "opcua")
    return (
        subject("records", whole, OPCUA_PACKETS, "OPC UA capture -> Arrow lz4"),
        tshark(small, SMALL["tshark"], "opcua"),
    )


def suricata(capture: Path, packets: int) -> Figure:
    """Measure Suricata with its Modbus log, as its own defaults have it."""
    logs = folder() / "suricata"
    logs.mkdir(exist_ok=True)
    settings = ["--set", "app-layer.protocols.modbus.enabled=yes", "--set", "outputs.1.eve-log.types.0=modbus"]
    return measure(
        "suricata, Modbus log", packets, ["suricata", "-r", str(capture), "-l", str(logs), "--runmode", "single", *settings]
    )


def table(figures: list[Figure], peer: Figure) -> str:
    """The figures as text, each as a ratio to the peer."""
    lines = [
        f"{'who':<44}{'packets':>12}{'CPU s':>9}{'wall s':>9}{'packets/s':>14}{'x ' + peer.name.split(',')[0]:>12}{'MiB':>8}"
    ]
    lines += [
        f"{figure.name:<44}{figure.packets:>12,}{figure.cpu_seconds:>9.2f}{figure.wall_seconds:>9.2f}{figure.rate:>14,.0f}"
        f"{figure.rate / peer.rate:>12.1f}{figure.resident_mib:>8.0f}"
        for figure in figures
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure everything and print it."""
    captures = {packets: generated(packets) for packets in sorted({PACKETS, *MEMORY_PACKETS, *SMALL.values()})}
    whole = captures[PACKETS]
    peer = tshark(captures[SMALL["tshark"]], SMALL["tshark"])
    written = subject("records", whole, PACKETS)
    counts = json.loads(written.output)
    figures = [
        subject("read_every_byte", whole, PACKETS),
        subject("records_not_written", whole, PACKETS),
        written,
        subject("alerts", whole, PACKETS),
        peer,
        subject("scapy", captures[SMALL["scapy"]], SMALL["scapy"]),
        subject("pyshark", captures[SMALL["pyshark"]], SMALL["pyshark"]),
    ]
    if shutil.which("suricata"):
        figures.append(suricata(whole, PACKETS))
    else:
        print("suricata is not installed: not measured")
    print(table(figures, peer))
    detected = figures[3]
    print(f"\nrecords: {counts['rows']:,} rows, {counts['bytes'] / 1e6:.0f} MB of Arrow; alerts: {detected.output}")
    print(f"capture to alerts: {counts['rows'] / detected.cpu_seconds:,.0f} records a CPU second (limit 500,000)")
    print(f"capture to Arrow: {written.rate / peer.rate:.0f} x tshark (limit 180)")
    ours, theirs = opcua()
    print(f"\n{table([ours, theirs], theirs)}")
    made = json.loads(ours.output)
    print(f"OPC UA: {made['rows']:,} rows, {made['bytes'] / 1e6:.0f} MB of Arrow; {ours.rate / theirs.rate:.0f} x tshark\n")
    print("\n".join(detection.lines()) + "\n")
    memory = [subject("records", captures[packets], packets) for packets in MEMORY_PACKETS]
    print(
        "memory reading a file: "
        + ", ".join(f"{figure.resident_mib:.0f} MiB at {figure.packets / 1e6:.0f} M packets" for figure in memory)
    )
    if os.geteuid() != 0:
        print("live capture needs root: not measured")
        return
    with latency.watched() as network:
        print(latency.measure(network).line())
    with wire() as on:
        print(open_flows.measure(on).line())
        live.run(on)


if __name__ == "__main__":
    main()
