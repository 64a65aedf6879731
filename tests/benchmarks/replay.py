"""A wire between two cores: a sender that has its frames ready on one, and where a sensor is pinned on the other."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.sensor.network import ROOT, Network

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from pathlib import Path
    from types import TracebackType
    from typing import Self

FIRST: Final = ("chrt", "--rr", "10")
"""Other work of the machine is not what is measured: it has to wait."""

AHEAD: Final = ("nice", "-n", "-20")
"""The same for a sensor, whose threads share a core fairly, as on a gateway: in real time each would keep it for 100 ms."""


@dataclass(frozen=True, slots=True)
class Wire:
    """A network name space with a cable from gen0 to mon0, and the cores of who speaks and who listens."""

    network: Network
    sender_core: int
    sensor_core: int

    @property
    def sensor_prefix(self) -> tuple[str, ...]:
        """What is put before a sensor's command."""
        return (*AHEAD, "taskset", "-c", str(self.sensor_core))

    def sender(self, captures: Iterable[Path]) -> Sender:
        """A sender of these captures, merged."""
        return Sender(self, captures)


@contextlib.contextmanager
def wire() -> Generator[Wire]:
    """A wire, for as long as it is used. Raises CalledProcessError where name spaces are not permitted."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("error: live capture is measured with the sender on a core of its own: two cores are needed")
    network = Network(f"icsight-bench-{os.getpid()}")
    try:
        network.connect()
        yield Wire(network, cores[1], cores[0])
    finally:
        network.close()


class Sender:
    """`tests/benchmarks/sender.py`, with its frames in memory."""

    def __init__(self, wire: Wire, captures: Iterable[Path]) -> None:
        pinned = (*FIRST, "taskset", "-c", str(wire.sender_core))
        command = wire.network.command(*pinned, sys.executable, "-m", "tests.benchmarks.sender", "gen0", *map(str, captures))
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._said()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self._process.communicate()

    def send(self, rate: int, seconds: float) -> tuple[int, float]:
        """Send from the first frame on for so long, or until all have gone, `rate` a second; returns how many in what time."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{rate} {seconds}\n")
        self._process.stdin.flush()
        told = json.loads(self._said())
        return told["sent"], told["seconds"]

    def _said(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the sender has ended")
        return line
