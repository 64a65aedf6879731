"""`python -m tests.benchmarks.latency`: from a packet on the wire to its alert in the database. Part of `make bench`; needs root.

In a network name space the virtual plant speaks in real time on one end of a cable, and `icsight run --interface`, the whole
system in one process, listens at the other. Meanwhile strangers, each with an address of its own, restart a controller's
communications, at times that fall anywhere between two cuts. The clock of each runs from before its request is handed to the
interface until another process, which looks every few milliseconds, reads the alert that names it in the database that the API
answers from.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from tests.benchmarks.replay import AHEAD
from tests.plant.frames import Host, Talk, Wire
from tests.sensor.network import ROOT, Network
from tests.sensor.recording import ICSIGHT

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Generator, Iterable

STRANGERS: Final = 100
"""Attacks that are timed."""
PAUSE_SECONDS: Final = (0.2, 0.8)
"""Between two attacks: a cut is half a second long."""
SPEED: Final = 10.0
"""Of the plant's clock: its five controllers then say as much as fifty."""
WARM_SECONDS: Final = 20.0
"""The plant alone, before the first attack."""
READY_SECONDS: Final = 120.0
LOOK_SECONDS: Final = 0.005
"""Between two looks into the database."""
WAIT_SECONDS: Final = 30.0
"""After the last attack; an alert that has not come by then is missing."""
LIMIT_SECONDS: Final = 2.0
"""What 95 of a hundred may take."""

CONTROLLER: Final = Host("10.88.0.1", "02:00:00:88:00:01")
RESTART: Final = bytes.fromhex("000100000006010800010000")
"""Diagnostics, Restart Communications Option (Modbus Application Protocol V1.1b3, 6.8.1); a server answers with the same."""


@dataclass(frozen=True, slots=True)
class Latency:
    """How long alerts took, in seconds."""

    seconds: list[float]
    missing: int
    sent: int
    """Packets of the plant."""

    def line(self, where: str = "live") -> str:
        """As a sentence."""
        if not self.seconds:
            return f"packet to alert, {where}: none of {self.missing} alerts came"
        half, most = np.percentile(self.seconds, [50, 95])
        return (
            f"packet to alert, {where}: p50 {half:.2f} s, p95 {most:.2f} s (limit {LIMIT_SECONDS:.0f}), at most "
            f"{max(self.seconds):.2f} s over {len(self.seconds)} alerts, {self.missing} missing"
        )


@contextlib.contextmanager
def watched() -> Generator[Network]:
    """A network name space with a cable, and loopback for the API. Raises CalledProcessError where none is permitted."""
    network = Network(f"icsight-latency-{os.getpid()}")
    try:
        network.connect()
        network.shell("ip link set lo up")
        yield network
    finally:
        network.close()


class Running:
    """`icsight run` at work in a network name space."""

    def __init__(self, network: Network, data: Path) -> None:
        self.data = data
        words = (str(ICSIGHT), "run", "--interface", "mon0", "--data", str(data), "--port", "0", "--packets-quota", "1024")
        self.process = subprocess.Popen(
            network.command(*AHEAD, *words), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )

    def alerts(self, until: float) -> sqlite3.Connection:
        """Its database, once there is one."""
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise RuntimeError(self.process.stderr and self.process.stderr.read())
            for path in self.data.glob("*.db"):
                database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False)
                try:
                    database.execute("SELECT count(*) FROM alert").fetchone()
                except sqlite3.OperationalError:
                    database.close()
                else:
                    return database
            time.sleep(0.2)
        raise RuntimeError("the system did not begin")

    def stop(self) -> None:
        """End it."""
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=60)


def restart(number: int) -> tuple[str, list[bytes]]:
    """A stranger's address and the frames of his conversation with the controller."""
    wire = Wire()
    address = f"10.77.{number >> 8}.{number & 255}"
    talk = Talk(wire, Host(address, f"02:00:00:77:{number >> 8:02x}:{number & 255:02x}"), CONTROLLER, 40_000 + number)
    talk.send(talk.open(0), RESTART)
    talk.receive(2_000_000, RESTART)
    return address, [packet.frame for packet in wire.take(1 << 62)]


def measure(network: Network, strangers: int = STRANGERS) -> Latency:
    """Let strangers restart a controller in a plant that is watched."""
    with tempfile.TemporaryDirectory(prefix="icsight-latency-") as folder:
        system = Running(network, Path(folder) / "data")
        try:
            database = system.alerts(time.monotonic() + READY_SECONDS)

            def seen() -> list[str]:
                rows = database.execute("SELECT DISTINCT client_ip FROM alert WHERE client_ip LIKE '10.77.%'")
                return [address for (address,) in rows]

            with plant(network), network.listen("gen0") as wire:
                time.sleep(WARM_SECONDS)
                # The first of its kind pays for what is made once.
                timed(wire, seen, range(1, 3))
                taken, missing = timed(wire, seen, range(3, 3 + strangers))
                sent = network.counted("gen0", "tx_packets")
            database.close()
        finally:
            system.stop()
    return Latency(taken, missing, sent)


def timed(wire: socket.socket, seen: Callable[[], Iterable[str]], numbers: range) -> tuple[list[float], int]:
    """Seconds that the alert of each stranger took, and how many had none.

    Args:
        wire: where the strangers speak.
        seen: looks for alerts; returns the strangers that they name. It is called by another thread again and again.
        numbers: of the strangers.
    """
    begun: dict[str, float] = {}
    ended: dict[str, float] = {}
    stopped = threading.Event()

    def look() -> None:
        while not stopped.wait(LOOK_SECONDS):
            for address in seen():
                ended.setdefault(address, time.monotonic())

    looking = threading.Thread(target=look)
    looking.start()
    pauses = random.Random(1)
    try:
        for number in numbers:
            address, frames = restart(number)
            begun[address] = time.monotonic()
            for frame in frames:
                wire.send(frame)
            time.sleep(pauses.uniform(*PAUSE_SECONDS))
        until = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < until and not begun.keys() <= ended.keys():
            time.sleep(LOOK_SECONDS)
    finally:
        stopped.set()
        looking.join()
    taken = [ended[address] - start for address, start in begun.items() if address in ended]
    return taken, len(begun) - len(taken)


@contextlib.contextmanager
def plant(network: Network) -> Generator[None]:
    """The virtual plant on the wire."""
    live = (sys.executable, "-m", "tests.plant", "live", "--seed", "1", "--speed", str(SPEED))
    plant = subprocess.Popen(live, cwd=ROOT, stdout=subprocess.PIPE)
    transmit = network.command(sys.executable, "-m", "tests.sensor.transmit", "gen0", "-")
    sender = subprocess.Popen(transmit, cwd=ROOT, stdin=plant.stdout, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        plant.send_signal(signal.SIGTERM)
        plant.wait()
        sender.wait()


def main() -> None:
    """Read the command line, measure and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strangers", type=int, default=STRANGERS)
    arguments = parser.parse_args()
    with watched() as network:
        print(measure(network, arguments.strangers).line())


if __name__ == "__main__":
    main()
