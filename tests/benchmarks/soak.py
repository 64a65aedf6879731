"""`python -m tests.benchmarks.soak --minutes 60`: the virtual plant live on a mirror port, and how the sensor stays.

In a network name space, the virtual plant, attacks included, speaks on one end of a cable in real time (`--speed 10`: ten
seconds of plant in each), and each second everything that tempts a system to answer (`tests/sensor/temptations.py`).
`icsight sensor run` listens at the other end, which is set up as deploy/docs/sensor.md says. Every ten seconds the sensor's
memory is read. At the end: how memory went, what was taken in, lost and recorded, and what left the interface, by its own
counter and by what arrived at the cable's other end.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tests.sensor import temptations
from tests.sensor.network import ROOT, Network
from tests.sensor.recording import Recording, recording

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

SAMPLE_SECONDS: Final = 10.0
SIZES: Final = ("VmRSS", "VmHWM", "RssAnon", "RssFile", "RssShmem")
ELSEWHERE: Final = "10.9.9.9"
"""An address that the system has on another interface."""


def main() -> None:
    """Read the command line, listen, and print one JSON object a line: each sample, and the account at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--speed", type=float, default=1.0, help="factor of the plant's clock against the real one")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    network = Network(f"icsight-soak-{os.getpid()}")
    try:
        network.connect()
        network.connect("elsewhere0", "elsewhere1")
        network.shell(f"ip addr add {ELSEWHERE}/24 dev elsewhere0")
        with tempfile.TemporaryDirectory(prefix="icsight-soak-") as folder:
            told = soak(network, Path(folder), arguments.minutes * 60, arguments.speed, arguments.seed)
    finally:
        network.close()
    print(json.dumps(told, indent=2))


def soak(network: Network, folder: Path, seconds: float, speed: float, seed: int) -> dict[str, Any]:
    """Let the sensor listen to the plant for so long; returns the account."""
    stopped = threading.Event()
    with recording(network, folder / "data") as sensor, network.listen("gen0") as wire:
        heard: list[bytes] = []
        mac = network.shell("cat /sys/class/net/mon0/address").strip()
        threads = [
            threading.Thread(target=_tempt, args=(wire, mac, stopped)),
            threading.Thread(target=_listen, args=(wire, heard, stopped)),
        ]
        for thread in threads:
            thread.start()
        plant = subprocess.Popen(
            [sys.executable, "-m", "tests.plant", "live", "--seed", str(seed), "--speed", str(speed)],
            cwd=ROOT, stdout=subprocess.PIPE,
        )  # fmt: skip
        sender = subprocess.Popen(
            network.command(sys.executable, "-m", "tests.sensor.transmit", "gen0", "-"),
            cwd=ROOT, stdin=plant.stdout, stdout=subprocess.PIPE,
        )  # fmt: skip
        try:
            samples = _samples(sensor, seconds, lambda: all(process.poll() is None for process in (plant, sender)))
        finally:
            stopped.set()
            plant.send_signal(signal.SIGTERM)
            plant.wait()
            sent, _ = sender.communicate()
            for thread in threads:
                thread.join()
        cpu = sensor.cpu_seconds()
        time.sleep(1)  # what lies in a block that is not full is handed over
        packets, lost, err = sensor.stop()
        received = network.counted("mon0", "rx_packets")
        return {
            "minutes": seconds / 60,
            "speed": speed,
            "memory": {name: _course(samples, name) for name in SIZES},
            "sent by the plant": int(sent),
            "received by the interface": received,
            "taken in": packets,
            "lost": lost,
            "drops": sensor.drops(),
            "rows": {name: sensor.rows(name).height for name in ("modbus", "opcua", "opcua_item", "point", "flow", "violation")},
            "sensor CPU seconds": round(cpu, 2),
            "said": err.splitlines(),
            "left the interface": network.counted("mon0", "tx_packets"),
            "arrived at the other end": len(heard),
        }


def _samples(sensor: Recording, seconds: float, is_alive: Callable[[], bool]) -> list[dict[str, float]]:
    """The sensor's memory over time."""
    samples: list[dict[str, float]] = []
    begin = time.monotonic()
    while (now := time.monotonic() - begin) < seconds:
        if not is_alive():
            raise RuntimeError("the plant or the sender has ended")
        samples.append({"seconds": round(now, 1), **{name: sensor.memory(name) for name in SIZES}})
        print(json.dumps(samples[-1]), flush=True)
        time.sleep(SAMPLE_SECONDS)
    return samples


def _course(samples: list[dict[str, float]], name: str) -> dict[str, float]:
    """How a size went, in KiB: its mean in the first and last quarter, and its slope behind the first quarter (least squares)."""
    sizes = np.array([sample[name] for sample in samples])
    hours = np.array([sample["seconds"] for sample in samples]) / 3600
    quarter = max(len(samples) // 4, 1)
    settled = slice(quarter, None) if len(samples) > quarter + 1 else slice(None)
    slope = float(np.polyfit(hours[settled], sizes[settled], 1)[0]) if len(samples) > 1 else 0.0
    return {
        "first": float(sizes[0]),
        "first quarter": round(float(sizes[:quarter].mean()), 1),
        "last quarter": round(float(sizes[-quarter:].mean()), 1),
        "last": float(sizes[-1]),
        "slope an hour behind the first quarter": round(slope, 1),
    }


def _tempt(wire: socket.socket, mac: str, stopped: threading.Event) -> None:
    """Ask the interface for answers each second."""
    asked = list(temptations.frames(mac, (ELSEWHERE,)).values())
    while not stopped.wait(1.0):
        for frame in asked:
            wire.send(frame)


def _listen(wire: socket.socket, heard: list[bytes], stopped: threading.Event) -> None:
    """Take down what arrives at the cable's other end."""
    wire.settimeout(0.5)
    while not stopped.is_set():
        try:
            heard.append(wire.recv(65_536))
        except TimeoutError:
            continue


if __name__ == "__main__":
    main()
